r"""Scalar partial differential equations: what is solved for.

A linear operator is a sum of terms, each a coefficient times a mixed derivative,

.. math:: L u = \sum_t c_t\, \partial_1^{a_{t1}} \cdots \partial_d^{a_{td}} u,

and an equation adds a function of the value of u to it: :math:`L u + N(u) = f`.

References: Fang, Cooley, Long, Li, Kirby, Zhe, arXiv 2311.04465 (the equations treated there).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from numerics.arrays import Array, as_float, as_integer

Coefficient = float | Callable[..., Array]

_HIGHEST_ORDER = 4


@dataclass(frozen=True)
class LinearOperator:
    r"""A linear differential operator, :math:`\sum_t c_t \partial_1^{a_{t1}}\cdots u`.

    Operators of one number of axes add up, and numbers multiply them.

    Parameters
    ----------
    terms : iterable of (coefficient, orders)
        A coefficient is a number or a callable of the coordinates (one array an axis, values of
        their shape); ``orders`` has the order of the derivative along each axis, 0 to 4. One axis
        takes a plain integer.

    Raises
    ------
    TypeError, ValueError
        If a coefficient is neither a finite number nor callable, an order is out of range, the
        terms differ in their number of axes, or there are none.

    Examples
    --------
    The wave equation's operator with speed 3.

    >>> wave = LinearOperator([(1.0, (0, 2)), (-9.0, (2, 0))])
    >>> wave.dim, wave.orders
    (2, (2, 2))
    >>> 2.0 * Laplacian(2) - Laplacian(2) == Laplacian(2)
    True
    """

    terms: tuple[tuple[Coefficient, tuple[int, ...]], ...]

    def __init__(self, terms: Iterable[tuple[Coefficient, int | tuple[int, ...]]]) -> None:
        checked = tuple(_checked_term(*_pair(term)) for term in terms)
        if not checked:
            raise ValueError("terms must hold at least one (coefficient, orders), got none")
        sizes = {len(orders) for _, orders in checked}
        if len(sizes) > 1:
            raise ValueError(f"terms must agree in their number of axes, got {sorted(sizes)}")
        object.__setattr__(self, "terms", _collected(checked))

    @property
    def dim(self) -> int:
        """Number of axes."""
        return len(self.terms[0][1])

    @property
    def orders(self) -> tuple[int, ...]:
        """Highest order of a derivative along each axis."""
        return tuple(max(orders[axis] for _, orders in self.terms) for axis in range(self.dim))

    @property
    def is_constant(self) -> bool:
        """Whether all coefficients are numbers."""
        return not any(callable(coefficient) for coefficient, _ in self.terms)

    def coefficients(self, *coordinates: np.ndarray) -> list[tuple[Any, tuple[int, ...]]]:
        """Evaluate the coefficients at points.

        Parameters
        ----------
        *coordinates : array
            One an axis, all of one shape.

        Returns
        -------
        list of (float or array, tuple of int)
            The terms: coefficients, those that are callable as arrays of that shape, and the
            orders of their derivatives.
        """
        shape = np.shape(coordinates[0])
        return [
            (_coefficient_values(c, coordinates, shape) if callable(c) else c, orders)
            for c, orders in self.terms
        ]

    def frozen(self, *point: float) -> LinearOperator:
        """Operator with the constant coefficients that this one has at a point.

        Parameters
        ----------
        *point : float
            One coordinate an axis.

        Returns
        -------
        LinearOperator
        """
        terms = self.coefficients(*(np.asarray(float(x)) for x in point))
        return LinearOperator([(float(c), orders) for c, orders in terms])

    def __add__(self, other: Any) -> LinearOperator:
        if not isinstance(other, LinearOperator):
            return NotImplemented
        return LinearOperator(self.terms + other.terms)

    def __sub__(self, other: Any) -> LinearOperator:
        if not isinstance(other, LinearOperator):
            return NotImplemented
        return self + (-1.0) * other

    def __mul__(self, factor: Any) -> LinearOperator:
        factor = as_float("factor", factor)
        return LinearOperator([(_scaled(c, factor), orders) for c, orders in self.terms])

    __rmul__ = __mul__

    def __neg__(self) -> LinearOperator:
        return -1.0 * self


def LinearOperator1D(
    c0: Coefficient = 0.0, c1: Coefficient = 0.0, c2: Coefficient = 0.0
) -> LinearOperator:
    r"""The operator :math:`c_0 u + c_1 u' + c_2 u''` of one variable.

    Parameters
    ----------
    c0, c1, c2 : float or callable
        Numbers, or functions of an array of x. Terms with the number 0 are left out.

    Returns
    -------
    LinearOperator
        With one axis.

    Raises
    ------
    TypeError, ValueError
        If a coefficient is neither a finite number nor callable, or all are 0.

    Examples
    --------
    The operator of Airy's equation :math:`u'' = xu`.

    >>> import numpy as np
    >>> L = LinearOperator1D(c0=lambda x: -x, c2=1.0)
    >>> L.orders, L.is_constant, L.coefficients(np.array([2.0, 3.0]))[-1]
    ((2,), False, (array([-2., -3.]), (0,)))
    """
    given = [(c, (order,)) for order, c in enumerate((c0, c1, c2)) if callable(c) or c != 0]
    if not given:
        raise ValueError("one of c0, c1 and c2 must be other than 0")
    return LinearOperator(given)


def Laplacian(dim: int) -> LinearOperator:
    r"""The Laplacian :math:`\sum_{j=1}^d \partial_j^2`.

    Parameters
    ----------
    dim : int
        Number of axes, at least 1.

    Returns
    -------
    LinearOperator
        With ``dim`` axes.

    Examples
    --------
    >>> Laplacian(2).terms
    ((1.0, (2, 0)), (1.0, (0, 2)))
    """
    dim = as_integer("dim", dim, minimum=1)
    rows = 2 * np.eye(dim, dtype=int)
    return LinearOperator([(1.0, tuple(row)) for row in rows])


def Advection(beta: float) -> LinearOperator:
    r"""The advection operator :math:`\beta\,\partial_x + \partial_t` on the axes (x, t).

    Parameters
    ----------
    beta : float
        Speed of the waves, to larger x where it is positive.

    Returns
    -------
    LinearOperator
        With two axes, the second of which is time.

    Examples
    --------
    >>> Advection(200.0).terms
    ((200.0, (1, 0)), (1.0, (0, 1)))
    """
    return LinearOperator([(as_float("beta", beta), (1, 0)), (1.0, (0, 1))])


@dataclass(frozen=True)
class PDE:
    r"""A scalar equation :math:`L u + N(u) = f`.

    Parameters
    ----------
    linear : LinearOperator
        L.
    nonlinear : callable, optional
        N, a function of the array of values of u, value by value.
    jac : callable, optional
        Its derivative :math:`N'`, likewise; it must be there exactly when ``nonlinear`` is.

    Raises
    ------
    TypeError
        If ``linear`` is no LinearOperator, or a function is not callable.
    ValueError
        If one of ``nonlinear`` and ``jac`` lacks the other.

    Examples
    --------
    The stationary Allen-Cahn equation, :math:`u'' + u(u^2 - 1) = f`.

    >>> allen_cahn = PDE(Laplacian(1), lambda u: u * (u**2 - 1), lambda u: 3 * u**2 - 1)
    >>> allen_cahn.is_linear, allen_cahn.dim
    (False, 1)
    """

    linear: LinearOperator
    nonlinear: Callable[[Array], Array] | None = None
    jac: Callable[[Array], Array] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.linear, LinearOperator):
            raise TypeError(f"linear must be a LinearOperator, got {type(self.linear).__name__}")
        for name, function in (("nonlinear", self.nonlinear), ("jac", self.jac)):
            if function is not None and not callable(function):
                raise TypeError(f"{name} must be callable, got {type(function).__name__}")
        if (self.nonlinear is None) != (self.jac is None):
            raise ValueError("nonlinear and its derivative jac must be given together")

    @property
    def dim(self) -> int:
        """Number of axes."""
        return self.linear.dim

    @property
    def is_linear(self) -> bool:
        """Whether N is absent."""
        return self.nonlinear is None

    def reaction(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """N(u) and N'(u), both zero where N is absent.

        Parameters
        ----------
        u : array
            Values of u.

        Returns
        -------
        values, slopes : array
            Of the shape of ``u``.
        """
        if self.nonlinear is None or self.jac is None:
            return np.zeros_like(u), np.zeros_like(u)
        return (
            _checked_values("nonlinear", self.nonlinear(u), u),
            _checked_values("jac", self.jac(u), u),
        )

    def check_jac(self, u: np.ndarray) -> None:
        """Refuse a ``jac`` that central differences of ``nonlinear`` contradict.

        Parameters
        ----------
        u : array
            Where to compare.

        Raises
        ------
        ValueError
            If they differ.
        """
        step = 1e-5 * (1 + np.abs(u))
        above, _ = self.reaction(u + step)
        below, _ = self.reaction(u - step)
        value, slope = self.reaction(u)
        difference = (above - below) / (2 * step)
        # Differences are good to about 1e-10 where N is smooth; a wrong derivative is far off.
        allowed = 1e-3 * (np.abs(difference) + np.abs(slope)).max(initial=0.0)
        allowed += 1e-9 * (1 + np.abs(value).max(initial=0.0))
        gap = np.abs(difference - slope).max(initial=0.0)
        if gap > allowed:
            raise ValueError(
                f"jac must be the derivative of nonlinear; central differences differ by {gap:.3g}"
            )


def _pair(term: Any) -> tuple[Any, Any]:
    try:
        coefficient, orders = term
    except (TypeError, ValueError):
        raise TypeError(f"terms must hold pairs (coefficient, orders), got {term!r}") from None
    return coefficient, orders


def _checked_term(coefficient: Any, orders: Any) -> tuple[Coefficient, tuple[int, ...]]:
    if not callable(coefficient):
        coefficient = as_float("coefficient", coefficient)
    if isinstance(orders, int | np.integer):
        orders = (orders,)
    orders = tuple(as_integer("orders", order, minimum=0) for order in orders)
    if not orders or max(orders) > _HIGHEST_ORDER:
        raise ValueError(f"orders must be 0 to {_HIGHEST_ORDER} along each axis, got {orders}")
    return coefficient, orders


def _collected(
    terms: tuple[tuple[Coefficient, tuple[int, ...]], ...],
) -> tuple[tuple[Coefficient, tuple[int, ...]], ...]:
    """Terms with numbers of equal orders added up, highest orders first, and the callables."""
    numbers: dict[tuple[int, ...], float] = {}
    functions: list[tuple[Coefficient, tuple[int, ...]]] = []
    for coefficient, orders in terms:
        if callable(coefficient):
            functions.append((coefficient, orders))
        else:
            numbers[orders] = numbers.get(orders, 0.0) + coefficient
    return (*((numbers[orders], orders) for orders in sorted(numbers, reverse=True)), *functions)


def _scaled(coefficient: Coefficient, factor: float) -> Coefficient:
    if not callable(coefficient):
        return factor * coefficient
    return lambda *coordinates: factor * coefficient(*coordinates)


def _coefficient_values(
    coefficient: Callable[..., Array], coordinates: tuple[np.ndarray, ...], shape: tuple[int, ...]
) -> np.ndarray:
    values = np.asarray(coefficient(*coordinates), dtype=np.float64)
    if values.shape not in ((), shape):
        raise ValueError(f"a coefficient must give values of shape {shape}, got {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError("a coefficient must be finite, got NaN or infinity")
    return np.broadcast_to(values, shape)


def _checked_values(name: str, values: Any, u: np.ndarray) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    if values.shape not in ((), u.shape):
        raise ValueError(f"{name} must give values of shape {u.shape}, got {values.shape}")
    return np.broadcast_to(values, u.shape)

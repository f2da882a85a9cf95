r"""Boundary value problems of the Riesz operator on an interval, by B-spline collocation.

.. math:: \kappa(y)\,R u + b(y)\,u' + c(y)\,u = f(y) \quad (A < y < B), \qquad u = 0
          \text{ outside},

with the positive operator :math:`R = (-\Delta)^{\alpha/2}`, :math:`1 < \alpha < 2` (the Riesz
derivative :math:`\partial^\alpha/\partial|y|^\alpha` of much of the literature is -R). The interval
becomes [0, 1] by :math:`y = A + (B - A)x`, which takes :math:`(B - A)^{-\alpha}` out of R, and the
equation is required at the N = n + p - 2 inner Greville points. Smooth solutions are found with an
error of order :math:`p + 2 - \alpha` in the cell width for even p, :math:`p + 1 - \alpha` for odd;
with advection the even degrees lose some of it. For most smooth data though the solution behaves
like :math:`\mathrm{dist}^{\alpha/2}` at the ends, and then the order is :math:`\alpha/2` for every
p: the result says which it is.

References: Mazza, Donatelli, Manni, Speleers, arXiv 2106.14834.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from numerics.arrays import (
    Array,
    Frame,
    as_arrays,
    as_float,
    check_choice,
    check_positive,
    check_real,
)
from numerics.convergence import ConvergenceWarning
from solvers.riesz._arguments import as_interval, host_values
from solvers.riesz._equation import CollocatedEquation
from solvers.riesz._estimate import judge
from solvers.riesz._spline import basis_product, carried, inner_points, spline_basis
from solvers.riesz.collocation import RieszCollocation

_METHODS = ("auto", "direct", "gmres", "dense")
_BACKWARD_STABLE = 1e3 * float(np.finfo(np.float64).eps)
_INTERPOLATION_DEGREE = 7

Data = Callable[[Array], Array] | Array | float


@dataclass(frozen=True)
class RieszSolution:
    r"""Solution of a Riesz equation on an interval, to be called at points.

    Attributes
    ----------
    coefficients : array, shape (N,) or (N, k)
        Of the inner B-splines, N = n + p - 2.
    n, p : int
        Cells and degree.
    domain : tuple of float
        The interval.
    method : str
        What was done: "direct", "gmres" or "dense".
    iterations : int
        Of GMRES, or of the direct method's setup; 0 for "dense". The largest of several columns.
    residual_norm : float
        :math:`\lVert f - Kx \rVert_2 / \lVert f \rVert_2` at the Greville points, the largest of
        several columns. Rounding x alone leaves about :math:`\varepsilon n^\alpha` of it.
    converged : bool
        For GMRES, whether the preconditioned residual met the tolerance; for the other methods,
        whether the residual is that of rounding. It says that the system is solved, and of the
        distance from u nothing: ``error_estimate`` does.
    error_estimate : float
        Estimate of the largest error in u: what was left unsolved, and the difference from the
        solution on half the cells; from 12 cells on divided by :math:`2^q - 1`, q the order seen
        on a quarter of the cells and no more than theory allows.
    singular_ends : bool
        Whether the data make the solution behave like :math:`\mathrm{dist}^{\alpha/2}` at an end,
        so that the order of high degrees cannot show.

    Examples
    --------
    It vanishes outside the interval, as the operator supposes.

    >>> import numpy as np
    >>> u = solve_riesz_bvp(np.cos, 20, 3, 1.5, domain=(-1.0, 1.0))
    >>> values = u([-1.5, -1.0, 0.3, -0.3, 1.0])
    >>> np.flatnonzero(values), bool(abs(values[2] - values[3]) < 1e-15)
    (array([2, 3]), True)
    """

    coefficients: Array
    n: int
    p: int
    domain: tuple[float, float]
    method: str
    iterations: int
    residual_norm: float
    converged: bool
    error_estimate: float
    singular_ends: bool

    def __call__(self, x: Array) -> Array:
        """Values of u at ``x``, any shape, with the columns in a last axis; zero outside.

        Torch results are differentiable in the coefficients, not in the points.
        """
        frame, x, coefficients = as_arrays(x=x, coefficients=self.coefficients)
        check_real("x", x, frame)
        lower, upper = self.domain
        unit = (host_values(frame, x).ravel() - lower) / (upper - lower)
        basis = spline_basis(unit, self.n, self.p)
        values = basis_product(frame, basis, frame.double(coefficients))
        shape = (*tuple(x.shape), *tuple(coefficients.shape[1:]))
        return frame.cast(frame.xp.reshape(values, shape))


def solve_riesz_bvp(
    f: Data,
    n: int,
    p: int,
    alpha: float,
    *,
    kappa: Data = 1.0,
    b: Data = 0.0,
    c: Data = 0.0,
    domain: tuple[float, float] = (0.0, 1.0),
    method: str = "auto",
    rtol: float | None = None,
) -> RieszSolution:
    r"""Solve :math:`\kappa R u + b u' + c u = f` on an interval, u = 0 outside.

    :math:`R = (-\Delta)^{\alpha/2}` is the positive operator, minus the Riesz derivative.

    Parameters
    ----------
    f : callable or array, shape (N,) or (N, k)
        Right-hand side: a function of an array of points, or its values at the inner Greville
        points, :math:`A + (B - A)\xi_i`, i = 1, ..., N, with ``numerics.greville_abscissae(n, p)``
        for :math:`\xi` and N = n + p - 2. Several right-hand sides are columns.
    n : int
        Number of cells, at least 1.
    p : int
        Degree, 2 to 10.
    alpha : float
        Order, 1 < alpha < 2.
    kappa, b, c : callable, array of shape (N,), or number
        Coefficients, likewise; ``kappa`` positive. A negative ``c`` may make the equation singular.
        Functions are given tensors if an argument is a tensor, else NumPy arrays.
    domain : tuple of float
        The ends of the interval, (A, B).
    method : {"auto", "direct", "gmres", "dense"}
        The bordered Toeplitz solver, in O(n log n), for constant :math:`b/\kappa` and
        :math:`c/\kappa`; GMRES with a circulant preconditioner, in O(n log n) an iteration, for
        any coefficients; or LAPACK, in O(n^3). "auto" takes the first that
        applies, LAPACK for small systems, and again where GMRES fails with N up to 4096.
    rtol : float, optional
        GMRES stops when the preconditioned residual is this small beside that of zero; 1e-12.

    Returns
    -------
    RieszSolution
        To be called at points. Its coefficients have the kind and precision of the arguments
        and, for torch, are differentiable once in ``f``, ``kappa``, ``b`` and ``c``.

    Raises
    ------
    TypeError
        If an argument is complex or no number.
    ValueError
        If an argument is out of range, of another length or not finite, the domain empty or
        reversed, ``method="direct"`` asked for where b/kappa or c/kappa varies, or
        single precision where nothing of it would be left.

    Warns
    -----
    ConvergenceWarning
        If the system is not solved to the tolerance.

    References
    ----------
    Mazza, Donatelli, Manni, Speleers, arXiv 2106.14834 (the collocation matrices).

    Examples
    --------
    The mean exit time of a symmetric stable process is
    :math:`(x(1-x))^{\alpha/2}/\Gamma(1+\alpha)`. It is singular at the ends; the result says so,
    and how far off it is.

    >>> import math
    >>> u = solve_riesz_bvp(lambda x: 1 + 0 * x, 256, 3, 1.5)
    >>> error = abs(u(0.5) - 0.25**0.75 / math.gamma(2.5))
    >>> u.method, u.singular_ends, bool(error < u.error_estimate < 1e-3)
    ('direct', True, True)
    """
    A = RieszCollocation(n, p, alpha)
    check_choice("method", method, _METHODS)
    rtol = None if rtol is None else as_float("rtol", rtol, positive=True)
    problem = _Problem({"f": f, "kappa": kappa, "b": b, "c": c}, as_interval("domain", domain))
    points = inner_points(A.n, A.p)
    frame, data = problem.at(points, A.alpha)
    A.check_single("f", frame)
    right, *factors = (host_values(frame, value) for value in data)
    equation = CollocatedEquation(A, (factors[0], factors[1], factors[2]), method, rtol)
    x, iterations, converged = equation.solve(right)
    residual = right - equation.matvec(x)
    if equation.method != "gmres":
        converged = equation.backward_error(x, residual, right) <= _BACKWARD_STABLE
    if not converged:
        warnings.warn(
            f"method {equation.method!r} left the system unsolved after {iterations} iterations; "
            "residual_norm and error_estimate say by how much",
            ConvergenceWarning,
            stacklevel=2,
        )

    def collocated(n: int, p: int) -> tuple[CollocatedEquation, np.ndarray]:
        there = inner_points(n, p)
        frame, data = problem.carried(points, there).at(there, A.alpha)
        right, *factors = (host_values(frame, value) for value in data)
        B = RieszCollocation(n, p, A.alpha)
        return CollocatedEquation(B, (factors[0], factors[1], factors[2]), method, rtol), right

    left = np.abs(equation.correction(residual)).max(initial=0.0)
    estimate, ends = judge(equation, right, x, collocated)
    result = frame.asarray(x)
    if frame.is_torch:
        from solvers.riesz._torch_bvp import RieszSolve

        result = RieszSolve.apply(*data, equation, x)
    norms = np.linalg.norm(residual, axis=0), np.linalg.norm(right, axis=0)
    return RieszSolution(
        coefficients=frame.cast(result),
        n=A.n,
        p=A.p,
        domain=problem.domain,
        method=equation.method,
        iterations=iterations,
        residual_norm=float(np.max(norms[0] / np.where(norms[1] > 0, norms[1], 1), initial=0.0)),
        converged=bool(converged),
        error_estimate=estimate + float(left),
        singular_ends=ends,
    )


@dataclass(frozen=True)
class _Problem:
    """The data as given, functions or values at the inner Greville points of one space."""

    given: dict[str, Any]
    domain: tuple[float, float]

    def at(self, unit: np.ndarray, alpha: float) -> tuple[Frame, list[Array]]:
        """Data, at points of the unit interval, of the equation that u satisfies there.

        Double precision, within the graph of derivatives; f is filled up to (N,) or (N, k).
        """
        lower, upper = self.domain
        points, N = self._frame.asarray(lower + (upper - lower) * unit), len(unit)
        values = {name: v(points) if callable(v) else v for name, v in self.given.items()}
        frame, *arrays = as_arrays(**values)
        for name, array in zip(values, arrays, strict=True):
            check_real(name, array, frame)
            shape = tuple(array.shape)
            columns = name == "f" and len(shape) == 2 and shape[0] == N
            if shape not in ((), (N,)) and not columns:
                wanted = f"({N},) or ({N}, k)" if name == "f" else f"({N},), or be a number"
                raise ValueError(f"{name} must have shape {wanted}; got {shape}")
        check_positive("kappa", arrays[1], frame)
        f, kappa, b, c = map(frame.double, arrays)
        if f.ndim == 0:
            f = f + frame.asarray(np.zeros(N))
        return frame, [f, kappa / (upper - lower) ** alpha, b / (upper - lower), c]

    def carried(self, fine: np.ndarray, coarse: np.ndarray) -> _Problem:
        """The same with values at fine points replaced by their interpolants at coarse ones."""
        given = {}
        for name, value in self.given.items():
            frame, array = as_arrays(finite=True, **{name: 0.0 if callable(value) else value})
            if array.ndim:
                values = host_values(frame, array)
                # Logarithms keep what is positive so.
                there = carried(
                    np.log(values) if name == "kappa" else values,
                    fine,
                    coarse,
                    degree=_INTERPOLATION_DEGREE,
                )
                value = frame.asarray(np.exp(there) if name == "kappa" else there)
            given[name] = value
        return _Problem(given, self.domain)

    @property
    def _frame(self) -> Frame:
        held = {name: v for name, v in self.given.items() if not callable(v)}
        return as_arrays(finite=True, **held)[0]

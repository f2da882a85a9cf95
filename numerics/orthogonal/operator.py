r"""What all orthogonal operators have in common: products, adjoints and powers without a matrix.

An operator Q with :math:`Q^T Q = I` keeps inner products, so that :math:`Q^T` undoes it. Families
that are closed under products compose to another member, which costs no more than one factor;
of the others a product is kept as its factors and applied one after the other.
"""

from __future__ import annotations

import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import scipy.sparse.linalg

from numerics.arrays import Array, Frame, as_arrays, as_integer, check_finite, frame_like

_PLAIN = {np.zeros(0, t).dtype: frame_like(np.zeros(0, t)) for t in (np.float32, np.float64)}


class OrthogonalOperator(ABC):
    r"""Orthogonal matrix of order n that is applied, composed and transposed without being formed.

    ``Q @ x`` is the matrix product that NumPy would give for Q as an array, ``x @ Q`` the one from
    the other side, and ``P @ Q`` for two operators the operator that applies Q first.

    Attributes
    ----------
    shape : tuple of int
        ``(n, n)``.
    nbytes : int
        Bytes of what the operator is made from.

    See Also
    --------
    SignedPermutation, RandomizedHadamard, BlockOrthogonal, Butterfly, HouseholderProduct

    Examples
    --------
    Rotations keep the inner product, and the adjoint of a product is the product of the adjoints in
    the other order.

    >>> import numpy as np
    >>> from numerics import Butterfly, SignedPermutation
    >>> Q = Butterfly.random(16, rng=0) @ SignedPermutation.random(16, rng=1)
    >>> x, y = np.random.default_rng(2).standard_normal((2, 16))
    >>> np.allclose(Q.apply(x) @ Q.apply(y), x @ y)
    True
    >>> np.allclose(Q.adjoint().to_dense(), Q.to_dense().T)
    True
    """

    __array_ufunc__ = None  # NumPy leaves array @ operator to __rmatmul__

    def __init__(self, n: int) -> None:
        self.shape = (n, n)

    def apply(self, x: Array, *, axis: int = -1) -> Array:
        r"""Product :math:`Qx` for every vector that lies along ``axis`` of ``x``.

        Parameters
        ----------
        x : array, shape (..., n, ...)
            Vectors, NumPy or torch, real or complex.
        axis : int
            The axis of length n.

        Returns
        -------
        array, shape of ``x``
            Kind and precision of the arguments. Torch results are differentiable in ``x`` and in
            the operator's real parameters.

        Raises
        ------
        TypeError
            For an array of another library than the operator's parameters.
        ValueError
            For an axis that is not there or not of length n, and, where they would spread, for
            values that are not finite.
        """
        n = self.shape[0]
        # No entry of the parameters is looked at again: they were checked when they came in.
        held = {name: value[:0] for name, value in self._parameters().items()}
        if not held and type(x) is np.ndarray and x.dtype in _PLAIN:
            # The common case, without the front door's look at everything else an argument may be:
            # for a short vector that takes longer than the product.
            frame = _PLAIN[x.dtype]
            if self._spreads:
                check_finite("x", x, frame)
        else:
            frame, x, *_ = as_arrays(finite=self._spreads, x=x, **held)
        if x.ndim == 0 or not -x.ndim <= axis < x.ndim:
            raise ValueError(f"axis must be one of x, whose shape is {tuple(x.shape)}; got {axis}")
        if x.shape[axis] != n:
            shape = tuple(x.shape)
            raise ValueError(f"x must have length {n} along axis {axis}, got shape {shape}")
        axis = axis - x.ndim if axis >= 0 else axis
        if axis < -2:
            rows = self._forward(frame, frame.xp.moveaxis(x, axis, -1), -1)
            return frame.xp.moveaxis(rows, -1, axis)
        return self._forward(frame, x, axis)

    def adjoint(self) -> OrthogonalOperator:
        r"""The operator :math:`Q^T = Q^{-1}`.

        Returns
        -------
        OrthogonalOperator
        """
        return _Adjoint(self)

    def power(self, k: int) -> OrthogonalOperator:
        r"""The operator :math:`Q^k`.

        Parameters
        ----------
        k : int
            Any integer; negative ones are powers of the adjoint.

        Returns
        -------
        OrthogonalOperator
            Of the same family where it is closed; otherwise one that applies Q k times.
        """
        k = as_integer("k", k, minimum=-sys.maxsize)
        if k < 0:
            return self.adjoint().power(-k)
        return self._power(k) if k else self._identity()

    def to_dense(self, *, like: Array | None = None) -> Array:
        """The matrix itself.

        Parameters
        ----------
        like : array, optional
            An array of the kind and precision to give, where the operator has no real parameters.

        Returns
        -------
        array, shape (n, n)
        """
        frame = self._own_frame(like)
        eye = frame.xp.eye(self.shape[0], dtype=frame.real, device=frame.device)
        return self.apply(eye, axis=-2)

    def as_linear_operator(self, *, like: Array | None = None) -> Any:
        """The operator for SciPy's iterative solvers, or for GPyTorch's.

        Parameters
        ----------
        like : array, optional
            An array of the kind and precision to work in, where the operator has no real
            parameters.

        Returns
        -------
        scipy.sparse.linalg.LinearOperator or linear_operator.LinearOperator, shape (n, n)
            The second for torch; gradients flow to the operator's real parameters.
        """
        frame = self._own_frame(like)
        if frame.is_torch:
            from numerics.orthogonal._torch_linear_operator import torch_linear_operator

            return torch_linear_operator(self, frame)
        adjoint = self.adjoint()
        return scipy.sparse.linalg.LinearOperator(
            self.shape,
            matvec=self.__matmul__,
            rmatvec=adjoint.__matmul__,
            matmat=self.__matmul__,
            rmatmat=adjoint.__matmul__,
            dtype=np.dtype(frame.real),
        )

    @property
    def nbytes(self) -> int:
        """Bytes of what the operator is made from."""
        return sum(_nbytes(value) for value in self._parameters().values())

    def __matmul__(self, other: Any) -> Any:
        if not isinstance(other, OrthogonalOperator):
            return self.apply(other, axis=-1 if np.ndim(other) == 1 else -2)
        if other.shape != self.shape:
            sizes = f"{self.shape[0]} and {other.shape[0]}"
            raise ValueError(f"operators must have the same size to be composed, got {sizes}")
        return _product((*self._factors(), *other._factors()), self.shape[0])

    def __rmatmul__(self, other: Array) -> Array:
        # Not adjoint(), which may compute the parameters of another member of the family.
        return _Adjoint(self).apply(other)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(n={self.shape[0]})"

    # What a family says of itself.

    _spreads = True  # whether one NaN in x would reach other entries of the result

    @abstractmethod
    def _forward(self, frame: Frame, x: Array, axis: int) -> Array:
        """Product along ``axis``, which is -1 or -2."""

    @abstractmethod
    def _backward(self, frame: Frame, x: Array, axis: int) -> Array:
        """Product of the adjoint."""

    def _parameters(self) -> dict[str, Array]:
        """Real parameters by name; those of a family that has none are signs and indices."""
        return {}

    def _rebuilt(self, parameters: Sequence[Array]) -> OrthogonalOperator:
        """The same operator with other real parameters."""
        return self

    def _composed(self, other: OrthogonalOperator) -> OrthogonalOperator | None:
        """Product with ``other`` where it is a member of the family."""
        return None

    def _factors(self) -> tuple[OrthogonalOperator, ...]:
        return (self,)

    def _identity(self) -> OrthogonalOperator:
        return _Composition((), self.shape[0])

    def _power(self, k: int) -> OrthogonalOperator:
        return _Composition((self,) * k, self.shape[0])

    def _own_frame(self, like: Array | None = None) -> Frame:
        parameters = self._parameters()
        return as_arrays(finite=False, **parameters)[0] if parameters else frame_like(like)


def is_trained(frame: Frame, parameter: Array) -> bool:
    """Whether an optimiser may change ``parameter``: nothing that is made of it may be kept."""
    return frame.is_torch and bool(parameter.requires_grad)


class _Adjoint(OrthogonalOperator):
    """Adjoint of a family that does not hold it."""

    def __init__(self, operator: OrthogonalOperator) -> None:
        super().__init__(operator.shape[0])
        self._operator = operator
        self._spreads = operator._spreads

    def adjoint(self) -> OrthogonalOperator:
        return self._operator

    def __repr__(self) -> str:
        return f"{self._operator!r}.adjoint()"

    def _forward(self, frame: Frame, x: Array, axis: int) -> Array:
        return self._operator._backward(frame, x, axis)

    def _backward(self, frame: Frame, x: Array, axis: int) -> Array:
        return self._operator._forward(frame, x, axis)

    def _parameters(self) -> dict[str, Array]:
        return self._operator._parameters()

    def _rebuilt(self, parameters: Sequence[Array]) -> OrthogonalOperator:
        return _Adjoint(self._operator._rebuilt(parameters))

    def _power(self, k: int) -> OrthogonalOperator:
        return self._operator._power(k).adjoint()

    @property
    def nbytes(self) -> int:
        return self._operator.nbytes


class _Composition(OrthogonalOperator):
    """Product of operators, the last of which is applied first; the identity when there is none."""

    def __init__(self, factors: Iterable[OrthogonalOperator], n: int) -> None:
        super().__init__(n)
        self.factors = tuple(factors)
        self._spreads = any(factor._spreads for factor in self.factors)

    def adjoint(self) -> OrthogonalOperator:
        return _Composition((Q.adjoint() for Q in reversed(self.factors)), self.shape[0])

    def __repr__(self) -> str:
        return " @ ".join(map(repr, self.factors)) or f"identity(n={self.shape[0]})"

    def _forward(self, frame: Frame, x: Array, axis: int) -> Array:
        for factor in reversed(self.factors):
            x = factor._forward(frame, x, axis)
        return x

    def _backward(self, frame: Frame, x: Array, axis: int) -> Array:
        for factor in self.factors:
            x = factor._backward(frame, x, axis)
        return x

    def _parameters(self) -> dict[str, Array]:
        return {
            f"factor {number}: {name}": value
            for number, factor in enumerate(self.factors)
            for name, value in factor._parameters().items()
        }

    def _rebuilt(self, parameters: Sequence[Array]) -> OrthogonalOperator:
        rest = iter(parameters)
        factors = [Q._rebuilt([next(rest) for _ in Q._parameters()]) for Q in self.factors]
        return _Composition(factors, self.shape[0])

    def _factors(self) -> tuple[OrthogonalOperator, ...]:
        return self.factors

    def _power(self, k: int) -> OrthogonalOperator:
        return _product(self.factors * k, self.shape[0])

    @property
    def nbytes(self) -> int:
        return sum(factor.nbytes for factor in self.factors)


def _product(factors: Iterable[OrthogonalOperator], n: int) -> OrthogonalOperator:
    """Composition in which neighbours of a closed family have become one."""
    merged: list[OrthogonalOperator] = []
    for factor in factors:
        both = merged[-1]._composed(factor) if merged else None
        if both is None:
            merged.append(factor)
        else:
            merged[-1] = both
    return merged[0] if len(merged) == 1 else _Composition(merged, n)


def _nbytes(array: Array) -> int:
    return math.prod(array.shape) * array.dtype.itemsize

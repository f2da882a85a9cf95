r"""Kronecker products of small matrices, applied to tensors and never formed.

A tensor :math:`U` with axes :math:`n_1, \dots, n_d` is the vector of its entries in row-major
order, the last axis running fastest, and then

.. math:: (C_1 \otimes \cdots \otimes C_d)\, \mathrm{vec}(U)
          = \mathrm{vec}(U \times_1 C_1 \cdots \times_d C_d),

for two axes :math:`\mathrm{vec}(C_1 U C_2^T)`: one product an axis, :math:`O(M \sum_j n_j)`
operations for :math:`M = \prod_j n_j` entries instead of :math:`M^2`. Inverses go the same way, and
:math:`\log\lvert\det\rvert` is :math:`\sum_j (M / n_j) \log\lvert\det C_j\rvert`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.linalg
from scipy.sparse.linalg import LinearOperator

from numerics.arrays import Array, Frame, as_arrays, check_choice, check_shape

_STRUCTURES = ("gen", "pos")


def kronecker_matvec(factors: Sequence[Array], U: Array) -> Array:
    r"""Product of :math:`C_1 \otimes \cdots \otimes C_d` and a tensor.

    Parameters
    ----------
    factors : sequence of arrays, shapes (m_j, n_j)
        :math:`C_1, \dots, C_d`; the first acts on the first of the last d axes of ``U``.
    U : array, shape (..., n_1, ..., n_d)
        Tensors.

    Returns
    -------
    array, shape (..., m_1, ..., m_d)
        Complex if an argument is. Differentiable in torch.

    Raises
    ------
    TypeError
        For arrays that hold no numbers or mix libraries.
    ValueError
        Without a factor, for factors that are no matrices or do not fit the axes of ``U``, and
        values that are not finite.

    References
    ----------
    Van Loan, J. Comput. Appl. Math. 123 (2000) 85-100.

    Examples
    --------
    For two axes it is a product from the left and one from the right.

    >>> import numpy as np
    >>> C1, C2 = np.array([[1.0, 2.0], [0.0, 1.0]]), np.array([[1.0, 1.0, 1.0]])
    >>> U = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    >>> kronecker_matvec([C1, C2], U)
    array([[36.],
           [15.]])
    >>> np.kron(C1, C2) @ U.ravel()
    array([36., 15.])
    """
    frame, factors, U = _checked(factors, U)
    return along(U, factors, frame.xp)


def kronecker_solve(factors: Sequence[Array], U: Array, *, assume_a: str = "gen") -> Array:
    r"""Solution X of :math:`(C_1 \otimes \cdots \otimes C_d)\, \mathrm{vec}(X) = \mathrm{vec}(U)`.

    Parameters
    ----------
    factors : sequence of arrays, shapes (n_j, n_j)
        Square matrices that are not singular.
    U : array, shape (..., n_1, ..., n_d)
        Right-hand sides.
    assume_a : {"gen", "pos"}
        Nothing is known of the factors, or all are symmetric (Hermitian) and positive definite, of
        which the lower triangle is read.

    Returns
    -------
    array, shape (..., n_1, ..., n_d)
        Differentiable in torch.

    Raises
    ------
    TypeError, ValueError
        As :func:`kronecker_matvec`; also for factors that are not square and an unknown
        ``assume_a``.
    numpy.linalg.LinAlgError
        If a factor is singular, or not positive definite and said to be. For torch,
        ``torch.linalg.LinAlgError``.

    Examples
    --------
    >>> import numpy as np
    >>> C1, C2 = np.array([[2.0, 1.0], [1.0, 2.0]]), np.diag([1.0, 2.0, 4.0])
    >>> U = np.arange(6.0).reshape(2, 3)
    >>> X = kronecker_solve([C1, C2], U, assume_a="pos")
    >>> np.allclose(kronecker_matvec([C1, C2], X), U)
    True
    """
    check_choice("assume_a", assume_a, _STRUCTURES)
    frame, factors, U = _checked(factors, U, square=True)
    solver = _positive_solver if assume_a == "pos" else _general_solver
    return _along_each_axis(frame, U, [solver(frame, C) for C in factors])


def kronecker_logdet(factors: Sequence[Array], *, assume_a: str = "gen") -> Array:
    r"""Logarithm of the size of the determinant,
    :math:`\sum_j (M / n_j) \log \lvert\det C_j\rvert` with :math:`M = \prod_j n_j`.

    It is taken factor by factor: the eigenvalues of the product reach from the product of the
    smallest to that of the largest, and any threshold on them would be felt.

    Parameters
    ----------
    factors : sequence of arrays, shapes (n_j, n_j)
        Square matrices.
    assume_a : {"gen", "pos"}
        As :func:`kronecker_solve`; by Cholesky factors for "pos".

    Returns
    -------
    array, 0-d
        Minus infinity for a singular matrix. Differentiable in torch.

    Raises
    ------
    TypeError, ValueError, numpy.linalg.LinAlgError
        As :func:`kronecker_solve`.

    Examples
    --------
    >>> import numpy as np
    >>> C1, C2 = np.diag([1.0, 2.0]), np.diag([1.0, 3.0, 5.0])
    >>> bool(np.isclose(kronecker_logdet([C1, C2]), np.log(np.linalg.det(np.kron(C1, C2)))))
    True
    """
    check_choice("assume_a", assume_a, _STRUCTURES)
    frame, factors, _ = _checked(factors, None, square=True)
    xp = frame.xp
    entries = math.prod(C.shape[0] for C in factors)
    total = xp.zeros((), dtype=frame.real, device=frame.device)
    for C in factors:
        if assume_a == "pos":
            diagonal = xp.real(xp.linalg.diagonal(xp.linalg.cholesky(C)))
            size = 2 * xp.sum(xp.log(diagonal))
        else:
            size = xp.linalg.slogdet(C)[1]
        total = total + (entries // C.shape[0]) * size
    return total


def kronecker_operator(factors: Sequence[Array]) -> LinearOperator:
    r"""The matrix :math:`C_1 \otimes \cdots \otimes C_d` as SciPy's solvers take it.

    Parameters
    ----------
    factors : sequence of NumPy arrays, shapes (m_j, n_j)
        :math:`C_1, \dots, C_d`.

    Returns
    -------
    scipy.sparse.linalg.LinearOperator, shape (m_1 ... m_d, n_1 ... n_d)
        With products by vectors and by several columns at once, and those of the adjoint.

    Raises
    ------
    TypeError, ValueError
        As :func:`kronecker_matvec`; also for torch tensors.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse.linalg import svds
    >>> operator = kronecker_operator(
    ...     [np.diag(np.arange(1.0, 31)), np.diag(np.arange(1.0, 21))]
    ... )
    >>> operator.shape, float(svds(operator, k=1, rng=0)[1][0].round(9))
    ((600, 600), 600.0)
    """
    frame, factors, _ = _checked(factors, None)
    if not frame.is_numpy:
        raise TypeError("factors must be NumPy arrays, got torch tensors")
    rows, columns = (tuple(C.shape[axis] for C in factors) for axis in (0, 1))

    def product(matrices: Sequence[np.ndarray], sizes: tuple[int, ...], X: np.ndarray) -> Array:
        many = X.reshape(math.prod(sizes), -1)
        tensors = many.T.reshape(-1, *sizes)
        return along(tensors, matrices).reshape(many.shape[1], -1).T.reshape(-1, *X.shape[1:])

    adjoints = [C.conj().T for C in factors]
    return LinearOperator(
        shape=(math.prod(rows), math.prod(columns)),
        dtype=np.result_type(*factors),
        matvec=lambda x: product(factors, columns, x),
        matmat=lambda X: product(factors, columns, X),
        rmatvec=lambda x: product(adjoints, rows, x),
        rmatmat=lambda X: product(adjoints, rows, X),
    )


def along(tensor: Array, matrices: Sequence[Array | None], xp: Any = np) -> Array:
    """Multiply a trusted matrix into each of the last axes of a tensor; None leaves an axis."""
    axis = tensor.ndim - len(matrices)
    # Each product moves the axis that it takes from the front of the last ones to their end, so
    # that after all of them they are in order again.
    for matrix in matrices:
        if matrix is None:
            tensor = xp.moveaxis(tensor, axis, -1)
        else:
            tensor = xp.tensordot(tensor, matrix, axes=((axis,), (1,)))
    return tensor


def _checked(
    factors: Sequence[Array], U: Array | None, *, square: bool = False
) -> tuple[Frame, list[Array], Array | None]:
    if not isinstance(factors, list | tuple) or len(factors) == 0:
        raise ValueError(f"factors must be a list of matrices, at least one, got {factors!r}")
    names = [f"factors[{j}]" for j in range(len(factors))]
    frame, *checked = as_arrays(**dict(zip(names, factors, strict=True)), U=U)
    matrices, tensor = checked[:-1], checked[-1]
    for name, C in zip(names, matrices, strict=True):
        if C.ndim != 2 or 0 in C.shape:
            raise ValueError(f"{name} must be a matrix with entries, got shape {tuple(C.shape)}")
        if square:
            check_shape(name, C, C.shape[-1], C.shape[-1])
    if tensor is None:
        return frame, list(frame.common_dtype(*matrices)), None
    check_shape("U", tensor, *(C.shape[1] for C in matrices))
    *matrices, tensor = frame.common_dtype(*matrices, tensor)
    return frame, matrices, tensor


def _along_each_axis(frame: Frame, U: Array, maps: Sequence[Callable[[Array], Array]]) -> Array:
    """Apply each map, of rows (k, n) to rows (k, m), along its axis of the last ones of ``U``."""
    xp = frame.xp
    first = U.ndim - len(maps)
    for apply in maps:
        # The axis in turn goes last and stays there, so that they are in order after the last one.
        U = xp.moveaxis(U, first, -1)
        rows = apply(xp.reshape(U, (-1, U.shape[-1])))
        U = xp.reshape(rows, (*U.shape[:-1], rows.shape[-1]))
    return U


def _general_solver(frame: Frame, C: Array) -> Callable[[Array], Array]:
    transposed = frame.xp.matrix_transpose
    return lambda rows: transposed(frame.xp.linalg.solve(C, transposed(rows)))


def _positive_solver(frame: Frame, C: Array) -> Callable[[Array], Array]:
    if frame.is_numpy:
        factor = scipy.linalg.cho_factor(C, lower=True)
        return lambda rows: scipy.linalg.cho_solve(factor, rows.T).T
    import torch

    lower = torch.linalg.cholesky(C)
    return lambda rows: torch.cholesky_solve(rows.mT, lower).mT

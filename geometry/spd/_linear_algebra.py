r"""Linear algebra over stacks of matrices that the array API does not name, for either library.

Triangular systems are solved by substitution and never through an inverse or a general solver:
the factors of an ill-conditioned matrix are graded, and substitution is accurate row by row where
pivoting is only accurate in norm.
"""

from __future__ import annotations

import numpy as np

from numerics.arrays import Array, Frame

_LEAF = 4  # rows solved one by one; below it a product costs less than the two halves


def adjoint(frame: Frame, X: Array) -> Array:
    """Conjugate transpose."""
    transposed = frame.xp.matrix_transpose(X)
    return frame.xp.conj(transposed) if frame.is_complex(X) else transposed


def hermitian_part(frame: Frame, X: Array) -> Array:
    r"""The nearest Hermitian matrix, :math:`(X + X^H) / 2`."""
    return (X + adjoint(frame, X)) / 2


def real_inner(frame: Frame, X: Array, Y: Array) -> Array:
    r"""Frobenius inner product :math:`\operatorname{Re} \operatorname{tr} X^H Y`, shape (...)."""
    xp = frame.xp
    if not frame.is_complex(X):
        return xp.sum(X * Y, axis=(-2, -1))
    return xp.sum(xp.real(X) * xp.real(Y) + xp.imag(X) * xp.imag(Y), axis=(-2, -1))


def square_root(frame: Frame, x: Array) -> Array:
    """Square root of numbers at least zero, whose gradient at zero is zero."""
    xp = frame.xp
    positive = x > 0
    return xp.where(positive, xp.sqrt(xp.where(positive, x, 1.0)), 0.0 * x)


def diagonal(frame: Frame, X: Array) -> Array:
    """Real diagonal of Hermitian matrices or Cholesky factors, shape (..., n)."""
    values = frame.xp.linalg.diagonal(X)
    return frame.xp.real(values) if frame.is_complex(X) else values


def diagonal_matrix(frame: Frame, x: Array) -> Array:
    """Matrices (..., n, n) with the diagonals ``x`` (..., n)."""
    return x[..., :, None] * frame.xp.eye(x.shape[-1], dtype=x.dtype, device=frame.device)


def gram(frame: Frame, K: Array) -> Array:
    r""":math:`K K^H`, Hermitian to the last bit."""
    return hermitian_part(frame, K @ adjoint(frame, K))


def broadcast_together(
    frame: Frame,
    matrices: tuple[Array, ...],
    vectors: tuple[Array, ...] = (),
    scalars: tuple[Array, ...] = (),
) -> tuple[Array, ...]:
    """Bring arrays (..., n, n), (..., n) and (...) to one batch shape, without copying."""
    axes = [(2, array) for array in matrices] + [(1, array) for array in vectors]
    axes += [(0, array) for array in scalars]
    batch = np.broadcast_shapes(*(tuple(array.shape[: array.ndim - k]) for k, array in axes))
    return tuple(
        frame.xp.broadcast_to(array, (*batch, *array.shape[array.ndim - k :])) for k, array in axes
    )


def cholesky(frame: Frame, A: Array) -> Array:
    """Lower triangular L with positive diagonal, A = L L^H; LinAlgError where there is none."""
    return frame.xp.linalg.cholesky(A)


def solve_lower(frame: Frame, L: Array, X: Array) -> Array:
    r""":math:`L^{-1} X` for lower triangular L."""
    if frame.is_torch:
        return frame.xp.linalg.solve_triangular(L, X, upper=False)
    return _substitute(frame, L, X)


def solve_lower_adjoint(frame: Frame, L: Array, X: Array) -> Array:
    r""":math:`L^{-H} X` for lower triangular L."""
    if frame.is_torch:
        return frame.xp.linalg.solve_triangular(adjoint(frame, L), X, upper=True)
    # Reversing rows and columns makes the upper triangular system a lower one.
    flipped = adjoint(frame, L)[..., ::-1, ::-1]
    return _substitute(frame, flipped, X[..., ::-1, :])[..., ::-1, :]


def whiten(frame: Frame, L: Array, V: Array) -> Array:
    r""":math:`L^{-1} V L^{-H}` for Hermitian V."""
    half = solve_lower(frame, L, V)
    return hermitian_part(frame, solve_lower(frame, L, adjoint(frame, half)))


def congruence(frame: Frame, K: Array, X: Array) -> Array:
    r""":math:`K X K^H` for Hermitian X."""
    return hermitian_part(frame, K @ X @ adjoint(frame, K))


def _substitute(frame: Frame, L: Array, X: Array) -> Array:
    """Forward substitution by halves, so that most of the work is in matrix products."""
    xp, n = frame.xp, L.shape[-1]
    if n > _LEAF:
        half = n // 2
        top = _substitute(frame, L[..., :half, :half], X[..., :half, :])
        rest = X[..., half:, :] - L[..., half:, :half] @ top
        bottom = _substitute(frame, L[..., half:, half:], rest)
        return xp.concat((top, bottom), axis=-2)
    rows: list[Array] = []
    for i in range(n):
        row = X[..., i : i + 1, :]
        for j, solved in enumerate(rows):
            row = row - L[..., i : i + 1, j : j + 1] * solved
        rows.append(row / L[..., i : i + 1, i : i + 1])
    return xp.concat(rows, axis=-2)

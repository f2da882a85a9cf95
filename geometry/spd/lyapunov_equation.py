r"""Lyapunov equations :math:`P X + X P = V` with positive definite P.

In the eigenbasis of :math:`P = U \operatorname{diag}(w) U^H` the solution is a division,

.. math:: X = U \left( \frac{(U^H V U)_{ij}}{w_i + w_j} \right) U^H,

by sums and never by differences, so that it is as accurate for repeated eigenvalues as for any. It
is what the square root's derivative, the Bures-Wasserstein metric (arXiv 2110.10464 with its
generalisation by M) and the derivative of a polar factor have in common.
"""

from __future__ import annotations

from geometry.spd._arguments import as_spd
from geometry.spd._linear_algebra import (
    adjoint,
    broadcast_together,
    cholesky,
    solve_lower,
    solve_lower_adjoint,
)
from geometry.spd.spectral import Eigen, eigen
from numerics.arrays import Array, Frame


def lyapunov(P: Array, V: Array, M: Array | None = None, *, check: bool = True) -> Array:
    r"""Solution X of :math:`P X M + M X P = V`, with the identity for M when it is not given.

    .. math:: X = C^{-H} L_{C^{-1} P C^{-H}}[C^{-1} V C^{-H}] C^{-1}, \qquad M = C C^H,

    where :math:`L_P[V]` is the solution for the identity.

    Parameters
    ----------
    P : array, shape (..., n, n)
        Symmetric or Hermitian positive definite, NumPy or torch.
    V : array, shape (..., n, n)
        Right-hand sides, Hermitian or not; batch axes broadcast.
    M : array, shape (..., n, n), optional
        Positive definite.
    check : bool
        Refuse values that are not finite, not Hermitian or not positive definite.

    Returns
    -------
    array, shape (..., n, n)
        Hermitian where ``V`` is. Torch results are differentiable, to any order.

    Raises
    ------
    ValueError
        For shapes that do not fit, and for P or M that is not positive definite.

    References
    ----------
    A. Han, B. Mishra, P. Jawanpuria, J. Gao, arXiv 2110.10464.

    Examples
    --------
    >>> import numpy as np
    >>> P, V = np.array([[2.0, 1.0], [1.0, 3.0]]), np.array([[1.0, 2.0], [2.0, 0.0]])
    >>> X = lyapunov(P, V)
    >>> np.allclose(P @ X + X @ P, V)
    True
    """
    frame, P, V, M = as_spd(P=P, V=V, M=M, general=("V",), check=check)
    return frame.cast(generalized_lyapunov(frame, P, V, M))


def generalized_lyapunov(frame: Frame, P: Array, V: Array, M: Array | None) -> Array:
    """Solve with trusted matrices, M by the congruence that makes it the identity."""
    if M is None:
        return lyapunov_solution(frame, P, V)
    C = cholesky(frame, M)

    def whitened(X: Array) -> Array:
        half = solve_lower(frame, C, X)
        return adjoint(frame, solve_lower(frame, C, adjoint(frame, half)))

    X = lyapunov_solution(frame, whitened(P), whitened(V))
    half = solve_lower_adjoint(frame, C, X)
    return adjoint(frame, solve_lower_adjoint(frame, C, adjoint(frame, half)))


def lyapunov_solution(
    frame: Frame, P: Array, V: Array, *, eigen_of_P: Eigen | None = None
) -> Array:
    """Solve with trusted matrices; ``eigen_of_P`` is what :func:`eigen` gave for ``P``."""
    w, U = eigen(frame, P) if eigen_of_P is None else eigen_of_P
    if frame.is_torch:
        from geometry.spd._torch import Lyapunov

        P, V, U, w = broadcast_together(frame, (P, V, U), (w,))
        return Lyapunov.apply(P, V, w, U)
    return divided_by_sums(frame, V, w, U)


def divided_by_sums(frame: Frame, V: Array, w: Array, U: Array) -> Array:
    r""":math:`U ((U^H V U)_{ij} / (w_i + w_j)) U^H`."""
    inner = adjoint(frame, U) @ V @ U
    return U @ (inner / (w[..., :, None] + w[..., None, :])) @ adjoint(frame, U)

r"""Eigen-decomposition of the pencil of the Riesz and the mass collocation matrices.

.. math:: A V = M V \operatorname{diag}(\mu), \qquad
          (\kappa A + c M)^{-1} = V \operatorname{diag}(\kappa\mu + c)^{-1} W, \quad W = (M V)^{-1}.

Both matrices are centrosymmetric, so that even and odd vectors do not mix: two dense problems of
half the order, a quarter of the work. That the eigenvalues are real and positive and the condition
of V independent of n (1.1, 1.5, 2.2, 3.9, 6.4 for p = 2 to 6, 58 for p = 10) is an observation, not
a theorem; the exceptions are spaces of n <= 3 cells and p >= 6, which have some complex pairs of
positive real part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from numerics.arrays import Array, Frame
from numerics.bsplines import bspline_collocation_matrix
from solvers.riesz.collocation import RieszCollocation


@dataclass(frozen=True)
class Pencil:
    """The matrices A and M of a space, dense, with their decomposition.

    Attributes
    ----------
    A, M : array, shape (N, N)
    mu : array, shape (N,)
        Eigenvalues by ascending real part; complex only in the smallest spaces.
    V, W : array, shape (N, N)
        ``V`` has columns of norm 1, and ``W A V = diag(mu)``, ``W M V = I``.
    """

    A: np.ndarray
    M: np.ndarray
    mu: np.ndarray
    V: np.ndarray
    W: np.ndarray

    def arrays(self, frame: Frame) -> tuple[Array, Array, Array]:
        """The decomposition (mu, V, W) in another frame."""
        return frame.asarray(self.mu), frame.asarray(self.V), frame.asarray(self.W)


def riesz_pencil(matrix: RieszCollocation) -> Pencil:
    """Decompose the pencil of a space."""
    A = matrix.todense()
    M = bspline_collocation_matrix(matrix.n, matrix.p).toarray()
    N = len(A)
    parts: list[tuple[Any, Any]] = []
    for sign in (1, -1):
        a, m = _half(A, sign), _half(M, sign)
        mu, v = np.linalg.eig(np.linalg.solve(m, a))
        parts.append((mu, _whole(v, sign, N)))
    mu = np.concatenate([part[0] for part in parts])
    V = np.concatenate([part[1] for part in parts], axis=1)
    order = np.argsort(mu.real, kind="stable")
    mu, V = mu[order], V[:, order]
    V = V / np.linalg.norm(V, axis=0)
    return Pencil(A, M, mu, V, np.linalg.inv(M @ V))


def real_part(frame: Frame, array: Array) -> Array:
    """What a sum over conjugate pairs of modes leaves."""
    return frame.xp.real(array) if frame.is_complex(array) else array


def _half(matrix: np.ndarray, sign: int) -> np.ndarray:
    """The matrix on vectors with ``x[::-1] == sign * x``, of which the first half is kept."""
    N = len(matrix)
    kept = (N + 1) // 2 if sign > 0 else N // 2
    half = matrix[:kept, :kept] + sign * matrix[:kept, ::-1][:, :kept]
    if sign > 0 and N % 2:
        half[:, -1] /= 2
    return half


def _whole(half: np.ndarray, sign: int, N: int) -> np.ndarray:
    middle = np.zeros((N % 2, half.shape[1]))
    if sign > 0:
        return np.concatenate((half, half[: N // 2][::-1]))
    return np.concatenate((half, middle, -half[::-1]))

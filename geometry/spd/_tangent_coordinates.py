r"""Orthonormal coordinates of the tangent space at a positive definite matrix P.

Each metric has a linear map from symmetric matrices V at P to matrices :math:`\hat V` with
:math:`g_P(V, V) = \lVert \hat V \rVert_F^2`. With :math:`S = P^{-1/2} V P^{-1/2}`,
:math:`P = U \operatorname{diag}(w) U^T = L L^T` and :math:`V = \operatorname{Log}_P X`, it is

====================  ============================================================================
affine-invariant      :math:`\hat V = S = \log P^{-1/2} X P^{-1/2}`
log-Euclidean         :math:`\hat V = \log X - \log P`
log-Cholesky          difference of the Cholesky factors, their diagonals by logarithms
Bures-Wasserstein     :math:`\hat V_{ij} = (U^T V U)_{ij} / \sqrt{2 (w_i + w_j)}`, turned back by U
====================  ============================================================================

The vector of a symmetric :math:`\hat V` is its upper triangle row by row, with factors
:math:`\sqrt 2` off the diagonal; that of a triangular one is its lower triangle.
"""

from __future__ import annotations

import numpy as np

from geometry.spd._linear_algebra import adjoint, cholesky, congruence, solve_lower, whiten
from geometry.spd.bures_wasserstein import BuresWasserstein
from geometry.spd.log_cholesky import LogCholesky
from geometry.spd.spectral import (
    eigen,
    gram_function,
    rotated,
    spectral_functions,
)
from numerics.arrays import Array, Frame


def tangent_vectors(
    frame: Frame,
    X: Array,
    P: Array,
    metric: str,
    M: Array | None = None,
    theta: Array | None = None,
) -> Array:
    """Coordinates (N, n (n + 1) / 2) of the logarithms at ``P`` (n, n) of trusted ``X``."""
    rows, columns = np.triu_indices(X.shape[-1])
    if metric == "log_cholesky":
        return _log_cholesky(frame, X, P)[..., columns, rows]
    if metric == "affine_invariant":
        coordinates = _affine_invariant(frame, X, P)
    elif metric == "log_euclidean":
        log_X, log_P = (spectral_functions(frame, A, "log")[0] for A in (X, P))
        coordinates = log_X - log_P
    else:
        coordinates = _bures_wasserstein(frame, X, P, M, theta)
    return coordinates[..., rows, columns] * np.where(rows == columns, 1.0, np.sqrt(2.0))


def _affine_invariant(frame: Frame, X: Array, P: Array) -> Array:
    """Logarithms in the frame of the Cholesky factor, turned to that of the symmetric root."""
    L = cholesky(frame, P)
    log = gram_function(frame, solve_lower(frame, L, cholesky(frame, X)), "log")
    turn = solve_lower(frame, L, spectral_functions(frame, P, "sqrt")[0])
    return congruence(frame, adjoint(frame, turn), log)


def _log_cholesky(frame: Frame, X: Array, P: Array) -> Array:
    return LogCholesky(frame)._difference(cholesky(frame, P), cholesky(frame, X))


def _bures_wasserstein(
    frame: Frame, X: Array, P: Array, M: Array | None, theta: Array | None
) -> Array:
    scale = 1.0
    if theta is not None:
        X, P = (spectral_functions(frame, A, "power", theta=theta)[0] for A in (X, P))
        scale = 1.0 / abs(float(theta))
    if M is not None:
        C = cholesky(frame, M)
        X, P = whiten(frame, C, X), whiten(frame, C, P)
    w, U = eigen(frame, P)
    weights = scale / np.sqrt(2.0 * (w[:, None] + w[None, :]))
    return rotated(frame, U, weights, BuresWasserstein(frame).log(P, X))

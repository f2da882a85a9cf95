"""Distances of positive definite matrices in many digits, by their textbook formulas."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np

DIGITS = 50


def exact_distance(A: np.ndarray, B: np.ndarray, metric: str, theta: float = 1.0) -> Any:
    """Distance under a metric's name, as an mpmath number; real matrices."""
    with mpmath.workdps(DIGITS):
        A, B = (mpmath.matrix(X.tolist()) for X in (A, B))
        return mpmath.sqrt(_SQUARED[metric](A, B, mpmath.mpf(theta)))


def _function(A: Any, function: Any) -> Any:
    w, U = mpmath.eigsy(A)
    return U * mpmath.diag([function(x) for x in w]) * U.T


def _affine_invariant(A: Any, B: Any, theta: Any) -> Any:
    inverse = mpmath.inverse(mpmath.cholesky(A))
    ratios = mpmath.eigsy(inverse * B * inverse.T, eigvals_only=True)
    return sum(mpmath.log(ratio) ** 2 for ratio in ratios)


def _log_euclidean(A: Any, B: Any, theta: Any) -> Any:
    difference = _function(A, mpmath.log) - _function(B, mpmath.log)
    return sum(entry**2 for entry in difference)


def _log_cholesky(A: Any, B: Any, theta: Any) -> Any:
    L, K = mpmath.cholesky(A), mpmath.cholesky(B)
    n = L.rows
    lower = sum((L[i, j] - K[i, j]) ** 2 for i in range(n) for j in range(i))
    return lower + sum(mpmath.log(L[i, i] / K[i, i]) ** 2 for i in range(n))


def _bures_wasserstein(A: Any, B: Any, theta: Any) -> Any:
    if theta != 1:
        A, B = (_function(X, lambda x: x**theta) for X in (A, B))
    L = mpmath.cholesky(A)
    roots = [mpmath.sqrt(x) for x in mpmath.eigsy(L.T * B * L, eigvals_only=True)]
    traces = sum(A[i, i] + B[i, i] for i in range(A.rows))
    return (traces - 2 * sum(roots)) / theta**2


_SQUARED = {
    "affine_invariant": _affine_invariant,
    "bures_wasserstein": _bures_wasserstein,
    "log_cholesky": _log_cholesky,
    "log_euclidean": _log_euclidean,
}

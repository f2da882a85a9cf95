r"""Frechet means of positive definite matrices in many digits.

The fixed-point iterations of the literature, accelerated by Anderson's method with all of its
history: near the mean they are linear maps, of which it needs no more steps than a symmetric
matrix has entries.
"""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np

_DIGITS = 60
_ENOUGH = 1e-28  # change of the mean, relative to it
_STEPS = 200
_RESTART = 5  # entries more than unknowns, at which the history is dropped


def exact_mean(X: np.ndarray, metric: str, start: np.ndarray) -> Any:
    """Mean with equal weights, as an mpmath matrix, from a guess that is right to a few digits."""
    step = {"affine_invariant": _affine_invariant, "bures_wasserstein": _wasserstein}[metric]
    with mpmath.workdps(_DIGITS):
        samples = [mpmath.matrix(x.tolist()) for x in X]
        S = mpmath.matrix(start.tolist())
        n = S.rows
        unknowns = n * (n + 1) // 2
        history: list[tuple[Any, Any]] = []
        for _ in range(_STEPS):
            change = step(S, samples) - S
            if mpmath.mnorm(change, "f") < _ENOUGH * mpmath.mnorm(S, "f"):
                return S
            history.append((S, change))
            if len(history) > unknowns + _RESTART:
                history = history[-1:]
            S = _extrapolated(history)
    raise RuntimeError(f"the reference for {metric} did not converge")


def relative_error(mean: np.ndarray, exact: Any) -> float:
    """Frobenius norm of the difference, relative to the exact mean."""
    if mean is None or not np.all(np.isfinite(mean)):
        return float("nan")
    with mpmath.workdps(_DIGITS):
        difference = mpmath.matrix(np.asarray(mean).tolist()) - exact
        return float(mpmath.mnorm(difference, "f") / mpmath.mnorm(exact, "f"))


def _extrapolated(history: list[tuple[Any, Any]]) -> Any:
    """Next iterate: where a linear model through the history has the least change."""
    S, change = history[-1]
    if len(history) == 1:
        return S + change
    changes = [change - before for _, before in history[:-1]]
    columns = mpmath.matrix([[_flat(c)[i] for c in changes] for i in range(len(_flat(change)))])
    normal = columns.T * columns
    ridge = mpmath.mpf(10) ** (-_DIGITS) * max(normal[i, i] for i in range(normal.rows))
    weights = mpmath.lu_solve(
        normal + ridge * mpmath.eye(normal.rows), columns.T * mpmath.matrix(_flat(change))
    )
    result = S + change
    for weight, (point, before) in zip(weights, history[:-1], strict=True):
        result -= weight * (S + change - point - before)
    return (result + result.T) / 2


def _flat(A: Any) -> list[Any]:
    return [A[i, j] for i in range(A.rows) for j in range(i + 1)]


def _function(A: Any, function: Any) -> Any:
    w, U = mpmath.eigsy((A + A.T) / 2)
    return U * mpmath.diag([function(x) for x in w]) * U.T


def _wasserstein(S: Any, samples: list[Any]) -> Any:
    root = _function(S, mpmath.sqrt)
    inverse = mpmath.inverse(root)
    total = mpmath.zeros(S.rows)
    for sample in samples:
        total += _function(root * sample * root, mpmath.sqrt) / len(samples)
    return inverse * total * total * inverse


def _affine_invariant(S: Any, samples: list[Any]) -> Any:
    root = _function(S, mpmath.sqrt)
    inverse = mpmath.inverse(root)
    total, spread = mpmath.zeros(S.rows), mpmath.mpf(0)
    for sample in samples:
        w, U = mpmath.eigsy(inverse * sample * inverse)
        logs = [mpmath.log(x) for x in w]
        spread = max(spread, max(logs) - min(logs))
        total += U * mpmath.diag(logs) * U.T / len(samples)
    length = mpmath.tanh(spread / 2) / (spread / 2)
    return root * _function(length * total, mpmath.exp) * root

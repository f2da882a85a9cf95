"""Frechet means by other packages, from matrices (N, n, n) and a number of steps to one mean."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.harness import Context

Mean = Callable[[np.ndarray, int], np.ndarray]

_TOLERANCE = 1e-12  # each package's own criterion; absolute for pyriemann and POT


def mean_peers(context: Context, metric: str) -> dict[str, Mean]:
    """The peers that are installed and know the metric."""
    wasserstein = metric == "bures_wasserstein"
    peers: dict[str, Mean] = {}
    pyriemann = context.optional("pyriemann.geometry.mean")
    if pyriemann is not None:
        mean = pyriemann.mean_wasserstein if wasserstein else pyriemann.mean_riemann
        peers["pyriemann"] = lambda X, steps: mean(X, tol=_TOLERANCE, maxiter=steps)
    functional = context.optional("spd_learn.functional")
    if functional is not None:
        peers["spd-learn"] = lambda X, steps: _spd_learn(functional, wasserstein, X, steps)
    gaussian = context.optional("ot.gaussian") if wasserstein else None
    if gaussian is not None:
        peers["POT"] = lambda X, steps: gaussian.bures_barycenter_fixpoint(
            X, num_iter=steps, eps=_TOLERANCE
        )
    return {name: _quiet(mean) for name, mean in peers.items()}


def attempted(mean: Mean, X: np.ndarray, steps: int) -> np.ndarray | None:
    """The mean, or None where the package raises an error."""
    try:
        return mean(X, steps)
    except (ValueError, ArithmeticError, RuntimeError, np.linalg.LinAlgError):
        return None


def _spd_learn(functional: Any, wasserstein: bool, X: np.ndarray, steps: int) -> np.ndarray:
    import torch

    matrices = torch.as_tensor(X)
    with torch.no_grad():
        if wasserstein:
            mean = functional.bures_wasserstein_mean(matrices, max_iter=steps, tol=_TOLERANCE)
        else:
            mean = functional.frechet_mean(matrices, max_iter=steps)[0]
    return np.asarray(mean)


def _quiet(mean: Mean) -> Mean:
    """The same without what the package prints and warns of when it does not converge."""

    def call(X: np.ndarray, steps: int) -> np.ndarray:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            return mean(X, steps)

    return call

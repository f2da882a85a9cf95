"""What the estimators of this package share: arrays with three axes, a metric, weights."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import Tags
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_n_features, _check_sample_weight, validate_data

from geometry.spd._arguments import as_spd
from geometry.spd._metric import METRICS, resolve_metric
from numerics.arrays import check_choice

_PRECISIONS = [np.float64, np.float32]


class OnManifold(BaseEstimator):
    """What estimators share that have a metric: its parameters and its means."""

    def __init__(
        self, metric: str = "affine_invariant", *, M: np.ndarray | None = None, theta: Any = None
    ) -> None:
        self.metric = metric
        self.M = M
        self.theta = theta

    def __sklearn_tags__(self) -> Tags:
        return three_dimensional(super().__sklearn_tags__())

    def _matrices(self, X: np.ndarray, *, reset: bool) -> np.ndarray:
        X = validated(self, X, "(n_matrices, n, n)", reset=reset)
        return as_spd(X=X)[1]

    def _metric(self) -> dict[str, Any]:
        return {"metric": self.metric, "M": self.M, "theta": self.theta}

    def _check_metric(self, n: int) -> None:
        check_choice("metric", self.metric, METRICS)
        frame, _, M, theta = as_spd(X=np.eye(n), M=self.M, theta=self.theta, scalars=("theta",))
        resolve_metric(frame, self.metric, M, theta)


def three_dimensional(tags: Tags) -> Tags:
    tags.input_tags.two_d_array = False
    tags.input_tags.three_d_array = True
    return tags


def validated(estimator: Any, X: Any, shape: str, *, reset: bool) -> np.ndarray:
    """Real, finite array with three axes, in its own precision."""
    _refuse_tensors(X)
    X = validate_data(estimator, X, reset=reset, ensure_2d=False, allow_nd=True, dtype=_PRECISIONS)
    _check_axes(estimator, X, shape, reset=reset)
    return X


def validated_with_labels(estimator: Any, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    """Positive definite matrices and a class for each."""
    _refuse_tensors(X)
    X, y = validate_data(estimator, X, y, ensure_2d=False, allow_nd=True, dtype=_PRECISIONS)
    _check_axes(estimator, X, "(n_matrices, n, n)", reset=True)
    check_classification_targets(y)
    return as_spd(X=X)[1], y


def _check_axes(estimator: Any, X: np.ndarray, shape: str, *, reset: bool) -> None:
    if X.ndim != 3:
        raise ValueError(f"X must have shape {shape}, got {X.shape}")
    # Which scikit-learn leaves out where it was not asked for a table.
    _check_n_features(estimator, X, reset=reset)


def validated_weights(sample_weight: Any, X: np.ndarray) -> np.ndarray:
    """A weight at least 0 for each matrix."""
    return _check_sample_weight(sample_weight, X, ensure_non_negative=True)


def _refuse_tensors(X: Any) -> None:
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(X, torch.Tensor):
        raise TypeError("X must be a NumPy array, got a torch tensor; pass X.numpy(force=True)")

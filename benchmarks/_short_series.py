"""Multivariate series that are short for their channels, with the split they are published with.

JapaneseVowels (12 channels, 7 to 29 samples, 9 speakers) and BasicMotions (6 channels, 100 samples,
4 motions) ship with the package ``aeon``. Many series of the former have fewer samples than
channels, so that their covariances are singular but for what is added to the diagonal.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import LinAlgWarning
from sklearn.linear_model import LogisticRegression

from benchmarks.harness import Column, Context, Table
from geometry.spd import augmented_covariance
from geometry.spd.estimators import MinimumDistanceToMean, TangentSpace

RIDGE = 1e-6  # of the mean variance, where covariances are not shrunk
_LOADERS = {"JapaneseVowels": "load_japanese_vowels", "BasicMotions": "load_basic_motions"}
_COVARIANCES = {
    "JapaneseVowels": (("cov", 1, 1), ("ledoit_wolf", 1, 1), ("ledoit_wolf", 3, 1)),
    "BasicMotions": (("cov", 1, 1), ("ledoit_wolf", 1, 1), ("ledoit_wolf", 4, 2)),
}
_METRICS = ("affine_invariant", "log_euclidean", "log_cholesky", "bures_wasserstein")
_SHORT = dict(zip(_METRICS, ("AIM", "LEM", "LCM", "BW"), strict=True))
_PEERS = {
    "affine_invariant": "riemann",
    "log_euclidean": "logeuclid",
    "log_cholesky": "logchol",
    "bures_wasserstein": "wasserstein",
}


@dataclass(frozen=True)
class SeriesCollection:
    """Series (channels, samples), which may differ in length, and labels; training and test."""

    name: str
    train: list[np.ndarray]
    train_labels: np.ndarray
    test: list[np.ndarray]
    test_labels: np.ndarray


def load_short_series(context: Context, name: str) -> SeriesCollection | None:
    """One of the two collections; None without aeon."""
    datasets = context.optional("aeon.datasets")
    if datasets is None:
        return None
    load = getattr(datasets, _LOADERS[name])
    (train, train_labels), (test, test_labels) = load(split="train"), load(split="test")
    return SeriesCollection(
        name,
        [np.asarray(x, np.float64) for x in train],
        np.asarray(train_labels),
        [np.asarray(x, np.float64) for x in test],
        np.asarray(test_labels),
    )


def ragged_covariances(
    series: list[np.ndarray], estimator: str, order: int = 1, lag: int = 1
) -> np.ndarray:
    """Covariances of series, all those of one length at once; "cov" with a ridge."""
    lengths = np.array([x.shape[-1] for x in series])
    size = order * series[0].shape[0]
    found = np.empty((len(series), size, size))
    for length in np.unique(lengths):
        members = np.flatnonzero(lengths == length)
        stack = np.stack([series[i] for i in members])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LinAlgWarning)
            found[members] = augmented_covariance(stack, order, lag, estimator=estimator)
    if estimator == "cov":
        variance = np.trace(found, axis1=-2, axis2=-1) / size
        found += RIDGE * variance[:, None, None] * np.eye(size)
    return found


def short_series_tables(context: Context) -> list[Table]:
    """Accuracy by metric and covariance, a table for each collection; none without aeon."""
    tables = []
    for name in _LOADERS:
        data = load_short_series(context, name)
        if data is None:
            return []
        rows: list[tuple[Any, ...]] = []
        covariances = _COVARIANCES[name][:1] if context.quick else _COVARIANCES[name]
        for estimator, order, lag in covariances:
            context.tell(f"{name}, {estimator}, order {order}")
            train, test = (
                ragged_covariances(x, estimator, order, lag) for x in (data.train, data.test)
            )
            condition = float(np.median(np.linalg.cond(train)))
            label = f"{'sample' if estimator == 'cov' else 'LW'} ({order}, {lag})"
            rows += [
                (label, condition, *accuracies)
                for accuracies in _accuracies(context, data, train, test)
            ]
        tables.append(
            Table(
                f"{name} (from aeon): accuracy (%) on the published test part",
                [
                    "covariance",
                    Column("condition", ".0e"),
                    "metric",
                    Column("MDM", ".1f"),
                    Column("pyRiemann's", ".1f"),
                    Column("TS+LR", ".1f"),
                    Column("pyRiemann's", ".1f"),
                ],
                rows,
                note="Ledoit-Wolf (LW) and sample covariances, the latter with "
                f"{RIDGE:.0e} of their mean variance added, by order and lag, and their median "
                "condition number; the same matrices for both. Metrics: affine-invariant, "
                "log-Euclidean, log-Cholesky, Bures-Wasserstein. Logistic regression with C = 1. A "
                "word is the peer's error. But for the affine-invariant metric pyRiemann's tangent "
                "vectors are not in orthonormal coordinates.",
            )
        )
    return tables


def _accuracies(
    context: Context, data: SeriesCollection, train: np.ndarray, test: np.ndarray
) -> list[tuple[Any, ...]]:
    rows = []
    expected = data.test_labels
    classification = context.optional("pyriemann.classification")
    tangent = context.optional("pyriemann.tangentspace")

    def nearest(model: Any) -> float:
        return 100 * float(np.mean(model.fit(train, data.train_labels).predict(test) == expected))

    def regression(space: Any) -> float:
        vectors = space.fit(train).transform(train)
        model = LogisticRegression(C=1.0, max_iter=2000).fit(vectors, data.train_labels)
        return 100 * float(np.mean(model.predict(space.transform(test)) == expected))

    for metric in _METRICS:
        peer = _PEERS[metric]
        theirs: list[float | str | None] = [None, None]
        if classification is not None and tangent is not None:
            theirs = [
                _or_error(lambda m=peer: nearest(classification.MDM(metric=m))),
                _or_error(lambda m=peer: regression(tangent.TangentSpace(metric=m))),
            ]
        mdm, vectors = nearest(MinimumDistanceToMean(metric)), regression(TangentSpace(metric))
        rows.append((_SHORT[metric], mdm, theirs[0], vectors, theirs[1]))
    return rows


def _or_error(call: Callable[[], float]) -> float | str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return call()
    except Exception as error:
        return type(error).__name__

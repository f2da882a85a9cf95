"""Nested cross-validation by session of classifiers on covariance matrices.

Each outer fold tests on one session. Order and lag of the covariances and the parameters of the
classifier are those of the best mean over inner folds, each of which validates on one of the other
sessions and trains on the rest: the test session is never looked at. A training set without
sessions a and b serves the outer fold a with the inner b, and the outer b with the inner a, so that
ten such sets and the five of the outer folds are all there are.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import numpy as np
from sklearn.svm import SVC

from benchmarks._mamem import Recording

Point = tuple[int, int]  # order and lag
Scores = dict[Hashable, float]  # accuracy on one session, by parameters of the classifier

COSTS = (0.5, 1.0, 1.5)
KERNELS = ("linear", "rbf")


@dataclass(frozen=True)
class Pipeline:
    """From signals to labels.

    ``covariances(x, order, lag)`` makes matrices, or what else follows from each segment by itself.
    ``classify(C, y, train)`` learns from those of the mask ``train`` and gives labels of all, by
    parameters of the classifier.
    """

    covariances: Callable[[np.ndarray, int, int], np.ndarray]
    classify: Callable[[np.ndarray, np.ndarray, np.ndarray], dict[Hashable, np.ndarray]]


@dataclass(frozen=True)
class Nested:
    """Accuracies (folds,) on the test sessions, and order and lag that were chosen for each."""

    accuracy: np.ndarray
    chosen: list[Point]


def tangent_space_svm(
    fit_transform: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> Callable[[np.ndarray, np.ndarray, np.ndarray], dict[Hashable, np.ndarray]]:
    """Support vector machines on the vectors (N, features) that ``fit_transform(C, train)`` gives.

    Kernels are computed once for all costs.
    """

    def classify(C: np.ndarray, y: np.ndarray, train: np.ndarray) -> dict[Hashable, np.ndarray]:
        vectors = fit_transform(C, train)
        linear = vectors @ vectors[train].T
        squares = np.sum(vectors**2, axis=1)
        distances = squares[:, None] + squares[train] - 2 * linear
        gamma = 1 / (vectors.shape[1] * vectors[train].var())  # scikit-learn's default
        kernels = {"linear": linear, "rbf": np.exp(-gamma * np.maximum(distances, 0))}
        found: dict[Hashable, np.ndarray] = {}
        for kernel, cost in product(KERNELS, COSTS):
            machine = SVC(C=cost, kernel="precomputed").fit(kernels[kernel][train], y[train])
            found[kernel, cost] = machine.predict(kernels[kernel])
        return found

    return classify


def nearest_mean(
    make: Callable[[], Any],
) -> Callable[[np.ndarray, np.ndarray, np.ndarray], dict[Hashable, np.ndarray]]:
    """The classifier that ``make()`` gives, which has no parameters."""

    def classify(C: np.ndarray, y: np.ndarray, train: np.ndarray) -> dict[Hashable, np.ndarray]:
        found = np.empty_like(y)
        model = make().fit(C[train], y[train])
        found[~train] = model.predict(C[~train])
        return {(): found}

    return classify


def session_scores(
    pipeline: Pipeline, recording: Recording, point: Point
) -> dict[frozenset[int], dict[int, Scores]]:
    """Accuracies on the sessions left out, by the set of one or two that were left out."""
    C = pipeline.covariances(recording.x, *point)
    sessions = [int(s) for s in np.unique(recording.session)]
    scores: dict[frozenset[int], dict[int, Scores]] = {}
    for out in _left_out(sessions):
        train = ~np.isin(recording.session, list(out))
        labels = pipeline.classify(C, recording.y, train)
        scores[out] = {
            s: {
                parameters: float(np.mean((found == recording.y)[recording.session == s]))
                for parameters, found in labels.items()
            }
            for s in out
        }
    return scores


def nested_cross_validation(
    pipeline: Pipeline,
    recording: Recording,
    grid: Sequence[Point] | Callable[[np.ndarray], Point],
    *,
    progress: Callable[[str], None] = lambda text: None,
) -> Nested:
    """Accuracy on each session, with the best of the grid over the others.

    In place of a grid there can be a function that takes the training signals of an outer fold,
    without their labels, to an order and a lag.
    """
    sessions = [int(s) for s in np.unique(recording.session)]
    if callable(grid):
        folds = [[grid(recording.x[recording.session != s])] for s in sessions]
    else:
        folds = [list(grid)] * len(sessions)
    scores = {}
    for point in sorted({point for points in folds for point in points}):
        progress(f"{recording.subject}, order {point[0]}, lag {point[1]}")
        scores[point] = session_scores(pipeline, recording, point)
    accuracy, chosen = [], []
    for outer, points in zip(sessions, folds, strict=True):
        inner = [s for s in sessions if s != outer]
        best, best_score = None, -1.0
        for point in points:
            for parameters in scores[point][frozenset({outer})][outer]:
                pairs = [scores[point][frozenset({outer, s})][s][parameters] for s in inner]
                if np.mean(pairs) > best_score:
                    best, best_score = (point, parameters), float(np.mean(pairs))
        point, parameters = best
        accuracy.append(scores[point][frozenset({outer})][outer][parameters])
        chosen.append(point)
    return Nested(np.array(accuracy), chosen)


def _left_out(sessions: list[int]) -> Iterator[frozenset[int]]:
    for number in (1, 2):
        yield from map(frozenset, combinations(sessions, number))

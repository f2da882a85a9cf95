r"""Augmented covariances on electroencephalograms, by the side of plain ones.

The recordings are those of :mod:`benchmarks._mamem`: which of five flickering boxes does somebody
look at? Covariances of 8 channels hardly say; those of delay-embedded channels hold the spectra.
Order, lag and the classifier's parameters are chosen inside of the training sessions. The same
splits and grids go to pyRiemann's pipelines, with the embedding as MOABB has it, and to spd-learn's
logarithm. Two collections of short multivariate series, whose covariances are nearly singular, come
after that with their own split.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from benchmarks._mamem import Recording, load_recordings
from benchmarks._session_validation import (
    Nested,
    Pipeline,
    Point,
    nearest_mean,
    nested_cross_validation,
    tangent_space_svm,
)
from benchmarks._short_series import short_series_tables
from benchmarks.harness import Check, Column, Context, Figure, Record, Table, benchmark
from geometry.spd import augmented_covariance, logm, select_embedding
from geometry.spd.estimators import MinimumDistanceToMean, TangentSpace

_PLAIN: tuple[Point, ...] = ((1, 1),)
_GRID: tuple[Point, ...] = ((1, 1), (2, 2), (4, 1), (4, 2), (6, 2), (8, 2))
_SHORT_GRID: tuple[Point, ...] = ((1, 1), (4, 2), (8, 2))
# Where every training set takes its own means and eigendecompositions.
_SMALL_GRID: tuple[Point, ...] = ((1, 1), (2, 2), (4, 2))
_BOXES = 5
_EVERY = 4  # segments of one trial, of which one is enough to choose an embedding


@benchmark(
    "augmented_covariance_eeg",
    title="Which flickering box? Augmented covariances of the EEG against plain ones",
    paper="arXiv 2302.04508",
    summary="Augmented covariances on real EEG, nested cross-validation, beside pyRiemann.",
)
def run(context: Context) -> Record:
    """Validate ours and the peers' pipelines subject by subject, then time the covariances."""
    recordings = load_recordings(context)
    results = {
        name: [
            nested_cross_validation(
                pipeline,
                recording,
                grid,
                progress=lambda text, name=name: _tell(context, name, text),
            )
            for recording in recordings
        ]
        for name, (pipeline, grid) in _pipelines(context).items()
    }
    context.tell("fixed orders")
    fixed = {point: [_held_out(r, point) for r in recordings] for point in _fixed(context)}
    timing, checks = _time_table(context, recordings[0])
    return context.record(
        asked="Augmented covariances above plain ones for the same classifier, with order and lag "
        "chosen on the training sessions; as accurate as pyRiemann's pipelines on the same splits.",
        tables=[
            _accuracy_table(recordings, results),
            _chosen_table(recordings, results),
            _fixed_table(recordings, fixed),
            *short_series_tables(context),
            timing,
        ],
        checks=[*_accuracy_checks(results), *checks],
        figures=[
            Figure(
                "Plain against augmented",
                "Accuracy on the test session, five sessions a subject; bars are means. Dashed: "
                "always the most frequent box.",
                lambda canvas: _draw_accuracy(canvas, recordings, results),
                size=(9.0, 4.0),
            )
        ],
    )


def _tell(context: Context, name: str, text: str) -> None:
    context.tell(f"{name}: {text}")


def _pipelines(context: Context) -> dict[str, tuple[Pipeline, Any]]:
    """Pipelines by name with their grids, ours first."""
    grid = _SHORT_GRID if context.quick else _GRID
    log_euclidean = Pipeline(_our_logarithms, tangent_space_svm(_centred_vectors))
    made: dict[str, tuple[Pipeline, Any]] = {
        "plain, MDM": (Pipeline(_ours, nearest_mean(MinimumDistanceToMean)), _PLAIN),
        "plain, TS+SVM": (log_euclidean, _PLAIN),
        "ACM, MDM, log-Euclidean": (
            Pipeline(_ours, nearest_mean(lambda: MinimumDistanceToMean("log_euclidean"))),
            _SMALL_GRID,
        ),
        "ACM, TS+SVM": (log_euclidean, grid),
        "ACM, TS+SVM, MDOP": (log_euclidean, _selected("mdop")),
    }
    if not context.quick:
        made["ACM, TS+SVM, traditional"] = (log_euclidean, _selected("traditional"))
        affine = Pipeline(_ours, tangent_space_svm(_tangent("affine_invariant")))
        made["plain, TS+SVM, affine-invariant"] = (affine, _PLAIN)
        made["ACM, TS+SVM, affine-invariant"] = (affine, _SMALL_GRID)
    return made | _peer_pipelines(context, grid)


def _peer_pipelines(context: Context, grid: Sequence[Point]) -> dict[str, tuple[Pipeline, Any]]:
    made: dict[str, tuple[Pipeline, Any]] = {}
    estimation = context.optional("pyriemann.estimation")
    if estimation is None:
        return made

    def covariances(x: np.ndarray, order: int, lag: int) -> np.ndarray:
        return estimation.Covariances("lwf").transform(_as_moabb(x, order, lag))

    tangent = context.optional("pyriemann.tangentspace").TangentSpace
    nearest = context.optional("pyriemann.classification").MDM

    def vectors(metric: str) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        return lambda C, train: tangent(metric=metric).fit(C[train]).transform(C)

    affine = Pipeline(covariances, tangent_space_svm(vectors("riemann")))
    made["pyRiemann plain, MDM"] = (
        Pipeline(covariances, nearest_mean(lambda: nearest(metric="riemann"))),
        _PLAIN,
    )
    made["pyRiemann plain, TS+SVM, affine-invariant"] = (affine, _PLAIN)
    if not context.quick:
        made["pyRiemann ACM, TS+SVM, affine-invariant"] = (affine, _SMALL_GRID)
    modules = context.optional("spd_learn.modules")
    if modules is not None:
        torch = context.require("torch")
        layer = modules.LogEig(upper=False, flatten=False)

        def logarithms(x: np.ndarray, order: int, lag: int) -> np.ndarray:
            return layer(torch.from_numpy(covariances(x, order, lag))).numpy()

        made["spd-learn LogEig of pyRiemann's ACM, SVM"] = (
            Pipeline(logarithms, tangent_space_svm(_centred_vectors)),
            grid,
        )
    return made


def _ours(x: np.ndarray, order: int, lag: int) -> np.ndarray:
    return augmented_covariance(x, order, lag, estimator="ledoit_wolf")


def _our_logarithms(x: np.ndarray, order: int, lag: int) -> np.ndarray:
    return logm(_ours(x, order, lag))


def _centred_vectors(logarithms: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Log-Euclidean tangent space at the mean of the training segments."""
    rows, columns = np.triu_indices(logarithms.shape[-1])
    vectors = logarithms[:, rows, columns] * np.where(rows == columns, 1.0, np.sqrt(2))
    return vectors - vectors[train].mean(axis=0)


def _as_moabb(x: np.ndarray, order: int, lag: int) -> np.ndarray:
    """Signals as MOABB's ``AugmentedDataset`` embeds them."""
    if order == 1:
        return x
    parts = [x[..., k * lag : -(order - k) * lag] for k in range(order)]
    return np.concatenate(parts, axis=-2)


def _tangent(metric: str) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    return lambda C, train: TangentSpace(metric).fit(C[train]).transform(C)


def _selected(method: str) -> Callable[[np.ndarray], Point]:
    return lambda x: select_embedding(x[::_EVERY], method=method, max_order=8, max_lag=10)


def _fixed(context: Context) -> tuple[Point, ...]:
    return ((1, 1), (8, 2)) if context.quick else ((1, 1), (4, 2), (6, 2), (8, 2))


def _held_out(recording: Recording, point: Point) -> float:
    """Accuracy on the last session of a logistic regression trained on the first three."""
    scaled = recording.x / np.std(recording.x)
    train, test = recording.session < 3, recording.session == 4
    vectors = _tangent("log_euclidean")(_ours(scaled, *point), train)
    model = LogisticRegression(C=1.0, max_iter=1000).fit(vectors[train], recording.y[train])
    return float(model.score(vectors[test], recording.y[test]))


def _accuracy_table(recordings: list[Recording], results: dict[str, list[Nested]]) -> Table:
    rows = []
    for name, found in results.items():
        means = [100 * float(np.mean(n.accuracy)) for n in found]
        spread = [100 * float(np.std(n.accuracy)) for n in found]
        rows.append((name, *means, float(np.mean(means)), float(np.mean(spread))))
    return Table(
        "Accuracy (%) on sessions that were not looked at",
        [
            "pipeline",
            *(Column(recording.subject, ".1f") for recording in recordings),
            Column("mean", ".1f"),
            Column("sd over sessions", ".1f"),
        ],
        rows,
        note=f"MAMEM SSVEP dataset II, arXiv 1602.00904; {_BOXES} boxes, of which the most "
        "frequent is 24 % of the segments. Ledoit-Wolf covariances. TS+SVM: tangent space, "
        "log-Euclidean unless said otherwise, and a support vector machine with C in 0.5, 1, 1.5 "
        "and linear or rbf kernel, as in the paper; MDM: affine-invariant unless said otherwise. "
        "ACM: order and lag from a grid, by inner folds, by mutual information and Cao's E1 "
        "(traditional) or by MDOP; with MDM and the affine-invariant metric the grid ends at order "
        "4. A result on these subjects need not hold on others.",
    )


def _chosen_table(recordings: list[Recording], results: dict[str, list[Nested]]) -> Table:
    rows = []
    for name, found in results.items():
        if "ACM" in name:
            counts = [Counter(nested.chosen).most_common() for nested in found]
            rows.append((name, *(", ".join(f"{p} x{n}" for p, n in c) for c in counts)))
    return Table(
        "Order and lag that were chosen, with the number of folds",
        ["pipeline", *(recording.subject for recording in recordings)],
        rows,
    )


def _fixed_table(recordings: list[Recording], fixed: dict[Point, list[float]]) -> Table:
    rows = [
        (*point, *(100 * a for a in found), 100 * float(np.mean(found)))
        for point, found in fixed.items()
    ]
    return Table(
        "Order and lag fixed in advance: first three sessions for training, the last for the test",
        [
            "order",
            "lag",
            *(Column(recording.subject, ".1f") for recording in recordings),
            Column("mean", ".1f"),
        ],
        rows,
        note="Accuracy (%) of logistic regression, C = 1, on the log-Euclidean tangent space.",
    )


def _time_table(context: Context, recording: Recording) -> tuple[Table, list[Check]]:
    estimation = context.optional("pyriemann.estimation")
    rows, ratios = [], []
    for order in (1, 4, 8):
        for ours, theirs in (("cov", "cov"), ("ledoit_wolf", "lwf")):
            calls: dict[str, Callable[[], Any]] = {
                "ours": lambda o=order, e=ours: augmented_covariance(
                    recording.x, o, 2, estimator=e, trim="moabb"
                )
            }
            if estimation is not None:
                calls["pyRiemann"] = lambda o=order, e=theirs: estimation.Covariances(e).transform(
                    _as_moabb(recording.x, o, 2)
                )
            timings = context.time_interleaved(
                calls, repeats=3 if context.quick else 9, baseline="ours"
            )
            row: list[Any] = [ours, order, timings["ours"].ms]
            if estimation is not None:
                difference = np.abs(calls["ours"]() - calls["pyRiemann"]()).max()
                ratios.append(timings["pyRiemann"].ratio)
                row += [timings["pyRiemann"].ms, ratios[-1], float(difference)]
            rows.append(row)
    table = Table(
        "Time of the covariances of 500 segments of 8 channels",
        [
            "estimator",
            "order",
            "ours (ms)",
            "pyRiemann (ms)",
            "theirs over ours",
            Column("largest difference", ".0e"),
        ],
        rows,
        note="The same embedding for both; ours takes all segments at once.",
    )
    checks = [
        Check.at_least("pyRiemann's time over ours, median", np.median(ratios), 1.0, unit="x")
    ]
    return table, checks if ratios else []


def _accuracy_checks(results: dict[str, list[Nested]]) -> list[Check]:
    def mean(name: str) -> float:
        return 100 * float(np.mean([nested.accuracy for nested in results[name]]))

    gain = mean("ACM, TS+SVM") - mean("plain, TS+SVM")
    checks = [Check.at_least("augmented above plain, TS+SVM, points", gain, 5.0)]
    for ours, theirs in (
        ("ACM, TS+SVM", "spd-learn LogEig of pyRiemann's ACM, SVM"),
        ("ACM, TS+SVM, affine-invariant", "pyRiemann ACM, TS+SVM, affine-invariant"),
    ):
        if ours in results and theirs in results:
            against = mean(ours) - mean(theirs)
            checks.append(Check.at_least(f"{ours}: points above the peer's", against, -1.0))
    return checks


def _draw_accuracy(
    canvas: Any, recordings: list[Recording], results: dict[str, list[Nested]]
) -> None:
    axes = canvas.subplots()
    names = ("plain, MDM", "plain, TS+SVM", "ACM, MDM, log-Euclidean", "ACM, TS+SVM")
    width = 0.8 / len(names)
    for k, name in enumerate(names):
        for i, nested in enumerate(results[name]):
            at = i + (k - (len(names) - 1) / 2) * width
            axes.bar(
                at,
                100 * np.mean(nested.accuracy),
                0.9 * width,
                color=f"C{k}",
                alpha=0.6,
                label=name if i == 0 else None,
            )
            axes.plot([at] * len(nested.accuracy), 100 * nested.accuracy, ".", color=f"C{k}")
    axes.axhline(24, linestyle="--", color="gray")
    axes.set_xticks(range(len(recordings)), [recording.subject for recording in recordings])
    axes.set(ylabel="accuracy (%)")
    axes.legend(ncols=2, fontsize="small")

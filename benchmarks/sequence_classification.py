r"""Classification of real sequences by state-space modules, beside LSTMs of their size.

Every network has the same number of parameters, the same training and the same split: the one that
a collection is published with, and for the digits scikit-learn's example's. Learning rates were
chosen on a quarter of the digits' training part that was held back for it: LSTMs have the best of
4e-3, 1e-2 and 2e-2, and state-space networks share 1e-2, which did better than 4e-3 there. The
accuracy on the test part is that after the last epoch. The linear baseline is logistic regression
of all samples of a sequence, padded with zeros; five folds of the training part choose its penalty.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from threadpoolctl import threadpool_limits

from benchmarks._sequence_collections import Sequences, load_sequences
from benchmarks._training_pool import train_each
from benchmarks.harness import Check, Column, Context, Figure, Record, Table, benchmark

_LINEAR = "logistic regression"
_SEEDS = 5
_PARAMETERS = 12_000
_EPOCHS = 40
_BATCHES = {"JapaneseVowels": 32, "BasicMotions": 8, "digits": 32}
_RATES = {
    "S4": 1e-2,
    "S4D": 1e-2,
    "CompanionSSM": 1e-2,
    "DeltaProduct, n_h = 1": 1e-2,
    "DeltaProduct, n_h = 2": 1e-2,
    "LSTM in the same blocks": 2e-2,
    "LSTM": 2e-2,
}
_QUICK = ("S4D", "LSTM")


@benchmark(
    "sequence_classification",
    title="Classification of sequences by state-space networks",
    paper="arXiv 2206.11893",
    summary="Accuracy of networks of S4, S4D, companion and DeltaProduct modules beside LSTMs.",
)
def run(context: Context) -> Record:
    """Train every network from several seeds, and the linear baseline."""
    context.require("torch")
    collections = load_sequences(context)
    if context.quick:
        collections = collections[:2] or collections
    linear = {data.name: _logistic(context, data) for data in collections}
    trained = _train(context, collections)
    return context.record(
        asked="Accuracy with its spread over seeds on published splits, every network with the "
        "same number of parameters; state-space networks at least as good as LSTMs.",
        tables=[_table(data, trained, linear[data.name], context.quick) for data in collections],
        checks=_checks(trained, context.quick),
        figures=[
            Figure(
                "Accuracy on the test part",
                "A dot for each seed, a line for their mean; dashed: logistic regression.",
                lambda canvas: _draw_accuracy(canvas, trained, linear),
                size=(9.0, 3.8),
            ),
            Figure(
                "Training loss",
                "Mean over seeds of the cross-entropy while training.",
                lambda canvas: _draw_loss(canvas, trained),
                size=(9.0, 3.8),
            ),
        ],
    )


def _train(context: Context, collections: Sequence[Sequences]) -> list[Any]:
    from benchmarks._sequence_networks import LAYERS, Job, Recipe, train

    layers = _QUICK if context.quick else tuple(LAYERS)
    jobs = [
        Job(data, _recipe(Recipe, data, layer, context.quick), layer, seed)
        for data in collections
        for layer in layers
        for seed in range(1 if context.quick else _SEEDS)
    ]
    context.tell(f"{len(jobs)} networks to train")
    return train_each(
        train, jobs, lambda job: f"{job.data.name}, {job.layer}, seed {job.seed}", context.tell
    )


def _recipe(recipe: Any, data: Sequences, layer: str, quick: bool) -> Any:
    epochs = 3 if quick else _EPOCHS
    return recipe(_PARAMETERS, epochs, _BATCHES[data.name], _RATES[layer])


def _logistic(context: Context, data: Sequences) -> tuple[float, int, float]:
    """Accuracy in per cent, number of parameters and seconds of the linear baseline."""
    context.tell(f"{data.name}, {_LINEAR}")
    flat = data.x.reshape(len(data.x), -1)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    search = GridSearchCV(LogisticRegression(max_iter=2000), {"C": np.logspace(-4, 1, 6)}, cv=folds)
    began = perf_counter()
    with threadpool_limits(1):
        search.fit(flat[data.train], data.y[data.train])
    seconds = perf_counter() - began
    model = search.best_estimator_
    score = 100 * float(model.score(flat[data.test], data.y[data.test]))
    return score, model.coef_.size + model.intercept_.size, seconds


def _table(
    data: Sequences, trained: Sequence[Any], linear: tuple[float, int, float], quick: bool
) -> Table:
    rows: list[tuple[Any, ...]] = []
    for layer, runs in _by_layer(trained, data.name).items():
        scores = [100 * t.accuracy for t in runs]
        spread = (float(np.std(scores, ddof=1)), min(scores), max(scores)) if not quick else ()
        seconds = float(np.median([t.seconds for t in runs]))
        loss = float(np.mean([t.loss[-1] for t in runs]))
        head = (layer, runs[0].width, runs[0].parameters, _RATES[layer], float(np.mean(scores)))
        rows.append((*head, *(spread or (None,) * 3), loss, seconds))
    score, parameters, seconds = linear
    rows.append((_LINEAR, None, parameters, None, score, None, None, None, None, seconds))
    lengths = f"{data.lengths.min()} to {data.lengths.max()}"
    if data.lengths.min() == data.lengths.max():
        lengths = str(data.lengths.max())
    epochs = len(next(iter(_by_layer(trained, data.name).values()))[0].loss)
    return Table(
        f"{data.name}: {data.channels} channels, {lengths} samples, {data.classes} classes",
        [
            "network",
            Column("width", ".0f"),
            Column("parameters", ".0f"),
            "rate",
            Column("test (%)", ".1f"),
            Column("sd", ".1f"),
            Column("least", ".1f"),
            Column("most", ".1f"),
            Column("training loss", ".3f"),
            Column("seconds", ".1f"),
        ],
        rows,
        note=f"{len(data.train)} sequences train, {len(data.test)} test. {epochs} epochs in "
        f"batches of {_BATCHES[data.name]}, "
        + ("one seed: it shows that networks train, not how well. " if quick else "")
        + ("" if quick else f"mean, spread and range over {_SEEDS} seeds. ")
        + "Two networks train at a time, each with one thread; seconds are the median of a "
        "training, for logistic regression those of the search for its penalty.",
    )


def _by_layer(trained: Sequence[Any], name: str) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for t in trained:
        if t.data == name:
            found.setdefault(t.layer, []).append(t)
    return found


def _checks(trained: Sequence[Any], quick: bool) -> list[Check]:
    finite = all(np.isfinite(t.loss).all() for t in trained)
    checks = [Check.holds("every network trains without NaN", finite)]
    if quick:
        return checks
    for name in dict.fromkeys(t.data for t in trained):
        means = {
            layer: float(np.mean([100 * t.accuracy for t in runs]))
            for layer, runs in _by_layer(trained, name).items()
        }
        recurrent = max(mean for layer, mean in means.items() if layer.startswith("LSTM"))
        checks.append(
            Check.at_least(
                f"{name}: mean accuracy of S4D less that of the better LSTM (points)",
                means["S4D"] - recurrent,
                -0.5,
            )
        )
    return checks


def _draw_accuracy(
    canvas: Any, trained: Sequence[Any], linear: dict[str, tuple[float, int, float]]
) -> None:
    names = list(dict.fromkeys(t.data for t in trained))
    layers = list(dict.fromkeys(t.layer for t in trained))
    every = canvas.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for axes, name in zip(every, names, strict=True):
        for at, (layer, runs) in enumerate(_by_layer(trained, name).items()):
            scores = np.array([100 * t.accuracy for t in runs])
            colour = _colour(layer)
            axes.plot(scores, np.full(len(scores), at), "o", color=colour, alpha=0.6)
            axes.plot([scores.mean()] * 2, [at - 0.3, at + 0.3], color=colour)
        axes.axvline(linear[name][0], color="0.5", ls="--", lw=1)
        axes.set(title=name, xlabel="test accuracy (%)")
    every[0].set_yticks(range(len(layers)), layers)
    every[0].invert_yaxis()


def _draw_loss(canvas: Any, trained: Sequence[Any]) -> None:
    names = list(dict.fromkeys(t.data for t in trained))
    every = canvas.subplots(1, len(names), squeeze=False)[0]
    for axes, name in zip(every, names, strict=True):
        for layer, runs in _by_layer(trained, name).items():
            loss = np.mean([t.loss for t in runs], axis=0)
            style = "--" if layer.startswith("LSTM") else "-"
            axes.semilogy(np.arange(1, len(loss) + 1), loss, style, label=layer)
        axes.set(title=name, xlabel="epoch")
    every[0].set(ylabel="cross-entropy")
    every[0].legend(fontsize="x-small")


def _colour(layer: str) -> str:
    return "C1" if layer.startswith("LSTM") else "C0"

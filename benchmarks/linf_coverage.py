r"""Do the standard errors and the certificate of a sketched solution hold what they promise?

From one sketch, without the exact solution, `solvers.sketched_lstsq` states a standard error of
every coordinate and a bound that holds for all of them at once with confidence 1 - δ. For a
Gaussian sketch both are exact: given SA, :math:`x' - x^* \sim N(0, (\|r^*\|^2/m)
((SA)^T SA)^{-1})`. For the others they are approximate, and how good is measured here: on data with
heavy tails and badly scaled columns, and on the flat coherent family, over many sketches.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import t as student

from benchmarks._linf_problems import Problem, problem
from benchmarks.harness import Check, Column, Context, Figure, Record, Table, benchmark
from numerics import (
    ams_sketch,
    countsketch,
    gaussian_pooled,
    gaussian_sketch,
    osnap,
    srct,
    srht,
)
from solvers import sketched_lstsq

_DELTA = 0.05
_N = 2048
_DENSE: dict[str, Callable[..., Any]] = {
    "Gaussian": gaussian_sketch,
    "SRHT": srht,
    "SRCT": srct,
    "AMS": ams_sketch,
    "Gaussian-pooled": gaussian_pooled,
}
_SPARSE: dict[str, Callable[..., Any]] = {"CountSketch": countsketch, "OSNAP(4)": osnap}


@dataclass(frozen=True)
class _Outcome:
    """Over sketches: errors over standard errors, and the bound over the largest error."""

    studentised: np.ndarray
    bound_over_error: np.ndarray
    residual_ratio: np.ndarray
    degrees: int

    @property
    def single(self) -> np.ndarray:
        """Share of coordinates inside their interval, a value for each sketch."""
        width = student.ppf(1 - _DELTA / 2, self.degrees)
        return np.mean(np.abs(self.studentised) <= width, axis=1)

    @property
    def simultaneous(self) -> np.ndarray:
        """Whether the bound held, for each sketch."""
        return self.bound_over_error >= 1


@benchmark(
    "linf_coverage",
    title="Coverage of the standard errors and of the bound of a sketched solution",
    paper="arXiv 2302.00248",
    summary="How often intervals and certificate hold over 1000 sketches of each kind.",
)
def run(context: Context) -> Record:
    """Sketch two problems many times; nothing here depends on time."""
    number = 50 if context.quick else 1000
    cases = {"heavy tails": (_scaled_problem(), 256), "flat": (problem("flat", _N, 32), 512)}
    outcomes: dict[tuple[str, str], _Outcome] = {}
    for label, (case, m) in cases.items():
        for name, make in {**_DENSE, **_SPARSE}.items():
            context.tell(f"{label}: {number} sketches, {name}")
            found = _certified if name in _DENSE else _by_hand
            draws = number if name in _DENSE else number // 2
            outcomes[label, name] = _collect(found, case, make, m, context.rng, draws)
    table, checks = _coverage_table(outcomes, number)
    return context.record(
        asked="Gaussian sketches: intervals hold 95 % of the time and bounds at least that, as "
        "their law says. Other dense sketches have no such law: within a few per cent of it.",
        tables=[table],
        checks=[*checks, _refusal_check(cases["flat"][0], context.rng)],
        figures=[
            Figure(
                "Coverage asked for and coverage found",
                f"Intervals of single coordinates at every confidence, over {number} sketches. On "
                "the diagonal they are exact and above it they are cautious. What the same formula "
                "would say of hashing sketches is drawn too; `sketched_lstsq` does not say it.",
                lambda canvas: _draw(canvas, outcomes, list(cases)),
                size=(9.5, 4.4),
            )
        ],
    )


def _scaled_problem() -> Problem:
    rng = np.random.default_rng(3)
    A = rng.standard_normal((_N, 20)) * np.logspace(-3, 3, 20)
    return Problem(A, A @ rng.standard_normal(20) + rng.standard_t(3, _N))


_Statement = tuple[np.ndarray, np.ndarray, float, float]


def _certified(case: Problem, S: Any) -> _Statement:
    """Solution, standard errors, bound and residual as the solver states them."""
    found = sketched_lstsq(case.A, case.b, delta=_DELTA, sketch=S)
    return found.x, found.stderr, float(found.linf_bound), float(found.residual_norm)


def _by_hand(case: Problem, S: Any) -> _Statement:
    """The same by the formula for Gaussian sketches, from the minimum-norm solution."""
    sketched = S.apply(np.column_stack((case.A, case.b)))
    Y, z = sketched[:, :-1], sketched[:, -1]
    x, _, _, _ = np.linalg.lstsq(Y, z, rcond=None)
    m, d = Y.shape
    inverse = np.linalg.pinv(Y)
    mean_square = float(np.sum((z - Y @ x) ** 2)) / (m - d)
    stderr = math.sqrt(mean_square) * np.linalg.norm(inverse, axis=1)
    width = float(student.ppf(1 - _DELTA / (2 * d), m - d))
    return x, stderr, width * float(np.max(stderr)), math.sqrt(m * mean_square)


def _collect(
    found: Callable[[Problem, Any], _Statement],
    case: Problem,
    make: Callable[..., Any],
    m: int,
    rng: np.random.Generator,
    number: int,
) -> _Outcome:
    studentised, bounds, residuals = [], [], []
    for _ in range(number):
        x, stderr, bound, residual = found(case, make(_N, m, rng=rng))
        error = np.abs(x - case.x)
        with np.errstate(divide="ignore", invalid="ignore"):
            # An exact coordinate with no error stated is inside its interval.
            studentised.append(np.where(error < 1e-12, 0.0, error / stderr))
        bounds.append(bound / max(float(np.max(error)), 1e-300))
        residuals.append(residual / case.residual_norm)
    d = len(case.x)
    return _Outcome(np.array(studentised), np.array(bounds), np.array(residuals), m - d)


def _coverage_table(
    outcomes: dict[tuple[str, str], _Outcome], number: int
) -> tuple[Table, list[Check]]:
    rows, lowest, short, off = [], 1.0, 0.0, 0.0
    for (label, name), outcome in outcomes.items():
        single, every = float(np.mean(outcome.single)), float(np.mean(outcome.simultaneous))
        spread = max(float(np.std(outcome.single)), 1e-12) / math.sqrt(number)
        if name in _DENSE:
            lowest = min(lowest, every)
        if name == "Gaussian":
            short = max(short, (1 - _DELTA - every) / math.sqrt(_DELTA * (1 - _DELTA) / number))
            off = max(off, abs(single - 1 + _DELTA) / spread)
        margin = float(np.median(outcome.bound_over_error))
        residual = float(np.mean(outcome.residual_ratio))
        rows.append((label, name, 100 * single, 100 * every, margin, residual))
    table = Table(
        f"Coverage over {number} sketches, {number // 2} of the sparse; {1 - _DELTA:.0%} asked",
        [
            "problem",
            "sketch",
            Column("single (%)", ".1f"),
            Column("all at once (%)", ".1f"),
            Column("bound / error", ".2f"),
            Column("residual / exact", ".3f"),
        ],
        rows,
        note=f"n = {_N}. Heavy tails: d = 20, m = 256, noise of Student's law with 3 degrees, "
        "columns scaled from 1e-3 to 1e3. Flat: d = 32, m = 512. Single: mean over coordinates. "
        "Bound over largest error: median. CountSketch and OSNAP: by hand, from the formula for "
        "Gaussian sketches and the minimum-norm solution; on the flat family each coordinate by "
        "itself looks well there, but one of them is nearly always off by more than is said.",
    )
    hashed = 100 * float(np.mean(outcomes["flat", "CountSketch"].simultaneous))
    return table, [
        Check.at_most("Gaussian bounds: shortfall of coverage, in standard errors", short, 4),
        Check.at_least("dense sketches: lowest coverage of the bound", 100 * lowest, 88, unit="%"),
        Check.at_most("CountSketch, flat: the bound by hand holds", hashed, 50, unit="%"),
        Check.at_most("Gaussian intervals: distance from 95 %, in standard errors", off, 4),
    ]


def _refusal_check(case: Problem, rng: np.random.Generator) -> Check:
    """What the solver says of hashing sketches of the coherent problem."""
    silent = 0
    for make in _SPARSE.values():
        for _ in range(10):
            try:
                found = sketched_lstsq(case.A, case.b, sketch=make(_N, 512, rng=rng))
            except np.linalg.LinAlgError:
                continue
            silent += found.stderr is not None and bool(np.all(np.isfinite(found.stderr)))
    what = "hashing sketches: solutions that came with standard errors, of 20"
    return Check.at_most(what, silent, 0)


def _draw(canvas: Any, outcomes: dict[tuple[str, str], _Outcome], labels: list[str]) -> None:
    levels = np.linspace(0.01, 0.995, 100)
    for axes, label in zip(canvas.subplots(1, 2, sharey=True), labels, strict=True):
        axes.plot([0, 1], [0, 1], color="gray", linewidth=0.8)
        for name in (*_DENSE, *_SPARSE):
            outcome = outcomes[label, name]
            widths = student.ppf((1 + levels) / 2, outcome.degrees)
            inside = np.searchsorted(np.sort(outcome.studentised, axis=None), widths, "right")
            style = "-" if name in _DENSE else "--"
            axes.plot(levels, inside / outcome.studentised.size, style, label=name)
        axes.set(xlabel="confidence asked for", title=label)
    canvas.axes[0].set_ylabel("coverage found")
    canvas.axes[1].legend(fontsize=7)

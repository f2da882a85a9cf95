r"""Dense sketches keep the entrywise guarantee where CountSketch and OSNAP break it.

Song, Ye, Yin and Zhang (arXiv 2302.00248) ask of a sketch S that the solution x' of
:math:`\min\|S(Ax - b)\|` be near the true one in every coordinate,
:math:`\|x' - x^*\|_\infty \le (\epsilon/\sqrt d)\,\|r^*\|\,\|A^+\|`. Here is
:math:`R = \sqrt d\,\|x' - x^*\|_\infty\,\sigma_{\min}(A)/\|r^*\|` over many draws, beside laws that
can be written down. Sketched problems are solved for their minimum-norm solution, for a hashing
sketch of these matrices is rank-deficient in most draws.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.linalg

from benchmarks import _linf_traps as traps
from benchmarks._linf_problems import (
    Problem,
    bucket_ratio,
    collision_probability,
    predicted_ratio,
    problem,
    sketched_solution,
)
from benchmarks.harness import Check, Column, Context, Figure, Record, Table, benchmark
from numerics import countsketch, gaussian_pooled, gaussian_sketch, osnap, srht

_N = 8192
_SKETCHES: dict[str, Callable[..., Any]] = {
    "SRHT": srht,
    "Gaussian": gaussian_sketch,
    "Gaussian-pooled": gaussian_pooled,
    "CountSketch": countsketch,
    "OSNAP(4)": osnap,
}
_DENSE = ("SRHT", "Gaussian", "Gaussian-pooled")
_CASES = (
    ("flat", 64, 512),
    ("flat", 64, 2048),
    ("spike", 64, 512),
    ("spike", 64, 2048),
    ("spike", 256, 2048),
    ("flat", 16, 256),
    ("random", 64, 512),
)
_ROWS = (128, 256, 512, 1024, 2048, 4096)
_D = 64


@benchmark(
    "linf_counterexamples",
    title="Where hashing sketches break the entrywise guarantee and dense ones keep it",
    paper="arXiv 2302.00248, 1705.10723",
    summary="Ratio R of five sketches on coherent designs, and four sketches that cannot be used.",
)
def run(context: Context) -> Record:
    """All figures are errors of seeded draws; nothing here depends on time."""
    draws = 12 if context.quick else 200
    ratios = {}
    for family, d, m in _CASES:
        context.tell(f"{family}, d = {d}, m = {m}")
        ratios[family, d, m] = _ratios(context, family, d, m, draws if d <= 64 else draws // 4)
    rows = _ROWS[::2] if context.quick else _ROWS
    swept = {
        (family, m): _ratios(context, family, _D, m, max(draws // 5, 8))
        for family in ("flat", "spike")
        for m in rows
    }
    context.tell("laws")
    parts = [
        _ratio_table(ratios),
        _collision_table(context, 200 if context.quick else 2000),
        traps.sampling_table(context.rng, 50 if context.quick else 400),
        traps.diagonal_table(context.rng, 20_000 if context.quick else 200_000),
        traps.correlated_table(context.rng, 500 if context.quick else 5000),
    ]
    return context.record(
        asked="Dense sketches near the line sqrt(2 d log(2d) / m) or below; hashing sketches off "
        "by the whole of an entry until m is about the square of d, as their collisions say.",
        tables=[table for table, _ in parts],
        checks=[check for _, checks in parts for check in checks],
        figures=[
            Figure(
                "R against the number of rows",
                f"d = {_D}, n = {_N}; a dot is a draw. Dense sketches follow the dashed line down. "
                "CountSketch stays at 1 (flat) until m is about d² = 4096; on a spike it is either "
                "exact or off by sqrt(d) = 8, and OSNAP(4) by about a quarter of that.",
                lambda canvas: _draw(canvas, swept, rows),
                size=(9.5, 4.4),
            ),
            Figure(
                "What a bound for fixed vectors cannot give",
                "A sketch whose fixed-vector deviation (blue) falls like 1/sqrt(d), as that of a "
                "Gaussian sketch with 400 d rows does, beside the errors of the first coordinate: "
                "it stays for the one and falls for the other.",
                lambda canvas: traps.draw_correlated(canvas),
                size=(6.4, 4.2),
            ),
        ],
    )


_Ratios = dict[str, np.ndarray]


def _ratios(context: Context, family: str, d: int, m: int, draws: int) -> _Ratios:
    """R of every sketch; the same matrix, new draws."""
    case, found = problem(family, _N, d), {}
    for name, make in _SKETCHES.items():
        context.tell(f"{family}, d = {d}, m = {m}: {name}")
        # A dense Gaussian matrix is dear, and its law is known.
        number = draws if name != "Gaussian" else max(8, draws // 4)
        found[name] = np.array(
            [case.ratio(sketched_solution(make, case, m, context.rng)) for _ in range(number)]
        )
    return found


def _ratio_table(ratios: dict[tuple[str, int, int], _Ratios]) -> tuple[Table, list[Check]]:
    rows, dense = [], 0.0
    for (family, d, m), found in ratios.items():
        line = predicted_ratio(d, m)
        for name, values in found.items():
            middle, high = (float(q) for q in np.quantile(values, (0.5, 0.9)))
            failed = 100 * float(np.mean(values > 1 - 1e-9))
            rows.append((family, d, m, line, name, middle, high, max(values), failed))
            if name in _DENSE:
                dense = max(dense, high / line)
    table = Table(
        f"R over draws, n = {_N}",
        [
            "family",
            "d",
            "m",
            Column("line", ".2f"),
            "sketch",
            *(Column(heading, ".2f") for heading in ("median", "90 %", "largest")),
            Column("R ≥ 1 (%)", ".0f"),
        ],
        rows,
        note="The line is √(2 d log(2d)/m). Sketched problems are solved for their minimum-norm "
        "solution. On random data (Student's t noise with 3 degrees of freedom) hashing is as good "
        "as mixing: the families that tell them apart are coherent.",
    )
    flat = ratios["flat", 64, 2048]
    return table, [
        Check.at_most("dense sketches: 90 % quantile of R over the line", dense, 1.3, unit="x"),
        Check.at_most("flat, m = 2048: largest R of the SRHT", max(flat["SRHT"]), 0.9),
        Check.at_least("the same: median R of CountSketch", np.median(flat["CountSketch"]), 0.99),
    ]


def _collision_table(context: Context, draws: int) -> tuple[Table, list[Check]]:
    """How often CountSketch fails, ours and SciPy's, beside the exact law of collisions."""
    d, rows, off, apart = _D, [], 0.0, 0.0
    for family, others in (("flat", d), ("spike", 1)):
        case = problem(family, 2 * d, d)
        for m in (512, 2048, 4096, 8192):
            context.tell(f"collisions: {family}, m = {m}")
            shared, ours = 0, []
            for _ in range(draws):
                S = countsketch(2 * d, m, rng=context.rng)
                shared += bool(np.isin(S.rows[:d], S.rows[d : d + others]).any())
                ours.append(bucket_ratio(S.rows, S.signs, d, case.b))
            theirs = [_scipy_ratio(case, m, context.rng) for _ in range(draws // 4)]
            law = collision_probability(d, others, m)
            off = max(off, abs(shared / draws - law) / math.sqrt(law * (1 - law) / draws))
            failed = [float(np.mean(np.array(r) > 1 - 1e-9)) for r in (ours, theirs)]
            share = (draws * failed[0] + len(theirs) * failed[1]) / (draws + len(theirs))
            spread = math.sqrt(max(share * (1 - share), 1e-4) * (1 / draws + 1 / len(theirs)))
            apart = max(apart, abs(failed[0] - failed[1]) / spread)
            near = 1 - math.exp(-d * others / m)
            percent = [100 * p for p in (shared / draws, law, near, *failed)]
            rows.append((family, m, *percent, max(ours), max(theirs)))
    table = Table(
        f"How often a hash ruins a coordinate, d = {d}",
        [
            "family",
            "m",
            Column("collisions (%)", ".1f"),
            Column("exact law (%)", ".1f"),
            Column("1 - exp(-dk/m) (%)", ".1f"),
            Column("R ≥ 1 (%)", ".1f"),
            Column("SciPy: R ≥ 1 (%)", ".1f"),
            Column("largest R", ".2f"),
            Column("SciPy's", ".2f"),
        ],
        rows,
        note="A collision: one of the d rows of the identity and one of the k rows with b, d or 1, "
        f"in the same bucket. {draws} draws of ours, {draws // 4} of "
        "`scipy.linalg.clarkson_woodruff_transform`. R can stay below 1 when two rows of b cancel "
        "or two rows of the identity share the error.",
    )
    spiked = max(row[-2] for row in rows if row[:2] == ("spike", 2048))
    return table, [
        Check.at_least("spike, m = 2048: largest R of CountSketch", spiked, 7.9),
        Check.at_most("collisions: largest distance from the law, in standard errors", off, 4),
        Check.at_most("SciPy's failures and ours: difference in standard errors", apart, 4),
    ]


def _scipy_ratio(case: Problem, m: int, rng: np.random.Generator) -> float:
    both = np.column_stack((case.A, case.b))
    sketched = scipy.linalg.clarkson_woodruff_transform(both, m, rng=rng)
    sketched = sketched[np.any(sketched != 0, axis=1)]
    return case.ratio(np.linalg.lstsq(sketched[:, :-1], sketched[:, -1], rcond=None)[0])


def _draw(canvas: Any, swept: dict[tuple[str, int], _Ratios], rows: tuple[int, ...]) -> None:
    line = [predicted_ratio(_D, m) for m in rows]
    for axes, family in zip(canvas.subplots(1, 2, sharey=True), ("flat", "spike"), strict=True):
        axes.plot(rows, line, "--", color="gray", label="√(2 d log(2d)/m)")
        for place, name in enumerate(_SKETCHES):
            shifted = np.array(rows) * 2.0 ** (0.16 * (place - 2))
            found = [swept[family, m][name] for m in rows]
            at = np.concatenate([np.full(len(r), x) for x, r in zip(shifted, found, strict=True)])
            dots = axes.scatter(at, np.concatenate(found), s=9, alpha=0.3, linewidths=0)
            axes.scatter([], [], s=18, color=dots.get_facecolor()[0], alpha=1.0, label=name)
        axes.set_xscale("log", base=2)
        axes.set_yscale("symlog", linthresh=0.25)
        axes.set(xlabel="rows of the sketch, m", title=f"{family}, d = {_D}", ylim=(-0.03, 12))
        axes.set_yticks([0, 0.25, 0.5, 1, 2, 4, 8], ["0", "1/4", "1/2", "1", "2", "4", "8"])
        axes.minorticks_off()
    canvas.axes[0].set_ylabel("R")
    canvas.axes[0].legend(fontsize=7, loc="lower left")

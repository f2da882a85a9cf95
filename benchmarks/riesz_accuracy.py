r"""B-spline collocation of Riesz fractional equations: orders, conditioning, symbol, eigenvalues.

Mazza, Donatelli, Manni and Speleers (arXiv 2106.14834) collocate :math:`R u = f`,
:math:`R = (-\Delta)^{\alpha/2}` with :math:`1 < \alpha < 2`, in splines of degree p at the Greville
points. Their abstract claims the order :math:`p + 2 - \alpha` for even and :math:`p + 1 - \alpha`
for odd p, and a spectral symbol with one zero, of order :math:`\alpha`, that decays exponentially
with p at :math:`\pi`. The problems and the figures here are our own: we have not seen theirs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import _riesz_spectra as spectra
from benchmarks._riesz_peers import centred_difference_error, operator_errors
from benchmarks._riesz_problems import (
    bump,
    bump_riesz,
    bump_slope,
    error_in_many_digits,
    torsion,
)
from benchmarks.harness import Check, Column, Context, Figure, Record, Table, benchmark
from solvers import RieszSolution, jacobi_riesz_solve, solve_riesz_bvp, solve_riesz_bvp_2d

_ALPHAS = (1.2, 1.5, 1.8)
_DEGREES = (2, 3, 4, 5, 6)
_CELLS = (16, 32, 64, 128, 256)
_SINGULAR_CELLS = (32, 128, 512)
_CENTRED_CELLS = (64, 256, 1024, 4096)
_POINTS = np.linspace(0.0, 1.0, 2049)
_ERROR = ".1e"
_ORDER = ".2f"


@benchmark(
    "riesz_accuracy",
    title="Riesz equations by B-spline collocation: orders, conditioning, symbol, eigenvalues",
    paper="arXiv 2106.14834",
    summary="Approximation orders beside centred differences; condition numbers; the symbol.",
)
def run(context: Context) -> Record:
    """All figures are errors and spectra; nothing here depends on time."""
    context.tell("smooth solution")
    smooth = {(a, p): _errors(_smooth, p, a) for a in _ALPHAS for p in _DEGREES}
    context.tell("the same in 50 digits")
    exact = _many_digits(16 if context.quick else 32)
    context.tell("centred differences")
    centred = {a: [centred_difference_error(n, a) for n in _CENTRED_CELLS] for a in _ALPHAS}
    context.tell("advection, singular solutions, two dimensions")
    parts = [
        _smooth_table(smooth),
        _many_digits_table(*exact),
        _centred_table(smooth, centred),
        _operator_table(context),
        _advection_table(),
        _singular_table(),
        _self_knowledge_table(),
        _jacobi_table(),
        _plane_table(),
    ]
    context.tell("spectra")
    parts += [
        spectra.condition_table(_ALPHAS, quick=context.quick),
        spectra.symbol_table(_ALPHAS),
        spectra.sample_table(_ALPHAS),
        spectra.eigenvalue_table(_ALPHAS),
    ]
    return context.record(
        asked="Order p + 2 - α for even and p + 1 - α for odd p, within 0.15; condition numbers "
        "that grow like the power α of n; a symbol with one zero, of order α, that decays at π.",
        tables=[table for table, _ in parts],
        checks=[check for _, checks in parts for check in checks],
        figures=[
            Figure(
                "Convergence on a smooth solution",
                "R u = f with u = (x (1 - x))^4. Grey: the slopes p + 2 - α for even and "
                "p + 1 - α for odd p. The second-order scheme needs thousands of unknowns for what "
                "degree 5 does with 67.",
                lambda canvas: _draw_convergence(canvas, smooth, centred),
                size=(10.5, 4.0),
            ),
            Figure(
                "The symbol",
                "Left: by degree, α = 1.5. Middle: over θ^α, which tends to 1 at the zero. "
                "Right: f(π) / f(π/2), which halves from one odd p to the next; dotted, "
                "2^(α + (1 - p)/2).",
                lambda canvas: spectra.draw_symbol(canvas, _ALPHAS),
                size=(10.5, 3.6),
            ),
            Figure(
                "Eigenvalues and samples of the symbol",
                "Eigenvalues of n^-α A, n = 200 (dots), beside the symbol at jπ/(N+1), both sorted "
                "(line). Above the symbol's maximum there are a few that come from the ends, and "
                "the smallest are those of the operator. At the kink the symbol for p = 6 begins "
                "to take values twice.",
                lambda canvas: spectra.draw_samples(canvas, _ALPHAS),
                size=(10.5, 3.6),
            ),
        ],
    )


def _expected_order(p: int, alpha: float) -> float:
    return p + 2 - p % 2 - alpha


_Solved = tuple[RieszSolution, float]


def _errors(solve: Callable[..., _Solved], p: int, alpha: float) -> list[float]:
    return [solve(n, p, alpha)[1] for n in _CELLS]


def _smooth(n: int, p: int, alpha: float, points: np.ndarray = _POINTS) -> _Solved:
    """Solution of R u = f with u = (x (1 - x))^4, and its largest error."""
    solution = solve_riesz_bvp(lambda x: bump_riesz(x, alpha), n, p, alpha)
    return solution, float(np.max(np.abs(solution(points) - bump(points))))


def _advected(n: int, p: int, alpha: float) -> _Solved:
    """The same for R u + 2 u' + 5 u = f."""

    def f(x: np.ndarray) -> np.ndarray:
        return bump_riesz(x, alpha) + 2 * bump_slope(x) + 5 * bump(x)

    solution = solve_riesz_bvp(f, n, p, alpha, b=2.0, c=5.0)
    return solution, float(np.max(np.abs(solution(_POINTS) - bump(_POINTS))))


def _singular(n: int, p: int, alpha: float) -> _Solved:
    """Solution of R u = 1, and its largest error, which is somewhere in the first cells."""
    solution = solve_riesz_bvp(np.ones_like, n, p, alpha)
    points = np.concatenate((_POINTS, np.linspace(0.0, 4.0, 801) / n))
    return solution, float(np.max(np.abs(solution(points) - torsion(points, alpha))))


def _order(errors: list[float], *, last: int) -> float:
    return math.log2(errors[last - 1] / errors[last])


def _finest_pair(p: int) -> int:
    """Index of the finer grid of the pair that gives the order: n = 128, or 64 for degree 6.

    At degree 6 and n = 128 the error is within rounding.
    """
    return 3 if p < 6 else 2


def _many_digits(n: int) -> tuple[int, dict[tuple[float, int], float]]:
    points = _POINTS[::8]
    return n, {
        (a, p): error_in_many_digits(n, p, a, points) / _smooth(n, p, a, points)[1] - 1
        for a in _ALPHAS
        for p in _DEGREES
    }


def _smooth_table(smooth: Any) -> tuple[Table, list[Check]]:
    rows, off = [], 0.0
    for (a, p), errors in smooth.items():
        order = _order(errors, last=_finest_pair(p))
        off = max(off, abs(order - _expected_order(p, a)))
        rows.append((a, p, *errors, order, _expected_order(p, a)))
    table = Table(
        "T1. Largest error of R u = f, u = (x (1 - x))^4",
        [
            Column("α", "g"),
            "p",
            *(Column(f"n = {n}", _ERROR) for n in _CELLS),
            Column("order", _ORDER),
            Column("expected", _ORDER),
        ],
        rows,
        note="On 2049 points. The order is that from n = 64 to 128, for p = 6 from 32 to 64, "
        "because its error at 128 is rounding.",
    )
    return table, [Check.at_most("orders: largest distance from the expected", off, 0.15)]


def _many_digits_table(n: int, off: dict[tuple[float, int], float]) -> tuple[Table, list[Check]]:
    rows = [(a, *(abs(off[a, p]) for p in _DEGREES)) for a in _ALPHAS]
    table = Table(
        f"T1 for n = {n} in 50-digit arithmetic: relative difference of the errors",
        [Column("α", "g"), *(Column(f"p = {p}", ".0e") for p in _DEGREES)],
        rows,
        note="The matrix from truncated powers, its system and the error, all with 50 digits, on "
        "257 points. Double precision is not felt before the errors are near 1e-15.",
    )
    worst = max(map(max, (row[1:] for row in rows)))
    return table, [Check.at_most("errors: relative distance from those in 50 digits", worst, 1e-3)]


def _centred_table(smooth: Any, centred: Any) -> tuple[Table, list[Check]]:
    rows = [
        (a, *errors, math.log2(errors[-2] / errors[-1]) / 2, smooth[a, 5][2], smooth[a, 6][2])
        for a, errors in centred.items()
    ]
    table = Table(
        "The same by fractional centred differences",
        [
            Column("α", "g"),
            *(Column(f"n = {n}", _ERROR) for n in _CENTRED_CELLS),
            Column("order", _ORDER),
            Column("p = 5, n = 64", _ERROR),
            Column("p = 6, n = 64", _ERROR),
        ],
        rows,
        note="Largest error at the nodes; the right-hand side is the same. Last, splines.",
    )
    advantage = min(errors[-1] / smooth[a, 6][2] for a, errors in centred.items())
    what = "error of centred differences, n = 4096, to that of p = 6, n = 64"
    return table, [Check.at_least(what, advantage, 50, unit="x")]


def _operator_table(context: Context) -> tuple[Table, list[Check]]:
    differint = context.optional("differint.differint")
    differint_p = context.optional("differintP")
    rows = []
    for n in (100, 400, 1600):
        errors = operator_errors(n, 1.5, differint, differint_p)
        rows.append((n, *errors.values()))
    table = Table(
        "Applying the operator to u = (x (1 - x))^4, α = 1.5: error over the largest value",
        ["n", *(Column(name, _ERROR) for name in errors)],
        rows,
        note="`differintP.Riesz` is periodic and negative (its sign is turned here); the wide "
        "period is [-4, 5], with zeros outside of [0, 1] and nine times as many points. "
        "`differint.GL` has no right derivative: its error is that of the left one, whose product "
        "of transforms wraps round. The splines' error at n = 1600 is rounding, which the operator "
        "magnifies by n^α.",
    )
    return table, []


def _advection_table() -> tuple[Table, list[Check]]:
    rows, short = [], []
    for p in (2, 3, 4, 5):
        errors = _errors(_advected, p, 1.5)
        order = _order(errors, last=4 if p < 4 else 3)
        least = p if p % 2 == 0 else _expected_order(p, 1.5)
        short.append(least - order)
        rows.append((p, *errors, order, least))
    table = Table(
        "T2. Largest error of R u + 2 u' + 5 u = f, α = 1.5, same u",
        [
            "p",
            *(Column(f"n = {n}", _ERROR) for n in _CELLS),
            Column("order", _ORDER),
            Column("at least", _ORDER),
        ],
        rows,
        note="With advection, even degrees fall back from p + 2 - α towards p.",
    )
    return table, [Check.at_most("with advection: shortfall of the order", max(short), 0.15)]


def _singular_table() -> tuple[Table, list[Check]]:
    rows, off = [], 0.0
    for a, p in [(1.2, 3), (1.5, 2), (1.5, 3), (1.5, 4), (1.5, 6), (1.8, 3)]:
        everywhere, middle = [], []
        for n in _SINGULAR_CELLS:
            solution, error = _singular(n, p, a)
            everywhere.append(error)
            middle.append(float(abs(solution(0.5) - torsion(np.array(0.5), a))))
        order = math.log2(everywhere[0] / everywhere[-1]) / 4
        off = max(off, abs(order - a / 2))
        in_the_middle = math.log2(middle[0] / middle[-1]) / 4
        rows.append((a, p, *everywhere, order, a / 2, middle[-1], in_the_middle))
    table = Table(
        "T3. Largest error of R u = 1, whose solution is singular at the ends",
        [
            Column("α", "g"),
            "p",
            *(Column(f"n = {n}", _ERROR) for n in _SINGULAR_CELLS),
            Column("order", _ORDER),
            Column("α / 2", _ORDER),
            Column("middle, n = 512", _ERROR),
            Column("order there", _ORDER),
        ],
        rows,
        note="u = (x (1 - x))^(α/2) / Γ(1 + α). The degree does not help.",
    )
    return table, [Check.at_most("singular solution: distance of the order from α / 2", off, 0.15)]


def _self_knowledge_table() -> tuple[Table, list[Check]]:
    rows, worst, told = [], 1.0, True
    for p, n in [(2, 64), (3, 64), (4, 64), (5, 64), (3, 256)]:
        for name, solve in [
            ("T1", _smooth),
            ("T2", _advected),
            ("T3", _singular),
        ]:
            solution, error = solve(n, p, 1.5)
            estimate = float(solution.error_estimate)
            worst = max(worst, estimate / error, error / estimate)
            told &= bool(solution.singular_ends) is (solve is _singular)
            rows.append((name, p, n, error, estimate, bool(solution.singular_ends)))
    table = Table(
        "What a solution says of itself, α = 1.5",
        [
            "problem",
            "p",
            "n",
            Column("largest error", _ERROR),
            Column("its estimate", _ERROR),
            "singular ends",
        ],
        rows,
    )
    return table, [
        Check.at_most("error estimates: largest factor from the error", worst, 3, unit="x"),
        Check.holds("singular solutions are flagged, smooth ones are not", told),
    ]


def _jacobi_table() -> tuple[Table, list[Check]]:
    reference = float(jacobi_riesz_solve(np.ones_like, 512, 1.5, c=1.0)(np.array([0.5]))[0])
    rows = []
    for K in (4, 8, 16, 32, 64):
        value = float(jacobi_riesz_solve(np.ones_like, K, 1.5, c=1.0)(np.array([0.5]))[0])
        n = 8 * K
        spline = solve_riesz_bvp(np.ones_like, n, 3, 1.5, c=1.0)
        error = abs(float(spline(np.array([0.5]))[0]) - reference)
        rows.append((K, abs(value - reference), n, error))
    table = Table(
        "The remedy: R u + u = 1, α = 1.5, error at the middle",
        ["K", Column("weighted Jacobi", _ERROR), "n", Column("splines, p = 3", _ERROR)],
        rows,
        note=f"Against K = 512, u(1/2) = {reference:.12f}.",
    )
    return table, [Check.at_most("weighted Jacobi, K = 64: error", rows[-1][1], 1e-10)]


def _plane_table() -> tuple[Table, list[Check]]:
    cells = (16, 32, 64, 128)
    rows, off = [], 0.0
    for p in (2, 3, 4, 5):
        errors = [_plane_error(n, p) for n in cells]
        order = _order(errors, last=3)
        off = max(off, abs(order - _expected_order(p, 1.5)))
        rows.append((p, *errors, order, _expected_order(p, 1.5)))
    table = Table(
        "T5. Largest error in two dimensions, α = 1.5 in both, u = (x (1 - x) y (1 - y))^4",
        [
            "p",
            *(Column(f"n = {n}", _ERROR) for n in cells),
            Column("order", _ORDER),
            Column("expected", _ORDER),
        ],
        rows,
        note="On 257 x 257 points. Order from n = 64 to 128.",
    )
    return table, [Check.at_most("two dimensions: distance of the order", off, 0.15)]


def _plane_error(n: int, p: int, alpha: float = 1.5) -> float:
    def f(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return bump_riesz(x, alpha) * bump(y) + bump(x) * bump_riesz(y, alpha)

    x = np.linspace(0.0, 1.0, 257)
    solution = solve_riesz_bvp_2d(f, (n, n), (p, p), (alpha, alpha))
    return float(np.max(np.abs(solution(x[:, None], x[None, :]) - np.outer(bump(x), bump(x)))))


def _draw_convergence(canvas: Any, smooth: Any, centred: Any) -> None:
    panels = canvas.subplots(1, len(_ALPHAS), sharey=True)
    for axes, a in zip(panels, _ALPHAS, strict=True):
        for p in _DEGREES:
            errors = np.array(smooth[a, p])
            axes.loglog(_CELLS, errors, "o-", markersize=4, label=f"p = {p}")
            last = _finest_pair(p)
            slope = (np.array(_CELLS) / _CELLS[last]) ** -_expected_order(p, a)
            axes.loglog(_CELLS, errors[last] * slope, color="gray", linewidth=0.7, zorder=1)
        axes.loglog(_CENTRED_CELLS, centred[a], "k--", label="centred differences")
        axes.set(xlabel="n", title=f"α = {a:g}", ylim=(1e-15, 1e-4))
    panels[0].set_ylabel("largest error")
    panels[-1].legend(loc="lower right", fontsize=7)

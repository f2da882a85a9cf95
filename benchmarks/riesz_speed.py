r"""Time and memory of the structured Riesz solver, beside dense elimination and whole-array NumPy.

The collocation matrix is Toeplitz but for p - 1 columns and p - 2 rows at either end (arXiv
2106.14834). It is assembled in :math:`O(p^2 N)`, held in :math:`O(pN)` numbers, and its systems are
solved through the Toeplitz part's inverse: directly, by the formula of Gohberg and Semencul and a
Schur complement of order 2(p - 1), or by GMRES with a preconditioner that sines diagonalise.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks._riesz_numpy_assembly import numpy_assembly
from benchmarks._riesz_problems import bump, bump_riesz
from benchmarks.harness import Check, Column, Context, Figure, Record, Table, benchmark
from numerics import bspline_collocation_matrix, greville_abscissae
from solvers import RieszCollocation, riesz_collocation_matrix, solve_riesz_bvp

_ALPHA = 1.5
_DENSE = (4096, 6)
_ASSEMBLED = (16384, 6)
_LARGEST = (2**17, 4)


@benchmark(
    "riesz_speed",
    title="Riesz equations: structured assembly and solution",
    paper="arXiv 2106.14834",
    summary="Against dense elimination and NumPy; GMRES iterations; scaling to n = 2^17.",
)
def run(context: Context) -> Record:
    """Ratios to dense elimination and to NumPy in one run, iterations, and growth with n."""
    _compile()
    dense_table, dense_checks = _against_dense(context)
    assembly_table, assembly_checks = _against_numpy(context)
    iteration_table, iteration_checks = _iterations(context)
    scaling_table, growth = _scaling(context)
    large_table, large_checks = _largest(context)
    return context.record(
        asked="p = 6, n = 4096: assembly, setup and solution at least 20 times faster than the "
        "dense solution. n = 2^17, p = 4 within 60 s in memory proportional to n. At most 11 "
        "iterations of GMRES to a preconditioned residual of 1e-8 for p = 2 to 8 and n to 2^14. "
        "Assembly of n = 16384, p = 6 at least 10 times faster than the same rule in NumPy.",
        tables=[dense_table, assembly_table, iteration_table, scaling_table, large_table],
        checks=[*dense_checks, *assembly_checks, *iteration_checks, *large_checks],
        figures=[
            Figure(
                "Growth with n",
                "Assembly and direct solution, α = 1.5. Dotted: proportional to n.",
                lambda canvas: _draw(canvas, growth),
                size=(9.0, 3.8),
            )
        ],
    )


def _compile() -> None:
    """Let numba compile what is timed later."""
    _solve(32, 3, np.ones(33))


def _solve(n: int, p: int, f: np.ndarray) -> np.ndarray:
    return RieszCollocation(n, p, _ALPHA).solve(f)


def _error(n: int, p: int, coefficients: np.ndarray) -> float:
    """Largest error of u = (x (1 - x))^4 at the Greville points."""
    exact = bump(greville_abscissae(n, p)[1:-1])
    return float(np.max(np.abs(bspline_collocation_matrix(n, p) @ coefficients - exact)))


def _right_hand_side(n: int, p: int) -> np.ndarray:
    return bump_riesz(greville_abscissae(n, p)[1:-1], _ALPHA)


def _against_dense(context: Context) -> tuple[Table, list[Check]]:
    n, p = _DENSE
    f = _right_hand_side(n, p)
    context.tell(f"dense elimination, n = {n}")
    A = riesz_collocation_matrix(n, p, _ALPHA)
    solutions: dict[str, np.ndarray] = {}

    def keep(name: str, path: Callable[[], np.ndarray]) -> Callable[[], None]:
        def call() -> None:
            solutions[name] = path()

        return call

    timings = context.time_interleaved(
        {
            "structured": keep("structured", functools.partial(_solve, n, p, f)),
            "dense": keep("dense", functools.partial(np.linalg.solve, A, f)),
        },
        repeats={"structured": 3 if context.quick else 7, "dense": 1 if context.quick else 3},
        warmup={"structured": 1, "dense": 0},
        baseline="structured",
    )
    rows = [(name, t.ms, t.ratio, _error(n, p, solutions[name])) for name, t in timings.items()]
    table = Table(
        f"One equation, n = {n}, p = {p}, α = {_ALPHA}",
        ["path", Column("time (ms)"), "over structured", Column("largest error", ".1e")],
        rows,
        note="Structured: assembly, setup and solution. Dense: `numpy.linalg.solve` alone, its "
        "matrix being there. The error is at the Greville points, u = (x (1 - x))^4.",
    )
    what = f"dense solution to structured assembly, setup and solution, n = {n}, p = {p}"
    return table, [Check.at_least(what, timings["dense"].ratio, 20, unit="x")]


def _against_numpy(context: Context) -> tuple[Table, list[Check]]:
    n, p = _ASSEMBLED
    context.tell(f"assembly, n = {n}")
    timings = context.time_interleaved(
        {
            "compiled": lambda: RieszCollocation(n, p, _ALPHA),
            "NumPy": lambda: numpy_assembly(n, p, _ALPHA),
        },
        repeats=5 if context.quick else 15,
        baseline="compiled",
    )
    A = RieszCollocation(n, p, _ALPHA)
    parts = zip((A.toeplitz, A.left_columns, A.top_rows), numpy_assembly(n, p, _ALPHA), strict=True)
    largest = float(np.max(np.abs(A.toeplitz)))
    difference = max(float(np.max(np.abs(a - b))) for a, b in parts) / largest
    entries = A.toeplitz.size + A.left_columns.size + A.top_rows.size
    rows = [
        (name, timing.ms, 1e9 * timing.median / entries, timing.ratio)
        for name, timing in timings.items()
    ]
    table = Table(
        f"Assembly, n = {n}, p = {p}, α = {_ALPHA}",
        ["path", Column("time (ms)"), Column("ns an entry"), "over compiled"],
        rows,
        note=f"The same quadratures and series, whole arrays at a time; {entries} entries. The two "
        f"differ by {difference:.0e} of the largest entry.",
    )
    return table, [
        Check.at_least(
            f"NumPy to compiled assembly, n = {n}", timings["NumPy"].ratio, 10, unit="x"
        ),
        Check.at_most("compiled and NumPy assembly: difference", difference, 1e-13),
    ]


def _iterations(context: Context) -> tuple[Table, list[Check]]:
    sizes = [2**k for k in ((6, 9, 12) if context.quick else range(6, 15))]
    rows, most, converged = [], 0, True
    for alpha in (1.2, 1.5, 1.8):
        for p in range(2, 9):
            context.tell(f"GMRES, α = {alpha}, p = {p}")
            counts = []
            for n in sizes:
                solution = solve_riesz_bvp(np.ones_like, n, p, alpha, method="gmres", rtol=1e-8)
                counts.append(solution.iterations)
                converged &= bool(solution.converged)
            most = max(most, *counts)
            rows.append((alpha, p, *counts))
    table = Table(
        "Iterations of GMRES to a preconditioned residual of 1e-8, right-hand side 1",
        [Column("α", "g"), "p", *(f"n = {n}" for n in sizes)],
        rows,
    )
    return table, [
        Check.at_most("GMRES iterations, p = 2 to 8", most, 11),
        Check.holds("GMRES converges everywhere", converged),
    ]


def _scaling(context: Context) -> tuple[Table, dict[int, dict[str, float]]]:
    p = _LARGEST[1]
    sizes = [2**k for k in (range(8, 15, 2) if context.quick else range(8, 18))]
    growth: dict[int, dict[str, float]] = {}
    for n in sizes:
        context.tell(f"scaling, n = {n}")
        f = _right_hand_side(n, p)
        paths: dict[str, Callable[[], Any]] = {
            "assembly": functools.partial(RieszCollocation, n, p, _ALPHA),
            "all": functools.partial(_solve, n, p, f),
        }
        if n <= (2**10 if context.quick else 2**12):
            A = riesz_collocation_matrix(n, p, _ALPHA)
            paths["dense"] = functools.partial(np.linalg.solve, A, f)
        repeats = 3 if n > 2**14 or context.quick else 7
        timings = context.time_interleaved(paths, repeats=repeats)
        growth[n] = {name: timing.median for name, timing in timings.items()}
    rows = []
    for n, t in growth.items():
        dense = 1e3 * t["dense"] if "dense" in t else None
        rows.append((n, 1e3 * t["assembly"], 1e3 * t["all"], 1e6 * t["all"] / n, dense))
    table = Table(
        f"Growth with n, p = {p}, α = {_ALPHA}",
        [
            "n",
            Column("assembly (ms)"),
            Column("with solution (ms)"),
            Column("µs a cell"),
            Column("dense solution (ms)"),
        ],
        rows,
    )
    return table, growth


def _largest(context: Context) -> tuple[Table, list[Check]]:
    p = _LARGEST[1]
    rows, doubles, seconds = [], [], float("nan")
    for n in (_LARGEST[0] // 8, _LARGEST[0]):
        call = functools.partial(_solve, n, p, _right_hand_side(n, p))
        used = context.peak_memory(call).largest
        began = time.perf_counter()
        coefficients = call()
        seconds = time.perf_counter() - began
        doubles.append(used / (8 * n))
        rows.append(
            (n, seconds, used / 2**20, doubles[-1], 8 * n**2 / 2**30, _error(n, p, coefficients))
        )
    table = Table(
        f"Large systems, p = {p}, α = {_ALPHA}",
        [
            "n",
            Column("time (s)"),
            Column("peak memory (MiB)"),
            Column("doubles a cell", ".0f"),
            Column("a dense matrix alone (GiB)"),
            Column("largest error", ".1e"),
        ],
        rows,
    )
    growth = doubles[1] / doubles[0]
    return table, [
        Check.at_most(f"n = {_LARGEST[0]}, p = {p}: time", seconds, 60, unit="s"),
        Check.at_most("peak memory a cell: growth from n = 2^14 to 2^17", growth, 1.5, unit="x"),
    ]


def _draw(canvas: Any, growth: dict[int, dict[str, float]]) -> None:
    axes = canvas.subplots()
    labels = {"assembly": "assembly", "all": "assembly and solution", "dense": "dense solution"}
    for name, style in (("assembly", "s-"), ("all", "o-"), ("dense", "x--")):
        cells = [n for n in growth if name in growth[n]]
        line = [1e3 * growth[n][name] for n in cells]
        axes.loglog(cells, line, style, markersize=4, label=labels[name])
    last = max(growth)
    cells = [n for n in growth if n >= 2**11]
    axes.loglog(cells, [1e3 * growth[last]["all"] * n / last for n in cells], "k:", linewidth=0.8)
    axes.set(xlabel="n", ylabel="time (ms)")
    axes.legend()

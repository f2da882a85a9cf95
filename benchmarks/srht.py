r"""The Hadamard sketch of a tall matrix in one pass, beside reading the matrix and beside peers.

Sampling m rows of :math:`H_N D A` does not take the whole transform: blocks of rows are signed,
transformed in cache and added up, so that A is read once. The floor is NumPy's sum of A; the peers
are SciPy's CountSketch, and the same sketch by whole transforms (fht-cpu, our own, SciPy's DCT) of
a signed copy that is padded to a power of two.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
import scipy.fft
import scipy.linalg

from benchmarks.harness import Check, Context, Figure, Record, Table, benchmark
from benchmarks.harness.record import format_cell
from numerics import Sketch, countsketch, fwht, srht

_FIRST = (262144, 50, 2000)
_SIZES = (_FIRST, (700000, 32, 2000), (1048576, 16, 1000))
_READ, _OURS = "sum of A, NumPy", "SRHT, ours"
_COUNT = "CountSketch, SciPy"
_FHT = "whole SRHT, fht-cpu"
_WHOLE = "whole SRHT, ours"
_MEMORY = 64 * 2**20


@benchmark(
    "srht",
    title="Streaming Hadamard sketch against one read of the matrix",
    paper="arXiv 2302.00248",
    summary="SRHT of 262144 x 50 to 2000 rows: time, padding, threads and memory.",
)
def run(context: Context) -> Record:
    """Time the sketches in turns, one thread and all, then padding and memory."""
    tables, checks, bars = [], [], []
    for kind in ("float64", "float32"):
        for size in _SIZES[: 1 if context.quick or kind == "float32" else None]:
            table, ratios = _one_thread(context, *size, kind)
            tables.append(table)
            bars.append((f"{size[0]} x {size[1]}, {kind}", ratios))
            if size == _FIRST and kind == "float64":
                checks += _bars(ratios)
    for part in (_threads, _padding, _memory):
        table, more = part(context)
        tables.append(table)
        checks += more
    return context.record(
        asked="At 262144 x 50 and m = 2000 in float64: at most 5 times the time of reading A once, "
        "no slower than SciPy's CountSketch, at least 3 times faster than any SRHT by the whole "
        "transform. Rows up to the next power of two cost nothing, and memory beside A and the "
        "sketch stays under 64 MiB.",
        tables=tables,
        checks=checks,
        figures=[
            Figure(
                "Time of a sketch",
                "Multiples of the time that NumPy takes to sum the matrix, one thread. The dashed "
                "line is the target. Logarithmic scale.",
                lambda canvas: _draw(canvas, bars),
                size=(8.0, 5.0),
            )
        ],
    )


def _bars(ratios: dict[str, float]) -> list[Check]:
    whole = min(ratio for name, ratio in ratios.items() if "whole" in name)
    return [
        Check.at_most("time to that of reading A, one thread", ratios[_OURS], 5, unit="x"),
        Check.at_most(
            "time to SciPy's CountSketch, one thread", ratios[_OURS] / ratios[_COUNT], 1, unit="x"
        ),
        Check.at_least(
            "gain on the fastest whole transform, one thread", whole / ratios[_OURS], 3, unit="x"
        ),
    ]


def _one_thread(
    context: Context, n: int, d: int, m: int, kind: str
) -> tuple[Table, dict[str, float]]:
    A = context.rng.standard_normal((n, d)).astype(kind)
    S = srht(n, m, rng=context.rng)
    calls = _calls(context, A, S)
    timings = context.time_interleaved(
        calls, repeats=7 if context.quick else 21, warmup=2, baseline=_READ
    )
    exact = calls[_WHOLE]()
    rows = []
    for name, timing in timings.items():
        error = None
        if "SRHT" in name:
            error = float(np.abs(calls[name]() - exact).max() / np.abs(exact).max())
        ours = timing.over(timings[_OURS])
        rows.append((name, timing.ms, timing.ratio, ours, A.nbytes / timing.median / 1e9, error))
    table = Table(
        f"{n} x {d} to {m} rows, {kind}, one thread",
        ["path", "median (ms)", "to reading A", "to ours", "A in GB/s", "difference"],
        rows,
        note="Differences of the same sketch computed in two ways, relative to its largest entry. "
        "SciPy: clarkson_woodruff_transform and fft.dct. "
        "Whole transforms include the signed, padded copy and picking the rows.",
    )
    return table, {name: timing.ratio for name, timing in timings.items()}


def _calls(context: Context, A: np.ndarray, S: Sketch) -> dict[str, Callable[[], Any]]:
    n, d = A.shape
    m = S.m
    N = 1 << (n - 1).bit_length()
    signs, rows = S.draws["signs"][:, None], S.draws["rows"]
    scale = A.dtype.type(m**-0.5)
    count = countsketch(n, m, rng=0)

    def whole() -> np.ndarray:
        padded = np.zeros((N, d), A.dtype)
        np.multiply(A, signs, out=padded[:n])
        return scale * fwht(padded, axis=0)[rows]

    def cosines() -> np.ndarray:
        mixed = scipy.fft.dct(A * signs, axis=0, norm="ortho", overwrite_x=True)
        return scale * mixed[rows % n]

    calls = {
        _READ: A.sum,
        _OURS: lambda: S @ A,
        "CountSketch, ours": lambda: count @ A,
        _COUNT: lambda: scipy.linalg.clarkson_woodruff_transform(A, m, rng=0),
        _WHOLE: whole,
        "whole SRCT, SciPy": cosines,
    }
    peer = context.optional("fht_cpu")
    if peer is not None:

        def fht_pipeline() -> np.ndarray:
            padded = np.zeros((N, d), A.dtype, order="F")
            np.multiply(A, signs, out=padded[:n])
            return scale * peer.fht(padded, axis=0, num_threads=1)[rows]

        calls[_FHT] = fht_pipeline
    return {name: _with_threads(1, call) for name, call in calls.items()}


def _with_threads(threads: int, call: Callable[[], Any]) -> Callable[[], Any]:
    def limited() -> Any:
        before = numba.get_num_threads()
        numba.set_num_threads(threads)
        try:
            return call()
        finally:
            numba.set_num_threads(before)

    return limited


def _threads(context: Context) -> tuple[Table, list[Check]]:
    n, d, m = _FIRST
    A, S = context.rng.standard_normal((n, d)), srht(n, m, rng=context.rng)
    most = numba.get_num_threads()
    counts = sorted({1, 2, 4, most} & set(range(1, most + 1)))

    def read(threads: int) -> Callable[[], float]:
        parts = np.array_split(A, threads)

        def total() -> float:
            with ThreadPoolExecutor(threads) as pool:
                return sum(pool.map(np.sum, parts))

        return A.sum if threads == 1 else total

    calls: dict[str, Callable[[], Any]] = {}
    for threads in counts:
        calls[f"{threads}, reading"] = read(threads)
        calls[f"{threads}, SRHT"] = _with_threads(threads, lambda: S @ A)
    calls["SciPy"] = lambda: scipy.linalg.clarkson_woodruff_transform(A, m, rng=0)
    timings = context.time_interleaved(calls, repeats=7 if context.quick else 21, warmup=2)
    rows = []
    for threads in counts:
        floor, ours = timings[f"{threads}, reading"], timings[f"{threads}, SRHT"]
        gain = timings["1, SRHT"].over(ours)
        rows.append((threads, floor.ms, ours.ms, ours.over(floor), gain))
    table = Table(
        f"Threads, {n} x {d} to {m} rows, float64",
        ["threads", "reading A (ms)", "SRHT (ms)", "SRHT to reading", "gain on one thread"],
        rows,
        note="Reading: the sum of equal parts of the rows in as many threads. SciPy's CountSketch, "
        f"which has one thread, takes {timings['SciPy'].ms:.3g} ms.",
    )
    as_called = timings[f"{most}, SRHT"].over(timings["SciPy"])
    return table, [
        Check.at_most("time to SciPy's CountSketch, as called", as_called, 1, unit="x"),
        # Where cores are shared, or memory is all that counts, more threads may gain nothing.
        Check.at_least("all threads: gain on one", rows[-1][-1], 0.9, unit="x"),
    ]


def _padding(context: Context) -> tuple[Table, list[Check]]:
    d, m = 32, 2000
    sizes = (2**19, 700000, 2**20)
    full = context.rng.standard_normal((2**20, d))
    sketches = {n: srht(n, m, rng=context.rng) for n in sizes}
    timings = context.time_interleaved(
        {str(n): _with_threads(1, lambda n=n: sketches[n] @ full[:n]) for n in sizes},
        repeats=5 if context.quick else 15,
        warmup=1,
        baseline=str(2**20),
    )
    rows = [
        (n, 1 << (n - 1).bit_length(), t.ms, 1e9 * t.median / n, t.ratio / (n / 2**20))
        for n, t in zip(sizes, timings.values(), strict=True)
    ]
    table = Table(
        f"Rows that are no power of two, {d} columns to {m} rows, one thread",
        ["rows", "order of H", "median (ms)", "ns a row", "a row, to 1048576 rows"],
        rows,
    )
    return table, [Check.at_most("700000 rows: time a row to that at 2^20", rows[1][-1], 1.1)]


def _memory(context: Context) -> tuple[Table, list[Check]]:
    n, d, m = _FIRST
    A, S = context.rng.standard_normal((n, d)), srht(n, m, rng=context.rng)
    calls = _calls(context, A, S)
    mebibyte = 2**20
    rows: list[tuple[Any, ...]] = [
        ("A itself", A.nbytes / mebibyte, None),
        ("the sketch", 8 * m * d / mebibyte, None),
    ]
    largest = {}
    for name in (_OURS, _COUNT, _WHOLE, _FHT):
        if name in calls:
            peak = context.peak_memory(calls[name])
            resident = None if peak.resident is None else peak.resident / mebibyte
            rows.append((name, peak.traced / mebibyte, resident))
            largest[name] = peak.largest
    table = Table(
        f"Peak extra memory, {n} x {d} to {m} rows, float64",
        ["what", "traced (MiB)", "resident (MiB)"],
        rows,
        note="Traced: what NumPy allocates. Resident: growth of the process, which sees all "
        "libraries.",
    )
    beside = (largest[_OURS] - 8 * m * d) / mebibyte
    return table, [Check.at_most("memory beside the sketch (MiB)", beside, _MEMORY / mebibyte)]


def _draw(canvas: Any, bars: list[tuple[str, dict[str, float]]]) -> None:
    axes = canvas.subplots()
    names = list(bars[0][1])
    height = 0.8 / len(bars)
    for k, (label, ratios) in enumerate(bars):
        places = np.arange(len(names)) + (k - (len(bars) - 1) / 2) * height
        drawn = axes.barh(places, [ratios[name] for name in names], height * 0.92, label=label)
        texts = [format_cell(ratios[name]) for name in names]
        axes.bar_label(drawn, texts, padding=3, fontsize=7)
    axes.axvline(1, color="gray", linewidth=1)
    axes.axvline(5, color="gray", linewidth=1, linestyle="--")
    axes.set(xscale="log", xlabel="time / time of reading A")
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.grid(visible=False, axis="y")
    axes.legend()

r"""The Walsh-Hadamard transform of columns beside C++, torch and the cosine transform.

A transform of N d numbers takes :math:`N d \log_2 N` additions, few for the memory that it touches:
what counts is how often it goes through memory. The floor is to read and write everything twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import scipy.fft

from benchmarks.harness import Check, Context, Figure, Record, Table, benchmark
from benchmarks.harness.record import format_cell
from benchmarks.harness.timing import Timing
from numerics import fwht
from numerics.hadamard import aligned_empty, transform_host

_SIZES = ((2**18, 50), (2**20, 16), (2**16, 32))
_HELD = _SIZES[:2]  # the sizes that targets are set for
_PASSES = 2

Calls = dict[str, Callable[[], Any]]


@benchmark(
    "fwht",
    title="Walsh-Hadamard transform of columns",
    summary="Transforms at 2^18 x 50, 2^20 x 16 and other layouts, against fht-cpu and SciPy.",
)
def run(context: Context) -> Record:
    """Time each size in turns on one thread, then on all."""
    tables, checks, bars = [], [], []
    for N, d in _SIZES:
        table, ratios, gain = _columns(context, N, d)
        tables.append(table)
        bars.append((f"{N} x {d}", ratios))
        if (N, d) not in _HELD:
            continue
        for what, ratio in ratios.items():
            if what.startswith("ours, one thread"):
                text = f"{N} x {d}: {what.rpartition(', ')[2]}, time to fht-cpu's"
                checks.append(Check.at_most(text, ratio, 1.3, unit="x"))
        checks.append(Check.at_least(f"{N} x {d}: gain on scipy.fft.dct", gain, 3, unit="x"))
    tables.append(_layouts(context))
    return context.record(
        asked="One thread, 2^18 x 50 and 2^20 x 16 in float64: at most 1.3 times the time of "
        "fht-cpu on Fortran order, its best case, in place and into a new array; at least 3 times "
        "faster than scipy.fft.dct.",
        tables=tables,
        checks=checks,
        figures=[
            Figure(
                "Time of the transform",
                "Multiples of fht-cpu's time for the same job, in place or into a new array. "
                "Logarithmic scale.",
                lambda canvas: _draw(canvas, bars),
                size=(8.0, 4.8),
            )
        ],
    )


def _columns(context: Context, N: int, d: int) -> tuple[Table, dict[str, float], float]:
    x = context.rng.standard_normal((N, d))
    threads = numba.get_num_threads()
    exact = _extended(x[:, :2])
    work = aligned_empty((1, N, d), x.dtype)
    work[:] = 0
    calls: Calls = {
        "ours, one thread, in place": lambda: transform_host(work),
        "ours, one thread, new array": lambda: fwht(x, 0),
        "scipy.fft.dct": lambda: scipy.fft.dct(x, axis=0),
        **_fht_calls(context, x, 1),
        **_torch_calls(context, x),
    }
    numba.set_num_threads(1)
    try:
        timings = _timed(context, calls)
    finally:
        numba.set_num_threads(threads)
    if threads > 1:
        timings |= _timed(
            context,
            {
                f"ours, {threads} threads, in place": calls["ours, one thread, in place"],
                f"ours, {threads} threads, new array": calls["ours, one thread, new array"],
                **_fht_calls(context, x, threads),
            },
        )
    floor = context.floors.bytes_seconds(2 * _PASSES * x.nbytes)
    rows: list[tuple[Any, ...]] = [(f"{_PASSES} passes, the floor", 1e3 * floor, None, 1.0)]
    ratios = {}
    for name, timing in timings.items():
        job = "in place" if name.endswith("in place") else "new array"
        count = name.split(", ")[1] if name.startswith(("ours", "fht-cpu")) else "one thread"
        peer = timings.get(f"fht-cpu, {count}, {job}")
        ratio = None if peer is None else timing.over(peer)
        if ratio is not None:
            ratios[name] = ratio
        error = None
        if name in calls and name.endswith("new array"):
            result = np.asarray(calls[name]())[:, :2]
            error = float(np.abs(result - exact).max() / np.abs(exact).max())
        rows.append((name, timing.ms, ratio, timing.median / floor, error))
    gain = timings["scipy.fft.dct"].over(timings["ours, one thread, new array"])
    table = Table(
        f"float64, {N} x {d}, along the columns of C order",
        ["path", "median (ms)", "to fht-cpu", "to the floor", "largest error"],
        rows,
        note="Ours makes a new array and transforms that in place; this part is shown alone too. "
        "fht-cpu and hadamard-transform have the columns contiguous, as they want them. "
        "Ratios to fht-cpu are of the same job on as many threads. Errors are relative to the "
        "largest coefficient, against sums in extended precision.",
    )
    return table, ratios, gain


def _fht_calls(context: Context, x: np.ndarray, threads: int) -> Calls:
    module = context.optional("fht_cpu")
    if module is None:
        return {}
    columns = np.asfortranarray(x)
    work = np.zeros_like(columns)
    label = "one thread" if threads == 1 else f"{threads} threads"

    def new() -> Any:
        # Its own inplace=False would first copy to C order and back.
        return module.fht(columns.copy(order="F"), axis=0, num_threads=threads)

    return {
        f"fht-cpu, {label}, in place": lambda: module.fht(work, axis=0, num_threads=threads),
        f"fht-cpu, {label}, new array": new,
    }


def _torch_calls(context: Context, x: np.ndarray) -> Calls:
    import torch

    tensor = torch.from_numpy(x)
    calls: Calls = {"ours, one thread, torch": lambda: fwht(tensor, 0)}
    module = context.optional("hadamard_transform")
    if module is not None and x.shape not in _HELD:
        rows = tensor.T.contiguous()
        calls["hadamard-transform, torch"] = lambda: module.hadamard_transform(rows)
    return calls


def _timed(context: Context, calls: Calls) -> dict[str, Timing]:
    """Time the two jobs apart, so that none in place finds the cache full of a peer's arrays."""
    slow = ("scipy.fft.dct", "hadamard-transform, torch")
    few, many = (3, 5) if context.quick else (7, 31)
    timings: dict[str, Timing] = {}
    for in_place in (True, False):
        job = {name: call for name, call in calls.items() if name.endswith("place") == in_place}
        repeats = {name: few if name in slow else many for name in job}
        timings |= context.time_interleaved(job, repeats=repeats)
    return timings


def _layouts(context: Context) -> Table:
    """Other layouts and kinds of the same 2^21 numbers, on one thread."""
    rng = context.rng
    count = 2**21
    threads = numba.get_num_threads()
    module = context.optional("fht_cpu")
    rows: list[tuple[Any, ...]] = []
    numba.set_num_threads(1)
    try:
        for shape, axis, kind in (
            ((count // 32, 32), 0, "float64"),
            ((32, count // 32), 1, "float64"),
            ((count, 1), 0, "float64"),
            ((2**15, 64), 1, "float64"),
            ((count // 32, 32), 0, "float32"),
            ((32, count // 32), 1, "float32"),
            ((count // 32, 32), 0, "int64"),
        ):
            x = rng.integers(-99, 99, shape).astype(kind)
            calls: Calls = {"ours": lambda x=x, axis=axis: fwht(x, axis)}
            if module is not None and kind != "int64":
                order = "F" if axis == 0 else "C"
                best = np.asarray(x, order=order)
                calls["fht-cpu"] = lambda best=best, axis=axis, order=order: module.fht(
                    best.copy(order=order), axis=axis, num_threads=1
                )
            timings = context.time_interleaved(calls, repeats=9 if context.quick else 41, warmup=2)
            ours, peer = timings["ours"], timings.get("fht-cpu")
            rows.append(
                (
                    kind,
                    f"{shape[0]} x {shape[1]}, axis {axis}",
                    ours.ms,
                    None if peer is None else peer.ms,
                    None if peer is None else ours.over(peer),
                )
            )
    finally:
        numba.set_num_threads(threads)
    return Table(
        "Other layouts of 2^21 numbers, one thread, into a new array",
        ["kind", "shape", "ours (ms)", "fht-cpu (ms)", "to fht-cpu"],
        rows,
        note="Integers are exact; no peer takes them.",
    )


def _extended(x: np.ndarray) -> np.ndarray:
    """The transform of a few columns in the platform's longest precision."""
    N, d = x.shape
    y = x.astype(np.longdouble)
    h = 1
    while h < N:
        halves = y.reshape(-1, 2, h, d)
        a, b = halves[:, 0], halves[:, 1]
        y = np.stack((a + b, a - b), axis=1)
        h *= 2
    return y.reshape(N, d)


def _draw(canvas: Any, bars: list[tuple[str, dict[str, float]]]) -> None:
    axes = canvas.subplots()
    names = [name for name in bars[0][1] if not name.startswith("fht-cpu")]
    for offset, (size, ratios) in zip((-0.27, 0.0, 0.27), bars, strict=True):
        shown = [ratios.get(name, np.nan) for name in names]
        drawn = axes.barh(np.arange(len(names)) + offset, shown, height=0.25, label=size)
        axes.bar_label(drawn, [format_cell(ratio) for ratio in shown], padding=3, fontsize=7)
    axes.axvline(1, color="gray", linewidth=1)
    axes.axvline(1.3, color="gray", linewidth=1, linestyle="--")
    axes.set(xscale="log", xlabel="time / time of fht-cpu for the same job")
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.grid(visible=False, axis="y")
    axes.legend()

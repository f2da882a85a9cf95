r"""The convolution kernel of diagonal state-space models at the size of a layer.

:math:`K_{hl} = 2 \operatorname{Re} \sum_n w_{hn} z_{hn}^l` for H systems of N conjugate pairs over
length L takes :math:`4 H N L` operations when it is written as a matrix product. It is timed beside
a batched product of that very size, which no such algorithm can beat by much, and beside the
textbook sum over an (H, N, L) array of exponentials, on a graphics card as well if there is one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks._vandermonde_on_cuda import on_device
from benchmarks.harness import Check, Context, Figure, Record, Table, benchmark
from benchmarks.harness.record import format_cell
from ssm import vandermonde_kernel

H, N, L = 256, 32, 4096
_TILE = 64


@benchmark(
    "vandermonde_kernel",
    title="Kernel of diagonal systems against a matrix product of the same size",
    paper="arXiv 2206.11893",
    summary="S4D kernel at (H, N, L) = (256, 32, 4096): time, memory and error.",
)
def run(context: Context) -> Record:
    """Time the paths on S4D-Lin systems with steps spread over [1e-3, 1e-1]."""
    rng = context.rng
    Lambda = np.broadcast_to(-0.5 + 1j * np.pi * np.arange(N), (H, N)).copy()
    w = rng.standard_normal((H, N)) + 1j * rng.standard_normal((H, N))
    dt = np.exp(rng.uniform(np.log(1e-3), np.log(1e-1), H))

    tables, checks, bars = [], [], []
    for kind in ("float64", "float32"):
        table, new_checks, ratios = _precision(context, Lambda, w, dt, kind)
        tables.append(table)
        # The targets are set for float64; float32 is shown beside it.
        checks += new_checks if kind == "float64" else []
        bars.append((kind, ratios))
    memory, memory_check = _memory(context, Lambda, w, dt)
    return context.record(
        asked="At most 2 times the batched matrix product of the same operations in float64, at "
        "least 20 times faster than the naive sum, and never an (H, N, L) array.",
        tables=[*tables, memory, *on_device(context, Lambda, w, dt, L)],
        checks=[*checks, memory_check],
        figures=[
            Figure(
                "Time of the kernel",
                "Multiples of the batched matrix product of the same operations in the same "
                "library, which is the line at 1; the dashed line is the target. Logarithmic "
                "scale.",
                lambda canvas: _draw(canvas, bars),
                size=(8.0, 4.4),
            )
        ],
    )


def _precision(
    context: Context, Lambda: np.ndarray, w: np.ndarray, dt: np.ndarray, kind: str
) -> tuple[Table, list[Check], dict[str, float]]:
    """Time one precision, each library in its own turns so that their thread pools rest between."""
    single = kind == "float32"
    Lambda, w = (array.astype(np.complex64 if single else np.complex128) for array in (Lambda, w))
    dt = dt.astype(kind)
    left = context.rng.standard_normal((H, L // _TILE, 2 * N)).astype(kind)
    right = context.rng.standard_normal((H, 2 * N, _TILE)).astype(kind)
    few = _naive_systems(context)
    naive = _naive_calls(Lambda[:few], w[:few], dt[:few])
    ours = _numpy_calls(Lambda, w, dt, left, right)
    groups = {"NumPy": ours, "torch": _torch_calls(Lambda, w, dt, left, right)}
    exact = _extended(Lambda[:4], w[:4], dt[:4])

    rows: list[tuple[Any, ...]] = []
    checks, ratios = [], {}
    for library, calls in groups.items():
        timings = context.time_interleaved(
            calls,
            repeats=9 if context.quick else 31,
            warmup=3,
            baseline=f"batched product, {library}",
        )
        for name, timing in timings.items():
            error = None if name.startswith("batched") else _error(calls[name](), exact)
            rows.append((name, timing.ms, timing.ratio, None, _rate(timing.median), error))
            ratios[name] = timing.ratio
        ratio = timings[f"ours, {library}"].ratio
        checks.append(Check.at_most(f"{kind}, {library}: time to the product", ratio, 2, unit="x"))

    first = "ours, NumPy"
    timings = context.time_interleaved(
        {first: ours[first], **naive}, repeats=2 if context.quick else 5, baseline=first
    )
    for name, call in naive.items():
        gain = H / few * timings[name].ratio
        seconds = H / few * timings[name].median
        ratios[name] = gain * ratios[first]
        error = _error(call(), exact)
        rows.append((name, 1e3 * seconds, ratios[name], gain, _rate(seconds), error))
        checks.append(Check.at_least(f"{kind}: gain on {name}", gain, 20, unit="x"))

    scaled = "" if few == H else f", which is timed at H = {few} and scaled to {H}"
    table = Table(
        f"{kind}, (H, N, L) = ({H}, {N}, {L})",
        ["path", "median (ms)", "to the product", "gain of ours", "Gflop/s", "largest error"],
        rows,
        note=f"The product is ({H}, {L // _TILE}, {2 * N}) by ({H}, {2 * N}, {_TILE}) in the same "
        f"library, the same 4HNL operations. Ours in NumPy gains the factor shown on the naive "
        f"sum{scaled}. Errors are relative to each kernel's largest value, against sums in "
        "extended precision.",
    )
    return table, checks, ratios


def _rate(seconds: float) -> float:
    return 4.0 * H * N * L / seconds / 1e9


def _numpy_calls(
    Lambda: np.ndarray, w: np.ndarray, dt: np.ndarray, left: np.ndarray, right: np.ndarray
) -> dict[str, Callable[[], Any]]:
    return {
        "batched product, NumPy": lambda: np.matmul(left, right),
        "ours, NumPy": lambda: vandermonde_kernel(Lambda, w, L, dt=dt),
        "ours, NumPy, algorithm='matmul'": lambda: vandermonde_kernel(
            Lambda, w, L, dt=dt, algorithm="matmul"
        ),
    }


def _torch_calls(
    Lambda: np.ndarray, w: np.ndarray, dt: np.ndarray, left: np.ndarray, right: np.ndarray
) -> dict[str, Callable[[], Any]]:
    import torch

    tensors = [torch.from_numpy(array) for array in (Lambda, w, dt)]
    leaves = [tensor.clone().requires_grad_() for tensor in tensors]
    matrices = torch.from_numpy(left), torch.from_numpy(right)

    def backward() -> Any:
        kernel = vandermonde_kernel(leaves[0], leaves[1], L, dt=leaves[2])
        torch.autograd.grad(kernel.sum(), leaves)
        return kernel.detach()

    return {
        "batched product, torch": lambda: torch.bmm(*matrices),
        "ours, torch": lambda: vandermonde_kernel(tensors[0], tensors[1], L, dt=tensors[2]),
        "ours, torch, gradient recorded": lambda: vandermonde_kernel(
            leaves[0], leaves[1], L, dt=leaves[2]
        ).detach(),
        "ours, torch, forward and backward": backward,
    }


def _naive_calls(Lambda: np.ndarray, w: np.ndarray, dt: np.ndarray) -> dict[str, Any]:
    """The textbook form: one exponential for every system, mode and time."""
    import torch

    poles, weights, steps = (torch.from_numpy(array) for array in (Lambda, w, dt))

    def with_numpy() -> np.ndarray:
        exponent = dt[:, None] * Lambda
        gain = w * (np.exp(exponent) - 1) / Lambda
        powers = np.exp(exponent[..., None] * np.arange(L, dtype=dt.dtype))
        return 2 * np.einsum("hn,hnl->hl", gain, powers).real

    def with_torch() -> Any:
        exponent = steps[:, None] * poles
        gain = weights * (torch.exp(exponent) - 1) / poles
        powers = torch.exp(exponent[..., None] * torch.arange(L))
        return 2 * torch.einsum("hn,hnl->hl", gain, powers).real

    return {"naive sum, NumPy": with_numpy, "naive sum, torch": with_torch}


def _naive_systems(context: Context) -> int:
    return 16 if context.quick else H


def _extended(Lambda: np.ndarray, w: np.ndarray, dt: np.ndarray) -> np.ndarray:
    """The same sum in the platform's longest precision, for a few systems."""
    poles, weights = Lambda.astype(np.clongdouble), w.astype(np.clongdouble)
    exponent = dt.astype(np.longdouble)[:, None] * poles
    gain = weights * (np.exp(exponent) - 1) / poles
    powers = np.exp(exponent[..., None] * np.arange(L))
    return 2 * np.sum(gain[..., None] * powers, axis=1).real


def _error(result: Any, exact: np.ndarray) -> float:
    difference = np.abs(np.asarray(result)[: len(exact)] - exact).max(axis=1)
    return float((difference / np.abs(exact).max(axis=1)).max())


def _memory(
    context: Context, Lambda: np.ndarray, w: np.ndarray, dt: np.ndarray
) -> tuple[Table, Check]:
    whole = 16 * H * N * L
    result = 8 * H * L
    rows: list[tuple[Any, ...]] = [
        ("an (H, N, L) array of complex128", None, whole / 2**20, 1.0),
        ("the result", None, result / 2**20, result / whole),
    ]
    largest = 0
    for algorithm in ("auto", "matmul"):
        peak = context.peak_memory(
            functools.partial(vandermonde_kernel, Lambda, w, L, dt=dt, algorithm=algorithm)
        )
        largest = max(largest, peak.largest)
        resident = None if peak.resident is None else peak.resident / 2**20
        name = f"ours, NumPy, algorithm={algorithm!r}"
        rows.append((name, peak.traced / 2**20, resident, peak.largest / whole))
    table = Table(
        "Peak extra memory in float64, the result included",
        ["what", "traced (MiB)", "resident (MiB)", "share of an (H, N, L) array"],
        rows,
        note="Traced: what NumPy allocates. Resident: growth of the process, which sees all "
        "libraries.",
    )
    share = largest / whole
    return table, Check.at_most("float64: peak memory, share of an (H, N, L) array", share, 0.25)


def _draw(canvas: Any, bars: list[tuple[str, dict[str, float]]]) -> None:
    axes = canvas.subplots()
    names = list(bars[0][1])
    for offset, (precision, ratios) in zip((-0.2, 0.2), bars, strict=True):
        places = np.arange(len(names)) + offset
        drawn = axes.barh(places, [ratios[name] for name in names], height=0.38, label=precision)
        axes.bar_label(drawn, [format_cell(ratios[name]) for name in names], padding=3, fontsize=8)
    axes.axvline(1, color="gray", linewidth=1)
    axes.axvline(2, color="gray", linewidth=1, linestyle="--")
    axes.set(xscale="log", xlabel="time / time of the batched product")
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.grid(visible=False, axis="y")
    axes.legend()

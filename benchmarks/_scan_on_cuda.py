"""Linear scans on a graphics card, beside copying on it and what torch.compile makes of one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.harness import Check, Context, Table
from ssm import linear_scan

_STEPS = 20_000


def on_device(context: Context, kinds: tuple[str, ...]) -> tuple[list[Table], list[Check]]:
    """Where there is a CUDA device: beside copying on it and doubling in torch.compile."""
    import torch

    if not torch.cuda.is_available():
        context.skipped.append("there is no CUDA device: its tables are left out")
        return [], []
    size = 2 ** (25 if context.quick else 29)
    pairs = [_device_table(context, "cuda", kind, size) for kind in kinds]
    tables = [table for table, _ in pairs] + [_device_gradients(context, "cuda", size // 16)]
    return tables, [check for _, found in pairs for check in found]


def _device_table(context: Context, device: str, kind: str, size: int) -> tuple[Table, list[Check]]:
    """Arrays of ``size`` bytes: many channels, few, and signals."""
    rows: list[tuple[Any, ...]] = []
    checks = []
    for name, shape, axis in _device_shapes(size // np.dtype(kind).itemsize):
        a, b = _device_sequences(context, device, shape, kind)
        copies = _device_copies(device, a, b)
        calls: dict[str, Callable[[], Any]] = {
            copies[0]: copies[1],
            "ours": _waiting(device, lambda a=a, b=b, axis=axis: linear_scan(a, b, axis=axis)),
        }
        if not kind.startswith("complex"):
            calls["doubling in torch.compile"] = _waiting(
                device, lambda a=a, b=b, axis=axis: _doubling()(a, b, axis)
            )
        timings = context.time_interleaved(
            calls,
            repeats=dict.fromkeys(calls, 5) | dict.fromkeys(("ours", copies[0]), 20),
            warmup=2,
            baseline=copies[0],
        )
        exact = extended(*(_few_lanes(x, axis) for x in (a, b)))
        for call, timing in timings.items():
            copied = call == copies[0]
            error = None if copied else largest_error(_few_lanes(calls[call](), axis), exact)
            # A copy moves six arrays, a scan must move three.
            rate = (6 if copied else 3) * size / timing.median / 1e9
            share = 1.0 if copied else 1 / (2 * timing.ratio)
            rows.append((name, call, timing.ms, rate, share, error))
            if call == "ours":
                what = f"CUDA, {kind}, {name}: rate over that of copying"
                checks.append(Check.at_least(what, share, 0.7))
    return Table(
        f"CUDA, {kind}, arrays of {size // 2**20} MiB",
        ["input", "path", "median (ms)", "GB/s", "share of copying", "largest error"],
        rows,
        note="Rates count the three arrays that a scan reads and writes, and the six of copying "
        "three. Times are those of whole calls, of ours with the checks of its input. Errors as "
        "above, of the first steps of a few channels.",
    ), checks


def _device_gradients(context: Context, device: str, size: int) -> Table:
    """Forward and backward by both inputs in single precision."""
    import torch

    rows: list[tuple[Any, ...]] = []
    for name, shape, axis in _device_shapes(size // 4):
        a, b = _device_sequences(context, device, shape, "float32")
        copy, copies = _device_copies(device, a, b)
        inputs = (a.requires_grad_(), b.requires_grad_())
        scans = {
            "ours": lambda a, b, axis=axis: linear_scan(a, b, axis=axis),
            "doubling in torch.compile": lambda a, b, axis=axis: _doubling()(a, b, axis),
        }
        calls: dict[str, Callable[[], Any]] = {copy: copies} | {
            call: _waiting(
                device,
                lambda scan=scan, inputs=inputs: torch.autograd.grad(scan(*inputs).sum(), inputs),
            )
            for call, scan in scans.items()
        }
        timings = context.time_interleaved(calls, repeats=5, warmup=2, baseline=copy)
        rows += [(name, call, timing.ms, timing.ratio) for call, timing in timings.items()]
    return Table(
        f"CUDA, forward and backward, float32, arrays of {size // 2**20} MiB",
        ["input", "path", "median (ms)", "to copying"],
        rows,
    )


def _device_shapes(elements: int) -> list[tuple[str, tuple[int, ...], int]]:
    return [
        ("8 x 4096 channels", (8, elements // 2**15, 4096), -2),
        ("8 x 64 channels", (8, elements // 2**9, 64), -2),
        ("64 signals", (64, elements // 64), -1),
    ]


def _device_sequences(
    context: Context, device: str, shape: tuple[int, ...], kind: str
) -> tuple[Any, Any]:
    import torch

    seed = int(context.rng.integers(2**31))
    generator = torch.Generator(device).manual_seed(seed)
    dtype = getattr(torch, kind)
    real = torch.float32 if kind in ("float32", "complex64") else torch.float64
    a, b, turn = (
        torch.rand(shape, generator=generator, device=device, dtype=real) for _ in range(3)
    )
    a = 0.5 + a / 2
    return (torch.polar(a, 6 * turn), torch.complex(b, turn)) if dtype.is_complex else (a, b)


def _device_copies(device: str, a: Any, b: Any) -> tuple[str, Callable[[], Any]]:
    import torch

    sources = (a, b, b.clone())
    targets = tuple(map(torch.empty_like, sources))

    def copy() -> None:
        for target, source in zip(targets, sources, strict=True):
            target.copy_(source)

    return "copying three arrays", _waiting(device, copy)


@functools.cache
def _doubling() -> Callable[..., Any]:
    """Rounds of twice as many steps each, as one would write a scan for torch.compile."""
    import torch

    def scan(a: Any, b: Any, axis: int) -> Any:
        shift, L = 1, b.shape[axis]
        while shift < L:
            rest = L - shift
            later, before = a.narrow(axis, shift, rest), a.narrow(axis, 0, rest)
            added = b.narrow(axis, shift, rest) + later * b.narrow(axis, 0, rest)
            b = torch.cat((b.narrow(axis, 0, shift), added), axis)
            a = torch.cat((a.narrow(axis, 0, shift), later * before), axis)
            shift *= 2
        return b

    return torch.compile(scan)


def _waiting(device: str, call: Callable[[], Any]) -> Callable[[], Any]:
    """The call, that returns when the device is done."""
    import torch

    def called() -> Any:
        result = call()
        if device == "cuda":
            torch.cuda.synchronize()
        return result

    return called


def _few_lanes(array: Any, axis: int) -> np.ndarray:
    """Four lanes and the first steps as (1, steps, lanes) on the host."""
    array = array[:4, :_STEPS].T if axis == -1 else array[0, :_STEPS, :4]
    return array[None].cpu().numpy()


def extended(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The recurrence along the middle axis in the platform's longest precision."""
    longest = np.clongdouble if np.iscomplexobj(b) else np.longdouble
    h = np.zeros(b.shape, longest)
    state = h[:, 0].copy()
    for t in range(b.shape[1]):
        state = a[:, t].astype(longest) * state + b[:, t]
        h[:, t] = state
    return h


def largest_error(result: Any, exact: np.ndarray) -> float:
    compared = np.asarray(result)[tuple(slice(0, n) for n in exact.shape)]
    return float(np.abs(compared - exact).max() / np.abs(exact).max())

"""The kernel of diagonal systems on a graphics card, beside a matrix product of its size there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.harness import Context, Table
from ssm import vandermonde_kernel

_TILE = 64


def on_device(
    context: Context, Lambda: np.ndarray, w: np.ndarray, dt: np.ndarray, L: int
) -> list[Table]:
    """Where there is a CUDA device: forward, and forward and backward, in both precisions."""
    import torch

    if not torch.cuda.is_available():
        context.skipped.append("there is no CUDA device: its tables are left out")
        return []
    kinds = ("float64", "float32")
    return [device_table(context, "cuda", Lambda, w, dt, L, kind) for kind in kinds]


def device_table(
    context: Context,
    device: str,
    Lambda: np.ndarray,
    w: np.ndarray,
    dt: np.ndarray,
    L: int,
    kind: str,
) -> Table:
    """Our kernel, our matrix products, and the textbook sum that torch.compile fuses."""
    import torch

    (H, N), real = Lambda.shape, getattr(torch, kind)
    both = torch.complex64 if kind == "float32" else torch.complex128
    leaves = [
        torch.as_tensor(x, device=device).to(both if np.iscomplexobj(x) else real).requires_grad_()
        for x in (Lambda, w, dt)
    ]
    doubles = [x.detach().to(torch.complex128 if x.is_complex() else torch.float64) for x in leaves]
    exact = vandermonde_kernel(*doubles[:2], L, dt=doubles[2], algorithm="matmul")
    left = torch.ones((H, L // _TILE, 2 * N), dtype=real, device=device)
    right = torch.ones((H, 2 * N, _TILE), dtype=real, device=device)
    compiled = torch.compile(_textbook_sum)
    forms: dict[str, Callable[..., Any]] = {
        "ours": lambda Lambda, w, dt: vandermonde_kernel(Lambda, w, L, dt=dt),
        "ours, algorithm='matmul'": lambda Lambda, w, dt: vandermonde_kernel(
            Lambda, w, L, dt=dt, algorithm="matmul"
        ),
        "textbook sum in torch.compile": lambda Lambda, w, dt: compiled(Lambda, w, dt, L),
    }
    rows: list[tuple[Any, ...]] = []
    for backward in (False, True):
        product = "batched product"
        calls: dict[str, Callable[[], Any]] = {
            product: _waiting(device, lambda: torch.bmm(left, right), [], False)
        } | {name: _waiting(device, form, leaves, backward) for name, form in forms.items()}
        timings = context.time_interleaved(calls, repeats=20, warmup=3, baseline=product)
        for name, timing in timings.items():
            error = None if name == product else _error(calls[name](), exact)
            what = "forward and backward" if backward and name != product else "forward"
            rows.append((name, what, timing.ms, timing.ratio, error))
    return Table(
        f"CUDA, {kind}, (H, N, L) = ({H}, {N}, {L})",
        ["path", "pass", "median (ms)", "to the product", "largest error"],
        rows,
        note="Whole calls, of ours with the checks of the input, which wait for the device. "
        "Errors are relative to each kernel's largest value, against our matrix products in "
        "double precision.",
    )


def _textbook_sum(Lambda: Any, w: Any, dt: Any, L: int) -> Any:
    """One real exponential, cosine and sine for every system, mode and time."""
    import torch

    exponent = dt[:, None] * Lambda
    gain = 2 * w * (torch.exp(exponent) - 1) / Lambda
    t = torch.arange(L, device=dt.device, dtype=dt.dtype)
    decay, phase = (x[..., None] * t for x in (exponent.real, exponent.imag))
    parts = gain.real[..., None] * torch.cos(phase) - gain.imag[..., None] * torch.sin(phase)
    return (torch.exp(decay) * parts).sum(1)


def _waiting(
    device: str, function: Callable[..., Any], inputs: list[Any], backward: bool
) -> Callable[[], Any]:
    """The call, with gradients or without, that returns when the device is done."""
    import torch

    def called() -> Any:
        with torch.set_grad_enabled(backward):
            result = function(*inputs)
        if backward:
            torch.autograd.grad(result.sum(), inputs)
        if device == "cuda":
            torch.cuda.synchronize()
        return result.detach()

    return called


def _error(result: Any, exact: Any) -> float:
    difference = (result - exact).abs().amax(1)
    return float((difference / exact.abs().amax(1)).max())

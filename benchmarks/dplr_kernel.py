r"""Kernels of S4's diagonal plus low-rank systems: time against a matrix product, and accuracy.

By its Cauchy sums the kernel of H systems of N conjugate pairs and rank 1 over length L is four
sums over 2N real terms at L points, :math:`8 H N L` real multiply-adds. It is timed beside a
batched matrix product of that size, beside the published form with a Cauchy matrix of reciprocals,
and beside recurrences. The published form divides by :math:`1 + z`, which is zero at the Nyquist
frequency; what that costs is in the table of errors.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks._dplr_peers import (
    array_of_reciprocals,
    dense_systems,
    dimpulse,
    forty_digits,
    keops_works,
    lazy_sums,
    lfilter_of_ss2tf,
    published_form,
)
from benchmarks.harness import Check, Column, Context, Figure, Record, Table, benchmark
from benchmarks.harness.record import format_cell
from ssm import dense_kernel, dplr_c_tilde, dplr_kernel, nplr

SIZES = ((256, 32, 1024), (256, 32, 4096), (64, 32, 16384), (64, 128, 1024))
QUICK_SIZES = ((64, 32, 1024), (32, 32, 4096), (16, 128, 1024))
PEER_SIZE, QUICK_PEER_SIZE = (256, 32, 1024), (32, 32, 1024)
_TARGET = 3
Calls = dict[str, Callable[[], Any]]
Arrays = tuple[np.ndarray, ...]


@benchmark(
    "dplr_kernel",
    title="Kernels of S4 against a matrix product of the size of their Cauchy sums",
    paper="arXiv 2111.00396",
    summary="DPLR kernels at several (H, N, L): time, peers, gradients, and error to 40 digits.",
)
def run(context: Context) -> Record:
    """Time LegS systems with steps spread over [1e-3, 1e-1], then measure errors."""
    tables, checks, bars = [], [], []
    for kind in ("float64", "float32"):
        table, new_checks, ratios = _times(context, kind)
        tables.append(table)
        checks += new_checks
        bars.append((kind, ratios))
    tables += [_peers(context, kind) for kind in ("float64", "float32")]
    tables.append(_gradients(context))
    errors, error_checks = _errors(context)
    return context.record(
        asked="At most 3 times the batched matrix product of its Cauchy sums; complex64 within "
        "1e-6 of complex128 for C = ones and within 1e-5 for random C.",
        tables=[*tables, errors],
        checks=[*checks, *error_checks],
        figures=[
            Figure(
                "Time of the kernel",
                "Multiples of the batched matrix product in the same precision, which is the line "
                "at 1; the dashed line is the target. Sizes are (H, N, L).",
                lambda canvas: _draw(canvas, bars),
                size=(8.0, 5.0),
            )
        ],
    )


def _systems(context: Context, size: tuple[int, int, int], kind: str) -> tuple[Arrays, np.ndarray]:
    """Lambda, P, B, C, dt of H systems in one precision, and the C~ that belongs to C."""
    H, N, L = size
    rng = context.rng
    Lambda, P, B, _ = nplr("legs", 2 * N)
    C = rng.standard_normal((H, N)) + 1j * rng.standard_normal((H, N))
    dt = np.exp(rng.uniform(np.log(1e-3), np.log(1e-1), H))
    tilde = dplr_c_tilde(Lambda, P, C, L, dt=dt)
    parts = [np.repeat(x[None], H, axis=0) for x in (Lambda, P, B)]
    complex_kind = np.complex64 if kind == "float32" else np.complex128
    *arrays, tilde = (x.astype(complex_kind) for x in (*parts, C, tilde))
    return (*arrays, dt.astype(kind)), tilde


def _times(context: Context, kind: str) -> tuple[Table, list[Check], dict[str, dict[str, float]]]:
    rows: list[tuple[Any, ...]] = []
    checks, ratios = [], {}
    for size in QUICK_SIZES if context.quick else SIZES:
        H, N, L = size
        (Lambda, P, B, C, dt), tilde = _systems(context, size, kind)
        left = context.rng.standard_normal((H, 4, 2 * N)).astype(kind)
        right = context.rng.standard_normal((H, 2 * N, L)).astype(kind)
        ours = functools.partial(dplr_kernel, Lambda, P, B, L=L, dt=dt)
        product = f"{size}: batched product"
        calls: Calls = {
            product: functools.partial(np.matmul, left, right),
            f"{size}: ours, C": functools.partial(ours, C=C),
            f"{size}: ours, C~": functools.partial(ours, C=tilde, C_is_tilde=True),
        }
        timings = context.time_interleaved(
            calls, repeats=9 if context.quick else 21, warmup=2, baseline=product
        )
        for name, timing in timings.items():
            rate = 8 * H * N * L / timing.median / 1e9
            path = name.partition(": ")[2]
            rows.append((str(size), path, timing.ms, timing.ratio, rate))
            if name != product:
                what = f"{kind}, {name}: time to the product"
                checks.append(Check.at_most(what, timing.ratio, _TARGET, unit="x"))
        ratios[str(size)] = {n.rpartition("ours, ")[2]: t.ratio for n, t in timings.items()}
    table = Table(
        f"{kind}, (H, N, L) with N pairs of modes, NumPy",
        ["(H, N, L)", "path", "median (ms)", "to the product", "8HNL / time (1e9/s)"],
        rows,
        note="The product is (H, 4, 2N) by (H, 2N, L), all matrices different: 8HNL multiply-adds. "
        "With C given the rows of the discrete matrix are run in blocks in float64; with C~ given "
        "the generating function is summed at L/2 + 1 points.",
    )
    return table, checks, ratios


def _peers(context: Context, kind: str) -> Table:
    H, _, L = size = QUICK_PEER_SIZE if context.quick else PEER_SIZE
    arrays, tilde = _systems(context, size, kind)
    Lambda, P, B, C, dt = arrays
    few = 4
    exact = dplr_kernel(*(x[:few].astype(complex) for x in (Lambda, P, B, C)), L, dt=dt[:few])
    calls: Calls = {
        "ours, C": lambda: dplr_kernel(Lambda, P, B, C, L, dt=dt),
        "ours, C~": lambda: dplr_kernel(Lambda, P, B, tilde, L, dt=dt, C_is_tilde=True),
        "published form, C~, torch": lambda: published_form(
            Lambda, P, B, tilde, dt, L, array_of_reciprocals
        ),
    }
    if keops_works(context):
        calls["published form, C~, pykeops"] = lambda: published_form(
            Lambda, P, B, tilde, dt, L, lazy_sums
        )
    dense = dense_systems(*(x[:few] for x in arrays))
    slow: Calls = {
        "dense powers, C, NumPy": lambda: dense_kernel(*dense, L),
        "scipy.signal.dimpulse, C": lambda: dimpulse(*dense, L),
        "scipy.signal.lfilter of ss2tf, C": lambda: lfilter_of_ss2tf(*dense, L),
    }
    repeats = dict.fromkeys(calls, 5 if context.quick else 9) | dict.fromkeys(slow, 2)
    timings = context.time_interleaved(calls | slow, repeats=repeats, baseline="ours, C")
    rows: list[tuple[Any, ...]] = []
    for name, call in (calls | slow).items():
        scale = H / few if name in slow else 1
        difference = np.abs(np.asarray(call())[:few] - exact).max(axis=1)
        error = float((difference / np.abs(exact).max(axis=1)).max())
        timing = timings[name]
        rows.append((name, scale * timing.ms, scale * timing.ratio, error))
    return Table(
        f"Peers, {kind}, (H, N, L) = {size}",
        ["path", "median (ms)", "time to ours, C", Column("largest error", ".1e")],
        rows,
        note="The published form makes one array of reciprocals (H, L/2 + 1, 2N) for its four "
        "sums; pykeops makes none. Dense powers square the matrices that ours keep diagonal plus "
        f"low-rank. They, and scipy's, which take one system at a time, run {few} systems and are "
        f"scaled to {H}; a filter needs the coefficients of polynomials of degree 2N. Errors are "
        "relative to the largest entry, against ours in complex128 on the same parameters. C~ "
        "itself was computed before.",
    )


def _gradients(context: Context) -> Table:
    """Forward and backward by every parameter, at the size of a layer in training."""
    import torch

    _, _, L = size = (16, 32, 512) if context.quick else (64, 32, 1024)
    rows: list[tuple[Any, ...]] = []
    for kind in ("float64", "float32"):
        arrays, tilde = _systems(context, size, kind)
        Lambda, P, B, C, dt = (torch.tensor(x, requires_grad=True) for x in arrays)
        learnt = torch.tensor(tilde, requires_grad=True)
        leaves = {False: (Lambda, P, B, C, dt), True: (Lambda, P, B, learnt, dt)}

        def backward(
            kernel: Callable[..., Any], is_tilde: bool, leaves: dict[bool, Any] = leaves
        ) -> Any:
            return torch.autograd.grad(kernel(*leaves[is_tilde]).sum(), leaves[is_tilde])

        def ours(*system: Any, is_tilde: bool) -> Any:
            return dplr_kernel(*system[:4], L, dt=system[4], C_is_tilde=is_tilde)

        def published(*system: Any) -> Any:
            return published_form(*system, L, array_of_reciprocals)

        calls: Calls = {
            f"{kind}: ours, C": functools.partial(
                backward, functools.partial(ours, is_tilde=False), False
            ),
            f"{kind}: ours, C~": functools.partial(
                backward, functools.partial(ours, is_tilde=True), True
            ),
            f"{kind}: published form, C~": functools.partial(backward, published, True),
        }
        first = next(iter(calls))
        timings = context.time_interleaved(calls, repeats=3 if context.quick else 7, baseline=first)
        rows += [(name, timing.ms, timing.ratio) for name, timing in timings.items()]
    return Table(
        f"Forward and backward in torch, (H, N, L) = {size}",
        ["path", "median (ms)", "time to ours, C"],
        rows,
        note="Gradients by the poles, P, B, C or C~, and the steps.",
    )


def _errors(context: Context) -> tuple[Table, list[Check]]:
    """One system at a time, against 40 digits and against double precision."""
    N, dt = (16, 1e-3) if context.quick else (64, 1e-3)
    rows: list[tuple[Any, ...]] = []
    worst = {"ones": 0.0, "random": 0.0, "double": 0.0}
    Lambda, P, B, _ = nplr("legs", N)
    random = context.rng.standard_normal(N // 2) + 1j * context.rng.standard_normal(N // 2)
    for name, C in (("ones", np.ones(N // 2, complex)), ("random", random)):
        for L in (1023, 1024):
            context.tell(f"errors, C = {name}, L = {L}")
            tilde = dplr_c_tilde(Lambda, P, C, L, dt=dt)
            forms = _forms((Lambda, P, B), C, tilde, dt, L)
            exact = forty_digits(Lambda, P, B, C, dt, L)
            double = {form: _relative(K, exact) for form, K in forms.items()}
            single = [x.astype(np.complex64) for x in (Lambda, P, B, C, tilde)]
            wide = [x.astype(complex) for x in single]
            expected = _forms(tuple(wide[:3]), *wide[3:], dt, L)
            reference = {form: K for form, K in expected.items() if form.startswith("ours")}
            errors = {
                form: _relative(K, reference.get(form, reference["ours, C~"]))
                for form, K in _forms(tuple(single[:3]), *single[3:], dt, L).items()
                if not form.startswith("dense")
            }
            rows += [(name, L, form, double[form], errors.get(form)) for form in forms]
            ours = [form for form in forms if form.startswith("ours")]
            worst["double"] = max(worst["double"], *(double[form] for form in ours))
            worst[name] = max(worst[name], *(errors[form] for form in ours))
    table = Table(
        f"Errors for LegS, {N // 2} pairs of modes, step {dt}",
        [
            "C",
            Column("L", "d"),
            "path",
            Column("complex128 to 40 digits", ".1e"),
            Column("complex64", ".1e"),
        ],
        rows,
        note="Relative to the largest entry. Those of complex64 are against ours in complex128 on "
        "the same rounded parameters.",
    )
    checks = [
        Check.at_most("complex64, C = ones: largest error", worst["ones"], 1e-6),
        Check.at_most("complex64, random C: largest error", worst["random"], 1e-5),
        Check.at_most("complex128: largest error to 40 digits", worst["double"], 1e-12),
    ]
    return table, checks


def _forms(
    system: Arrays, C: np.ndarray, tilde: np.ndarray, dt: float, L: int
) -> dict[str, np.ndarray]:
    Lambda, P, B = system
    step = np.full(1, dt, C.real.dtype)
    one = [x[None] for x in (Lambda, P, B, tilde)]
    return {
        "ours, C": dplr_kernel(Lambda, P, B, C, L, dt=dt),
        "ours, C~": dplr_kernel(Lambda, P, B, tilde, L, dt=dt, C_is_tilde=True),
        "published form, C~": np.asarray(published_form(*one, step, L, array_of_reciprocals))[0],
        "dense powers": dense_kernel(
            *dense_systems(*(x[None] for x in (Lambda, P, B, C)), step), L
        )[0],
    }


def _relative(K: np.ndarray, exact: np.ndarray) -> float:
    return float(np.abs(K - exact).max() / np.abs(exact).max())


def _draw(canvas: Any, bars: list[tuple[str, dict[str, dict[str, float]]]]) -> None:
    axes = canvas.subplots()
    sizes = list(bars[0][1])
    labels = [f"{size}, {form}" for size in sizes for form in ("C", "C~")]
    for offset, (kind, ratios) in zip((-0.2, 0.2), bars, strict=True):
        values = [ratios[size][form] for size in sizes for form in ("C", "C~")]
        drawn = axes.barh(np.arange(len(labels)) + offset, values, height=0.38, label=kind)
        axes.bar_label(drawn, [format_cell(value) for value in values], padding=3, fontsize=8)
    axes.axvline(1, color="gray", linewidth=1)
    axes.axvline(_TARGET, color="gray", linewidth=1, linestyle="--")
    axes.set(xlabel="time / time of the batched product")
    axes.set_yticks(range(len(labels)), labels)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.grid(visible=False, axis="y")
    axes.legend()

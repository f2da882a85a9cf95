r"""Scans of :math:`h_t = a_t h_{t-1} + b_t` beside copying memory, filters and other scans.

A scan makes two operations of every three numbers that it touches, a and b in and h out, so memory
sets its pace: it is timed beside copying three arrays of that size, on a graphics card as well if
there is one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.signal

from benchmarks._scan_on_cuda import extended, largest_error, on_device
from benchmarks.harness import Check, Context, Figure, Record, Table, benchmark
from benchmarks.harness.record import format_cell
from benchmarks.harness.timing import Timing
from ssm import linear_scan

KINDS = ("float64", "float32", "complex128", "complex64")
COPY = "copying three arrays, NumPy"
Calls = dict[str, Callable[[], Any]]


@benchmark(
    "linear_scan",
    title="Linear scans against copying the memory they touch",
    paper="arXiv 1709.04057, 2208.04933",
    summary="Channels and scalar signals in four precisions, with gradients, beside four peers.",
)
def run(context: Context) -> Record:
    """Time channels in all precisions, gradients, and filters of scalar signals."""
    tables, checks, bars = [], [], []
    for kind in KINDS:
        table, new_checks, ratios = _channels(context, kind)
        tables.append(table)
        checks += new_checks
        bars.append((kind, ratios))
    tables.append(_gradients(context))
    signals, new_checks = _signals(context)
    tables.append(signals)
    checks += new_checks
    found, new_checks = on_device(context, KINDS)
    tables += found
    checks += new_checks
    return context.record(
        asked="A scan on the CPU takes at most twice the time of copying the three arrays it "
        "touches. On CUDA the three arrays pass at 0.7 times the rate of copying, or more.",
        tables=tables,
        checks=checks,
        figures=[
            Figure(
                "Time of scans",
                "Multiples of the time of copying three arrays of the same size, which is the line "
                "at 1; the dashed line is the target. Logarithmic scale.",
                lambda canvas: _draw(canvas, bars),
                size=(8.0, 5.0),
            )
        ],
    )


def _channels(context: Context, kind: str) -> tuple[Table, list[Check], dict[str, float]]:
    """Coefficients and inputs that differ at every step and channel."""
    B, L, N = (8, 4096, 64) if context.quick else (8, 8192, 64)
    a, b = _sequences(context.rng, (B, L, N), kind)
    fast = _ours(a, b)
    slow = {} if context.quick and kind != "float32" else _peers(context, a, b)
    rounds = 1 if context.quick else 3
    timings = context.time_interleaved(
        {COPY: _copies(a, b), **fast, **slow},
        repeats=dict.fromkeys((COPY, *fast), 9 if context.quick else 31)
        | dict.fromkeys(slow, rounds),
        warmup=dict.fromkeys((COPY, *fast), 2) | dict.fromkeys(slow, 1),
        baseline=COPY,
    )
    exact = extended(a[:1, :, :4], b[:1, :, :4])
    errors = {name: largest_error(call(), exact) for name, call in {**fast, **slow}.items()}
    table = Table(
        f"{kind}, (batch, steps, channels) = ({B}, {L}, {N})",
        ["path", "median (ms)", "to copying", "gain of ours", "largest error"],
        _rows(timings, errors, "ours, NumPy"),
        note="Copying three arrays reads and writes three, a scan reads two and writes one. Errors "
        "are relative to the largest state, against the recurrence in extended precision.",
    )
    checks = [
        Check.at_most(f"{kind}, {name}: time to copying", timings[name].ratio, 2, unit="x")
        for name in fast
    ]
    return table, checks, {name: timing.ratio for name, timing in timings.items()}


def _sequences(
    rng: np.random.Generator, shape: tuple[int, ...], kind: str
) -> tuple[np.ndarray, np.ndarray]:
    a, b = rng.uniform(0.5, 1, shape), rng.standard_normal(shape)
    if kind.startswith("complex"):
        return (a * np.exp(1j * rng.uniform(0, 6, shape))).astype(kind), (b + 1j * b).astype(kind)
    return a.astype(kind), b.astype(kind)


def _copies(a: np.ndarray, b: np.ndarray) -> Callable[[], None]:
    sources = (a, b, b.copy())
    targets = tuple(map(np.empty_like, sources))

    def copy() -> None:
        for target, source in zip(targets, sources, strict=True):
            np.copyto(target, source)

    return copy


def _ours(a: np.ndarray, b: np.ndarray) -> Calls:
    import torch

    A, B = torch.from_numpy(a), torch.from_numpy(b)
    return {"ours, NumPy": lambda: linear_scan(a, b), "ours, torch": lambda: linear_scan(A, B)}


def _peers(context: Context, a: np.ndarray, b: np.ndarray) -> Calls:
    """Each in the layout it takes without a copy."""
    import torch

    A, B = torch.from_numpy(a), torch.from_numpy(b)
    calls: Calls = {"loop over steps, torch": lambda: _loop(A, B)}
    mamba = context.optional("mambapy.pscan")
    if mamba is not None and not A.is_complex():
        calls["mambapy"] = lambda: mamba.pscan(A[:, :, None], B[:, :, None])[:, :, 0]
    s5 = context.optional("s5.s5_model")
    if s5 is not None:
        firsts = tuple(v.transpose(0, 1).contiguous() for v in (A, B))
        calls["s5-pytorch"] = lambda: s5.associative_scan(s5.binary_operator, firsts)[1].transpose(
            0, 1
        )
    return calls


def _loop(a: Any, b: Any) -> Any:
    import torch

    h = torch.zeros_like(b[:, 0])
    states = []
    for coefficient, value in zip(a.unbind(1), b.unbind(1), strict=True):
        h = torch.addcmul(value, coefficient, h)
        states.append(h)
    return torch.stack(states, dim=1)


def _gradients(context: Context) -> Table:
    """Forward and backward in torch, by every input."""
    import torch

    B, L, N = (8, 512, 64) if context.quick else (8, 2048, 64)
    A, X = (torch.from_numpy(v) for v in _sequences(context.rng, (B, L, N), "float32"))
    A.requires_grad_()
    X.requires_grad_()
    scans: dict[str, Callable[[], Any]] = {
        "ours, torch": lambda: linear_scan(A, X),
        "loop over steps, torch": lambda: _loop(A, X),
    }
    mamba = context.optional("mambapy.pscan")
    if mamba is not None:
        scans["mambapy"] = lambda: mamba.pscan(A[:, :, None], X[:, :, None])
    s5 = context.optional("s5.s5_model")
    if s5 is not None:
        scans["s5-pytorch"] = lambda: s5.associative_scan(
            s5.binary_operator, (A.transpose(0, 1), X.transpose(0, 1))
        )[1]
    calls: Calls = {
        name: lambda scan=scan: torch.autograd.grad(scan().sum(), (A, X))
        for name, scan in scans.items()
    }
    timings = context.time_interleaved(
        {COPY: _copies(A.detach().numpy(), X.detach().numpy()), **calls},
        repeats=3,
        warmup=1,
        baseline=COPY,
    )
    return Table(
        f"Forward and backward, float32, (batch, steps, channels) = ({B}, {L}, {N})",
        ["path", "median (ms)", "to copying", "gain of ours"],
        [row[:-1] for row in _rows(timings, {}, "ours, torch")],
    )


def _signals(context: Context) -> tuple[Table, list[Check]]:
    """Scalar signals with one coefficient, the job of a filter."""
    rows, checks = [], []
    shape = (128, 16384) if context.quick else (64, 65536)
    for kind in KINDS[:2]:
        a, b = _sequences(context.rng, shape, kind)
        decay = float(a[0, 0])
        numerator, denominator = np.ones(1, kind), np.array([1.0, -decay], kind)
        calls: Calls = {
            f"ours, {kind}": lambda a=a, b=b: linear_scan(a, b, axis=-1),
            f"ours, {kind}, one coefficient": lambda b=b, decay=decay: linear_scan(
                decay, b, axis=-1
            ),
            f"scipy.signal.lfilter, {kind}": lambda b=b, n=numerator, d=denominator: (
                scipy.signal.lfilter(n, d, b)
            ),
        }
        timings = context.time_interleaved(
            {COPY: _copies(a, b), **calls},
            repeats=9 if context.quick else 21,
            warmup=2,
            baseline=COPY,
        )
        first, constant, _ = calls
        exact = extended(np.full((1, shape[1], 1), decay), b[:1, :, None])[..., 0]
        errors = {name: largest_error(call(), exact) for name, call in list(calls.items())[1:]}
        rows += _rows(timings, errors, constant)[1:]
        checks.append(
            Check.at_most(f"signals, {first}: time to copying", timings[first].ratio, 2, unit="x")
        )
        # A step of dlsim is a step of Python: one signal, some of its steps, scaled to all.
        few, name = b[:1, :4096], f"scipy.signal.dlsim, {kind}"
        simulated = context.time_interleaved(
            {name: lambda few=few, decay=decay: _dlsim(decay, few)}, repeats=3
        )[name]
        share = b.size / few.size
        rows.append(
            (
                name,
                share * simulated.ms,
                share * simulated.median / timings[COPY].median,
                share * simulated.median / timings[constant].median,
                largest_error(_dlsim(decay, few), exact[:, :4096]),
            )
        )
    return Table(
        f"Scalar signals, (signals, steps) = {shape}",
        ["path", "median (ms)", "to copying", "gain of ours", "largest error"],
        rows,
        note="A filter has one coefficient for all steps; the first rows have one for each. The "
        "gain is that of ours with one coefficient.",
    ), checks


def _dlsim(decay: float, b: np.ndarray) -> np.ndarray:
    """The same filter as a system whose output sees its input at once."""
    system = (*(np.array([[value]]) for value in (decay, 1.0, decay, 1.0)), 1.0)
    return np.stack([scipy.signal.dlsim(system, signal)[1][:, 0] for signal in b])


def _rows(timings: dict[str, Timing], errors: dict[str, float], ours: str) -> list[tuple[Any, ...]]:
    return [
        (
            name,
            timing.ms,
            timing.ratio,
            None if name == COPY or name.startswith("ours") else timing.over(timings[ours]),
            errors.get(name),
        )
        for name, timing in timings.items()
    ]


def _draw(canvas: Any, bars: list[tuple[str, dict[str, float]]]) -> None:
    axes = canvas.subplots()
    names = list(dict.fromkeys(name for _, ratios in bars for name in ratios if name != COPY))
    width = 0.8 / len(bars)
    for index, (kind, ratios) in enumerate(bars):
        places = np.arange(len(names)) + (index - (len(bars) - 1) / 2) * width
        shown = [ratios.get(name, np.nan) for name in names]
        drawn = axes.barh(places, shown, height=0.9 * width, label=kind)
        labels = ["" if np.isnan(ratio) else format_cell(ratio) for ratio in shown]
        axes.bar_label(drawn, labels, padding=3, fontsize=7)
    axes.axvline(1, color="gray", linewidth=1)
    axes.axvline(2, color="gray", linewidth=1, linestyle="--")
    axes.set(xscale="log", xlabel="time / time of copying three arrays")
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.grid(visible=False, axis="y")
    axes.legend()

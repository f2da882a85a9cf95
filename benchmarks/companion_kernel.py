r"""Kernels of companion state spaces: time, memory and error beside the dense and resolvent routes.

SpaceTime (arXiv 2303.09489) evaluates :math:`K_l = c^T A^l b` through the resolvent at the L-th
roots of unity; the code that was released with it also has a Krylov matrix built by repeated
squaring, whose arithmetic is :math:`O(d^2 L)` and memory O(dL). Ours is one all-pole recurrence,
run step by step or by blocks of Fourier transforms.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.harness import Check, Column, Context, Figure, Record, Table, benchmark
from ssm import companion_kernel, companion_matrix, normalize_companion

_OURS = ("auto", "filter", "fft")
_GUARANTEE = 1e-12
_SMALL, _LARGE = (1024, 16384), (4096, 65536)


@benchmark(
    "companion_kernel",
    title="Companion kernels against dense powers and the resolvent",
    paper="arXiv 2303.09489",
    summary="Time and peak memory for d to 4096 and L to 65536; error at unit roots.",
)
def run(context: Context) -> Record:
    """Time and memory on random systems, error on hard ones."""
    if context.quick:
        orders, lengths = [64, 1024, 4096], [1024, 16384, 65536]
    else:
        orders, lengths = [64, 256, 1024, 2048, 4096], [1024, 4096, 16384, 65536]
    timing_rows, seconds, dense_ratio = [], {}, math.inf
    for d in orders:
        for L in lengths:
            context.tell(f"timing d = {d}, L = {L}")
            paths = _paths(
                _random_system(context.rng, d), L, dense=_dense_fits(d, L, context.quick)
            )
            timings = context.time_interleaved(
                paths,
                repeats={name: _repeats(name, context.quick) for name in paths},
                warmup={name: int(name != "dense") for name in paths},
                baseline="auto",
            )
            seconds[d, L] = {name: timing.median for name, timing in timings.items()}
            dense = timings.get("dense")
            if dense is not None and d >= 1024:
                dense_ratio = min(dense_ratio, dense.ratio)
            timing_rows.append(
                (
                    d,
                    L,
                    *(timings[name].ms for name in _OURS),
                    timings["resolvent"].ms,
                    None if dense is None else dense.ms,
                    None if dense is None else dense.ratio,
                    1 / timings["transforms"].ratio,
                )
            )
    growth = seconds[_LARGE]["auto"] / seconds[_SMALL]["auto"]
    linear = _quasilinear(*_LARGE) / _quasilinear(*_SMALL)

    memory_rows, memory, per_entry = [], {}, 0.0
    for d in orders:
        for L in (lengths[0], lengths[-1]):
            system = _random_system(context.rng, d)
            paths = _paths(system, L, dense=_dense_fits(d, L, context.quick))
            used = {
                name: context.peak_memory(call).largest
                for name, call in paths.items()
                if name != "transforms"
            }
            memory[d, L] = used
            per_entry = max(per_entry, used["auto"] / (8 * (d + L)))
            memory_rows.append(
                (
                    d,
                    L,
                    *(used[name] / 2**20 for name in (*_OURS, "resolvent")),
                    used["dense"] / 2**20 if "dense" in used else None,
                    used["auto"] / (8 * (d + L)),
                )
            )

    error_rows, worst, unit_roots_fail = [], 0.0, True
    for name, unit_root, system, L in _hard_systems(context.rng, context.quick):
        context.tell(f"error: {name}")
        reference = _exact(*system, L)
        errors = {a: _error(companion_kernel(*system, L, algorithm=a), reference) for a in _OURS}
        errors["resolvent"] = _error(companion_kernel(*system, L, algorithm="resolvent"), reference)
        with np.errstate(over="ignore", invalid="ignore"):
            errors["dense"] = _error(_squaring(*system, L), reference)
        worst = max(worst, errors["auto"])
        unit_roots_fail &= not unit_root or not math.isfinite(errors["resolvent"])
        error_rows.append((name, len(system[0]), L, *errors.values()))

    return context.record(
        asked="O((d + L) log(d + L)) time and O(d + L) memory for each system; error at most 1e-12 "
        "of the kernel's largest value in float64 always, unit roots included.",
        tables=[
            Table(
                "Time of one kernel (ms)",
                [
                    "d",
                    "L",
                    *_OURS,
                    "resolvent",
                    "dense squaring",
                    "dense to auto",
                    "auto to one transform pair",
                ],
                timing_rows,
                note="Random p of absolute sum 1. The resolvent is given its output vector by our "
                "extension, not by a matrix power. Dense squaring is left out where it would take "
                "minutes or gigabytes. The last column is the time over that of one real Fourier "
                "transform and its inverse, of length 2 (d + L) rounded up to a power of two.",
            ),
            Table(
                "Peak memory of one kernel (MiB)",
                ["d", "L", *_OURS, "resolvent", "dense squaring", "auto: doubles per d + L"],
                memory_rows,
            ),
            Table(
                "Largest error over the largest entry of the kernel",
                ["system", "d", "L", *(Column(a, ".1e") for a in (*_OURS, "resolvent", "dense"))],
                error_rows,
                note="Reference: fixed-point integers of 1500 binary places that step the state. "
                "Only auto guards its error; filter and fft are plain double precision.",
            ),
        ],
        checks=[
            Check.at_most("auto: largest error of all systems", worst, _GUARANTEE),
            Check.holds("the resolvent is not finite at each exact unit root", unit_roots_fail),
            Check.at_most(
                "auto: growth of time from (d, L) = (1024, 16384) to (4096, 65536), over that of "
                "(d + L) log(d + L)",
                growth / linear,
                2.0,
                unit="x",
            ),
            Check.at_most("auto: peak memory in doubles per d + L", per_entry, 64),
            Check.at_least("dense squaring to auto, d = 1024", dense_ratio, 10, unit="x"),
        ],
        figures=[
            Figure(
                "Time and memory",
                "One kernel, short or long, by the order d of its system. Dotted: proportional to "
                "d. Where the order is large, auto leaves the filter for the transforms.",
                lambda canvas: _draw(canvas, seconds, memory, orders, lengths),
                size=(11.0, 3.6),
            )
        ],
    )


def _random_system(rng: np.random.Generator, d: int) -> tuple[np.ndarray, ...]:
    p, b, c = rng.standard_normal((3, d))
    return normalize_companion(p), b, c


def _paths(system: tuple[np.ndarray, ...], L: int, *, dense: bool) -> dict[str, Callable[[], Any]]:
    paths: dict[str, Callable[[], Any]] = {
        name: functools.partial(companion_kernel, *system, L, algorithm=name)
        for name in (*_OURS, "resolvent")
    }
    if dense:
        paths["dense"] = functools.partial(_squaring, *system, L)
    signal = np.zeros(1 << (2 * (len(system[0]) + L) - 1).bit_length())
    paths["transforms"] = lambda: np.fft.irfft(np.fft.rfft(signal))
    return paths


def _repeats(name: str, quick: bool) -> int:
    if name == "dense":
        return 1 if quick else 3
    return 5 if quick else 9


def _dense_fits(d: int, L: int, quick: bool) -> bool:
    return d * L <= 2 ** (21 if quick else 24) and d <= 1024


def _squaring(p: np.ndarray, b: np.ndarray, c: np.ndarray, L: int) -> np.ndarray:
    """The Krylov matrix [b, Ab, A^2 b, ...], doubled with each square of A, and c times it."""
    power, krylov = companion_matrix(p), b[:, None]
    while krylov.shape[1] < L:
        krylov = np.concatenate([krylov, power @ krylov[:, : L - krylov.shape[1]]], axis=1)
        if krylov.shape[1] < L:
            power = power @ power
    return c @ krylov


def _exact(p: np.ndarray, b: np.ndarray, c: np.ndarray, L: int, bits: int = 1500) -> np.ndarray:
    """The kernel by stepping the state in integers, `bits` binary places behind the point."""
    one = 1 << bits

    def fixed(v: np.ndarray) -> list[int]:
        ratios = (float(x).as_integer_ratio() for x in v)
        return [numerator * one // denominator for numerator, denominator in ratios]

    P, state, C = fixed(p), fixed(b), fixed(c)
    K = []
    for _ in range(L):
        K.append((sum(x * y for x, y in zip(C, state, strict=True)) >> bits) / one)
        last = state[-1]
        state = [x + ((q * last) >> bits) for x, q in zip([0, *state[:-1]], P, strict=True)]
    return np.array(K)


def _error(K: np.ndarray, reference: np.ndarray) -> float:
    return float(np.max(np.abs(K - reference)) / np.max(np.abs(reference)))


def _hard_systems(rng: np.random.Generator, quick: bool) -> list[tuple[Any, ...]]:
    """Name, whether a root is an L-th root of unity, (p, b, c) and L."""
    far = 1024 if quick else 4096
    circle = np.exp(1j * np.linspace(0.1, 3.0, 8))
    systems: list[tuple[str, bool, Any, int]] = [
        ("random, absolute sum 1", False, normalize_companion(rng.standard_normal(64)), 720),
        ("random walk", True, [0.0, 1.0], far),
        ("double unit root", True, [-1.0, 2.0], far),
        ("cyclic shift", True, np.eye(16)[0], 512),
        ("oscillation of period 6283", False, [-1.0, 2 * np.cos(1e-3)], far),
        ("16 roots on the circle", False, _from_roots([*circle, *circle.conj()]), 512),
        ("growth, root 1.05", False, [0.0, 0.0, 0.0, 1.05], 1024),
    ]
    cases = [
        (n, unit, (np.array(p), *rng.standard_normal((2, len(p)))), L) for n, unit, p, L in systems
    ]
    hidden = np.array([-2.0, 3.0]), np.array([-2.0, 1.0]), np.array([0.3, 0.7])
    return [*cases, ("root 2, not excited by b", True, hidden, 64)]


def _from_roots(roots: Any) -> np.ndarray:
    return -np.poly(roots).real[:0:-1]


def _quasilinear(d: int, L: int) -> float:
    return (d + L) * math.log2(d + L)


def _draw(canvas: Any, seconds: Any, memory: Any, orders: list[int], lengths: list[int]) -> None:
    short, long = lengths[0], lengths[-1]
    panels = canvas.subplots(1, 3)
    styles = {"auto": "o-", "filter": "s--", "fft": "^--", "dense": "x-"}
    for axes, values, L, unit, what in zip(
        panels,
        (seconds, seconds, memory),
        (short, long, short),
        (1e3, 1e3, 2.0**-20),
        ("time (ms)", "time (ms)", "peak memory (MiB)"),
        strict=True,
    ):
        for name, style in styles.items():
            shown = [d for d in orders if name in values[d, L]]
            if shown:
                label = "dense squaring" if name == "dense" else name
                line = [unit * values[d, L][name] for d in shown]
                axes.loglog(shown, line, style, label=label, markersize=4)
        first = unit * values[orders[0], L]["filter"] / orders[0]
        axes.loglog(orders, [first * d for d in orders], "k:", linewidth=0.8)
        axes.set(xlabel="d", ylabel=what, title=f"L = {L}")
    panels[1].legend(loc="upper right")

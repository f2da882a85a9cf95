r"""Basis kernels of the HiPPO systems: stepped from the matrices, beside their closed forms.

The kernels :math:`K(t) = e^{tA} B` are what the state remembers by (arXiv 2206.12037). They are
drawn there for LegS at order 1024 up to t = 2.5 in steps of 0.002. Fading measures have closed
forms that hold exactly; the sliding windows of LegT, LMU and FouT have a sharp edge that a system
of finite order can only approach, so their L2 distance from it falls slowly with N.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.linalg
import scipy.special

from benchmarks.harness import Check, Context, Figure, Record, Table, benchmark
from numerics import expm
from ssm import discretize, hippo_basis, hippo_matrices

_STEP, _END = 0.002, 2.5
_MEASURES: dict[str, dict[str, float]] = {
    "legs": {},
    "lagt": {},
    "tlagt": {"beta": 0.5},
    "glagt": {"alpha": -0.3, "beta": 0.5},
    "foud": {},
    "legt": {},
    "lmu": {},
    "fout": {},
}
_SLIDING = ("legt", "lmu", "fout")
_DRAWN = {"legt": (0, 1, 2, 3), "lmu": (0, 1, 2, 3), "fout": (0, 2, 3, 4)}
_SLIDING_ORDER = 64


@benchmark(
    "hippo_basis",
    title="Basis kernels of the HiPPO systems against their closed forms",
    paper="arXiv 2206.12037",
    summary="e^{tA} B for LegS at order 1024 and for the sliding windows, with errors.",
)
def run(context: Context) -> Record:
    """Step every system over the published grid and compare; nothing here depends on time."""
    t = _STEP * np.arange(round(_END / _STEP) + 1)
    rows: list[tuple[Any, ...]] = []
    worst = 0.0
    for measure, options in _MEASURES.items():
        for N in (8, 64):
            context.tell(f"{measure}, N = {N}")
            exact = hippo_basis(measure, N, t, **options)
            stepped = _relative(_steps(measure, N, len(t), **options), exact)
            worst = max(worst, stepped)
            rows.append((measure, N, stepped, *_direct(measure, N, options)))
    context.tell("legs, N = 1024")
    large = _steps("legs", 1024, len(t))
    closed = hippo_basis("legs", 1024, t)
    error = _relative(large, closed)
    rows.append(("legs", 1024, error))

    moved = [
        (measure, N, *_direct(measure, N, _MEASURES[measure], moved=True))
        for measure in ("lagt", "tlagt", "glagt")
        for N in (8, 64)
    ]
    worst_moved = max(row[2] for row in moved)

    context.tell("sliding windows")
    orders = (16, 64, 256)
    sliding = {(m, N): _steps(m, N, round(1.5 / _STEP) + 1) for m in _SLIDING for N in orders}
    window_rows = [
        (measure, N, *_from_window(measure, sliding[measure, N]))
        for measure in _SLIDING
        for N in orders
    ]
    return context.record(
        asked="The kernels of LegS at order 1024 over [0, 2.5] in steps of 0.002, and those of the "
        "sliding windows, as published; stepped kernels agree with the closed forms to rounding.",
        tables=[
            Table(
                "Largest difference from `hippo_basis`, to the largest value",
                [
                    "measure",
                    "N",
                    "stepped by `discretize`",
                    "`numerics.expm` at 1, ..., 4",
                    "`scipy.linalg.expm` at 1, ..., 4",
                ],
                rows,
                note="`hippo_basis` has closed forms for legs, lagt, tlagt (beta = 0.5), glagt "
                "(alpha = -0.3, beta = 0.5) and foud, and products of contractions for the sliding "
                "windows. Stepped: one zero-order-hold matrix of the step 0.002 applied again and "
                "again over [0, 2.5]. The others exponentiate tA at once.",
            ),
            Table(
                "The same with every other diagonal entry moved by one rounding",
                ["measure", "N", "`numerics.expm`", "`scipy.linalg.expm`"],
                moved,
                note="The Laguerre matrices are triangular with a constant diagonal. SciPy's rule "
                "for triangular matrices divides by differences of diagonal entries, and fails "
                "when they are equal up to rounding only, as after a change of coordinates.",
            ),
            Table(
                "Sliding windows: distance of kernel 0 from its limit",
                ["measure", "N", "L2 inside [0, 1]", "L2 beyond, up to 1.5", "at t = 1/2"],
                window_rows,
                note="Relative to the norm of the limit on [0, 1]. The mean square falls like 1/N "
                "because of the jumps at the ends.",
            ),
        ],
        checks=[
            Check.at_most("stepped kernels of order up to 64, relative", worst, 1e-11),
            Check.at_most("`numerics.expm` with a moved diagonal, relative", worst_moved, 1e-11),
            Check.at_most("stepped LegS kernels of order 1024, relative", error, 1e-11),
        ],
        figures=[
            Figure(
                "Basis kernels",
                "LegS at order 1024, and the sliding windows at order 64 with their limits dashed: "
                "one colour is one coefficient. What the kernels of a sliding window leave beyond "
                "t = 1 shrinks with the order.",
                lambda canvas: _draw(canvas, t, large, sliding),
                size=(9.0, 6.4),
            )
        ],
    )


def _steps(measure: str, N: int, count: int, **options: float) -> np.ndarray:
    """Kernels at the first points of the grid, shape (N, count)."""
    A, B = hippo_matrices(measure, N, **options)
    Ad, _ = discretize(A, B, _STEP)
    kernels = np.empty((count, N))
    kernels[0] = B
    for k in range(1, count):
        np.matmul(Ad, kernels[k - 1], out=kernels[k])
    return kernels.T


def _relative(values: np.ndarray, exact: np.ndarray) -> float:
    return float(np.max(np.abs(values - exact)) / np.max(np.abs(exact)))


def _direct(
    measure: str, N: int, options: dict[str, float], *, moved: bool = False
) -> tuple[float, float]:
    """Errors of the two matrix exponentials over long times."""
    A, B = hippo_matrices(measure, N, **options)
    if moved:
        even = np.arange(0, N, 2)
        A[even, even] = np.nextafter(A[even, even], 0)
    times = np.array([1.0, 2.0, 3.0, 4.0])
    exact = hippo_basis(measure, N, times, **options)
    ours, scipys = (
        np.stack([function(t * A) @ B for t in times], axis=-1)
        for function in (expm, scipy.linalg.expm)
    )
    return _relative(ours, exact), _relative(scipys, exact)


def _limit(measure: str, n: int, t: np.ndarray) -> np.ndarray:
    """The kernel of a sliding window as the order grows, on [0, 1]."""
    if measure == "legt":
        return math.sqrt(2 * n + 1) * scipy.special.eval_legendre(n, 1 - 2 * t)
    if measure == "lmu":
        return (2 * n + 1) * scipy.special.eval_legendre(n, 2 * t - 1)
    m, odd = divmod(n, 2)
    if m == 0:
        return np.full_like(t, 1.0 - odd)
    return math.sqrt(2) * (np.sin if odd else np.cos)(2 * math.pi * m * t)


def _from_window(measure: str, kernels: np.ndarray) -> tuple[float, float, float]:
    """Distances of kernel 0 from 1 on the window and from 0 behind it, and its error at 1/2."""
    edge = round(1 / _STEP)
    inside = kernels[0, : edge + 1] - 1
    beyond = kernels[0, edge:]
    return (
        math.sqrt(np.trapezoid(inside**2, dx=_STEP)),
        math.sqrt(np.trapezoid(beyond**2, dx=_STEP)),
        abs(float(inside[edge // 2])),
    )


def _draw(
    canvas: Any, t: np.ndarray, large: np.ndarray, sliding: dict[tuple[str, int], np.ndarray]
) -> None:
    first, *others = canvas.subplots(2, 2).ravel()
    for n in range(5):
        first.plot(t, large[n], label=f"n = {n}")
    first.set(title="LegS, N = 1024", xlabel="time into the past t")
    first.legend()
    titles = {"legt": "LegT", "lmu": "LMU", "fout": "FouT"}
    inside = np.linspace(0, 1, 400)
    for axes, (measure, chosen) in zip(others, _DRAWN.items(), strict=True):
        kernels = sliding[measure, _SLIDING_ORDER]
        for n in chosen:
            (line,) = axes.plot(t[: kernels.shape[1]], kernels[n], linewidth=1.1, label=f"n = {n}")
            axes.plot(
                inside, _limit(measure, n, inside), "--", color=line.get_color(), linewidth=0.8
            )
        axes.set(title=f"{titles[measure]}, N = {_SLIDING_ORDER}", xlabel="time into the past t")
        axes.legend()

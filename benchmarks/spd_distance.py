r"""Distances of positive definite matrices: right digits at any condition, and time for all pairs.

The traces of the Bures-Wasserstein distance cancel, so that its relative error is the unit roundoff
times :math:`\operatorname{tr}(A + B) / d^2`, and square roots of ill-conditioned matrices lose half
their digits. Distances here are set beside values in 50 digits of the very same matrices.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np

from benchmarks._spd_digits import DIGITS, exact_distance
from benchmarks.harness import Check, Column, Context, Figure, Record, Table, benchmark
from geometry import spd

_DIGITS = (2, 4, 6, 8, 10)
_APART = (None, 1e-4, 1e-7)
_ORDER = 8
_OURS = "this library"
_SIZES = {8: 256, 16: 192, 32: 96, 64: 48}  # matrices for the comparison, by order
_MANY = 1000

Distance = Callable[[np.ndarray, np.ndarray], float]


@benchmark(
    "spd_distance",
    title="Distances of positive definite matrices: accuracy and all pairs",
    paper="arXiv 2504.00660",
    summary="Errors against many digits beside pyriemann, spd-learn, POT, geoopt; pairs a second.",
)
def run(context: Context) -> Record:
    """Relative errors at conditions 1e2 to 1e10, and time a pair beside the best peer."""
    tables, checks, errors = [], [], {}
    for metric in ("bures_wasserstein", "affine_invariant"):
        table, errors[metric] = _accuracy(context, metric)
        tables.append(table)
    for (digits, apart), error in errors["bures_wasserstein"].items():
        # Between rounding of the factors over the distance, and the root of the condition.
        limit = 1e-14 * 10 ** (digits / 2)
        what = f"Bures-Wasserstein, condition 1e{digits}, {_words(apart)}: relative error"
        checks.append(Check.at_most(what, error[_OURS], limit))
    table, speed_checks, times = _pairs(context)
    return context.record(
        asked="Bures-Wasserstein distances of all pairs of 1000 matrices of order 8 to 64 at least "
        "twice as fast as the best peer in double precision; relative errors near rounding at "
        "conditions 1e2 to 1e10, for near matrices too.",
        tables=[*tables, table],
        checks=[*checks, *speed_checks],
        figures=[
            Figure(
                "Bures-Wasserstein distance in double precision",
                "Largest relative error against 50 digits, matrices of order 8. A missing point is "
                "NaN.",
                lambda canvas: _draw_errors(canvas, errors["bures_wasserstein"]),
                size=(9.0, 3.4),
            ),
            Figure(
                "Time a pair",
                "All pairs of a set, Bures-Wasserstein.",
                lambda canvas: _draw_times(canvas, times),
                size=(5.5, 3.6),
            ),
        ],
    )


def _words(apart: float | None) -> str:
    return "unrelated" if apart is None else f"{apart:.0e} apart"


def _pair(
    rng: np.random.Generator, digits: int, apart: float | None
) -> tuple[np.ndarray, np.ndarray]:
    A, B = (_matrix(rng, digits) for _ in range(2))
    if apart is not None:
        w, U = np.linalg.eigh(A)
        root = (U * np.sqrt(np.abs(w))) @ U.T
        E = rng.standard_normal((_ORDER, _ORDER))
        E = E + E.T
        B = A + apart * root @ (E / np.linalg.norm(E)) @ root
        B = (B + B.T) / 2
    return A, B


def _matrix(rng: np.random.Generator, digits: int) -> np.ndarray:
    Q = np.linalg.qr(rng.standard_normal((_ORDER, _ORDER)))[0]
    A = (Q * np.logspace(0, -digits, _ORDER)) @ Q.T
    return (A + A.T) / 2


def _peers(context: Context, metric: str) -> dict[str, Distance]:
    """What the peers' functions are given, and take, is one pair."""
    found: dict[str, Distance] = {}
    of_bures = metric == "bures_wasserstein"
    if pyriemann := context.optional("pyriemann.geometry.distance"):
        kind = pyriemann.distance_wasserstein if of_bures else pyriemann.distance_riemann
        found["pyriemann"] = lambda A, B: float(kind(A, B))
    if spd_learn := context.optional("spd_learn.functional"):
        name = "bures_wasserstein_distance" if of_bures else "airm_distance"
        found["spd-learn"] = _on_tensors(getattr(spd_learn, name))
    if of_bures and (ot := context.optional("ot.gaussian")):
        found["POT"] = lambda A, B: float(ot.bures_distance(A, B))
    if not of_bures and (geoopt := context.optional("geoopt")):
        found["geoopt"] = _on_tensors(geoopt.SymmetricPositiveDefinite().dist)
    return found


def _on_tensors(function: Callable[..., Any]) -> Distance:
    import torch

    return lambda A, B: float(function(torch.as_tensor(A), torch.as_tensor(B)))


Errors = dict[tuple[int, float | None], dict[str, float]]


def _accuracy(context: Context, metric: str) -> tuple[Table, Errors]:
    paths = {_OURS: lambda A, B: float(spd.distance(A, B, metric=metric))}
    paths |= _peers(context, metric)
    rng = np.random.default_rng(20260101)
    errors: Errors = {}
    for digits in _DIGITS:
        for apart in _APART:
            context.tell(f"{metric}, condition 1e{digits}, {_words(apart)}")
            largest = dict.fromkeys(paths, 0.0)
            for _ in range(1 if context.quick else 10):
                A, B = _pair(rng, digits, apart)
                exact = exact_distance(A, B, metric)
                for name, path in paths.items():
                    error = _relative(path, A, B, exact)
                    largest[name] = float(np.maximum(largest[name], error))
            errors[digits, apart] = largest
    title = metric.replace("_", "-").title().replace("Invariant", "invariant")
    table = Table(
        f"{title} distance, order {_ORDER}: largest relative error",
        ["condition", "B", *(Column(name, ".0e") for name in paths)],
        [
            (f"1e{digits}", _words(apart), *largest.values())
            for (digits, apart), largest in errors.items()
        ],
        note=f"Against {DIGITS} digits for the same double-precision matrices. B is unrelated, or "
        "A plus the congruence by its root of a symmetric matrix of that Frobenius norm.",
    )
    return table, errors


def _relative(path: Distance, A: np.ndarray, B: np.ndarray, exact: Any) -> float:
    try:
        with np.errstate(all="ignore"):
            value = path(A, B)
    except (ValueError, np.linalg.LinAlgError):
        return float("nan")
    if np.isnan(value):
        return float("nan")
    with mpmath.workdps(DIGITS):
        return float(abs(value / exact - 1))


def _batched_peers(context: Context, X: np.ndarray) -> dict[str, Callable[[], Any]]:
    """Each peer's fastest use: the pairs of a triangle in one batch, or its own table of pairs."""
    i, j = np.triu_indices(len(X), 1)
    calls: dict[str, Callable[[], Any]] = {}
    if pyriemann := context.optional("pyriemann.geometry.distance"):
        calls["pyriemann"] = lambda: pyriemann.distance_wasserstein(X[i], X[j])
    if spd_learn := context.optional("spd_learn.functional"):
        import torch

        tensor = torch.as_tensor(X)
        calls["spd-learn"] = lambda: spd_learn.bures_wasserstein_distance(tensor[i], tensor[j])
    if ot := context.optional("ot.gaussian"):
        calls["POT"] = lambda: ot.bures_distance(X, X)
    return calls


def _pairs(context: Context) -> tuple[Table, list[Check], dict[str, dict[int, float]]]:
    rows, checks = [], []
    times: dict[str, dict[int, float]] = {}
    for n, count in _SIZES.items():
        context.tell(f"all pairs, order {n}")
        N = count // 2 if context.quick else count
        X = _covariances(context.rng, N, n)
        calls = {_OURS: lambda X=X: spd.pairwise_distance(X, metric="bures_wasserstein")}
        calls |= _batched_peers(context, X)
        timings = context.time_interleaved(calls, repeats=3 if context.quick else 5, baseline=_OURS)
        pairs = N * (N - 1) / 2
        for name, timing in timings.items():
            times.setdefault(name, {})[n] = 1e6 * timing.median / pairs
            rows.append((n, N, name, 1e6 * timing.median / pairs, timing.ratio))
        best = min((t.ratio for name, t in timings.items() if name != _OURS), default=None)
        if best is not None:
            what = f"order {n}: the best peer to all pairs here"
            checks.append(Check.at_least(what, best, 2.0, unit="x"))
        if not context.quick:
            X = _covariances(context.rng, _MANY, n)
            whole = context.time_interleaved(
                {_OURS: lambda X=X: spd.pairwise_distance(X, metric="bures_wasserstein")},
                repeats=1,
                warmup=0,
            )[_OURS]
            pairs = _MANY * (_MANY - 1) / 2
            rows.append((n, _MANY, _OURS, 1e6 * whole.median / pairs, None))
    table = Table(
        "All pairs of a set, Bures-Wasserstein, double precision",
        ["order", "matrices", "path", Column("a pair (µs)"), "over this library"],
        rows,
        note="Covariances of 3n samples. Times are divided by the number of pairs i < j. Peers get "
        "them as one batch; POT's table holds each pair twice. They take the same time a pair for "
        "1000 matrices, which their temporaries would not fit.",
    )
    return table, checks, times


def _covariances(rng: np.random.Generator, N: int, n: int) -> np.ndarray:
    samples = rng.standard_normal((N, n, 3 * n))
    return samples @ samples.transpose(0, 2, 1) / (3 * n)


def _draw_errors(canvas: Any, errors: Errors) -> None:
    for place, apart in enumerate(_APART):
        axes = canvas.add_subplot(1, len(_APART), place + 1)
        for name in next(iter(errors.values())):
            values = [max(errors[digits, apart][name], 1e-17) for digits in _DIGITS]
            axes.loglog([10.0**d for d in _DIGITS], values, "o-", label=name)
        axes.set(title=_words(apart), xlabel="condition", ylim=(1e-17, 1e4))
        if place == 0:
            axes.set_ylabel("relative error")
            axes.legend()


def _draw_times(canvas: Any, times: dict[str, dict[int, float]]) -> None:
    axes = canvas.add_subplot()
    for name, by_order in times.items():
        axes.loglog(list(by_order), list(by_order.values()), "o-", label=name)
    axes.set(xlabel="order", ylabel="time a pair (µs)")
    axes.set_xticks(list(_SIZES), [str(n) for n in _SIZES])
    axes.legend()

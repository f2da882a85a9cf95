r"""Time and accuracy of tall least squares, sketched and in full, beside LAPACK's drivers.

A sketch reads A once and solves a small problem. To full accuracy there are four ways: Householder
QR by blocks of rows that stay in cache, Cholesky's factor of the normal equations with refinement,
and two iterations on a sketch's triangle (arXiv 2406.03468). LAPACK factorises the whole matrix
column panel by column panel, which reads it d / 32 times.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.linalg

from benchmarks.harness import Check, Column, Context, Figure, Record, Table, benchmark
from numerics import ConvergenceWarning
from solvers import lstsq, sketched_lstsq

_SKETCHED = (2**20, 64)
_FULL = (2**17, 300)
_CONDITION = 1e10
_RESIDUAL = 1e-3
_METHODS = ("qr", "normal", "iterative_sketch", "precondition")


@benchmark(
    "regression_speed",
    title="Tall least squares: sketched, and to full accuracy",
    paper="arXiv 2406.03468",
    summary="Against gelsd, gelsy and NumPy's QR: time, forward errors, and where methods cross.",
)
def run(context: Context) -> Record:
    """Ratios of time in one run, and errors against solutions in long double."""
    sketched_table, sketched_checks = _sketched(context)
    full_table, full_checks = _full(context)
    error_table, error_checks, errors = _errors(context)
    crossing_table = _crossing(context)
    return context.record(
        asked="sketched_lstsq at (2^20, 64) at least 5 times faster than gelsd, gelsy and NumPy's "
        "QR. lstsq at (2^17, 300), condition number 1e10: a forward error within 3 times that of "
        "Householder QR, in less time.",
        tables=[sketched_table, full_table, error_table, crossing_table],
        checks=[*sketched_checks, *full_checks, *error_checks],
        figures=[
            Figure(
                "Forward error against condition number",
                "Geometric means over problems; Householder QR is NumPy's.",
                lambda canvas: _draw(canvas, errors),
            )
        ],
    )


def _numpy_qr(A: np.ndarray, b: np.ndarray) -> np.ndarray:
    Q, R = np.linalg.qr(A)
    return scipy.linalg.solve_triangular(R, Q.T @ b, check_finite=False)


def _lapack(driver: str, A: np.ndarray, b: np.ndarray) -> np.ndarray:
    return scipy.linalg.lstsq(A, b, cond=1e-14, lapack_driver=driver, check_finite=False)[0]


def _conditioned(
    rng: np.random.Generator, n: int, d: int, condition: float, residual: float
) -> tuple[np.ndarray, np.ndarray]:
    """A with that condition number and b with a solution of length 1 and that residual."""
    A = rng.standard_normal((n, d))
    # Columns of a tall Gaussian matrix, made orthonormal by their Cholesky factor, twice.
    for _ in range(2):
        R = scipy.linalg.cholesky(A.T @ A)
        A = scipy.linalg.solve_triangular(R, A.T, trans=1, overwrite_b=True).T
    V = np.linalg.qr(rng.standard_normal((d, d)))[0]
    r = rng.standard_normal(n)
    r -= A @ (A.T @ r)
    r *= residual / np.linalg.norm(r)
    A = np.ascontiguousarray(A * np.geomspace(1, 1 / condition, d)) @ V.T
    x = rng.standard_normal(d)
    return A, A @ (x / np.linalg.norm(x)) + r


def _reference(A: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The solution, by refinement of the augmented system with residuals in long double."""
    Q, R = np.linalg.qr(A)
    solve = functools.partial(scipy.linalg.solve_triangular, R, check_finite=False)
    x = solve(Q.T @ b).astype(np.longdouble)
    r = b - _wide_product(A, x)
    for _ in range(6):
        f = (b - r - _wide_product(A, x)).astype(float)
        g = -_wide_adjoint(A, r).astype(float)
        h = solve(g, trans=1)
        x = x + solve(Q.T @ f - h)
        r = r + f - Q @ (Q.T @ f) + Q @ h
    return x.astype(float)


def _wide_product(A: np.ndarray, x: np.ndarray) -> np.ndarray:
    step = 4096
    parts = [A[i : i + step].astype(np.longdouble) @ x for i in range(0, len(A), step)]
    return np.concatenate(parts)


def _wide_adjoint(A: np.ndarray, r: np.ndarray) -> np.ndarray:
    total = np.zeros(A.shape[1], np.longdouble)
    for i in range(0, len(A), 4096):
        total += r[i : i + 4096] @ A[i : i + 4096].astype(np.longdouble)
    return total


def _sketched(context: Context) -> tuple[Table, list[Check]]:
    n, d = (2**17, 64) if context.quick else _SKETCHED
    context.tell(f"sketched least squares, {n} x {d}")
    A = context.rng.standard_normal((n, d))
    b = A @ np.ones(d) + context.rng.standard_normal(n)
    paths: dict[str, Callable[[], Any]] = {
        "reading A": A.sum,
        "sketched_lstsq": lambda: sketched_lstsq(A, b, rng=0).x,
        "lstsq": lambda: lstsq(A, b).x,
        "lstsq, qr": lambda: lstsq(A, b, method="qr").x,
        "gelsy": functools.partial(_lapack, "gelsy", A, b),
        "gelsd": functools.partial(_lapack, "gelsd", A, b),
        "NumPy QR": functools.partial(_numpy_qr, A, b),
    }
    peers = ("gelsy", "gelsd", "NumPy QR")
    timings = context.time_interleaved(
        paths,
        repeats={name: (3 if context.quick else 2) if name in peers else 5 for name in paths},
        warmup={name: 0 if name in peers else 1 for name in paths},
        baseline="sketched_lstsq",
    )
    rows = [(name, t.ms, t.ratio) for name, t in timings.items()]
    solution = sketched_lstsq(A, b, rng=0)
    error = float(np.max(np.abs(solution.x - lstsq(A, b).x)))
    table = Table(
        f"Well-conditioned, {n} x {d}",
        ["path", Column("time (ms)"), "over sketched_lstsq"],
        rows,
        note=f"sketched_lstsq with m = {solution.m} rows; its largest error is {error:.1e}, its "
        f"bound at 95 % {solution.linf_bound:.1e}. The others are exact.",
    )
    return table, [
        Check.at_least(f"{name} to sketched_lstsq, {n} x {d}", timings[name].ratio, 5, unit="x")
        for name in peers
    ]


def _full(context: Context) -> tuple[Table, list[Check]]:
    n, d = (2**14, 100) if context.quick else _FULL
    context.tell(f"full accuracy, {n} x {d}")
    A, b = _conditioned(context.rng, n, d, _CONDITION, _RESIDUAL)
    exact = _reference(A, b)
    found: dict[str, np.ndarray] = {}

    def keep(name: str, path: Callable[[], np.ndarray]) -> Callable[[], None]:
        def call() -> None:
            found[name] = path()

        return call

    paths = {"lstsq": keep("lstsq", lambda: lstsq(A, b).x)}
    for method in ("qr", "iterative_sketch", "precondition"):
        solve = functools.partial(lstsq, A, b, method=method, rng=0)
        paths[f"lstsq, {method}"] = keep(f"lstsq, {method}", lambda solve=solve: solve().x)
    paths |= {
        "NumPy QR": keep("NumPy QR", functools.partial(_numpy_qr, A, b)),
        "gelsy": keep("gelsy", functools.partial(_lapack, "gelsy", A, b)),
        "gelsd": keep("gelsd", functools.partial(_lapack, "gelsd", A, b)),
    }
    timings = context.time_interleaved(
        paths, repeats=2 if not context.quick else 5, warmup=1, baseline="lstsq"
    )
    scale = np.linalg.norm(exact)
    errors = {name: float(np.linalg.norm(x - exact) / scale) for name, x in found.items()}
    rows = [(name, t.ms, t.ratio, errors[name]) for name, t in timings.items()]
    table = Table(
        f"Condition number {_CONDITION:.0e}, residual {_RESIDUAL}, {n} x {d}",
        ["path", Column("time (ms)"), "over lstsq", Column("forward error", ".1e")],
        rows,
        note="lstsq looks at some rows, sees that the normal equations will not do, and takes "
        f"{lstsq(A, b).method!r}. Cholesky's factorisation of A^T A breaks down here.",
    )
    householder = errors["NumPy QR"]
    return table, [
        Check.at_most(
            f"forward error of lstsq to Householder QR's, {n} x {d}",
            errors["lstsq"] / householder,
            3,
            unit="x",
        ),
        *(
            Check.at_least(f"{name} to lstsq, {n} x {d}", timings[name].ratio, 1, unit="x")
            for name in ("NumPy QR", "gelsy", "gelsd")
        ),
    ]


def _errors(
    context: Context,
) -> tuple[Table, list[Check], dict[str, dict[float, float]]]:
    n, d, seeds = (1000, 20, 4) if context.quick else (4000, 50, 10)
    conditions = [1e2, 1e4, 1e6, 1e8, 1e10]
    names = ["NumPy QR", "gelsy", *_METHODS, "auto"]
    errors: dict[str, dict[float, float]] = {name: {} for name in names}
    for condition in conditions:
        context.tell(f"forward errors, condition number {condition:.0e}")
        logs: dict[str, list[float]] = {name: [] for name in names}
        for seed in range(seeds):
            A, b = _conditioned(np.random.default_rng(seed), n, d, condition, _RESIDUAL)
            exact = _reference(A, b)
            paths = {
                "NumPy QR": functools.partial(_numpy_qr, A, b),
                "gelsy": functools.partial(_lapack, "gelsy", A, b),
            }
            for method in (*_METHODS, "auto"):
                paths[method] = functools.partial(_solution, A, b, method, seed)
            for name, path in paths.items():
                x = path()
                error = np.nan if x is None else np.linalg.norm(x - exact) / np.linalg.norm(exact)
                logs[name].append(float(np.log(error)))
        for name in names:
            errors[name][condition] = float(np.exp(np.mean(logs[name])))
    rows = [
        (name, *(None if np.isnan(line[c]) else line[c] for c in conditions))
        for name, line in errors.items()
    ]
    table = Table(
        f"Forward errors by condition number κ, {n} x {d}: geometric mean of {seeds} problems",
        ["method", *(Column(f"κ = {c:.0e}", ".1e") for c in conditions)],
        rows,
        note=f"Solutions of length 1, residuals of {_RESIDUAL}. "
        "Normal equations are refined with residuals of the problem itself, which holds up to "
        "condition numbers of a million; without a value Cholesky's factorisation broke down.",
    )
    worst = {
        name: max(errors[name][c] / errors["NumPy QR"][c] for c in conditions)
        for name in ("qr", "iterative_sketch", "precondition", "auto")
    }
    checks = [
        Check.at_most(f"forward error of {name!r} to Householder QR's, worst", ratio, 3, unit="x")
        for name, ratio in worst.items()
    ]
    worst_normal = max(errors["normal"][c] / errors["NumPy QR"][c] for c in conditions[:3])
    checks.append(
        Check.at_most(
            "forward error of 'normal' to Householder QR's, condition numbers to 1e6",
            worst_normal,
            3,
            unit="x",
        )
    )
    return table, checks, errors


def _solution(A: np.ndarray, b: np.ndarray, method: str, seed: int) -> np.ndarray | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        try:
            return lstsq(A, b, method=method, rng=seed).x
        except np.linalg.LinAlgError:
            return None


def _crossing(context: Context) -> Table:
    shapes = (
        [(2**14, 32), (2**13, 128)]
        if context.quick
        else [(2**18, 32), (2**17, 128), (2**16, 300), (2**16, 800)]
    )
    rows = []
    for n, d in shapes:
        for condition in (10.0, 1e10):
            context.tell(f"methods at {n} x {d}")
            A, b = _conditioned(context.rng, n, d, condition, _RESIDUAL)
            methods = [m for m in _METHODS if m != "normal" or condition < 1e6]
            timings = context.time_interleaved(
                {m: functools.partial(lstsq, A, b, method=m, rng=0) for m in methods},
                repeats=2,
                warmup=1 if context.quick else 0,
            )
            times = {m: t.ms for m, t in timings.items()}
            chosen = lstsq(A, b, rng=0).method
            rows.append((f"{n} x {d}", condition, *(times.get(m) for m in _METHODS), chosen))
    return Table(
        "Where the methods cross: times in ms by shape and condition number κ",
        [
            "shape",
            Column("κ", ".0e"),
            *(m.replace("_sketch", "") for m in _METHODS),
            "lstsq takes",
        ],
        rows,
    )


def _draw(canvas: Any, errors: dict[str, dict[float, float]]) -> None:
    axes = canvas.subplots()
    styles = {"NumPy QR": "k-", "gelsy": "k:", "normal": "x--"}
    for name, line in errors.items():
        if name != "auto":
            values = list(line.values())
            axes.loglog(list(line), values, styles.get(name, "o-"), markersize=4, label=name)
    axes.set(xlabel="condition number", ylabel="relative error of x")
    axes.legend()

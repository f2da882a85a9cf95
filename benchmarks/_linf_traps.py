"""Four sketches that look usable for the entrywise guarantee and are not, each beside its law."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks._linf_problems import (
    Problem,
    correlated_error,
    correlated_gram,
    gaussian_diagonal_law,
    predicted_ratio,
    problem,
)
from benchmarks.harness import Check, Column, Table

_RHO = 0.05
_N, _D, _M = 4096, 64, 512
_ORDERS = (16, 64, 256, 1024)
_QUANTILE = 0.95


def sampling_table(rng: np.random.Generator, draws: int) -> tuple[Table, list[Check]]:
    """Rows sampled uniformly and by their leverage, rescaled to be right on average."""
    rows, failed = [], {}
    for family in ("flat", "copies", "random"):
        case = problem(family, _N, _D)
        if family == "flat":
            # With x* = 0 the minimum norm of a singular problem would be right by accident.
            case = Problem(case.A, case.b + case.A.sum(axis=1))
        leverage = np.sum(np.linalg.qr(case.A)[0] ** 2, axis=1)
        for name, weights in (("uniform", np.ones(_N)), ("leverage", leverage)):
            chances = weights / weights.sum()
            singular, ratios = 0, []
            for _ in range(draws):
                SA, Sb = _sampled(case, chances, rng)
                x, _, rank, _ = np.linalg.lstsq(SA, Sb, rcond=None)
                singular += rank < _D
                ratios.append(case.ratio(x))
            high = float(np.quantile(ratios, 0.9))
            failed[family, name] = (singular / draws, max(ratios))
            middle = float(np.median(ratios))
            rows.append((family, name, middle, high, max(ratios), 100 * singular / draws))
    line = predicted_ratio(_D, _M)
    table = Table(
        f"Sampling rows: R, d = {_D}, m = {_M}, n = {_N}",
        [
            "family",
            "chances",
            Column("median", ".2f"),
            Column("90 %", ".2f"),
            Column("largest", ".2f"),
            Column("rank-deficient (%)", ".0f"),
        ],
        rows,
        note=f"{draws} draws with replacement; a dense sketch has {line:.2f} typically at most. "
        "Uniform sampling misses rows of the identity. Leverage scores know nothing of b: on "
        "copies of the identity all rows weigh alike, and the one that b is on counts n/m-fold or "
        "not at all. On the flat family, here with x* = 1, they happen to be exact unless a row of "
        "the identity is missed, for the rows with b have leverage 0.",
    )
    worst = min(failed["copies", name][1] for name in ("uniform", "leverage")) / line
    missed = failed["flat", "uniform"][0]
    return table, [
        Check.at_least(
            "row sampling on copies: largest R, in units of the line", worst, 3, unit="x"
        ),
        Check.at_least(
            "uniform sampling of [I; 0]: share of singular draws", 100 * missed, 100, unit="%"
        ),
    ]


def _sampled(case: Problem, chances: np.ndarray, rng: np.random.Generator) -> Any:
    chosen = rng.choice(len(chances), _M, p=chances)
    scale = 1 / np.sqrt(_M * chances[chosen])
    return scale[:, None] * case.A[chosen], scale * case.b[chosen]


def diagonal_table(rng: np.random.Generator, draws: int) -> tuple[Table, list[Check]]:
    """Hadamard rows with Gaussian numbers for the signs."""
    c = 3 / 7
    rows, off = [], 0.0
    for m in (4, 64, 1024):
        # The columns 1 and 2 differ in the bits 0 and 1: a row's sign product is that of index 3.
        sampled = rng.integers(0, _N, (draws, m), dtype=np.uint16)
        correlation = 1 - 2 * np.mean(np.bitwise_count(sampled & 3) & 1, axis=1)
        g, h = rng.standard_normal((2, draws))
        error = (g**2 - h**2) / (g**2 + h**2 + 2 * correlation * g * h)
        measured = float(np.mean(np.abs(error) > c))
        law = float(np.mean(gaussian_diagonal_law(c, correlation)))
        off = max(off, abs(measured - law) / math.sqrt(law * (1 - law) / draws))
        rows.append((m, float(np.median(np.abs(error))), 100 * measured, 100 * law, 0.0))
    table = Table(
        "A Gaussian diagonal in place of signs: error of one coefficient, u = (e1 + e2)/√2",
        [
            "m",
            Column("median error", ".3f"),
            Column("above 3/7 (%)", ".2f"),
            Column("law (%)", ".2f"),
            Column("error with signs", "g"),
        ],
        rows,
        note=f"b = (e1 - e2)/√2, {draws} draws. The law is (2/π) arctan(√(1 - c²(1 - ρ²))/c), "
        "averaged over the correlation ρ of the two columns; more rows do not help. With signs the "
        "two terms cancel exactly.",
    )
    what = "Gaussian diagonal: largest distance from the law, in standard errors"
    return table, [Check.at_most(what, off, 4)]


def correlated_table(rng: np.random.Generator, draws: int) -> tuple[Table, list[Check]]:
    """The sketch whose embedding error and whose fixed-vector error are tied to each other."""
    rows, constants, off = [], [], 0.0
    exact = correlated_error(_RHO, _RHO)
    for d in _ORDERS:
        deviation = fixed_vector_deviation(d, rng, draws)
        w = rng.standard_normal(d - 1)
        M = correlated_gram(w / np.linalg.norm(w), _RHO, _RHO)
        singular = np.sqrt(np.linalg.eigvalsh(M))
        found = abs(float(np.linalg.solve(M[:d, :d], M[:d, d])[0]))
        off = max(off, abs(found / exact - 1))
        constants.append(math.sqrt(d) * deviation)
        m = equal_rows(deviation)
        rows.append((d, singular[0], singular[-1], deviation, constants[-1], found, m, m**-0.5))
    table = Table(
        f"A sketch that a fixed-vector bound cannot tell from a good one, α = ρ = {_RHO:g}",
        [
            "d",
            Column("σ min", ".4f"),
            Column("σ max", ".4f"),
            Column("deviation", ".1e"),
            Column("times √d", ".3f"),
            Column("error of x₁", ".6f"),
            Column("Gaussian rows", ".0f"),
            Column("its error of x₁", ".1e"),
        ],
        rows,
        note=f"SᵀS = I + w vᵀ + v wᵀ with v = ρ e₁ + α e₊, w random. Deviation: {_QUANTILE:.0%} "
        "quantile of |gᵀSᵀSh - gᵀh| over draws of w, the largest of five fixed pairs of unit "
        "vectors. A Gaussian sketch with as many rows as given has the same quantile, and last is "
        "its standard error of x₁. The error of x₁ is αρ/(1 - ρ²) = 1/399 for every d.",
    )
    return table, [
        Check.at_most("correlated sketch: error of x₁ off αρ/(1 - ρ²), relative", off, 1e-9),
        Check.at_most(
            "correlated sketch: √d times the deviation, largest over smallest",
            max(constants) / min(constants),
            1.2,
            unit="x",
        ),
    ]


def fixed_vector_deviation(d: int, rng: np.random.Generator, draws: int) -> float:
    """Upper quantile of the deviation of products, the largest over five fixed pairs."""
    w = rng.standard_normal((draws, d - 1))
    w /= np.linalg.norm(w, axis=1, keepdims=True)
    first, second, last = np.eye(d + 1)[[0, 1, d]]
    flat = np.ones(d + 1) / math.sqrt(d + 1)
    pairs = [(first, flat), (first, second), (last, flat), (last, second), (flat, second)]
    v = _RHO * (first + last)
    found = []
    for g, h in pairs:
        deviation = (w @ g[1:d]) * (v @ h) + (g @ v) * (w @ h[1:d])
        found.append(float(np.quantile(np.abs(deviation), _QUANTILE)))
    return max(found)


def equal_rows(deviation: float) -> float:
    r"""Rows of a Gaussian sketch whose deviation for orthogonal vectors has the same quantile.

    For orthogonal unit vectors it is about normal with variance 1/m.
    """
    return (1.959964 / deviation) ** 2


def draw_correlated(canvas: Any) -> None:
    """Deviation and error against d."""
    axes = canvas.subplots()
    rng = np.random.default_rng(2)
    orders = 2 ** np.arange(4, 13)
    deviations = [fixed_vector_deviation(d, rng, 500) for d in orders]
    gaussian = [equal_rows(deviation) ** -0.5 for deviation in deviations]
    error = np.full(len(orders), correlated_error(_RHO, _RHO))
    axes.loglog(orders, deviations, "o-", markersize=4, label="deviation for fixed vectors")
    axes.loglog(orders, error, "s-", markersize=4, label="error of x₁, this sketch")
    axes.loglog(
        orders, gaussian, "^--", markersize=4, label="error of x₁, Gaussian of equal deviation"
    )
    axes.set(xlabel="d", ylabel="size")
    axes.legend()

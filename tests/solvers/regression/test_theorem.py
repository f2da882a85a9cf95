"""The entrywise guarantee of sketched regression: where it holds, where it breaks, by which laws.

Tests of probabilities use fixed seeds. Limits are set so that a right implementation with other
seeds would fail one test with probability below 1e-6, unless the test says otherwise.
"""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from benchmarks._linf_problems import (
    bucket_ratio,
    collision_probability,
    correlated_error,
    correlated_gram,
    gaussian_diagonal_law,
    predicted_ratio,
    problem,
    sketched_solution,
)
from numerics import countsketch, gaussian_pooled, gaussian_sketch, srct, srht
from solvers import linf_ratio, linf_row_count, sketched_lstsq

ALARM = 1e-6
DENSE = [
    pytest.param(make, id=make.__name__) for make in (gaussian_sketch, gaussian_pooled, srct, srht)
]


@pytest.mark.parametrize(("d", "k", "m"), [(1, 1, 2), (2, 1, 3), (2, 2, 3), (3, 2, 4), (2, 3, 5)])
def test_collision_probability_counts_maps(d, k, m):
    maps = list(itertools.product(range(m), repeat=d + k))
    shared = sum(bool(set(rows[:d]) & set(rows[d:])) for rows in maps)
    assert collision_probability(d, k, m) == pytest.approx(shared / len(maps), rel=1e-14)


@pytest.mark.parametrize("m", [64, 512, 2048, 4096, 20_000])
def test_collisions_of_flat_family_are_near_the_exponential_law(m):
    # The laws differ by terms of relative order d/m.
    off = collision_probability(64, 64, m) - (1 - math.exp(-(64**2) / m))
    assert abs(off) < 64 / m


@pytest.mark.parametrize(("k", "m"), [(16, 64), (16, 256), (16, 1024), (1, 64)])
def test_countsketch_collides_as_often_as_the_law_says(k, m, rng):
    d, draws = 16, 1000
    shared = 0
    for _ in range(draws):
        rows = countsketch(d + k, m, rng=rng).rows
        shared += bool(np.isin(rows[:d], rows[d:]).any())
    assert stats.binomtest(shared, draws, collision_probability(d, k, m)).pvalue > ALARM


@given(seed=st.integers(0, 2**32 - 1), family=st.sampled_from(["flat", "spike"]))
def test_countsketch_error_is_that_of_its_fullest_bucket(seed, family):
    d, m = 8, 24
    case = problem(family, 40, d)
    S = countsketch(40, m, rng=seed)
    sketched = S.apply(np.column_stack((case.A, case.b)))
    x = np.linalg.lstsq(sketched[:, :-1], sketched[:, -1], rcond=None)[0]
    assert case.ratio(x) == pytest.approx(bucket_ratio(S.rows, S.signs, d, case.b), abs=1e-12)


def test_countsketch_fails_where_dense_sketches_hold(rng):
    # d = 64 and m = 1024: all 30 draws of CountSketch collide but for a chance of 30 exp(-4).
    case = problem("flat", 4096, 64)
    line = predicted_ratio(64, 1024)
    hashed = [case.ratio(sketched_solution(countsketch, case, 1024, rng)) for _ in range(30)]
    mixed = [case.ratio(sketched_solution(srht, case, 1024, rng)) for _ in range(30)]
    assert np.median(hashed) >= 1 - 1e-9
    assert max(mixed) < 1.2 * line < 1


@pytest.mark.filterwarnings("ignore:m = 4 is less than 4d")
def test_countsketch_on_a_spike_is_refused_or_off_by_everything():
    # Two rows of the identity in one bucket: no solution. One of them beside the spike: x_j = 1.
    case = problem("spike", 6, 3)
    signs = np.ones(6, dtype=np.int8)
    clash = countsketch(6, 4, rows=[0, 0, 1, 2, 3, 3], signs=signs)
    beside = countsketch(6, 4, rows=[0, 1, 2, 0, 3, 3], signs=signs)
    with pytest.raises(np.linalg.LinAlgError, match="sigma_min"):
        sketched_lstsq(case.A, case.b, sketch=clash)
    found = sketched_lstsq(case.A, case.b, sketch=beside)
    np.testing.assert_allclose(found.x, [1, 0, 0], atol=1e-15)
    assert case.ratio(found.x) == pytest.approx(math.sqrt(3))
    assert found.stderr is None
    assert found.linf_bound is None


def test_ratio_is_that_of_the_solver_package(rng):
    case = problem("random", 200, 5)
    x = rng.standard_normal(5)
    assert linf_ratio(x, case.A, case.b) == pytest.approx(case.ratio(x), rel=1e-10)


@pytest.mark.parametrize("make", DENSE)
@pytest.mark.parametrize("family", ["flat", "copies", "random"])
def test_dense_sketches_embed(make, family, rng):
    """Singular values of SU within the limits for Gaussian matrices, over 20 seeds.

    P(|s - 1| > sqrt(d/m) + t) <= 2 exp(-m t^2/2) for a Gaussian S (Davidson and Szarek). Of the
    others no such law is known, and the same limits are asked.
    """
    n, d, m, draws = 1024, 12, 256, 20
    U = np.linalg.qr(problem(family, n, d).A)[0]
    t = math.sqrt(2 * math.log(2 * draws / ALARM) / m)
    for _ in range(draws):
        values = np.linalg.svd(make(n, m, rng=rng).apply(U), compute_uv=False)
        assert 1 - math.sqrt(d / m) - t < values[-1] < values[0] < 1 + math.sqrt(d / m) + t


@pytest.mark.parametrize("make", DENSE)
@pytest.mark.parametrize("family", ["flat", "random"])
def test_certificate_holds_as_often_as_it_says(make, family, rng):
    """Failures over 60 sketches within the binomial law for the probability asked, 10 %."""
    case, draws, delta = problem(family, 1024, 8), 60, 0.1
    failures = 0
    for _ in range(draws):
        found = sketched_lstsq(case.A, case.b, delta=delta, sketch=make(1024, 128, rng=rng))
        failures += bool(np.max(np.abs(found.x - case.x)) > found.linf_bound)
    assert failures <= stats.binom.isf(ALARM, draws, delta)


def test_gaussian_error_follows_students_law(rng):
    """Unconditionally: sqrt(m - d + 1) (x'_j - x_j) / (|r| sqrt(v_j)) has m - d + 1 degrees."""
    n, d, m = 60, 6, 16
    case = problem("random", n, d)
    v = np.diag(np.linalg.inv(case.A.T @ case.A))
    # One coordinate a sketch: those of one sketch depend on each other.
    errors = [
        (sketched_solution(gaussian_sketch, case, m, rng) - case.x)[j % d] / math.sqrt(v[j % d])
        for j in range(1500)
    ]
    studentised = math.sqrt(m - d + 1) / case.residual_norm * np.array(errors)
    assert stats.kstest(studentised, stats.t(m - d + 1).cdf).pvalue > ALARM


@pytest.mark.parametrize("make", DENSE)
def test_row_count_keeps_the_ratio(make, rng):
    """R <= epsilon in all but a share delta of the draws: proved for Gaussian sketches only."""
    d, epsilon, delta, draws = 8, 0.6, 0.1, 40
    m = linf_row_count(d, epsilon, delta)
    case = problem("flat", 1024, d)
    ratios = [case.ratio(sketched_solution(make, case, m, rng)) for _ in range(draws)]
    assert np.count_nonzero(np.array(ratios) > epsilon) <= stats.binom.isf(ALARM, draws, delta)


def test_correlated_sketch_errs_alike_in_every_dimension():
    rho = alpha = Fraction(1, 20)
    assert correlated_error(rho, alpha) == Fraction(1, 399)
    # Cramer's rule for the two unknowns along e_1 and w.
    assert rho * alpha / (1 * 1 - rho * rho) == Fraction(1, 399)


@pytest.mark.parametrize("d", [2, 5, 50, 400])
def test_correlated_sketch_embeds_and_errs(d, rng):
    w = rng.standard_normal(d - 1)
    M = correlated_gram(w / np.linalg.norm(w), 0.05, 0.05)
    values = np.linalg.eigvalsh(M)
    edge = math.hypot(0.05, 0.05)
    np.testing.assert_allclose(values[[0, -1]], [1 - edge, 1 + edge], rtol=0, atol=1e-13)
    np.testing.assert_allclose(values[1:-1], 1, rtol=0, atol=1e-13)
    assert 0.9 < math.sqrt(values[0]) < math.sqrt(values[-1]) < 1.1
    x = np.linalg.solve(M[:d, :d], M[:d, d])
    assert abs(x[0]) == pytest.approx(1 / 399, rel=1e-12)


def test_correlated_sketch_has_the_fixed_vector_property(rng):
    """With probability 1 - delta, |g^T M h - g^T h| is at most 2 |v| sqrt(2 log(4/delta)/(d - 2)).

    By the concentration of w, uniform on the sphere of R^(d - 1): each of its products with fixed
    unit vectors exceeds t with probability at most 2 exp(-(d - 2) t^2/2).
    """
    d, delta, draws = 100, 1e-3, 2000
    limit = 2 * math.hypot(0.05, 0.05) * math.sqrt(2 * math.log(4 / delta) / (d - 2))
    g, h = np.linalg.qr(rng.standard_normal((d + 1, 2)))[0].T
    w = rng.standard_normal((draws, d - 1))
    w /= np.linalg.norm(w, axis=1, keepdims=True)
    first = correlated_gram(w[0], 0.05, 0.05)
    v = np.zeros(d + 1)
    v[[0, -1]] = 0.05
    deviation = (w @ g[1:-1]) * (v @ h) + (v @ g) * (w @ h[1:-1])
    assert deviation[0] == pytest.approx(g @ first @ h - g @ h, abs=1e-15)
    assert np.mean(np.abs(deviation) > limit) <= delta


@pytest.mark.parametrize("correlation", [0.0, 0.3, -0.7, 1.0])
@pytest.mark.parametrize("c", [0.1, 3 / 7, 0.9])
def test_gaussian_diagonal_law_is_an_angle(c, correlation):
    """The ratio depends on the direction of (g_1, g_2) alone, which is uniform."""
    angle = (np.arange(200_000) + 0.5) * np.pi / 200_000
    error = np.cos(2 * angle) / (1 + correlation * np.sin(2 * angle))
    share = np.mean(np.abs(error) > c)
    # Eight ends of intervals, each right to a cell.
    assert gaussian_diagonal_law(c, correlation) == pytest.approx(share, abs=8 / 200_000)
    assert gaussian_diagonal_law(c, correlation) >= 2 / np.pi * math.acos(c) - 1e-15


def test_signs_are_exact_where_a_gaussian_diagonal_errs():
    A, r = np.zeros((8, 1)), np.zeros(8)
    A[[1, 2], 0], r[[1, 2]] = 1, (1, -1)
    for seed in range(20):
        S = srht(8, 4, rng=seed)
        x = np.linalg.lstsq(S @ A, S @ r, rcond=None)[0]
        np.testing.assert_allclose(x, 0, atol=1e-14)

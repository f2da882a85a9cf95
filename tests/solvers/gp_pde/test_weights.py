"""Conditioning by singular values against the textbook formulas for Gaussians."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from solvers.gp_pde._weights import (
    WeightGaussian,
    exact_data,
    likely_amplitude,
    no_data,
)

sizes = st.tuples(st.integers(1, 6), st.integers(1, 8), st.integers(0, 2**31))


def problem(n, K, seed):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, K)), rng.standard_normal(n), rng.uniform(0.1, 1, n)


@given(sizes)
def test_exact_data_leave_the_prior_on_their_null_space(drawn):
    H, y, _ = problem(*drawn)
    found = exact_data(H, y)
    lengths = np.linalg.norm(H, axis=1)
    H, y = H / lengths[:, None], y / lengths
    inverse = np.linalg.pinv(H)
    # Condition numbers of such matrices reach 1e5.
    np.testing.assert_allclose(found.mean, inverse @ y, atol=1e-7 * (1 + np.abs(found.mean).max()))
    covariance = found.root @ found.root.T
    np.testing.assert_allclose(covariance, np.eye(H.shape[1]) - inverse @ H, atol=1e-8)
    if H.shape[0] <= H.shape[1]:
        assert found.misfit < 1e-10


@given(sizes)
def test_noisy_data_agree_with_dense_conditioning(drawn):
    H, y, std = problem(*drawn)
    G, z, _ = problem(2, H.shape[1], drawn[2] + 1)
    first = exact_data(G, z) if H.shape[1] > 3 else no_data(H.shape[1])
    prior = WeightGaussian(first.mean, first, 1.7)
    after, log_density = prior.noisy(H, y, std)
    P = prior.root @ prior.root.T
    S = H @ P @ H.T + np.diag(std**2)
    gain = np.linalg.solve(S, H @ P).T
    np.testing.assert_allclose(after.mean, first.mean + gain @ (y - H @ first.mean), atol=1e-8)
    np.testing.assert_allclose(after.root @ after.root.T, P - gain @ H @ P, atol=1e-8)
    expected = multivariate_normal(H @ first.mean, S).logpdf(y)
    assert abs(log_density - expected) < 1e-7 * (1 + abs(expected))
    mean, variance = after.moments(H)
    np.testing.assert_allclose(mean, H @ after.mean, atol=1e-10)
    np.testing.assert_allclose(variance, np.diag(H @ (P - gain @ H @ P) @ H.T), atol=1e-7)


def test_draws_have_the_posterior_moments(rng):
    H, y, std = problem(3, 5, 0)
    after, _ = WeightGaussian(np.zeros(5), no_data(5)).noisy(H, y, std)
    draws = after.draw(20000, rng, np.eye(5))
    covariance = after.root @ after.root.T
    # Standard errors of 20000 draws are below 0.01.
    np.testing.assert_allclose(draws.mean(axis=0), after.mean, atol=0.05)
    np.testing.assert_allclose(np.cov(draws.T), covariance, atol=0.05)


@pytest.mark.parametrize("with_exact", [False, True])
def test_amplitude_is_the_likeliest(with_exact):
    H, y, std = problem(8, 12, 3)
    G, z, _ = problem(4, 12, 4)
    exact = exact_data(G, z) if with_exact else no_data(12)
    best = likely_amplitude(exact, H, 5 * y, std)

    def log_density(amplitude):
        _, density = WeightGaussian(exact.mean, exact, amplitude).noisy(H, 5 * y, std)
        given = multivariate_normal(np.zeros(4), amplitude**2 * G @ G.T).logpdf(z)
        return density + (given if with_exact else 0.0)

    assert log_density(best) > max(log_density(best * 1.01), log_density(best / 1.01))


def test_the_likeliest_amplitude_is_found_between_flat_ends(rng):
    U, _ = np.linalg.qr(rng.standard_normal((40, 12)))
    s = np.geomspace(1e4, 1e-4, 12)

    def log_density(amplitude, y):
        spread = (amplitude * s) ** 2 + 1
        return -0.5 * np.sum(np.log(spread) + (U.T @ y) ** 2 / spread)

    for size in np.geomspace(1e-3, 1e3, 30):
        y = U @ (s * size * rng.standard_normal(12)) + rng.standard_normal(40)
        best = likely_amplitude(no_data(12), U * s, y, np.ones(40))
        others = np.exp(np.arange(-16, 16, 0.1))
        assert log_density(best, y) > max(log_density(other, y) for other in others) - 1e-4


def test_data_that_noise_explains_leave_an_amplitude():
    H = np.diag([100.0, 1.0])
    amplitude = likely_amplitude(no_data(2), H, np.zeros(2), np.ones(2))
    # log(1 + (100 a)^2) = 1 at a = 0.013, and steps have a factor of 1.6.
    assert 0.013 / 1.65 < amplitude < 0.0132


def test_exact_zeros_say_nothing_of_the_amplitude():
    H, y, std = problem(8, 12, 3)
    G, _, _ = problem(4, 12, 4)
    exact = exact_data(G, np.zeros(4))
    within = likely_amplitude(no_data(8), H @ exact.root[:, 4:], 5 * y, std)
    assert abs(likely_amplitude(exact, H, 5 * y, std) / within - 1) < 1e-4


def test_amplitude_without_noise_is_the_mean_square():
    G, z, _ = problem(4, 12, 4)
    exact = exact_data(G, z)
    energy = z @ np.linalg.solve(G @ G.T, z)
    assert abs(likely_amplitude(exact, None, None, None) ** 2 - energy / 4) < 1e-10
    assert likely_amplitude(no_data(3), None, None, None) == 1.0


def test_rows_of_any_length_and_zero_rows():
    H = np.array([[1e12, 0.0], [0.0, 1e-12], [0.0, 0.0]])
    found = exact_data(H, np.array([2e12, 3e-12, 0.0]))
    np.testing.assert_allclose(found.mean, [2, 3], rtol=1e-12)
    assert found.rank == 2

"""The exact ARMA likelihood against dense covariance matrices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter

from ssm._arima_fit import coefficients, free_variables
from ssm._arma_likelihood import innovations, scaled_jacobian, scaled_residual

N = 25
orders = st.tuples(st.integers(0, 3), st.integers(0, 3))
seeds = st.integers(0, 2**32 - 1)


def model(order: tuple[int, int], seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Free variables, phi and theta of a model with roots clear of the unit circle."""
    p, q = order
    u = np.random.default_rng(seed).uniform(-0.8, 0.8, p + q)
    return u, coefficients(u[:p]), -coefficients(u[p:])


def dense_covariance(phi: np.ndarray, theta: np.ndarray, n: int) -> np.ndarray:
    """Toeplitz covariance from a long sum over impulse responses."""
    impulse = np.zeros(4000)
    impulse[0] = 1.0
    psi = lfilter(np.concatenate([[1.0], theta]), np.concatenate([[1.0], -phi]), impulse)
    gamma = np.array([psi[: len(psi) - k] @ psi[k:] for k in range(n)])
    return gamma[np.abs(np.subtract.outer(np.arange(n), np.arange(n)))]


def trend(phi: np.ndarray, start: float, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns of the equation, and the means they give: run from far back until they settle."""
    far = 4000
    time = start + 0.1 * np.arange(-far, n)
    columns = np.stack([time**0, time], axis=-1)
    means = lfilter([1.0], np.concatenate([[1.0], -phi]), columns, axis=0)
    return columns[far:], means[far:]


@given(orders, seeds)
def test_log_likelihood_is_the_dense_one(order: tuple[int, int], seed: int) -> None:
    _, phi, theta = model(order, seed)
    w = np.random.default_rng(seed).standard_normal(N) + 2.0
    X, means = trend(phi, 0.1, N)
    found = innovations(w, X, phi, theta)
    assert found is not None

    root = np.linalg.cholesky(dense_covariance(phi, theta, N))
    white, columns = np.linalg.solve(root, w), np.linalg.solve(root, means)
    beta = np.linalg.lstsq(columns, white, rcond=None)[0]
    residual = white - columns @ beta
    variance = residual @ residual / N
    expected = -0.5 * N * (1 + np.log(2 * np.pi * variance)) - np.log(np.diag(root)).sum()
    # Conditioned on roots of at most 0.97 or so; measured 1e-11.
    np.testing.assert_allclose(found.trend, beta, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(found.log_likelihood, expected, rtol=1e-9)
    np.testing.assert_allclose(np.mean(found.standardised**2), variance, rtol=1e-9)


@given(orders, seeds)
def test_moving_average_forecast_is_the_conditional_mean(order: tuple[int, int], seed: int) -> None:
    _, phi, theta = model(order, seed)
    q = len(theta)
    w = np.random.default_rng(seed).standard_normal(N)
    found = innovations(w, np.zeros((N, 0)), phi, theta)
    assert found is not None

    covariance = dense_covariance(phi, theta, N + q)
    mean = covariance[N:, :N] @ np.linalg.solve(covariance[:N, :N], w)
    path = np.concatenate([w, mean])
    expected = lfilter(np.concatenate([[1.0], -phi]), [1.0], path)[N:]
    np.testing.assert_allclose(found.ma_forecast, expected, rtol=0, atol=1e-8)


@given(orders, seeds)
def test_scaled_residual_carries_the_likelihood(order: tuple[int, int], seed: int) -> None:
    u, phi, theta = model(order, seed)
    w, X = np.random.default_rng(seed).standard_normal(N), np.ones((N, 1))
    found = innovations(w, X, phi, theta)
    assert found is not None
    mean_square = np.mean(scaled_residual(w, X, u, order[0]) ** 2)
    expected = -0.5 * N * (1 + np.log(2 * np.pi * mean_square))
    np.testing.assert_allclose(found.log_likelihood, expected, rtol=1e-12)


def test_jacobian_points_along_a_finite_step(rng: np.random.Generator) -> None:
    u, _, _ = model((2, 2), 5)
    w, X = rng.standard_normal(N), np.ones((N, 1))
    direction, h = rng.standard_normal(4), 1e-3
    slope = (
        scaled_residual(w, X, u + h * direction, 2) - scaled_residual(w, X, u - h * direction, 2)
    ) / (2 * h)
    # The step's own error is of order h^2.
    np.testing.assert_allclose(
        scaled_jacobian(w, X, u, 2) @ direction, slope, rtol=0, atol=1e-4 * np.abs(slope).max()
    )


def test_a_singular_covariance_is_reported() -> None:
    w, X = np.arange(5.0), np.zeros((5, 0))
    assert innovations(w, X, np.array([1.0]), np.zeros(0)) is None
    assert np.isinf(scaled_residual(w, X, np.array([1e10]), 1)).all()


@given(st.lists(st.floats(-5.0, 5.0), max_size=6))
def test_free_variables_invert_coefficients(u: list[float]) -> None:
    phi = coefficients(np.array(u))
    roots = np.roots(np.concatenate([[1.0], -phi]))
    assert np.all(np.abs(roots) < 1)
    # Partial autocorrelations near 1 multiply errors by up to (1 - r^2)^-1 = 26 each.
    np.testing.assert_allclose(coefficients(free_variables(phi)), phi, rtol=0, atol=1e-9)


@pytest.mark.parametrize("order", [(0, 0), (3, 0), (0, 3)])
def test_compiled_coefficients_are_the_same(order: tuple[int, int]) -> None:
    from ssm._numba_innovations import coefficients as compiled

    u, phi, theta = model(order, 3)
    np.testing.assert_allclose(compiled(u[: order[0]]), phi, rtol=0, atol=1e-15)
    np.testing.assert_allclose(-compiled(u[order[0] :]), theta, rtol=0, atol=1e-15)

"""The pieces of the conditional fit: derivatives, starts and the trend's columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter

from ssm._arima_fit import (
    _coefficients_jacobian,
    _conditional_jacobian,
    _hannan_rissanen,
    _regression,
    _shrunk,
    coefficients,
    trend_columns,
)

free = st.lists(st.floats(-2.0, 2.0), min_size=1, max_size=4).map(np.array)


def central(function: Callable[[np.ndarray], Any], u: np.ndarray) -> np.ndarray:
    h = 1e-5
    steps = h * np.eye(len(u))
    return np.stack([(function(u + s) - function(u - s)) / (2 * h) for s in steps], axis=-1)


@given(free)
def test_derivative_of_the_coefficients(u: np.ndarray) -> None:
    # Central differences of step 1e-5 are good to about 1e-9.
    np.testing.assert_allclose(
        _coefficients_jacobian(u), central(coefficients, u), rtol=0, atol=1e-7
    )


@given(free, st.integers(0, 2**32 - 1))
def test_conditional_jacobian_gives_the_exact_gradient(u: np.ndarray, seed: int) -> None:
    rng = np.random.default_rng(seed)
    target, design = rng.standard_normal(60), rng.standard_normal((60, 3))
    fit = _regression(target, design, -coefficients(u))
    jacobian = _conditional_jacobian(target, design, u)
    gradient = central(
        lambda v: 0.5 * _regression(target, design, -coefficients(v)).sum_of_squares, u
    )
    scale = np.linalg.norm(jacobian) * np.linalg.norm(fit.residual) + np.abs(gradient).max()
    np.testing.assert_allclose(jacobian.T @ fit.residual, gradient, rtol=0, atol=1e-7 * scale)
    # The linear coefficients are projected out: no column moves along their regressors.
    overlap = np.abs(fit.design.T @ jacobian).max()
    assert overlap <= 1e-10 * np.linalg.norm(fit.design) * max(np.linalg.norm(jacobian), 1e-3)


def test_start_is_near_the_truth_in_a_long_series() -> None:
    shocks = np.random.default_rng(0).standard_normal(20000)
    w = lfilter([1.0, 0.5], [1.0, -0.7], shocks)
    phi, theta = _hannan_rissanen(w, np.ones((len(w), 1)), 1, 1)
    # The estimates' standard errors are below 0.01.
    np.testing.assert_allclose([phi[0], theta[0]], [0.7, 0.5], atol=0.03)


def test_start_of_a_short_series_is_zero() -> None:
    phi, theta = _hannan_rissanen(np.arange(6.0), np.zeros((6, 0)), 1, 2)
    assert not phi.any()
    assert not theta.any()


@pytest.mark.parametrize("sign", [1, -1])
@given(phi=st.lists(st.floats(-3.0, 3.0), max_size=4).map(np.array))
def test_shrinking_makes_stable_and_leaves_stable_alone(sign: int, phi: np.ndarray) -> None:
    shrunk = _shrunk(phi, sign)
    before, after = (
        np.abs(np.roots(np.concatenate([[1.0], -sign * c]))).max(initial=0.0) for c in (phi, shrunk)
    )
    # Repeated roots are found to the square or fourth root of rounding only.
    assert after <= 0.98 + 1e-3
    if before <= 0.98:
        np.testing.assert_array_equal(shrunk, phi)


def test_trend_columns() -> None:
    time = np.array([3.0, 4.0])
    assert trend_columns("n", time).shape == (2, 0)
    np.testing.assert_array_equal(trend_columns("c", time), [[1], [1]])
    np.testing.assert_array_equal(trend_columns("t", time), [[3], [4]])
    np.testing.assert_array_equal(trend_columns("ct", time), [[1, 3], [1, 4]])

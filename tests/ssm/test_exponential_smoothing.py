"""Exponential smoothing against statsmodels, and its closed loop."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter

from ssm import dense_kernel, holt_to_ssm, holt_winters_to_ssm, ses_to_ssm

gain = st.floats(0.0, 1.0)


def one_step_forecasts(
    system: tuple[np.ndarray, np.ndarray, np.ndarray], start: np.ndarray, u: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Forecast of every sample from the ones before it, and the last state."""
    A, B, C = system
    x, forecasts = start, []
    for value in u:
        forecasts.append(C @ x)
        x = A @ x + B * value
    return np.array(forecasts), x


def closed_loop(
    system: tuple[np.ndarray, np.ndarray, np.ndarray], x: np.ndarray, horizon: int
) -> np.ndarray:
    A, B, C = system
    forecasts = []
    for _ in range(horizon):
        forecasts.append(C @ x)
        x = (A + np.outer(B, C)) @ x
    return np.array(forecasts)


@pytest.fixture
def series(rng: np.random.Generator) -> np.ndarray:
    t = np.arange(60)
    return 20 + 0.3 * t + 3 * np.sin(2 * np.pi * t / 6) + rng.standard_normal(60)


@pytest.fixture
def smoothing() -> Any:
    module = pytest.importorskip("statsmodels.tsa.holtwinters")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield module


def test_ses_of_statsmodels(series: np.ndarray, smoothing: Any) -> None:
    model = smoothing.SimpleExpSmoothing(
        series, initialization_method="known", initial_level=series[0]
    )
    peer = model.fit(smoothing_level=0.35, optimized=False)
    system = ses_to_ssm(0.35)
    fitted, state = one_step_forecasts(system, series[:1], series)
    np.testing.assert_allclose(fitted, peer.fittedvalues, rtol=0, atol=1e-10)
    np.testing.assert_allclose(closed_loop(system, state, 5), peer.forecast(5), atol=1e-10)


def test_holt_of_statsmodels(series: np.ndarray, smoothing: Any) -> None:
    model = smoothing.Holt(
        series, initialization_method="known", initial_level=19.0, initial_trend=0.5
    )
    peer = model.fit(smoothing_level=0.4, smoothing_trend=0.15, optimized=False)
    system = holt_to_ssm(0.4, 0.15)
    fitted, state = one_step_forecasts(system, np.array([19.0, 0.5]), series)
    np.testing.assert_allclose(fitted, peer.fittedvalues, rtol=0, atol=1e-10)
    np.testing.assert_allclose(closed_loop(system, state, 8), peer.forecast(8), atol=1e-10)


def test_holt_winters_of_statsmodels(series: np.ndarray, smoothing: Any) -> None:
    season = np.array([0.0, 2.5, 2.4, 0.1, -2.6, -2.4])
    model = smoothing.ExponentialSmoothing(
        series,
        trend="add",
        seasonal="add",
        seasonal_periods=6,
        initialization_method="known",
        initial_level=19.0,
        initial_trend=0.5,
        initial_seasonal=season,
    )
    peer = model.fit(
        smoothing_level=0.4, smoothing_trend=0.15, smoothing_seasonal=0.25, optimized=False
    )
    system = holt_winters_to_ssm(0.4, 0.15, 0.25, 6)
    start = np.concatenate([[19.0, 0.5], season[::-1]])
    fitted, state = one_step_forecasts(system, start, series)
    np.testing.assert_allclose(fitted, peer.fittedvalues, rtol=0, atol=1e-10)
    # That class's forecasts leave out the season's last update (seen at multiples of the period);
    # the state-space class in the same package takes it in.
    ets = pytest.importorskip("statsmodels.tsa.exponential_smoothing.ets").ETSModel(
        series,
        trend="add",
        seasonal="add",
        seasonal_periods=6,
        initialization_method="known",
        initial_level=19.0,
        initial_trend=0.5,
        initial_seasonal=season,
    )
    peer = ets.smooth(np.concatenate([[0.4, 0.4 * 0.15, 0.25, 19.0, 0.5], season[::-1]]))
    np.testing.assert_allclose(fitted, peer.fittedvalues, rtol=0, atol=1e-10)
    np.testing.assert_allclose(closed_loop(system, state, 15), peer.forecast(15), atol=1e-10)


@given(gain, gain)
def test_holt_kernel_is_its_rational_filter(alpha: float, beta: float) -> None:
    kernel = dense_kernel(*holt_to_ssm(alpha, beta), 30)
    numerator = [alpha + alpha * beta, -alpha]
    denominator = [1.0, -(2 - alpha - alpha * beta), 1 - alpha]
    expected = lfilter(numerator, denominator, np.eye(1, 30)[0])
    # Near alpha = beta = 0 the poles meet at 1 and thirty steps amplify rounding about 30^2 times.
    np.testing.assert_allclose(kernel, expected, rtol=0, atol=1e-12)


@given(gain, gain, gain, st.integers(2, 7))
def test_closed_loop_forgets_the_gains(
    alpha: float, beta: float, gamma: float, period: int
) -> None:
    A, B, C = holt_winters_to_ssm(alpha, beta, gamma, period)
    still, _, _ = holt_winters_to_ssm(0.0, 0.0, 0.0, period)
    np.testing.assert_allclose(A + B[:, None] * C, still, rtol=0, atol=1e-15)


@given(gain, gain)
def test_a_straight_line_is_forecast_exactly(alpha: float, beta: float) -> None:
    line = 2.0 + 0.5 * np.arange(20)
    forecasts, _ = one_step_forecasts(holt_to_ssm(alpha, beta), np.array([1.5, 0.5]), line)
    np.testing.assert_allclose(forecasts, line, rtol=0, atol=1e-12)


def test_array_kinds(xp: Any) -> None:
    alpha, beta, gamma = (xp.asarray(np.array([value, 0.5])) for value in (0.3, 0.2, 0.1))
    for ours, double in (
        (ses_to_ssm(alpha), ses_to_ssm([0.3, 0.5])),
        (holt_to_ssm(alpha, beta), holt_to_ssm([0.3, 0.5], [0.2, 0.5])),
        (
            holt_winters_to_ssm(alpha, beta, gamma, 3),
            holt_winters_to_ssm([0.3, 0.5], [0.2, 0.5], [0.1, 0.5], 3),
        ),
    ):
        for got, expected in zip(ours, double, strict=True):
            np.testing.assert_allclose(xp.numpy(got), expected, rtol=0, atol=xp.tol)


def test_batches_broadcast_and_equal_the_loop() -> None:
    alpha, beta = np.array([[0.1], [0.9]]), np.array([0.0, 0.5, 1.0])
    batched = holt_winters_to_ssm(alpha, beta, 0.3, 4)
    assert [value.shape for value in batched] == [(2, 3, 6, 6), (2, 3, 6), (2, 3, 6)]
    for i in range(2):
        for j in range(3):
            single = holt_winters_to_ssm(alpha[i, 0], beta[j], 0.3, 4)
            for got, expected in zip(batched, single, strict=True):
                np.testing.assert_array_equal(got[i, j], expected)


def test_gradients() -> None:
    torch = pytest.importorskip("torch")
    gains = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (0.3, 0.2, 0.1)]
    assert torch.autograd.gradcheck(lambda a: ses_to_ssm(a)[:2], gains[:1])
    assert torch.autograd.gradcheck(lambda a, b: holt_to_ssm(a, b)[:2], gains[:2])
    assert torch.autograd.gradcheck(lambda a, b, c: holt_winters_to_ssm(a, b, c, 3)[:2], gains)


@pytest.mark.parametrize(
    ("call", "error", "name"),
    [
        (lambda: ses_to_ssm(-0.1), ValueError, "alpha"),
        (lambda: ses_to_ssm(1.1), ValueError, "alpha"),
        (lambda: ses_to_ssm(np.nan), ValueError, "alpha"),
        (lambda: ses_to_ssm("0.5"), TypeError, "alpha"),
        (lambda: ses_to_ssm(0.5j), TypeError, "alpha"),
        (lambda: holt_to_ssm(0.5, 2.0), ValueError, "beta"),
        (lambda: holt_to_ssm(np.ones(2), np.ones(3)), ValueError, "beta"),
        (lambda: holt_winters_to_ssm(0.5, 0.5, -1.0, 4), ValueError, "gamma"),
        (lambda: holt_winters_to_ssm(0.5, 0.5, 0.5, 1), ValueError, "period"),
        (lambda: holt_winters_to_ssm(0.5, 0.5, 0.5, 4.0), TypeError, "period"),
    ],
)
def test_bad_input(call: Any, error: type[Exception], name: str) -> None:
    with pytest.raises(error, match=name):
        call()

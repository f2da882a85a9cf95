"""CompanionForecaster: estimates, forecasts, intervals, copies and refusals."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.signal import lfilter
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from ssm.estimators import CompanionForecaster


def simulate(phi: Any, theta: Any, n: int, seed: int, *, d: int = 0) -> np.ndarray:
    shocks = np.random.default_rng(seed).standard_normal(n + 300)
    y = lfilter(np.r_[1.0, theta], np.r_[1.0, -np.asarray(phi)], shocks)[300:]
    for _ in range(d):
        y = np.cumsum(y)
    return y


@pytest.fixture(scope="module")
def sunspots() -> np.ndarray:
    datasets = pytest.importorskip("statsmodels.datasets")
    return np.asarray(datasets.sunspots.load().data["SUNACTIVITY"], dtype=np.float64)


@pytest.fixture
def quiet() -> Any:
    """The peer warns about its own convergence and start values."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize(("p", "trend"), [(9, "c"), (3, "ct"), (2, "t"), (1, "n"), (0, "ct")])
def test_least_squares_of_statsmodels(sunspots: np.ndarray, p: int, trend: str) -> None:
    ar_model = pytest.importorskip("statsmodels.tsa.ar_model")
    ours = CompanionForecaster((p, 0, 0), trend=trend).fit(sunspots)
    peer = ar_model.AutoReg(sunspots, p, trend=trend).fit()
    np.testing.assert_allclose(np.r_[ours.trend_coef_, ours.ar_coef_], peer.params, rtol=1e-8)
    assert ours.sigma2_ == pytest.approx(peer.sigma2, rel=1e-10)
    assert ours.aic_ == pytest.approx(peer.aic, rel=1e-10)
    assert ours.bic_ == pytest.approx(peer.bic, rel=1e-10)
    n = len(sunspots)
    forecast = peer.get_prediction(n, n + 23)
    np.testing.assert_allclose(ours.predict(24), forecast.predicted_mean, rtol=1e-9)
    np.testing.assert_allclose(
        ours.predict_interval(24, 0.9), forecast.conf_int(alpha=0.1), rtol=1e-9, atol=1e-8
    )


@pytest.mark.parametrize(
    ("order", "trend"),
    [((2, 0, 1), "c"), ((1, 1, 1), "n"), ((0, 1, 2), "n"), ((2, 0, 0), "c"), ((1, 0, 2), "ct")],
)
def test_maximum_likelihood_of_statsmodels(
    sunspots: np.ndarray, order: tuple[int, int, int], trend: str, quiet: None
) -> None:
    arima = pytest.importorskip("statsmodels.tsa.arima.model")
    p, d, _ = order
    ours = CompanionForecaster(order, trend=trend, method="ml").fit(sunspots)
    assert ours.converged_
    # Differencing first makes the peer's likelihood exact instead of approximately diffuse.
    model = arima.ARIMA(np.diff(sunspots, n=d), order=(p, 0, order[2]), trend=trend)
    gain = 1 - ours.ar_coef_.sum()
    means = []
    if trend == "c":
        means = [ours.trend_coef_[0] / gain]
    elif trend == "ct":
        slope = ours.trend_coef_[1] / gain
        means = [(ours.trend_coef_[0] - slope * (ours.ar_coef_ @ np.arange(1, p + 1))) / gain]
        means.append(slope)
    parameters = np.r_[means, ours.ar_coef_, ours.ma_coef_, ours.sigma2_]
    here = model.smooth(parameters)
    assert ours.loglik_ == pytest.approx(here.llf, rel=1e-10)
    assert ours.aic_ == pytest.approx(here.aic, rel=1e-10)
    assert ours.bic_ == pytest.approx(here.bic, rel=1e-10)

    # Both stop near the same maximum, where the likelihood is flat: nearly equal values mean
    # parameters that agree to the square root.
    best = model.fit()
    assert ours.loglik_ >= best.llf - 1e-5
    np.testing.assert_allclose(parameters, best.params, rtol=2e-2, atol=2e-2)

    forecast = here.get_forecast(20)
    mean, interval = forecast.predicted_mean, forecast.conf_int()
    if d == 0:
        # The peer's forecast error starts from its filter's last covariance, ours from zero.
        np.testing.assert_allclose(ours.predict(20), mean, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(ours.predict_interval(20), interval, rtol=1e-6, atol=1e-6)
    else:
        np.testing.assert_allclose(
            ours.predict(20), sunspots[-1] + np.cumsum(mean), rtol=1e-9, atol=1e-9
        )


def test_conditional_sum_of_squares_is_the_minimum() -> None:
    y = simulate([0.7], [0.4, -0.3], 150, 4) + 3.0
    ours = CompanionForecaster((1, 0, 2), method="css", tol=1e-12).fit(y)

    def innovations(x: np.ndarray) -> np.ndarray:
        e = np.zeros(len(y))
        for t in range(1, len(y)):
            past = [e[t - j] if t >= j else 0.0 for j in (1, 2)]
            e[t] = y[t] - x[0] - x[1] * y[t - 1] - x[2] * past[0] - x[3] * past[1]
        return e[1:]

    found = np.r_[ours.trend_coef_, ours.ar_coef_, ours.ma_coef_]
    assert np.mean(innovations(found) ** 2) == pytest.approx(ours.sigma2_, rel=1e-12)
    free = minimize(lambda x: np.sum(innovations(x) ** 2), found + 0.05, method="BFGS")
    np.testing.assert_allclose(found, free.x, rtol=0, atol=1e-5)
    assert np.sum(innovations(found) ** 2) <= free.fun * (1 + 1e-10)


@pytest.mark.parametrize("method", ["css", "ml"])
@pytest.mark.parametrize("trend", ["n", "c", "t", "ct"])
def test_forecasts_are_the_recursion(method: str, trend: str) -> None:
    y = simulate([0.5, 0.2], [0.6], 120, 1, d=1)
    model = CompanionForecaster((2, 1, 1), trend=trend, method=method).fit(y)
    beta = np.zeros(2)
    beta[[i for i, name in enumerate("ct") if name in trend]] = model.trend_coef_
    w = list(np.diff(y))
    # Known from the first step on: the moving average's one remaining term.
    pending = model.predict(1)[0] - y[-1]
    pending -= beta @ [1, len(y) + 1] + model.ar_coef_ @ w[:-3:-1]
    if method == "css":
        e = np.zeros(len(w))
        for t in range(2, len(w)):
            e[t] = w[t] - beta @ [1, t + 2] - model.ar_coef_ @ [w[t - 1], w[t - 2]]
            e[t] -= model.ma_coef_[0] * e[t - 1]
        assert pending == pytest.approx(model.ma_coef_[0] * e[-1], rel=1e-8)
    level, expected = y[-1], []
    for h in range(1, 16):
        step = beta @ [1, len(y) + h] + model.ar_coef_ @ w[:-3:-1] + (pending if h == 1 else 0.0)
        w.append(step)
        level += step
        expected.append(level)
    np.testing.assert_allclose(model.predict(15), expected, rtol=1e-10, atol=1e-10)


def test_interval_widths_are_psi_weights() -> None:
    process = pytest.importorskip("statsmodels.tsa.arima_process")
    y = simulate([0.6], [0.3], 100, 2, d=1)
    model = CompanionForecaster((1, 1, 1), trend="n").fit(y)
    unit_root = np.convolve(np.r_[1, -model.ar_coef_], [1, -1])
    psi = process.arma2ma(unit_root, np.r_[1, model.ma_coef_], 12)
    lower, upper = model.predict_interval(12, 0.8).T
    expected = 2 * 1.2815515655446004 * np.sqrt(model.sigma2_ * np.cumsum(psi**2))
    np.testing.assert_allclose(upper - lower, expected, rtol=1e-10)
    np.testing.assert_allclose((upper + lower) / 2, model.predict(12), rtol=1e-12)


def test_intervals_cover_what_they_say() -> None:
    inside = np.zeros(8)
    for seed in range(600):
        y = simulate([1.1, -0.5], [], 208, seed)
        lower, upper = CompanionForecaster((2, 0, 0)).fit(y[:200]).predict_interval(8).T
        inside += (lower <= y[200:]) & (y[200:] <= upper)
    # One step: binomial with standard deviation 0.9 %, and about 0.7 % lost to the estimates.
    np.testing.assert_allclose(inside / 600, 0.95, rtol=0, atol=0.035)


@given(st.floats(0.01, 100.0), st.floats(-1e3, 1e3))
def test_units_do_not_matter(scale: float, offset: float) -> None:
    y = simulate([0.6], [0.3], 80, 3)
    plain = CompanionForecaster((1, 0, 1)).fit(y)
    moved = CompanionForecaster((1, 0, 1)).fit(scale * y + offset)
    # The offset costs digits of y itself: 1e5 / 2^53.
    np.testing.assert_allclose(moved.ar_coef_, plain.ar_coef_, rtol=0, atol=1e-6)
    np.testing.assert_allclose(
        moved.predict(5), scale * plain.predict(5) + offset, rtol=0, atol=1e-6 * (scale + 1)
    )


def test_score() -> None:
    y = simulate([0.5], [], 60, 5)
    model = CompanionForecaster().fit(y[:50])
    error = np.mean(np.abs(y[50:] - model.predict(10)))
    assert model.score(y[50:]) == pytest.approx(-error / np.mean(np.abs(np.diff(y[:50]))))
    assert model.score(model.predict(4)) == 0.0


def test_a_noiseless_oscillation_goes_on() -> None:
    t = np.arange(80.0)
    model = CompanionForecaster((2, 0, 0), trend="n").fit(np.sin(0.3 * t[:60]))
    np.testing.assert_allclose(model.predict(20), np.sin(0.3 * t[60:]), rtol=0, atol=1e-10)


@pytest.mark.parametrize("scale", [1e-200, 1e-30, 1e30])
def test_extreme_units(scale: float) -> None:
    y = simulate([0.6], [], 60, 3)
    expected = scale * CompanionForecaster((1, 0, 1)).fit(y).predict(3)
    np.testing.assert_allclose(
        CompanionForecaster((1, 0, 1)).fit(scale * y).predict(3), expected, rtol=1e-5
    )


def test_stopping_early_is_said() -> None:
    y = simulate([0.6], [0.3, 0.2], 80, 3)
    with pytest.warns(ConvergenceWarning, match="maxiter=1"):
        model = CompanionForecaster((1, 0, 2), maxiter=1).fit(y)
    assert model.converged_ is False
    assert np.isfinite(model.predict(3)).all()


@pytest.mark.parametrize("kind", ["list", "int", "float32", "strided", "read-only", "pandas"])
def test_kinds_of_series(kind: str) -> None:
    y = np.round(10 * simulate([0.6], [], 60, 3))
    given: Any = {
        "list": y.tolist(),
        "int": y.astype(np.int64),
        "float32": y.astype(np.float32),
        "strided": np.stack([y, y], axis=1)[:, 0],
        "read-only": y.copy(),
    }.get(kind)
    if kind == "read-only":
        given.flags.writeable = False
    elif kind == "pandas":
        given = pytest.importorskip("pandas").Series(y, index=np.arange(60) + 1900)
    before = np.array(given)
    forecast = CompanionForecaster((1, 0, 1)).fit(given).predict(3)
    np.testing.assert_array_equal(np.array(given), before)
    assert forecast.dtype == (np.float32 if kind == "float32" else np.float64)
    expected = CompanionForecaster((1, 0, 1)).fit(y).predict(3)
    np.testing.assert_allclose(forecast, expected, rtol=1e-6 if kind == "float32" else 1e-12)


def test_fitted_arrays_are_the_estimators_own() -> None:
    y = simulate([0.6], [], 60, 3)
    model = CompanionForecaster((2, 0, 0)).fit(y)
    before = model.predict(3)
    y[:] = 0.0
    np.testing.assert_array_equal(model.predict(3), before)


def test_parameters_and_copies() -> None:
    model = CompanionForecaster((2, 1, 1), trend="n", maxiter=50)
    expected = {"order": (2, 1, 1), "trend": "n", "method": "auto", "tol": 1e-8, "maxiter": 50}
    assert model.get_params() == expected
    assert repr(model) == "CompanionForecaster(maxiter=50, order=(2, 1, 1), trend='n')"
    twin = clone(model.fit(simulate([0.6], [0.3], 80, 3, d=1)))
    assert twin.get_params() == expected
    with pytest.raises(NotFittedError):
        twin.predict(1)
    thawed = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(thawed.predict_interval(5), model.predict_interval(5))
    assert twin.set_params(order=(1, 0, 0)) is twin
    assert twin.order == (1, 0, 0)
    with pytest.raises(ValueError, match="parameter"):
        twin.set_params(lags=3)


Y = np.array([1.0, 3.0, 2.0, 5.0, 4.0, 4.5, 6.0, 5.0, 7.0, 6.5])
FITTED = CompanionForecaster().fit(Y)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: CompanionForecaster().fit(np.full(20, 3.0)), ValueError, "y must vary"),
        (lambda: CompanionForecaster((0, 1, 1)).fit(np.arange(20)), ValueError, "y must vary"),
        (lambda: CompanionForecaster((3, 1, 1)).fit(Y[:8]), ValueError, "y must hold at least 10"),
        (lambda: CompanionForecaster().fit([]), ValueError, "y must hold at least 4"),
        (lambda: CompanionForecaster().fit(np.r_[Y, np.nan]), ValueError, "y must be finite"),
        (lambda: CompanionForecaster().fit(np.r_[Y, np.inf]), ValueError, "y must be finite"),
        (lambda: CompanionForecaster().fit(Y + 1j), TypeError, "y must be real"),
        (lambda: CompanionForecaster().fit(Y[:, None]), ValueError, r"y .*shape \(10, 1\)"),
        (lambda: CompanionForecaster().fit(2.0), ValueError, "y must be one series"),
        (lambda: CompanionForecaster().fit(None), ValueError, "y must be one series"),
        (lambda: CompanionForecaster().fit([[1.0], [1.0, 2.0]]), TypeError, "y must be an array"),
        (lambda: CompanionForecaster().fit(list("abcdefgh")), TypeError, "y must hold"),
        (lambda: CompanionForecaster().fit(Y > 3), TypeError, "y must hold"),
        (lambda: CompanionForecaster().fit(Y, Y), ValueError, "X must be None"),
        (lambda: CompanionForecaster((1, 0)).fit(Y), ValueError, "order"),
        (lambda: CompanionForecaster(3).fit(Y), ValueError, "order"),
        (lambda: CompanionForecaster("100").fit(Y), ValueError, "order"),
        (lambda: CompanionForecaster((-1, 0, 0)).fit(Y), ValueError, r"order\[0\]"),
        (lambda: CompanionForecaster((1, 0.5, 0)).fit(Y), TypeError, r"order\[1\]"),
        (lambda: CompanionForecaster((1, 0, True)).fit(Y), TypeError, r"order\[2\]"),
        (lambda: CompanionForecaster(trend="x").fit(Y), ValueError, "trend"),
        (lambda: CompanionForecaster(method="mle").fit(Y), ValueError, "method"),
        (lambda: CompanionForecaster(tol=0.0).fit(Y), ValueError, "tol"),
        (lambda: CompanionForecaster(tol="1").fit(Y), TypeError, "tol"),
        (lambda: CompanionForecaster(maxiter=0).fit(Y), ValueError, "maxiter"),
        (lambda: CompanionForecaster().predict(3), NotFittedError, "CompanionForecaster"),
        (lambda: CompanionForecaster().predict_interval(3), NotFittedError, "fitted"),
        (lambda: CompanionForecaster().score(Y), NotFittedError, "fitted"),
        (lambda: FITTED.predict(0), ValueError, "horizon"),
        (lambda: FITTED.predict(2.0), TypeError, "horizon"),
        (lambda: FITTED.predict_interval(-1), ValueError, "horizon"),
        (lambda: FITTED.predict_interval(2, 0.0), ValueError, "coverage"),
        (lambda: FITTED.predict_interval(2, 1.0), ValueError, "coverage"),
        (lambda: FITTED.predict_interval(2, np.nan), ValueError, "coverage"),
        (lambda: FITTED.predict_interval(2, "0.9"), TypeError, "coverage"),
        (lambda: FITTED.score([]), ValueError, "y must hold"),
        (lambda: FITTED.score(Y[None]), ValueError, "y must be one series"),
    ],
)
def test_bad_input(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_torch_tensors_are_refused() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match=r"y .* torch tensor"):
        CompanionForecaster().fit(torch.as_tensor(Y))


def test_a_failed_fit_leaves_the_estimator_as_it_was() -> None:
    model = CompanionForecaster().fit(Y)
    before = model.predict(3)
    with pytest.raises(ValueError, match="finite"):
        model.fit(np.r_[Y, np.nan])
    np.testing.assert_array_equal(model.predict(3), before)

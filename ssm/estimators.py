r"""Forecasting of single series by companion state-space models, with scikit-learn's protocol.

The model of :class:`CompanionForecaster` is ARIMA with a trend in its equation,

.. math:: \phi(L) (1 - L)^d y_t = \beta_0 + \beta_1 t + \theta(L) e_t,

fitted by least squares or exact maximum likelihood and run as a companion system
(arXiv 2303.09489): forecasts are the closed loop of the state after the last observation, and the
widths of prediction intervals are sums of squares of the companion kernel.
"""

from __future__ import annotations

import sys
import warnings
from typing import Any

import numpy as np
from scipy.signal import lfilter
from scipy.special import ndtri
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from numerics.arrays import (
    Array,
    as_arrays,
    as_float,
    as_integer,
    check_choice,
    check_real,
)
from ssm._arima_fit import fit_series, trend_columns
from ssm.classical import arima_to_companion
from ssm.companion import companion_forecast, companion_kernel

_TRENDS = ("n", "c", "t", "ct")
_METHODS = ("auto", "css", "ml")


class CompanionForecaster(BaseEstimator):
    r"""ARIMA forecasts with prediction intervals, computed by a companion state-space model.

    The differenced series :math:`w = (1 - L)^d y` follows

    .. math:: w_t = \beta_0 + \beta_1 t + \sum_{i=1}^{p} \phi_i w_{t-i}
              + e_t + \sum_{j=1}^{q} \theta_j e_{t-j},

    where the first observation has :math:`t = 1`. The estimator takes one series, not a table of
    samples and features: ``fit(y)`` learns from the past, ``predict(horizon)`` continues it.

    Parameters
    ----------
    order : tuple of int, (p, d, q)
        Numbers of autoregressive lags, of differences and of moving-average lags.
    trend : {"c", "n", "t", "ct"}
        Terms in the equation: a constant, none, a multiple of time, or both.
    method : {"auto", "css", "ml"}
        ``"css"`` minimises the sum of squares of the innovations given the first p values; with
        q = 0 it is ordinary least squares, and the autoregression may turn out explosive. ``"ml"``
        maximises the exact Gaussian likelihood over stationary and invertible models. ``"auto"``
        is ``"css"`` for q = 0 and ``"ml"`` otherwise.
    tol : float
        Relative tolerance of the minimisation, on the sum of squares and on the variables.
    maxiter : int
        Largest number of its steps.

    Attributes
    ----------
    ar_coef_ : ndarray, shape (p,)
        Autoregressive coefficients :math:`\phi`.
    ma_coef_ : ndarray, shape (q,)
        Moving-average coefficients :math:`\theta`.
    trend_coef_ : ndarray, shape (k,)
        Those of :math:`\beta_0, \beta_1` that ``trend`` asks for, in this order.
    sigma2_ : float
        Variance of the innovations: their mean square.
    loglik_ : float
        Log-likelihood, given the first p differenced values for ``"css"``.
    aic_, bic_ : float
        Information criteria, which count the variance as a parameter.
    n_obs_ : int
        Number of observations.
    n_used_ : int
        Number of innovations in the likelihood.
    naive_error_ : float
        Mean absolute one-step change of y, the unit of :meth:`score`.
    converged_ : bool
        Whether the minimisation met its tolerance; least squares always does.
    n_iter_ : int
        Steps taken by the minimisation.
    companion_ : tuple of ndarray, (p, b, c)
        Impulse response of the fitted model as a companion system, see
        :func:`ssm.arima_to_companion`.
    state_ : ndarray, shape (max(p + d, q + 1),)
        State in the companion coordinates with output :math:`e_{d-1}`, one step past the end.

    See Also
    --------
    ssm.companion_forecast, ssm.companion_kernel, ssm.arima_to_companion

    Notes
    -----
    Maximum likelihood takes the differenced series as stationary about its trend; for d > 0 this is
    the likelihood of y given its first d values. Intervals are those of Gaussian innovations with
    the fitted parameters taken as known, so that for short series they are somewhat too narrow.
    Computations are in double precision; forecasts have the precision of y. Torch tensors are
    refused, as the fit runs in SciPy: pass ``y.numpy(force=True)``.

    References
    ----------
    arXiv 2303.09489 (companion state-space models and their closed-loop forecasts).

    Examples
    --------
    A random walk stays where it is, and the interval grows with the square root of the horizon.

    >>> import numpy as np
    >>> y = np.random.default_rng(0).standard_normal(200).cumsum()
    >>> walk = CompanionForecaster(order=(0, 1, 0), trend="n").fit(y)
    >>> bool(np.all(walk.predict(4) == y[-1]))
    True
    >>> width = np.diff(walk.predict_interval(4))[:, 0]
    >>> np.round(width / width[0], 6)
    array([1.      , 1.414214, 1.732051, 2.      ])
    """

    def __init__(
        self,
        order: tuple[int, int, int] = (1, 0, 0),
        *,
        trend: str = "c",
        method: str = "auto",
        tol: float = 1e-8,
        maxiter: int = 1000,
    ) -> None:
        self.order = order
        self.trend = trend
        self.method = method
        self.tol = tol
        self.maxiter = maxiter

    def fit(self, y: Array, X: None = None) -> CompanionForecaster:
        """Estimate the model from a series.

        Parameters
        ----------
        y : array_like, shape (n,)
            Real, finite, equally spaced observations, not all equal; the newest last.
        X : None
            There are no regressors besides the trend.

        Returns
        -------
        CompanionForecaster
            The estimator itself.

        Raises
        ------
        TypeError
            If ``y`` does not hold real numbers, or is a torch tensor.
        ValueError
            If ``y`` is not one finite series that varies and is long enough, if ``X`` is given, or
            if a parameter is out of range.

        Warns
        -----
        ConvergenceWarning
            If the minimisation stops at ``maxiter``; ``converged_`` is then False.
        """
        if X is not None:
            raise ValueError(
                f"X must be None, as the model has no regressors besides its trend; got a "
                f"{type(X).__name__}"
            )
        p, d, q = _checked_order(self.order)
        check_choice("trend", self.trend, _TRENDS)
        check_choice("method", self.method, _METHODS)
        tol = as_float("tol", self.tol, positive=True)
        maxiter = as_integer("maxiter", self.maxiter, minimum=1)
        values, dtype = _series("y", y)
        terms = len(self.trend) if self.trend != "n" else 0
        _check_content(values, d, needed=d + 2 * p + q + terms + 1, order=(p, d, q))

        exact = self.method == "ml" or (self.method == "auto" and q > 0)
        found = fit_series(values, (p, d, q), self.trend, exact=exact, tol=tol, maxiter=maxiter)
        if not found.converged:
            warnings.warn(
                f"the fit of order {(p, d, q)} stopped after maxiter={maxiter} evaluations before "
                f"it met tol={tol}",
                ConvergenceWarning,
                stacklevel=2,
            )
        self.ar_coef_ = found.phi
        self.ma_coef_ = found.theta
        self.trend_coef_ = found.trend
        self.sigma2_ = found.variance
        self.loglik_ = found.log_likelihood
        parameters = p + q + terms + 1
        self.aic_ = 2 * parameters - 2 * found.log_likelihood
        self.bic_ = float(np.log(found.n_used)) * parameters - 2 * found.log_likelihood
        self.n_obs_ = len(values)
        self.n_used_ = found.n_used
        self.naive_error_ = float(np.mean(np.abs(np.diff(values))))
        self.converged_ = bool(found.converged)
        self.n_iter_ = int(found.iterations)
        self.companion_ = arima_to_companion(found.phi, d, found.theta)
        self.state_ = _state_past_end(values, self.companion_[0], found.ma_forecast)
        self._trend_terms = self.trend
        self._dtype = dtype
        return self

    def predict(self, horizon: int) -> np.ndarray:
        """Forecast the values that follow the fitted series.

        Parameters
        ----------
        horizon : int
            Number of steps, at least 1.

        Returns
        -------
        ndarray, shape (horizon,)
            Conditional means 1 to ``horizon`` steps past the end.

        Raises
        ------
        NotFittedError
            Before :meth:`fit`.
        TypeError
            If ``horizon`` is not an integer.
        ValueError
            If ``horizon`` is below 1.
        """
        check_is_fitted(self)
        return self._mean(as_integer("horizon", horizon, minimum=1)).astype(self._dtype)

    def predict_interval(self, horizon: int, coverage: float = 0.95) -> np.ndarray:
        r"""Prediction intervals of the values that follow the fitted series.

        With the companion kernel :math:`\psi` of the model, the error h steps ahead has variance
        :math:`\sigma^2 \sum_{l<h} \psi_l^2`.

        Parameters
        ----------
        horizon : int
            Number of steps, at least 1.
        coverage : float
            Probability that an interval holds its value, between 0 and 1.

        Returns
        -------
        ndarray, shape (horizon, 2)
            Lower and upper ends.

        Raises
        ------
        NotFittedError
            Before :meth:`fit`.
        TypeError
            If ``horizon`` is not an integer or ``coverage`` not a number.
        ValueError
            If ``horizon`` is below 1 or ``coverage`` not between 0 and 1.
        """
        check_is_fitted(self)
        horizon = as_integer("horizon", horizon, minimum=1)
        coverage = as_float("coverage", coverage)
        if not 0 < coverage < 1:
            raise ValueError(f"coverage must lie between 0 and 1, got {coverage}")
        psi = companion_kernel(*self.companion_, horizon)
        half = ndtri(0.5 + 0.5 * coverage) * np.sqrt(self.sigma2_ * np.cumsum(psi * psi))
        mean = self._mean(horizon)
        return np.stack([mean - half, mean + half], axis=-1).astype(self._dtype)

    def score(self, y: Array) -> float:
        r"""Negative mean absolute scaled error of the forecasts of a continuation.

        .. math:: -\frac{\frac1H \sum_{h=1}^{H} |y_{n+h} - \hat y_{n+h}|}
                  {\frac{1}{n-1} \sum_{t=2}^{n} |y_t - y_{t-1}|}

        It is 0 for perfect forecasts and -1 for errors as large as the fitted series' own steps.

        Parameters
        ----------
        y : array_like, shape (H,)
            The values that followed the fitted series.

        Returns
        -------
        float

        Raises
        ------
        NotFittedError
            Before :meth:`fit`.
        TypeError
            If ``y`` does not hold real numbers, or is a torch tensor.
        ValueError
            If ``y`` is not one finite series of at least one value.
        """
        check_is_fitted(self)
        values, _ = _series("y", y)
        if len(values) == 0:
            raise ValueError("y must hold at least one value, got none")
        return -float(np.mean(np.abs(values - self._mean(len(values)))) / self.naive_error_)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        return tags

    def _mean(self, horizon: int) -> np.ndarray:
        p, b, _ = self.companion_
        output = np.zeros(len(p))
        output[-1] = 1.0
        free, _ = companion_forecast(p, b, output, np.zeros(len(p)), self.state_, horizon)
        if len(self.trend_coef_) == 0:
            return free
        time = np.arange(self.n_obs_ + 1, self.n_obs_ + horizon + 1, dtype=np.float64)
        trend = trend_columns(self._trend_terms, time) @ self.trend_coef_
        return free + lfilter([1.0], np.concatenate([[1.0], -p[::-1]]), trend)


def _checked_order(order: Any) -> tuple[int, int, int]:
    if not isinstance(order, tuple | list) or len(order) != 3:
        raise ValueError(f"order must be three integers (p, d, q), got {order!r}")
    p, d, q = (as_integer(f"order[{i}]", value, minimum=0) for i, value in enumerate(order))
    return p, d, q


def _series(name: str, y: Any) -> tuple[np.ndarray, np.dtype]:
    """A series in double precision, and the precision of forecasts of it."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(y, torch.Tensor):
        raise TypeError(
            f"{name} must be a NumPy array or a sequence of numbers, got a torch tensor; "
            f"pass {name}.numpy(force=True)"
        )
    frame, values = as_arrays(**{name: y})
    if values is None or values.ndim != 1:
        got = "None" if values is None else f"shape {values.shape}"
        raise ValueError(f"{name} must be one series of shape (n,), got {got}")
    check_real(name, values, frame)
    return np.array(values, dtype=np.float64), values.dtype


def _check_content(y: np.ndarray, d: int, *, needed: int, order: tuple[int, int, int]) -> None:
    needed = max(needed, 2)
    if len(y) < needed:
        raise ValueError(
            f"y must hold at least {needed} values for order {order} and its trend, got {len(y)}"
        )
    if np.ptp(y) == 0:
        raise ValueError(f"y must vary, got {len(y)} values all equal to {y[0]}")
    rounding = 8 * 2**d * np.finfo(np.float64).eps * float(np.max(np.abs(y)))
    if d and np.ptp(np.diff(y, n=d)) <= rounding:
        raise ValueError(f"y must vary after {d} differences, got a polynomial of degree {d}")


def _state_past_end(y: np.ndarray, p: np.ndarray, ma_forecast: np.ndarray) -> np.ndarray:
    r"""State whose output and later outputs are the forecasts without trend.

    With output :math:`e_{d-1}`, entry :math:`d - 1 - i` is what is known at the end of the value
    i steps later: :math:`\sum_{k \ge 1} \Phi_{i+k} y_{n+1-k}` plus the moving average's forecast.
    """
    size = len(p)
    lags = np.zeros(size)
    recent = y[::-1][:size]
    lags[: len(recent)] = recent
    known = np.zeros(size)
    known[: len(ma_forecast)] = ma_forecast
    coefficients = p[::-1]
    for i in range(size):
        known[i] += coefficients[i:] @ lags[: size - i]
    return known[::-1].copy()

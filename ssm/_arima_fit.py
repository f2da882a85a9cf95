r"""Estimates of ARMA coefficients: conditional least squares and exact maximum likelihood.

The model of the (differenced) series :math:`w` is
:math:`\phi(L) w_t = x_t^\top \beta + \theta(L) e_t`, with the trend :math:`x_t^\top \beta` in the
equation itself.

Conditional sum of squares: with :math:`e_t = 0` before the first equation, dividing by
:math:`\theta(L)` leaves a regression that is linear in :math:`\phi` and :math:`\beta`. They are
projected out, so that Gauss-Newton runs over :math:`\theta` alone; the derivative
:math:`\partial e_t / \partial \theta_j = -\theta(L)^{-1} e_{t-j}`, projected off the regressors,
gives the exact gradient. Without :math:`\theta` this is ordinary least squares.

Maximum likelihood: Gauss-Newton on the scaled residuals of :mod:`ssm._arma_likelihood`.

Moving averages are kept invertible, and under maximum likelihood autoregressions stationary, by
partial autocorrelations :math:`u / \sqrt{1 + u^2}` of free variables :math:`u` (Monahan 1984,
doi:10.1093/biomet/71.2.403). Starts come from regression on the residuals of a long autoregression
(Hannan and Rissanen 1982, doi:10.1093/biomet/69.1.81).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import OptimizeResult, least_squares
from scipy.signal import lfilter

from ssm._arma_likelihood import innovations, scaled_jacobian, scaled_residual


@dataclass(frozen=True)
class ArmaFit:
    """Estimates of one ARMA model.

    Attributes
    ----------
    phi, theta, trend : ndarrays, shapes (p,), (q,), (k,)
    variance : float
        Mean square of the innovations.
    log_likelihood : float
    n_used : int
        Number of innovations behind the two.
    ma_forecast : ndarray, shape (q,)
        Forecasts of theta(L) e, 1 to q steps past the end.
    converged : bool
    iterations : int
    """

    phi: np.ndarray
    theta: np.ndarray
    trend: np.ndarray
    variance: float
    log_likelihood: float
    n_used: int
    ma_forecast: np.ndarray
    converged: bool
    iterations: int


def fit_series(
    y: np.ndarray,
    order: tuple[int, int, int],
    trend: str,
    *,
    exact: bool,
    tol: float,
    maxiter: int,
) -> ArmaFit:
    """Fit a series after differencing.

    Works in units of the differenced series' spread, about its mean where a constant allows.
    """
    p, d, q = order
    w = np.diff(y, n=d)
    centre = float(np.mean(w)) if "c" in trend else 0.0
    peak = np.max(np.abs(w - centre))  # squares of very small numbers vanish
    scale = float(peak * np.sqrt(np.mean(((w - centre) / peak) ** 2)))
    time = np.arange(d + 1, len(y) + 1) / len(y)
    fit = fit_likelihood if exact else fit_conditional
    found = fit((w - centre) / scale, trend_columns(trend, time), p, q, tol=tol, maxiter=maxiter)
    coefficients = found.trend * scale
    if "c" in trend:
        coefficients[0] += centre * (1.0 - found.phi.sum())
    if "t" in trend:
        coefficients[-1] /= len(y)
    return ArmaFit(
        phi=found.phi,
        theta=found.theta,
        trend=coefficients,
        variance=found.variance * scale**2,
        log_likelihood=found.log_likelihood - found.n_used * float(np.log(scale)),
        n_used=found.n_used,
        ma_forecast=found.ma_forecast * scale,
        converged=found.converged,
        iterations=found.iterations,
    )


def fit_conditional(
    w: np.ndarray, X: np.ndarray, p: int, q: int, *, tol: float, maxiter: int
) -> ArmaFit:
    """Minimise the sum of squared innovations, those before the first equation being zero."""
    lags = np.column_stack([w[p - i : len(w) - i] for i in range(1, p + 1)] or [w[:, None][:, :0]])
    design = np.column_stack([X[p:], lags])
    target = w[p:]
    converged, iterations = True, 0
    theta = np.zeros(0)
    if q:
        starts = [np.zeros(q), _hannan_rissanen(w, X, p, q)[1]]
        regressions = [_regression(target, design, start) for start in starts]
        best = min(range(2), key=lambda i: regressions[i].sum_of_squares)
        result = _gauss_newton(
            lambda u: _regression(target, design, -coefficients(u)).residual,
            lambda u: _conditional_jacobian(target, design, u),
            free_variables(-starts[best]),
            tol=tol,
            maxiter=maxiter,
        )
        theta = -coefficients(result.x)
        converged, iterations = result.status > 0, result.njev
    fit = _regression(target, design, theta)
    n, k = len(target), X.shape[1]
    variance = fit.sum_of_squares / n
    with np.errstate(divide="ignore"):
        log_likelihood = -0.5 * n * (1 + np.log(2 * np.pi) + np.log(variance))
    latest = fit.residual[::-1][:q]
    return ArmaFit(
        phi=fit.coefficients[k:],
        theta=theta,
        trend=fit.coefficients[:k],
        variance=float(variance),
        log_likelihood=float(log_likelihood),
        n_used=n,
        ma_forecast=np.array([theta[h:] @ latest[: q - h] for h in range(q)]),
        converged=converged,
        iterations=iterations,
    )


def fit_likelihood(
    w: np.ndarray, X: np.ndarray, p: int, q: int, *, tol: float, maxiter: int
) -> ArmaFit:
    """Maximise the exact Gaussian likelihood over stationary and invertible models."""

    def residual(u: np.ndarray) -> np.ndarray:
        return scaled_residual(w, X, u, p)

    # A start needs no digits.
    conditional = fit_conditional(w, X, p, q, tol=1e-3, maxiter=20)
    starts = [
        (conditional.phi, conditional.theta),
        _hannan_rissanen(w, X, p, q),
        (np.zeros(p), np.zeros(q)),
    ]
    free = [
        np.concatenate([free_variables(_shrunk(phi)), free_variables(-_shrunk(theta, -1))])
        for phi, theta in starts
    ]
    start = min(free, key=lambda u: float(np.sum(residual(u) ** 2)))
    result = _gauss_newton(
        residual, lambda u: scaled_jacobian(w, X, u, p), start, tol=tol, maxiter=maxiter
    )
    phi, theta = coefficients(result.x[:p]), -coefficients(result.x[p:])
    found = innovations(w, X, phi, theta)
    if found is None:
        raise np.linalg.LinAlgError("the covariance of the best model found is singular")
    return ArmaFit(
        phi=phi,
        theta=theta,
        trend=found.trend,
        variance=float(np.mean(found.standardised**2)),
        log_likelihood=found.log_likelihood,
        n_used=len(w),
        ma_forecast=found.ma_forecast,
        converged=result.status > 0,
        iterations=result.njev,
    )


def trend_columns(trend: str, time: np.ndarray) -> np.ndarray:
    """Columns 1 and t of a trend, shape (len(time), k)."""
    columns = {"n": [], "c": [time**0], "t": [time], "ct": [time**0, time]}[trend]
    return np.stack(columns, axis=-1) if columns else np.zeros((len(time), 0))


def coefficients(u: np.ndarray) -> np.ndarray:
    """Autoregressive coefficients with partial autocorrelations u / sqrt(1 + u^2)."""
    phi = np.zeros(0)
    for r in u / np.hypot(1.0, u):
        phi = np.append(phi - r * phi[::-1], r)
    return phi


def free_variables(phi: np.ndarray) -> np.ndarray:
    """Inverse of :func:`coefficients` for a stationary autoregression."""
    u = np.zeros(len(phi))
    for k in range(len(phi) - 1, -1, -1):
        r = phi[k]
        u[k] = r / np.sqrt((1.0 - r) * (1.0 + r))
        phi = (phi[:k] + r * phi[:k][::-1]) / ((1.0 - r) * (1.0 + r))
    return u


@dataclass(frozen=True)
class _Regression:
    residual: np.ndarray
    coefficients: np.ndarray
    design: np.ndarray

    @property
    def sum_of_squares(self) -> float:
        return float(self.residual @ self.residual)


def _regression(target: np.ndarray, design: np.ndarray, theta: np.ndarray) -> _Regression:
    """Least squares after division of both sides by theta(L)."""
    if len(theta):
        denominator = np.concatenate([[1.0], theta])
        filtered = lfilter([1.0], denominator, np.column_stack([target, design]), axis=0)
        target, design = filtered[:, 0], filtered[:, 1:]
    if design.shape[1] == 0:
        return _Regression(target, np.zeros(0), design)
    found = np.linalg.lstsq(design, target, rcond=None)[0]
    return _Regression(target - design @ found, found, design)


def _conditional_jacobian(target: np.ndarray, design: np.ndarray, u: np.ndarray) -> np.ndarray:
    theta = -coefficients(u)
    fit = _regression(target, design, theta)
    sensitivity = -lfilter([1.0], np.concatenate([[1.0], theta]), fit.residual)
    columns = np.zeros((len(target), len(theta)))
    for j in range(1, len(theta) + 1):
        columns[j:, j - 1] = sensitivity[:-j]
    if design.shape[1]:
        columns -= fit.design @ np.linalg.lstsq(fit.design, columns, rcond=None)[0]
    return columns @ -_coefficients_jacobian(u)


def _coefficients_jacobian(u: np.ndarray) -> np.ndarray:
    phi, jacobian = np.zeros(0), np.zeros((0, len(u)))
    scale = 1.0 / np.hypot(1.0, u)
    for k, r in enumerate(u * scale):
        inner = jacobian - r * jacobian[::-1]
        inner[:, k] -= phi[::-1] * scale[k] ** 3
        jacobian = np.vstack([inner, np.eye(1, len(u), k) * scale[k] ** 3])
        phi = np.append(phi - r * phi[::-1], r)
    return jacobian


def _gauss_newton(
    residual: Callable[[np.ndarray], np.ndarray],
    jacobian: Callable[[np.ndarray], np.ndarray],
    start: np.ndarray,
    *,
    tol: float,
    maxiter: int,
) -> OptimizeResult:
    return least_squares(
        residual, start, jac=jacobian, ftol=tol, xtol=tol, gtol=tol, max_nfev=maxiter
    )


def _hannan_rissanen(w: np.ndarray, X: np.ndarray, p: int, q: int) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients by regression on lagged values and on residuals of a long autoregression.

    The moving average is made invertible; a series too short for the regression gives zeros.
    """
    long = min(max(p + q, int(10 * np.log10(len(w)))), len(w) // 4)
    first = long + max(p, q)
    k = X.shape[1]
    if q == 0 or long == 0 or len(w) - first <= p + q + k:
        return np.zeros(p), np.zeros(q)
    lags = np.column_stack([w[long - i : len(w) - i] for i in range(1, long + 1)])
    shocks = np.zeros(len(w))
    shocks[long:] = _regression(w[long:], np.column_stack([X[long:], lags]), np.zeros(0)).residual
    columns = [w[first - i : len(w) - i] for i in range(1, p + 1)]
    columns += [shocks[first - j : len(w) - j] for j in range(1, q + 1)]
    found = _regression(w[first:], np.column_stack([X[first:], *columns]), np.zeros(0))
    return found.coefficients[k : k + p], _shrunk(found.coefficients[k + p :], -1)


def _shrunk(phi: np.ndarray, sign: int = 1) -> np.ndarray:
    """Move the roots of 1 - sign * sum phi_i z^i out of the disc of radius 1 / 0.98."""
    if len(phi) == 0:
        return phi
    largest = np.abs(np.roots(np.concatenate([[1.0], -sign * phi]))).max(initial=0.0)
    return phi * min(1.0, 0.98 / largest if largest else 1.0) ** np.arange(1, len(phi) + 1)

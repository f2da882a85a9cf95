r"""Exact Gaussian likelihood of a stationary ARMA model, by one banded Cholesky factorisation.

The transformation :math:`z_t = w_t` for :math:`t \le p` and :math:`z_t = \phi(L) w_t` afterwards
has unit Jacobian, and the covariance of :math:`z` is banded: past the first :math:`p` samples it is
that of a moving average (Ansley 1979, doi:10.1093/biomet/66.1.59). With its Cholesky factor
:math:`\sigma^2 \Omega = \sigma^2 L L^\top` the standardised innovations are
:math:`r = L^{-1}(z - Z\beta)`, and the log-likelihood with :math:`\beta` and :math:`\sigma^2` at
their best is

.. math:: \ell = -\tfrac{n}{2} \bigl(1 + \log 2\pi + \log(S / n)\bigr) - \log\det L,
          \qquad S = \lVert r \rVert^2 .

Its maximum is the minimum of :math:`S \det(L)^{2/n}`, a sum of squares.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Innovations:
    """What the factorisation gives at one parameter value.

    Attributes
    ----------
    standardised : ndarray, shape (n,)
        r, of variance sigma^2.
    log_det : float
        log det L.
    trend : ndarray, shape (k,)
        Generalised least-squares coefficients of the trend.
    ma_forecast : ndarray, shape (q,)
        Forecasts of the moving-average part, 1 to q steps past the end.
    """

    standardised: np.ndarray
    log_det: float
    trend: np.ndarray
    ma_forecast: np.ndarray

    @property
    def log_likelihood(self) -> float:
        """Log-likelihood, with trend and variance at their best."""
        n = len(self.standardised)
        with np.errstate(divide="ignore"):
            variance = np.log(np.mean(self.standardised**2))
        return float(-0.5 * n * (1 + np.log(2 * np.pi) + variance) - self.log_det)


def innovations(
    w: np.ndarray, X: np.ndarray, phi: np.ndarray, theta: np.ndarray
) -> Innovations | None:
    """Standardised innovations of ``w`` with ``phi(L) w = X beta + theta(L) e``.

    Parameters
    ----------
    w : ndarray, shape (n,)
    X : ndarray, shape (n, k)
        Polynomials of time of degree 0 or 1, n >= 2.
    phi, theta : ndarrays, shapes (p,) and (q,)
        A stationary autoregression and a moving average.

    Returns
    -------
    Innovations or None
        None where the covariance is not positive definite in floating point.
    """
    from ssm._numba_innovations import project, whiten

    n, q = len(w), len(theta)
    table, factor, log_det, positive = whiten(w, X, phi, theta)
    if not positive:
        return None
    standardised, trend = project(table)
    ma_forecast = [
        sum(factor[n + h, lag] * standardised[n + h - lag] for lag in range(h + 1, q + 1))
        for h in range(q)
    ]
    return Innovations(standardised, float(log_det), trend, np.array(ma_forecast))


def scaled_residual(w: np.ndarray, X: np.ndarray, u: np.ndarray, p: int) -> np.ndarray:
    """Residuals with sum of squares S det(L)^(2/n), at the free variables ``u`` of phi and theta.

    Infinite where the covariance is not positive definite in floating point.
    """
    from ssm import _numba_innovations

    return _numba_innovations.scaled_residual(w, X, u, p)


def scaled_jacobian(w: np.ndarray, X: np.ndarray, u: np.ndarray, p: int) -> np.ndarray:
    """Derivatives of :func:`scaled_residual` by central differences, shape (n, p + q)."""
    from ssm import _numba_innovations

    return _numba_innovations.scaled_jacobian(w, X, u, p)

"""Compiled loops of the exact ARMA likelihood of :mod:`ssm._arma_likelihood`."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def coefficients(u):
    """Autoregressive coefficients with partial autocorrelations u / sqrt(1 + u^2)."""
    n = len(u)
    phi = np.zeros(n)
    previous = np.zeros(n)
    for k in range(n):
        r = u[k] / np.hypot(1.0, u[k])
        for i in range(k):
            phi[i] = previous[i] - r * previous[k - 1 - i]
        phi[k] = r
        for i in range(k + 1):
            previous[i] = phi[i]
    return phi


@njit(cache=True)
def whiten(w, X, phi, theta):
    """Solve L table = (z, Z); past the end the factor goes on for q rows."""
    n, k = X.shape
    p, q = len(phi), len(theta)
    weights = np.ones(q + 1)
    for j in range(q):
        weights[j + 1] = theta[j]
    moving = np.zeros(q + 1)
    cross = np.zeros(max(p, q) + 1)
    impulse = np.zeros(q + 1)
    for lag in range(q + 1):
        impulse[lag] = weights[lag]
        for i in range(min(lag, p)):
            impulse[lag] += phi[i] * impulse[lag - 1 - i]
    for lag in range(q + 1):
        for j in range(lag, q + 1):
            moving[lag] += weights[j] * weights[j - lag]
            cross[lag] += weights[j] * impulse[j - lag]
    start = cross[:1]
    if p:
        system = np.eye(p + 1)
        for lag in range(p + 1):
            for i in range(p):
                system[lag, abs(lag - i - 1)] -= phi[i]
        start = _solved(system, cross[: p + 1].copy())

    band = max(p - 1, q)
    factor = np.zeros((n + q, band + 1))
    table = np.zeros((n, 1 + k))
    gain = 1.0
    drift = 0.0
    for i in range(p):
        gain -= phi[i]
        drift += (i + 1) * phi[i]
    log_det = 0.0
    for t in range(n + q):
        reach = t if t < p else min(t, q)
        for lag in range(reach, -1, -1):
            s = t - lag
            if t < p:
                value = start[lag]
            elif s < p:
                value = cross[lag]
            else:
                value = moving[lag]
            oldest = max(t - reach, s - (s if s < p else min(s, q)))
            for i in range(oldest, s):
                value -= factor[t, t - i] * factor[s, s - i]
            if lag:
                factor[t, lag] = value / factor[s, 0]
            elif value > 0.0:
                factor[t, 0] = np.sqrt(value)
            else:
                return table, factor, log_det, False
        if t >= n:
            continue
        log_det += np.log(factor[t, 0])
        for column in range(1 + k):
            if column == 0:
                value = w[t]
                if t >= p:
                    for i in range(p):
                        value -= phi[i] * w[t - 1 - i]
            elif t >= p:
                value = X[t, column - 1]
            else:
                slope = X[1, column - 1] - X[0, column - 1]
                value = X[t, column - 1] / gain - slope * drift / (gain * gain)
            for lag in range(1, reach + 1):
                value -= factor[t, lag] * table[t - lag, column]
            table[t, column] = value / factor[t, 0]
    return table, factor, log_det, np.isfinite(log_det)


@njit(cache=True)
def project(table):
    """Residual of the first column from the others, and their coefficients."""
    k = table.shape[1] - 1
    work = table.T.copy()
    upper = np.eye(k)
    beta = np.zeros(k)
    for j in range(1, k + 1):
        norm2 = _dot(work[j], work[j])
        if norm2 == 0.0:
            continue
        for i in range(j + 1, k + 1):
            upper[j - 1, i - 1] = _dot(work[j], work[i]) / norm2
            _subtract(work[i], upper[j - 1, i - 1], work[j])
        beta[j - 1] = _dot(work[j], work[0]) / norm2
        _subtract(work[0], beta[j - 1], work[j])
    for j in range(k - 1, -1, -1):
        for i in range(j + 1, k):
            beta[j] -= upper[j, i] * beta[i]
    return work[0].copy(), beta


@njit(cache=True)
def scaled_residual(w, X, u, p):
    """Residuals whose sum of squares is S det(L)^(2/n); infinite where L does not exist."""
    table, _, log_det, ok = whiten(w, X, coefficients(u[:p]), -coefficients(u[p:]))
    if not ok:
        return np.inf * np.ones(len(w))
    residual = project(table)[0]
    scale = np.exp(log_det / len(w))
    for t in range(len(w)):
        residual[t] *= scale
    return residual


@njit(cache=True)
def scaled_jacobian(w, X, u, p):
    """Central differences of the scaled residuals."""
    columns = np.zeros((len(w), len(u)))
    for i in range(len(u)):
        step = 6e-6 * max(1.0, abs(u[i]))
        moved = u.copy()
        moved[i] = u[i] + step
        upper = moved[i]
        above = scaled_residual(w, X, moved, p)
        moved[i] = u[i] - step
        below = scaled_residual(w, X, moved, p)
        for t in range(len(w)):
            columns[t, i] = (above[t] - below[t]) / (upper - moved[i])
    return columns


@njit(cache=True)
def _solved(matrix, right):
    """Gaussian elimination with row pivoting; a singular system gives NaN."""
    n = len(right)
    for k in range(n):
        pivot = k
        for i in range(k + 1, n):
            if abs(matrix[i, k]) > abs(matrix[pivot, k]):
                pivot = i
        if matrix[pivot, k] == 0.0:
            return np.nan * right
        for j in range(k, n):
            matrix[k, j], matrix[pivot, j] = matrix[pivot, j], matrix[k, j]
        right[k], right[pivot] = right[pivot], right[k]
        for i in range(k + 1, n):
            ratio = matrix[i, k] / matrix[k, k]
            for j in range(k + 1, n):
                matrix[i, j] -= ratio * matrix[k, j]
            right[i] -= ratio * right[k]
    for k in range(n - 1, -1, -1):
        for j in range(k + 1, n):
            right[k] -= matrix[k, j] * right[j]
        right[k] /= matrix[k, k]
    return right


@njit(cache=True)
def _dot(left, right):
    total = 0.0
    for t in range(len(left)):
        total += left[t] * right[t]
    return total


@njit(cache=True)
def _subtract(target, factor, column):
    for t in range(len(target)):
        target[t] -= factor * column[t]

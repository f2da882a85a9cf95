"""Compiled steps of the scale-invariant LegS projection, and their adjoints.

Every step is ``c = u e_0 + M (c_prev - u e_0)``. Signals are shared out over threads in small
groups; a group forms the rows of its dilation once a step and applies them to all its states.
States are held in double precision whatever the precision of the result.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

_GROUP = 8
_REORDER = {"reassoc", "contract", "nsz"}


@njit(cache=True, parallel=True, fastmath=_REORDER)
def dilate_forward(u, ratio, step, keep, out):
    """Exact steps. ``keep`` is 1 to store all states, 0 to store the last one in ``out[:, 0]``."""
    signals, length = u.shape
    order = out.shape[2]
    coupling = _couplings(order)
    for group in prange((signals + _GROUP - 1) // _GROUP):
        first = group * _GROUP
        count = min(_GROUP, signals - first)
        state = np.zeros((count, order))
        moved = np.zeros((count, order))
        row = np.zeros(order + 3)
        other = np.zeros(order + 3)
        scaled = np.zeros(order + 2)
        for k in range(length):
            r, h = ratio[k], step[k]
            for s in range(count):
                state[s, 0] -= u[first + s, k]
                moved[s, 0] = r * state[s, 0]
            _start_rows(row, other, scaled, coupling, r)
            for n in range(1, order):
                change = _next_row(row, other, scaled, coupling, n, h, state[0])
                moved[0, n] = r * (state[0, n] + change)
                row, other = other, row
                for s in range(1, count):
                    total = state[s, n]
                    for m in range(n + 1):
                        total += row[m + 1] * state[s, m]
                    moved[s, n] = r * total
            for s in range(count):
                moved[s, 0] += u[first + s, k]
                for n in range(order):
                    out[first + s, k * keep, n] = moved[s, n]
            state, moved = moved, state


@njit(cache=True, parallel=True, fastmath=_REORDER)
def dilate_adjoint(grad, ratio, step, keep, out):
    """Gradient by the signal of the exact steps, from the gradient ``grad`` by what was stored."""
    signals, length = out.shape
    order = grad.shape[2]
    coupling = _couplings(order)
    for group in prange((signals + _GROUP - 1) // _GROUP):
        first = group * _GROUP
        count = min(_GROUP, signals - first)
        state = np.zeros((count, order))
        moved = np.zeros((count, order))
        row = np.zeros(order + 3)
        other = np.zeros(order + 3)
        scaled = np.zeros(order + 2)
        for k in range(length - 1, -1, -1):
            r, h = ratio[k], step[k]
            if keep == 1 or k == length - 1:
                for s in range(count):
                    for n in range(order):
                        state[s, n] += grad[first + s, k * keep, n]
            moved[:, :] = 0.0
            _start_rows(row, other, scaled, coupling, r)
            for n in range(order):
                if n > 0:
                    _next_row(row, other, scaled, coupling, n, h, state[0])
                    row, other = other, row
                for s in range(count):
                    weight = r * state[s, n]
                    moved[s, n] += weight
                    for m in range(n + 1):
                        moved[s, m] += weight * row[m + 1]
            for s in range(count):
                out[first + s, k] = state[s, 0] - moved[s, 0]
            state, moved = moved, state


@njit(cache=True, parallel=True)
def gbt_forward(u, step, alpha, keep, out):
    """Steps of the generalised bilinear rule, by two prefix sums a step."""
    signals, length = u.shape
    order = out.shape[2]
    scale = np.sqrt(2.0 * np.arange(order) + 1.0)
    for s in prange(signals):
        state = np.zeros(order)
        for k in range(length):
            explicit, implicit = (1.0 - alpha) * step[k], alpha * step[k]
            value = u[s, k]
            state[0] -= value
            before, after = 0.0, 0.0
            for n in range(order):
                x, R = state[n], scale[n]
                right = x - explicit * (R * before + (n + 1) * x)
                before += R * x
                inverse = 1.0 / (1.0 + implicit * (n + 1))
                state[n] = (right - implicit * R * after) * inverse
                after = after * ((1.0 - implicit * n) * inverse) + R * right * inverse
            state[0] += value
            for n in range(order):
                out[s, k * keep, n] = state[n]


@njit(cache=True, parallel=True)
def gbt_adjoint(grad, step, alpha, keep, out):
    """Gradient by the signal of the generalised bilinear steps."""
    signals, length = out.shape
    order = grad.shape[2]
    scale = np.sqrt(2.0 * np.arange(order) + 1.0)
    for s in prange(signals):
        state = np.zeros(order)
        for k in range(length - 1, -1, -1):
            explicit, implicit = (1.0 - alpha) * step[k], alpha * step[k]
            if keep == 1 or k == length - 1:
                for n in range(order):
                    state[n] += grad[s, k * keep, n]
            direct = state[0]
            above = 0.0
            for n in range(order - 1, -1, -1):
                R = scale[n]
                inverse = 1.0 / (1.0 + implicit * (n + 1))
                x = (state[n] - implicit * R * above) * inverse
                state[n] = x - explicit * (R * above + (n + 1) * x)
                above += R * x
            out[s, k] = direct - state[0]


@njit(cache=True)
def _couplings(order):
    """Multiplication by the variable in orthonormal Legendre polynomials is tridiagonal, with
    these numbers beside a zero diagonal.
    """
    n = np.arange(order + 2)
    return n / np.sqrt(np.abs(4.0 * n * n - 1.0))


@njit(cache=True)
def _start_rows(row, other, scaled, coupling, r):
    """Row 0 of D(r)/r - I, which is zero; entry m of a row is stored at m + 1, between zeros."""
    row[:] = 0.0
    other[:] = 0.0
    for m in range(scaled.shape[0]):
        scaled[m] = r * coupling[m]


@njit(cache=True, fastmath=_REORDER)
def _next_row(row, other, scaled, coupling, n, h, vector):
    """Row n of D(r)/r - I from row n - 1 in ``row``, over row n - 2 in ``other``.

    Rows of the difference from the identity keep their relative accuracy when the step is small, so
    that the errors of many small steps do not add up. Returns the row times a vector, which saves a
    second pass.
    """
    inverse = 1.0 / coupling[n]
    back, shift = coupling[n - 1] * inverse, h * inverse
    total = 0.0
    for m in range(n + 1):
        image = (scaled[m] * row[m] + scaled[m + 1] * row[m + 2]) * inverse
        entry = image - shift * row[m + 1] - back * other[m + 1]
        other[m + 1] = entry
        total += entry * vector[m]
    other[n + 1] -= h
    other[n] -= shift
    total -= h * vector[n] + shift * vector[n - 1]
    if n > 1:
        other[n - 1] -= h * back
        total -= h * back * vector[n - 2]
    return total

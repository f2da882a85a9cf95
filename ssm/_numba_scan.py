"""Compiled loop of the linear scan: every number is read once and written once.

The state is held in double precision whatever the precision of the sequences. Axes of size 1 of the
coefficients and inputs stand for all steps or all channels, so what is broadcast is not copied.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

_NARROW = 8
_TILE = 512
_TOGETHER = 4


@njit(cache=True, parallel=True)
def scan(a, rows_a, b, rows_b, state, width, reverse, lagged, out):
    """Fill ``out`` (rows, L, N) and leave the last states in ``state`` (rows, N).

    Row o takes its coefficients from ``a[rows_a[o]]`` and its inputs from ``b[rows_b[o]]``, each
    with one or L steps and one or N channels. When ``lagged``, a step takes the coefficient of the
    step visited before it, and the first one its own. Pieces of ``width`` channels are shared out.
    """
    rows, _, N = out.shape
    if N < _NARROW:
        for task in prange((rows + _TOGETHER - 1) // _TOGETHER):
            first = task * _TOGETHER
            last = min(first + _TOGETHER, rows)
            _narrow(a, rows_a, b, rows_b, state, first, last, reverse, lagged, out)
    else:
        pieces = (N + width - 1) // width
        for task in prange(rows * pieces):
            o = task // pieces
            start = (task % pieces) * width
            stop = min(start + width, N)
            _wide(a, rows_a[o], b, rows_b[o], state, o, start, stop, reverse, lagged, out)


@njit(cache=True, fastmath={"contract"})
def _narrow(a, rows_a, b, rows_b, state, first, last, reverse, lagged, out):
    """Run each channel in a register over a tile of steps that stays in cache."""
    L, N = out.shape[1:]
    for start in range(0, L, _TILE):
        stop = min(start + _TILE, L)
        for n in range(N):
            if last - first == _TOGETHER:
                _four(a, rows_a, b, rows_b, state, first, n, start, stop, reverse, lagged, out)
                continue
            for o in range(first, last):
                coefficients, inputs, states = _tile(
                    a, rows_a[o], b, rows_b[o], state, o, n, start, stop, reverse, lagged, out
                )
                h = state[o, n]
                for k in range(states.size):
                    h = coefficients[k] * h + inputs[k]
                    states[k] = h
                state[o, n] = h


@njit(cache=True, fastmath={"contract"})
def _four(a, rows_a, b, rows_b, state, o, n, start, stop, reverse, lagged, out):
    """Four rows by turns: each waits for its own last step, which the others fill."""
    p, q, r = o + 1, o + 2, o + 3
    a0, b0, h0 = _tile(a, rows_a[o], b, rows_b[o], state, o, n, start, stop, reverse, lagged, out)
    a1, b1, h1 = _tile(a, rows_a[p], b, rows_b[p], state, p, n, start, stop, reverse, lagged, out)
    a2, b2, h2 = _tile(a, rows_a[q], b, rows_b[q], state, q, n, start, stop, reverse, lagged, out)
    a3, b3, h3 = _tile(a, rows_a[r], b, rows_b[r], state, r, n, start, stop, reverse, lagged, out)
    s0, s1, s2, s3 = state[o, n], state[p, n], state[q, n], state[r, n]
    for k in range(h0.size):
        s0, s1 = a0[k] * s0 + b0[k], a1[k] * s1 + b1[k]
        s2, s3 = a2[k] * s2 + b2[k], a3[k] * s3 + b3[k]
        h0[k], h1[k], h2[k], h3[k] = s0, s1, s2, s3
    state[o, n], state[p, n], state[q, n], state[r, n] = s0, s1, s2, s3


@njit(cache=True, fastmath={"contract"})
def _tile(a, ra, b, rb, state, o, n, start, stop, reverse, lagged, out):
    """Coefficients, inputs and states of some steps, after taking the very first step if there."""
    L = out.shape[1]
    next_a, next_b = min(a.shape[2] - 1, 1), min(b.shape[2] - 1, 1)
    late = lagged if start > 0 else 0
    coefficients = _visited(a[ra, :, next_a * n], start - late, stop - lagged, L, reverse)
    inputs = _visited(b[rb, :, next_b * n], start, stop, L, reverse)
    states = _visited(out[o, :, n], start, stop, L, reverse)
    if start == 0:
        first = a[ra, (a.shape[1] - 1) * reverse, next_a * n]
        state[o, n] = first * state[o, n] + inputs[0]
        states[0] = state[o, n]
        return coefficients[1 - lagged :], inputs[1:], states[1:]
    return coefficients, inputs, states


@njit(cache=True)
def _visited(steps, start, stop, L, reverse):
    """View of the steps from ``start`` to ``stop`` in the order of the scan."""
    if steps.size < L:
        return np.full(stop - start, steps[0])
    if reverse:
        return steps[L - stop : L - start][::-1]
    return steps[start:stop]


@njit(cache=True, fastmath={"contract"})
def _wide(a, ra, b, rb, state, o, start, stop, reverse, lagged, out):
    """Run the channels from ``start`` to ``stop`` together, one contiguous row a step."""
    L = out.shape[1]
    step_a, step_b = min(a.shape[1] - 1, 1), min(b.shape[1] - 1, 1)
    each_a, each_b = a.shape[2] > 1, b.shape[2] > 1
    # Indices known not to be negative are what lets the loops below run in vector registers.
    if start < 0:
        return
    for i in range(L):
        j = max(i - lagged, 0)
        t, s = (L - 1 - i, L - 1 - j) if reverse else (i, j)
        s, r = step_a * s, step_b * t
        if each_a and each_b:
            for n in range(stop - start):
                h = a[ra, s, start + n] * state[o, start + n] + b[rb, r, start + n]
                state[o, start + n] = h
                out[o, t, start + n] = h
        elif each_a:
            shared_b = b[rb, r, 0]
            for n in range(stop - start):
                h = a[ra, s, start + n] * state[o, start + n] + shared_b
                state[o, start + n] = h
                out[o, t, start + n] = h
        elif each_b:
            shared_a = a[ra, s, 0]
            for n in range(stop - start):
                h = shared_a * state[o, start + n] + b[rb, r, start + n]
                state[o, start + n] = h
                out[o, t, start + n] = h
        else:
            shared_a, shared_b = a[ra, s, 0], b[rb, r, 0]
            for n in range(stop - start):
                h = shared_a * state[o, start + n] + shared_b
                state[o, start + n] = h
                out[o, t, start + n] = h

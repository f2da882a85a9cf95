"""Compiled loop of the linear scan: every number is read once and written once.

The state is held in double precision whatever the precision of the sequences. Axes of size 1 of the
coefficients and inputs stand for all steps or all channels, so what is broadcast is not copied.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

_NARROW = 8
_TILE = 512


@njit(cache=True, parallel=True)
def scan(a, rows_a, b, rows_b, state, width, reverse, lagged, out):
    """Fill ``out`` (rows, L, N) and leave the last states in ``state`` (rows, N).

    Row o takes its coefficients from ``a[rows_a[o]]`` and its inputs from ``b[rows_b[o]]``, each
    with one or L steps and one or N channels. When ``lagged``, a step takes the coefficient of the
    step visited before it, and the first one its own. Pieces of ``width`` channels are shared out.
    """
    rows, _, N = out.shape
    pieces = (N + width - 1) // width
    for task in prange(rows * pieces):
        o = task // pieces
        start = (task % pieces) * width
        if N < _NARROW:
            _narrow(a, rows_a[o], b, rows_b[o], state, o, reverse, lagged, out)
        else:
            stop = min(start + width, N)
            _wide(a, rows_a[o], b, rows_b[o], state, o, start, stop, reverse, lagged, out)


@njit(cache=True, fastmath={"contract"})
def _narrow(a, ra, b, rb, state, o, reverse, lagged, out):
    """Run each channel in a register over a tile of steps that stays in cache."""
    L, N = out.shape[1:]
    next_a, next_b = min(a.shape[2] - 1, 1), min(b.shape[2] - 1, 1)
    for start in range(0, L, _TILE):
        stop = min(start + _TILE, L)
        for n in range(N):
            late = lagged if start > 0 else 0
            coefficients = _visited(a[ra, :, next_a * n], start - late, stop - lagged, L, reverse)
            inputs = _visited(b[rb, :, next_b * n], start, stop, L, reverse)
            states = _visited(out[o, :, n], start, stop, L, reverse)
            h = state[o, n]
            first = 0
            if start == 0:
                h = a[ra, (a.shape[1] - 1) * reverse, next_a * n] * h + inputs[0]
                states[0] = h
                inputs, states = inputs[1:], states[1:]
                first = 1 - lagged
            coefficients = coefficients[first:]
            for k in range(states.size):
                h = coefficients[k] * h + inputs[k]
                states[k] = h
            state[o, n] = h


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

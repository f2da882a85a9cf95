"""Compiled loop of the linear scan: every number is read once and written once.

The state is held in double precision whatever the precision of the sequences. Axes of size 1 of the
coefficients and inputs stand for all steps or all channels, so what is broadcast is not copied.
"""

from __future__ import annotations

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
    step_a, step_b = min(a.shape[1] - 1, 1), min(b.shape[1] - 1, 1)
    next_a, next_b = min(a.shape[2] - 1, 1), min(b.shape[2] - 1, 1)
    for start in range(0, L, _TILE):
        for n in range(N):
            h = state[o, n]
            for i in range(start, min(start + _TILE, L)):
                j = max(i - lagged, 0)
                t, s = (L - 1 - i, L - 1 - j) if reverse else (i, j)
                h = a[ra, step_a * s, next_a * n] * h + b[rb, step_b * t, next_b * n]
                out[o, t, n] = h
            state[o, n] = h


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

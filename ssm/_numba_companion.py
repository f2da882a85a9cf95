"""Compiled loops of the companion kernels; callers have checked shapes and dtypes.

Dot products may be summed in any order (that is what lets them run in vector registers); NaN,
infinity and signed zeros keep their meaning. The double-double loop allows nothing of the kind.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

_REORDERED = {"reassoc", "contract"}
_UNIT = 2.0**-53
_SPLIT = 2.0**27 + 1.0


@njit(cache=True, parallel=True, fastmath=_REORDERED)
def all_pole(p, x, y):
    """Fill y_k = x_k + sum_i p_i y_{k-d+i} for rows of (S, d), (S, n), (S, n)."""
    d, n = p.shape[1], x.shape[1]
    for s in prange(p.shape[0]):
        window = np.zeros(d + n, y.dtype)
        for k in range(n):
            total = x[s, k]
            for i in range(d):
                total += p[s, i] * window[k + i]
            window[d + k] = total
        y[s] = window[d:]


@njit(cache=True, parallel=True, fastmath=_REORDERED)
def kernel(p, b, c, K, error):
    """Fill K (S, L) and an estimate (S,) of its largest absolute rounding error.

    Where the absolute values of p sum to at most 1 no rounding error can grow, and the estimate
    costs nothing. Elsewhere a synthetic error, of random sign and the size of the rounding that each
    step may commit, runs through the same recurrence beside the kernel.
    """
    d, L = p.shape[1], K.shape[1]
    for s in prange(p.shape[0]):
        head = min(d, L)
        n = L - 1
        largest_head = 0.0
        for k in range(head):
            total = b[s, 0] * c[s, k]
            size = abs(total)
            for j in range(1, d - k):
                term = b[s, j] * c[s, k + j]
                total += term
                size += abs(term)
            K[s, k] = total
            largest_head = max(largest_head, size)
        K[s, head:] = 0
        if n == 0:
            error[s] = _UNIT * largest_head
            continue

        reach = min(d, n)
        h = np.zeros(reach, K.dtype)
        h_size = np.zeros(reach)
        for k in range(reach):
            for i in range(d - k):
                term = p[s, i] * c[s, k + i]
                h[k] += term
                h_size[k] += abs(term)
        y = np.zeros(d + n, K.dtype)
        y_size = np.zeros(min(2 * d - 1, n))
        largest_input = 0.0
        for t in range(y_size.shape[0]):
            total = h[0] * 0
            size = 0.0
            for k in range(max(0, t - d + 1), min(reach, t + 1)):
                total += h[k] * b[s, d - 1 - t + k]
                size += h_size[k] * abs(b[s, d - 1 - t + k])
            y[d + t] = total
            y_size[t] = size
            largest_input = max(largest_input, size)

        norm = 0.0
        for i in range(d):
            norm += abs(p[s, i])
        largest = 0.0
        if norm <= 1.0 + 4 * d * _UNIT:
            for k in range(n):
                total = y[d + k]
                for i in range(d):
                    total += p[s, i] * y[k + i]
                y[d + k] = total
                largest = max(largest, abs(total))
            grown = np.sqrt(np.float64(n)) * (norm * largest + largest_input)
            error[s] = _UNIT * (2 * grown + largest_head)
        else:
            noise = np.zeros(d + n, K.dtype)
            state = np.uint64(0x9E3779B97F4A7C15)
            for k in range(n):
                total = y[d + k]
                size = 0.0
                grown = h[0] * 0
                for i in range(d):
                    term = p[s, i] * y[k + i]
                    total += term
                    size += abs(term)
                    grown += p[s, i] * noise[k + i]
                y[d + k] = total
                if k < y_size.shape[0]:
                    size += y_size[k]
                state ^= state << np.uint64(13)
                state ^= state >> np.uint64(7)
                state ^= state << np.uint64(17)
                fresh = _UNIT * size
                noise[d + k] = grown + (fresh if state >> np.uint64(63) else -fresh)
                largest = max(largest, abs(noise[d + k]))
            error[s] = 4 * largest + _UNIT * largest_head
        for k in range(n):
            K[s, k + 1] += y[d + k]


@njit(cache=True, parallel=True, fastmath=_REORDERED)
def forecast(p, b, c, k, x, y, u):
    """Fill y, u (S, H) by stepping x <- A x + b (k . x); x (S, d) is overwritten."""
    d, H = p.shape[1], y.shape[1]
    for s in prange(p.shape[0]):
        for t in range(H):
            out = x[s, 0] * 0
            following = x[s, 0] * 0
            for i in range(d):
                out += c[s, i] * x[s, i]
                following += k[s, i] * x[s, i]
            y[s, t] = out
            u[s, t] = following
            last = x[s, d - 1]
            for i in range(d - 1, 0, -1):
                x[s, i] = x[s, i - 1] + p[s, i] * last + b[s, i] * following
            x[s, 0] = p[s, 0] * last + b[s, 0] * following

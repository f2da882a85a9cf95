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
_SMALLEST = np.finfo(np.float64).tiny
_CHUNK = 64
_NEGLIGIBLE = 1e-6


@njit(cache=True, fastmath=_REORDERED, inline="always")
def _dot(u, v):
    """Sum of products over the shorter length."""
    total = u[0] * 0
    for i in range(min(u.shape[0], v.shape[0])):
        total += u[i] * v[i]
    return total


@njit(cache=True, fastmath=_REORDERED, inline="always")
def _sized_dot(u, v):
    """Sum of products and of their absolute values, over the shorter length."""
    total = u[0] * 0
    size = 0.0
    for i in range(min(u.shape[0], v.shape[0])):
        term = u[i] * v[i]
        total += term
        size += abs(term)
    return total, size


@njit(cache=True, fastmath=_REORDERED)
def _recur(p, y):
    """Add sum_i p_i y_{k+i} to y_{k+d}, one after the other."""
    d = p.shape[0]
    for k in range(y.shape[0] - d):
        total = y[d + k]
        for i in range(d):
            total += p[i] * y[k + i]
        y[d + k] = total


@njit(cache=True, parallel=True, fastmath=_REORDERED)
def all_pole(p, x, y):
    """Fill y_k = x_k + sum_i p_i y_{k-d+i} for rows of (S, d), (S, n), (S, n)."""
    d = p.shape[1]
    for s in prange(p.shape[0]):
        window = np.zeros(d + x.shape[1], y.dtype)
        window[d:] = x[s]
        _recur(p[s], window)
        y[s] = window[d:]


@njit(cache=True, parallel=True, fastmath=_REORDERED)
def kernel(p, b, c, tolerance, K, error):
    """Fill K (S, L) and a bound (S,) on its largest absolute rounding error.

    The step that gives y_k commits an error of at most about u sum_i |p_i y_{k-d+i}|, u the unit
    roundoff, and the response q to a unit impulse carries it on. What the steps commit need not
    cancel (with a root at 1 they often share a sign), so it is the sum over |q| that counts. Where
    sum |p_i| <= 1 that is at most the number of steps, and at most 1 / (1 - sum |p_i|); if so
    little is enough for ``tolerance`` times the largest entry, q is not computed. Where the kernel
    overflows, the bound is that of the entries before.
    """
    d, L = p.shape[1], K.shape[1]
    for s in prange(p.shape[0]):
        head = min(d, L)
        n = L - 1
        largest_head = 0.0
        for k in range(head):
            total, size = _sized_dot(b[s], c[s, k:])
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
            h[k], h_size[k] = _sized_dot(p[s], c[s, k:])
        b_size = np.abs(b[s])
        y = np.zeros(d + n, K.dtype)
        y_size = np.zeros(min(2 * d - 1, n))
        largest_input = 0.0
        for t in range(y_size.shape[0]):
            first = max(0, t - d + 1)
            offset = max(0, d - 1 - t)
            y[d + t] = _dot(h[first : t + 1], b[s, offset:])
            y_size[t] = _dot(h_size[first : t + 1], b_size[offset:])

        _recur(p[s], y)
        largest = abs(K[s, 0])
        for k in range(n):
            K[s, k + 1] += y[d + k]
            largest = max(largest, abs(K[s, k + 1]))

        norm = np.abs(p[s]).sum()
        scale = max(norm, 1.0)
        # A normalised p may add up to a few units in the last place more than 1.
        bounded = norm <= 1.0 + 4 * d * _UNIT
        sizes = np.empty(n)
        size = 0.0
        largest_input = 0.0
        for k in range(n):
            if not np.isfinite(y[d + k]):
                n = k
                break
            if k < y_size.shape[0]:
                largest_input = max(largest_input, y_size[k])
            size = max(size, _UNIT * abs(y[d + k]) + _UNIT * (largest_input / scale))
            sizes[k] = size
        growth = np.float64(n)
        if norm < 1.0:
            growth = min(growth, 1 / (1 - norm))
        error[s] = 2 * growth * scale * size + _UNIT * largest_head
        if bounded and error[s] <= tolerance * largest:
            continue
        q = np.zeros(d + n, K.dtype)
        q[d] = 1
        chunk = max(d, _CHUNK)
        for start in range(0, n, chunk):
            _recur(p[s], q[start : start + d + chunk])
            # If bounded, no later entry exceeds the largest of these, the last d among them.
            last = np.abs(q[start + d : start + d + chunk]).max()
            if bounded and last * n <= _NEGLIGIBLE:
                q[start + d + chunk :] = last
                break
        grown = 0.0
        for k in range(n):
            grown += abs(q[d + n - 1 - k]) * (sizes[k] / max(size, _SMALLEST))
        error[s] = 2 * grown * scale * size + _UNIT * largest_head


@njit(cache=True, inline="always")
def _product(a, b):
    """Product as the unevaluated sum of its rounded value and the rounding error (Dekker 1971)."""
    t = _SPLIT * a
    a_high = t - (t - a)
    a_low = a - a_high
    t = _SPLIT * b
    b_high = t - (t - b)
    b_low = b - b_high
    high = a * b
    return high, ((a_high * b_high - high) + a_high * b_low + a_low * b_high) + a_low * b_low


@njit(cache=True, inline="always")
def _add_product(high, low, a, b_high, b_low):
    """(high, low) plus the product of the double a with the double-double b."""
    product, error = _product(a, b_high)
    total = high + product
    v = total - high
    return total, low + (((high - (total - v)) + (product - v)) + (error + a * b_low))


@njit(cache=True, parallel=True)
def kernel_double_double(p, b, c, K):
    """Fill K (S, L) for real rows by the same steps as `kernel`, each in double-double."""
    d, L = p.shape[1], K.shape[1]
    n = L - 1
    for s in prange(p.shape[0]):
        K[s] = 0
        y = np.zeros((2, d + n))
        head = np.zeros((2, min(d, L)))
        h = np.zeros((2, min(d, n)))
        for k in range(head.shape[1]):
            high, low = 0.0, 0.0
            for j in range(d - k):
                high, low = _add_product(high, low, b[s, j], c[s, k + j], 0.0)
            head[0, k] = high + low
            head[1, k] = low - (head[0, k] - high)
        for k in range(h.shape[1]):
            high, low = 0.0, 0.0
            for i in range(d - k):
                high, low = _add_product(high, low, p[s, i], c[s, k + i], 0.0)
            h[0, k] = high + low
            h[1, k] = low - (h[0, k] - high)
        K[s, 0] = head[0, 0]
        for t in range(n):
            high, low = 0.0, 0.0
            for k in range(max(0, t - d + 1), min(h.shape[1], t + 1)):
                high, low = _add_product(high, low, b[s, d - 1 - t + k], h[0, k], h[1, k])
            for i in range(d):
                high, low = _add_product(high, low, p[s, i], y[0, t + i], y[1, t + i])
            y[0, d + t] = high + low
            y[1, d + t] = low - (y[0, d + t] - high)
            if t + 1 < d:
                high, low = _add_product(high, low, 1.0, head[0, t + 1], head[1, t + 1])
            K[s, t + 1] = high + low


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

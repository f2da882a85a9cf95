"""Compiled chunks of the delta rule; the caller has checked shapes and dtypes.

Rectangles are BLAS's products, and the triangular system is solved row by row. A row of it takes
eight of those above at a time, so that it is read and written once for eight multiplications.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from ssm._numba_rows import accumulate


@njit(cache=True)
def _decay(since, factors, n_h, P, A, R, read):
    """Weight products, corrections and read-outs by the decay between their times.

    ``since`` becomes the decay from each sub-step to the end; that of the whole is handed back.
    """
    entered = 1.0
    for t in range(factors.shape[0]):
        entered *= factors[t]
        for j in range(t * n_h):
            since[j] *= factors[t]
        for i in range(t * n_h, (t + 1) * n_h):
            since[i] = 1
            R[i] *= entered
            for j in range(i):
                P[i, j] *= since[j]
        read[t] *= entered
        for j in range((t + 1) * n_h):
            A[t, j] *= since[j]
    return entered


@njit(cache=True, parallel=True, fastmath={"contract"})
def run(q, k, v, beta, decay, C, states, o):
    """Fill ``o`` (H, T, d_v) and ``states``, whose first entry a sequence holds the initial state.

    q is (H, T, d_k), k and v are (H, T n_h, d_k) and (H, T n_h, d_v), beta (H, T n_h). Of ``decay``
    (H, T), or (H, 0) for none, there are factors in double precision. ``states`` is
    (H, chunks + 1, d_k, d_v), or (H, 1, d_k, d_v) when only the last one is wanted.
    """
    H, T, d_k = q.shape
    d_v = v.shape[2]
    n_h = k.shape[1] // T
    kept = states.shape[1] - 1
    gated = decay.shape[1] > 0
    for h in prange(H):
        largest = C * n_h
        between, scores = np.empty(largest * largest, q.dtype), np.empty(C * largest, q.dtype)
        corrections, reading = np.empty((largest, d_v), q.dtype), np.empty((C, d_v), q.dtype)
        leaving, added = np.empty((largest, d_k), q.dtype), np.empty((d_k, d_v), q.dtype)
        since = np.ones(largest)
        for chunk in range((T + C - 1) // C):
            start = chunk * C
            tokens = min(C, T - start)
            n = tokens * n_h
            queries, keys = q[h, start : start + tokens], k[h, start * n_h : start * n_h + n]
            values, gains = v[h, start * n_h : start * n_h + n], beta[h, start * n_h :]
            read, S = o[h, start : start + tokens], states[h, min(chunk, kept)]
            R, P = corrections[:n], between[: n * n].reshape(n, n)
            A = scores[: tokens * n].reshape(tokens, n)
            np.dot(keys, S, R)
            np.dot(keys, keys.T, P)
            np.dot(queries, S, read)
            np.dot(queries, keys.T, A)
            entered = 1.0
            if gated:
                entered = _decay(since, decay[h, start : start + tokens], n_h, P, A, R, read)
            for i in range(n):
                row, value, gain = R[i], values[i], gains[i]
                accumulate(row, P[i, :i], R)
                for j in range(d_v):
                    row[j] = gain * (value[j] - row[j])
            for t in range(tokens):
                A[t, (t + 1) * n_h :] = 0
            visible = reading[:tokens]
            np.dot(A, R, visible)
            for t in range(tokens):
                row, more = read[t], visible[t]
                for j in range(d_v):
                    row[j] += more[j]
            if gated:
                scaled = leaving[:n]
                for i in range(n):
                    for l in range(d_k):
                        scaled[i, l] = keys[i, l] * since[i]
                np.dot(scaled.T, R, added)
            else:
                np.dot(keys.T, R, added)
            # A factor in double would take single precision there and back.
            share, size = q.dtype.type(entered), d_k * d_v
            before, change = S.reshape(size), added.reshape(size)
            after = states[h, min(chunk + 1, kept)].reshape(size)
            for j in range(size):
                after[j] = share * before[j] + change[j]

"""Power tables for Vandermonde products: fill the two real factors of the matrix product."""

from __future__ import annotations

import numpy as np
from numba import njit, prange


@njit(cache=True, parallel=True)
def exponential_ladder(x, levels, radix):
    """Values exp(radix**k * x) for k < levels, shape (M, N, levels)."""
    M, N = x.shape
    ladder = np.empty((M, N, levels), dtype=np.complex128)
    for m in prange(M):
        for n in range(N):
            scale = 1.0
            for k in range(levels):
                magnitude = np.exp(scale * x[m, n].real)
                angle = scale * x[m, n].imag
                ladder[m, n, k] = complex(magnitude * np.cos(angle), magnitude * np.sin(angle))
                scale *= radix
    return ladder


@njit(cache=True)
def _powers(start, ladder, first, last, radix, table):
    """Fill ``table`` with start * z**(l * radix**first), growing it by one digit a level."""
    table[0] = start
    filled = 1
    for k in range(first, last):
        step = ladder[k]
        power = step
        grown = min(filled * radix, table.shape[0])
        for base in range(filled, grown, filled):
            count = min(filled, grown - base)
            for j in range(count):
                table[base + j] = table[j] * power
            power *= step
        filled = grown


@njit(cache=True, parallel=True)
def real_factors(ladder, w, radix, fine_levels, coarse, fine):
    """Real and negated imaginary coarse powers times w, real and imaginary fine powers.

    ``coarse`` (M, 2N, Q) receives Re and -Im of w z**(q T); ``fine`` (M, 2N, T) Re and Im of z**r.
    """
    M, N, levels = ladder.shape
    Q, T = coarse.shape[2], fine.shape[2]
    for m in prange(M):
        slow = np.empty(Q, dtype=np.complex128)
        fast = np.empty(T, dtype=np.complex128)
        for n in range(N):
            _powers(1.0 + 0.0j, ladder[m, n], 0, fine_levels, radix, fast)
            _powers(w[m, n], ladder[m, n], fine_levels, levels, radix, slow)
            for q in range(Q):
                coarse[m, n, q] = slow[q].real
                coarse[m, N + n, q] = -slow[q].imag
            for r in range(T):
                fine[m, n, r] = fast[r].real
                fine[m, N + n, r] = fast[r].imag

"""Power tables for Vandermonde products: fill the two real factors of the matrix product."""

from __future__ import annotations

from numba import njit


@njit(cache=True)
def _multiply(table, source, target, re, im):
    """Set row ``target`` to row ``source`` times re + i im; a row holds N reals, N imaginaries."""
    N = re.size
    for n in range(N):
        a, b = table[source, n], table[source, N + n]
        table[target, n] = a * re[n] - b * im[n]
        table[target, N + n] = a * im[n] + b * re[n]


@njit(cache=True)
def _grow(table, ladder_re, ladder_im, radix):
    """Fill ``table`` from its first row: row l is row 0 times z**l, one digit of l a level."""
    rows = table.shape[0]
    filled = 1
    for k in range(ladder_re.shape[0]):
        re, im = ladder_re[k].copy(), ladder_im[k].copy()
        grown = min(filled * radix, rows)
        for base in range(filled, grown, filled):
            rounded_re, rounded_im = re.astype(table.dtype), im.astype(table.dtype)
            for j in range(min(filled, grown - base)):
                _multiply(table, j, base + j, rounded_re, rounded_im)
            for n in range(re.size):
                a, b = ladder_re[k, n], ladder_im[k, n]
                re[n], im[n] = re[n] * a - im[n] * b, re[n] * b + im[n] * a
        filled = grown


@njit(cache=True, nogil=True)
def real_factors(ladder_re, ladder_im, w, split, radix, coarse, fine):
    """Fill ``coarse`` (M, Q, 2N) with Re and -Im of w z**(q T), ``fine`` (M, T, 2N) of z**r.

    The ladder (M, levels, N) holds z**(radix**k). The imaginary half of ``fine`` keeps its sign,
    so that a real product over the 2N columns is the real part of the complex one.
    """
    N = w.shape[1]
    for m in range(w.shape[0]):
        fine[m, 0, :N] = 1
        fine[m, 0, N:] = 0
        _grow(fine[m], ladder_re[m, :split], ladder_im[m, :split], radix)
        # The conjugate of w z**l has the real and imaginary parts wanted here.
        coarse[m, 0, :N] = w[m].real
        coarse[m, 0, N:] = -w[m].imag
        _grow(coarse[m], ladder_re[m, split:], -ladder_im[m, split:], radix)

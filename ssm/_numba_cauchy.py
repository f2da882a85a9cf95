"""Compiled sums of reciprocals of bilinear forms; callers have checked shapes and dtypes.

A block of outputs at a time stays in cache: the reciprocals of four terms are formed once, in
double precision, and serve all sums. Rows of the tables have a fixed length so that the compiler
sees that they do not overlap and keeps the loops in vector registers.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

_WIDTH = 256
_BLOCKS = 4
_TERMS = 4


@njit(cache=True, error_model="numpy", fastmath={"contract"})
def _reciprocals(table, k, forms, a, b, c, width):
    """Row k of both halves of the table: real and imaginary parts of 1/D."""
    for j in range(width):
        x = forms[0, j] * a + forms[2, j] * b + forms[4, j] * c
        y = forms[1, j] * a + forms[3, j] * b + forms[5, j] * c
        inverse = 1.0 / (x * x + y * y)
        table[k, j] = x * inverse
        table[_TERMS + k, j] = -(y * inverse)


@njit(cache=True, error_model="numpy", fastmath={"contract"})
def _powers(table, base, power, width):
    """Raise all reciprocals to a power of at least two."""
    base[:] = table
    for _ in range(power - 1):
        for k in range(_TERMS):
            for j in range(width):
                re, im = table[k, j], table[_TERMS + k, j]
                table[k, j] = re * base[k, j] - im * base[_TERMS + k, j]
                table[_TERMS + k, j] = re * base[_TERMS + k, j] + im * base[k, j]


@njit(cache=True, error_model="numpy", fastmath={"contract"})
def _accumulate(sums, i, table, p, q, n, width):
    """Add four terms to one pair of sums."""
    p0, p1, p2, p3 = p[n], p[n + 1], p[n + 2], p[n + 3]
    q0, q1, q2, q3 = q[n], q[n + 1], q[n + 2], q[n + 3]
    for j in range(width):
        x0, x1, x2, x3 = table[0, j], table[1, j], table[2, j], table[3, j]
        y0, y1, y2, y3 = table[4, j], table[5, j], table[6, j], table[7, j]
        sums[4 * i, j] += p0 * x0 + p1 * x1 + p2 * x2 + p3 * x3
        sums[4 * i + 1, j] += p0 * y0 + p1 * y1 + p2 * y2 + p3 * y3
        sums[4 * i + 2, j] += q0 * x0 + q1 * x1 + q2 * x2 + q3 * x3
        sums[4 * i + 3, j] += q0 * y0 + q1 * y1 + q2 * y2 + q3 * y3


@njit(cache=True, error_model="numpy", fastmath={"contract"})
def _some_blocks(forms, ends, scalars, rows, power, first, last, out):
    """One system, outputs ``first`` to ``last``."""
    m, _, terms = rows.shape
    table = np.empty((2 * _TERMS, _WIDTH), rows.dtype)
    base = np.empty((2 * _TERMS, _WIDTH), rows.dtype)
    block = np.empty((6, _WIDTH), np.float64)
    sums = np.empty((4 * m, _WIDTH), rows.dtype)
    for start in range(first, last, _WIDTH):
        width = min(_WIDTH, last - start)
        for k in range(3):
            for j in range(width):
                form = forms[k, start + j]
                block[2 * k, j], block[2 * k + 1, j] = form.real, form.imag
        sums[:] = 0
        for n in range(0, terms, _TERMS):
            for k in range(_TERMS):
                a, b, c = scalars[0, n + k], scalars[1, n + k], scalars[2, n + k]
                _reciprocals(table, k, block, a, b, c, width)
            if power > 1:
                _powers(table, base, power, width)
            for i in range(m):
                _accumulate(sums, i, table, rows[i, 0], rows[i, 1], n, width)
        for i in range(m):
            for j in range(width):
                p = complex(sums[4 * i, j], sums[4 * i + 1, j])
                q = complex(sums[4 * i + 2, j], sums[4 * i + 3, j])
                out[i, start + j] = ends[0, start + j] * p + ends[1, start + j] * q


@njit(cache=True, parallel=True, error_model="numpy")
def reciprocal_sums(forms, ends, scalars, rows, power, out):
    """Fill ``out`` (M, m, V) with combinations of sums of D**-power.

    D_tv is the sum over k of scalars[m, k, t] forms[m, k, v], k = 0, 1, 2; with P and Q the sums
    over t of rows[m, i, 0, t] D**-power and rows[m, i, 1, t] D**-power, the output is
    ends[m, 0, v] P + ends[m, 1, v] Q. The number of terms t is a multiple of four; forms and ends
    may have one system for all.
    """
    M, _, V = out.shape
    size = _WIDTH * _BLOCKS
    pieces = (V + size - 1) // size
    for task in prange(M * pieces):
        s, first = task // pieces, task % pieces * size
        f, e = min(s, forms.shape[0] - 1), min(s, ends.shape[0] - 1)
        last = min(V, first + size)
        _some_blocks(forms[f], ends[e], scalars[s], rows[s], power, first, last, out[s])


@njit(cache=True, parallel=True, error_model="numpy")
def woodbury(sums, kappa, phase, out):
    """Fill ``out`` (M, V) from sums (M, (1 + r)^2, V): phase (T00 - k T01 (I + k T11)^-1 T10)."""
    M, m, V = sums.shape
    r = round(np.sqrt(m)) - 1
    for s in prange(M):
        T = np.empty((r, r + 1), sums.dtype)
        for j in range(V):
            value = sums[s, 0, j]
            k = kappa[j]
            if r == 1:
                value -= k * sums[s, 1, j] * sums[s, 2, j] / (1 + k * sums[s, 3, j])
            elif r > 1:
                for a in range(r):
                    for b in range(r):
                        T[a, b] = k * sums[s, (1 + a) * (1 + r) + 1 + b, j]
                    T[a, a] += 1
                    T[a, r] = sums[s, (1 + a) * (1 + r), j]
                _eliminate(T)
                for a in range(r):
                    value -= k * sums[s, 1 + a, j] * T[a, r]
            out[s, j] = phase[j] * value


@njit(cache=True, error_model="numpy")
def _eliminate(T):
    """Solve in place by Gauss-Jordan elimination with partial pivoting; the last column is b."""
    r = T.shape[0]
    for column in range(r):
        pivot = column
        for a in range(column + 1, r):
            if abs(T[a, column]) > abs(T[pivot, column]):
                pivot = a
        for b in range(column, r + 1):
            T[column, b], T[pivot, b] = T[pivot, b], T[column, b]
        for b in range(column + 1, r + 1):
            T[column, b] /= T[column, column]
        for a in range(r):
            if a != column:
                for b in range(column + 1, r + 1):
                    T[a, b] -= T[a, column] * T[column, b]

"""A sum of rows, each times its number, for compiled loops that substitute or run in blocks."""

from __future__ import annotations

from numba import njit


@njit(cache=True, fastmath={"contract"})
def accumulate(out, coefficients, rows):
    """Add all rows, each times its coefficient, to ``out``, eight of them at a time."""
    i, count, width = 0, coefficients.size, out.size
    while i + 8 <= count:
        c = coefficients[i : i + 8]
        c0, c1, c2, c3, c4, c5, c6, c7 = c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7]
        r0, r1, r2, r3 = rows[i], rows[i + 1], rows[i + 2], rows[i + 3]
        r4, r5, r6, r7 = rows[i + 4], rows[i + 5], rows[i + 6], rows[i + 7]
        for j in range(width):
            first = c0 * r0[j] + c1 * r1[j] + c2 * r2[j] + c3 * r3[j]
            second = c4 * r4[j] + c5 * r5[j] + c6 * r6[j] + c7 * r7[j]
            out[j] += first + second
        i += 8
    while i < count:
        c0, r0 = coefficients[i], rows[i]
        for j in range(width):
            out[j] += c0 * r0[j]
        i += 1

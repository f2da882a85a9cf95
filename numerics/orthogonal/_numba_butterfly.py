"""Compiled rotations of pairs; the caller has checked everything."""

from __future__ import annotations

from numba import njit


@njit(cache=True, nogil=True)
def rotate_rows(x, cosines, sines, adjoint):
    """Turn every row of ``x`` (rows, n) in place through all layers, one row after the other."""
    layers, half = cosines.shape
    bits = 0
    while 1 << bits < 2 * half:
        bits += 1
    for row in x:
        for step in range(layers):
            layer = layers - 1 - step if adjoint else step
            h = 1 << (layer % bits)
            cosine, sine = cosines[layer], sines[layer]
            for start in range(0, half, h):
                for j in range(start, start + h):
                    a, b = row[start + j], row[start + j + h]
                    c, s = cosine[j], sine[j]
                    if adjoint:
                        s = -s
                    row[start + j] = a * c - b * s
                    row[start + j + h] = a * s + b * c

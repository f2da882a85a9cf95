"""Compiled recurrence of diagonal plus low-rank systems; callers have checked shapes and dtypes.

Inner products over the modes may be summed in any order, which is what lets them run in vector
registers; NaN, infinity and signed zeros keep their meaning.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

_REORDERED = {"reassoc", "contract"}


@njit(cache=True, fastmath=_REORDERED)
def _dot_real(a_re, a_im, x_re, x_im):
    total = a_re[0] * 0
    for n in range(x_re.size):
        total += a_re[n] * x_re[n] - a_im[n] * x_im[n]
    return total


@njit(cache=True, fastmath=_REORDERED)
def _dot_imag(a_re, a_im, x_re, x_im):
    total = a_re[0] * 0
    for n in range(x_re.size):
        total += a_re[n] * x_im[n] + a_im[n] * x_re[n]
    return total


@njit(cache=True, fastmath={"contract"})
def _add(x_re, x_im, a_re, a_im, t_re, t_im):
    for n in range(x_re.size):
        x_re[n] += t_re * a_re[n] - t_im * a_im[n]
        x_im[n] += t_re * a_im[n] + t_im * a_re[n]


@njit(cache=True, fastmath={"contract"})
def _run(u, system, rank, conj, x_re, x_im, y):
    """One system; the rows of ``system`` are delta, B, C, then the rows of E, then those of G."""
    re, im = system.real.copy(), system.imag.copy()
    t_re, t_im = np.zeros(rank, u.dtype), np.zeros(rank, u.dtype)
    scale = u.dtype.type(2 if conj else 1)
    zero = u.dtype.type(0)
    for k in range(u.size):
        for i in range(rank):
            g = 3 + rank + i
            t_re[i] = -scale * _dot_real(re[g], im[g], x_re, x_im)
            t_im[i] = zero if conj else -_dot_imag(re[g], im[g], x_re, x_im)
        for n in range(x_re.size):
            a = re[0, n] * x_re[n] - im[0, n] * x_im[n]
            x_im[n] = re[0, n] * x_im[n] + im[0, n] * x_re[n] + u[k] * im[1, n]
            x_re[n] = a + u[k] * re[1, n]
        for i in range(rank):
            _add(x_re, x_im, re[3 + i], im[3 + i], t_re[i], t_im[i])
        if conj:
            y[k] = scale * _dot_real(re[2], im[2], x_re, x_im)
        else:
            y[2 * k] = _dot_real(re[2], im[2], x_re, x_im)
            y[2 * k + 1] = _dot_imag(re[2], im[2], x_re, x_im)


@njit(cache=True, parallel=True)
def recurrence(u, systems, rank, conj, x, y):
    """Run systems (M, 3 + 2r, N) over u (M, L): x (M, N) becomes the last state.

    y is (M, L) for conjugate pairs; else (M, 2L), real and imaginary parts by turns.
    """
    for s in prange(u.shape[0]):
        x_re, x_im = x[s].real.copy(), x[s].imag.copy()
        _run(u[s], systems[s], rank, conj, x_re, x_im, y[s])
        for n in range(x_re.size):
            x[s, n] = complex(x_re[n], x_im[n])

r"""Compiled kernels of diagonal plus low-rank systems; callers have checked shapes and dtypes.

With :math:`\bar A = \mathrm{diag}(\delta) - E^T G` a block of m steps of the row recurrence is

.. math:: C \bar A^m = C \delta^m - \sum_{j<m} (C \bar A^j E^T)\, G \delta^{m-1-j},

products with two matrices that are made once a system, of the columns :math:`\bar A^j E^T` and of
the rows :math:`G \delta^{m-1-j}`. The rows at the starts of the blocks times the columns
:math:`\bar A^j \bar B` are the whole kernel. Complex numbers are laid out as pairs of real ones: a
product that counts for a conjugate pair is one real number, any other complex product two.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from ssm._numba_dplr import _add, _dot_imag, _dot_real
from ssm._numba_rows import accumulate


@njit(cache=True, fastmath={"contract"})
def _columns(re, im, rank, whole, x, first, apart, columns):
    r"""Lay out :math:`\bar A^j x`, what a row is multiplied by, in columns ``apart`` from another.

    When products are ``whole`` the next column is for their imaginary parts.
    """
    N = x.size
    x_re, x_im = x.real.copy(), x.imag.copy()
    t_re, t_im = np.zeros(rank), np.zeros(rank)
    scale = 1.0 if whole else 2.0
    for here in range(first, columns.shape[1], apart):
        for n in range(N):
            columns[n, here] = scale * x_re[n]
            columns[N + n, here] = -scale * x_im[n]
        if whole:
            columns[:N, here + 1] = x_im
            columns[N:, here + 1] = x_re
        for i in range(rank):
            g_re, g_im = re[3 + rank + i], im[3 + rank + i]
            t_re[i] = -scale * _dot_real(g_re, g_im, x_re, x_im)
            t_im[i] = -_dot_imag(g_re, g_im, x_re, x_im) if whole else 0.0
        for n in range(N):
            a = re[0, n] * x_re[n] - im[0, n] * x_im[n]
            x_im[n] = re[0, n] * x_im[n] + im[0, n] * x_re[n]
            x_re[n] = a
        for i in range(rank):
            _add(x_re, x_im, re[3 + i], im[3 + i], t_re[i], t_im[i])


@njit(cache=True)
def block_matrices(system, rank, whole, m, columns):
    r"""Fill the columns of :math:`\bar B`; reading and updating matrix, :math:`\delta^m`."""
    N = system.shape[1]
    each = 2 if whole else 1
    width = each * rank
    re, im = system.real.copy(), system.imag.copy()
    _columns(re, im, rank, whole, system[1], 0, each, columns)
    reading, updating = np.empty((2 * N, m * width)), np.empty((m * width, 2 * N))
    for i in range(rank):
        _columns(re, im, rank, whole, system[3 + i], i * each, width, reading)
    power = np.ones(N, system.dtype)
    for j in range(m - 1, -1, -1):
        for i in range(rank):
            g = -power * system[3 + rank + i]
            row = j * width + i * each
            updating[row, :N], updating[row, N:] = g.real, g.imag
            if whole:
                updating[row + 1, :N], updating[row + 1, N:] = -g.imag, g.real
        power *= system[0]
    return reading, updating, power


@njit(cache=True, fastmath={"contract"})
def run_blocks(system, power, reading, updating, rows, reads):
    r"""Fill the rows :math:`C \bar A^{mb}` (blocks, 2N), and what was read of each but the last.

    ``reads`` has a row for each block, or one for all in turn.
    """
    N = system.shape[1]
    rows[0, :N], rows[0, N:] = system[2].real, system[2].imag
    for b in range(1, rows.shape[0]):
        before, row, read = rows[b - 1], rows[b], reads[min(b, reads.shape[0]) - 1]
        read[:] = 0
        accumulate(read, before, reading)
        for n in range(N):
            row[n] = power[n].real * before[n] - power[n].imag * before[N + n]
            row[N + n] = power[n].real * before[N + n] + power[n].imag * before[n]
        accumulate(row, read, updating)


@njit(cache=True, parallel=True)
def kernels(systems, rank, whole, m, out):
    """Fill ``out`` (M, blocks, m), or (M, blocks, 2m) for the parts of complex kernels.

    The rows of ``systems`` (M, 3 + 2r, N) are delta, B, C, then the rows of E, then those of G.
    """
    M, blocks, width = out.shape
    for s in prange(M):
        size = 2 * systems.shape[2]
        rows, columns = np.empty((blocks, size)), np.empty((size, width))
        reading, updating, power = block_matrices(systems[s], rank, whole, m, columns)
        reads = np.empty((1, reading.shape[1]))
        run_blocks(systems[s], power, reading, updating, rows, reads)
        np.dot(rows, columns, out[s])

r"""Compiled gradient of the kernels of diagonal plus low-rank systems.

The blocks of the kernel are run again, and then backwards: with :math:`\mu_b` the gradient of the
row at the start of block b,

.. math:: \mu_b = \mu_{b+1} (\bar A^m)^* + K'_b X^*,

K' the gradient of the kernel and X the columns :math:`\bar A^j \bar B`. What reaches the columns
and the rows within a block goes back through its m steps. A gradient is the derivative in the real
part plus i times that in the imaginary part.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from ssm._numba_dplr_kernel import block_matrices, run_blocks
from ssm._numba_rows import accumulate


@njit(cache=True)
def _back_through_columns(system, rank, whole, first, apart, columns, moved, out):
    r"""From gradients ``moved`` of columns :math:`\bar A^j x` to ``out``; hands back that of x."""
    N = system.shape[1]
    scale = 1.0 if whole else 2.0
    grad = np.zeros(N, system.dtype)
    x, following = np.empty(N, system.dtype), np.empty(N, system.dtype)
    last = first + (columns.shape[1] - 1 - first) // apart * apart
    for here in range(last, first - 1, -apart):
        for n in range(N):
            x[n] = complex(columns[n, here], -columns[N + n, here]) / scale
            following[n] = grad[n] * system[0, n].conjugate()
            out[0, n] += grad[n] * x[n].conjugate()
        if here < last:
            for i in range(rank):
                e, g = system[3 + i], system[3 + rank + i]
                read = t = complex(0.0, 0.0)
                for n in range(N):
                    read += g[n] * x[n]
                    t -= grad[n] * e[n].conjugate()
                if not whole:
                    read, t = complex(2 * read.real, 0.0), complex(2 * t.real, 0.0)
                for n in range(N):
                    out[3 + i, n] -= grad[n] * read.conjugate()
                    out[3 + rank + i, n] += t * x[n].conjugate()
                    following[n] += t * g[n].conjugate()
        for n in range(N):
            grad[n] = following[n] + scale * complex(moved[n, here], -moved[N + n, here])
            if whole:
                grad[n] += complex(moved[N + n, here + 1], moved[n, here + 1])
    return grad


@njit(cache=True)
def _back_through_rows(system, rank, whole, m, moved, grad_power, out):
    r"""From gradients ``moved`` of the rows :math:`-G \delta^{m-1-j}`, and of :math:`\delta^m`."""
    N = system.shape[1]
    each = 2 if whole else 1
    powers = np.empty((m, N), system.dtype)
    powers[0] = 1
    for k in range(1, m):
        powers[k] = powers[k - 1] * system[0]
    for k in range(m - 1, -1, -1):
        for n in range(N):
            power = powers[k, n].conjugate()
            out[0, n] += grad_power[n] * power
            grad_power[n] *= system[0, n].conjugate()
            for i in range(rank):
                row = ((m - 1 - k) * rank + i) * each
                g = complex(moved[row, n], moved[row, N + n])
                if whole:
                    g += complex(moved[row + 1, N + n], -moved[row + 1, n])
                out[3 + rank + i, n] -= g * power
                grad_power[n] -= g * system[3 + rank + i, n].conjugate()


@njit(cache=True, fastmath={"contract"})
def _back_through_blocks(power, rows, moved, reading, updating, grad_reads, grad_power):
    """Turn gradients ``moved`` of rows by the kernel alone into those by all that follows them."""
    N = power.size
    outward, inward = updating.T.copy(), reading.T.copy()
    for b in range(rows.shape[0] - 2, -1, -1):
        above, row, here, read = moved[b + 1], rows[b], moved[b], grad_reads[b]
        accumulate(read, above, outward)
        for n in range(N):
            re, im = above[n], above[N + n]
            grad_power[n] += complex(re * row[n] + im * row[N + n], im * row[n] - re * row[N + n])
            here[n] += re * power[n].real + im * power[n].imag
            here[N + n] += im * power[n].real - re * power[n].imag
        accumulate(here, read, inward)


@njit(cache=True, parallel=True)
def gradients(systems, rank, whole, m, grad_kernels, out):
    """Fill ``out``, like ``systems`` (M, 3 + 2r, N), from gradients laid out as the kernels."""
    M, blocks, width = grad_kernels.shape
    for s in prange(M):
        system, grad, given = systems[s], out[s], grad_kernels[s]
        N = system.shape[1]
        rows, columns = np.empty((blocks, 2 * N)), np.empty((2 * N, width))
        reading, updating, power = block_matrices(system, rank, whole, m, columns)
        reads = np.zeros((blocks, reading.shape[1]))
        run_blocks(system, power, reading, updating, rows, reads)
        grad[:] = 0
        moved = np.dot(given, columns.T)
        grad_reads, grad_power = np.zeros_like(reads), np.zeros(N, system.dtype)
        _back_through_blocks(power, rows, moved, reading, updating, grad_reads, grad_power)
        for n in range(N):
            grad[2, n] = complex(moved[0, n], moved[0, N + n])
        grad[1] = _back_through_columns(
            system, rank, whole, 0, width // m, columns, np.dot(rows.T, given), grad
        )
        if rank:
            by_reading = np.dot(rows.T, grad_reads)
            apart = reading.shape[1] // m
            for i in range(rank):
                grad[3 + i] += _back_through_columns(
                    system, rank, whole, i * apart // rank, apart, reading, by_reading, grad
                )
            by_updating = np.dot(reads[:-1].T, moved[1:])
        else:
            by_updating = updating
        _back_through_rows(system, rank, whole, m, by_updating, grad_power, grad)

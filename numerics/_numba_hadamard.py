r"""Compiled Walsh-Hadamard transforms in natural order, in place; callers have checked everything.

An array (outer, N, inner) in memory order is transformed along its middle axis. The factors of

.. math:: H_N = (H_{R_p} \otimes I) \cdots (I \otimes H_{R_1} \otimes I) (I \otimes H_B)

commute, and each is one pass over memory: :math:`H_B` on blocks of B rows that fit the cache, and
:math:`H_R` on chunks of R rows, a fixed distance apart, by way of a buffer. Two passes do up to
gigabytes. While one block or chunk is transformed the next one is on its way to the cache.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from numerics._numba_butterflies import VECTOR, fetched, sweep, within_vectors

_INNER_BLOCK = 2**14  # bytes, half of a small first-level cache
_BLOCK = 2**19  # bytes, half of the second-level cache
_CHUNK = 2**10  # bytes at least, since memory is read in pages
# Rows of the buffer are no power of two apart: such rows share few lines of a cache, and rows
# nearer than this would be taken for each other while they are stored.
_PAD = 2**8


@njit
def _log2(N):
    bits = 0
    while (1 << bits) < N:
        bits += 1
    return bits


@njit
def _largest(limit, size):
    """Greatest power of two of rows of ``size`` in ``limit``, at least 1."""
    rows = 1
    while 2 * rows * size <= limit:
        rows *= 2
    return rows


@njit
def _contiguous(data, start, count, bits, run, most, ahead):
    """Transform ``count`` times 2**bits rows, not more than ``most`` stages a sweep.

    What is ``ahead`` is fetched meanwhile; returns where that ends.
    """
    sweeps = (bits + most - 1) // most
    while sweeps > 0:
        now = (bits + sweeps - 1) // sweeps
        bits -= now
        groups = count << bits
        sweep(now, data, start, run, data, start, run, groups, 1, run, data, ahead, run)
        ahead += groups * fetched(now) * run
        run <<= now
        sweeps -= 1
    return ahead


@njit
def _blocks(data, start, count, rows, inner, ahead):
    """Transform blocks of contiguous rows that fit the cache, several where they are small."""
    lanes = VECTOR // data.itemsize
    few = min(rows, _largest(_INNER_BLOCK, inner * data.itemsize))
    size = few * inner
    bits, run = _log2(few), inner
    short = inner < lanes <= size and inner & (inner - 1) == 0
    if short:
        bits -= _log2(lanes // inner)
        run = lanes
    # First what fits the inner cache.
    together = count if few == rows else 1
    for first in range(start, start + count * rows * inner, together * size):
        if short:
            within_vectors(data, first, together * size // lanes, inner)
        ahead = _contiguous(data, first, together, bits, run, 4, ahead)
    # These rows are powers of two apart, and the inner cache holds eight of a kind.
    _contiguous(data, start, count, _log2(rows // few), size, 3, ahead)


@njit
def _chunk(data, start, unit, bits, run, buffer, pitch):
    """Transform 2**bits rows of ``run`` elements, ``unit`` apart, and fetch those beside them."""
    sweeps = (bits + 2) // 3
    ahead, h = start + run, 1
    src, at, step = data, start, unit
    for turn in range(sweeps):
        now = (bits + sweeps - turn - 1) // (sweeps - turn)
        bits -= now
        groups = 1 << bits
        dst, to, stride = buffer, 0, pitch
        if turn == sweeps - 1:
            dst, to, stride = data, start, unit
        sweep(now, src, at, step, dst, to, stride, groups, h, run, data, ahead, unit)
        src, at, step = dst, to, stride
        ahead += groups * h * fetched(now) * unit
        h <<= now


@njit(cache=True, nogil=True)
def block_rows(N, inner, itemsize):
    """Rows of the blocks of the first pass."""
    return min(N, _largest(_BLOCK, inner * itemsize))


@njit(cache=True, nogil=True)
def block_pass(data, rows, inner, scale, first, last):
    """Transform blocks ``first`` to ``last`` of a flat array, times ``scale``."""
    size = rows * inner
    together = max(1, _INNER_BLOCK // (size * data.itemsize))
    for block in range(first, last, together):
        count = min(together, last - block)
        start, end = block * size, (block + count) * size
        if scale != 1:
            for j in range(start, end):
                data[j] *= scale
        _blocks(data, start, count, rows, inner, end)


@njit(cache=True, nogil=True)
def chunk_rows(rows):
    """Rows that one pass takes of those that are left."""
    return min(rows, _largest(_BLOCK, _CHUNK))


@njit(cache=True, nogil=True)
def chunks(rows, unit, itemsize):
    """Number of chunks that ``unit`` elements are cut into."""
    run = max(_CHUNK, _BLOCK // rows - _PAD) // itemsize
    return -(-unit // run)


@njit(cache=True, nogil=True)
def chunk_pass(data, unit, rows, first, last):
    """Transform chunks ``first`` to ``last`` of all groups of ``rows`` rows ``unit`` apart."""
    lanes = VECTOR // data.itemsize
    count = chunks(rows, unit, data.itemsize)
    run = -(-unit // (count * lanes)) * lanes
    pitch = run + _PAD // data.itemsize
    room = np.empty(rows * pitch + lanes, data.dtype)
    buffer = room[(-room.ctypes.data % VECTOR) // data.itemsize :]
    bits = _log2(rows)
    for k in range(first, last):
        offset = k % count * run
        start = k // count * rows * unit + offset
        if offset < unit:
            _chunk(data, start, unit, bits, min(run, unit - offset), buffer, pitch)


@njit(cache=True, nogil=True)
def fwht_block(data):
    """Transform the columns of a C-contiguous array (N, d) that fits the cache, unnormalised."""
    N, d = data.shape
    _blocks(data.reshape(-1), 0, 1, N, d, 0)


@njit(cache=True, nogil=True)
def fwht_inplace(data):
    """Transform the C-contiguous array (outer, N, inner) along its middle axis, unnormalised."""
    outer, N, inner = data.shape
    flat = data.reshape(-1)
    rows = block_rows(N, inner, data.itemsize)
    block_pass(flat, rows, inner, 1, 0, outer * (N // rows))
    while rows < N:
        more = chunk_rows(N // rows)
        unit = rows * inner
        rows *= more
        chunk_pass(flat, unit, more, 0, outer * (N // rows) * chunks(more, unit, data.itemsize))

"""Compiled loops of the sketches: Hadamard rows block by block, and scattered rows."""

from __future__ import annotations

import numpy as np
from numba import get_num_threads, njit, prange

_BLOCK_BYTES = 1 << 19
_PRIVATE_BYTES = 1 << 25


def hadamard_rows(block, signs, start, N, samples, scale, out, threads):
    """Add the samples of S[:, start : start + k] @ block to ``out``; see HadamardRows."""
    bits = _block_bits(N, block.shape[1], block.itemsize)
    rows, targets, weights = samples
    low = rows & ((1 << bits) - 1)
    order = np.argsort(low, kind="stable")
    low, high, targets = low[order], rows[order] >> bits, targets[order]
    factors = np.full(rows.size, scale) if weights is None else scale * weights[order]
    factors = factors.astype(block.dtype)
    blocks = ((start + block.shape[0] - 1) >> bits) - (start >> bits) + 1
    private = max(1, _PRIVATE_BYTES // max(1, out.nbytes))
    threads = min(threads or get_num_threads(), blocks, private)
    if threads <= 1:
        _add_blocks(block, signs, start, bits, 0, blocks, low, high, targets, factors, out)
    else:
        _add_parallel(block, signs, start, bits, blocks, low, high, targets, factors, out, threads)


def hadamard_rows_adjoint(Y, signs, start, N, samples, scale):
    """S[:, start : start + k].T @ Y, k the number of ``signs``."""
    bits = _block_bits(N, Y.shape[1], Y.itemsize)
    rows, targets, weights = samples
    factors = np.full(rows.size, scale) if weights is None else scale * weights
    result = np.empty((signs.size, Y.shape[1]), Y.dtype)
    low = rows & ((1 << bits) - 1)
    _adjoint_blocks(
        Y, signs, start, bits, low, rows >> bits, targets, factors.astype(Y.dtype), result
    )
    return result


def _block_bits(N, columns, itemsize):
    """Rows of a block that lies in the second cache, as a power of two, and at most N."""
    rows = max(256, _BLOCK_BYTES // max(1, columns * itemsize))
    return min(N.bit_length() - 1, rows.bit_length() - 1)


@njit(cache=True, nogil=True)
def _transform(buffer):
    rows, columns = buffer.shape
    flat = buffer.reshape(rows * columns)
    half = columns
    while half < flat.size:
        for base in range(0, flat.size, 2 * half):
            for i in range(base, base + half):
                a, b = flat[i], flat[i + half]
                flat[i] = a + b
                flat[i + half] = a - b
        half *= 2


@njit(cache=True, nogil=True)
def _odd(value):
    value ^= value >> 32
    value ^= value >> 16
    value ^= value >> 8
    value ^= value >> 4
    return (0x6996 >> (value & 15)) & 1


@njit(cache=True, nogil=True)
def _add_blocks(block, signs, start, bits, first, last, low, high, targets, factors, out):
    size = 1 << bits
    columns = block.shape[1]
    buffer = np.empty((size, columns), block.dtype)
    origin = start >> bits
    for number in range(origin + first, origin + last):
        begin = max(start, number * size)
        end = min(start + block.shape[0], (number + 1) * size)
        for i in range(number * size, begin):
            buffer[i - number * size] = 0
        for i in range(begin, end):
            if signs[i - start] > 0:
                for c in range(columns):
                    buffer[i - number * size, c] = block[i - start, c]
            else:
                for c in range(columns):
                    buffer[i - number * size, c] = -block[i - start, c]
        for i in range(end, (number + 1) * size):
            buffer[i - number * size] = 0
        _transform(buffer)
        for p in range(low.size):
            factor = -factors[p] if _odd(high[p] & number) else factors[p]
            t, b = targets[p], low[p]
            for c in range(columns):
                out[t, c] += factor * buffer[b, c]


@njit(cache=True, parallel=True)
def _add_parallel(block, signs, start, bits, blocks, low, high, targets, factors, out, threads):
    private = np.zeros((threads, *out.shape), out.dtype)
    for t in prange(threads):
        first, last = blocks * t // threads, blocks * (t + 1) // threads
        _add_blocks(block, signs, start, bits, first, last, low, high, targets, factors, private[t])
    for t in range(threads):
        out += private[t]


@njit(cache=True, nogil=True)
def _adjoint_blocks(Y, signs, start, bits, low, high, targets, factors, result):
    size = 1 << bits
    columns = Y.shape[1]
    buffer = np.empty((size, columns), Y.dtype)
    for number in range(start >> bits, ((start + signs.size - 1) >> bits) + 1):
        begin = max(start, number * size)
        end = min(start + signs.size, (number + 1) * size)
        buffer[:] = 0
        for p in range(low.size):
            factor = -factors[p] if _odd(high[p] & number) else factors[p]
            t, b = targets[p], low[p]
            for c in range(columns):
                buffer[b, c] += factor * Y[t, c]
        _transform(buffer)
        for i in range(begin, end):
            for c in range(columns):
                value = buffer[i - number * size, c]
                result[i - start, c] = value if signs[i - start] > 0 else -value


@njit(cache=True, nogil=True)
def add_to_rows(block, rows, signs, scale, out):
    """out[rows[i, k]] += scale * signs[i, k] * block[i]."""
    columns = block.shape[1]
    for i in range(block.shape[0]):
        for k in range(rows.shape[1]):
            factor = block.dtype.type(scale * signs[i, k])
            row = rows[i, k]
            for c in range(columns):
                out[row, c] += factor * block[i, c]


@njit(cache=True, nogil=True)
def take_from_rows(Y, rows, signs, scale, result):
    """result[i] = sum over k of scale * signs[i, k] * Y[rows[i, k]]."""
    columns = Y.shape[1]
    for i in range(result.shape[0]):
        result[i] = 0
        for k in range(rows.shape[1]):
            factor = Y.dtype.type(scale * signs[i, k])
            row = rows[i, k]
            for c in range(columns):
                result[i, c] += factor * Y[row, c]

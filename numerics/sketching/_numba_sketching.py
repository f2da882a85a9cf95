"""Compiled loops of the sketches: Hadamard rows block by block, and scattered rows.

A block of 256 to 4096 rows is cut into strips of one cache line, eight of them at a time. Each row
is read once, signed, on its way into a strip; groups of 256 rows are transformed by two sweeps of
radix 16, the groups among each other by one more, and the rows that are wanted are added up while
their strip is at hand. What has too few columns for that, and sketches of very many rows, take
blocks of whole rows.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import get_num_threads, njit

from numerics._numba_hadamard import fwht_block
from numerics.sketching._numba_cache_lines import (
    LINE,
    add_lines,
    butterflies,
    signed_butterflies,
)

_PRIVATE_BYTES = 1 << 25  # of partial sketches, for all threads together
_ROWS_BYTES = 1 << 19  # of a block of whole rows, at least
_MOST_ROWS_BYTES = 1 << 25
_GROUP = 256
_STRIP_BITS = 12  # a strip of that many rows and the sketch's strip fit the second cache
_STRIPS = 8
_GROUP_PAD = 4  # lines between groups and strips: distances are no powers of two
_STRIP_PAD = 17


def hadamard_rows(block, signs, start, N, samples, scale, out, threads):
    """Add the samples of S[:, start : start + k] @ block to ``out``; see HadamardRows."""
    rows, targets, weights = samples
    size, columns = block.shape
    if size == 0 or columns == 0:
        return
    lanes = LINE // block.itemsize
    strips = -(-columns // lanes)
    bits = min(_STRIP_BITS, N.bit_length() - 1, max(8, (size - 1).bit_length()))
    striped = bits >= 8 and 2 * strips * lanes <= 3 * columns and rows.size <= 4 << bits
    if not striped:
        bits = _row_bits(N, columns * block.itemsize, rows.size)
    low, high = rows & ((1 << bits) - 1), rows >> bits
    if striped:
        low += _GROUP_PAD * (low // _GROUP)
    factors = (np.ones(rows.size) if weights is None else weights).astype(block.dtype)
    blocks = ((start + size - 1) >> bits) - (start >> bits) + 1
    place = strips * LINE if striped else columns * block.itemsize
    most = max(1, _PRIVATE_BYTES // (out.shape[0] * place))
    add, merge = (_add_strips, _merge_strips) if striped else (_add_rows, _merge_rows)

    def share(first, last):
        if striped:
            private = _lines(strips * out.shape[0], block)
        else:
            private = np.zeros_like(out)
        args = low, high, targets, factors, block.dtype.type(scale), private
        add(block, signs, start, bits, first, last, *args)
        return private

    for private in _in_threads(share, blocks, threads, most):
        merge(private, out)


def hadamard_rows_adjoint(Y, signs, start, N, samples, scale):
    """S[:, start : start + k].T @ Y, k the number of ``signs``."""
    rows, targets, weights = samples
    bits = _row_bits(N, Y.shape[1] * Y.itemsize, rows.size)
    factors = (np.full(rows.size, scale) if weights is None else scale * weights).astype(Y.dtype)
    result = np.empty((signs.size, Y.shape[1]), Y.dtype)
    if result.size == 0:
        return result
    low, high = rows & ((1 << bits) - 1), rows >> bits
    origin = start >> bits

    def share(first, last):
        begin = max(0, ((origin + first) << bits) - start)
        end = min(signs.size, ((origin + last) << bits) - start)
        part = result[begin:end]
        _adjoint_blocks(Y, signs[begin:end], start + begin, bits, low, high, targets, factors, part)

    blocks = ((start + signs.size - 1) >> bits) - origin + 1
    for _ in _in_threads(share, blocks, 0, blocks):
        pass
    return result


def _in_threads(share, blocks, threads, most):
    """Results of ``share`` for disjoint ranges of blocks, in threads: compiled code lets go."""
    threads = min(threads or get_num_threads(), blocks, most)
    bounds = [blocks * t // threads for t in range(threads + 1)]
    if threads == 1:
        yield share(0, blocks)
        return
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(share, bounds[:-1], bounds[1:])


def _row_bits(N, row_bytes, samples):
    """Log of the rows of a block of whole rows: in cache, and not many fewer than samples."""
    rows = min(
        max(_ROWS_BYTES // max(1, row_bytes), samples), _MOST_ROWS_BYTES // max(1, row_bytes)
    )
    return min(N.bit_length() - 1, max(8, rows.bit_length() - 1))


@njit(cache=True, nogil=True)
def _odd(value):
    value ^= value >> 32
    value ^= value >> 16
    value ^= value >> 8
    value ^= value >> 4
    return (0x6996 >> (value & 15)) & 1


@njit(cache=True, nogil=True)
def _strips(block):
    lanes = LINE // block.itemsize
    return (block.shape[1] + lanes - 1) // lanes


@njit(cache=True, nogil=True)
def _lines(count, like):
    """Zeros in ``count`` cache lines, from the start of one."""
    raw = np.zeros((count + 1) * LINE, np.uint8)
    offset = -raw.ctypes.data % LINE
    return raw[offset : offset + count * LINE].view(like.dtype)


@njit(cache=True, nogil=True)
def _merge_rows(private, out):
    out += private


@njit(cache=True, nogil=True)
def _merge_strips(private, out):
    lanes = LINE // out.itemsize
    samples, columns = out.shape
    for c in range(0, columns, lanes):
        for k in range(samples):
            at = (c // lanes * samples + k) * lanes
            for j in range(min(lanes, columns - c)):
                out[k, c + j] += private[at + j]


@njit(cache=True, nogil=True)
def _add_strips(
    block, signs, start, bits, first, last, low, high, targets, factors, scale, private
):
    lanes = LINE // block.itemsize
    strips = _strips(block)
    size, wide = 1 << bits, min(strips, _STRIPS)
    group = (_GROUP + _GROUP_PAD) * lanes
    strip = (size // _GROUP) * group + _STRIP_PAD * lanes
    samples = private.size // (strips * lanes)
    buffer = _lines(wide * strip // lanes, block)
    edge = _lines(16 * wide, block)
    multipliers = np.empty(16, block.dtype)
    flipped = np.empty_like(factors)
    flat = block.reshape(-1)
    pitch = block.shape[1]
    origin = start >> bits
    for number in range(origin + first, origin + last):
        for p in range(low.size):
            flipped[p] = -factors[p] if _odd(high[p] & number) else factors[p]
        for left in range(0, strips, wide):
            now = min(wide, strips - left)
            column = left * lanes
            for g in range(size // _GROUP):
                for h in range(0, _GROUP, 16):
                    row = number * size + g * _GROUP + h - start
                    # A strip's last vector may reach into the next row, whose entries go nowhere.
                    inside = row >= 0 and row + 16 < block.shape[0]
                    for i in range(16):
                        positive = not inside or signs[row + i] > 0
                        multipliers[i] = scale if positive else -scale
                    if not inside:
                        _signed_rows(block, signs, row, column, now * lanes, edge)
                    for t in range(now):
                        to = t * strip + g * group + h * lanes
                        if inside:
                            at = row * pitch + column + t * lanes
                            ahead = (row + 16) * pitch + column + 16 * t * lanes
                            signed_butterflies(
                                flat, at, pitch, multipliers, buffer, to, lanes, ahead
                            )
                        else:
                            at = t * lanes
                            signed_butterflies(
                                edge, at, now * lanes, multipliers, buffer, to, lanes, 0
                            )
                for t in range(now):
                    at = t * strip + g * group
                    butterflies(
                        16, buffer, at, 16 * lanes, lanes, buffer, at, 16 * lanes, lanes, 16
                    )
            for t in range(now):
                _across_groups(buffer, t * strip, group, lanes, bits)
                to = (left + t) * samples * lanes
                add_lines(buffer, t * strip, low, flipped, private, to, targets)


@njit(cache=True, nogil=True)
def _signed_rows(block, signs, row, column, width, edge):
    """Sixteen rows from ``row`` on, times their signs; zeros where there are none."""
    columns = min(width, block.shape[1] - column)
    for i in range(16):
        for c in range(columns):
            if row + i < 0 or row + i >= block.shape[0]:
                edge[i * width + c] = 0
            else:
                edge[i * width + c] = block[row + i, column + c] * signs[row + i]


@njit(cache=True, nogil=True)
def _across_groups(buffer, at, group, lanes, bits):
    if bits == 9:
        butterflies(2, buffer, at, group, lanes, buffer, at, group, lanes, _GROUP)
    elif bits == 10:
        butterflies(4, buffer, at, group, lanes, buffer, at, group, lanes, _GROUP)
    elif bits == 11:
        butterflies(8, buffer, at, group, lanes, buffer, at, group, lanes, _GROUP)
    elif bits == 12:
        butterflies(16, buffer, at, group, lanes, buffer, at, group, lanes, _GROUP)


@njit(cache=True, nogil=True)
def _add_rows(block, signs, start, bits, first, last, low, high, targets, factors, scale, out):
    size, columns = 1 << bits, block.shape[1]
    buffer = np.empty((size, columns), block.dtype)
    origin = start >> bits
    for number in range(origin + first, origin + last):
        shift = number * size - start
        for i in range(size):
            if i + shift < 0 or i + shift >= block.shape[0]:
                buffer[i] = 0
                continue
            factor = scale if signs[i + shift] > 0 else -scale
            for c in range(columns):
                buffer[i, c] = factor * block[i + shift, c]
        fwht_block(buffer)
        for p in range(low.size):
            factor = -factors[p] if _odd(high[p] & number) else factors[p]
            t, b = targets[p], low[p]
            for c in range(columns):
                out[t, c] += factor * buffer[b, c]


@njit(cache=True, nogil=True)
def _adjoint_blocks(Y, signs, start, bits, low, high, targets, factors, result):
    size, columns = 1 << bits, Y.shape[1]
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
        fwht_block(buffer)
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

r"""Compiled Walsh-Hadamard transforms in natural order; callers have checked everything.

An array (outer, N, inner) in memory order is transformed along its middle axis. The factors of

.. math:: H_N = (H_{R_p} \otimes I) \cdots (I \otimes H_{R_1} \otimes I) (I \otimes H_B)

commute, and each is one pass over memory: :math:`H_B` on blocks of B rows that stay in cache, and
:math:`H_R` on R chunks a fixed distance apart that are gathered into a buffer. Within a pass the
butterflies are of radix 16 or less, in vectors: LLVM does not see that the runs of a butterfly do
not overlap and would leave them scalar, so that its body is generated here.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

_VECTOR = 64  # bytes
_INNER_BLOCK = 2**14  # bytes, half of a small first-level cache
_BLOCK = 2**18  # bytes, a quarter to a half of the second-level cache
_CHUNK = 512  # bytes at least, so that the prefetcher sees a run
_PAD = 64  # bytes between the rows of the buffer: distances are no powers of two


def _define(module, name, element, real, radix):
    """Function of the module that transforms rows h apart, in vectors and then one by one.

    It is not inlined, or it would be compiled anew in every caller.
    """
    place, index = element.as_pointer(), ir.IntType(64)
    kind = ir.FunctionType(ir.VoidType(), (place, index, place, index, index, index, index))
    function = ir.Function(module, kind, name)
    function.linkage = "linkonce_odr"
    function.attributes.add("noinline")
    function.attributes.add("optsize")
    source, pitch, target, stride, groups, h, run = function.args
    builder = ir.IRBuilder(function.append_basic_block())
    item = (
        element.width // 8
        if isinstance(element, ir.IntType)
        else 8 - 4 * (isinstance(element, ir.FloatType))
    )
    lanes = _VECTOR // item
    add, subtract = ("fadd", "fsub") if real else ("add", "sub")

    def butterfly(row, put, kind):
        def places(base, at, distance):
            for _ in range(radix):
                yield builder.bitcast(builder.gep(base, [at]), kind.as_pointer())
                at = builder.add(at, distance)

        values = [builder.load(p, align=item) for p in places(source, row, builder.mul(h, pitch))]
        half = 1
        while half < radix:
            for i in range(radix):
                if not i & half:
                    a, b = values[i], values[i + half]
                    values[i] = getattr(builder, add)(a, b)
                    values[i + half] = getattr(builder, subtract)(a, b)
            half *= 2
        spots = places(target, put, builder.mul(h, stride))
        for value, spot in zip(values, spots, strict=True):
            builder.store(value, spot, align=item)

    def constant(value):
        return ir.Constant(index, value)

    whole = builder.and_(run, constant(-lanes))
    with cgutils.for_range(builder, groups, intp=index) as outer:
        group = builder.mul(builder.mul(outer.index, h), constant(radix))
        with cgutils.for_range(builder, h, intp=index) as inner:
            row = builder.add(group, inner.index)
            at, put = builder.mul(row, pitch), builder.mul(row, stride)
            for first, last, step, shape in (
                (constant(0), whole, lanes, ir.VectorType(element, lanes)),
                (whole, run, 1, element),
            ):
                steps = cgutils.for_range_slice(builder, first, last, constant(step), index)
                with steps as (j, _):
                    butterfly(builder.add(at, j), builder.add(put, j), shape)
    builder.ret_void()
    return function


@intrinsic(prefer_literal=True)
def _rows(typingctx, radix, src, start, pitch, dst, to, stride, groups, h, run):
    """Transform rows h apart in ``groups`` of radix * h rows of ``run`` elements."""
    count = radix.literal_value

    def codegen(context, builder, signature, args):
        _, source, start, pitch, target, to, stride, groups, h, run = args
        source, target = (
            builder.gep(context.make_array(kind)(context, builder, value).data, [at])
            for kind, value, at in ((src, source, start), (dst, target, to))
        )
        element = context.get_data_type(dst.dtype)
        name = f"numerics.hadamard.{dst.dtype}.{count}"
        function = builder.module.globals.get(name)
        if function is None:
            real = isinstance(dst.dtype, types.Float)
            function = _define(builder.module, name, element, real, count)
        builder.call(function, (source, pitch, target, stride, groups, h, run))
        return context.get_dummy_value()

    intp = types.intp
    return types.void(radix, src, intp, intp, dst, intp, intp, intp, intp, intp), codegen


@njit
def _steps(bits, src, start, pitch, dst, to, stride, groups, h, run):
    """One sweep of radix 2**bits."""
    if bits == 4:
        _rows(16, src, start, pitch, dst, to, stride, groups, h, run)
    elif bits == 3:
        _rows(8, src, start, pitch, dst, to, stride, groups, h, run)
    elif bits == 2:
        _rows(4, src, start, pitch, dst, to, stride, groups, h, run)
    elif bits == 1:
        _rows(2, src, start, pitch, dst, to, stride, groups, h, run)
    else:
        _rows(1, src, start, pitch, dst, to, stride, groups, h, run)


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
def _contiguous(src, start, dst, to, h, bits, rows, inner):
    """Transform by 2**bits the runs of h rows, in as few sweeps as radix 16 allows."""
    sweeps = max(1, (bits + 3) // 4)
    while sweeps > 0:
        now = (bits + sweeps - 1) // sweeps
        run = h * inner
        _steps(now, src, start, run, dst, to, run, rows // (h << now), 1, run)
        src, start = dst, to
        h <<= now
        bits -= now
        sweeps -= 1


@njit
def _block(src, start, dst, to, rows, inner):
    """Transform ``rows`` contiguous rows that fit the cache, first what fits the inner one."""
    few = min(rows, _largest(_INNER_BLOCK, inner * dst.itemsize))
    if 16 * few > rows:
        _contiguous(src, start, dst, to, 1, _log2(rows), rows, inner)
        return
    for row in range(0, rows, few):
        skip = row * inner
        _contiguous(src, start + skip, dst, to + skip, 1, _log2(few), few, inner)
    _contiguous(dst, to, dst, to, few, _log2(rows // few), rows, inner)


@njit
def _tile(data, start, unit, bits, run, buffer, pitch):
    """Transform 2**bits chunks of ``run`` elements, ``unit`` elements apart, by the buffer."""
    rows = 1 << bits
    sweeps = (bits + 3) // 4
    if sweeps == 1:
        _steps(bits, data, start, unit, data, start, unit, 1, 1, run)
        return
    h = 1
    for sweep in range(sweeps):
        now = (bits + sweeps - sweep - 1) // (sweeps - sweep)
        groups = rows // (h << now)
        if sweep == 0:
            _steps(now, data, start, unit, buffer, 0, pitch, groups, h, run)
        elif sweep < sweeps - 1:
            _steps(now, buffer, 0, pitch, buffer, 0, pitch, groups, h, run)
        else:
            _steps(now, buffer, 0, pitch, data, start, unit, groups, h, run)
        h <<= now
        bits -= now


@njit(cache=True, nogil=True)
def block_rows(N, inner, itemsize):
    """Rows of the blocks of the first pass."""
    return min(N, _largest(_BLOCK, inner * itemsize))


@njit(cache=True, nogil=True)
def block_pass(src, dst, rows, inner, first, last, scale):
    """Transform blocks ``first`` to ``last`` of ``src`` into ``dst``, which may be the same."""
    size = rows * inner
    for block in range(first, last):
        start = block * size
        _block(src, start, dst, start, rows, inner)
        if scale != 1:
            for j in range(start, start + size):
                dst[j] *= scale


@njit(cache=True, nogil=True)
def tile_rows(rows, itemsize):
    """Chunks that one pass takes of those ``rows`` that are left."""
    return min(rows, _largest(_BLOCK, _CHUNK + _PAD))


@njit(cache=True, nogil=True)
def tile_chunks(rows, unit, itemsize):
    """Number of chunks that a unit is cut into."""
    run = max(_CHUNK, _BLOCK // rows - _PAD) // _VECTOR * (_VECTOR // itemsize)
    return -(-unit // run)


@njit(cache=True, nogil=True)
def tile_pass(data, unit, rows, first, last):
    """Transform ``rows`` chunks ``unit`` apart; tiles ``first`` to ``last`` of all groups."""
    chunks = tile_chunks(rows, unit, data.itemsize)
    lanes = _VECTOR // data.itemsize
    run = -(-unit // (chunks * lanes)) * lanes
    pitch = run + _PAD // data.itemsize
    buffer = np.empty(rows * pitch, data.dtype)
    bits = _log2(rows)
    for tile in range(first, last):
        group, chunk = tile // chunks, tile % chunks
        offset = chunk * run
        start = group * rows * unit + offset
        _tile(data, start, unit, bits, min(run, unit - offset), buffer, pitch)


@njit(cache=True, nogil=True)
def transform(src, dst, outer, N, inner, scale):
    """Transform flat ``src`` (outer, N, inner) times ``scale`` into ``dst`` on one thread."""
    rows = block_rows(N, inner, dst.itemsize)
    block_pass(src, dst, rows, inner, 0, outer * (N // rows), scale)
    while rows < N:
        more = tile_rows(N // rows, dst.itemsize)
        unit = rows * inner
        rows *= more
        tiles = outer * (N // rows) * tile_chunks(more, unit, dst.itemsize)
        tile_pass(dst, unit, more, 0, tiles)


@njit(cache=True, nogil=True)
def fwht_inplace(data):
    """Transform the C-contiguous array (outer, N, inner) along its middle axis, unnormalised."""
    outer, N, inner = data.shape
    flat = data.reshape(-1)
    transform(flat, flat, outer, N, inner, 1)


@njit(cache=True, nogil=True)
def fwht_block(data):
    """Transform the columns of a C-contiguous array (N, d) that fits the cache, unnormalised."""
    N, d = data.shape
    flat = data.reshape(-1)
    _block(flat, 0, flat, 0, N, d)

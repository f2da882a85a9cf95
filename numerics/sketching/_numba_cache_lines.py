"""Butterflies and scattered sums on columns as wide as a cache line, in vectors.

A block of rows is transformed in strips of 64 bytes: every row of a strip is one vector in one
cache line, so that two sweeps of radix 16 over 256 rows stay in the first cache. The vectors are
written out here, since LLVM cannot know that the rows of a butterfly do not overlap.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LINE = 64  # bytes
_INDEX = ir.IntType(64)


@intrinsic(prefer_literal=True)
def butterflies(typingctx, radix, source, start, row, step, target, to, put, skip, count):
    """Transforms of ``radix`` rows, ``count`` of them: from source[start + i step + j row].

    Results go to target[to + i skip + j put], which may be the same places.
    """

    def codegen(context, builder, signature, args):
        _, read, start, row, step, write, to, put, skip, count = args
        read, write = _data(context, builder, (source, target), (read, write))
        function = _function(context, builder, target.dtype, radix.literal_value, signed=False)
        read, write = builder.gep(read, [start]), builder.gep(write, [to])
        builder.call(function, (read, row, step, read, write, put, skip, count))
        return context.get_dummy_value()

    i = types.intp
    return types.void(radix, source, i, i, i, target, i, i, i, i), codegen


@intrinsic
def signed_butterflies(typingctx, source, start, row, factors, target, to, put, ahead):
    """One transform of 16 rows times ``factors``; what follows in ``source`` is fetched.

    Sixteen cache lines from source[ahead] on are on their way to the second cache afterwards.
    """

    def codegen(context, builder, signature, args):
        read, start, row, scale, write, to, put, ahead = args
        kinds = source, factors, target
        read, scale, write = _data(context, builder, kinds, (read, scale, write))
        _fetch(builder, builder.gep(read, [ahead]), _lanes(target.dtype))
        function = _function(context, builder, target.dtype, 16, signed=True)
        read, write = builder.gep(read, [start]), builder.gep(write, [to])
        one = ir.Constant(_INDEX, 1)
        builder.call(function, (read, row, one, scale, write, put, one, one))
        return context.get_dummy_value()

    i = types.intp
    return types.void(source, i, i, factors, target, i, i, i), codegen


@intrinsic
def add_lines(typingctx, source, start, low, factors, target, to, targets):
    """target[to + targets[p] lines] += factors[p] * source[start + low[p] lines] for all p."""

    def codegen(context, builder, signature, args):
        read, start, low_value, scale, write, to, places = args
        kinds = source, low, factors, target, targets
        read, low_data, scale, write, places = _data(
            context, builder, kinds, (read, low_value, scale, write, places)
        )
        count = context.make_array(low)(context, builder, low_value).nitems
        element = context.get_data_type(target.dtype)
        lanes = _lanes(target.dtype)
        vector = ir.VectorType(element, lanes)
        width = ir.Constant(_INDEX, lanes)
        read, write = builder.gep(read, [start]), builder.gep(write, [to])
        with cgutils.for_range(builder, count, intp=_INDEX) as loop:
            at, put = (
                builder.mul(builder.load(builder.gep(base, [loop.index])), width)
                for base in (low_data, places)
            )
            factor = builder.load(builder.gep(scale, [loop.index]))
            line = _line(builder, read, at, vector)
            spot = _line(builder, write, put, vector)
            item = target.dtype.bitwidth // 8
            term = builder.fmul(_spread(builder, factor, vector), builder.load(line, align=item))
            builder.store(builder.fadd(builder.load(spot, align=item), term), spot, align=item)
        return context.get_dummy_value()

    i = types.intp
    return types.void(source, i, low, factors, target, i, targets), codegen


def _data(context, builder, kinds, values):
    return [
        context.make_array(kind)(context, builder, value).data
        for kind, value in zip(kinds, values, strict=True)
    ]


def _lanes(dtype):
    return LINE * 8 // dtype.bitwidth


def _line(builder, base, at, vector):
    return builder.bitcast(builder.gep(base, [at]), vector.as_pointer())


def _spread(builder, value, vector):
    nothing = ir.Constant(vector, ir.Undefined)
    single = builder.insert_element(nothing, value, ir.Constant(ir.IntType(32), 0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), [0] * vector.count)
    return builder.shuffle_vector(single, nothing, mask)


def _function(context, builder, dtype, radix, *, signed):
    """Function of the module, not inlined: it would be compiled anew for every call."""
    module = builder.module
    name = f"numerics.sketching.{dtype}.{radix}.{signed}"
    function = module.globals.get(name)
    if function is not None:
        return function
    element = context.get_data_type(dtype)
    place, item = element.as_pointer(), dtype.bitwidth // 8
    vector = ir.VectorType(element, _lanes(dtype))
    kinds = (place, _INDEX, _INDEX, place, place, _INDEX, _INDEX, _INDEX)
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), name)
    function.linkage = "linkonce_odr"
    function.attributes.add("noinline")
    source, row, step, factors, target, put, skip, count = function.args
    builder = ir.IRBuilder(function.append_basic_block())
    with cgutils.for_range(builder, count, intp=_INDEX) as loop:
        read = builder.gep(source, [builder.mul(loop.index, step)])
        write = builder.gep(target, [builder.mul(loop.index, skip)])
        values = []
        for j in range(radix):
            at = builder.mul(row, ir.Constant(_INDEX, j))
            value = builder.load(_line(builder, read, at, vector), align=item)
            if signed:
                factor = builder.load(builder.gep(factors, [ir.Constant(_INDEX, j)]))
                value = builder.fmul(value, _spread(builder, factor, vector))
            values.append(value)
        half = 1
        while half < radix:
            for j in range(radix):
                if not j & half:
                    a, b = values[j], values[j + half]
                    values[j], values[j + half] = builder.fadd(a, b), builder.fsub(a, b)
            half *= 2
        for j, value in enumerate(values):
            at = builder.mul(put, ir.Constant(_INDEX, j))
            builder.store(value, _line(builder, write, at, vector), align=item)
    builder.ret_void()
    return function


def _fetch(builder, ahead, lanes):
    """Sixteen lines on their way to the second cache; places past the end do no harm."""
    byte, flag = ir.IntType(8).as_pointer(), ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), (byte, flag, flag, flag))
    prefetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
    read, locality, data = (ir.Constant(flag, value) for value in (0, 2, 1))
    for line in range(16):
        place = builder.gep(ahead, [ir.Constant(_INDEX, line * lanes)])
        builder.call(prefetch, (builder.bitcast(place, byte), read, locality, data))

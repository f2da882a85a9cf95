r"""Sweeps of butterflies over rows: the compiled body of Walsh-Hadamard transforms.

LLVM cannot know that the rows of a butterfly do not overlap, and would leave it scalar; so its
vectors are written out here. One sweep does as many as four of the :math:`\log_2 N` stages.
"""

from __future__ import annotations

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

VECTOR = 64  # bytes: a line of the cache, and the widest register there is
_INDEX = ir.IntType(64)


@njit
def fetched(bits):
    """Rows that a butterfly of radix 2**bits asks memory for: a quarter of its own."""
    return max(1, (1 << bits) // 4)


@njit
def sweep(bits, src, start, pitch, dst, to, stride, groups, h, run, memory, ahead, distance):
    """Transform rows of ``run`` elements that are h rows apart, in ``groups`` of h 2**bits rows.

    Rows are ``pitch`` apart in ``src`` and ``stride`` in ``dst``; either all are the same place or
    none. Meanwhile ``fetched(bits)`` rows of ``memory`` a butterfly, ``distance`` apart from
    ``ahead`` on, move into the cache: what is asked for in time costs nothing.
    """
    if bits == 4:
        _rows(16, src, start, pitch, dst, to, stride, groups, h, run, memory, ahead, distance)
    elif bits == 3:
        _rows(8, src, start, pitch, dst, to, stride, groups, h, run, memory, ahead, distance)
    elif bits == 2:
        _rows(4, src, start, pitch, dst, to, stride, groups, h, run, memory, ahead, distance)
    elif bits == 1:
        _rows(2, src, start, pitch, dst, to, stride, groups, h, run, memory, ahead, distance)


@intrinsic(prefer_literal=True)
def _rows(
    typingctx,
    radix,
    src,
    start,
    pitch,
    dst,
    to,
    stride,
    groups,
    h,
    run,
    memory,
    ahead,
    distance,
):
    """One sweep of a radix that is known when it is compiled."""
    count = radix.literal_value

    def codegen(context, builder, signature, args):
        _, source, start, pitch, target, to, stride, groups, h, run, other, ahead, distance = args
        read, put, fetch = (
            builder.gep(_pointer(context, builder, kind, value), [first])
            for kind, value, first in (
                (src, source, start),
                (dst, target, to),
                (memory, other, ahead),
            )
        )
        function = _compiled(context, builder, dst.dtype, f"rows{count}", 3, 6)
        if function.is_declaration:
            _define_rows(function, builder.module, dst.dtype, count)
        builder.call(function, (read, put, fetch, pitch, stride, groups, h, run, distance))
        return context.get_dummy_value()

    intp = types.intp
    places = (src, intp, intp, dst, intp, intp)
    return types.void(radix, *places, intp, intp, intp, memory, intp, intp), codegen


@intrinsic
def within_vectors(typingctx, data, start, count, run):
    """Do in place all stages that stay within each of ``count`` vectors, for rows of ``run``.

    ``run`` is a power of two below the number of elements of a vector.
    """

    def codegen(context, builder, signature, args):
        array, start, count, run = args
        place = builder.gep(_pointer(context, builder, data, array), [start])
        function = _compiled(context, builder, data.dtype, "within", 1, 2)
        if function.is_declaration:
            _define_within(function, data.dtype)
        builder.call(function, (place, count, run))
        return context.get_dummy_value()

    return types.void(data, types.intp, types.intp, types.intp), codegen


def _pointer(context, builder, kind, value):
    return context.make_array(kind)(context, builder, value).data


def _compiled(context, builder, dtype, name, places, indices):
    """Function of the module, declared if it is not there.

    It is not inlined and its loops are not unrolled, or it would be compiled anew, and larger, in
    every caller.
    """
    element = context.get_data_type(dtype)
    arguments = [element.as_pointer()] * places + [_INDEX] * indices
    kind = ir.FunctionType(ir.VoidType(), arguments)
    function = cgutils.get_or_insert_function(
        builder.module, kind, f"numerics.hadamard.{dtype}.{name}"
    )
    function.linkage = "linkonce_odr"
    function.attributes.add("noinline")
    function.attributes.add("optsize")
    return function


def _operations(builder, dtype):
    if isinstance(dtype, types.Float):
        return builder.fadd, builder.fsub
    return builder.add, builder.sub


def _define_rows(function, module, dtype, radix):
    source, target, memory, pitch, stride, groups, h, run, distance = function.args
    builder = ir.IRBuilder(function.append_basic_block())
    element, item = source.type.pointee, dtype.bitwidth // 8
    lanes = VECTOR // item
    add, subtract = _operations(builder, dtype)
    byte, flag = ir.IntType(8).as_pointer(), ir.IntType(32)
    signature = ir.FunctionType(ir.VoidType(), (byte, flag, flag, flag))
    prefetch = cgutils.get_or_insert_function(module, signature, "llvm.prefetch.p0i8")
    # To read, into the second-level cache, data.
    hints = [ir.Constant(flag, value) for value in (0, 2, 1)]
    ahead_rows = max(1, radix // 4)

    def places(base, first, distance, count, kind):
        for _ in range(count):
            yield builder.bitcast(builder.gep(base, [first]), kind)
            first = builder.add(first, distance)

    def butterfly(read, put, ahead, lanes):
        # A vector of one, since LLVM would make poor vectors of scalars.
        kind = ir.VectorType(element, lanes).as_pointer()
        if lanes > 1:
            for place in places(memory, ahead, distance, ahead_rows, byte):
                builder.call(prefetch, [place, *hints])
        spots = places(source, read, builder.mul(h, pitch), radix, kind)
        values = [builder.load(place, align=item) for place in spots]
        half = 1
        while half < radix:
            for i in range(radix):
                if not i & half:
                    a, b = values[i], values[i + half]
                    values[i], values[i + half] = add(a, b), subtract(a, b)
            half *= 2
        spots = places(target, put, builder.mul(h, stride), radix, kind)
        for value, place in zip(values, spots, strict=True):
            builder.store(value, place, align=item)

    whole = builder.and_(run, ir.Constant(_INDEX, -lanes))
    step = builder.mul(distance, ir.Constant(_INDEX, ahead_rows))
    with cgutils.for_range(builder, groups, intp=_INDEX) as group:
        base = builder.mul(builder.mul(group.index, h), ir.Constant(_INDEX, radix))
        done = builder.mul(group.index, h)
        with cgutils.for_range(builder, h, intp=_INDEX) as inner:
            row = builder.add(base, inner.index)
            read, put = builder.mul(row, pitch), builder.mul(row, stride)
            ahead = builder.mul(builder.add(done, inner.index), step)
            for first, last, width in ((ir.Constant(_INDEX, 0), whole, lanes), (whole, run, 1)):
                steps = cgutils.for_range_slice(
                    builder, first, last, ir.Constant(_INDEX, width), _INDEX
                )
                with steps as (j, _):
                    at, to, fetch = (builder.add(row, j) for row in (read, put, ahead))
                    butterfly(at, to, fetch, width)
    builder.ret_void()


def _define_within(function, dtype):
    data, count, run = function.args
    builder = ir.IRBuilder(function.append_basic_block())
    element, item = data.type.pointee, dtype.bitwidth // 8
    lanes = VECTOR // item
    vector, selector = ir.VectorType(element, lanes), ir.VectorType(ir.IntType(32), lanes)
    add, subtract = _operations(builder, dtype)

    def stage(value, half):
        def pick(a, b, choice):
            return builder.shuffle_vector(a, b, ir.Constant(selector, choice))

        partner = pick(value, value, [lane ^ half for lane in range(lanes)])
        sums, differences = add(value, partner), subtract(partner, value)
        return pick(sums, differences, [i + lanes if i & half else i for i in range(lanes)])

    first = 1
    while first < lanes:
        is_first = builder.icmp_signed("==", run, ir.Constant(_INDEX, first))
        with builder.if_then(is_first), cgutils.for_range(builder, count, intp=_INDEX) as loop:
            at = builder.mul(loop.index, ir.Constant(_INDEX, lanes))
            place = builder.bitcast(builder.gep(data, [at]), vector.as_pointer())
            value = builder.load(place, align=item)
            half = first
            while half < lanes:
                value = stage(value, half)
                half *= 2
            builder.store(value, place, align=item)
        first *= 2
    builder.ret_void()

"""Kernels of the linear scan on a device; see `_device_scan`, which launches them.

One warp is one program. It walks over tiles of T steps by C lanes and carries their states along in
registers, in double precision. Complex numbers are pairs of real ones.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _after(a, b, c, d):
    """The map h -> a h + b and after it h -> c h + d."""
    return c * a, c * b + d


@triton.jit
def _after_complex(ar, ai, br, bi, cr, ci, dr, di):
    """The same for complex numbers."""
    return cr * ar - ci * ai, cr * ai + ci * ar, cr * br - ci * bi + dr, cr * bi + ci * br + di


@triton.jit
def _load(
    pointer, lane, time, inside, other, COMPLEX: tl.constexpr, C: tl.constexpr, ALONG: tl.constexpr
):
    """Real and imaginary parts in double precision; of real numbers, the number twice.

    The compiler lays tiles out by what it takes for contiguous, and the threads of a warp shall
    take neighbouring lanes. For want of knowledge about alignment it still reads numbers one by
    one, so the lanes may in truth lie anywhere.
    """
    offsets = lane + time
    if not ALONG:
        offsets = tl.max_contiguous(offsets, [1, C])
    re = tl.load(pointer + offsets, mask=inside, other=other).to(tl.float64)
    im = re
    if COMPLEX:
        im = tl.load(pointer + 1 + offsets, mask=inside, other=0.0).to(tl.float64)
    return re, im


@triton.jit
def _store(
    pointer,
    lane,
    time,
    re,
    im,
    inside,
    COMPLEX: tl.constexpr,
    C: tl.constexpr,
    ALONG: tl.constexpr,
):
    """Write numbers in the precision of the array."""
    offsets = lane + time
    if not ALONG:
        offsets = tl.max_contiguous(offsets, [1, C])
    tl.store(pointer + offsets, re.to(pointer.dtype.element_ty), mask=inside)
    if COMPLEX:
        tl.store(pointer + 1 + offsets, im.to(pointer.dtype.element_ty), mask=inside)


@triton.jit
def _lanes(lanes, n1, n0, C: tl.constexpr):
    """Lanes of this program, shape (1, C): their number, mask and place on each axis."""
    lane = tl.program_id(0) * C + tl.arange(0, C)[None, :]
    rest = lane // n0
    i2, i1, i0 = rest // n1, rest % n1, lane % n0
    return lane, lane < lanes, i2.to(tl.int64), i1.to(tl.int64), i0.to(tl.int64)


@triton.jit
def _tile_times(start, L, REVERSE: tl.constexpr, T: tl.constexpr):
    """Times of the T steps that follow step ``start``, shape (T, 1), in ascending order."""
    row = tl.arange(0, T)[:, None].to(tl.int64)
    if REVERSE:
        t = (L - T - start) + row
    else:
        t = start + row
    return t, (t >= 0) & (t < L)


@triton.jit
def _tile_states(
    a,
    b,
    at_a,
    at_b,
    a_t,
    b_t,
    state_re,
    state_im,
    t,
    valid,
    inside,
    L,
    CONJ: tl.constexpr,
    REVERSE: tl.constexpr,
    LAG: tl.constexpr,
    COMPLEX: tl.constexpr,
    ALONG: tl.constexpr,
    T: tl.constexpr,
    C: tl.constexpr,
):
    """Products of the coefficients and states of one tile that follows ``state``."""
    taken = (t + LAG >= 0) & (t + LAG < L) & inside
    ar, ai = _load(a, at_a, (t + LAG) * a_t, taken, 1.0, COMPLEX, C, ALONG)
    br, bi = _load(b, at_b, t * b_t, valid & inside, 0.0, COMPLEX, C, ALONG)
    first = tl.arange(0, T)[:, None] == (T - 1 if REVERSE else 0)
    # The state enters the first input: a product of all coefficients might be infinite.
    if COMPLEX:
        if CONJ:
            ai = -ai
        br, bi = (
            tl.where(first, br + (ar * state_re - ai * state_im), br),
            tl.where(first, bi + (ar * state_im + ai * state_re), bi),
        )
        pr, pi, hr, hi = tl.associative_scan((ar, ai, br, bi), 0, _after_complex, reverse=REVERSE)
    else:
        br = tl.where(first, br + ar * state_re, br)
        pr, hr = tl.associative_scan((ar, br), 0, _after, reverse=REVERSE)
        pi, hi = pr, hr
    return pr, pi, hr, hi


@triton.jit
def _last(re, im, REVERSE: tl.constexpr, T: tl.constexpr):
    """Row of the step that is taken last, shape (1, C)."""
    last = tl.arange(0, T)[:, None] == (0 if REVERSE else T - 1)
    re = tl.sum(tl.where(last, re, 0.0), axis=0)[None, :]
    im = tl.sum(tl.where(last, im, 0.0), axis=0)[None, :]
    return re, im


def _maps_kernel(
    a,
    b,
    coefficients,
    constants,
    lanes,
    n1,
    n0,
    L,
    length,
    a_t,
    a_2,
    a_1,
    a_0,
    b_t,
    b_2,
    b_1,
    b_0,
    CONJ: tl.constexpr,
    REVERSE: tl.constexpr,
    LAG: tl.constexpr,
    COMPLEX: tl.constexpr,
    ALONG: tl.constexpr,
    T: tl.constexpr,
    C: tl.constexpr,
):
    """Map of the state before a chunk to the one after it; one program a chunk and block."""
    lane, inside, i2, i1, i0 = _lanes(lanes, n1, n0, C)
    chunk = tl.program_id(1).to(tl.int64)
    at_a, at_b = i2 * a_2 + i1 * a_1 + i0 * a_0, i2 * b_2 + i1 * b_1 + i0 * b_0
    hr = tl.zeros((1, C), tl.float64)
    hi = tl.zeros((1, C), tl.float64)
    cr = tl.full((1, C), 1.0, tl.float64)
    ci = tl.zeros((1, C), tl.float64)
    for start in range(0, length, T):
        t, valid = _tile_times(chunk * length + start, L, REVERSE, T)
        pr, pi, sr, si = _tile_states(
            a,
            b,
            at_a,
            at_b,
            a_t,
            b_t,
            hr,
            hi,
            t,
            valid,
            inside,
            L,
            CONJ,
            REVERSE,
            LAG,
            COMPLEX,
            ALONG,
            T,
            C,
        )
        hr, hi = _last(sr, si, REVERSE, T)
        pr, pi = _last(pr, pi, REVERSE, T)
        if COMPLEX:
            cr, ci = pr * cr - pi * ci, pr * ci + pi * cr
        else:
            cr = pr * cr
    at = (chunk * lanes + lane) * (2 if COMPLEX else 1)
    _store(coefficients, at, 0, cr, ci, inside, COMPLEX, C, ALONG)
    _store(constants, at, 0, hr, hi, inside, COMPLEX, C, ALONG)


def _scan_kernel(
    a,
    b,
    h0,
    starts,
    before,
    out,
    product,
    sums,
    lanes,
    n1,
    n0,
    L,
    length,
    a_t,
    a_2,
    a_1,
    a_0,
    b_t,
    b_2,
    b_1,
    b_0,
    h_2,
    h_1,
    h_0,
    p_t,
    p_2,
    p_1,
    p_0,
    o_t,
    o_2,
    o_1,
    o_0,
    CONJ: tl.constexpr,
    REVERSE: tl.constexpr,
    LAG: tl.constexpr,
    HAS_H0: tl.constexpr,
    PRODUCT: tl.constexpr,
    COMPLEX: tl.constexpr,
    ALONG: tl.constexpr,
    T: tl.constexpr,
    C: tl.constexpr,
):
    """States of one chunk and block of lanes, and of PRODUCT 1 all products, of 2 their sums."""
    lane, inside, i2, i1, i0 = _lanes(lanes, n1, n0, C)
    chunk = tl.program_id(1).to(tl.int64)
    at_a, at_b = i2 * a_2 + i1 * a_1 + i0 * a_0, i2 * b_2 + i1 * b_1 + i0 * b_0
    at_out, at_before = i2 * o_2 + i1 * o_1 + i0 * o_0, i2 * p_2 + i1 * p_1 + i0 * p_0
    hr = tl.zeros((1, C), tl.float64)
    hi = tl.zeros((1, C), tl.float64)
    er, ei = hr, hi
    if HAS_H0:
        er, ei = _load(h0, i2 * h_2 + i1 * h_1 + i0 * h_0, 0, inside, 0.0, COMPLEX, C, ALONG)
        if PRODUCT == 0:
            hr, hi = er, ei
    if chunk > 0:
        at = ((chunk - 1) * lanes + lane) * (2 if COMPLEX else 1)
        hr, hi = _load(starts, at, 0, inside, 0.0, COMPLEX, C, ALONG)
    total_re = tl.zeros((1, C), tl.float64)
    total_im = tl.zeros((1, C), tl.float64)
    for start in range(0, length, T):
        t, valid = _tile_times(chunk * length + start, L, REVERSE, T)
        _, _, sr, si = _tile_states(
            a,
            b,
            at_a,
            at_b,
            a_t,
            b_t,
            hr,
            hi,
            t,
            valid,
            inside,
            L,
            CONJ,
            REVERSE,
            LAG,
            COMPLEX,
            ALONG,
            T,
            C,
        )
        hr, hi = _last(sr, si, REVERSE, T)
        written = valid & inside
        _store(out, at_out, t * o_t, sr, si, written, COMPLEX, C, ALONG)
        if PRODUCT > 0:
            early = t - LAG
            there = (early >= 0) & (early < L)
            near = there & inside
            xr, xi = _load(before, at_before, early * p_t, near, 0.0, COMPLEX, C, ALONG)
            xr, xi = tl.where(there, xr, er), tl.where(there, xi, ei)
            if COMPLEX:
                sr, si = sr * xr + si * xi, si * xr - sr * xi
            else:
                sr = sr * xr
            if PRODUCT == 1:
                _store(product, at_out, t * o_t, sr, si, written, COMPLEX, C, ALONG)
            else:
                total_re += tl.sum(tl.where(valid, sr, 0.0), axis=0)[None, :]
                total_im += tl.sum(tl.where(valid, si, 0.0), axis=0)[None, :]
    if PRODUCT == 2:
        at = (chunk * lanes + lane) * (2 if COMPLEX else 1)
        _store(sums, at, 0, total_re, total_im, inside, COMPLEX, C, ALONG)


_STRIDES = [f"{array}_{axis}" for array in "abhpo" for axis in (2, 1, 0)]
_UNKNOWN = ["n1", "n0", *_STRIDES]

# By whether time is contiguous. Then a thread takes vectors of steps, as alignment allows. If lanes
# are, it must take one and no vectors, for all steps of a lane in one thread: strides that the
# compiler does not know see to that.
MAPS = {
    True: triton.jit(_maps_kernel),
    False: triton.jit(_maps_kernel, do_not_specialize=_UNKNOWN[:8]),
}
SCAN = {
    True: triton.jit(_scan_kernel),
    False: triton.jit(_scan_kernel, do_not_specialize=_UNKNOWN),
}

r"""Kernels of Vandermonde sums on a device; see `_device_vandermonde`, which launches them.

The steps of a segment are the tile l = first + q T + r of R by T. Powers are formed in double
precision from the binary digits of l, from a ladder that holds :math:`z^{2^k}`, and multiplied in
the precision of the result. Complex numbers are pairs of real ones.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _times(ar, ai, br, bi):
    return ar * br - ai * bi, ar * bi + ai * br


@triton.jit
def _times_power(
    re, im, index, ladder, at, inside, level, FIRST: tl.constexpr, DIGITS: tl.constexpr
):
    """Multiply by z to the power index 2^FIRST; ``level`` numbers are between two levels."""
    for k in tl.static_range(DIGITS):
        zr = tl.load(ladder + (FIRST + k) * level + at, mask=inside, other=0.0)
        zi = tl.load(ladder + (FIRST + k) * level + at + 1, mask=inside, other=0.0)
        pr, pi = _times(re, im, zr, zi)
        on = ((index >> k) & 1) == 1
        re, im = tl.where(on, pr, re), tl.where(on, pi, im)
    return re, im


@triton.jit
def _times_segment(re, im, segment, digits, ladder, at, inside, level, FIRST: tl.constexpr):
    """Multiply by z to the power segment 2^FIRST, of which only the ``digits`` are known."""
    for k in range(digits):
        zr = tl.load(ladder + (FIRST + k) * level + at, mask=inside, other=0.0)
        zi = tl.load(ladder + (FIRST + k) * level + at + 1, mask=inside, other=0.0)
        pr, pi = _times(re, im, zr, zi)
        on = ((segment >> k) & 1) == 1
        re, im = tl.where(on, pr, re), tl.where(on, pi, im)
    return re, im


@triton.jit
def sum_over_modes(
    ladder,
    w,
    out,
    N,
    L,
    segments,
    digits,
    LOG_R: tl.constexpr,
    LOG_T: tl.constexpr,
    MODES: tl.constexpr,
):
    """Real parts of the sums of w z^l over all modes, for one system and segment."""
    R: tl.constexpr = 2**LOG_R
    T: tl.constexpr = 2**LOG_T
    M = (tl.num_programs(0) // segments).to(tl.int64)
    level = 2 * M * N
    m = (tl.program_id(0) // segments).to(tl.int64)
    segment = tl.program_id(0) % segments
    q, r = tl.arange(0, R)[:, None], tl.arange(0, T)[None, :]
    mode = tl.arange(0, MODES)
    total = tl.zeros((R, T), out.dtype.element_ty)
    for first in range(0, N, MODES):
        n = (first + mode)[None, :]
        at = (m * N + n) * 2
        cr = tl.load(w + at, mask=n < N, other=0.0)
        ci = tl.load(w + at + 1, mask=n < N, other=0.0)
        cr, ci = _times_segment(cr, ci, segment, digits, ladder, at, n < N, level, LOG_R + LOG_T)
        cr, ci = tl.broadcast_to(cr, (R, MODES)), tl.broadcast_to(ci, (R, MODES))
        cr, ci = _times_power(cr, ci, q, ladder, at, n < N, level, LOG_T, LOG_R)
        n = (first + mode)[:, None]
        at = (m * N + n) * 2
        fr, fi = tl.full((MODES, T), 1.0, tl.float64), tl.zeros((MODES, T), tl.float64)
        fr, fi = _times_power(fr, fi, r, ladder, at, n < N, level, 0, LOG_T)
        total += _product(cr, fr, out.dtype.element_ty)
        total -= _product(ci, fi, out.dtype.element_ty)
    l = segment * (R * T) + q * T + r
    tl.store(out + m * L + l, total, mask=l < L)


@triton.jit
def _product(x, y, dtype: tl.constexpr):
    """Matrix product in the precision ``dtype``, without tensor cores that round to less."""
    return tl.dot(x.to(dtype), y.to(dtype), input_precision="ieee", out_dtype=dtype)


@triton.jit
def sum_over_steps(
    ladder,
    grad,
    sums,
    N,
    L,
    segments,
    digits,
    LOG_R: tl.constexpr,
    LOG_T: tl.constexpr,
    MODES: tl.constexpr,
):
    """Sums of g_l z^l and of (l + 1) g_(l+1) z^l over one segment of one system, for all modes."""
    R: tl.constexpr = 2**LOG_R
    T: tl.constexpr = 2**LOG_T
    M = (tl.num_programs(0) // segments).to(tl.int64)
    level = 2 * M * N
    m = (tl.program_id(0) // segments).to(tl.int64)
    segment = tl.program_id(0) % segments
    q, r = tl.arange(0, R)[:, None], tl.arange(0, T)
    mode = tl.arange(0, MODES)
    dtype: tl.constexpr = grad.dtype.element_ty
    l = segment * (R * T) + q * T + r[None, :]
    g = tl.load(grad + m * L + l, mask=l < L, other=0.0)
    slope = tl.load(grad + m * L + l + 1, mask=l + 1 < L, other=0.0) * (l + 1).to(dtype)
    for first in range(0, N, MODES):
        n = (first + mode)[None, :]
        at = (m * N + n) * 2
        fr, fi = tl.full((T, MODES), 1.0, tl.float64), tl.zeros((T, MODES), tl.float64)
        fr, fi = _times_power(fr, fi, r[:, None], ladder, at, n < N, level, 0, LOG_T)
        cr, ci = tl.full((1, MODES), 1.0, tl.float64), tl.zeros((1, MODES), tl.float64)
        cr, ci = _times_segment(cr, ci, segment, digits, ladder, at, n < N, level, LOG_R + LOG_T)
        cr, ci = tl.broadcast_to(cr, (R, MODES)), tl.broadcast_to(ci, (R, MODES))
        cr, ci = _times_power(cr, ci, q, ladder, at, n < N, level, LOG_T, LOG_R)
        place = sums + ((segment * M + m) * N + first + mode) * 4
        inside = first + mode < N
        gr, gi = _product(g, fr, dtype), _product(g, fi, dtype)
        gr, gi = _times(gr.to(tl.float64), gi.to(tl.float64), cr, ci)
        tl.store(place, tl.sum(gr, axis=0), mask=inside)
        tl.store(place + 1, tl.sum(gi, axis=0), mask=inside)
        gr, gi = _product(slope, fr, dtype), _product(slope, fi, dtype)
        gr, gi = _times(gr.to(tl.float64), gi.to(tl.float64), cr, ci)
        tl.store(place + 2, tl.sum(gr, axis=0), mask=inside)
        tl.store(place + 3, tl.sum(gi, axis=0), mask=inside)

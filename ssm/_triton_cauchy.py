r"""Sums over Cauchy-like terms on a device, one pass over the terms for each block of outputs.

An output belongs to a point and its terms to the nodes, or the other way round. With
:math:`x + iy = \sigma - \kappa a` and, of a conjugate pair, :math:`x + iy'` for
:math:`\sigma - \kappa \bar a`, the two terms of a pair are

.. math:: \frac{v}{x + iy} + \frac{\bar v}{x + iy'}
          = \frac{2\,\mathrm{Re}(v)\,(x + i\,\mathrm{Im}\,\sigma)
                  - 2\,\mathrm{Im}(v)\,\kappa\,\mathrm{Im}\,a}{(x + iy)(x + iy')},

so that one reciprocal serves both and all the outputs of a point. Differences are taken in double
precision, everything else in that of the sums. Complex numbers are pairs of real ones throughout.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from numerics.arrays import Array

_BLOCK = 256
_ROWS = 8
_PROGRAMS = 2048  # enough to fill a large device several times over
_FEWEST_TERMS = 64
_RUN = tl.constexpr(256)  # terms that are summed by themselves, so that roundings do not pile up


def device_sums(
    w: Array, a: Array, sigma: Array, kappa: Array, power: int, *, over_points: bool, paired: bool
) -> Array:
    """Sums of w over (sigma - kappa a)**power, over the nodes or over the points.

    w is (M, m, N), or (M, m, L) ``over_points``, and its precision is that of the sums; a (M, N)
    and sigma (M or 1, L) are complex128, kappa (L,) is float64. Pairs have the power 1 and are
    summed over the nodes.
    """
    w, a, sigma = (x.resolve_conj().resolve_neg().contiguous() for x in (w, a, sigma))
    M, m, terms = w.shape
    nodes, points = a.shape[-1], sigma.shape[-1]
    outs = nodes if over_points else points
    if w.numel() == 0 or outs == 0:
        return torch.zeros((M, m, outs), dtype=w.dtype, device=w.device)
    block = min(_BLOCK, max(32, triton.next_power_of_2(outs)))
    rows = min(_ROWS, triton.next_power_of_2(m))
    blocks, tiles = triton.cdiv(outs, block), triton.cdiv(m, rows)
    parts = triton.cdiv(_PROGRAMS, M * blocks * tiles)
    parts = min(parts, triton.cdiv(terms, _FEWEST_TERMS))
    real = torch.float32 if w.dtype == torch.complex64 else torch.float64
    out = torch.empty((parts, M, m, outs, 2), dtype=real, device=w.device)
    with torch.cuda.device_of(w):
        _sums_kernel[(M * blocks, parts, tiles)](
            torch.view_as_real(w),
            torch.view_as_real(a),
            torch.view_as_real(sigma),
            kappa.contiguous(),
            out,
            M,
            m,
            nodes,
            points,
            blocks,
            triton.cdiv(terms, parts),
            0 if sigma.shape[0] == 1 else 2 * points,
            OVER_POINTS=over_points,
            PAIRED=paired,
            POWER=power,
            SINGLE=w.dtype == torch.complex64,
            ROWS=rows,
            BLOCK=block,
            num_warps=max(1, min(4, block // 32)),
        )
    return torch.view_as_complex(out[0] if parts == 1 else out.sum(0))


@triton.jit
def _reciprocal(x, y, SINGLE: tl.constexpr):
    """Both parts of 1/(x + iy); single precision has no room for squares of what is not scaled."""
    if SINGLE:
        size = tl.maximum(tl.abs(x), tl.abs(y))
        x = x / size
        y = y / size
        inverse = 1.0 / ((x * x + y * y) * size)
    else:
        inverse = 1.0 / (x * x + y * y)
    return x * inverse, -y * inverse


@triton.jit
def _sums_kernel(
    w,
    a,
    sigma,
    kappa,
    out,
    M,
    m,
    nodes,
    points,
    blocks,
    span,
    sigma_step,
    OVER_POINTS: tl.constexpr,
    PAIRED: tl.constexpr,
    POWER: tl.constexpr,
    SINGLE: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """One block of outputs of one system, ``ROWS`` sums each, over ``span`` of the terms."""
    system = (tl.program_id(0) // blocks).to(tl.int64)
    part = tl.program_id(1)
    place = (tl.program_id(0) % blocks) * BLOCK + tl.arange(0, BLOCK)
    row = tl.program_id(2) * ROWS + tl.arange(0, ROWS)
    a += system * nodes * 2
    sigma += system * sigma_step
    if OVER_POINTS:
        outs, terms = nodes, points
        a_re = tl.load(a + 2 * place, mask=place < outs, other=0.0)
        a_im = tl.load(a + 2 * place + 1, mask=place < outs, other=0.0)
    else:
        outs, terms = points, nodes
        s_re = tl.load(sigma + 2 * place, mask=place < outs, other=1.0)
        s_im = tl.load(sigma + 2 * place + 1, mask=place < outs, other=0.0)
        scale = tl.load(kappa + place, mask=place < outs, other=0.0)
    w += (system * m + row) * terms * 2
    dtype = out.dtype.element_ty
    sum_re = tl.zeros((ROWS, BLOCK), dtype)
    sum_im = tl.zeros((ROWS, BLOCK), dtype)
    last = tl.minimum(terms, (part + 1) * span)
    for first in range(part * span, last, _RUN):
        run_re = tl.zeros((ROWS, BLOCK), dtype)
        run_im = tl.zeros((ROWS, BLOCK), dtype)
        for t in range(first, tl.minimum(last, first + _RUN)):
            if OVER_POINTS:
                s_re = tl.load(sigma + 2 * t)
                s_im = tl.load(sigma + 2 * t + 1)
                scale = tl.load(kappa + t)
            else:
                a_re = tl.load(a + 2 * t)
                a_im = tl.load(a + 2 * t + 1)
            moved = scale * a_im
            x = (s_re - scale * a_re).to(dtype)
            y = (s_im - moved).to(dtype)
            if PAIRED:
                mirrored = (s_im + moved).to(dtype)
                height = s_im.to(dtype)
                re, im = _reciprocal(x * x - y * mirrored, 2.0 * x * height, SINGLE)
                p_re = 2.0 * (x * re - height * im)
                p_im = 2.0 * (x * im + height * re)
                q_re = -2.0 * moved.to(dtype) * re
                q_im = -2.0 * moved.to(dtype) * im
            else:
                re, im = _reciprocal(x, y, SINGLE)
                p_re, p_im = re, im
                for _ in tl.static_range(POWER - 1):
                    p_re, p_im = p_re * re - p_im * im, p_re * im + p_im * re
                q_re, q_im = -p_im, p_re
            w_re = tl.load(w + 2 * t, mask=row < m, other=0.0)
            w_im = tl.load(w + 2 * t + 1, mask=row < m, other=0.0)
            run_re += w_re[:, None] * p_re[None, :] + w_im[:, None] * q_re[None, :]
            run_im += w_re[:, None] * p_im[None, :] + w_im[:, None] * q_im[None, :]
        sum_re += run_re
        sum_im += run_im
    kept = (row[:, None] < m) & (place[None, :] < outs)
    # Rows of all systems and parts, counted in 64 bits: their number times outs may pass 32.
    index = ((part.to(tl.int64) * M + system) * m + row)[:, None] * outs + place[None, :]
    tl.store(out + 2 * index, sum_re, mask=kept)
    tl.store(out + 2 * index + 1, sum_im, mask=kept)

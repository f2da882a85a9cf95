r"""Kernels of the chunked delta rule on a device: what is no matrix product, or must go in order.

``prepare`` turns the products of keys and queries of a chunk into the inverse of I + M and into
scores. ``finish`` turns their gradients back. Between them lies ``follow``, the affine recurrence
of states

.. math:: R = U + A S, \qquad S' = w S + D + B^T R,

which is the rule itself from the first chunk to the last, and the rule for its gradient from the
last to the first. One program takes some columns of a state through all chunks; a state is written
once, where the next chunk and the gradient read it.

The inverse is made by substitution, row by row, with a column of it in the registers of a thread.
Products are of the precision of the tensors: nothing is rounded to fewer digits on the way.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from numerics.arrays import Array

_FEW_PROGRAMS = 256


def prepare(
    kk: Array, qk: Array, beta: Array, decay: Array | None, n_h: int
) -> tuple[Array, Array]:
    """Inverses (chunks, n, n) of I + M, and scores (chunks, C, n).

    kk (chunks, n, n) and qk (chunks, C, n) are products of rows, decay (chunks, C) is the logarithm
    of the decay from the start of the chunk through each token, in double precision.
    """
    inverse, scores = torch.empty_like(kk), torch.empty_like(qk)
    n, sizes = kk.shape[-1], _sizes(kk, qk)
    with torch.cuda.device_of(kk):
        _weigh_kernel[(kk.shape[0],)](
            kk,
            qk,
            beta,
            beta if decay is None else decay,
            inverse,
            scores,
            n,
            qk.shape[-2],
            N_H=n_h,
            DECAYED=decay is not None,
            **sizes,
            num_warps=_warps(kk, sizes["N"]),
        )
        # With as many threads as columns, no thread waits for another.
        warps = max(1, sizes["N"] // 32)
        _invert_kernel[(kk.shape[0],)](inverse, n, N=sizes["N"], num_warps=warps)
    return inverse, scores


def finish(
    kk: Array,
    scores: Array,
    inner: Array,
    outer: Array,
    beta: Array,
    decay: Array | None,
    n_h: int,
) -> tuple[Array, Array, Array, Array, Array]:
    """Gradients of the products of keys with each other (made symmetric) and with queries.

    inner (chunks, n, n) and outer (chunks, C, n) are the products of the gradients of the scaled
    corrections and of the read-outs with the corrections. Returned are also the parts of the
    gradients of the gains (chunks, n) and of the logarithms at sub-steps (chunks, n) and at tokens
    (chunks, C) that come from these products; those of logarithms are empty without decay.
    """
    paired, grad_qk = torch.empty_like(kk), torch.empty_like(scores)
    by_gain, by_step = torch.empty_like(beta), torch.empty_like(beta)
    by_token = scores.new_empty(scores.shape[:-1])
    sizes = _sizes(kk, scores)
    with torch.cuda.device_of(kk):
        _finish_kernel[(kk.shape[0],)](
            kk,
            scores,
            inner,
            outer,
            beta,
            beta if decay is None else decay,
            paired,
            grad_qk,
            by_gain,
            by_step,
            by_token,
            kk.shape[-1],
            scores.shape[-2],
            N_H=n_h,
            DECAYED=decay is not None,
            **sizes,
            num_warps=_warps(kk, sizes["N"]),
        )
    return paired, grad_qk, by_gain, by_step, by_token


def follow(
    A: Array,
    B: Array,
    U: Array,
    D: Array | None,
    whole: Array | None,
    states: Array,
    *,
    reverse: bool,
) -> Array:
    """Fill the states (rows, m + 1, d_k, d_v) from the first, or the last, and return R like U.

    A and B are (rows, m, n, d_k), U (rows, m, n, d_v), D (rows, m, d_k, d_v), whole (rows, m); the
    state of a chunk is the one before it, in ``reverse`` the one after it.
    """
    rows, m, n, d_v = U.shape
    d_k = A.shape[-1]
    R = torch.empty_like(U)
    wide = rows * triton.cdiv(d_v, 32) >= _FEW_PROGRAMS
    columns = 32 if wide else 16
    blocks = triton.cdiv(d_v, columns)
    height = max(16, triton.next_power_of_2(d_k))
    with torch.cuda.device_of(U):
        _follow_kernel[(rows * blocks,)](
            A,
            B,
            U,
            U if D is None else D,
            U if whole is None else whole,
            states,
            R,
            m,
            n,
            d_k,
            d_v,
            blocks,
            REVERSE=reverse,
            ADDED=D is not None,
            DECAYED=whole is not None,
            N=max(16, triton.next_power_of_2(n)),
            ROWS=min(64, height),
            SLICE=min(32, height),
            COLUMNS=columns,
            num_warps=8 if wide else 4,
            num_stages=1,
        )
    return R


def _sizes(kk: Array, qk: Array) -> dict[str, int]:
    return {
        "N": max(16, triton.next_power_of_2(kk.shape[-1])),
        "TOKENS": triton.next_power_of_2(qk.shape[-2]),
    }


def _warps(kk: Array, size: int) -> int:
    """Warps that hold a few squares of this size in registers."""
    return int(max(1, min(16, size * size * kk.element_size() // 2048)))


@triton.jit
def _weigh_kernel(
    kk,
    qk,
    beta,
    decay,
    M,
    scores,
    n,
    C,
    N_H: tl.constexpr,
    DECAYED: tl.constexpr,
    N: tl.constexpr,
    TOKENS: tl.constexpr,
):
    """Products with gains and decays, of one chunk."""
    chunk = tl.program_id(0).to(tl.int64)
    dtype = kk.dtype.element_ty
    i, a = tl.arange(0, N), tl.arange(0, TOKENS)
    square = chunk * n * n + i[:, None] * n + i[None, :]
    within = (i[:, None] < n) & (i[None, :] < n)
    lower = (i[:, None] > i[None, :]) & within
    wide = chunk * C * n + a[:, None] * n + i[None, :]
    seen = (a[:, None] >= (i // N_H)[None, :]) & (a[:, None] < C) & (i[None, :] < n)
    weighed = tl.load(kk + square, mask=lower, other=0.0)
    weighed *= tl.load(beta + chunk * n + i, mask=i < n, other=0.0)[:, None]
    read = tl.load(qk + wide, mask=seen, other=0.0)
    if DECAYED:
        step = tl.load(decay + chunk * C + i // N_H, mask=i < n, other=0.0)
        token = tl.load(decay + chunk * C + a, mask=a < C, other=0.0)
        weighed *= tl.exp(tl.where(lower, step[:, None] - step[None, :], 0.0).to(dtype))
        read *= tl.exp(tl.where(seen, token[:, None] - step[None, :], 0.0).to(dtype))
    tl.store(M + square, weighed, mask=within)
    tl.store(scores + wide, read, mask=(a[:, None] < C) & (i[None, :] < n))


@triton.jit
def _invert_kernel(M, n, N: tl.constexpr):
    """The inverse of I + M in the place of M, for one M, strictly lower triangular."""
    M += tl.program_id(0).to(tl.int64) * n * n
    i = tl.arange(0, N)
    place = i[:, None] * n + i[None, :]
    X = tl.where(i[:, None] == i[None, :], 1.0, 0.0).to(M.dtype.element_ty)
    for row in range(1, n):
        multipliers = tl.load(M + row * n + i, mask=i < row, other=0.0)
        combined = tl.sum(multipliers[:, None] * X, axis=0)
        X -= tl.where(i[:, None] == row, combined[None, :], 0.0)
    # A thread that is ahead must not write what another has yet to read.
    tl.debug_barrier()
    tl.store(M + place, X, mask=(i[:, None] < n) & (i[None, :] < n))


@triton.jit
def _finish_kernel(
    kk,
    scores,
    inner,
    outer,
    beta,
    decay,
    paired,
    grad_qk,
    by_gain,
    by_step,
    by_token,
    n,
    C,
    N_H: tl.constexpr,
    DECAYED: tl.constexpr,
    N: tl.constexpr,
    TOKENS: tl.constexpr,
):
    """One chunk."""
    chunk = tl.program_id(0).to(tl.int64)
    dtype = kk.dtype.element_ty
    i, a = tl.arange(0, N), tl.arange(0, TOKENS)
    square = chunk * n * n + i[:, None] * n + i[None, :]
    within = (i[:, None] < n) & (i[None, :] < n)
    lower = (i[:, None] > i[None, :]) & within
    wide = chunk * C * n + a[:, None] * n + i[None, :]
    seen = (a[:, None] >= (i // N_H)[None, :]) & (a[:, None] < C) & (i[None, :] < n)
    gain = tl.load(beta + chunk * n + i, mask=i < n, other=0.0)[:, None]
    products = tl.load(kk + square, mask=lower, other=0.0)
    grad_M = -tl.load(inner + square, mask=lower, other=0.0)
    grad_scores = tl.load(outer + wide, mask=seen, other=0.0)
    grad_products = gain * grad_M
    if DECAYED:
        step = tl.load(decay + chunk * C + i // N_H, mask=i < n, other=0.0)
        token = tl.load(decay + chunk * C + a, mask=a < C, other=0.0)
        between = tl.exp(tl.where(lower, step[:, None] - step[None, :], 0.0).to(dtype))
        products *= between
        # The derivative with respect to the logarithm of a factor is the derivative times the
        # factor.
        by_pair = grad_products * products
        by_read = grad_scores * tl.load(scores + wide, mask=seen, other=0.0)
        steps = tl.sum(by_pair, axis=1) - tl.sum(by_pair, axis=0) - tl.sum(by_read, axis=0)
        tl.store(by_step + chunk * n + i, steps, mask=i < n)
        tl.store(by_token + chunk * C + a, tl.sum(by_read, axis=1), mask=a < C)
        grad_products *= between
        grad_scores *= tl.exp(tl.where(seen, token[:, None] - step[None, :], 0.0).to(dtype))
    tl.store(by_gain + chunk * n + i, tl.sum(grad_M * products, axis=1), mask=i < n)
    tl.store(paired + square, grad_products + tl.trans(grad_products), mask=within)
    tl.store(grad_qk + wide, grad_scores, mask=(a[:, None] < C) & (i[None, :] < n))


@triton.jit
def _follow_kernel(
    A,
    B,
    U,
    D,
    whole,
    states,
    R,
    m,
    n,
    d_k,
    d_v,
    blocks,
    REVERSE: tl.constexpr,
    ADDED: tl.constexpr,
    DECAYED: tl.constexpr,
    N: tl.constexpr,
    ROWS: tl.constexpr,
    SLICE: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Some columns of the states of one sequence, all chunks."""
    dtype = states.dtype.element_ty
    row = (tl.program_id(0) // blocks).to(tl.int64)
    column = (tl.program_id(0) % blocks) * COLUMNS + tl.arange(0, COLUMNS)[None, :]
    i, h, k = tl.arange(0, N), tl.arange(0, ROWS), tl.arange(0, SLICE)
    own = column < d_v
    turn = -1 if REVERSE else 1
    first = row * m
    state = states + row * (m + 1) * d_k * d_v
    if REVERSE:
        first += m - 1
        state += m * d_k * d_v
    A += first * n * d_k
    B += first * n * d_k
    U += first * n * d_v
    R += first * n * d_v
    D += first * d_k * d_v
    whole += first
    for _ in range(m):
        total = tl.load(U + i[:, None] * d_v + column, mask=(i[:, None] < n) & own, other=0.0)
        for start in range(0, d_k, SLICE):
            across, down = start + k[None, :], start + k[:, None]
            left = tl.load(
                A + i[:, None] * d_k + across, mask=(i[:, None] < n) & (across < d_k), other=0.0
            )
            right = tl.load(state + down * d_v + column, mask=(down < d_k) & own, other=0.0)
            total = tl.dot(left, right, total, input_precision="ieee", out_dtype=dtype)
        tl.store(R + i[:, None] * d_v + column, total, mask=(i[:, None] < n) & own)
        # What the other threads wrote of R, and below of the state, is read next.
        tl.debug_barrier()
        for top in range(0, d_k, ROWS):
            line = top + h[:, None]
            place, kept = line * d_v + column, (line < d_k) & own
            total = tl.load(state + place, mask=kept, other=0.0)
            if DECAYED:
                total *= tl.load(whole)
            if ADDED:
                total += tl.load(D + place, mask=kept, other=0.0)
            for start in range(0, n, SLICE):
                across, down = start + k[None, :], start + k[:, None]
                left = tl.load(B + across * d_k + line, mask=(across < n) & (line < d_k), other=0.0)
                right = tl.load(R + down * d_v + column, mask=(down < n) & own, other=0.0)
                total = tl.dot(left, right, total, input_precision="ieee", out_dtype=dtype)
            tl.store(state + turn * d_k * d_v + place, total, mask=kept)
        tl.debug_barrier()
        state += turn * d_k * d_v
        A += turn * n * d_k
        B += turn * n * d_k
        U += turn * n * d_v
        R += turn * n * d_v
        D += turn * d_k * d_v
        whole += turn

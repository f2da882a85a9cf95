r"""All-pole recurrences by blocks, written once for every array library.

The recurrence :math:`y_k = x_k + \sum_{m=1}^{d} a_m y_{k-m}` is division by
:math:`D(z) = 1 - \sum_m a_m z^m`. It is run block by block, so that the rounding error of a fast
Fourier transform is relative to its own block and not to the largest value of the whole signal.
With :math:`q = 1/D` to the length of a block, and w the block's input plus what the block before
sends into it, the block is :math:`q * w`.
"""

from __future__ import annotations

from typing import Any

from numerics.arrays import Array, Frame

_SHORTEST_BLOCK = 1024
_MATRIX_BLOCK = 32


def all_pole_fft(frame: Frame, p: Array, x: Array) -> Array:
    r"""Solve :math:`y_k = x_k + \sum_i p_i y_{k-d+i}` by Fourier transforms.

    ``p`` is (..., d) and ``x`` (..., n), of one dtype and with equal batch axes.
    """
    xp = frame.xp
    n, d = x.shape[-1], p.shape[-1]
    block = min(power_of_two(max(d, _SHORTEST_BLOCK)), power_of_two(n))
    taps = pad(frame, xp.flip(p, axis=-1), 1, block + 1)[..., : block + 1]
    q = forward(frame, _reciprocal(frame, -taps[..., :block], block), 2 * block)
    into_next = forward(frame, taps, 2 * block)
    blocks: list[Array] = []
    for start in range(0, n, block):
        w = x[..., start : start + block]
        if blocks:
            sent = backward(frame, into_next * forward(frame, blocks[-1], 2 * block), 2 * block)
            w = w + sent[..., block : block + w.shape[-1]]
        blocks.append(
            backward(frame, q * forward(frame, w, 2 * block), 2 * block)[..., : w.shape[-1]]
        )
    return xp.concat(blocks, axis=-1)


def all_pole_matrix(frame: Frame, p: Array, x: Array) -> Array:
    """The same recurrence by short blocks and matrix products, for devices without a loop."""
    xp = frame.xp
    n, d = x.shape[-1], p.shape[-1]
    T = min(_MATRIX_BLOCK, n)
    lag = xp.arange(T, device=frame.device)[:, None] - xp.arange(T, device=frame.device)[None, :]
    taps = pad(frame, xp.flip(p, axis=-1), 1, max(d + 1, T))
    within = xp.where(lag > 0, _gather(frame, taps, xp.where(lag > 0, lag, 0)), 0)
    identity = xp.eye(T, dtype=p.dtype, device=frame.device)
    q = xp.linalg.solve(identity - within, xp.broadcast_to(identity, within.shape))
    index = xp.arange(d, device=frame.device)[None, :] - xp.arange(T, device=frame.device)[:, None]
    from_past = xp.where(index >= 0, _gather(frame, p, xp.where(index >= 0, index, 0)), 0)
    past = xp.zeros((*x.shape[:-1], d), dtype=x.dtype, device=frame.device)
    blocks = []
    for start in range(0, n, T):
        w = x[..., start : start + T]
        size = w.shape[-1]
        w = w + xp.matmul(from_past[..., :size, :], past[..., None])[..., 0]
        y = xp.matmul(q[..., :size, :size], w[..., None])[..., 0]
        blocks.append(y)
        past = xp.concat([past, y], axis=-1)[..., -d:]
    return xp.concat(blocks, axis=-1)


def residual(frame: Frame, p: Array, x: Array, y: Array) -> Array:
    r"""What the recurrence leaves over, :math:`x_k + \sum_i p_i y_{k-d+i} - y_k`, by blocks."""
    xp = frame.xp
    n, d = x.shape[-1], p.shape[-1]
    block = min(power_of_two(max(d, _SHORTEST_BLOCK)), power_of_two(n))
    count = -(-n // block)
    taps = forward(frame, pad(frame, xp.flip(p, axis=-1), 1, block)[..., : block + 1], 2 * block)
    blocks = xp.reshape(
        pad(frame, y, block, block * (count + 1)), (*y.shape[:-1], count + 1, block)
    )
    frames = xp.concat([blocks[..., :-1, :], blocks[..., 1:, :]], axis=-1)
    sent = backward(frame, taps[..., None, :] * forward(frame, frames, 2 * block), 2 * block)
    sent = xp.reshape(sent[..., block:], (*y.shape[:-1], count * block))[..., :n]
    return x + sent - y


def convolve(frame: Frame, u: Array, v: Array, n: int) -> Array:
    r"""First n entries of :math:`\sum_j u_j v_{l-j}`."""
    u, v = u[..., :n], v[..., :n]
    size = power_of_two(u.shape[-1] + v.shape[-1] - 1)
    full = backward(frame, forward(frame, u, size) * forward(frame, v, size), size)
    return pad(frame, full, 0, n)[..., :n]


def correlate(frame: Frame, u: Array, v: Array, n: int) -> Array:
    r"""First n entries of :math:`\sum_j u_{l+j} v_j`; u is zero beyond its end."""
    xp = frame.xp
    size = power_of_two(u.shape[-1] + v.shape[-1] - 1)
    reverse = xp.flip(v, axis=-1)
    full = backward(frame, forward(frame, u, size) * forward(frame, reverse, size), size)
    start = v.shape[-1] - 1
    return pad(frame, full[..., start : start + u.shape[-1]], 0, n)[..., :n]


def forward(frame: Frame, u: Array, size: int) -> Array:
    """Zero-padded transform of length ``size``; half the spectrum for real input."""
    fft = frame.xp.fft
    return fft.fft(u, n=size) if frame.is_complex(u) else fft.rfft(u, n=size)


def backward(frame: Frame, spectrum: Array, size: int) -> Array:
    """Inverse of :func:`forward`; from size 4 on, a half spectrum is known by its length."""
    fft = frame.xp.fft
    if spectrum.shape[-1] == size // 2 + 1:
        return fft.irfft(spectrum, n=size)
    return fft.ifft(spectrum, n=size)


def pad(frame: Frame, u: Array, before: int, size: int) -> Array:
    """``u`` with zeros before it, and after it up to ``size`` entries in all."""
    xp = frame.xp
    after = max(0, size - before - u.shape[-1])
    parts: list[Any] = [u]
    if before:
        parts.insert(0, xp.zeros((*u.shape[:-1], before), dtype=u.dtype, device=frame.device))
    if after:
        parts.append(xp.zeros((*u.shape[:-1], after), dtype=u.dtype, device=frame.device))
    return xp.concat(parts, axis=-1) if len(parts) > 1 else u


def power_of_two(n: int) -> int:
    """The smallest power of two that is at least n and at least 4."""
    return max(4, 1 << (n - 1).bit_length())


def _reciprocal(frame: Frame, tail: Array, size: int) -> Array:
    r"""First ``size`` terms of :math:`q = 1 / (1 + t)`, a power series with :math:`t_0 = 0`.

    Newton's iteration, :math:`q \leftarrow q - q\,((1 + t) q - 1)`, doubles the number of terms; a
    second step at the same length takes away the rounding error of the first, which otherwise would
    be multiplied by the next doubling where q grows.
    """
    xp = frame.xp
    q = xp.ones_like(tail[..., :1])
    while q.shape[-1] < size:
        terms = 2 * q.shape[-1]
        for _ in range(2):
            length = power_of_two(q.shape[-1] + terms)
            transform = forward(frame, q, length)
            t = tail[..., :terms]
            left = backward(frame, forward(frame, t, length) * transform, length)[..., :terms]
            q = pad(frame, q, 0, terms)
            left = left + q
            left = xp.concat([left[..., :1] - 1, left[..., 1:]], axis=-1)
            q = q - backward(frame, forward(frame, left, length) * transform, length)[..., :terms]
    return q


def _gather(frame: Frame, u: Array, index: Array) -> Array:
    xp = frame.xp
    flat = xp.take(u, xp.reshape(index, (-1,)), axis=-1)
    return xp.reshape(flat, (*u.shape[:-1], *index.shape))

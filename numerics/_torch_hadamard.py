"""Walsh-Hadamard transforms of torch tensors, which are their own gradients.

On the host they run in the compiled loops. On a device and inside torch's transforms they are
products with Hadamard matrices of order 64, the factors of the whole one.
"""

from __future__ import annotations

from typing import Any

import torch

from numerics.arrays import Array, Frame
from numerics.hadamard import aligned_empty, copy_threaded, transform_host

_BITS = 6


def transform(frame: Frame, x: Array, scale: float) -> Array:
    """Transform the middle axis of (outer, N, inner), times ``scale``."""
    if x.numel() == 0:
        return x.clone()
    on_host = frame.runs_on_host(x.detach())
    if not x.is_floating_point():
        return _on_host(x, scale) if on_host else _by_sums(x)
    return Hadamard.apply(x, scale, frame) if on_host else _by_products(x, scale)


class Hadamard(torch.autograd.Function):
    """Transform of a tensor on the host: a symmetric matrix."""

    @staticmethod
    def forward(x: Array, scale: float, frame: Frame) -> Array:
        """Run the compiled loops."""
        return _on_host(x, scale)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Array) -> None:
        """Keep the scale: the matrix is known."""
        _, ctx.scale, ctx.frame = inputs

    @staticmethod
    def backward(ctx: Any, *grads: Array) -> tuple[Any, ...]:
        """Transform the gradient."""
        return transform(ctx.frame, grads[0], ctx.scale), None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Array:
        """Transform the tangent."""
        return transform(ctx.frame, tangents[0], ctx.scale)


def _on_host(x: Array, scale: float) -> Array:
    source = x.detach().numpy()
    out = aligned_empty(source.shape, source.dtype)
    copy_threaded(source, out)
    transform_host(out, scale)
    return torch.from_numpy(out)


def _by_products(x: Array, scale: float) -> Array:
    """One product for every six bits of the index."""
    shape, N = x.shape, x.shape[1]
    done = 1
    while done < N or scale != 1:
        order = min(1 << _BITS, N // done)
        factor = x.new_full((1, 1), scale)
        while len(factor) < order:
            upper = torch.cat((factor, factor), dim=1)
            factor = torch.cat((upper, torch.cat((factor, -factor), dim=1)))
        x = factor @ x.reshape(shape[0] * (N // (done * order)), order, done * shape[2])
        done, scale = done * order, 1
    return x.reshape(shape)


def _by_sums(x: Array) -> Array:
    """Butterflies of integers, which devices do not multiply as matrices."""
    shape, N = x.shape, x.shape[1]
    h = 1
    while h < N:
        a, b = x.reshape(shape[0] * (N // (2 * h)), 2, h * shape[2]).unbind(1)
        x = torch.stack((a + b, a - b), dim=1)
        h *= 2
    return x.reshape(shape)

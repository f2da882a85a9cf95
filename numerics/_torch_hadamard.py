"""Walsh-Hadamard transforms of torch tensors, which are their own gradients.

On the host they run in the compiled loops. On a device and inside torch's transforms they are
products with Hadamard matrices of order 64, the factors of the whole one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from numerics.arrays import Array, frame_like
from numerics.hadamard import transform_host

_BITS = 6


def transform(x: Array, scale: float) -> Array:
    """Transform the middle axis of (outer, N, inner), times ``scale``."""
    if x.numel() == 0:
        return x.clone()
    if not x.is_floating_point():
        return _on_host(x, scale) if x.device.type == "cpu" else _by_sums(x)
    if frame_like(x).runs_on_host(x.detach()):
        return Hadamard.apply(x, scale)
    return _by_products(x, scale)


class Hadamard(torch.autograd.Function):
    """Transform of a tensor on the host: a symmetric matrix."""

    @staticmethod
    def forward(x: Array, scale: float) -> Array:
        """Run the compiled loops."""
        return _on_host(x, scale)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Array) -> None:
        """Keep the scale: the matrix is known."""
        ctx.scale = inputs[1]

    @staticmethod
    def backward(ctx: Any, *grads: Array) -> tuple[Any, ...]:
        """Transform the gradient."""
        return transform(grads[0], ctx.scale), None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Array:
        """Transform the tangent."""
        return transform(tangents[0], ctx.scale)


def _on_host(x: Array, scale: float) -> Array:
    source = np.ascontiguousarray(x.detach().numpy())
    out = np.empty_like(source)
    transform_host(source, out, scale)
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

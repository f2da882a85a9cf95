"""Sketches in torch's graph: two linear maps, each the other's derivative."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from numerics.arrays import Array


class SketchRows(torch.autograd.Function):
    """S[:, start : start + k] @ block."""

    @staticmethod
    def forward(ctx: Any, block: Array, sketch: Any, start: int) -> Array:
        """On the host by the compiled kernels, elsewhere on the tensor's device."""
        ctx.sketch, ctx.start, ctx.stop = sketch, start, start + block.shape[0]
        block = block.detach()
        if block.device.type != "cpu":
            return sketch._device_rows(start, block)
        host = np.ascontiguousarray(block.numpy())
        out = np.zeros((sketch.m, block.shape[1]), host.dtype)
        sketch._accumulate(start, host, out, 0)
        return torch.from_numpy(out)

    @staticmethod
    def backward(ctx: Any, grad: Array) -> tuple[Array, None, None]:
        """Rows of the adjoint."""
        return AdjointRows.apply(grad, ctx.sketch, ctx.start, ctx.stop), None, None


class AdjointRows(torch.autograd.Function):
    """S[:, start:stop].T @ Y."""

    @staticmethod
    def forward(ctx: Any, Y: Array, sketch: Any, start: int, stop: int) -> Array:
        """On the host by the compiled kernels, elsewhere on the tensor's device."""
        ctx.sketch, ctx.start = sketch, start
        Y = Y.detach()
        if Y.device.type != "cpu":
            return sketch._device_adjoint_rows(start, stop, Y)
        return torch.from_numpy(sketch._adjoint_rows(start, stop, np.ascontiguousarray(Y.numpy())))

    @staticmethod
    def backward(ctx: Any, grad: Array) -> tuple[Array, None, None, None]:
        """The sketch itself."""
        return SketchRows.apply(grad, ctx.sketch, ctx.start), None, None, None

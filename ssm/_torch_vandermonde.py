"""Vandermonde sums of CUDA tensors in torch, differentiated by sums over the steps.

The second derivative is that of the matrix products of `_vandermonde`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from numerics.arrays import Array, Frame
from ssm._device_kernels import triton_runs
from ssm._vandermonde import expand


def expand_on_device(
    frame: Frame, w: Array, L: int, *, z: Array | None = None, exponent: Array | None = None
) -> Array:
    """Twice the real part of the sum of w z**l over the modes, from z or its logarithm."""
    nodes = z if exponent is None else exponent
    assert nodes is not None
    batch = np.broadcast_shapes(tuple(nodes.shape), tuple(w.shape))
    nodes, w = (
        x.to(torch.complex128).expand(batch).reshape(math.prod(batch[:-1]), batch[-1])
        for x in (nodes, w)
    )
    kernel = VandermondeSum.apply(nodes, w, L, exponent is not None, frame)
    return kernel.reshape(*batch[:-1], L)


class VandermondeSum(torch.autograd.Function):
    """Kernels (M, L) of complex128 nodes or exponents (M, N) and weights (M, N)."""

    @staticmethod
    def forward(nodes: Array, w: Array, L: int, exponential: bool, frame: Frame) -> Array:
        """Sum over the modes."""
        from ssm._device_vandermonde import sum_modes

        return sum_modes(nodes, w, L, exponential, frame.real)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Array) -> None:
        """Keep the parameters, which are all that the gradients need."""
        nodes, w, ctx.length, ctx.exponential, ctx.frame = inputs
        ctx.save_for_backward(nodes, w)

    @staticmethod
    def backward(ctx: Any, *grads: Array) -> tuple[Any, ...]:
        """Sum over the steps; by matrix products where this has to be differentiated, too."""
        nodes, w = ctx.saved_tensors
        create_graph = torch.is_grad_enabled()
        if not create_graph and triton_runs(ctx.frame, nodes, w, grads[0]):
            from ssm._device_vandermonde import sum_steps

            return *sum_steps(nodes, w, grads[0], ctx.exponential), None, None, None
        wanted = [x for x, needed in zip((nodes, w), ctx.needs_input_grad, strict=False) if needed]
        given = {"exponent" if ctx.exponential else "z": nodes}
        with torch.enable_grad():
            kernel = expand(ctx.frame, w, ctx.length, conj=True, **given)
        # A kernel of one step does not depend on the nodes.
        found = iter(
            torch.autograd.grad(
                kernel, wanted, grads[0], create_graph=create_graph, allow_unused=True
            )
        )
        return (
            *(next(found) if needed else None for needed in ctx.needs_input_grad[:2]),
            *(None, None, None),
        )

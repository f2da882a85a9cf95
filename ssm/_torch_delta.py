"""The chunked delta rule in torch, with the transposed recurrence as its gradient.

Kept for the backward pass are the inputs and one state a chunk. The states are a result of the
function, so that the backward pass is made of differentiable operations on inputs and results, and
second derivatives come with it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from numerics.arrays import Array, Frame
from ssm._delta_chunks import chunk_gradients, run_chunks, run_compiled
from ssm._device_kernels import triton_runs

_MOST_STEPS = 64  # in a chunk on a device: an inverse takes as many registers of a thread


class ChunkedDelta(torch.autograd.Function):
    """Read-outs and states of chunks, see :func:`ssm._delta_chunks.run_chunks`."""

    generate_vmap_rule = True

    @staticmethod
    def forward(
        q: Array,
        k: Array,
        v: Array,
        beta: Array,
        g: Array | None,
        state: Array,
        frame: Frame,
    ) -> tuple[Array, Array]:
        """Run the chunks, by compiled code where there is memory that it can read."""
        q, k, v, beta, state = (x.detach() for x in (q, k, v, beta, state))
        g = None if g is None else g.detach()
        if _on_device(frame, k, q, v, beta, state):
            from ssm._device_delta import run_on_device

            return run_on_device(q, k, v, beta, g, state)
        if not frame.runs_on_host(q, k, v, beta, state):
            return run_chunks(frame, q, k, v, beta, g, state)
        o, states = run_compiled(
            np.asarray(q.flatten(-3, -2)),
            np.asarray(k.flatten(-3, -2)),
            np.asarray(v.flatten(-3, -2)),
            np.asarray(beta.flatten(-2)),
            None if g is None else np.asarray(g.flatten(-2)),
            np.asarray(state),
            q.shape[-2],
            all_states=True,
        )
        return torch.from_numpy(o).unflatten(-2, q.shape[-3:-1]), torch.from_numpy(states)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Keep the inputs and the states."""
        q, k, v, beta, g, _, ctx.frame = inputs
        ctx.save_for_backward(q, k, v, beta, g, output[1])

    @staticmethod
    def backward(ctx: Any, *grads: Array) -> tuple[Any, ...]:
        """Run the chunks backwards, by recorded operations where there is a next derivative."""
        q, k, v, beta, g, states = ctx.saved_tensors
        recorded = torch.is_grad_enabled()
        if not recorded and _on_device(ctx.frame, k, q, v, beta, states, *grads):
            from ssm._device_delta import gradients_on_device

            return (*gradients_on_device(q, k, v, beta, g, states, *grads), None)
        return (*chunk_gradients(ctx.frame, q, k, v, beta, g, states, *grads), None)


def chunk_length(frame: Frame, k: Array, C: int, n_h: int) -> int:
    """At most C tokens; as many as kernels take in a chunk where they run."""
    return min(C, _MOST_STEPS // n_h) if n_h <= _MOST_STEPS and triton_runs(frame, k) else C


def _on_device(frame: Frame, k: Array, *arrays: Array) -> bool:
    """Whether kernels run chunks with these keys."""
    return k.shape[-2] <= _MOST_STEPS and triton_runs(frame, k, *arrays)

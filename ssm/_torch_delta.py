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
        """Run the chunks backwards."""
        return (*chunk_gradients(ctx.frame, *ctx.saved_tensors, *grads), None)

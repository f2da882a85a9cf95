r"""Kernels of diagonal plus low-rank systems in torch, with the gradient of the compiled rows.

Only the parameters are kept for the backward pass. Where derivatives of the gradient are wanted it
is that of the same kernel from powers of the dense matrix, which torch records.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from numerics.arrays import Array, Frame
from ssm._dplr_rows import kernel_rows, kernel_rows_gradient
from ssm._dplr_system import Dplr
from ssm.kernels import krylov


class DplrKernel(torch.autograd.Function):
    """Kernels (M, L) of CPU tensors (M, 3 + 2r, N); see :mod:`ssm._dplr_rows`."""

    @staticmethod
    def forward(ctx: Any, systems: Array, L: int, conj: bool, frame: Frame) -> Array:
        """Run the rows."""
        ctx.save_for_backward(systems)
        ctx.L, ctx.conj, ctx.frame = L, conj, frame
        return torch.from_numpy(kernel_rows(_host(systems), conj, L))

    @staticmethod
    def backward(ctx: Any, *grads: Array) -> tuple[Any, ...]:
        """Run them backwards."""
        (systems,) = ctx.saved_tensors
        if torch.is_grad_enabled():
            K = _from_powers(ctx.frame, systems, ctx.L, ctx.conj)
            (grad,) = torch.autograd.grad(K, systems, grads[0], create_graph=True)
            return grad, None, None, None
        grad = kernel_rows_gradient(_host(systems), ctx.conj, _host(grads[0]))
        return torch.from_numpy(grad), None, None, None


def _host(array: Array) -> np.ndarray:
    return np.asarray(array.detach().resolve_conj().resolve_neg())


def _from_powers(frame: Frame, systems: Array, L: int, conj: bool) -> Array:
    rank = (systems.shape[1] - 3) // 2
    delta, B, C = systems[:, :3].unbind(1)
    E, G = systems[:, 3:].split(rank, dim=1) if rank else (systems[:, 3:], systems[:, 3:])
    one = torch.ones((), dtype=torch.float64)
    discrete = Dplr(frame, delta, E, G.conj(), one, conj, False, (len(systems),))
    columns = krylov(frame, discrete.dense(), discrete.dense_column(B), L)
    return (discrete.dense_row(C)[:, None, :] @ columns)[:, 0, :]

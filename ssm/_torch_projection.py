"""A linear map that runs in compiled host code, as a differentiable torch operation on the CPU."""

from __future__ import annotations

from typing import Any

import torch


def apply_linear(u: torch.Tensor, forward: Any, adjoint: Any) -> torch.Tensor:
    """``forward(u)``, differentiable to any order.

    ``forward`` and ``adjoint`` take and return NumPy arrays; each is the transpose of the other.
    """
    result: torch.Tensor = _Linear.apply(u, forward, adjoint)
    return result


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, u: torch.Tensor, forward: Any, adjoint: Any) -> torch.Tensor:
        ctx.maps = forward, adjoint
        return torch.from_numpy(forward(u.detach().numpy()))

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        forward, adjoint = ctx.maps
        return apply_linear(grads[0], adjoint, forward), None, None

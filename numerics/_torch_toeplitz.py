r"""Gradients of the symmetric Toeplitz solution in torch.

With :math:`Tx = b` and the gradient G of x, :math:`\lambda = T^{-1} G` is the gradient of b, and

.. math:: \frac{\partial}{\partial c_k} = -\sum_{|i - j| = k} \lambda_i x_j

that of c, a correlation. The backward pass is made of differentiable functions.
"""

from __future__ import annotations

from typing import Any

import torch

from numerics.arrays import Array
from numerics.toeplitz import solve_symmetric


class ToeplitzSolve(torch.autograd.Function):
    """Solve for float64 tensors c (N,), b (N,) or (N, k); the work is done on the host."""

    @staticmethod
    def forward(c: Array, b: Array, method: str) -> Array:
        """Solve."""
        host = solve_symmetric(c.detach().cpu().numpy(), b.detach().cpu().numpy(), method)
        return torch.as_tensor(host, device=b.device)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Array) -> None:
        """Keep the matrix and the solution."""
        c, _, ctx.method = inputs
        ctx.save_for_backward(c, output)

    @staticmethod
    def backward(ctx: Any, *grads: Array) -> tuple[Any, ...]:
        """Solve for the adjoint and correlate it with the solution."""
        c, x = ctx.saved_tensors
        adjoint = ToeplitzSolve.apply(c, grads[0], ctx.method)
        grad_c = None
        if ctx.needs_input_grad[0]:
            N = len(c)
            left, right = (torch.fft.rfft(v, n=2 * N, dim=0) for v in (adjoint, x))
            lags = torch.fft.irfft(left.conj() * right, n=2 * N, dim=0).reshape(2 * N, -1).sum(-1)
            grad_c = -lags[:N] - torch.cat((torch.zeros_like(c[:1]), lags[N + 1 :].flip(0)))
        return grad_c, adjoint, None

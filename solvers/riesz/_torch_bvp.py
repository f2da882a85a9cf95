r"""Gradients of the collocated equation's solution in torch.

With :math:`Kx = f`, :math:`K = \operatorname{diag}(\kappa) A + \operatorname{diag}(b) H +
\operatorname{diag}(c) M` and the gradient G of x, the adjoint :math:`\lambda = K^{-T} G` is the
gradient of f, and :math:`-\lambda \cdot Ax`, :math:`-\lambda \cdot Hx`, :math:`-\lambda \cdot Mx`,
entry by entry, are those of :math:`\kappa`, b and c.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.autograd.function import once_differentiable

from numerics.arrays import Array
from solvers.riesz._equation import CollocatedEquation


class RieszSolve(torch.autograd.Function):
    """Coefficients for float64 tensors f (N,) or (N, k) and kappa, b, c, () or (N,)."""

    @staticmethod
    def forward(
        ctx: Any,
        f: Array,
        kappa: Array,
        b: Array,
        c: Array,
        equation: CollocatedEquation,
        x: np.ndarray,
    ) -> Array:
        """Hand over the solution x, which the host has found."""
        ctx.equation, ctx.x = equation, x
        ctx.shapes = [value.shape for value in (kappa, b, c)]
        return torch.as_tensor(x, device=f.device)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Array) -> tuple[Any, ...]:
        """Solve the adjoint equation, on the host."""
        equation, x = ctx.equation, ctx.x
        adjoint, _, _ = equation.solve_transposed(grads[0].detach().cpu().numpy())
        results: list[Any] = [adjoint]
        images = (equation.A.matvec, equation.H.__matmul__, equation.M.__matmul__)
        needed = ctx.needs_input_grad[1:4]
        for need, image, shape in zip(needed, images, ctx.shapes, strict=True):
            if not need:
                results.append(None)
                continue
            rows = -(adjoint * image(x)).reshape(len(x), -1).sum(axis=1)
            results.append(rows if len(shape) else rows.sum())
        device = grads[0].device
        tensors = [None if r is None else torch.as_tensor(r, device=device) for r in results]
        return (*tensors, None, None)

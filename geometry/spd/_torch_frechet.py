r"""Gradients of iterated Frechet means in torch, by the implicit function theorem.

A mean S of samples X_i and weights w_i makes the gradient :math:`g(S; X, w)` of its objective
vanish. With the Hessian H there, which is self-adjoint, and the gradient :math:`\bar S` of a loss,

.. math:: H y = \bar S, \qquad \bar X_i = -(\partial_{X_i} g)^* y, \qquad
          \bar w_i = -\langle \partial_{w_i} g, y \rangle,

all in the coordinates of the linearisation that the iteration ended with. No iteration is
unrolled.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd.function import once_differentiable

from geometry.spd._frechet_newton import solve_newton_equation
from geometry.spd._linear_algebra import hermitian_part
from numerics.arrays import Array

_TOLERANCE = 1e-14
_LIMIT = 500


class ImplicitMean(torch.autograd.Function):
    """Mean S (B, n, n) of X (B, N, n, n) and w (B, N), S = ``root`` root^H in ``problem``."""

    @staticmethod
    def forward(ctx: Any, X: Array, w: Array, S: Array, problem: Any, root: Any) -> Array:
        """Hand on what was found outside."""
        ctx.problem, ctx.root = problem, root
        return S.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Array) -> tuple[Any, ...]:
        """Solve the linearised stationarity once."""
        point, G = ctx.problem.at(ctx.root), grads[0].detach().resolve_conj()
        frame = point.frame
        if frame.is_numpy:
            G = G.cpu().numpy()
        right = hermitian_part(frame, point.adjoint_right(hermitian_part(frame, G)))
        tolerance = 0 * point.residual + _TOLERANCE
        y = solve_newton_equation(point, right, tolerance, _LIMIT)
        samples, weights = point.adjoint_left(y)
        device = grads[0].device
        into = (torch.as_tensor(array, device=device) for array in (samples, weights))
        return *into, None, None, None

r"""Gradients of least-squares solutions in torch.

With :math:`w = (A^T A + \lambda I)^+ \bar x` for the gradient :math:`\bar x` of x, the gradient of
b is :math:`Aw`, and that of A is :math:`(b - Ax)w^T - (Aw)x^T`. Where A lacks rank, the row
space turns with A too, and :math:`A w_x (\bar x - A^+ A \bar x)^T` with
:math:`w_x = (A^T A)^+ x` is added.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from numerics.arrays import Array
from solvers.regression._factor import Factor, factor_of
from solvers.regression._iteration import Scheme
from solvers.regression._problem import Problem

_ROUNDING = float(np.finfo(np.float64).eps)


def with_gradient(
    A: Any, b: Array, x: Array, problem: Problem, factor: Factor, scheme: Scheme | None
) -> Array:
    """The solution x as a function of the tensors A and b."""
    if not isinstance(A, torch.Tensor) or not (A.requires_grad or b.requires_grad):
        return x
    A, b = (t if t.is_floating_point() else t.double() for t in (A, b))
    right = b[:, None] if b.ndim == 1 else b
    found = x[:, None] if b.ndim == 1 else x
    solve = _normal_solver(problem, factor, scheme)
    result = _LeastSquares.apply(A.double(), right.double(), found.double(), solve, factor.rank)
    return (result[:, 0] if b.ndim == 1 else result).to(x.dtype)


def sketched_gradient(Y: Any, z: Array, x: Array, small: Problem, R: Array) -> Array:
    """The solution x of a sketched problem as a function of its tensors Y and z."""
    return with_gradient(Y, z, x, small, factor_of(small.algebra, R, 0.0), None)


def _normal_solver(
    problem: Problem, factor: Factor, scheme: Scheme | None
) -> Callable[[Array], Array]:
    r"""Solve :math:`(A^T A + \lambda I)w = g`, refining where the factor is a sketch's."""
    algebra = problem.algebra

    def apply(y: Array) -> Array:
        return factor.apply_transposed(problem.normal_product(factor.apply(y)))

    def once(g: Array) -> Array:
        c = factor.apply_transposed(g)
        if scheme is None:
            return factor.apply(c)
        limit = _ROUNDING * np.maximum(algebra.norms(c), 1e-300)

        def measure(y: Array) -> float:
            return float(np.max(algebra.norms(y) / limit))

        return factor.apply(scheme.solve(algebra, apply, c, measure)[0])

    def solve(g: Array) -> Array:
        on_host = isinstance(algebra.zeros(1), np.ndarray)
        values = g.detach().numpy() if on_host else g.detach()
        w = once(values)
        if scheme is not None:
            w = w + once(values - problem.normal_product(w))
        return torch.as_tensor(w, dtype=g.dtype, device=g.device)

    return solve


class _NormalInverse(torch.autograd.Function):
    """w with (A^T A + ridge) w = g, differentiable as often as one likes."""

    @staticmethod
    def forward(A: Array, g: Array, solve: Callable[[Array], Array]) -> Array:
        return solve(g)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Array) -> None:
        A, _, ctx.solve = inputs
        ctx.save_for_backward(A, output)

    @staticmethod
    def backward(ctx: Any, *grads: Array) -> tuple[Any, ...]:
        A, w = ctx.saved_tensors
        v = _NormalInverse.apply(A, grads[0], ctx.solve)
        grad_A = -((A @ w) @ v.mT + (A @ v) @ w.mT) if ctx.needs_input_grad[0] else None
        return grad_A, v, None


class _LeastSquares(torch.autograd.Function):
    """Hand over the solution that was found, as a function of A and b."""

    @staticmethod
    def forward(A: Array, b: Array, x: Array, solve: Callable[[Array], Array], rank: int) -> Array:
        return x.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Array) -> None:
        A, b, _, ctx.solve, ctx.rank = inputs
        ctx.save_for_backward(A, b, output)

    @staticmethod
    def backward(ctx: Any, *grads: Array) -> tuple[Any, ...]:
        A, b, x = ctx.saved_tensors
        if ctx.rank < A.shape[1]:
            # The solver holds the rank, and is not differentiated a second time.
            with torch.no_grad():
                return _gradients(ctx, A, b, x, grads[0], full_rank=False)
        return _gradients(ctx, A, b, x, grads[0], full_rank=True)


def _gradients(
    ctx: Any, A: Array, b: Array, x: Array, bar: Array, *, full_rank: bool
) -> tuple[Any, ...]:
    w = _NormalInverse.apply(A, bar, ctx.solve)
    Aw = A @ w
    grad_A = None
    if ctx.needs_input_grad[0]:
        grad_A = (b - A @ x) @ w.mT - Aw @ x.mT
        if not full_rank:
            outside = bar - A.mT @ Aw
            grad_A = grad_A + (A @ ctx.solve(x)) @ outside.mT
    return grad_A, Aw if ctx.needs_input_grad[1] else None, None, None, None

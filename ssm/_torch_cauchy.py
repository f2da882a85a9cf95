r"""Gradients of Cauchy-like sums in torch.

With :math:`D_{ln} = \sigma_l - \kappa_l a_n` the derivatives of :math:`\sum_n v_n D_{ln}^{-p}` are
:math:`D^{-p}` in v, :math:`p \kappa v D^{-p-1}` in a and :math:`-p v D^{-p-1}` in :math:`\sigma`:
sums over the points and over the nodes of the next power. The two operations below are each other's
derivatives, so that they can be differentiated to any order, and no array of points by nodes is
kept. Neither has a derivative in :math:`\kappa`, which is no parameter of anything.
"""

from __future__ import annotations

from typing import Any

import torch

from numerics.arrays import Array
from ssm._cauchy_sums import adjoint_values, sums_values


class CauchySums(torch.autograd.Function):
    """Sums (M, m, L) over the nodes; see :func:`ssm._cauchy_sums.cauchy_sums`."""

    @staticmethod
    def forward(
        v: Array, a: Array, sigma: Array, kappa: Array, power: int, paired: bool, frame: Any
    ) -> Array:
        """Sum."""
        return sums_values(frame, v, a, sigma, kappa, power, paired)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Array) -> None:
        """Keep the parameters, which are all that the gradients need."""
        v, a, sigma, kappa, ctx.power, ctx.paired, ctx.frame = inputs
        ctx.save_for_backward(v, a, sigma, kappa)

    @staticmethod
    def backward(ctx: Any, *grads: Array) -> tuple[Any, ...]:
        """Sum over the points; the partner of a mode passes on the conjugate of its gradient."""
        v, a, sigma, kappa = ctx.saved_tensors
        p, frame = ctx.power, ctx.frame
        N = a.shape[-1]
        if ctx.paired:
            v, a = (torch.cat((x, x.conj().resolve_conj()), -1) for x in (v, a))
        w = grads[0].conj().resolve_conj()
        grad_v = grad_a = grad_sigma = None
        if ctx.needs_input_grad[0]:
            grad_v = CauchyAdjoint.apply(w, a, sigma, kappa, p, frame).conj()
        if ctx.needs_input_grad[1]:
            moved = CauchyAdjoint.apply(w * frame.cast(kappa), a, sigma, kappa, p + 1, frame)
            grad_a = (p * (v * moved).sum(-2)).conj().to(a.dtype)
        if ctx.needs_input_grad[2]:
            moved = CauchySums.apply(v, a, sigma, kappa, p + 1, False, frame)
            grad_sigma = (-p * (w * moved).sum(-2)).conj().to(sigma.dtype)
            grad_sigma = grad_sigma.sum_to_size(sigma.shape)
        if ctx.paired:
            grad_v, grad_a = (
                None if g is None else g[..., :N] + g[..., N:].conj() for g in (grad_v, grad_a)
            )
        return grad_v, grad_a, grad_sigma, None, None, None, None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> tuple[Array, int]:
        """Take the mapped axis into the systems."""
        v, a, sigma = _systems(info, in_dims, inputs[:3])
        sums = CauchySums.apply(v, a, sigma, *inputs[3:])
        return sums.reshape(info.batch_size, -1, *sums.shape[1:]), 0


class CauchyAdjoint(torch.autograd.Function):
    """Sums (M, m, N) over the points."""

    @staticmethod
    def forward(w: Array, a: Array, sigma: Array, kappa: Array, power: int, frame: Any) -> Array:
        """Sum."""
        return adjoint_values(frame, w, a, sigma, kappa, power)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Array) -> None:
        """Keep the parameters."""
        w, a, sigma, kappa, ctx.power, ctx.frame = inputs
        ctx.save_for_backward(w, a, sigma, kappa)

    @staticmethod
    def backward(ctx: Any, *grads: Array) -> tuple[Any, ...]:
        """Sum over the nodes."""
        w, a, sigma, kappa = ctx.saved_tensors
        p, frame = ctx.power, ctx.frame
        v = grads[0].conj().resolve_conj()
        grad_w = grad_a = grad_sigma = None
        if ctx.needs_input_grad[0]:
            grad_w = CauchySums.apply(v, a, sigma, kappa, p, False, frame).conj()
        if ctx.needs_input_grad[1]:
            moved = CauchyAdjoint.apply(w * frame.cast(kappa), a, sigma, kappa, p + 1, frame)
            grad_a = (p * (v * moved).sum(-2)).conj().to(a.dtype)
        if ctx.needs_input_grad[2]:
            moved = CauchySums.apply(v, a, sigma, kappa, p + 1, False, frame)
            grad_sigma = (-p * (w * moved).sum(-2)).conj().to(sigma.dtype)
            grad_sigma = grad_sigma.sum_to_size(sigma.shape)
        return grad_w, grad_a, grad_sigma, None, None, None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> tuple[Array, int]:
        """Take the mapped axis into the systems."""
        w, a, sigma = _systems(info, in_dims, inputs[:3])
        sums = CauchyAdjoint.apply(w, a, sigma, *inputs[3:])
        return sums.reshape(info.batch_size, -1, *sums.shape[1:]), 0


def _systems(info: Any, in_dims: tuple[int | None, ...], arrays: tuple[Array, ...]) -> list[Array]:
    """Take the mapped axis into the systems; where there is one system for all, repeat it."""
    mapped = [
        x.expand(info.batch_size, *x.shape) if dim is None else x.movedim(dim, 0)
        for x, dim in zip(arrays, in_dims, strict=False)
    ]
    M = max(x.shape[1] for x in mapped)
    return [x.expand(-1, M, *x.shape[2:]).reshape(-1, *x.shape[2:]) for x in mapped]

r"""Gradients of the companion kernel and of the all-pole recurrence in torch.

Neither keeps a graph of its steps. The adjoint of an all-pole recurrence is the same recurrence run
backwards in time, and the kernel's gradients are correlations with it: with s the extension of c,
G the gradient of K, :math:`g_k = \sum_l G_l b_{k-l}` that of s, and

.. math:: \lambda_k = g_k + \sum_m p_{d-m} \lambda_{k+m} \quad (k \ge d),

they are :math:`\sum_l G_l s_{l+j}` for b, :math:`\sum_{k \ge d} \lambda_k s_{k-d+i}` for p, and for
c the first d entries of g plus the convolution of p with :math:`\lambda`. The backward passes are
made of differentiable functions, so that second derivatives come with them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from numerics._threads import threads
from numerics.arrays import Array, Frame
from ssm import _all_pole
from ssm._all_pole import convolve, correlate
from ssm._companion_kernel import kernel_values


class CompanionKernel(torch.autograd.Function):
    """Kernels (S, L) of rows p, b, c (S, d)."""

    @staticmethod
    def forward(p: Array, b: Array, c: Array, L: int, algorithm: str, frame: Frame) -> Array:
        """Compute the kernels."""
        return kernel_values(frame, p, b, c, L, algorithm)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Array) -> None:
        """Keep the parameters, which are all that the gradients need."""
        p, b, c, ctx.L, _, ctx.frame = inputs
        ctx.save_for_backward(p, b, c)

    @staticmethod
    def backward(ctx: Any, *grads: Array) -> tuple[Any, ...]:
        """Correlate the gradient with the extension of c and with its adjoint."""
        (grad,) = grads
        frame, L = ctx.frame, ctx.L
        p, b, c = (v.conj().resolve_conj() for v in ctx.saved_tensors)
        d = p.shape[-1]
        n = L + d - 1
        first = torch.zeros_like(p)
        first[..., 0] = 1
        s = CompanionKernel.apply(p, first, c, n, "auto", frame)
        g = convolve(frame, grad, b, n)
        grad_b = correlate(frame, s, grad, d)
        grad_c = g[..., :d]
        grad_p = torch.zeros_like(p)
        if L > 1:
            adjoint = torch.flip(AllPole.apply(p, torch.flip(g[..., d:], (-1,)), frame), (-1,))
            grad_p = correlate(frame, s, adjoint, d)
            grad_c = grad_c + _all_pole.pad(frame, convolve(frame, p, adjoint, d), 0, d)
        return grad_p, grad_b, grad_c, None, None, None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> tuple[Array, int]:
        """Take the mapped axis into the rows."""
        arrays, (L, algorithm, frame) = _rows(info, in_dims, inputs[:3]), inputs[3:]
        K = CompanionKernel.apply(*arrays, L, algorithm, frame)
        return K.reshape(info.batch_size, -1, L), 0


class AllPole(torch.autograd.Function):
    """Solve y_k = x_k + sum_i p_i y_{k-d+i} for rows p (S, d) and x (S, n)."""

    @staticmethod
    def forward(p: Array, x: Array, frame: Frame) -> Array:
        """Run the compiled loop on the host and the blocks on a device."""
        if x.device.type != "cpu":
            return _all_pole.all_pole_fft(frame, p, x)
        from ssm import _numba_companion

        host_p, host_x = (np.ascontiguousarray(v.detach().numpy()) for v in (p, x))
        y = np.empty_like(host_x)
        with threads(x.shape[0], p.shape[-1] * x.shape[-1]):
            _numba_companion.all_pole(host_p, host_x, y)
        return torch.from_numpy(y)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Array) -> None:
        """Keep the coefficients and the solution."""
        p, _, ctx.frame = inputs
        ctx.save_for_backward(p, output)

    @staticmethod
    def backward(ctx: Any, *grads: Array) -> tuple[Any, ...]:
        """Run the recurrence backwards in time."""
        (grad,) = grads
        frame = ctx.frame
        p, y = (v.conj().resolve_conj() for v in ctx.saved_tensors)
        d = p.shape[-1]
        adjoint = torch.flip(AllPole.apply(p, torch.flip(grad, (-1,)), frame), (-1,))
        delayed = _all_pole.pad(frame, y, d, y.shape[-1] + d)
        return correlate(frame, delayed, adjoint, d), adjoint, None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> tuple[Array, int]:
        """Take the mapped axis into the rows."""
        p, x = _rows(info, in_dims, inputs[:2])
        y = AllPole.apply(p, x, inputs[2])
        return y.reshape(info.batch_size, -1, x.shape[-1]), 0


def _rows(info: Any, in_dims: tuple[int | None, ...], arrays: tuple[Array, ...]) -> list[Array]:
    rows = []
    for array, dim in zip(arrays, in_dims, strict=False):
        mapped = (
            array.expand(info.batch_size, *array.shape) if dim is None else array.movedim(dim, 0)
        )
        rows.append(mapped.reshape(-1, mapped.shape[-1]))
    return rows

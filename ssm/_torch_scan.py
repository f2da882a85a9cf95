r"""Gradient of the linear scan in torch: the scan run the other way, and no graph of its steps.

With G the gradient of the states h, the adjoint

.. math:: \lambda_t = G_t + \bar a_{t+1} \lambda_{t+1}

is the gradient of b, :math:`\lambda_t \bar h_{t-1}` that of :math:`a_t`, and
:math:`\bar a_1 \lambda_1` that of the initial state. The adjoint is a scan that takes each
coefficient one step late, and its own adjoint is a scan that does not, so all derivatives exist.
"""

from __future__ import annotations

from typing import Any

import torch

from numerics.arrays import Array
from ssm._device_kernels import triton_runs
from ssm._linear_scan import scan_compiled, scan_parallel


class LinearScan(torch.autograd.Function):
    """States of coefficients a, inputs b and initial state h0 of equal rank; see `_linear_scan`."""

    @staticmethod
    def forward(
        a: Array,
        b: Array,
        h0: Array | None,
        axis: int,
        reverse: bool,
        lagged: bool,
        chunk: int | None,
        frame: Any,
    ) -> Array:
        """Run compiled kernels on the host and CUDA, and odd and even steps on other devices."""
        if triton_runs(frame, a, b, *_present(h0)):
            from ssm._device_scan import scan_states

            return scan_states(a, b, h0, axis, reverse, lagged)
        if b.device.type != "cpu":
            return scan_parallel(frame, a, b, h0, axis, reverse, lagged, chunk)
        a, b, h0 = (
            None if array is None else array.detach().resolve_conj().resolve_neg().numpy()
            for array in (a, b, h0)
        )
        return torch.from_numpy(scan_compiled(a, b, h0, axis, reverse, lagged))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Array) -> None:
        """Keep the coefficients and the states; the inputs are not needed."""
        a, b, h0, *ctx.options = inputs
        ctx.shape_b = b.shape
        ctx.save_for_backward(a, h0, output)

    @staticmethod
    def backward(ctx: Any, *grads: Array) -> tuple[Any, ...]:
        """Scan the other way, taking coefficients late if they were not, and now if they were."""
        a, h0, h = ctx.saved_tensors
        axis, reverse, lagged, chunk, frame = ctx.options
        grad_a = grad_b = grad_h0 = None
        # The kernel that does both at once is not recorded, as a second derivative would need.
        both = ctx.needs_input_grad[0] and not lagged and not torch.is_grad_enabled()
        if both and triton_runs(frame, a, grads[0], h, *_present(h0)):
            from ssm._device_scan import adjoint_states

            adjoint, grad_a = adjoint_states(a, grads[0], h, h0, axis, reverse)
        else:
            adjoint = LinearScan.apply(
                a.conj(), grads[0], None, axis, not reverse, not lagged, chunk, frame
            )
        start = adjoint.narrow(axis, adjoint.shape[axis] - 1 if reverse else 0, 1)
        if ctx.needs_input_grad[0] and grad_a is None:
            grad_a = _by_coefficients(a, adjoint, h, h0, start, axis, reverse, lagged)
        if ctx.needs_input_grad[1]:
            grad_b = adjoint.sum_to_size(ctx.shape_b)
        if ctx.needs_input_grad[2]:
            first = a.narrow(axis, a.shape[axis] - 1 if reverse else 0, 1)
            grad_h0 = (first.conj() * start).sum_to_size(h0.shape).to(h0.dtype)
        return grad_a, grad_b, grad_h0, None, None, None, None, None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> tuple[Array, int]:
        """Take the mapped axis in front of the others."""
        arrays = [
            array if array is None else array[None] if dim is None else array.movedim(dim, 0)
            for array, dim in zip(inputs[:3], in_dims, strict=False)
        ]
        return LinearScan.apply(*arrays, *inputs[3:]), 0


def _present(*arrays: Array | None) -> list[Array]:
    return [array for array in arrays if array is not None]


def _by_coefficients(
    a: Array,
    adjoint: Array,
    h: Array,
    h0: Array | None,
    start: Array,
    axis: int,
    reverse: bool,
    lagged: bool,
) -> Array:
    """Gradient of a: the adjoint times the state one step before it, summed where a is broadcast.

    It belongs to the step of the adjoint, or to that of the state when the scan was ``lagged``.
    The first step meets the initial state, and when ``lagged`` no state at all.
    """
    steps = h.shape[axis] - 1
    later, before = (0, 1) if reverse else (1, 0)
    inner = adjoint.narrow(axis, later, steps) * h.narrow(axis, before, steps).conj()
    end = torch.zeros_like(start) if h0 is None else start * h0.conj().to(start.dtype)
    if a.shape[axis] == 1:
        return (inner.sum_to_size(a.shape) + end.sum_to_size(a.shape)).to(a.dtype)
    parts = (inner, end) if reverse != lagged else (end, inner)
    return torch.cat(parts, dim=axis).sum_to_size(a.shape).to(a.dtype)

r"""Gradients of the squared Bures-Wasserstein distance in torch.

With the transport map T from A to B, the gradients are :math:`\bar A = I - T` and
:math:`\bar B = I - T^{-1}`: no polar factor is differentiated, since the squared distance is a
minimum over unitary matrices and the best one contributes nothing. The second derivatives
differentiate these formulas.
"""

from __future__ import annotations

from typing import Any

import array_api_compat.torch as torch_xp
import torch

from geometry.spd.bures_wasserstein import BuresWasserstein
from numerics.arrays import Array, Frame


class SquaredDistance(torch.autograd.Function):
    """Value and gradients come in from outside as constants; M may be None."""

    generate_vmap_rule = True

    @staticmethod
    def forward(
        A: Array,
        B: Array,
        M: Array | None,
        value: Array,
        grad_A: Array | None,
        grad_B: Array | None,
        grad_M: Array | None,
    ) -> Array:
        """Return the value."""
        return value.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Array) -> None:
        """Keep the gradients, and the matrices for second derivatives."""
        A, B, M, _, *gradients = inputs
        ctx.save_for_backward(A, B, M, *gradients)

    @staticmethod
    def backward(ctx: Any, *grads: Array) -> tuple[Any, ...]:
        """Scale the gradients."""
        A, B, M, *gradients = ctx.saved_tensors
        if torch.is_grad_enabled():
            single = A.dtype in (torch.float32, torch.complex64)
            frame = Frame(torch_xp, A.device, single)
            gradients = BuresWasserstein(frame, M).difference(A, B).gradients()
        g = grads[0][..., None, None]
        return *(None if x is None else g * x for x in gradients), None, None, None, None

r"""Gradients of matrix functions, Lyapunov solutions and polar factors in torch.

Real parts of traces :math:`\langle X, Y \rangle = \operatorname{Re} \operatorname{tr} X^H Y` are
the inner product, G is the gradient of a result, and decompositions come in from outside as
constants: their part in the gradient is in the formulas.

* :math:`f(A)`: :math:`\bar A = D f_A[G]`, and :math:`\bar\theta = \langle G, A^\theta \log A
  \rangle` of a power. The second derivative, with second divided differences T in the eigenbasis,
  is :math:`D^2 f_A[E, F]_{ij} = \sum_k T_{ikj} (E_{ik} F_{kj} + F_{ik} E_{kj})`.
* :math:`f(C C^H)` from the singular values of C: :math:`\bar C = 2 D f_{C C^H}[G] C`.
* :math:`X = L_P[V]`: :math:`\bar V = L_P[G]`, :math:`\bar P` the Hermitian part of
  :math:`-\bar V X^H - X^H \bar V`.
* :math:`W = Q H`: :math:`\bar W = Q L_H[Q^H G - G^H Q]`.
"""

from __future__ import annotations

from typing import Any

import array_api_compat.torch as torch_xp
import torch
from torch.autograd.function import once_differentiable

from geometry.spd._divided_differences import (
    divided_differences,
    second_divided_differences,
    spectral_values,
)
from geometry.spd._linear_algebra import hermitian_part, real_inner
from geometry.spd.lyapunov_equation import divided_by_sums
from geometry.spd.spectral import compose, rotated
from numerics.arrays import Array, Frame

_SLOPE = {"power": "power_log", "power_log": "power_log_log"}  # derivatives in the exponent


def _frame(A: Array) -> Frame:
    return Frame(torch_xp, A.device, A.dtype in (torch.float32, torch.complex64))


class SpectralFunctions(torch.autograd.Function):
    """Functions ``names`` of Hermitian A (..., n, n) = U diag(w) U^H; theta (...) or None."""

    generate_vmap_rule = True

    @staticmethod
    def forward(
        A: Array, theta: Array | None, w: Array, U: Array, names: tuple[str, ...]
    ) -> tuple[Array, ...]:
        """Compose each from the eigendecomposition."""
        frame = _frame(U)
        return tuple(compose(frame, U, spectral_values(frame, w, name, theta)) for name in names)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Keep the decomposition, and the matrix for second derivatives."""
        *tensors, ctx.names = inputs
        ctx.save_for_backward(*tensors)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, *grads: Array | None) -> tuple[Any, ...]:
        """Take one derivative for all functions, in the directions of their gradients."""
        A, theta, w, U = ctx.saved_tensors
        frame = _frame(U)
        directions = {
            name: hermitian_part(frame, grad)
            for name, grad in zip(ctx.names, grads, strict=True)
            if grad is not None
        }
        grad_A = grad_theta = None
        if directions and ctx.needs_input_grad[0]:
            names = tuple(directions)
            grad_A = SpectralDerivative.apply(A, theta, w, U, names, *directions.values())
        if theta is not None and ctx.needs_input_grad[1]:
            for name in _SLOPE.keys() & directions.keys():
                slope = SpectralFunctions.apply(A, theta, w, U, (_SLOPE[name],))[0]
                grad_theta = real_inner(frame, directions[name], slope)
        return grad_A, grad_theta, None, None, None


class SpectralDerivative(torch.autograd.Function):
    """Sum of the derivatives of functions ``names`` at A = U diag(w) U^H, one direction each."""

    generate_vmap_rule = True

    @staticmethod
    def forward(
        A: Array, theta: Array | None, w: Array, U: Array, names: tuple[str, ...], *E: Array
    ) -> Array:
        """Multiply by divided differences in the eigenbasis."""
        frame = _frame(U)
        inner = sum(
            divided_differences(frame, w, name, theta) * (U.mH @ direction @ U)
            for name, direction in zip(names, E, strict=True)
        )
        return hermitian_part(frame, U @ inner @ U.mH)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Keep the decomposition and the directions."""
        _, theta, w, U, ctx.names, *E = inputs
        ctx.save_for_backward(theta, w, U, *E)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Array) -> tuple[Any, ...]:
        """Second derivative for A, the same derivative for each direction."""
        theta, w, U, *E = ctx.saved_tensors
        frame = _frame(U)
        G = hermitian_part(frame, grads[0])
        grad_A = grad_theta = None
        grads_E = [
            rotated(frame, U, divided_differences(frame, w, name, theta), G) for name in ctx.names
        ]
        for name, direction in zip(ctx.names, E, strict=True):
            if ctx.needs_input_grad[0]:
                term = _second_derivative(frame, w, U, name, theta, direction, G)
                grad_A = term if grad_A is None else grad_A + term
            if theta is not None and ctx.needs_input_grad[1] and name in _SLOPE:
                F = divided_differences(frame, w, _SLOPE[name], theta)
                grad_theta = real_inner(frame, G, rotated(frame, U, F, direction))
        return grad_A, grad_theta, None, None, None, *grads_E


class GramFunction(torch.autograd.Function):
    """Function ``name`` of C C^H, C = U diag(s) Wh (..., n, n); theta (...) or None."""

    generate_vmap_rule = True

    @staticmethod
    def forward(C: Array, theta: Array | None, U: Array, s: Array, Wh: Array, name: str) -> Array:
        """Compose from the squares of the singular values."""
        frame = _frame(U)
        return compose(frame, U, spectral_values(frame, s * s, name, theta))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Keep the decomposition, and the matrix for second derivatives."""
        *tensors, ctx.name = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, *grads: Array) -> tuple[Any, ...]:
        """Pull the derivative back along C -> C C^H."""
        C, theta, U, s, Wh = ctx.saved_tensors
        frame = _frame(U)
        G = hermitian_part(frame, grads[0])
        grad_C = grad_theta = None
        if ctx.needs_input_grad[0]:
            grad_C = GramDerivative.apply(C, theta, U, s, Wh, ctx.name, G)
        if theta is not None and ctx.needs_input_grad[1]:
            slope = GramFunction.apply(C, theta, U, s, Wh, _SLOPE[ctx.name])
            grad_theta = real_inner(frame, G, slope)
        return grad_C, grad_theta, None, None, None, None


class GramDerivative(torch.autograd.Function):
    r"""The gradient :math:`2 D f_{C C^H}[E] C` for Hermitian E, small singular values kept."""

    generate_vmap_rule = True

    @staticmethod
    def forward(
        C: Array, theta: Array | None, U: Array, s: Array, Wh: Array, name: str, E: Array
    ) -> Array:
        """Scale by the singular values before leaving their basis."""
        F = divided_differences(_frame(U), s * s, name, theta)
        return 2 * U @ ((F * (U.mH @ E @ U)) * s[..., None, :]) @ Wh

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Keep the decomposition and the direction."""
        C, theta, U, s, Wh, ctx.name, E = inputs
        ctx.save_for_backward(C, theta, U, s, Wh, E)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Array) -> tuple[Any, ...]:
        """Differentiate the product, and f twice."""
        C, theta, U, s, _, E = ctx.saved_tensors
        frame, name, w, H = _frame(U), ctx.name, s * s, grads[0]
        F = divided_differences(frame, w, name, theta)
        G = 2 * hermitian_part(frame, H @ C.mH)
        grad_C = grad_theta = None
        if ctx.needs_input_grad[0]:
            second = _second_derivative(frame, w, U, name, theta, E, G)
            grad_C = 2 * (rotated(frame, U, F, E) @ H + second @ C)
        if theta is not None and ctx.needs_input_grad[1]:
            slope = divided_differences(frame, w, _SLOPE[name], theta)
            grad_theta = real_inner(frame, G, rotated(frame, U, slope, E))
        return grad_C, grad_theta, None, None, None, None, rotated(frame, U, F, G)


class Lyapunov(torch.autograd.Function):
    """Solution X of PX + XP = V for Hermitian P = U diag(w) U^H."""

    generate_vmap_rule = True

    @staticmethod
    def forward(P: Array, V: Array, w: Array, U: Array) -> Array:
        """Divide by sums of eigenvalues."""
        return divided_by_sums(_frame(U), V, w, U)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Array) -> None:
        """Keep the solution and what it takes to solve again."""
        P, _, w, U = inputs
        ctx.save_for_backward(P, w, U, output)

    @staticmethod
    def backward(ctx: Any, *grads: Array) -> tuple[Any, ...]:
        """Solve for the adjoint."""
        P, w, U, X = ctx.saved_tensors
        grad_V = Lyapunov.apply(P, grads[0], w, U)
        grad_P = None
        if ctx.needs_input_grad[0]:
            grad_P = -hermitian_part(_frame(U), grad_V @ X.mH + X.mH @ grad_V)
        return grad_P, grad_V, None, None


class PolarFactor(torch.autograd.Function):
    """Unitary factor Q of W = QH, W = Y diag(s) Zh."""

    generate_vmap_rule = True

    @staticmethod
    def forward(W: Array, Y: Array, s: Array, Zh: Array) -> Array:
        """Drop the singular values."""
        return Y @ Zh

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Array) -> None:
        """Keep the factor and the decomposition of H."""
        W, _, s, Zh = inputs
        ctx.save_for_backward(W, s, Zh, output)

    @staticmethod
    def backward(ctx: Any, *grads: Array) -> tuple[Any, ...]:
        """Solve a Lyapunov equation with H."""
        W, s, Zh, Q = ctx.saved_tensors
        H = hermitian_part(_frame(W), Q.mH @ W)
        half = Q.mH @ grads[0]
        return Q @ Lyapunov.apply(H, half - half.mH, s, Zh.mH), None, None, None


def _second_derivative(
    frame: Frame, w: Array, U: Array, name: str, theta: Array | None, E: Array, G: Array
) -> Array:
    """Second Frechet derivative in the Hermitian directions E and G."""
    T = second_divided_differences(frame, w, name, theta).to(U.dtype)
    E, G = U.mH @ E @ U, U.mH @ G @ U
    half = torch.einsum("...ikj,...ik,...kj->...ij", T, E, G)
    return U @ (half + half.mH) @ U.mH

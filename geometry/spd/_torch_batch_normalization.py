r"""Gradients of the Bures-Wasserstein batch normalisation's steps in torch.

Matrices appear by square roots. Any root is as good as another to what follows, so that gradients
of roots K and of matrices :math:`Y = K K^H` are related by :math:`\bar K = 2 \bar Y K`, and a root
may be taken from an eigendecomposition, whose vectors have no gradient of their own. Decompositions
come in from outside as constants, and so do the bases in which results are given.

* The root :math:`U \operatorname{diag}(w^{\theta/2})` of :math:`X^\theta`.
* The logarithm, moved from the mean :math:`B = U_b \operatorname{diag}(\beta^2) U_b^H` to I, is
  :math:`V = f(\mathcal S_B)[T - I]`, :math:`f(x) = (2x)^{1/2}`, of the transport map T and the
  operator :math:`\mathcal S_B[E] = B E + E B`, whose eigenvalues are sums of eigenvalues of B.
* The transport to I is the function :math:`f(x) = (2/x)^{1/2}` of :math:`\mathcal S_P`.

With :math:`F_{ijk} = f[p_i + p_j, p_k + p_j]` the derivative of such a function is

.. math:: dX_{ij} = \sum_k F_{ijk} \, dP_{ik} E_{kj} + \text{adjoint} .
"""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd.function import once_differentiable

from geometry.spd._divided_differences import divided_differences
from geometry.spd._folding import folded_differences, folded_values
from geometry.spd._linear_algebra import adjoint, hermitian_part, real_inner
from geometry.spd._torch import _frame
from geometry.spd._transport_to_identity import times_each
from geometry.spd.spectral import compose, rotated
from numerics.arrays import Array, Frame


class PowerRoot(torch.autograd.Function):
    """Root U diag(w^(theta / 2)) of the power theta (...) of X = U diag(w) U^H."""

    generate_vmap_rule = True

    @staticmethod
    def forward(X: Array, theta: Array, w: Array, U: Array) -> Array:
        """Scale the eigenvectors."""
        return U * (w ** (theta[..., None] / 2))[..., None, :]

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Array) -> None:
        """Keep the decomposition."""
        _, theta, w, U = inputs
        ctx.save_for_backward(theta, w, U, output)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Array) -> tuple[Any, ...]:
        """Undo the root, then the power."""
        theta, w, U, K = ctx.saved_tensors
        frame, G = _frame(U), grads[0]
        grad_X = grad_theta = None
        if ctx.needs_input_grad[0]:
            root = w ** (theta[..., None] / 2)
            inner = hermitian_part(frame, U.mH @ G / root[..., None, :])
            inner = _power_differences(frame, w, theta) * inner / 2
            grad_X = hermitian_part(frame, U @ inner @ U.mH)
        if ctx.needs_input_grad[1]:
            grad_theta = real_inner(frame, G, K * w.log()[..., None, :]) / 2
        return grad_X, grad_theta, None, None


class MovedLogarithm(torch.autograd.Function):
    """Logarithms at B = R R^H of Y = K K^H, moved to I, in the eigenbasis U of R = U diag(b) *.

    With the singular value decomposition of K^H U diag(b), ``left`` has its left vectors times its
    singular values s in its rows, ``right`` its right vectors.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(
        K: Array, R: Array, U: Array, b: Array, left: Array, s: Array, right: Array
    ) -> Array:
        """Compose from the singular values and vectors."""
        sums = (b[..., :, None] ** 2 + b[..., None, :] ** 2) * 2
        weights = sums.sqrt() / (b[..., :, None] * b[..., None, :])
        V = weights * (right.mH @ (s[..., :, None] * right))
        V.diagonal(dim1=-2, dim2=-1).sub_(2 * b)
        return V

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Array) -> None:
        """Keep the decompositions and the result."""
        K, R, U, b, left, s, right = inputs
        ctx.save_for_backward(R, U, b, left, s, right, output)
        ctx.batches = K.shape[:-2], R.shape[:-2]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Array) -> tuple[Any, ...]:
        """A Lyapunov equation a matrix, in the basis of its singular vectors."""
        R, U, b, left, s, right, V = ctx.saved_tensors
        frame, G = _frame(U), grads[0]
        roots = (2 * (b[..., :, None] ** 2 + b[..., None, :] ** 2)).sqrt()
        weighted = G * roots / (b[..., :, None] * b[..., None, :])
        N = right @ weighted @ right.mH / (s[..., :, None] + s[..., None, :])
        grad_K = grad_R = None
        if ctx.needs_input_grad[0]:
            inner = (right.mH @ N) @ left
            grad_K = times_each(frame, 2 * U * b[..., None, :], inner)
            grad_K = _summed_to(grad_K, ctx.batches[0])
        if ctx.needs_input_grad[1]:
            inner = right.mH @ (s[..., :, None] * N * s[..., None, :])
            inner = _sum_of_products(inner, right, U.ndim)
            by_map = -inner / (b[..., :, None] * b[..., None, :])
            slopes = 2 / (roots[..., :, :, None] + roots.mT[..., None, :, :])
            by_operator = _operator_gradient(slopes, G, V / roots, U.ndim)
            grad_B = U @ (by_map + by_operator) @ U.mH
            grad_R = _summed_to(2 * hermitian_part(frame, grad_B) @ R, ctx.batches[1])
        return grad_K, grad_R, None, None, None, None, None


class TransportToIdentity(torch.autograd.Function):
    """Hermitian V (..., n, n) from P = K K^H = U diag(p) U^H to I, in the basis U.

    V is given in another basis, in which the columns of ``basis`` are those of U.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(K: Array, V: Array, p: Array, U: Array, basis: Array) -> Array:
        """Scale in the eigenbasis."""
        frame = _frame(U)
        roots = ((p[..., :, None] + p[..., None, :]) / 2).sqrt()
        X = times_each(frame, adjoint(frame, basis), V @ basis)
        return hermitian_part(frame, X) / roots

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Array) -> None:
        """Keep the decomposition and the result."""
        K, V, p, U, basis = inputs
        ctx.save_for_backward(K, p, U, basis, output)
        ctx.batches = K.shape[:-2], V.shape[:-2]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Array) -> tuple[Any, ...]:
        """Scale the gradient for V; sum over all vectors for K."""
        K, p, U, basis, X = ctx.saved_tensors
        frame = _frame(U)
        G = hermitian_part(frame, grads[0])
        roots = ((p[..., :, None] + p[..., None, :]) / 2).sqrt()
        grad_K = grad_V = None
        if ctx.needs_input_grad[1]:
            grad_V = times_each(frame, basis, G / roots @ basis.mH)
            grad_V = _summed_to(grad_V, ctx.batches[1])
        if ctx.needs_input_grad[0]:
            x, y = roots[..., :, :, None], roots.mT[..., None, :, :]
            inner = _operator_gradient(-1 / (2 * x * y * (x + y)), G, X * roots, U.ndim)
            grad_K = _summed_to(2 * (U @ inner @ U.mH) @ K, ctx.batches[0])
        return grad_K, grad_V, None, None, None


class Gram(torch.autograd.Function):
    """K K^H, whose gradient is one product."""

    generate_vmap_rule = True

    @staticmethod
    def forward(K: Array) -> Array:
        """Hermitian to the last bit."""
        return hermitian_part(_frame(K), K @ K.mH)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Array) -> None:
        """Keep the factor."""
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *grads: Array) -> Array:
        """Multiply by twice the Hermitian part."""
        (K,) = ctx.saved_tensors
        return (grads[0] + grads[0].mH) @ K


class Folding(torch.autograd.Function):
    """Image of V = U diag(v) U^H under the two exponentials at I, scaled by c > 0 in between."""

    generate_vmap_rule = True

    @staticmethod
    def forward(V: Array, c: Array, v: Array, U: Array) -> Array:
        """Compose from the images of the eigenvalues."""
        frame = _frame(U)
        return compose(frame, U, folded_values(frame, v, c)[0])

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Array) -> None:
        """Keep the decomposition."""
        _, c, v, U = inputs
        ctx.save_for_backward(c, v, U)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Array) -> tuple[Any, ...]:
        """Multiply by divided differences in the eigenbasis."""
        c, v, U = ctx.saved_tensors
        frame, G = _frame(U), hermitian_part(_frame(U), grads[0])
        grad_V = grad_c = None
        if ctx.needs_input_grad[0]:
            grad_V = rotated(frame, U, folded_differences(frame, v, c), G)
        if ctx.needs_input_grad[1]:
            rates = folded_values(frame, v, c)[2]
            grad_c = real_inner(frame, G, compose(frame, U, rates))
        return grad_V, grad_c, None, None


def is_recorded(frame: Frame, arrays: tuple[Array, ...]) -> bool:
    """Whether some gradient or a transform of functions asks for a function's record."""
    if not all(frame.has_values(array) for array in arrays):
        return True
    return torch.is_grad_enabled() and any(array.requires_grad for array in arrays)


def _power_differences(frame: Frame, w: Array, theta: Array) -> Array:
    """Divided differences of the power, by a shorter formula for the square root."""
    if frame.has_values(theta) and not theta.requires_grad and bool((theta == 0.5).all()):
        return divided_differences(frame, w, "sqrt")
    return divided_differences(frame, w, "power", theta)


def _operator_gradient(slopes: Array, G: Array, E: Array, ndim: int) -> Array:
    r"""Gradient of P for X = f(S_P)[E] in its eigenbasis, summed over axes in front of ``ndim``."""
    shape = (-1, *G.shape[G.ndim - ndim :])
    products = torch.einsum("z...ij,z...jk->...ijk", G.reshape(shape), E.reshape(shape))
    inner = (slopes.to(G.dtype) * products).sum(-2)
    return inner + inner.mH


def _sum_of_products(A: Array, B: Array, ndim: int) -> Array:
    """Sum of A B over the axes in front of the last ``ndim``."""
    shape = (-1, *A.shape[A.ndim - ndim :])
    return torch.einsum("z...ij,z...jk->...ik", A.reshape(shape), B.reshape(shape))


def _summed_to(X: Array, batch: torch.Size) -> Array:
    return X if X.shape[:-2] == batch else X.sum_to_size(*batch, *X.shape[-2:])

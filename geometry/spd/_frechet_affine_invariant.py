r"""Affine-invariant means by Newton's method in whitened coordinates.

With :math:`S = L L^H`, L lower triangular, and the singular value decompositions
:math:`L^{-1} K_i = U_i \operatorname{diag}(\sigma_i) V_i^H` of whitened factors
:math:`X_i = K_i K_i^H`, the gradient of :math:`f = \tfrac12 \sum_i w_i d(S, X_i)^2` in the
orthonormal coordinates :math:`S(t) = L \exp(t x) L^H` is

.. math:: -\nabla f = \sum_i w_i U_i \operatorname{diag}(\lambda_i) U_i^H, \qquad
          \lambda_i = 2 \log \sigma_i,

and the Hessian of a squared half distance multiplies, in the basis :math:`U_i`, by
:math:`h \coth h` with :math:`h = (\lambda_{ij} - \lambda_{ik}) / 2`. It lies between 1 and
:math:`(c/2) \coth(c/2)`, c the largest spread of a :math:`\lambda_i`: the inverse of that bound is
the length of a safe gradient step. The Hessian is well conditioned whatever the samples are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from geometry.spd._divided_differences import divided_differences
from geometry.spd._frechet_newton import (
    averaged_compositions,
    averaged_products,
    fine_enough,
    residual_norm,
)
from geometry.spd._linear_algebra import (
    adjoint,
    congruence,
    diagonal,
    gram,
    hermitian_part,
    solve_lower,
    solve_lower_adjoint,
)
from geometry.spd.spectral import compose
from numerics.arrays import Array, Frame

_EPS = float(np.finfo(np.float64).eps)
_SPREAD = 1e4  # of whitened eigenvalues, up to which they may do for singular values


@dataclass(frozen=True)
class InvariantProblem:
    """Square roots ``factors`` (B, N, n, n) of the samples, and weights (B, N) of sum one."""

    frame: Frame
    factors: Array
    weights: Array
    rtol: float

    def taken(self, index: Array) -> InvariantProblem:
        """Keep some of the means."""
        return replace(self, factors=self.factors[index], weights=self.weights[index])

    def at(self, root: Array) -> InvariantPoint:
        """Whiten the samples by the square root of a point."""
        frame, xp = self.frame, self.frame.xp
        L = adjoint(frame, xp.linalg.qr(adjoint(frame, root)).R)
        C = solve_lower(frame, L[:, None], self.factors)
        w, vectors = xp.linalg.eigh(gram(frame, C))
        smallest, largest = w[..., 0], w[..., -1]
        if bool(xp.all(smallest * _SPREAD > largest)):
            point = self._point(L, xp.log(w), vectors)
            noise = _EPS * xp.max(largest / smallest, axis=1)
            if fine_enough(frame, noise, point.residual, self.rtol):
                return point
        vectors, sigma, _ = xp.linalg.svd(C)
        return self._point(L, 2 * xp.log(sigma), vectors)

    def _point(self, L: Array, logs: Array, vectors: Array) -> InvariantPoint:
        """Point where whitened samples have logarithms ``logs`` in the bases ``vectors``."""
        frame, xp = self.frame, self.frame.xp
        weighted = self.weights[:, :, None] * logs
        descent = averaged_compositions(frame, vectors, weighted)
        value = xp.sum(weighted * logs, axis=(1, 2)) / 2
        eye = xp.eye(L.shape[-1], dtype=L.dtype, device=frame.device)
        inverse = solve_lower(frame, L, xp.broadcast_to(eye, L.shape))
        h = xp.abs(logs[..., :, None] - logs[..., None, :]) / 2
        positive = h > 0
        h = xp.where(positive, h, 1.0)
        condition = residual_norm(frame, L) * residual_norm(frame, inverse)
        return InvariantPoint(
            frame=frame,
            weights=self.weights,
            root=L,
            logs=logs,
            curvature=self.weights[:, :, None, None] * xp.where(positive, h / xp.tanh(h), 1.0),
            vectors=vectors,
            descent=descent,
            residual=residual_norm(frame, descent),
            rounding=4 * _EPS * condition,
            value=value,
            size=1 + value,
        )


@dataclass(frozen=True)
class InvariantPoint:
    """Linearisation of the stationarity at S = L L^H, ``root`` being L."""

    frame: Frame
    weights: Array
    root: Array
    logs: Array
    curvature: Array
    vectors: Array
    descent: Array
    residual: Array
    rounding: Array
    value: Array
    size: Array

    def hessian(self, x: Array) -> Array:
        """Second derivative of the objective along the geodesic of x."""
        frame = self.frame
        return hermitian_part(frame, averaged_products(frame, self.vectors, self.curvature, x))

    def fixed_point_step(self) -> Array:
        """The gradient step of a length safe for the largest curvature."""
        xp = self.frame.xp
        spread = xp.max(xp.max(self.logs, axis=-1) - xp.min(self.logs, axis=-1), axis=1) / 2
        positive = spread > 0
        spread = xp.where(positive, spread, 1.0)
        length = xp.where(positive, xp.tanh(spread) / spread, 1.0)
        return length[:, None, None] * self.descent

    def moved(self, x: Array) -> Array:
        """L exp(x / 2)."""
        xp = self.frame.xp
        w, U = xp.linalg.eigh(x)
        return self.root @ compose(self.frame, U, xp.exp(w / 2))

    def adjoint_right(self, grad: Array) -> Array:
        """Gradient (B, n, n) of the mean in the coordinates of :meth:`hessian`."""
        return congruence(self.frame, adjoint(self.frame, self.root), grad)

    def adjoint_left(self, y: Array) -> tuple[Array, Array]:
        """Gradients in samples (B, N, n, n) and weights (B, N) for the solution y."""
        frame, U = self.frame, self.vectors
        inner = adjoint(frame, U) @ y[:, None] @ U
        F = divided_differences(frame, frame.xp.exp(self.logs), "log")
        whitened = U @ (F * inner) @ adjoint(frame, U)
        L = self.root[:, None]
        half = solve_lower_adjoint(frame, L, whitened)
        samples = hermitian_part(frame, solve_lower_adjoint(frame, L, adjoint(frame, half)))
        slopes = frame.xp.sum(self.logs * diagonal(frame, inner), axis=-1)
        return self.weights[:, :, None, None] * samples, slopes

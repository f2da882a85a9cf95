r"""Bures-Wasserstein means by Newton's method in aligned square roots.

With :math:`S = G G^H`, :math:`X_i = K_i K_i^H` and the polar factors
:math:`K_i^H G = Q_i R_i`, the fixed-point iteration (Alvarez-Esteban, del Barrio, Cuesta-Albertos
and Matran, arXiv 1511.05355) is

.. math:: G \mapsto H = \sum_i w_i K_i Q_i = (I + V) G, \qquad V = \sum_i w_i T_{S \to X_i} - I,

a step against the gradient: :math:`f = \tfrac12 \sum_i w_i d(S, X_i)^2` has
:math:`\lVert \operatorname{grad} f \rVert_S = \lVert H - G \rVert_F`. Along
:math:`S(t) = (I + tY) S (I + tY)`, whose Euclidean velocity is :math:`G E G^H`,

.. math:: f'' = \tfrac12 \sum_i w_i \langle E, \mathcal L_{R_i}[R_i E R_i] \rangle
          - \langle V, Y S Y \rangle .

G is taken as :math:`U \operatorname{diag}(s)`, in whose basis :math:`Y_{jk} (s_j^2 + s_k^2) =
s_j E_{jk} s_k`, and :math:`x_{jk} = Y_{jk} ((s_j^2 + s_k^2) / 2)^{1/2}` is orthonormal:
:math:`\lVert x \rVert_F^2 = \operatorname{tr} Y S Y`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

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
    diagonal_matrix,
    gram,
    hermitian_part,
)
from numerics.arrays import Array, Frame

_EPS = float(np.finfo(np.float64).eps)
_TINY = float(np.finfo(np.float64).tiny)
_SPREAD = 100.0  # of singular values of G, up to which eigenvalues may do


@dataclass(frozen=True)
class WassersteinProblem:
    """Square roots ``factors`` (B, N, n, n) of the samples, and weights (B, N) of sum one."""

    frame: Frame
    factors: Array
    weights: Array
    rtol: float

    def taken(self, index: Array) -> WassersteinProblem:
        """Keep some of the means."""
        return replace(self, factors=self.factors[index], weights=self.weights[index])

    def at(self, root: Array) -> WassersteinPoint:
        """Align the samples with the square root of a point."""
        frame, xp = self.frame, self.frame.xp
        basis, s, _ = xp.linalg.svd(root)
        G = basis * s[:, None, :]
        W = adjoint(frame, self.factors) @ G[:, None]
        spread = s[:, 0] / s[:, -1]
        if bool(xp.all(spread < _SPREAD)):
            r, vectors = eigenvalue_roots(frame, gram(frame, adjoint(frame, W)))
            noise = _EPS * spread * xp.max(r[..., -1] / r[..., 0], axis=1)
            average = averaged_compositions(frame, vectors, self.weights[:, :, None] * r)
            change = average - diagonal_matrix(frame, s * s)
            point = self._point(basis, s, r, vectors, change / s[:, :, None])
            if fine_enough(frame, noise, point.residual, self.rtol):
                return point
        left, r, right = xp.linalg.svd(W)
        aligned = self.factors @ (left @ right)
        H = xp.sum(self.weights[:, :, None, None] * aligned, axis=1)
        return self._point(basis, s, r, adjoint(frame, right), adjoint(frame, basis) @ (H - G))

    def _point(
        self, basis: Array, s: Array, r: Array, vectors: Array, change: Array
    ) -> WassersteinPoint:
        """Point where the fixed-point iteration adds basis ``change`` to its square root."""
        frame, xp = self.frame, self.frame.xp
        k = s * s
        size, n = xp.sum(k, axis=-1), s.shape[-1]
        rho = xp.sqrt((k[:, :, None] + k[:, None, :]) / 2)
        descent = hermitian_part(frame, change * s[:, None, :]) / rho
        curvature = r[..., :, None] * r[..., None, :] / (r[..., :, None] + r[..., None, :])
        return WassersteinPoint(
            frame=frame,
            weights=self.weights,
            root=basis * s[:, None, :],
            basis=basis,
            s=s,
            rho=rho,
            r=r,
            curvature=self.weights[:, :, None, None] * curvature,
            vectors=vectors,
            descent=descent,
            residual=residual_norm(frame, descent) / xp.sqrt(size),
            rounding=xp.full(size.shape, 4 * n * _EPS, dtype=size.dtype, device=frame.device),
            value=size / 2 - xp.sum(self.weights * xp.sum(r, axis=-1), axis=-1),
            size=size,
        )


@dataclass(frozen=True)
class WassersteinPoint:
    """Linearisation of the stationarity at S = G G^H, ``root`` being G = basis diag(s)."""

    frame: Frame
    weights: Array
    root: Array
    basis: Array
    s: Array
    rho: Array
    r: Array
    curvature: Array
    vectors: Array
    descent: Array
    residual: Array
    rounding: Array
    value: Array
    size: Array

    def hessian(self, x: Array) -> Array:
        """Second derivative of the objective along the geodesic of x."""
        frame, scale = self.frame, self._scale()
        curved = scale * averaged_products(frame, self.vectors, self.curvature, scale * x) / 2
        k = (self.s * self.s)[:, None, :]
        bent = (self.descent / self.rho) @ (x / self.rho * k)
        return hermitian_part(frame, curved - bent / self.rho)

    def fixed_point_step(self) -> Array:
        """The gradient step, to the mean of the aligned square roots."""
        return self.descent

    def moved(self, x: Array) -> Array:
        """(I + Y) G."""
        return self.root + self.basis @ (x / self.rho * self.s[:, None, :])

    def adjoint_right(self, grad: Array) -> Array:
        """Gradient (B, n, n) of the mean in the coordinates of :meth:`hessian`."""
        return self._scale() * congruence(self.frame, adjoint(self.frame, self.root), grad)

    def adjoint_left(self, y: Array) -> tuple[Array, Array]:
        """Gradients in samples (B, N, n, n) and weights (B, N) for the solution y."""
        frame, r, U = self.frame, self.r, self.vectors
        Z = (self._scale() * y / 2)[:, None]
        inner = adjoint(frame, U) @ Z @ U
        solved = U @ (inner / (r[..., :, None] + r[..., None, :])) @ adjoint(frame, U)
        samples = congruence(frame, self.root[:, None], solved)
        slopes = frame.xp.sum(r * diagonal(frame, inner), axis=-1)
        return self.weights[:, :, None, None] * samples, slopes

    def _scale(self) -> Array:
        """E_jk / x_jk."""
        return 2 * self.rho / (self.s[:, :, None] * self.s[:, None, :])


def eigenvalue_roots(frame: Frame, A: Array) -> tuple[Array, Array]:
    """Roots of the eigenvalues, at least the smallest normal number, and eigenvectors."""
    w, U = frame.xp.linalg.eigh(A)
    return frame.xp.sqrt(frame.xp.clip(w, min=_TINY)), U

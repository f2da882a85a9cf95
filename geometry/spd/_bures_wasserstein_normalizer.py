r"""Bures-Wasserstein batch normalisation in square roots (arXiv 2504.00660).

With :math:`M = C C^H`, the matrix A has the coordinates K, :math:`K K^H = C^{-1} A^\theta C^{-H}`:
there the metric has neither M nor theta, and any square root will do. Let the root of a matrix X,
aligned with the root R of the mean B, be R + D. Then

.. math:: \operatorname{Log}_B X = D R^H + R D^H, \qquad d(X, B) = \lVert D \rVert_F,

and with :math:`V = \Gamma_{B \to I} \operatorname{Log}_B X` and a root :math:`K_W` of the bias W,

.. math:: \operatorname{Exp}_W (c \, \Gamma_{I \to W} V) = H H^H, \qquad
          H = (I + \tfrac12 \Gamma_{W \to I}[c V]) K_W .

A singular value decomposition a matrix is all that this takes beyond the coordinates. The layer of
the paper goes to the identity by an exponential in between, scales there by a logarithm and another
exponential: this is the same while no exponential folds, and otherwise :mod:`geometry.spd._folding`
has the difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from geometry.spd._folding import kept_within, scaled_at_identity
from geometry.spd._linear_algebra import (
    adjoint,
    broadcast_together,
    cholesky,
    gram,
    real_inner,
    solve_lower,
    solve_lower_adjoint,
)
from geometry.spd._transport_to_identity import (
    is_resolved,
    moved_logarithm,
    right_vectors,
    root_basis,
    singular_values,
    times_each,
    transport_to_identity,
)
from geometry.spd.spectral import eigen, gram_function
from numerics.arrays import Array, Frame

_DOUBLINGS = {1.0: 0, 2.0: 1, 4.0: 2}  # powers for which squaring is cheaper than decomposing


@dataclass(frozen=True)
class BuresWassersteinNormalizer:
    """Coordinates are square roots of whitened powers; C is the Cholesky factor of M."""

    frame: Frame
    C: Array | None
    theta: Array | None

    def coordinates(self, A: Array) -> Array:
        """Square roots of whitened powers."""
        frame = self.frame
        if self.theta is None:
            K = cholesky(frame, A)
        else:
            w, U = eigen(frame, A)
            K = _power_root(frame, A, self.theta, frame.xp.clip(w, min=0), U)
        if self.C is None:
            return K
        return solve_lower(frame, *broadcast_together(frame, (self.C, K)))

    def point(self, K: Array) -> Array:
        """Undo :meth:`coordinates`."""
        return self._undeformed_point(K if self.C is None else self.C @ K)

    def mean(self, K: Array, steps: int) -> Array:
        """Root of the mean along the first axis, by fixed-point steps from the arithmetic mean."""
        frame, xp = self.frame, self.frame.xp
        R = cholesky(frame, xp.mean(K @ adjoint(frame, K), axis=0))
        for step in range(steps):
            if step:
                R = cholesky(frame, R @ adjoint(frame, R))
            W = adjoint(frame, K) @ R
            s, right = right_vectors(frame, W)
            if is_resolved(frame, s * s):
                H = xp.mean(adjoint(frame, right) @ (s[..., :, None] * right), axis=0)
                R = solve_lower_adjoint(frame, R, H)
            else:
                # Without the inverse: the polar factors are W (W^H W)^(-1/2).
                Q = W @ (adjoint(frame, right) @ (right / s[..., :, None]))
                R = xp.mean(K @ Q, axis=0)
        return R

    def constant(self, R: Array) -> Array:
        """Coordinates of a tensor that is constant on the manifold, whatever M and theta do."""
        if self.theta is not None and self.theta.requires_grad:
            return self.coordinates(self.point(R).detach())
        if self.C is None or not self.C.requires_grad:
            return R
        return solve_lower(self.frame, self.C, self.C.detach() @ R)

    def between(self, R: Array, K: Array, t: Array) -> Array:
        """Root of the point of the geodesic at t, a constant."""
        frame = self.frame
        left, _, right = frame.xp.linalg.svd(adjoint(frame, K) @ R)
        aligned = K @ (left @ right)
        return (1 - t) * R + t * aligned

    def centered(self, K: Array, mean: Array) -> tuple[Any, Array]:
        """Logarithms at the mean, moved to I, with the basis they are in; squared distances."""
        basis = root_basis(self.frame, mean)
        V = moved_logarithm(self.frame, K, mean, basis)
        return (V, basis[0]), self._undeformed(real_inner(self.frame, V, V) / 4)

    def squared_from_identity(self, K: Array) -> Array:
        """Squared distances from the matrix that is I in these coordinates."""
        xp = self.frame.xp
        return self._undeformed(xp.sum((singular_values(self.frame, K) - 1) ** 2, axis=-1))

    def placed(self, centered: Any, c: Array, bias: Array, domain: str) -> tuple[Array, Array]:
        """Scale by c (...), move to the bias; and which left the manifold on the way."""
        frame, (V, given) = self.frame, centered
        basis = root_basis(frame, bias)
        S, beyond = scaled_at_identity(frame, V, c, domain)
        X = transport_to_identity(frame, bias, S, basis, given) / 2
        X, also = kept_within(frame, X, domain)
        U, colored = basis[0], self.C
        left, base = (U, bias) if colored is None else (colored @ U, colored @ bias)
        moved = base + times_each(frame, left, X @ (adjoint(frame, U) @ bias))
        return self._undeformed_point(moved), beyond | also

    def _undeformed_point(self, H: Array) -> Array:
        """The matrix whose power theta is H H^H."""
        frame, theta = self.frame, self.theta
        if theta is None:
            return _gram(frame, H)
        doublings = _doublings(frame, theta)
        if doublings is None:
            return gram_function(frame, H, "power", theta=1 / theta)
        for _ in range(doublings + 1):
            H = _gram(frame, H)
        return H

    def _undeformed(self, squared: Array) -> Array:
        return squared if self.theta is None else squared / self.theta**2


def _power_root(frame: Frame, A: Array, theta: Array, w: Array, U: Array) -> Array:
    if _wants_gradient(frame, A, theta):
        from geometry.spd._torch_batch_normalization import PowerRoot

        A, U, w, theta = broadcast_together(frame, (A, U), (w,), (theta,))
        return PowerRoot.apply(A, theta, w, U)
    return U * (w ** (theta[..., None] / 2))[..., None, :]


def _gram(frame: Frame, K: Array) -> Array:
    if not _wants_gradient(frame, K):
        return gram(frame, K)
    from geometry.spd._torch_batch_normalization import Gram

    return Gram.apply(K)


def _wants_gradient(frame: Frame, *arrays: Array) -> bool:
    """Whether a torch function must be recorded: to apply one costs more than a small product."""
    if not frame.is_torch:
        return False
    from geometry.spd._torch_batch_normalization import is_recorded

    return is_recorded(frame, arrays)


def _doublings(frame: Frame, theta: Array) -> int | None:
    """K where 1 / theta is 2^k, for small k, and nobody wants its gradient."""
    if not frame.has_values(theta) or theta.ndim or (frame.is_torch and theta.requires_grad):
        return None
    return _DOUBLINGS.get(1 / float(theta))

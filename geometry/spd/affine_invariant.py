r"""The affine-invariant metric, by singular values of whitened Cholesky factors.

.. math:: g_P(V, W) = \operatorname{tr} P^{-1} V P^{-1} W, \qquad
          d(A, B) = \lVert \log A^{-1/2} B A^{-1/2} \rVert_F .

With :math:`A = L L^H`, :math:`B = K K^H` and :math:`C = L^{-1} K`, all maps are functions of
:math:`C C^H`, whose eigenvalues are the squares of the singular values of C. Taking those of C
itself keeps the digits that forming the product, or a generalised eigenproblem, would lose:

.. math:: d(A, B) = \lVert \log C C^H \rVert_F, \qquad
          \operatorname{Log}_A B = L \log(C C^H) L^H, \qquad
          \gamma(t) = H H^H, \; H = L (C C^H)^{t/2},

.. math:: \operatorname{Exp}_A V = H H^H, \; H = L \exp(L^{-1} V L^{-H} / 2), \qquad
          \Gamma_{A \to B} V = H (L^{-1} V L^{-H}) H^H, \; H = L (C C^H)^{1/2}.

For B near A, :math:`\log C C^H = \operatorname{log1p}(L^{-1} (B - A) L^{-H})` is taken instead,
whose error is small beside the distance: :math:`d(A, A) = 0`.
"""

from __future__ import annotations

from dataclasses import dataclass

from geometry.spd._linear_algebra import (
    cholesky,
    congruence,
    gram,
    real_inner,
    solve_lower,
    whiten,
)
from geometry.spd.spectral import gram_function, spectral_functions
from numerics.arrays import Array, Frame

_NEAR = 0.5  # Frobenius norm of the whitened difference up to which its logarithm is taken


@dataclass(frozen=True)
class AffineInvariant:
    """Verbs of the metric for trusted matrices of one frame."""

    frame: Frame

    def inner(self, P: Array, V: Array, W: Array) -> Array:
        """Inner product of tangent vectors, shape (...)."""
        frame, L = self.frame, cholesky(self.frame, P)
        X = whiten(frame, L, V)
        return real_inner(frame, X, X if W is V else whiten(frame, L, W))

    def squared_distance(self, A: Array, B: Array) -> Array:
        """Sum of the squared logarithms of the eigenvalues of A^-1 B, shape (...)."""
        frame, xp = self.frame, self.frame.xp
        L, C = self._relative(A, B)
        if frame.is_torch and (C.requires_grad or not frame.has_values(C)):
            log = self._relative_log(L, C, A, B)
            return real_inner(frame, log, log)
        near = self._are_near(C)
        logs = 2 * xp.log(xp.linalg.svdvals(C))
        if bool(xp.any(near)):
            S = xp.where(near[..., None, None], whiten(frame, L, B - A), 0.0)
            logs = xp.where(near[..., None], xp.log1p(xp.linalg.eigvalsh(S)), logs)
        return xp.sum(logs * logs, axis=-1)

    def exp(self, P: Array, V: Array, domain: str = "raise") -> Array:
        """End of the geodesic that starts with V; every V has one, whatever the domain."""
        frame, L = self.frame, cholesky(self.frame, P)
        half = spectral_functions(frame, whiten(frame, L, V) / 2, "exp")[0]
        return gram(frame, L @ half)

    def log(self, P: Array, Q: Array) -> Array:
        """Tangent vector at P whose geodesic ends in Q."""
        L, C = self._relative(P, Q)
        return congruence(self.frame, L, self._relative_log(L, C, P, Q))

    def geodesic(self, A: Array, B: Array, t: Array) -> Array:
        """Point at the parameters t, shape (...)."""
        L, C = self._relative(A, B)
        return gram(self.frame, L @ gram_function(self.frame, C, "power", theta=t / 2))

    def transport(self, V: Array, P: Array, Q: Array, rtol: float = 0.0) -> Array:
        """Parallel transport of V from P to Q, in closed form, whatever the tolerance."""
        L, C = self._relative(P, Q)
        H = L @ gram_function(self.frame, C, "sqrt")
        return congruence(self.frame, H, whiten(self.frame, L, V))

    def _relative(self, A: Array, B: Array) -> tuple[Array, Array]:
        """Factor L of A, and C = L^-1 K with that of B."""
        L = cholesky(self.frame, A)
        return L, solve_lower(self.frame, L, cholesky(self.frame, B))

    def _relative_log(self, L: Array, C: Array, A: Array, B: Array) -> Array:
        """Logarithm of C C^H = L^-1 B L^-H, accurate in itself where B is near A."""
        frame, xp = self.frame, self.frame.xp
        near, look = self._are_near(C)[..., None, None], frame.has_values(C)
        far = gram_function(frame, C, "log")
        if look and not bool(xp.any(near)):
            return far
        S = whiten(frame, L, B - A)
        return xp.where(near, spectral_functions(frame, xp.where(near, S, 0 * S), "log1p")[0], far)

    def _are_near(self, C: Array) -> Array:
        frame = self.frame
        S = gram(frame, C) - frame.xp.eye(C.shape[-1], dtype=C.dtype, device=frame.device)
        return real_inner(frame, S, S) < _NEAR**2

r"""The log-Cholesky metric (arXiv 1908.09326): flat in factors whose diagonals are logarithms.

With :math:`A = L L^H`, :math:`B = K K^H`, strict lower parts :math:`\lfloor\cdot\rfloor`, diagonals
:math:`\mathbb D`, and :math:`X = L (L^{-1} V L^{-H})_{1/2}`, where :math:`(\cdot)_{1/2}` is the
strict lower part and half the diagonal, so that :math:`V = L X^H + X L^H`,

.. math:: g_A(V, W) = \langle \lfloor X\rfloor, \lfloor Y\rfloor \rangle
          + \langle \mathbb D(X) / \mathbb D(L), \mathbb D(Y) / \mathbb D(L) \rangle,

.. math:: d(A, B)^2 = \lVert \lfloor L\rfloor - \lfloor K\rfloor \rVert_F^2
          + \lVert \log \mathbb D(L) - \log \mathbb D(K) \rVert^2 .

In the coordinates :math:`(\lfloor L\rfloor, \log \mathbb D(L))` exponentials, logarithms, geodesics
and transports are those of a vector space.
"""

from __future__ import annotations

from dataclasses import dataclass

from geometry.spd._linear_algebra import (
    adjoint,
    cholesky,
    diagonal,
    diagonal_matrix,
    gram,
    hermitian_part,
    real_inner,
    whiten,
)
from numerics.arrays import Array, Frame


@dataclass(frozen=True)
class LogCholesky:
    """Verbs of the metric for trusted matrices of one frame."""

    frame: Frame

    def inner(self, P: Array, V: Array, W: Array) -> Array:
        """Inner product of tangent vectors, shape (...)."""
        L = cholesky(self.frame, P)
        X = self._flat_vector(L, V)
        return real_inner(self.frame, X, X if W is V else self._flat_vector(L, W))

    def squared_distance(self, A: Array, B: Array) -> Array:
        """Squared distance of the factors, their diagonals by logarithms, shape (...)."""
        flat = self._difference(cholesky(self.frame, A), cholesky(self.frame, B))
        return real_inner(self.frame, flat, flat)

    def exp(self, P: Array, V: Array, domain: str = "raise") -> Array:
        """End of the geodesic that starts with V; every V has one, whatever the domain."""
        L = cholesky(self.frame, P)
        return gram(self.frame, self._moved(L, self._flat_vector(L, V)))

    def log(self, P: Array, Q: Array) -> Array:
        """Tangent vector at P whose geodesic ends in Q."""
        L = cholesky(self.frame, P)
        return self._tangent_vector(L, self._difference(L, cholesky(self.frame, Q)))

    def geodesic(self, A: Array, B: Array, t: Array) -> Array:
        """Point at the parameters t, shape (...)."""
        L = cholesky(self.frame, A)
        flat = self._difference(L, cholesky(self.frame, B))
        return gram(self.frame, self._moved(L, t[..., None, None] * flat))

    def transport(self, V: Array, P: Array, Q: Array, rtol: float = 0.0) -> Array:
        """Parallel transport of V from P to Q, in closed form, whatever the tolerance."""
        L, K = cholesky(self.frame, P), cholesky(self.frame, Q)
        return self._tangent_vector(K, self._flat_vector(L, V))

    def _flat_vector(self, L: Array, V: Array) -> Array:
        """Velocity in flat coordinates: strict lower part, and logarithmic derivatives."""
        xp = self.frame.xp
        inner = whiten(self.frame, L, V)
        rates = diagonal(self.frame, inner) / 2
        lower = xp.tril(inner, k=-1) + diagonal_matrix(self.frame, rates)
        return xp.tril(L @ lower, k=-1) + diagonal_matrix(self.frame, rates)

    def _tangent_vector(self, L: Array, flat: Array) -> Array:
        """Undo :meth:`_flat_vector`."""
        scaled = diagonal(self.frame, L) * diagonal(self.frame, flat)
        X = self.frame.xp.tril(flat, k=-1) + diagonal_matrix(self.frame, scaled)
        return 2 * hermitian_part(self.frame, L @ adjoint(self.frame, X))

    def _difference(self, L: Array, K: Array) -> Array:
        """Flat coordinates of K less those of L; near diagonals keep their digits."""
        xp = self.frame.xp
        l, k = diagonal(self.frame, L), diagonal(self.frame, K)
        return xp.tril(K - L, k=-1) + diagonal_matrix(self.frame, xp.log1p((k - l) / l))

    def _moved(self, L: Array, flat: Array) -> Array:
        """Factor at the flat coordinates of L plus ``flat``."""
        xp = self.frame.xp
        scaled = diagonal(self.frame, L) * xp.exp(diagonal(self.frame, flat))
        return xp.tril(L + flat, k=-1) + diagonal_matrix(self.frame, scaled)

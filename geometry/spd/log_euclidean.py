r"""The log-Euclidean metric: the flat metric of matrix logarithms.

.. math:: g_P(V, W) = \langle D\log_P[V], D\log_P[W] \rangle_F, \qquad
          d(A, B) = \lVert \log A - \log B \rVert_F,

.. math:: \operatorname{Exp}_A V = \exp(\log A + D\log_A[V]), \qquad
          \operatorname{Log}_A B = (D\log_A)^{-1}[\log B - \log A],

.. math:: \gamma(t) = \exp((1 - t) \log A + t \log B), \qquad
          \Gamma_{A \to B} = (D\log_B)^{-1} D\log_A .

The inverse of :math:`D\log_A` is :math:`D\exp_{\log A}`, in the same eigenbasis.
"""

from __future__ import annotations

from dataclasses import dataclass

from geometry.spd._linear_algebra import real_inner
from geometry.spd.spectral import Eigen, eigen, spectral_derivative, spectral_functions
from numerics.arrays import Array, Frame


@dataclass(frozen=True)
class LogEuclidean:
    """Verbs of the metric for trusted matrices of one frame."""

    frame: Frame

    def inner(self, P: Array, V: Array, W: Array) -> Array:
        """Inner product of tangent vectors, shape (...)."""
        decomposition = eigen(self.frame, P)
        X = self._flat_vector(P, V, decomposition)
        Y = X if W is V else self._flat_vector(P, W, decomposition)
        return real_inner(self.frame, X, Y)

    def squared_distance(self, A: Array, B: Array) -> Array:
        """Squared distance of the logarithms, shape (...)."""
        difference = self._log(A) - self._log(B)
        return real_inner(self.frame, difference, difference)

    def exp(self, P: Array, V: Array, domain: str = "raise") -> Array:
        """End of the geodesic that starts with V; every V has one, whatever the domain."""
        decomposition = eigen(self.frame, P)
        end = self._log(P, decomposition) + self._flat_vector(P, V, decomposition)
        return self._exp(end)

    def log(self, P: Array, Q: Array) -> Array:
        """Tangent vector at P whose geodesic ends in Q."""
        decomposition = eigen(self.frame, P)
        start = self._log(P, decomposition)
        return self._tangent_vector(start, self._log(Q) - start, decomposition)

    def geodesic(self, A: Array, B: Array, t: Array) -> Array:
        """Point at the parameters t, shape (...)."""
        t = t[..., None, None]
        return self._exp((1 - t) * self._log(A) + t * self._log(B))

    def transport(self, V: Array, P: Array, Q: Array, rtol: float = 0.0) -> Array:
        """Parallel transport of V from P to Q, in closed form, whatever the tolerance."""
        decomposition = eigen(self.frame, Q)
        flat = self._flat_vector(P, V, eigen(self.frame, P))
        return self._tangent_vector(self._log(Q, decomposition), flat, decomposition)

    def _log(self, A: Array, decomposition: Eigen | None = None) -> Array:
        return spectral_functions(self.frame, A, "log", eigen_of_A=decomposition)[0]

    def _exp(self, S: Array) -> Array:
        return spectral_functions(self.frame, S, "exp")[0]

    def _flat_vector(self, P: Array, V: Array, decomposition: Eigen) -> Array:
        return spectral_derivative(self.frame, P, V, "log", eigen_of_A=decomposition)

    def _tangent_vector(self, log_P: Array, X: Array, decomposition: Eigen) -> Array:
        """Undo :meth:`_flat_vector`; the decomposition is that of P."""
        w, U = decomposition
        of_log = (self.frame.xp.log(w), U)
        return spectral_derivative(self.frame, log_P, X, "exp", eigen_of_A=of_log)

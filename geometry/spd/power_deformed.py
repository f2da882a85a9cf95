r"""Metrics deformed by a power: that of :math:`P^\theta`, divided by :math:`\theta^2`.

.. math:: g^\theta_P(V, W) = \theta^{-2} g_{P^\theta}(D P^\theta[V], D P^\theta[W]), \qquad
          d^\theta(A, B) = d(A^\theta, B^\theta) / |\theta| .

The map to the power is an isometry up to the constant factor :math:`|\theta|`, which geodesics do
not feel:

.. math:: \operatorname{Exp}^\theta_P V = (\operatorname{Exp}_{P^\theta} D P^\theta[V])^{1/\theta},
          \qquad \operatorname{Log}^\theta_P Q =
          (D P^\theta)^{-1} \operatorname{Log}_{P^\theta} Q^\theta .

As :math:`\theta` goes to zero, the deformed Bures-Wasserstein distance goes to half the
log-Euclidean one. The deformed metric is that of arXiv 2504.00660.
"""

from __future__ import annotations

from dataclasses import dataclass

from geometry.spd.bures_wasserstein import BuresWasserstein
from geometry.spd.spectral import Eigen, eigen, spectral_derivative, spectral_functions
from numerics.arrays import Array


@dataclass(frozen=True)
class PowerDeformed:
    """Verbs of the metric for trusted matrices; theta (...) is not zero."""

    theta: Array
    base: BuresWasserstein

    def inner(self, P: Array, V: Array, W: Array) -> Array:
        """Inner product of tangent vectors, shape (...)."""
        decomposition = eigen(self.base.frame, P)
        X = self._pushed(P, V, decomposition)
        Y = X if W is V else self._pushed(P, W, decomposition)
        return self.base.inner(self._power(P, decomposition), X, Y) / self.theta**2

    def squared_distance(self, A: Array, B: Array) -> Array:
        """Squared distance of the powers over the square of the exponent, shape (...)."""
        return self.base.squared_distance(self._power(A), self._power(B)) / self.theta**2

    def exp(self, P: Array, V: Array, domain: str = "raise") -> Array:
        """End of the geodesic that starts with V, or what ``domain`` says where it has none."""
        decomposition = eigen(self.base.frame, P)
        X = self._pushed(P, V, decomposition)
        return self._root(self.base.exp(self._power(P, decomposition), X, domain))

    def log(self, P: Array, Q: Array) -> Array:
        """Tangent vector at P whose geodesic ends in Q."""
        decomposition = eigen(self.base.frame, P)
        power = self._power(P, decomposition)
        return self._pulled(power, self.base.log(power, self._power(Q)), decomposition)

    def geodesic(self, A: Array, B: Array, t: Array) -> Array:
        """Point at the parameters t, shape (...)."""
        return self._root(self.base.geodesic(self._power(A), self._power(B), t))

    def transport(self, V: Array, P: Array, Q: Array, rtol: float = 1e-10) -> Array:
        """Parallel transport of V from P to Q, to the relative tolerance in the norm of Q."""
        of_P, of_Q = eigen(self.base.frame, P), eigen(self.base.frame, Q)
        end = self._power(Q, of_Q)
        moved = self.base.transport(self._pushed(P, V, of_P), self._power(P, of_P), end, rtol)
        return self._pulled(end, moved, of_Q)

    def _power(self, A: Array, decomposition: Eigen | None = None) -> Array:
        return spectral_functions(
            self.base.frame, A, "power", theta=self.theta, eigen_of_A=decomposition
        )[0]

    def _root(self, A: Array) -> Array:
        return spectral_functions(self.base.frame, A, "power", theta=1 / self.theta)[0]

    def _pushed(self, P: Array, V: Array, decomposition: Eigen) -> Array:
        """Derivative of the power at P in the direction V."""
        return spectral_derivative(
            self.base.frame, P, V, "power", theta=self.theta, eigen_of_A=decomposition
        )

    def _pulled(self, power: Array, X: Array, decomposition: Eigen) -> Array:
        """Undo :meth:`_pushed`; the decomposition is that of P, and ``power`` its power."""
        w, U = decomposition
        theta = self.theta.detach() if self.base.frame.is_torch else self.theta
        of_power = (w ** theta[..., None], U)
        return spectral_derivative(
            self.base.frame, power, X, "power", theta=1 / self.theta, eigen_of_A=of_power
        )

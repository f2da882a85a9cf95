r"""Batch normalisation under each metric: the same verbs, and the formulas of each.

Every matrix X of a batch with mean B and variance v goes to

.. math:: X' = \operatorname{Exp}_W \bigl( c \, \Gamma_{I \to W} \Gamma_{B \to I}
          \operatorname{Log}_B X \bigr), \qquad c = \frac{s}{\sqrt{v + \varepsilon}},

the transports along the geodesics that meet in the identity. The batch then has the mean W and the
variance :math:`c^2 v` while no geodesic leaves the manifold. Matrices come as coordinates in which
the metric is simple, computed once for the mean, the variance and the map:

===================== =========================== ==============================================
metric                coordinates of A            :math:`X'`
===================== =========================== ==============================================
"affine_invariant"    K, :math:`A = K K^H`        :math:`W^{1/2} (B^{-1/2} X B^{-1/2})^c W^{1/2}`
"log_euclidean"       :math:`\log A`              :math:`\exp(\log W + c (\log X - \log B))`
"log_cholesky"        K, its diagonal by log      as above, in these coordinates
"bures_wasserstein"   K, :math:`C^{-1} A^\theta   in its own file
                      C^{-H} = K K^H`
===================== =========================== ==============================================
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from geometry.spd._divided_differences import spectral_values
from geometry.spd._linear_algebra import (
    broadcast_together,
    cholesky,
    diagonal,
    diagonal_matrix,
    gram,
    real_inner,
    solve_lower,
)
from geometry.spd.spectral import compose, gram_function, spectral_functions
from numerics.arrays import Array, Frame


def resolve_normalizer(frame: Frame, metric: str, M: Array | None, theta: Array | None) -> Any:
    """Normaliser of a metric that :func:`geometry.spd._metric.resolve_metric` accepts."""
    if metric == "bures_wasserstein":
        from geometry.spd._bures_wasserstein_normalizer import BuresWassersteinNormalizer

        return BuresWassersteinNormalizer(frame, None if M is None else cholesky(frame, M), theta)
    kinds = {
        "affine_invariant": AffineInvariantNormalizer,
        "log_cholesky": LogCholeskyNormalizer,
        "log_euclidean": LogEuclideanNormalizer,
    }
    return kinds[metric](frame)


def none_leaves(frame: Frame, X: Array) -> Array:
    """The answer of metrics whose geodesics all are in the manifold."""
    xp = frame.xp
    return xp.zeros(X.shape[:-2], dtype=xp.bool, device=frame.device)


@dataclass(frozen=True)
class AffineInvariantNormalizer:
    """Coordinates are Cholesky factors."""

    frame: Frame

    def coordinates(self, A: Array) -> Array:
        """Cholesky factors."""
        return cholesky(self.frame, A)

    def point(self, K: Array) -> Array:
        """K K^H."""
        return gram(self.frame, K)

    def mean(self, K: Array, steps: int) -> Array:
        """Steps S <- S^(1/2) exp(mean log S^(-1/2) X S^(-1/2)) S^(1/2) from the arithmetic mean."""
        frame, xp = self.frame, self.frame.xp
        L = cholesky(frame, xp.mean(gram(frame, K), axis=0))
        for _ in range(steps):
            logs = gram_function(
                frame, solve_lower(frame, *broadcast_together(frame, (L, K))), "log"
            )
            half = spectral_functions(frame, xp.mean(logs, axis=0) / 2, "exp")[0]
            L = cholesky(frame, gram(frame, L @ half))
        return L

    def constant(self, K: Array) -> Array:
        """Coordinates of a constant: the same ones."""
        return K

    def between(self, L: Array, K: Array, t: Array) -> Array:
        """Point of the geodesic at t."""
        frame = self.frame
        relative = gram_function(frame, solve_lower(frame, L, K), "power", theta=t / 2)
        return cholesky(frame, gram(frame, L @ relative))

    def centered(self, K: Array, mean: Array) -> tuple[Any, Array]:
        """Factors of B^(-1/2) X B^(-1/2), decomposed, and squared distances (constants) from B."""
        frame, xp = self.frame, self.frame.xp
        P = gram_function(frame, mean, "invsqrt") @ K
        U, s, Wh = xp.linalg.svd(P.detach() if frame.is_torch else P)
        return (P, U, s, Wh), 4 * xp.sum(xp.log(s) ** 2, axis=-1)

    def squared_from_identity(self, K: Array) -> Array:
        """Squared distances from I."""
        xp = self.frame.xp
        return 4 * xp.sum(xp.log(xp.linalg.svdvals(K)) ** 2, axis=-1)

    def placed(self, centered: Any, c: Array, bias: Array, domain: str) -> tuple[Array, Array]:
        """Scale by c (...), move to the bias; and which left the domain, none ever."""
        frame = self.frame
        P, U, s, Wh = centered
        P, U, Wh, s, half = broadcast_together(frame, (P, U, Wh), (s,), (c / 2,))
        if frame.is_torch:
            from geometry.spd._torch import GramFunction

            power = GramFunction.apply(P, half, U, s, Wh, "power")
        else:
            power = compose(frame, U, spectral_values(frame, s * s, "power", half))
        result = gram(frame, gram_function(frame, bias, "sqrt") @ power)
        return result, none_leaves(frame, result)


@dataclass(frozen=True)
class _FlatNormalizer(ABC):
    """Coordinates are those of a vector space, isometric by their Frobenius norm."""

    frame: Frame

    @abstractmethod
    def coordinates(self, A: Array) -> Array:
        """Coordinates of matrices."""

    @abstractmethod
    def point(self, x: Array) -> Array:
        """Matrices at coordinates."""

    def mean(self, x: Array, steps: int) -> Array:
        """The mean itself, whatever the steps."""
        return self.frame.xp.mean(x, axis=0)

    def constant(self, x: Array) -> Array:
        """Coordinates of a constant: the same ones."""
        return x

    def between(self, x: Array, y: Array, t: Array) -> Array:
        """Point of the straight line at t."""
        return (1 - t) * x + t * y

    def centered(self, x: Array, mean: Array) -> tuple[Array, Array]:
        """Differences from the mean, and their squared norms."""
        difference = x - mean
        return difference, real_inner(self.frame, difference, difference)

    def squared_from_identity(self, x: Array) -> Array:
        """Squared norms."""
        return real_inner(self.frame, x, x)

    def placed(self, centered: Array, c: Array, bias: Array, domain: str) -> tuple[Array, Array]:
        """Scale by c (...), move to the bias; and which left the domain, none ever."""
        result = self.point(bias + c[..., None, None] * centered)
        return result, none_leaves(self.frame, result)


class LogEuclideanNormalizer(_FlatNormalizer):
    """Coordinates are logarithms."""

    def coordinates(self, A: Array) -> Array:
        """Logarithms."""
        return spectral_functions(self.frame, A, "log")[0]

    def point(self, x: Array) -> Array:
        """Exponentials."""
        return spectral_functions(self.frame, x, "exp")[0]


class LogCholeskyNormalizer(_FlatNormalizer):
    """Coordinates are Cholesky factors with the logarithms of their diagonals."""

    def coordinates(self, A: Array) -> Array:
        """Lower triangular matrices."""
        L = cholesky(self.frame, A)
        return self._with_diagonal(L, self.frame.xp.log(diagonal(self.frame, L)))

    def point(self, x: Array) -> Array:
        """Products of factors."""
        K = self._with_diagonal(x, self.frame.xp.exp(diagonal(self.frame, x)))
        return gram(self.frame, K)

    def _with_diagonal(self, L: Array, values: Array) -> Array:
        return self.frame.xp.tril(L, k=-1) + diagonal_matrix(self.frame, values)

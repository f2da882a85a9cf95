r"""The Gaussian process that solves an equation on a box: its moments and draws.

The mean is a tensor of coefficients in the bases of the axes. Around it there are two independent
parts: what noise leaves open in the span of the bases, zero where everything is exact, and the
directions of the prior that the bases leave out, which no datum has touched. With :math:`w_j` the
prior variance of axis j in its basis and :math:`n_j` that outside, the latter's variance is

.. math:: \prod_j (w_j + n_j) - \prod_j w_j
          = \sum_j \left(\prod_{i<j} w_i\right) n_j \prod_{i>j} (w_i + n_i),

a sum without cancellation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from numerics.kronecker import along
from solvers.gp_pde._axis_basis import AxisBasis
from solvers.gp_pde._problem import Observations
from solvers.gp_pde.solution import Points

_CHUNK = 2**22


class Spread(Protocol):
    """The Gaussian that noise makes of coefficients, about their mean."""

    def variance(self, factors: list[np.ndarray], product: bool) -> np.ndarray:
        """Variance for values of the bases (m_j, r_j): on their product, or point by point."""

    def draw(self, size: int, rng: np.random.Generator) -> np.ndarray:
        """Coefficients (size, r_1, ..., r_d)."""


@dataclass(frozen=True)
class PlanePosterior:
    """Posterior on a box.

    Attributes
    ----------
    bases : tuple of AxisBasis
    coefficients : array, shape (r_1, ..., r_d)
        Of the mean.
    amplitude : float
        Standard deviation that multiplies the prior of the features.
    spread : Spread or None
        None where the equation and the conditions are exact.
    """

    bases: tuple[AxisBasis, ...]
    coefficients: np.ndarray
    amplitude: float
    spread: Spread | None = None

    def moments(self, points: Points, order: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of a mixed derivative."""
        product, columns = _columns(points)
        if product:
            return self._moments(columns, order, product=True)
        count = len(columns[0])
        step = max(1, _CHUNK // max(1, self.coefficients.size // len(self.coefficients)))
        means, variances = np.zeros(count), np.zeros(count)
        for at in range(0, count, step):
            part = slice(at, at + step)
            means[part], variances[part] = self._moments(
                tuple(x[part] for x in columns), order, product=False
            )
        return means, variances

    def _moments(
        self, columns: tuple[np.ndarray, ...], order: tuple[int, ...], *, product: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        factors = _factors(self.bases, columns, order)
        variance = self.amplitude**2 * unseen_variance(self.bases, columns, order, product=product)
        if self.spread is not None:
            variance = variance + self.spread.variance(factors, product)
        return evaluated(self.coefficients, factors, product), variance

    def draw(
        self, size: int, rng: np.random.Generator, points: Points, order: tuple[int, ...]
    ) -> np.ndarray:
        """Joint draws of a mixed derivative, shape (size, ...)."""
        product, columns = _columns(points)
        factors = _factors(self.bases, columns, order)
        shape = (size, *self.coefficients.shape)
        coefficients = np.broadcast_to(self.coefficients, shape)
        if self.spread is not None:
            coefficients = coefficients + self.spread.draw(size, rng)
        features = [
            basis.features(x, a) for basis, x, a in zip(self.bases, columns, order, strict=True)
        ]
        draws = []
        for mean in coefficients:
            weights = rng.standard_normal([basis.features.size for basis in self.bases])
            # In the span of the bases, weights are what their right singular vectors see.
            seen = along(weights, [_analysis(basis) for basis in self.bases])
            noise = evaluated(weights, features, product) - evaluated(seen, factors, product)
            draws.append(evaluated(mean, factors, product) + self.amplitude * noise)
        return np.stack(draws)


def log_predictive(posterior: PlanePosterior, seen: Observations) -> float | None:
    """Log density of observations where other data leave little but their noise; None elsewhere."""
    mean, variance = posterior.moments(seen.points, (0,) * seen.points.shape[1])
    if np.any(variance > seen.noise_std**2):
        return None
    total = seen.noise_std**2 + variance
    return float(-0.5 * np.sum((seen.values - mean) ** 2 / total + np.log(2 * np.pi * total)))


def unseen_variance(
    bases: tuple[AxisBasis, ...],
    columns: tuple[np.ndarray, ...],
    order: tuple[int, ...],
    *,
    product: bool,
) -> np.ndarray:
    """Prior variance of a derivative in the directions left out, at amplitude 1."""
    seen, unseen = [], []
    for axis, (basis, x, a) in enumerate(zip(bases, columns, order, strict=True)):
        shape = [1] * len(bases) if product else [len(x)]
        if product:
            shape[axis] = len(x)
        seen.append(np.sum((basis(x, a) * basis.sd) ** 2, axis=1).reshape(shape))
        unseen.append(basis.unseen_variance(x, a).reshape(shape))
    total = np.zeros(())
    for axis, outside in enumerate(unseen):
        part = outside
        for other, inside in enumerate(seen):
            if other != axis:
                part = part * (inside if other < axis else inside + unseen[other])
        total = total + part
    return total


def evaluated(tensor: np.ndarray, factors: list[np.ndarray], product: bool) -> np.ndarray:
    """Contract a tensor with values of functions: on a product of points, or point by point."""
    if product:
        return along(tensor, factors)
    result = factors[0] @ tensor.reshape(len(tensor), -1)
    for values in factors[1:]:
        result = result.reshape(len(values), values.shape[1], -1)
        result = np.einsum("mij,mi->mj", result, values)
    return result.reshape(len(factors[0]))


def _columns(points: Points) -> tuple[bool, tuple[np.ndarray, ...]]:
    """Whether the points are a product of grids, and their coordinates by axis."""
    if isinstance(points, tuple):
        return True, points
    return False, tuple(points.T)


def _factors(
    bases: tuple[AxisBasis, ...], columns: tuple[np.ndarray, ...], order: tuple[int, ...]
) -> list[np.ndarray]:
    return [basis(x, a) for basis, x, a in zip(bases, columns, order, strict=True)]


def _analysis(basis: AxisBasis) -> np.ndarray:
    """Weights of features to coefficients of the basis, unseen directions to zero."""
    return basis.sd[:, None] ** 2 * basis.mixing.T

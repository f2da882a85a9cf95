r"""Conditioning on functionals with their Gram matrix, scaled before it is shifted.

The blocks of the Gram matrix :math:`\Theta` of values and of second derivatives differ by
:math:`(2\pi\mu)^4`, so that a nugget in common would drown the one or do nothing to the other.
With S the diagonal, :math:`S^{-1/2}\Theta S^{-1/2}` is shifted by the smallest nugget from 1e-14
on, in steps of ten, with which it has a Cholesky factor, and two steps of iterative refinement
against the matrix without it win back most of what the shift cost.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize_scalar

from solvers.gp_pde._functionals import Covariances, Functionals, derivative_at
from solvers.gp_pde.solution import Points

SMALLEST_NUGGET = 1e-14

_LARGEST_NUGGET = 1e-4
_REFINEMENTS = 2
_AMPLITUDES = (-16.0, 16.0)
_ROUGHLY = {"xatol": 0.03}


@dataclass(frozen=True)
class GramPosterior:
    """The process given functionals.

    Attributes
    ----------
    covariances : Covariances
    groups : list of Functionals
    noise_std : array, shape (n,)
    lengths : array, shape (n,)
        Square roots of the diagonal.
    lower : array, shape (n, n)
        Cholesky factor of the scaled and shifted matrix.
    weights : array, shape (n,)
        Solution of the scaled system, divided by the lengths.
    nugget : float
    whitened : array, shape (n,)
        The scaled data in units of what those before them leave open.
    mean_square : float
        Their squared length in the metric of the inverse, per functional: 1 if the kernel's
        amplitude is the data's.
    fitted : array, shape (n,)
        Posterior means of the functionals.
    amplitude : float
        Factor on the kernel's standard deviation.
    """

    covariances: Covariances
    groups: list[Functionals]
    noise_std: np.ndarray
    lengths: np.ndarray
    lower: np.ndarray
    weights: np.ndarray
    nugget: float
    whitened: np.ndarray
    mean_square: float
    fitted: np.ndarray
    amplitude: float

    def moments(self, points: Points, order: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of a mixed derivative."""
        asked = derivative_at(_flat(points), order)
        mean, half = self._given(asked)
        variance = self.amplitude**2 * self.covariances.variances(asked) - np.sum(half**2, axis=0)
        shape = _shape(points)
        return mean.reshape(shape), np.maximum(variance, 0.0).reshape(shape)

    def draw(
        self, size: int, rng: np.random.Generator, points: Points, order: tuple[int, ...]
    ) -> np.ndarray:
        """Joint draws of it."""
        asked = derivative_at(_flat(points), order)
        mean, half = self._given(asked)
        covariance = self.amplitude**2 * self.covariances.between(asked, asked) - half.T @ half
        values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        draws = mean + rng.standard_normal((size, len(values))) @ root.T
        return draws.reshape(size, *_shape(points))

    def log_evidence_of_last(self, count: int) -> float:
        """Log density of the last data given those before."""
        first = len(self.lengths) - count
        spread = np.log(np.diag(self.lower)[first:]) + np.log(self.lengths[first:])
        squares = self.whitened[first:] ** 2
        return float(-np.sum(0.5 * squares + spread + 0.5 * math.log(2 * math.pi)))

    def mean_of(self, asked: Functionals) -> np.ndarray:
        """Posterior mean of other functionals."""
        cross = self.covariances.matrix(self.groups, [asked])
        return self.amplitude**2 * cross.T @ self.weights

    def _given(self, asked: Functionals) -> tuple[np.ndarray, np.ndarray]:
        """Mean, and what the data take off the covariance as the product of a factor."""
        cross = self.amplitude**2 * self.covariances.matrix(self.groups, [asked])
        half = solve_triangular(self.lower, cross / self.lengths[:, None], lower=True)
        return cross.T @ self.weights, half


def condition(
    covariances: Covariances,
    groups: list[Functionals],
    data: np.ndarray,
    noise_std: np.ndarray,
    nugget: float | None,
    *,
    rescale: bool = False,
) -> GramPosterior:
    """Condition on functionals with noise of the given standard deviations, zero where exact.

    With ``rescale`` the kernel is scaled so that the data are as likely as can be.
    """
    gram = covariances.matrix(groups, groups)
    given = (covariances, groups, gram, data, noise_std, nugget)
    if not rescale:
        return _condition(*given, 1.0)
    if not noise_std.any():
        amplitude = math.sqrt(_condition(*given, 1.0).mean_square) or 1.0
    else:

        def cost(log_amplitude: float) -> float:
            return -_condition(*given, math.exp(log_amplitude)).log_evidence_of_last(len(data))

        best = minimize_scalar(cost, bounds=_AMPLITUDES, method="bounded", options=_ROUGHLY)
        amplitude = math.exp(best.x)
    return _condition(*given, amplitude)


def _condition(
    covariances: Covariances,
    groups: list[Functionals],
    gram: np.ndarray,
    data: np.ndarray,
    noise_std: np.ndarray,
    nugget: float | None,
    amplitude: float,
) -> GramPosterior:
    theta = amplitude**2 * gram
    lengths = np.sqrt(np.diag(theta) + noise_std**2)
    lengths[lengths == 0] = 1.0
    theta = theta / lengths[:, None] / lengths
    noise = (noise_std / lengths) ** 2
    theta[np.diag_indices_from(theta)] += noise
    scaled = data / lengths
    lower, used = _factor(theta, nugget)
    weights = cho_solve((lower, True), scaled)
    rest = scaled - theta @ weights
    for _ in range(_REFINEMENTS):
        better = weights + cho_solve((lower, True), rest)
        better_rest = scaled - theta @ better
        if np.linalg.norm(better_rest) >= np.linalg.norm(rest):
            break
        weights, rest = better, better_rest
    square = float(scaled @ weights)
    return GramPosterior(
        covariances=covariances,
        groups=groups,
        noise_std=noise_std,
        lengths=lengths,
        lower=lower,
        weights=weights / lengths,
        nugget=used,
        whitened=solve_triangular(lower, scaled, lower=True),
        mean_square=square / len(data),
        fitted=lengths * (scaled - rest - noise * weights),
        amplitude=amplitude,
    )


def _factor(theta: np.ndarray, nugget: float | None) -> tuple[np.ndarray, float]:
    used = SMALLEST_NUGGET if nugget is None else nugget
    while True:
        shifted = theta.copy()
        shifted[np.diag_indices_from(shifted)] += used
        try:
            return np.tril(cho_factor(shifted, lower=True)[0]), used
        except LinAlgError:
            if nugget is not None or used >= _LARGEST_NUGGET:
                raise ValueError(
                    f"nugget {used:.0e} does not make the Gram matrix of {len(theta)} functionals "
                    "positive definite; two of them may be the same"
                ) from None
            used *= 10


def _flat(points: Points) -> np.ndarray:
    if not isinstance(points, tuple):
        return points
    return np.stack([mesh.ravel() for mesh in np.meshgrid(*points, indexing="ij")], axis=1)


def _shape(points: Points) -> tuple[int, ...]:
    return tuple(map(len, points)) if isinstance(points, tuple) else (len(points),)

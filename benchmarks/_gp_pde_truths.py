"""Functions that equations are to find: draws from a prior, and sums of waves.

A truth is called with points (m, dim) and the order of the derivative along each axis.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from solvers import LinearOperator, SpectralMixture

Truth = Callable[[np.ndarray, tuple[int, ...]], np.ndarray]

_PERIOD = 8.0  # many correlation lengths beyond a box of length 1
_REACH = {"gaussian": 8.0, "matern": 80.0}


class PriorDraws:
    r"""Draws from the product of stationary kernels on boxes of length about 1.

    By waves at the middles of frequency intervals of width 1/8, each with the standard deviation of
    its interval: on a unit box the covariance is the kernel's to rounding, unlike that of features
    whose period is about the box. Matérn spectra end at 80 scales.
    """

    def __init__(self, kernels: tuple[SpectralMixture, ...]) -> None:
        self._axes = []
        for kernel in kernels:
            top = float(np.max(kernel.freqs + _REACH[kernel.envelope] * kernel.scales))
            freqs = (np.arange(math.ceil(top * _PERIOD)) + 0.5) / _PERIOD
            self._axes.append((2 * np.pi * freqs, np.sqrt(2 * kernel.density(freqs) / _PERIOD)))

    def __call__(self, rng: np.random.Generator) -> Truth:
        """Draw one function."""
        weights = rng.standard_normal([2 * len(omega) for omega, _ in self._axes])

        def draw(points: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
            values = weights
            for axis, (omega, sd) in enumerate(self._axes):
                phase = np.multiply.outer(points[:, axis], omega) + order[axis] * np.pi / 2
                waves = np.concatenate([np.cos(phase), np.sin(phase)], axis=1)
                waves *= np.tile(sd * omega ** order[axis], 2)
                if axis == 0:
                    values = np.tensordot(waves, values, axes=1)
                else:
                    values = np.einsum("mj,mj...->m...", waves, values)
            return values

        return draw


@dataclass(frozen=True)
class Waves:
    """A sum of products of amplitude and sin(frequency x) along each axis."""

    terms: tuple[tuple[float, tuple[float, ...]], ...]

    def __call__(self, points: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
        total = np.zeros(len(points))
        for amplitude, freqs in self.terms:
            part = np.full(len(points), amplitude)
            for axis, (k, n) in enumerate(zip(freqs, order, strict=True)):
                part *= k**n * np.sin(k * points[:, axis] + n * np.pi / 2)
            total += part
        return total


def applied(operator: LinearOperator, truth: Truth, points: np.ndarray) -> np.ndarray:
    """L u at points."""
    terms: list[tuple[Any, tuple[int, ...]]] = operator.coefficients(*points.T)
    return sum((c * truth(points, order) for c, order in terms), np.zeros(len(points)))

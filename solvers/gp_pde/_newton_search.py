r"""Minimum and curvature of a smooth function that can only be evaluated, and is a log density.

Newton's method with central differences. The steps of the differences are a third of a standard
deviation :math:`1/\sqrt{\partial_i^2 c}`: long enough that rounding of c does not show, short
enough that its third derivative does not. They are kept from one iteration to the next, and from
one search to another, as long as they are about right: values of c are what a search costs.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

_FRACTION = 0.3
_FIRST = 1e-3
_ADAPTATIONS = 12
_CHANGE = (0.4, 5.0)
_STEEP = 10.0
_FLAT = 1e-6
_NOISE = 1e-3
_LAST = 1e-4
_SUFFICIENT = 0.25
_AT_LIMIT = 0.1
_HALVINGS = 30

Limits = tuple[np.ndarray, np.ndarray]


class NewtonSearch:
    """Minimise ``cost`` (theta -> float) within limits; keeps the steps of its differences.

    ``cost`` may be replaced by a similar one between searches.
    """

    def __init__(
        self, cost: Callable[[np.ndarray], float], theta: np.ndarray, limits: Limits
    ) -> None:
        self.cost = cost
        self.limits = limits
        self.first = _FIRST * np.where(theta == 0, 1.0, np.abs(theta))
        self.steps = self.first.copy()

    def minimum(
        self, theta: np.ndarray, maxiter: int, rtol: float
    ) -> tuple[np.ndarray, np.ndarray, int, bool]:
        """The minimiser, the curvature there, Newton steps, and whether the last was small.

        A last step of a hundredth of a standard deviation is taken without a look at the value
        there. A search that runs into a limit ends there without being converged.
        """
        value = self.cost(theta)
        for iteration in range(maxiter):
            slope, curvature = self.derivatives(theta, value)
            scale = self._scale(curvature)
            values, vectors = np.linalg.eigh(curvature / np.outer(scale, scale))
            # Where the function is not convex its curvature still tells how far to go.
            inverse = vectors / np.maximum(np.abs(values), 1e-8) @ vectors.T
            direction = -(inverse @ (slope / scale)) / scale
            decrease = -0.5 * float(slope @ direction)
            if values[0] > 0 and decrease <= rtol**2:
                return theta, curvature, iteration, True
            if values[0] > 0 and decrease <= _LAST:
                return self._inside(theta, theta + direction), curvature, iteration + 1, True
            step, new, new_value = 1.0, theta, value
            for _ in range(_HALVINGS):
                trial = self._inside(theta, theta + step * direction)
                new_value = self.cost(trial)
                # A step that falls far short of what the curvature promises leads to another
                # minimum as soon as to this one.
                if value - new_value > _SUFFICIENT * step * (2 - step) * decrease:
                    new = trial
                    break
                step /= 2
                if step * decrease <= rtol**2:
                    break
            if new is theta:
                return theta, curvature, iteration, bool(values[0] > 0 and decrease <= _NOISE)
            theta, value = new, new_value
            if np.any(self._room(theta) < _AT_LIMIT * self.first):
                break
        _, curvature = self.derivatives(theta, value)
        return theta, curvature, iteration + 1, False

    def derivatives(self, theta: np.ndarray, value: float) -> tuple[np.ndarray, np.ndarray]:
        """Gradient and matrix of second derivatives."""
        p = len(theta)
        above, below = np.zeros(p), np.zeros(p)
        for i in range(p):
            above[i], below[i] = self._adapted(theta, value, i)
        slope = (above - below) / (2 * self.steps)
        curvature = np.diag((above - 2 * value + below) / self.steps**2)
        for i, j in itertools.combinations(range(p), 2):
            both = np.zeros(p)
            both[[i, j]] = self.steps[[i, j]]
            total = self.cost(theta + both) + self.cost(theta - both) + 2 * value
            total -= above[i] + below[i] + above[j] + below[j]
            curvature[i, j] = curvature[j, i] = total / (2 * self.steps[i] * self.steps[j])
        return slope, curvature

    def _adapted(self, theta: np.ndarray, value: float, i: int) -> tuple[float, float]:
        """Values on both sides along one axis, at a distance that fits the curvature."""
        largest = min(self._room(theta)[i] / 2, max(1.0, abs(theta[i])))
        self.steps[i] = min(self.steps[i], largest)
        for _ in range(_ADAPTATIONS):
            e = np.zeros(len(theta))
            e[i] = self.steps[i]
            above, below = self.cost(theta + e), self.cost(theta - e)
            bend, tilt = abs(above - 2 * value + below), abs(above - below)
            # A slope far from the minimum changes the value by more than rounding can.
            wanted = _FRACTION / np.sqrt(bend) if bend > 0 else np.inf
            if tilt > _STEEP:
                wanted = min(wanted, 1.0)
            factor = float(np.clip(wanted, 0.01, 100.0))
            new = min(self.steps[i] * factor, largest)
            ratio = new / self.steps[i]
            if _CHANGE[0] <= ratio <= _CHANGE[1]:
                break
            self.steps[i] = new
        if bend + tilt < _FLAT:
            raise ValueError(
                f"the observations do not depend on parameter {i} about {theta[i]:g}: "
                "nothing can be said of it"
            )
        return above, below

    def _room(self, theta: np.ndarray) -> np.ndarray:
        return np.minimum(theta - self.limits[0], self.limits[1] - theta)

    def _scale(self, curvature: np.ndarray) -> np.ndarray:
        diagonal = np.sqrt(np.abs(np.diag(curvature)))
        return np.where(diagonal > 0, diagonal, 1 / self.steps)

    def _inside(self, old: np.ndarray, new: np.ndarray) -> np.ndarray:
        """A point within the limits: nine tenths of the way to what it would cross."""
        low, high = self.limits
        new = np.where(new <= low, old + 0.9 * (low - old), new)
        return np.where(new >= high, old + 0.9 * (high - old), new)

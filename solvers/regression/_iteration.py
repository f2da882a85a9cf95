r"""Iterations to full accuracy with a factor F from a sketch, in stages of refinement.

With :math:`F^T A^T A F \approx I` the equation :math:`F^T A^T A F y = F^T A^T(b - Ax)` is solved
by the heavy ball method or by conjugate gradients, each step reading A once, and x becomes
x + Fy. One stage loses digits in proportion to the condition number, as products with F and its
transpose do; a second with a fresh residual finds them again, and the result is backward
stable (Epperly, Meier, Nakatsukasa, arXiv 2406.03468).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from numerics.arrays import Array
from solvers.regression._algebra import Algebra
from solvers.regression._factor import Factor
from solvers.regression._problem import Problem

_ROUNDING = 0.5 * float(np.finfo(np.float64).eps)
_INNER_LIMIT = 100
_STAGES = 5
# Backward errors in units of rounding: too small to matter, and small enough to be content.
_NEGLIGIBLE = 0.3
_ACCEPTED = 100.0
_PATIENCE = 4
_TINY = 1e-300

Measure = Callable[[Array], float]


@dataclass(frozen=True)
class Iterated:
    """Solution, steps taken (readings of A but for the residuals), whether it settled, residual."""

    x: Array
    iterations: int
    converged: bool
    residual_norms: np.ndarray


@dataclass(frozen=True)
class Scheme:
    """The iteration of a stage: heavy ball with the embedding's d/m, or conjugate gradients."""

    name: str
    ratio: float

    def solve(
        self, algebra: Algebra, apply: Callable[[Array], Array], c: Array, measure: Measure
    ) -> tuple[Array, int]:
        """Solve until what is left, or the steps are, measures at most 1."""
        if self.name == "precondition":
            return _conjugate_gradients(algebra, apply, c, measure)
        return _heavy_ball(apply, c, measure, self.ratio)


def solve_in_stages(problem: Problem, factor: Factor, scheme: Scheme, x: Array) -> Iterated:
    """Refine x, stage by stage, until a stage changes nothing or makes nothing better."""

    def apply(y: Array) -> Array:
        return factor.apply_transposed(problem.normal_product(factor.apply(y)))

    steps, previous = 0, np.inf
    for stage in range(_STAGES):
        gradient, residuals = problem.residual(x)
        c = factor.apply_transposed(gradient)
        sizes = np.maximum(factor.size(x), _TINY)

        def measure(
            y: Array, sizes: np.ndarray = sizes, residuals: np.ndarray = residuals
        ) -> float:
            errors = factor.backward_error(y, sizes, residuals)
            return float(np.max(errors / (_NEGLIGIBLE * _ROUNDING * sizes), initial=0.0))

        left = measure(c) * _NEGLIGIBLE
        if stage >= 2 and (left <= _ACCEPTED or left > 0.5 * previous):
            break
        previous = left
        y, taken = scheme.solve(problem.algebra, apply, c, measure)
        steps += taken
        x = x + factor.apply(y)
    return Iterated(x, steps, left <= _ACCEPTED, residuals)


def _heavy_ball(
    apply: Callable[[Array], Array], c: Array, measure: Measure, ratio: float
) -> tuple[Array, int]:
    r"""Steps :math:`(1 - \rho)^2(c - My) + \rho\,\Delta y` with :math:`\rho = d/m`."""
    damping = (1 - ratio) ** 2
    step = damping * c
    y, watch = step, _Watch()
    for taken in range(1, _INNER_LIMIT + 1):
        if watch.is_over(measure(step)):
            return y, taken
        step = damping * (c - apply(y)) + ratio * step
        y = y + step
    return y, _INNER_LIMIT


def _conjugate_gradients(
    algebra: Algebra, apply: Callable[[Array], Array], c: Array, measure: Measure
) -> tuple[Array, int]:
    y, rest, direction = 0 * c, c, c
    squares = algebra.norms(rest) ** 2
    watch = _Watch()
    for taken in range(_INNER_LIMIT):
        if watch.is_over(measure(rest)):
            return y, taken
        image = apply(direction)
        curvature = algebra.host((direction * image).sum(0))
        length = squares / np.where(curvature > 0, curvature, np.inf)
        y = y + direction * algebra.scale(length)
        rest = rest - image * algebra.scale(length)
        fresh = algebra.norms(rest) ** 2
        direction = rest + direction * algebra.scale(fresh / np.where(squares > 0, squares, np.inf))
        squares = fresh
    return y, _INNER_LIMIT


class _Watch:
    """Ends an iteration that has arrived, and one that rounding errors keep going in circles."""

    def __init__(self) -> None:
        self._smallest, self._since = np.inf, 0

    def is_over(self, left: float) -> bool:
        if left < 0.9 * self._smallest:
            self._smallest, self._since = left, 0
        else:
            self._since += 1
        return left <= 1 or self._since == _PATIENCE

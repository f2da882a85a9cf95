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
from typing import Any

import numpy as np

from numerics.arrays import Array
from solvers.regression._algebra import Algebra
from solvers.regression._factor import Factor
from solvers.regression._problem import Problem

_ROUNDING = 0.5 * float(np.finfo(np.float64).eps)
_INNER_LIMIT = 100
_STAGES = 5
# A correction as small as this share of the first order error bound of QR changes nothing.
_NEGLIGIBLE = 0.02
_ACCEPTED = 100.0


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
        self, algebra: Algebra, apply: Callable[[Array], Array], c: Array, tolerance: np.ndarray
    ) -> tuple[Array, int]:
        """Solve until steps are no longer than ``tolerance``, one number a column."""
        if self.name == "precondition":
            return _conjugate_gradients(algebra, apply, c, tolerance)
        return _heavy_ball(algebra, apply, c, tolerance, self.ratio)


def solve_in_stages(problem: Problem, factor: Factor, scheme: Scheme, x: Array) -> Iterated:
    """Refine x, stage by stage, until a stage changes nothing or makes nothing better."""
    algebra = problem.algebra

    def apply(y: Array) -> Array:
        return factor.apply_transposed(problem.normal_product(factor.apply(y)))

    steps, previous = 0, np.full(problem.k, np.inf)
    for stage in range(_STAGES):
        gradient, residuals = problem.residual(x)
        c = factor.apply_transposed(gradient)
        size = algebra.norms(c)
        floor = _ROUNDING * (
            factor.largest * algebra.norms(x)
            + min(factor.scaled_condition, 1 / _ROUNDING) * residuals
        )
        settled = size <= _ACCEPTED * floor
        if stage >= 2 and bool(np.all(settled | (size > 0.5 * previous))):
            break
        previous = size
        tolerance = _NEGLIGIBLE * floor
        y, taken = scheme.solve(algebra, apply, c, tolerance)
        steps += taken
        x = x + factor.apply(y)
    return Iterated(x, steps, bool(np.all(settled)), residuals)


def _heavy_ball(
    algebra: Algebra,
    apply: Callable[[Array], Array],
    c: Array,
    tolerance: np.ndarray,
    ratio: float,
) -> tuple[Array, int]:
    r"""Steps :math:`(1 - \rho)^2(c - My) + \rho\,\Delta y` with :math:`\rho = d/m`."""
    damping = (1 - ratio) ** 2
    step = damping * c
    y = step
    shortest, since = np.inf, 0
    for taken in range(1, _INNER_LIMIT + 1):
        lengths = algebra.norms(step)
        longest = float(np.max(lengths / np.maximum(tolerance, 1e-300)))
        if longest <= 1:
            return y, taken
        # Rounding bounds what can be reached: an iteration that circles there is over.
        shortest, since = (longest, 0) if longest < shortest else (shortest, since + 1)
        if since == 6:
            return y, taken
        step = damping * (c - apply(y)) + ratio * step
        y = y + step
    return y, _INNER_LIMIT


def _conjugate_gradients(
    algebra: Algebra, apply: Callable[[Array], Array], c: Array, tolerance: np.ndarray
) -> tuple[Array, int]:
    y, rest, direction = 0 * c, c, c
    squares = algebra.norms(rest) ** 2
    shortest, since = np.inf, 0
    for taken in range(1, _INNER_LIMIT + 1):
        longest = float(np.max(np.sqrt(squares) / np.maximum(tolerance, 1e-300)))
        if longest <= 1:
            return y, taken - 1
        shortest, since = (longest, 0) if longest < shortest else (shortest, since + 1)
        if since == 6:
            return y, taken - 1
        image = apply(direction)
        curvature = _column_products(algebra, direction, image)
        length = squares / np.where(curvature > 0, curvature, np.inf)
        y = y + direction * algebra.scale(length)
        rest = rest - image * algebra.scale(length)
        fresh = algebra.norms(rest) ** 2
        direction = rest + direction * algebra.scale(fresh / np.where(squares > 0, squares, np.inf))
        squares = fresh
    return y, _INNER_LIMIT


def _column_products(algebra: Algebra, left: Array, right: Array) -> np.ndarray:
    products: Any = (left * right).sum(0)
    return np.asarray(products if isinstance(products, np.ndarray) else products.cpu())

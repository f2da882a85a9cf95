r"""Functions that an equation and its conditions on an interval do not see.

For constant coefficients the homogeneous equation is solved by :math:`x^k e^{rx}`, r a root of the
characteristic polynomial of multiplicity above k; otherwise by 1 and x where they are. Combinations
of them on which all conditions vanish are what singles out a singular equation: it has many
solutions, or none.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from scipy.special import roots_legendre

from solvers.gp_pde._features import AxisFeatures, axis_coefficients, characteristic_roots
from solvers.gp_pde._problem import Problem
from solvers.gp_pde._weights import Exact, exact_data

_SAME_ROOT = 1e-12
_SINGULAR = 1e-8
_COMPATIBLE = 1e-6

Function = Callable[[np.ndarray, int], np.ndarray]


def null_functions(problem: Problem) -> list[Function]:
    """Functions v(x, order) with L v = 0 on which all conditions vanish, as far as L v = 0 has
    solutions in closed form.
    """
    grid = problem.grids[0]
    basis = _homogeneous_solutions(problem)
    if not basis:
        return []
    x = np.linspace(grid[0], grid[-1], 101)
    size = np.array([np.abs(v(x, 0)).max() for v in basis])

    def condition(order: int, *ends: int) -> np.ndarray:
        """Values, or their difference, beside the size that they might have had."""
        derivatives = np.array([v(x, order) for v in basis]) / size[:, None]
        row = derivatives[:, ends[0]] - (derivatives[:, ends[1]] if len(ends) > 1 else 0.0)
        return row / (np.abs(derivatives).max() or 1.0)

    rows = [condition(edge.order, -edge.end) for edge in problem.edges]
    if problem.periodic[0]:
        rows += [condition(order, -1, 0) for order in range(problem.pde.linear.orders[0])]
    _, s, Vt = np.linalg.svd(np.array(rows).reshape(-1, len(basis)))
    rank = int(np.sum(s > _SINGULAR))
    return [_combination(basis, row / size) for row in Vt[rank:]]


def singular_functions(problem: Problem) -> list[Function]:
    """Null functions of a linear equation with exact data and as many conditions as its order."""
    order = problem.pde.linear.orders[0]
    count = len(problem.edges) + order * problem.periodic[0]
    exact = problem.pde.is_linear and problem.noise == (0.0, 0.0)
    return null_functions(problem) if exact and count >= order else []


def refuse_singular(problem: Problem, method: str) -> None:
    """Refuse singular equations where a method cannot tell whether they have solutions."""
    if problem.dim == 1 and problem.observations is None and singular_functions(problem):
        raise ValueError(
            "the equation is singular: a function other than 0 solves it with all data zero; "
            f"method {method!r} takes no such equation, 'features' does if it has solutions"
        )


def solve_singular(
    problem: Problem,
    features: AxisFeatures,
    null: list[Function],
    rows: list[tuple[np.ndarray, np.ndarray]],
) -> Exact:
    r"""Condition on the boundary's and the equation's exact rows where they have null functions.

    Multiples :math:`\lambda` of the null functions are offered to f first: they are needed where
    the equation has no solution. What it leaves open is taken to be orthogonal to the null
    functions, unless there are observations to tell.
    """
    grid = problem.grids[0]
    (equation, right), (ends, data) = rows[-1], rows[0] if len(rows) > 1 else _no_rows(features)
    shift = np.stack([v(grid, 0) for v in null], axis=1)
    shift /= np.abs(shift).max(axis=0)
    offered = shift * np.linalg.norm(equation, axis=1).mean()
    H = np.block([[ends, np.zeros((len(ends), len(null)))], [equation, offered]])
    found = exact_data(H, np.concatenate([data, right])).mean[features.size :]
    excess = offered @ found
    scale = np.abs(right).max() + np.abs(data).max(initial=0.0) / problem.lengths[0]
    if np.abs(excess).max() > _COMPATIBLE * scale:
        raise ValueError(
            "the equation is singular (a function other than 0 solves it with all data zero) and "
            "f and the boundary data are not compatible with it: it has no solution; f would have "
            f"to be smaller by a multiple of that function of maximum {np.abs(excess).max():.3g}"
        )
    blocks, values = [ends, equation], [data, right - excess]
    if problem.observations is None:
        nodes, weights = roots_legendre(2 * len(features.omega))
        x = grid[0] + (nodes + 1) / 2 * problem.lengths[0]
        blocks.append(np.stack([weights * v(x, 0) for v in null]) @ features(x))
        values.append(np.zeros(len(null)))
        warnings.warn(
            "the equation is singular: it and the boundary data determine u up to functions that "
            "solve it with all data zero; the u orthogonal to them is returned (of mean zero, "
            "where they are the constants)",
            RuntimeWarning,
            stacklevel=7,
        )
    return exact_data(np.concatenate(blocks), np.concatenate(values))


def _homogeneous_solutions(problem: Problem) -> list[Function]:
    linear, grid = problem.pde.linear, problem.grids[0]
    middle, length = float(grid[0] + grid[-1]) / 2, float(grid[-1] - grid[0])
    if linear.is_constant:
        roots = _with_powers(characteristic_roots(axis_coefficients(linear, 0)))
        return [wave for root, power in roots for wave in _waves(root, power, grid)]
    values = linear.coefficients(grid)
    absent = {order: all(np.all(c == 0) for c, (a,) in values if a == order) for order in range(2)}
    basis: list[Function] = []
    if absent[0]:
        basis.append(_monomial(0, middle, length))
        if absent[1]:
            basis.append(_monomial(1, middle, length))
    return basis


def _with_powers(roots: np.ndarray) -> list[tuple[complex, int]]:
    """Roots with non-negative imaginary part, each with the power of x that goes with it."""
    # A root of multiplicity m is found to the m-th root of rounding.
    near = _SAME_ROOT ** (1 / max(len(roots), 1)) * np.abs(roots).max(initial=0.0)
    found: list[tuple[complex, int]] = []
    for root in roots:
        if root.imag < -near:
            continue
        same = [r for r, _ in found if abs(r - root) <= near]
        found.append((same[0] if same else _tidied(complex(root), near), len(same)))
    return found


def _tidied(root: complex, near: float) -> complex:
    return complex(root.real, root.imag if abs(root.imag) > near else 0.0)


def _waves(root: complex, power: int, grid: np.ndarray) -> list[Function]:
    """Real and imaginary part of x^k e^{rx}, at most 1 in size."""
    middle, length = float(grid[0] + grid[-1]) / 2, float(grid[-1] - grid[0])
    if root == 0:
        return [_monomial(power, middle, length)]
    start = float(grid[-1] if root.real > 0 else grid[0])
    scaled = np.polynomial.Polynomial([0.0, 1.0 / length]) ** power

    def value(x: np.ndarray, order: int) -> np.ndarray:
        t, polynomial = x - start, scaled
        for _ in range(order):
            polynomial = root * polynomial + polynomial.deriv()
        return polynomial(t) * np.exp(root * t)

    parts: list[Function] = [lambda x, order: value(x, order).real]
    if root.imag != 0:
        parts.append(lambda x, order: value(x, order).imag)
    return parts


def _monomial(power: int, middle: float, length: float) -> Function:
    polynomial = np.polynomial.Polynomial([0.0, 1.0 / length]) ** power

    def value(x: np.ndarray, order: int) -> np.ndarray:
        derived = polynomial.deriv(order) if order else polynomial
        return derived(x - middle) + 0.0 * x

    return value


def _combination(basis: list[Function], weights: np.ndarray) -> Function:
    return lambda x, order: sum(
        (w * v(x, order) for w, v in zip(weights, basis, strict=True)), np.zeros(np.shape(x))
    )


def _no_rows(features: AxisFeatures) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((0, features.size)), np.zeros(0)

r"""How well a solution satisfies its equation between the points of the grid."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from solvers.gp_pde._problem import Problem


def grid_points(grids: tuple[np.ndarray, ...]) -> np.ndarray:
    """Points (m, dim) of a product of grids."""
    return np.stack([axis.ravel() for axis in np.meshgrid(*grids, indexing="ij")], axis=1)


def off_grid_residual(
    problem: Problem, mean: Callable[[tuple[np.ndarray, ...], tuple[int, ...]], np.ndarray]
) -> tuple[float, bool]:
    """Relative residual half way between points where f is known there, else on the grid.

    ``mean`` gives a derivative of u on the product of grids, in its shape or flat. The residual is
    relative to f, and where that is 0 to the largest term of the equation.
    """
    grids = problem.grids
    if problem.source is not None:
        grids = tuple((grid[:-1] + grid[1:]) / 2 for grid in grids)
    mesh = np.meshgrid(*grids, indexing="ij")
    f = problem.f if problem.source is None else problem.source(*mesh)
    terms = [
        c * np.reshape(mean(grids, orders), f.shape)
        for c, orders in problem.pde.linear.coefficients(*mesh)
    ]
    u = np.reshape(mean(grids, (0,) * problem.dim), f.shape)
    terms.append(problem.pde.reaction(u)[0])
    norm = float(np.linalg.norm(sum(terms) - f))
    size = float(np.linalg.norm(f)) or max(float(np.linalg.norm(term)) for term in terms)
    return norm / (size or 1.0), problem.source is not None

r"""How well a solution satisfies its equation between the points of the grid."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from solvers.gp_pde._problem import Problem


def grid_points(grids: tuple[np.ndarray, ...]) -> np.ndarray:
    """Points (m, dim) of a product of grids."""
    return np.stack([axis.ravel() for axis in np.meshgrid(*grids, indexing="ij")], axis=1)


def off_grid_residual(
    problem: Problem, at: Callable[[tuple[np.ndarray, ...]], tuple[np.ndarray, np.ndarray]]
) -> tuple[float, bool]:
    """Relative residual half way between points where f is known there, else on the grid.

    ``at`` gives u and L u on the product of grids, in its shape or flat.
    """
    grids = problem.grids
    if problem.source is not None:
        grids = tuple((grid[:-1] + grid[1:]) / 2 for grid in grids)
    f = problem.f
    if problem.source is not None:
        f = problem.source(*np.meshgrid(*grids, indexing="ij"))
    u, image = (np.reshape(values, f.shape) for values in at(grids))
    reaction, _ = problem.pde.reaction(u)
    norm = float(np.linalg.norm(image + reaction - f))
    return norm / (float(np.linalg.norm(f)) or 1.0), problem.source is not None

r"""Equations on boxes by symmetric collocation, at the points of the grid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from solvers.gp_pde._functionals import Covariances, Functionals, Terms, derivative_at
from solvers.gp_pde._gram import GramPosterior, condition
from solvers.gp_pde._interval_spectrum import interval_kernel
from solvers.gp_pde._newton import Linearised, newton
from solvers.gp_pde._null_functions import refuse_singular
from solvers.gp_pde._plane_spectrum import plane_kernels
from solvers.gp_pde._plane_system import mean_terms
from solvers.gp_pde._problem import Edge, Problem
from solvers.gp_pde._residual import grid_points, off_grid_residual
from solvers.gp_pde.solution import PDESolution
from solvers.gp_pde.spectral_mixture import SpectralMixture

MOST_FUNCTIONALS = 10_000

# What the nugget and the condition of the Gram matrix leave of digits.
_ROUNDING = 1e-6

Group = tuple[Functionals, np.ndarray, np.ndarray]


def solve_collocation(problem: Problem) -> PDESolution:
    """Solve with the Gram matrix of the equation, the conditions and the observations."""
    if any(problem.periodic):
        raise ValueError("method 'collocation' takes no periodic axes; 'features' does")
    refuse_singular(problem, "collocation")
    points = grid_points(problem.grids)
    conditions = _conditions(problem)
    count = len(points) + sum(len(data) for _, data, _ in conditions)
    if count > MOST_FUNCTIONALS:
        raise ValueError(
            f"method 'collocation' takes at most {MOST_FUNCTIONALS} points and conditions in all, "
            f"got {count}; 'features' takes more"
        )
    kernels = box_kernels(problem)
    covariances = Covariances(kernels)
    zero = (0,) * problem.dim
    terms: Terms = tuple(problem.pde.linear.coefficients(*points.T))
    std = np.full(len(points), problem.noise[0])

    def solve(u: np.ndarray | None) -> Linearised[GramPosterior]:
        linear, right, slope = terms, problem.f.ravel(), np.zeros(len(points))
        if u is not None:
            reaction, slope = (a.ravel() for a in problem.pde.reaction(u))
            linear, right = (*terms, (slope, zero)), right - reaction + slope * u.ravel()
        # Exact data first: what follows is conditioned on them.
        groups = sorted(
            [*conditions, (Functionals(points, linear), right, std)], key=lambda g: bool(g[2].any())
        )
        groups += _observed(problem)
        posterior = condition(
            covariances,
            [functionals for functionals, _, _ in groups],
            np.concatenate([data for _, data, _ in groups]),
            np.concatenate([noise for _, _, noise in groups]),
            None,
            rescale=problem.kernels is None,
        )
        new = posterior.mean_of(derivative_at(points, zero))
        image = posterior.mean_of(Functionals(points, terms))
        return Linearised(new.reshape(problem.shape), image.reshape(problem.shape), posterior)

    run = newton(problem, solve, rounding=_ROUNDING)
    posterior = run.last.state

    def mean(grids: tuple[np.ndarray, ...], orders: tuple[int, ...]) -> np.ndarray:
        return posterior.mean_of(derivative_at(grid_points(grids), orders))

    norm, off_grid = off_grid_residual(problem, mean)
    seen = problem.observations
    noisy = int(np.count_nonzero(posterior.noise_std)) if seen is None else len(seen.values)
    return PDESolution(
        u=run.last.u,
        residual_norm=norm,
        residual_off_grid=off_grid,
        newton_history=run.history,
        iterations=len(run.history),
        converged=run.converged,
        nugget=posterior.nugget,
        freqs=tuple(np.asarray(kernel.freqs) for kernel in kernels),
        kernels=scaled_kernels(kernels, posterior.amplitude),
        extension=(),
        log_evidence=posterior.log_evidence_of_last(noisy) if noisy else None,
        method="collocation",
        grids=problem.grids,
        posterior=posterior,
    )


def box_kernels(problem: Problem) -> tuple[SpectralMixture, ...]:
    """The kernels given, or those that the data suggest."""
    if problem.kernels is not None:
        return problem.kernels
    if problem.dim == 1:
        return (interval_kernel(problem),)
    return plane_kernels(problem, mean_terms(problem))


def scaled_kernels(
    kernels: tuple[SpectralMixture, ...], amplitude: float
) -> tuple[SpectralMixture, ...]:
    """Factors of the kernel of the process times a number."""
    factor = amplitude ** (2 / len(kernels))
    return tuple(replace(kernel, weights=factor * kernel.weights) for kernel in kernels)


def _conditions(problem: Problem) -> list[Group]:
    """The faces' data; values at a corner count once."""
    groups = []
    taken: set[tuple[float, ...]] = set()
    for edge in problem.edges:
        points, values = _face_points(problem, edge), edge.values.ravel()
        if edge.order == 0:
            new = np.array([tuple(point) not in taken for point in points], dtype=bool)
            points, values = points[new], values[new]
            taken.update(map(tuple, points))
        orders = tuple(edge.order * (axis == edge.axis) for axis in range(problem.dim))
        std = np.full(len(values), problem.noise[1])
        groups.append((derivative_at(points, orders), values, std))
    return groups


def _face_points(problem: Problem, edge: Edge) -> np.ndarray:
    grids = list(problem.grids)
    grids[edge.axis] = grids[edge.axis][[-edge.end]]
    return grid_points(tuple(grids))


def _observed(problem: Problem) -> list[Group]:
    seen = problem.observations
    if seen is None:
        return []
    return [(derivative_at(seen.points, (0,) * problem.dim), seen.values, seen.noise_std)]

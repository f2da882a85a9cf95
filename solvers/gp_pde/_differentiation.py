r"""Equations by kernel differentiation matrices: the values of u on the grid as unknowns.

Given u on the grid X, the mean of the process has the derivatives
:math:`D^{(n)} u`, :math:`D^{(n)} = K^{(n)} K^{-1}`, there. On one axis the equation is required at
all points but as many as there are conditions, which take the places of those next to their ends;
on two, with constant coefficients and values of u on faces, it is the Sylvester equation

.. math:: A_1 U + U A_2^T = F - \text{known faces}, \qquad
          A_j = \sum_a c_a D_j^{(a)},

for the points that no face fixes. This is what the paper's objective settles to, solved in one
step; its accuracy ends at the rounding of K, whose nugget is the smallest that lets it be factored.
Off the grid the posterior is that of the process given u on the grid: its variance says how well
the grid determines u, not how well the equation does.

References: Fang, Cooley, Long, Li, Kirby, Zhe, arXiv 2311.04465.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import LinAlgError, solve, solve_sylvester, solve_triangular

from numerics.kronecker import kronecker_solve
from solvers.gp_pde._box_collocation import box_kernels
from solvers.gp_pde._newton import Linearised, newton
from solvers.gp_pde._null_functions import refuse_singular
from solvers.gp_pde._problem import Problem
from solvers.gp_pde._residual import grid_points, off_grid_residual
from solvers.gp_pde.derivative_matrices import (
    kernel_derivative_matrix,
    kernel_differentiation_matrix,
)
from solvers.gp_pde.kronecker_gp import KroneckerGP
from solvers.gp_pde.solution import PDESolution, Points
from solvers.gp_pde.spectral_mixture import SpectralMixture

_SMALLEST_NUGGET = 1e-16
_LARGEST_NUGGET = 1e-4
_MOST_DRAWN = 4000

Step = Callable[[np.ndarray | None], Linearised[None]]


@dataclass(frozen=True)
class GridPosterior:
    """A number times a process with a product kernel, given its values u on a grid.

    Interpolation matrices come before values: solutions with two matrices as near to singular as
    these, one after the other, would be of any size.
    """

    prior: KroneckerGP
    u: np.ndarray
    amplitude: float

    def moments(self, points: Points, order: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of a mixed derivative."""
        on_grid = isinstance(points, tuple)
        mean, explained, prior = self.u, np.ones(()), 1.0
        for k, (x, a, kernel) in enumerate(
            zip(_coordinates(points), order, self.prior.kernels, strict=True)
        ):
            cross, interpolation = self._axis(k, x, a)
            known = np.sum(cross * interpolation, axis=1)
            if on_grid:
                mean = np.moveaxis(np.tensordot(interpolation, mean, (1, k)), 0, k)
                explained = np.multiply.outer(explained, known)
            else:
                mean = interpolation @ mean if k == 0 else np.sum(interpolation * mean, axis=1)
                explained = explained * known
            prior *= (-1) ** a * float(kernel(0.0, order=2 * a))
        return mean, self.amplitude**2 * np.maximum(prior - explained, 0.0)

    def draw(
        self, size: int, rng: np.random.Generator, points: Points, order: tuple[int, ...]
    ) -> np.ndarray:
        """Joint draws of it."""
        mean, _ = self.moments(points, order)
        if mean.size > _MOST_DRAWN:
            raise ValueError(
                f"points must be at most {_MOST_DRAWN} for draws with method 'differentiation', "
                f"got {mean.size}"
            )
        flat = grid_points(points) if isinstance(points, tuple) else points
        prior, explained = np.ones(()), np.ones(())
        for k, (x, a, kernel) in enumerate(zip(flat.T, order, self.prior.kernels, strict=True)):
            cross, interpolation = self._axis(k, x, a)
            prior = prior * kernel_derivative_matrix(x, x, kernel, (a, a))
            explained = explained * (interpolation @ cross.T)
        values, vectors = np.linalg.eigh(prior - (explained + explained.T) / 2)
        root = self.amplitude * vectors * np.sqrt(np.maximum(values, 0.0))
        draws = rng.standard_normal((size, len(values))) @ root.T
        return mean + draws.reshape(size, *mean.shape)

    def _axis(self, k: int, x: np.ndarray, order: int) -> tuple[np.ndarray, np.ndarray]:
        """Covariances with the values on one axis' grid, and the matrix that interpolates them."""
        cross = kernel_derivative_matrix(x, self.prior.grids[k], self.prior.kernels[k], (order, 0))
        return cross, kronecker_solve([self.prior.covariances[k]], cross, assume_a="pos")


def solve_differentiation(problem: Problem) -> PDESolution:
    """Solve for the values on the grid."""
    _check(problem)
    kernels = [_unit(kernel) for kernel in box_kernels(problem)]
    gp, matrices = _matrices(problem, kernels)
    make = _interval_step if problem.dim == 1 else _plane_step
    run = newton(problem, make(problem, matrices))
    u = run.last.u
    if problem.kernels is None:
        # Under this amplitude the values on the grid are likeliest.
        amplitude = _root_mean_square(gp, u) or 1.0
    else:
        amplitude = float(np.sqrt(np.prod([kernel.weights.sum() for kernel in problem.kernels])))
    factor = amplitude ** (2 / problem.dim)
    scaled = tuple(replace(kernel, weights=factor * kernel.weights) for kernel in kernels)
    posterior = GridPosterior(gp, u, amplitude)

    def mean(grids: tuple[np.ndarray, ...], orders: tuple[int, ...]) -> np.ndarray:
        return posterior.moments(grids, orders)[0]

    norm, off_grid = off_grid_residual(problem, mean)
    return PDESolution(
        u=u,
        residual_norm=norm,
        residual_off_grid=off_grid,
        newton_history=run.history,
        iterations=len(run.history),
        converged=run.converged,
        nugget=float(gp.jitter or 0.0),
        freqs=tuple(np.asarray(kernel.freqs) for kernel in kernels),
        kernels=scaled,
        extension=(),
        log_evidence=None,
        method="differentiation",
        grids=problem.grids,
        posterior=posterior,
    )


def _root_mean_square(gp: KroneckerGP, u: np.ndarray) -> float:
    """That of the independent numbers that the factors of the covariances make u of."""
    for k, C in enumerate(gp.covariances):
        lower = np.linalg.cholesky(C)
        rest = np.moveaxis(u, k, 0)
        half = solve_triangular(lower, rest.reshape(len(lower), -1), lower=True)
        u = np.moveaxis(half.reshape(rest.shape), 0, k)
    return float(np.sqrt(np.mean(u**2)))


def _check(problem: Problem) -> None:
    lacks = "method 'differentiation' takes no"
    if any(problem.periodic):
        raise ValueError(f"{lacks} periodic axes; 'features' does")
    if problem.observations is not None or problem.noise != (0.0, 0.0):
        raise ValueError(f"{lacks} observations and no noise; 'features' and 'collocation' do")
    refuse_singular(problem, "differentiation")
    if problem.dim == 1:
        return
    linear = problem.pde.linear
    plain = problem.dim == 2 and problem.pde.is_linear and linear.is_constant
    if not plain or any(min(orders) > 0 for _, orders in linear.terms):
        raise ValueError(
            f"{lacks} equation on more than one axis but linear ones on two with constant "
            "coefficients and derivatives along one axis at a time; 'features' does"
        )
    if any(edge.order for edge in problem.edges):
        raise ValueError(f"{lacks} Neumann conditions on two axes; 'features' does")


def _unit(kernel: SpectralMixture) -> SpectralMixture:
    return replace(kernel, weights=kernel.weights / kernel.weights.sum())


def _matrices(
    problem: Problem, kernels: list[SpectralMixture]
) -> tuple[KroneckerGP, list[dict[int, np.ndarray]]]:
    """The process with the smallest nugget that works, and differentiation matrices by order."""
    wanted = [
        {orders[axis] for _, orders in problem.pde.linear.terms}
        | {edge.order for edge in problem.edges if edge.axis == axis}
        for axis in range(problem.dim)
    ]
    nugget = _SMALLEST_NUGGET
    while True:
        try:
            gp = KroneckerGP(problem.grids, kernels, jitter=nugget)
            gp.solve(problem.f)
            return gp, [
                {
                    order: kernel_differentiation_matrix(grid, kernel, order, nugget)
                    if order
                    else np.eye(len(grid))
                    for order in orders
                }
                for grid, kernel, orders in zip(problem.grids, kernels, wanted, strict=True)
            ]
        except LinAlgError:
            nugget *= 10
            if nugget > _LARGEST_NUGGET:
                raise


def _interval_step(problem: Problem, matrices: list[dict[int, np.ndarray]]) -> Step:
    (grid,), (D,) = problem.grids, matrices
    n = len(grid)
    operator = sum(
        np.multiply(c, D[orders[0]].T).T for c, orders in problem.pde.linear.coefficients(grid)
    )
    ends = [[D[edge.order][-end] for edge in problem.edges if edge.end == end] for end in (0, 1)]
    data = [[float(edge.values) for edge in problem.edges if edge.end == end] for end in (0, 1)]
    inner = slice(len(ends[0]), n - len(ends[1]))

    def step(u: np.ndarray | None) -> Linearised[None]:
        linear, right = operator, problem.f
        if u is not None:
            reaction, slope = problem.pde.reaction(u)
            linear, right = linear + np.diag(slope), right - reaction + slope * u
        rows = np.concatenate(
            [np.reshape(ends[0], (-1, n)), linear[inner], np.reshape(ends[1], (-1, n))]
        )
        values = np.concatenate([data[0], right[inner], data[1]])
        lengths = np.linalg.norm(rows, axis=1)
        new = solve(rows / lengths[:, None], values / lengths)
        return Linearised(new, operator @ new, None)

    return step


def _plane_step(problem: Problem, matrices: list[dict[int, np.ndarray]]) -> Step:
    operators = [np.zeros((n, n)) for n in problem.shape]
    for c, orders in problem.pde.linear.terms:
        axis = int(orders[1] > 0)
        operators[axis] += float(c) * matrices[axis][orders[axis]]  # type: ignore[arg-type]
    known = np.zeros(problem.shape)
    inner = [slice(0, n) for n in problem.shape]
    for edge in problem.edges:
        place: list[slice | int] = [slice(None), slice(None)]
        place[edge.axis] = -edge.end
        known[tuple(place)] = edge.values
        at = inner[edge.axis]
        inner[edge.axis] = slice(1, at.stop) if edge.end == 0 else slice(at.start, at.stop - 1)
    rows, columns = inner
    A, B = operators

    def step(u: np.ndarray | None) -> Linearised[None]:
        right = problem.f - A @ known - known @ B.T
        new = known.copy()
        new[rows, columns] = solve_sylvester(
            A[rows, rows], B[columns, columns].T, right[rows, columns]
        )
        return Linearised(new, A @ new + new @ B.T, None)

    return step


def _coordinates(points: Points) -> tuple[np.ndarray, ...]:
    return points if isinstance(points, tuple) else tuple(points.T)

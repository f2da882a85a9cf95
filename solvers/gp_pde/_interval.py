r"""Equations on an interval by weights of features: least squares, and Newton around it.

With :math:`u = \varphi\xi` the boundary conditions, the equation at the points of the grid and the
observations are rows on the weights; exact rows are solved by a singular value decomposition, noisy
ones condition what those leave open. A nonlinear equation is linearised about the last u,

.. math:: L u + N'(u_k)\,u = f - N(u_k) + N'(u_k)\,u_k,

which is Newton's method, and the posterior is that of the last linearisation. Newton stops on the
change of u: the weights are not unique to rounding, so that theirs never falls.

References: Fang, Cooley, Long, Li, Kirby, Zhe, arXiv 2311.04465 (the prior); Chen, Hosseini,
Owhadi, Stuart, arXiv 2103.12959 (Gauss-Newton on Gaussian processes).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from solvers.gp_pde._features import AxisFeatures, axis_features
from solvers.gp_pde._interval_spectrum import interval_kernel
from solvers.gp_pde._newton import Linearised, newton
from solvers.gp_pde._null_functions import Function, singular_functions, solve_singular
from solvers.gp_pde._problem import Problem
from solvers.gp_pde._residual import off_grid_residual
from solvers.gp_pde._weights import (
    NUGGET,
    WeightGaussian,
    exact_data,
    likely_amplitude,
    no_data,
)
from solvers.gp_pde.solution import PDESolution, Points

_FLOOR = 1e-20


@dataclass(frozen=True)
class IntervalPosterior:
    """u on an interval as features times weights."""

    features: AxisFeatures
    weights: WeightGaussian

    def moments(self, points: Points, order: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of a derivative."""
        return self.weights.moments(self.features(_coordinates(points), order[0]))

    def draw(
        self, size: int, rng: np.random.Generator, points: Points, order: tuple[int, ...]
    ) -> np.ndarray:
        """Joint draws of it."""
        return self.weights.draw(size, rng, self.features(_coordinates(points), order[0]))


def solve_interval(problem: Problem) -> PDESolution:
    """Solve in the features of the problem's kernel, or of the one that its data suggest."""
    kernel = interval_kernel(problem)
    rescale = problem.kernels is None
    features = axis_features(
        problem.grids[0], kernel, periodic=problem.periodic[0], given=not rescale, floor=_FLOOR
    )
    rows = _Rows.of(problem, features)

    def solve(u: np.ndarray | None) -> Linearised[tuple[WeightGaussian, float | None]]:
        state = rows.solve(u, rescale)
        mean = state[0].mean
        return Linearised(rows.values @ mean, rows.image @ mean, state)

    run = newton(problem, solve)
    weights, evidence = run.last.state
    posterior = IntervalPosterior(rows.features, weights)

    def mean(grids: tuple[np.ndarray, ...], orders: tuple[int, ...]) -> np.ndarray:
        return rows.features(grids[0], orders[0]) @ weights.mean

    norm, off_grid = off_grid_residual(problem, mean)
    return PDESolution(
        u=run.last.u,
        residual_norm=norm,
        residual_off_grid=off_grid,
        newton_history=run.history,
        iterations=len(run.history),
        converged=run.converged,
        nugget=NUGGET,
        freqs=(kernel.freqs,),
        kernels=(replace(kernel, weights=weights.amplitude**2 * kernel.weights),),
        extension=(rows.features.period / problem.lengths[0],),
        log_evidence=evidence,
        method="features",
        grids=problem.grids,
        posterior=posterior,
    )


@dataclass(frozen=True)
class _Rows:
    """Everything linear: features on the grid, under L, and under the conditions."""

    problem: Problem
    features: AxisFeatures
    values: np.ndarray
    image: np.ndarray
    ends: np.ndarray
    data: np.ndarray
    null: list[Function]

    @classmethod
    def of(cls, problem: Problem, features: AxisFeatures) -> _Rows:
        grid = problem.grids[0]
        ends = [features(grid[[-edge.end]], edge.order) for edge in problem.edges]
        data = [float(edge.values) for edge in problem.edges]
        return cls(
            problem=problem,
            features=features,
            values=features(grid),
            image=operator_image(problem, features, grid),
            ends=np.concatenate([np.zeros((0, features.size)), *ends]),
            data=np.array(data),
            null=singular_functions(problem),
        )

    def solve(self, u: np.ndarray | None, rescale: bool) -> tuple[WeightGaussian, float | None]:
        """Posterior of the linearisation about ``u`` on the grid, and the evidence of noisy data.

        That is the evidence of the observations, if there are any.
        """
        equation, right = self.image, self.problem.f
        if u is not None:
            value, slope = self.problem.pde.reaction(u)
            equation, right = equation + slope[:, None] * self.values, right - value + slope * u
        groups = [
            (self.ends, self.data, self.problem.noise[1]),
            (equation, right, self.problem.noise[0]),
        ]
        exact = [(H, y) for H, y, std in groups if std == 0 and len(y)]
        if self.null:
            first = solve_singular(self.problem, self.features, self.null, exact)
        elif exact:
            first = exact_data(*(np.concatenate(part) for part in zip(*exact, strict=True)))
        else:
            first = no_data(self.features.size)
        noisy = [(H, y, np.full(len(y), std)) for H, y, std in groups if std > 0 and len(y)]
        stages = [tuple(np.concatenate(part) for part in zip(*noisy, strict=True))] if noisy else []
        seen = self.problem.observations
        if seen is not None:
            stages.append((self.features(seen.points[:, 0]), seen.values, seen.noise_std))
        amplitude = 1.0
        if rescale:
            stacked = (np.concatenate(part) for part in zip(*stages, strict=True))
            amplitude = likely_amplitude(first, *(stacked if stages else (None, None, None)))
        weights = WeightGaussian(first.mean, first, amplitude)
        evidence = None
        for stage in stages:
            weights, evidence = weights.noisy(*stage)
        return weights, evidence


def operator_image(problem: Problem, features: AxisFeatures, x: np.ndarray) -> np.ndarray:
    """L of the features at points."""
    image = np.zeros((len(x), features.size))
    for c, orders in problem.pde.linear.coefficients(x):
        image += np.multiply(c, features(x, orders[0]).T).T
    return image


def _coordinates(points: Points) -> np.ndarray:
    return points[0] if isinstance(points, tuple) else points[:, 0]

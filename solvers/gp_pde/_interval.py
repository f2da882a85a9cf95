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

import warnings
from dataclasses import dataclass, replace

import numpy as np

from numerics.convergence import ConvergenceWarning
from solvers.gp_pde._features import AxisFeatures, axis_features
from solvers.gp_pde._interval_spectrum import interval_kernel
from solvers.gp_pde._null_functions import Function, null_functions, solve_singular
from solvers.gp_pde._problem import Problem
from solvers.gp_pde._weights import (
    NUGGET,
    WeightGaussian,
    exact_data,
    likely_amplitude,
    no_data,
)
from solvers.gp_pde.solution import PDESolution, Points
from solvers.gp_pde.spectral_mixture import SpectralMixture

_FLOOR = 1e-20
_GROWTH = 2.0
_HALVINGS = 6


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
    features = axis_features(problem.grids[0], kernel, periodic=problem.periodic[0], floor=_FLOOR)
    rows = _Rows.of(problem, features)
    rescale = problem.kernels is None
    if problem.pde.is_linear:
        weights, evidence = rows.solve(None, rescale)
        history: list[float] = []
        converged = True
    else:
        weights, evidence, history, converged = _newton(problem, rows, rescale)
    posterior = IntervalPosterior(rows.features, weights)
    norm, off_grid = _residual(problem, rows, weights.mean)
    return PDESolution(
        u=rows.values @ weights.mean,
        residual_norm=norm,
        residual_off_grid=off_grid,
        newton_history=tuple(history),
        iterations=len(history),
        converged=converged,
        nugget=NUGGET,
        freqs=(kernel.freqs,),
        kernels=(scaled(kernel, weights.amplitude),),
        extension=(rows.features.period / problem.lengths[0],),
        log_evidence=evidence,
        method="features",
        grids=problem.grids,
        posterior=posterior,
    )


def scaled(kernel: SpectralMixture, amplitude: float) -> SpectralMixture:
    """The kernel of the process times a number."""
    return replace(kernel, weights=amplitude**2 * kernel.weights)


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
        order = problem.pde.linear.orders[0]
        count = len(problem.edges) + order * problem.periodic[0]
        singular = problem.pde.is_linear and problem.noise == (0.0, 0.0) and count >= order
        return cls(
            problem=problem,
            features=features,
            values=features(grid),
            image=operator_image(problem, features, grid),
            ends=np.concatenate([np.zeros((0, features.size)), *ends]),
            data=np.array(data),
            null=null_functions(problem) if singular else [],
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

    def residual_size(self, mean: np.ndarray) -> float:
        """Norm of L u + N(u) - f on the grid."""
        reaction, _ = self.problem.pde.reaction(self.values @ mean)
        return float(np.linalg.norm(self.image @ mean + reaction - self.problem.f))


def operator_image(problem: Problem, features: AxisFeatures, x: np.ndarray) -> np.ndarray:
    """L of the features at points."""
    image = np.zeros((len(x), features.size))
    for c, orders in problem.pde.linear.coefficients(x):
        image += np.multiply(c, features(x, orders[0]).T).T
    return image


def _newton(
    problem: Problem, rows: _Rows, rescale: bool
) -> tuple[WeightGaussian, float | None, list[float], bool]:
    """Newton's method, with steps halved where they make the residual grow."""
    u = np.zeros(problem.shape)
    mean = np.zeros(rows.features.size)
    history: list[float] = []
    size = np.inf
    for step in range(problem.maxiter):
        weights, evidence = rows.solve(u, rescale)
        if step == 0:
            problem.pde.check_jac(rows.values @ weights.mean)
        fraction, norm = 1.0, rows.residual_size(weights.mean)
        # The first step meets the boundary data; what it does to the residual says nothing.
        for _ in range(_HALVINGS if step else 0):
            if norm <= _GROWTH * size:
                break
            fraction /= 2
            norm = rows.residual_size(mean + fraction * (weights.mean - mean))
        mean = mean + fraction * (weights.mean - mean)
        size, new = norm, rows.values @ mean
        change = float(np.linalg.norm(new - u)) / (float(np.linalg.norm(new)) or 1.0)
        history.append(change)
        u = new
        if change <= problem.rtol:
            return weights, evidence, history, True
    warnings.warn(
        f"Newton's method stopped after {problem.maxiter} steps with u still changing by "
        f"{history[-1]:.2g} of its size, rtol is {problem.rtol:.2g}",
        ConvergenceWarning,
        stacklevel=4,
    )
    return replace(weights, mean=mean), evidence, history, False


def _coordinates(points: Points) -> np.ndarray:
    return points[0] if isinstance(points, tuple) else points[:, 0]


def _residual(problem: Problem, rows: _Rows, mean: np.ndarray) -> tuple[float, bool]:
    """Relative residual half way between the points where f is known there, else on them."""
    x, f = problem.grids[0], problem.f
    values, image = rows.values, rows.image
    if problem.source is not None:
        x = (x[:-1] + x[1:]) / 2
        f, values = problem.source(x), rows.features(x)
        image = operator_image(problem, rows.features, x)
    reaction, _ = problem.pde.reaction(values @ mean)
    norm = float(np.linalg.norm(image @ mean + reaction - f))
    return norm / (float(np.linalg.norm(f)) or 1.0), problem.source is not None

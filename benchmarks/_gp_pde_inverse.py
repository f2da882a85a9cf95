"""Coefficients of equations from noisy scattered values of a known solution."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import chi2

from benchmarks._gp_pde_coverage import BEYOND
from benchmarks._gp_pde_truths import Waves, applied
from numerics.convergence import ConvergenceWarning
from solvers import LinearOperator, LinearOperator1D, SpectralMixture, fit_pde_parameters


@dataclass(frozen=True)
class Inverse:
    """Parameters of an equation on the unit box, zero at the ends of the first axis.

    ``observed`` is the number of values of u and the standard deviation of their noise.
    """

    title: str
    names: tuple[str, ...]
    true: tuple[float, ...]
    start: tuple[float, ...]
    operator: Callable[[np.ndarray], LinearOperator]
    u: Waves
    points: int
    noise: tuple[float, float]
    observed: tuple[int, float]
    kernel: Any = "auto"


def _rod(theta: np.ndarray) -> LinearOperator:
    """Minus the derivative of (theta_0 + theta_1 x) u'."""
    return LinearOperator1D(
        c1=lambda x: np.full(np.shape(x), -theta[1]), c2=lambda x: -(theta[0] + theta[1] * x)
    )


def _wave(theta: np.ndarray) -> LinearOperator:
    return LinearOperator([(1.0, (0, 2)), (-(theta[0] ** 2), (2, 0))])


_SPEED = 1.3

INVERSE = (
    Inverse(
        "rod: diffusivity a + b x",
        ("a", "b"),
        (0.5, 1.0),
        (1.0, 0.2),
        _rod,
        Waves(((1.0, (np.pi,)), (0.5, (3 * np.pi,)))),
        points=40,
        noise=(0.5, 1e-3),
        observed=(20, 0.05),
    ),
    Inverse(
        "string: wave speed, no initial data",
        ("c",),
        (_SPEED,),
        (1.2,),
        _wave,
        Waves(((1.0, (np.pi, np.pi * _SPEED)), (0.5, (3 * np.pi, 3 * np.pi * _SPEED)))),
        points=14,
        noise=(0.1, 1e-2),
        observed=(60, 0.1),
        kernel=(SpectralMixture([1.0, 0.3], [0.5, 1.5], [0.8, 0.8]),) * 2,
    ),
)


@dataclass(frozen=True)
class Estimates:
    """Estimates (runs, p) with their covariances (runs, p, p), and the truth (p,)."""

    values: np.ndarray
    covariances: np.ndarray
    true: np.ndarray
    not_converged: int

    @property
    def stds(self) -> np.ndarray:
        """As stated, shape (runs, p)."""
        return np.sqrt(np.diagonal(self.covariances, axis1=1, axis2=2))

    @property
    def inside(self) -> np.ndarray:
        """Whether each 95 % interval holds the truth, shape (runs, p)."""
        return np.abs(self.values - self.true) <= BEYOND * self.stds

    @property
    def jointly_inside(self) -> np.ndarray:
        """Whether the 95 % ellipsoid does, shape (runs,)."""
        error = (self.values - self.true)[:, :, None]
        square = np.swapaxes(error, 1, 2) @ np.linalg.solve(self.covariances, error)
        return square[:, 0, 0] <= chi2.ppf(0.95, len(self.true))


def estimate(problem: Inverse, runs: int, rng: np.random.Generator) -> Estimates:
    """Fit the parameters to many sets of measurements."""
    true, dim = np.array(problem.true), len(problem.u.terms[0][1])
    grid = np.linspace(0, 1, problem.points)
    points = np.stack(np.meshgrid(*(grid,) * dim, indexing="ij"), axis=-1)
    exact = applied(problem.operator(true), problem.u, points.reshape(-1, dim))
    f = exact.reshape(points.shape[:-1])
    count, std = problem.observed
    values, covariances, failed = [], [], 0
    for _ in range(runs):
        where = rng.uniform(0, 1, (count, dim))
        seen = problem.u(where, (0,) * dim) + std * rng.standard_normal(count)
        ends = problem.noise[1] * rng.standard_normal((2, *f.shape[1:]))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fit = fit_pde_parameters(
                problem.operator,
                np.array(problem.start),
                (grid,) * dim,
                f + problem.noise[0] * rng.standard_normal(f.shape),
                {"x0": ends[0], "x1": ends[1]} if dim == 2 else tuple(map(float, ends)),
                observations=(where, seen, std),
                kernel=problem.kernel,
                noise=problem.noise,
            )
        failed += any(issubclass(w.category, ConvergenceWarning) for w in caught)
        values.append(fit.estimate)
        covariances.append(fit.covariance)
    return Estimates(np.array(values), np.array(covariances), true, failed)

"""Measured equations on unit boxes, and how often bands hold the truth over many of them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks._gp_pde_truths import Truth, applied
from numerics.convergence import ConvergenceWarning
from solvers import PDE, LinearOperator, Neumann, SpectralMixture, fit_spectrum, solve_pde

BEYOND = 1.959964  # standard deviations that a normal variable exceeds 5 % of the time
_TEST_POINTS = 40


@dataclass(frozen=True)
class Setting:
    """An equation on the unit box and what is measured of it.

    ``faces`` are those with data: 0 and 1 the ends of the first axis, 2 and 3 of the second;
    ``slopes`` are those of them whose data are normal derivatives. ``observed`` is the number of
    values of u and the standard deviation of their noise.
    """

    title: str
    linear: LinearOperator
    kernels: tuple[SpectralMixture, ...]
    points: int
    noise: tuple[float, float]
    faces: tuple[int, ...] = (0, 1)
    slopes: tuple[int, ...] = ()
    observed: tuple[int, float] | None = None
    cubic: bool = False

    @property
    def dim(self) -> int:
        return self.linear.dim

    @property
    def pde(self) -> PDE:
        if self.cubic:
            return PDE(self.linear, lambda u: u * (u**2 - 1), lambda u: 3 * u**2 - 1)
        return PDE(self.linear)


@dataclass(frozen=True)
class Outcome:
    """Errors and standard deviations at the same points in every run, shape (runs, points)."""

    errors: np.ndarray
    stds: np.ndarray
    not_converged: int

    @property
    def standardised(self) -> np.ndarray:
        return self.errors / self.stds

    @property
    def inside(self) -> np.ndarray:
        """Whether the 95 % interval holds the truth."""
        return np.abs(self.standardised) <= BEYOND

    @property
    def coverage(self) -> float:
        return float(np.mean(self.inside))

    @property
    def coverage_error(self) -> float:
        """Standard error of the coverage, over runs, at least that of independent tosses."""
        spread = float(np.std(np.mean(self.inside, axis=1))) / math.sqrt(len(self.inside))
        return max(spread, math.sqrt(0.95 * 0.05 / self.inside.size))

    @property
    def distance(self) -> float:
        """Of the coverage from 95 %, in standard errors."""
        return (self.coverage - 0.95) / self.coverage_error

    @property
    def mean_square(self) -> float:
        """Of errors over standard deviations, 1 where they are right."""
        return float(np.mean(self.standardised**2))


def root_mean_square(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def measure(
    setting: Setting,
    truth_of: Callable[[np.random.Generator], Truth],
    runs: int,
    rng: np.random.Generator,
    kernel: Any = None,
) -> Outcome:
    """Solve the setting for many truths and noises.

    ``kernel`` replaces the setting's kernels; "fitted" is what `fit_spectrum` makes of the data.
    """
    kernel = setting.kernels if kernel is None else kernel
    places = rng.uniform(0, 1, (_TEST_POINTS, setting.dim))
    errors, stds, failed = [], [], 0
    for _ in range(runs):
        truth = truth_of(rng)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            solution = solved(setting, truth, rng, kernel)
        failed += any(issubclass(w.category, ConvergenceWarning) for w in caught)
        mean, variance = solution.predict(places if setting.dim > 1 else places[:, 0])
        errors.append(truth(places, (0,) * setting.dim) - mean)
        stds.append(np.sqrt(variance))
    return Outcome(np.array(errors), np.array(stds), failed)


def solved(setting: Setting, truth: Truth, rng: np.random.Generator, kernel: Any) -> Any:
    """The solution from one measurement of all that the setting measures."""
    grid, dim = np.linspace(0, 1, setting.points), setting.dim
    grids = (grid,) * dim
    points = np.stack(np.meshgrid(*grids, indexing="ij"), axis=-1).reshape(-1, dim)
    f = applied(setting.linear, truth, points)
    if setting.cubic:
        u = truth(points, (0,) * dim)
        f = f + u * (u**2 - 1)
    f = (f + setting.noise[0] * rng.standard_normal(len(f))).reshape([setting.points] * dim)
    observations = None
    if setting.observed is not None:
        count, std = setting.observed
        where = rng.uniform(0, 1, (count, dim))
        values = truth(where, (0,) * dim) + std * rng.standard_normal(count)
        observations = (where, values, std)
    problem = (setting.pde, grids, f, _boundary(setting, truth, grid, rng))
    data = {"noise": setting.noise, "observations": observations}
    if isinstance(kernel, str) and kernel == "fitted":
        kernel = fit_spectrum(*problem, **data).kernel
    return solve_pde(*problem, kernel=kernel, **data)


def _boundary(setting: Setting, truth: Truth, grid: np.ndarray, rng: np.random.Generator) -> Any:
    data: list[Any] = [None] * (2 * setting.dim)
    for face in setting.faces:
        axis, end = divmod(face, 2)
        where = np.full((len(grid) if setting.dim == 2 else 1, setting.dim), float(end))
        if setting.dim == 2:
            where[:, 1 - axis] = grid
        normal = face in setting.slopes
        order = tuple(int(normal and other == axis) for other in range(setting.dim))
        outward = 1 if end or not normal else -1
        values = outward * truth(where, order) + setting.noise[1] * rng.standard_normal(len(where))
        datum = values if setting.dim == 2 else float(values[0])
        data[face] = Neumann(datum) if normal else datum
    if setting.dim == 1:
        return tuple(data)
    names = ("x0", "x1", "y0", "y1")
    return {n: datum for n, datum in zip(names, data, strict=True) if datum is not None}

r"""The prior on an interval as the data suggest it: the spectrum of f, of u and of L v = 0."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.interpolate import CubicSpline

from solvers.gp_pde._features import (
    Curves,
    axis_coefficients,
    characteristic_roots,
    is_uniform,
    nyquist,
    spectrum_of,
    symbol_of,
)
from solvers.gp_pde._problem import Problem
from solvers.gp_pde.equations import LinearOperator
from solvers.gp_pde.spectral_mixture import SpectralMixture

_FEWEST_OBSERVATIONS = 16
# Tails between those of a Gaussian, which suit sines best, and the heavier ones that smooth
# functions with broad spectra need: chosen on fourteen functions of both kinds.
_SMOOTHNESS = 14.5


def interval_kernel(problem: Problem) -> SpectralMixture:
    """The kernel given, or the one read from f, the boundary values and the observations."""
    if problem.kernels is not None:
        return problem.kernels[0]
    if _is_determined(problem):
        # Noisy values cannot add to what exact data say, and their noise would look like waves.
        problem = replace(problem, observations=None)
    grid, length = problem.grids[0], problem.lengths[0]
    frozen = _frozen(problem)
    observed = _observed_curve(problem)
    curves = [_source_curve(problem, frozen[1])] + ([] if observed is None else [observed])
    values = [np.atleast_1d(edge.values) * length**edge.order for edge in problem.edges]
    if problem.observations is not None:
        values.append(problem.observations.values)
    roots = np.concatenate([characteristic_roots(axis_coefficients(L, 0)) for L in frozen])
    background = float(np.mean(np.concatenate(values) ** 2)) if values else 0.0
    # What noise may hide the prior has to allow.
    noisy = problem.observations is not None or any(problem.noise)
    return spectrum_of(
        curves,
        length,
        limit=nyquist(grid),
        roots=_distinct(roots, 1 / length),
        background=background,
        **({"share": 1.0} if noisy else {}),
        nu=_SMOOTHNESS,
    )


def _is_determined(problem: Problem) -> bool:
    """Whether an exact equation has exact conditions for each of its orders."""
    conditions = problem.pde.linear.orders[0] if problem.periodic[0] else len(problem.edges)
    return not any(problem.noise) and conditions >= problem.pde.linear.orders[0]


def _frozen(problem: Problem) -> tuple[LinearOperator, LinearOperator, LinearOperator]:
    """The linearised operator with the coefficients of the ends and, second, of the middle."""
    grid = problem.grids[0]
    states = [0.0, 0.0, 0.0]
    for edge in problem.edges:
        if edge.order == 0:
            states[2 * edge.end] = float(edge.values)
    with np.errstate(all="ignore"):
        _, slopes = problem.pde.reaction(np.array(states))
    slopes = np.where(np.isfinite(slopes), slopes, 0.0)
    left, middle, right = (
        problem.pde.linear.frozen(x) + LinearOperator([(float(slope), 0)])
        for x, slope in zip((grid[0], grid[len(grid) // 2], grid[-1]), slopes, strict=True)
    )
    return left, middle, right


def _distinct(roots: np.ndarray, apart: float) -> list[complex]:
    """Roots that differ by more than ``apart`` in what counts: the sizes of both their parts."""
    kept: list[complex] = []
    for root in np.abs(roots.real) + 1j * np.abs(roots.imag):
        if all(abs(root - other) > apart for other in kept):
            kept.append(complex(root))
    return kept or [0.0]


def _source_curve(problem: Problem, linear: LinearOperator) -> Curves:
    """Samples of f: evenly spaced, where leakage falls off, if there is a way to have them."""
    grid, f = problem.grids[0], problem.f
    even = np.linspace(grid[0], grid[-1], len(grid))
    if not is_uniform(grid):
        if problem.source is not None:
            grid, f = even, problem.source(even)
        elif problem.noise[0] == 0:
            grid, f = even, CubicSpline(grid, f)(even)
    return Curves(f, grid, symbol_of(linear, 0), problem.noise[0])


def _observed_curve(problem: Problem) -> Curves | None:
    """Samples of u where there are enough of them, over enough of the interval."""
    seen = problem.observations
    if seen is None:
        return None
    x, first = np.unique(seen.points[:, 0], return_index=True)
    if len(x) < _FEWEST_OBSERVATIONS or x[-1] - x[0] < 0.5 * problem.lengths[0]:
        return None
    std = float(np.sqrt(np.mean(seen.noise_std**2)))
    if not is_uniform(x):
        # Waves leak into each other between scattered points as if they were noise.
        std = float(np.hypot(std, seen.values.std()))
    return Curves(seen.values[first], x, None, std)

r"""Noisy equations and observations on a box: the posterior over all weights, formed densely.

Coefficients are :math:`C = \alpha\,(\Sigma_1 \otimes \cdots \otimes \Sigma_d)\,\eta` with weights
:math:`\eta \sim N(0, I)` and the prior standard deviations :math:`\Sigma_j` of the axes' bases. For
the rows H of the data y, equation, faces and observations, divided by the standard deviations of
their noise,

.. math:: \Lambda = I + \alpha^2 H^T H, \qquad
          \eta \mid y \sim N\left(\alpha \Lambda^{-1} H^T y,\ \Lambda^{-1}\right).

The amplitude :math:`\alpha` is that of largest evidence, by MacKay's fixed point
:math:`\alpha^2 \leftarrow \alpha^2 \lVert\eta\rVert^2/(K - \operatorname{tr}\Lambda^{-1})`, but
not so small that u, in the mean or in the data, is larger than the prior has it: a spectrum of few
lines in a broad prior would make the prior too sure of what no datum shows, and an equation without
a right-hand side would have it be zero whatever observations say.
A nonlinear equation is linearised about the mean until that stands still.

Three things are approximate. Directions whose prior standard deviation is below a hundredth of the
noise, as the operator may enlarge it, are not looked for in the data and keep their prior, and what
they add to the data is taken for noise; where unknowns would be too many, larger ones too. Exact
data on the faces are given noise of a thousandth of the equation's, both relative, and at least
1e-6. And an exact equation that its conditions leave open is given noise of 1e-5 to 1e-2 of its
size, that of largest evidence: the bases of a grid meet an equation no better.

References: MacKay, Neural Computation 4 (1992) 415-447 (the fixed point); Chen, Hosseini, Owhadi,
Stuart, arXiv 2103.12959 (Gauss-Newton).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import cholesky, solve_triangular

from numerics.kronecker import along
from solvers.gp_pde._axis_basis import CUTOFF
from solvers.gp_pde._features import nyquist
from solvers.gp_pde._plane_normal import (
    NormalEquations,
    normal_equations,
    observation_equations,
)
from solvers.gp_pde._plane_posterior import unseen_variance
from solvers.gp_pde._plane_spread import DenseSpread
from solvers.gp_pde._plane_system import PlaneSystem, Terms
from solvers.gp_pde._problem import Problem
from solvers.gp_pde.spectral_mixture import SpectralMixture

MOST_UNKNOWNS = 4000
LARGEST_CUTOFF = 1e-3

_BELOW_NOISE = 1e-2
_LEVELS = (1e-2, 1e-3, 1e-4, 1e-5)
_FACES = 1e-3
_LEAST = 1e-6
_PRECISION = 1e14
_AMPLITUDE_STEPS = 12
_AMPLITUDE_RTOL = 0.02
_PROBES = 16
_STANDSTILL = 1e-6


class NoiseTooSmall(ValueError):
    """Noise so small beside the prior's data that their squares lose it."""


@dataclass(frozen=True)
class NoisySolution:
    """Mean coefficients, what is about them, and how they were come by.

    ``log_density`` is that of all data, ``log_predictive`` that of the observations given the
    others, None without observations.
    """

    coefficients: np.ndarray
    spread: DenseSpread
    log_density: float
    log_predictive: float | None
    history: tuple[float, ...]
    converged: bool


def noisy_problems(
    problem: Problem, kernels: tuple[SpectralMixture, ...], terms: Terms
) -> list[Problem]:
    """The problem with noise in all data: one, or several with less each where there was none."""
    u, f = _sizes(problem, kernels, terms)
    equation, boundary = problem.noise
    levels = [equation / f] if equation else _LEVELS
    return [
        replace(problem, noise=(level * f, boundary or max(_LEAST, _FACES * level) * u))
        for level in levels
    ]


def noise_cutoff(problem: Problem, kernels: tuple[SpectralMixture, ...], terms: Terms) -> float:
    """Relative prior standard deviation below which directions are left alone.

    What they add to the data, up to the highest frequencies of the grid, is below the noise.
    """
    highest = [2 * math.pi * nyquist(grid) for grid in problem.grids]
    noise = [problem.noise[0] / _symbol_size(terms, highest)]
    if problem.edges:
        noise.append(problem.noise[1])
    if problem.observations is not None:
        noise.append(float(problem.observations.noise_std.min()))
    ratio = min(noise) / _sizes(problem, kernels, terms)[0]
    return float(np.clip(_BELOW_NOISE * ratio, CUTOFF, LARGEST_CUTOFF))


def _sizes(
    problem: Problem, kernels: tuple[SpectralMixture, ...], terms: Terms
) -> tuple[float, float]:
    """About the root mean squares of u and of Lu, from all data and the prior's frequencies."""
    per_u = _symbol_size(terms, _typical(problem, kernels))
    data = [edge.values for edge in problem.edges]
    if problem.observations is not None:
        data.append(problem.observations.values)
    u = max((float(np.sqrt(np.mean(values**2))) for values in data), default=0.0)
    f = float(np.sqrt(np.mean(problem.f**2)))
    return max(u, f / per_u) or 1.0, max(f, u * per_u) or 1.0


def _typical(problem: Problem, kernels: tuple[SpectralMixture, ...]) -> list[float]:
    """Angular frequencies that the prior has u made of, one an axis."""
    return [
        2 * math.pi * float(np.average(kernel.freqs, weights=kernel.weights) + 1 / length)
        for kernel, length in zip(kernels, problem.lengths, strict=True)
    ]


def with_noise_of_the_unseen(
    system: PlaneSystem, kernels: tuple[SpectralMixture, ...], *, rescale: bool
) -> PlaneSystem:
    """The system with, in the noise, what directions left out add to the data under the prior."""
    problem = system.problem
    grids = problem.grids
    amplitude = 1.0
    if rescale:
        prior = math.prod(basis.features.variance() for basis in system.bases)
        amplitude = _sizes(problem, kernels, system.terms)[0] / math.sqrt(prior)

    def size(order: tuple[int, ...], points: tuple[np.ndarray, ...] = grids) -> float:
        return amplitude * math.sqrt(
            float(np.mean(unseen_variance(system.bases, points, order, product=True)))
        )

    equation = sum(abs(c) * size(orders) for c, orders in system.terms)
    faces = [
        size(
            tuple(edge.order if axis == edge.axis else 0 for axis in range(problem.dim)),
            tuple(g[[-edge.end]] if axis == edge.axis else g for axis, g in enumerate(grids)),
        )
        for edge in problem.edges
    ]
    noise = (
        math.hypot(problem.noise[0], equation),
        math.hypot(problem.noise[1], max(faces, default=0.0)),
    )
    seen = problem.observations
    if seen is not None:
        order = (0,) * problem.dim
        extra = unseen_variance(system.bases, tuple(seen.points.T), order, product=False)
        seen = replace(seen, noise_std=np.sqrt(seen.noise_std**2 + amplitude**2 * extra))
    return replace(system, problem=replace(problem, noise=noise, observations=seen))


def solve_noisy(system: PlaneSystem, *, rescale: bool) -> NoisySolution:
    """Posterior where all data have noise; the bases of the system hold no conditions."""
    unknowns = math.prod(basis.size for basis in system.bases)
    if unknowns > MOST_UNKNOWNS:
        raise ValueError(
            f"noise and observations on a box take at most {MOST_UNKNOWNS} unknowns; the grids and "
            f"the spectrum make {unknowns}: give coarser grids or larger noise"
        )
    sd = [np.diag(basis.sd) for basis in system.bases]
    least = _least_amplitude(system) if rescale else None
    seen = observation_equations(system)
    before = None
    if not system.problem.pde.is_linear:
        before = np.zeros(system.problem.shape)
    history: list[float] = []
    converged = False
    while not converged and len(history) < system.problem.maxiter:
        rest = normal_equations(system, before)
        mean, spread, density = _posterior(rest if seen is None else rest + seen, sd, least)
        if before is None:
            converged = True
            break
        u = system.on_grid(mean)
        history.append(float(np.linalg.norm(u - before)) / (float(np.linalg.norm(u)) or 1.0))
        # The amplitude is found to a few per cent: u cannot stand still to more than follows.
        converged = history[-1] <= max(system.problem.rtol, _STANDSTILL)
        before = u
    predictive = None
    if seen is not None:
        root = _precision_root(rest, spread.amplitude)
        predictive = density - _log_density(rest, root, spread.amplitude)[0]
    return NoisySolution(mean, spread, density, predictive, tuple(history), converged)


def _least_amplitude(system: PlaneSystem) -> float:
    """With it, the prior's u is of the size of its values in the data, or as noise of f may hide.

    Where f is zero all directions but few say that u is, and by evidence alone it would be.
    """
    problem = system.problem
    data = [edge.values for edge in problem.edges if edge.order == 0]
    if problem.observations is not None:
        data.append(problem.observations.values)
    u = max((float(np.sqrt(np.mean(values**2))) for values in data), default=0.0)
    hidden = problem.noise[0] / _symbol_size(system.terms, _typical(problem, system.kernels))
    return max(u, hidden) / math.sqrt(math.prod(b.features.variance() for b in system.bases))


def _posterior(
    data: NormalEquations, sd: list[np.ndarray], least: float | None
) -> tuple[np.ndarray, DenseSpread, float]:
    """Mean coefficients, their spread, and the data's log density.

    The amplitude is 1 without a ``least``.
    """
    unknowns = len(data.right)
    amplitude = 1.0
    prior = math.prod(float(np.linalg.norm(one)) for one in sd)
    if least is not None:
        # With it, the data's squares are what the prior expects of them.
        amplitude = math.sqrt(data.square / (float(np.trace(data.gram)) or 1.0)) or 1.0
        for _ in range(_AMPLITUDE_STEPS):
            root = _precision_root(data, amplitude)
            half = solve_triangular(root, amplitude * data.right, trans="T")
            mean = solve_triangular(root, half)
            determined = unknowns - _trace_of_inverse(root)
            likely = math.sqrt(float(mean @ mean) / max(determined, 1e-3 * unknowns))
            weighted = along(mean.reshape([len(one) for one in sd]), sd)
            new = max(amplitude * max(likely, float(np.linalg.norm(weighted)) / prior), least)
            if new == 0.0 or abs(new - amplitude) <= _AMPLITUDE_RTOL * amplitude:
                break
            amplitude = new
    root = _precision_root(data, amplitude)
    density, half = _log_density(data, root, amplitude)
    mean = solve_triangular(root, half).reshape([len(one) for one in sd])
    spread = DenseSpread(sd, amplitude, solve_triangular(root, np.eye(unknowns)))
    return amplitude * along(mean, sd), spread, density


def _log_density(
    data: NormalEquations, root: np.ndarray, amplitude: float
) -> tuple[float, np.ndarray]:
    """Of the data under the prior, and the root times the mean of the weights."""
    half = solve_triangular(root, amplitude * data.right, trans="T")
    misfit = data.square - float(half @ half)
    return data.constant - 0.5 * misfit - float(np.sum(np.log(np.diag(root)))), half


def _precision_root(data: NormalEquations, amplitude: float) -> np.ndarray:
    """Upper triangular square root of the weights' precision."""
    unknowns = len(data.right)
    if amplitude**2 * float(np.trace(data.gram)) > _PRECISION * unknowns:
        raise NoiseTooSmall(
            "noise must be larger, or 0 for exact data: beside what the prior lets the data be, it "
            f"is below {math.sqrt(1 / _PRECISION):.0e}"
        )
    precision = amplitude**2 * data.gram
    precision[np.diag_indices(unknowns)] += 1.0
    return cholesky(precision, lower=False, overwrite_a=True)


def _trace_of_inverse(root: np.ndarray) -> float:
    """The trace of the weights' covariance, estimated with random signs."""
    probes = np.random.default_rng(0).choice([-1.0, 1.0], (len(root), _PROBES))
    return float(np.sum(solve_triangular(root, probes, trans="T") ** 2)) / _PROBES


def _symbol_size(terms: Terms, omega: list[float]) -> float:
    """Size of the operator's symbol at angular frequencies."""
    return sum(
        abs(c) * math.prod(w**a for a, w in zip(orders, omega, strict=True)) for c, orders in terms
    )

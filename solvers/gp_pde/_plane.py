r"""Equations on boxes of two and three axes, by spectral-mixture features on each axis.

The bases of the axes, :mod:`solvers.gp_pde._axis_basis`, turn an equation with constant
coefficients into a Sylvester equation, solved by the eigen-decompositions of one matrix an axis,
:mod:`solvers.gp_pde._sylvester`. Three axes differ from two only in the number of products. A
direct solution on :math:`n^3` points takes 17 arrays of their size at its peak and GMRES up to 60
more of coefficients, so that 24 GiB hold some 550 points an axis, or 350 with GMRES, in three
dimensions; two are bounded by time, not memory.

The spectrum comes from the data, :mod:`solvers.gp_pde._plane_spectrum`. Layers at the ends, which
the lines of the data do not show, are looked for when the residual asks for it.

References: Fang, Cooley, Long, Li, Kirby, Zhe, arXiv 2311.04465.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace

import numpy as np

from numerics.convergence import ConvergenceWarning
from numerics.kronecker import along
from solvers.gp_pde._axis_basis import CUTOFF
from solvers.gp_pde._plane_edges import missing_edges, split_edges, with_other_edges
from solvers.gp_pde._plane_newton import PlaneIteration, linear_by_gmres, newton
from solvers.gp_pde._plane_noise import (
    LARGEST_CUTOFF,
    MOST_UNKNOWNS,
    NoiseTooSmall,
    noise_cutoff,
    noisy_problems,
    solve_noisy,
    with_noise_of_the_unseen,
)
from solvers.gp_pde._plane_posterior import PlanePosterior, log_predictive, unseen_variance
from solvers.gp_pde._plane_spectrum import plane_kernels
from solvers.gp_pde._plane_system import PlaneSystem, Terms, mean_terms, plane_system
from solvers.gp_pde._problem import Edge, Problem
from solvers.gp_pde.solution import PDESolution
from solvers.gp_pde.spectral_mixture import SpectralMixture

_GOOD = 1e-9
_COMPATIBLE = 1e-6
_DEPENDENT = 1e-6


@dataclass(frozen=True)
class _Solved:
    system: PlaneSystem
    iteration: PlaneIteration
    residual: float
    badness: float


def solve_plane(problem: Problem) -> PDESolution:
    """Solve a problem on a box of two or more axes.

    Exact data that determine u are met by the bases of the axes; the variance is then that of the
    prior's directions which the bases leave out. Where the prior was read from the data, it
    is enlarged until those directions leave as much of the equation as there is left of it, between
    the points of the grid if f is known there: u may be unlike the prior. Noise, and conditions
    that leave u open, take the dense posterior of :mod:`solvers.gp_pde._plane_noise`, with the
    approximations named there.

    Raises
    ------
    ValueError
        If a singular equation has no solution; if there are more conditions than a nonlinear
        equation or one with coefficients that vary takes; and, with noise, for more than
        ``MOST_UNKNOWNS`` unknowns, or noise that is lost in rounding beside the data.

    Warns
    -----
    ConvergenceWarning
        If Newton's steps or an inner iteration stop before their tolerance.
    RuntimeWarning
        If the equation is singular but has solutions, and if observations cannot change any.
    """
    terms = mean_terms(problem)
    if any(problem.noise) or missing_edges(problem):
        solution = _solve_noisy(problem, terms)
    else:
        solution, singular = _solve_exact(problem, terms)
        if singular:
            warnings.warn(
                "the equation and its conditions leave solutions of the homogeneous problem free: "
                "the solution orthogonal to them, of mean zero for constants, is returned",
                RuntimeWarning,
                stacklevel=3,
            )
        if problem.observations is not None:
            warnings.warn(
                "observations change nothing: the equation and the boundary, exact, determine u",
                RuntimeWarning,
                stacklevel=3,
            )
    if not solution.converged:
        last = f": the last relative change was {(solution.newton_history or (0.0,))[-1]:.1e}"
        warnings.warn(
            f"{solution.iterations} iterations were not enough"
            + (last if solution.newton_history else ""),
            ConvergenceWarning,
            stacklevel=3,
        )
    return solution


def _solve_exact(problem: Problem, terms: Terms) -> tuple[PDESolution, bool]:
    """Solution of exact data that determine u, and whether but for homogeneous solutions."""
    solved = _best_solved(problem, terms)
    system, iteration = solved.system, solved.iteration
    u = system.on_grid(iteration.coefficients)
    amplitude = 1.0 if problem.kernels is not None else _amplitude(system, u)
    posterior = PlanePosterior(system.bases, iteration.coefficients, amplitude)
    solution = _solution(solved, posterior, nugget=CUTOFF)
    if problem.kernels is None:
        doubted = max(amplitude, _amplitude_of_residual(solved))
        solution = replace(solution, posterior=replace(posterior, amplitude=doubted))
    if problem.observations is not None:
        solution = replace(solution, log_evidence=log_predictive(posterior, problem.observations))
    return solution, iteration.singular


def _solve_noisy(problem: Problem, terms: Terms) -> PDESolution:
    """Data with noise, or that leave u open: the likeliest of the levels of noise to try."""
    # What f does not show, the prior must allow: no exact boundary data stand for it.
    kernels = problem.kernels or plane_kernels(problem, terms, background=1.0)
    solutions: list[tuple[float, float | None, PDESolution]] = []
    for trial in noisy_problems(problem, kernels, terms):
        try:
            solutions.append(_noisy_solution(trial, kernels, terms))
        except NoiseTooSmall:
            if not solutions:
                raise
            break
    density, evidence, best = max(solutions, key=lambda one: one[0])
    if problem.observations is None and (problem.noise[1] > 0 or not problem.edges):
        evidence = density
    # What depends on a level of noise that was looked for is no density of the data.
    return replace(best, log_evidence=evidence if problem.noise[0] > 0 else None)


def _noisy_solution(
    problem: Problem, kernels: tuple[SpectralMixture, ...], terms: Terms
) -> tuple[float, float | None, PDESolution]:
    """Log densities, of all data and of the observations given the others, and the solution."""
    cutoff = noise_cutoff(problem, kernels, terms)
    while True:
        system = plane_system(problem, kernels, (), terms, cutoff=cutoff, noisy=True)
        size = math.prod(basis.size for basis in system.bases)
        if size <= MOST_UNKNOWNS or cutoff >= LARGEST_CUTOFF:
            break
        cutoff = min(10 * cutoff, LARGEST_CUTOFF)
    rescale = problem.kernels is None
    system = with_noise_of_the_unseen(system, kernels, rescale=rescale)
    noisy = solve_noisy(system, rescale=rescale)
    iteration = PlaneIteration(
        noisy.coefficients, noisy.history, len(noisy.history), noisy.converged
    )
    solved = _Solved(system, iteration, _residual(system, noisy.coefficients)[0], 0.0)
    posterior = PlanePosterior(
        system.bases, noisy.coefficients, noisy.spread.amplitude, noisy.spread
    )
    solution = _solution(solved, posterior, nugget=cutoff)
    return noisy.log_density, noisy.log_predictive, solution


def _solution(solved: _Solved, posterior: PlanePosterior, *, nugget: float) -> PDESolution:
    system, iteration, problem = solved.system, solved.iteration, solved.system.problem
    first, *others = system.kernels
    scaled = replace(first, weights=posterior.amplitude**2 * np.asarray(first.weights))
    return PDESolution(
        u=system.on_grid(posterior.coefficients),
        residual_norm=solved.residual,
        residual_off_grid=problem.source is not None,
        newton_history=iteration.history,
        iterations=iteration.iterations,
        converged=iteration.converged,
        nugget=nugget,
        # Lines, layers and slow functions may have the same.
        freqs=tuple(np.unique(kernel.freqs) for kernel in system.kernels),
        kernels=(scaled, *others),
        extension=tuple(
            basis.features.period / length
            for basis, length in zip(system.bases, problem.lengths, strict=True)
        ),
        log_evidence=None,
        method="features",
        grids=problem.grids,
        posterior=posterior,
    )


def _best_solved(problem: Problem, terms: Terms) -> _Solved:
    """With the prior whose solution leaves least of the equation and the conditions."""
    edges, others = split_edges(problem, terms)
    if others and not (problem.pde.is_linear and problem.pde.linear.is_constant):
        names = ", ".join(edge.name for edge in others)
        raise ValueError(
            "boundary must not have more conditions than the order of an equation that is "
            f"nonlinear or has coefficients that vary; leave out {names}"
        )
    if problem.kernels is not None:
        return _solved(problem, problem.kernels, edges, others, terms)
    best = _solved(problem, plane_kernels(problem, terms), edges, others, terms)
    if best.badness > _GOOD:
        kernels = plane_kernels(problem, terms, layers=True)
        if any(
            len(new.freqs) > len(old.freqs)
            for new, old in zip(kernels, best.system.kernels, strict=True)
        ):
            layered = _solved(problem, kernels, edges, others, terms)
            best = min(best, layered, key=lambda one: one.badness)
    return best


def _solved(
    problem: Problem,
    kernels: tuple[SpectralMixture, ...],
    edges: tuple[Edge, ...],
    others: tuple[Edge, ...],
    terms: Terms,
) -> _Solved:
    system = plane_system(problem, kernels, edges, terms, cutoff=CUTOFF)
    if problem.pde.is_linear and problem.pde.linear.is_constant:
        iteration = _linear(system)
    elif problem.pde.is_linear:
        iteration = linear_by_gmres(system, system.lifted())
    else:
        lifted = system.lifted()
        source = system.fitted(problem.f)
        starts = []
        for right in (0.0 * source, source):
            free, _, _ = system.reduced.solve(system.restricted(right - system.operator(lifted)))
            starts.append(lifted + system.extended(free))
        iteration = newton(system, starts)
    full = iteration.coefficients
    if others:
        full, count, converged = with_other_edges(system, full, others)
        iteration = PlaneIteration(
            full, (), iteration.iterations + count, iteration.converged and converged
        )
    residual, relative = _residual(system, full)
    return _Solved(system, iteration, residual, max(relative, _misfit(system, full)))


def _linear(system: PlaneSystem) -> PlaneIteration:
    """Direct solution, refined once more against the rounding of the lifted data."""
    full = system.lifted()
    source = system.fitted(system.problem.f)
    iterations, converged = 0, True
    inverse = system.reduced.inverse
    null = inverse.complete and bool(inverse.null.any())
    for first in (True, False):
        right = system.restricted(source - system.operator(full))
        if first and null:
            _check_compatible(system, right, source)
        free, count, met = system.reduced.solve(right)
        full = full + system.extended(free)
        iterations += count
        converged = converged and (met or null or not first)
    if null:
        full = _without_homogeneous(system, full)
    return PlaneIteration(full, (), iterations, bool(converged), singular=null)


def _check_compatible(system: PlaneSystem, right: np.ndarray, source: np.ndarray) -> None:
    inverse = system.reduced.inverse
    modes = inverse.modes(right)
    size = float(np.linalg.norm(source)) + system.reduced.scale * _data_size(system)
    left = float(np.linalg.norm(modes[inverse.null]))
    if left > _COMPATIBLE * size:
        raise ValueError(
            "f must be compatible with the boundary data: the equation is singular, and for "
            f"{int(inverse.null.sum())} of its null direction(s) {left / (size or 1.0):.1e} of "
            "the data is left, where a solution leaves none (a Neumann problem needs the integral "
            "of f to be that of the boundary data)"
        )


def _data_size(system: PlaneSystem) -> float:
    sizes = [float(np.linalg.norm(system.fitted_edge(edge))) for edge in system.edges]
    lengths = system.problem.lengths
    return max(
        (
            size * (lengths[edge.axis] / (2 * np.pi)) ** edge.order
            for size, edge in zip(sizes, system.edges, strict=True)
        ),
        default=0.0,
    )


def _without_homogeneous(system: PlaneSystem, full: np.ndarray) -> np.ndarray:
    """The solution orthogonal to those of the homogeneous problem."""
    inverse = system.reduced.inverse
    places = np.argwhere(inverse.null)
    modes = []
    for place in places:
        columns = [X[:, [k]] for X, k in zip(inverse.vectors, place, strict=True)]
        mode = system.extended(along(np.ones([1] * len(columns)), columns))
        modes += [mode.real.ravel(), mode.imag.ravel()]
    left, size, _ = np.linalg.svd(np.stack(modes, axis=1), full_matrices=False)
    basis = left[:, size > _DEPENDENT * size[0]]
    return full - (basis @ (basis.T @ full.ravel())).reshape(full.shape)


def _residual(system: PlaneSystem, full: np.ndarray) -> tuple[float, float]:
    """Residual of the equation relative to f, or if that is zero to its terms; and to its terms."""
    gap, sizes = _gap(system, full)
    residual, data, terms = float(np.linalg.norm(gap)), sizes[0], max(sizes)
    return residual / (data or terms or 1.0), residual / (terms or 1.0)


def _gap(system: PlaneSystem, full: np.ndarray) -> tuple[np.ndarray, list[float]]:
    """Lu + N(u) - f, between the points of the grid if f is known there; norms of f and terms."""
    problem = system.problem
    points, f = _residual_points(problem), problem.f
    if problem.source is not None:
        f = problem.source(*np.meshgrid(*points, indexing="ij"))
    parts = system.parts(full, points)
    return sum(parts) - f, [float(np.linalg.norm(part)) for part in (f, *parts)]


def _residual_points(problem: Problem) -> tuple[np.ndarray, ...]:
    """Between the points of the grid if f is known there."""
    if problem.source is None:
        return problem.grids
    return tuple((grid[1:] + grid[:-1]) / 2 for grid in problem.grids)


def _misfit(system: PlaneSystem, full: np.ndarray) -> float:
    """Largest misfit on a face, on its grid, relative to the data or to u."""
    worst = 0.0
    u = float(np.sqrt(np.mean(system.on_grid(full) ** 2)))
    for edge in system.edges:
        others = [m[0] for axis, m in enumerate(system.grid_matrices) if axis != edge.axis]
        values = along(system.edge_of(edge, full), others)
        size = max(u, float(np.sqrt(np.mean(edge.values**2)))) or 1.0
        worst = max(worst, float(np.sqrt(np.mean((values - edge.values) ** 2))) / size)
    return worst


def _amplitude(system: PlaneSystem, u: np.ndarray) -> float:
    """Standard deviation for a prior of unit variance, that of u itself."""
    variance = float(np.prod([basis.features.variance() for basis in system.bases]))
    return float(np.sqrt(np.mean(u**2) / variance)) or 1.0


def _amplitude_of_residual(solved: _Solved) -> float:
    """With it, the directions left out leave as much of the equation as there is left of it."""
    system = solved.system
    points = _residual_points(system.problem)
    left = sum(
        abs(c)
        * math.sqrt(float(np.mean(unseen_variance(system.bases, points, orders, product=True))))
        for c, orders in system.terms
    )
    gap = _gap(system, solved.iteration.coefficients)[0]
    return float(np.sqrt(np.mean(gap**2))) / left if left > 0 else 0.0

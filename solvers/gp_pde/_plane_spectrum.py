r"""The prior of a problem on a box, read from its data: one spectral mixture an axis.

Lines come from the periodograms, along the axis, of f and of the values on the faces that the axis
runs along; each set of data counts alike, whatever its size. Where a wave along the other axes
solves the homogeneous equation with :math:`e^{rx}` along this one, an r without a real part is a
line too: an advection turns the frequencies of the initial data into those of time. Exponents with
a real part are layers at the ends; they widen the spectrum, which costs accuracy where there are
none, and are taken on request. Where data have noise, slow functions are as likely as the strongest
line, and as rough as observations have them, :mod:`solvers.gp_pde._plane_observed`.

References: Fang, Cooley, Long, Li, Kirby, Zhe, arXiv 2311.04465.
"""

from __future__ import annotations

import numpy as np
from scipy.interpolate import make_interp_spline

from solvers.gp_pde._features import LINE_WIDTH, Curves, is_uniform, nyquist, spectrum_of
from solvers.gp_pde._plane_observed import observed_widths
from solvers.gp_pde._problem import Edge, Problem
from solvers.gp_pde.spectral_mixture import SpectralMixture

_DECAYING = 1e-6
_LAYER = 1e-3
_ROUNDING = 1e-10
_LOBES = 2.0
_WIDEST = 5.0


def plane_kernels(
    problem: Problem,
    terms: list[tuple[float, tuple[int, ...]]],
    *,
    layers: bool = False,
    background: float = 0.0,
) -> tuple[SpectralMixture, ...]:
    """Kernels of unit variance, with the growing and decaying waves if ``layers``.

    ``background`` is the weight of slow functions beside that of the strongest line, at least. If
    there is one, it is as rough as scattered observations have u.
    """
    least = _least_size(problem, terms)
    lines = []
    for axis, (grid, length) in enumerate(zip(problem.grids, problem.lengths, strict=True)):
        curves = _curves(problem, axis, least)
        found = spectrum_of(curves, length, limit=nyquist(grid), background=background)
        lines.append(_without_leakage(found, length))
    widths = _slow_widths(problem) if background else None
    kernels = []
    for axis, (grid, length) in enumerate(zip(problem.grids, problem.lengths, strict=True)):
        weights, freqs, scales = (
            np.asarray(a) for a in (lines[axis].weights, lines[axis].freqs, lines[axis].scales)
        )
        if widths is not None:
            scales = np.where(freqs == 0, widths[axis], scales)
        width = LINE_WIDTH / (2 * np.pi * length)
        for root, weight in _roots(terms, axis, lines):
            grown, turned = abs(root.real) / (2 * np.pi), abs(root.imag) / (2 * np.pi)
            wave = grown <= _DECAYING * turned
            if max(grown, turned) > nyquist(grid) or not (wave or layers):
                continue
            # A line that is there already says more about its weight.
            if wave and np.any(np.abs(freqs - turned) < 1 / length):
                continue
            weights = np.append(weights, weight if wave else _LAYER * weight)
            freqs = np.append(freqs, turned)
            scales = np.append(scales, max(grown, width))
        kernels.append(SpectralMixture(weights / weights.sum(), freqs, scales))
    return tuple(kernels)


def _slow_widths(problem: Problem) -> list[float] | None:
    """Widths of the spectrum about zero by axis, if there are observations."""
    if problem.observations is None:
        return None
    slow = [LINE_WIDTH / (2 * np.pi * length) for length in problem.lengths]
    # A Gaussian spectrum has a twentieth of its mass beyond two standard deviations; and a plane
    # with more than the second would have more unknowns than are solved for.
    limits = [
        min(nyquist(grid) / 2, _WIDEST / length)
        for grid, length in zip(problem.grids, problem.lengths, strict=True)
    ]
    return observed_widths(problem.observations, slow, limits)


def _without_leakage(kernel: SpectralMixture, length: float) -> SpectralMixture:
    """The lines that are not the window's side lobes about stronger ones.

    Those of the Hann window fall with the sixth power of the distance. Taken for lines they would
    have the features reach up to the limit of the grid.
    """
    weights, freqs = np.asarray(kernel.weights), np.asarray(kernel.freqs)
    apart = length * np.abs(freqs[:, None] - freqs)
    bound = _LOBES * weights * np.maximum(apart, 1.0) ** -6.0
    stronger = weights[:, None] < weights
    kept = weights >= np.where(stronger, bound, 0.0).max(axis=1)
    return SpectralMixture(weights[kept], freqs[kept], np.asarray(kernel.scales)[kept])


def _least_size(problem: Problem, terms: list[tuple[float, tuple[int, ...]]]) -> float:
    """Boundary data below it are zero but for rounding."""
    steps = [L / (n - 1) for L, n in zip(problem.lengths, problem.shape, strict=True)]
    largest = sum(
        abs(c) * float(np.prod([(np.pi / h) ** a for a, h in zip(orders, steps, strict=True)]))
        for c, orders in terms
    )
    sizes = [float(np.sqrt(np.mean(edge.values**2))) for edge in problem.edges]
    return _ROUNDING * max([float(np.sqrt(np.mean(problem.f**2))) / largest, *sizes])


def _curves(problem: Problem, axis: int, least: float) -> list[Curves]:
    grid = problem.grids[axis]
    equation, boundary = problem.noise
    data = [(np.moveaxis(problem.f, axis, -1), equation, 0.0)]
    data += [
        (np.moveaxis(edge.values, _place(edge, axis), -1), boundary, least)
        for edge in problem.edges
        if edge.axis != axis
    ]
    curves = []
    for values, noise, smallest in data:
        size = float(np.sqrt(np.mean(values**2)))
        if size > smallest:
            curves.append(Curves(*_equally_spaced(values / size, grid), noise_std=noise / size))
    return curves


def _equally_spaced(values: np.ndarray, grid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values and points, by a spline where the grid is not uniform.

    Sums over points at unequal distances have no side lobes that fall, and weak lines drown.
    """
    if is_uniform(grid):
        return values, grid
    points = np.linspace(grid[0], grid[-1], len(grid))
    degree = 5 if len(grid) > 6 else 1
    return make_interp_spline(grid, values, k=degree, axis=-1)(points), points


def _place(edge: Edge, axis: int) -> int:
    """Where an axis of the box is among the axes of a face."""
    return axis - (edge.axis < axis)


def _roots(
    terms: list[tuple[float, tuple[int, ...]]], axis: int, lines: list[SpectralMixture]
) -> list[tuple[complex, float]]:
    r"""Exponents along an axis of solutions that are waves of a line along another; weights."""
    found = []
    for other, kernel in enumerate(lines):
        if other == axis:
            continue
        total = float(np.sum(kernel.weights))
        for freq, weight in zip(kernel.freqs, kernel.weights, strict=True):
            polynomial = np.zeros(1 + max(orders[axis] for _, orders in terms), dtype=complex)
            for c, orders in terms:
                rest = sum(orders) - orders[axis] - orders[other]
                if rest == 0:
                    polynomial[orders[axis]] += c * (2j * np.pi * float(freq)) ** orders[other]
            polynomial = np.trim_zeros(polynomial, "b")
            if len(polynomial) > 1:
                roots = np.roots(polynomial[::-1])
                found += [(complex(root), float(weight) / total) for root in roots if root != 0]
    return sorted(found, key=lambda pair: -pair[1])

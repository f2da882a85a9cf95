r"""Whether a grid is fine enough for the data: a warning before an aliased answer.

Values on the grid cannot tell: frequencies above its limit look like others below. Functions are
sampled more finely here, and what of their power lies above the limit is an error that the answer
will have.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable

import numpy as np

from solvers.gp_pde._features import nyquist
from solvers.gp_pde._problem import Problem

_REFINEMENT = 8
_SHARE = 1e-3
_ROUNDING = 1e-12
# A line below the limit must not leak above it: this window's side lobes are 2.5e-5 high, and its
# main lobe ends four cycles per length aside.
_BLACKMAN_HARRIS = (0.35875, -0.48829, 0.14128, -0.01168)
_LOBE = 4


def warn_if_aliased(problem: Problem, stacklevel: int) -> None:
    """Warn where f or boundary data that are functions have frequencies above the grid's limit."""
    negligible = _ROUNDING * _image_size(problem)
    for axis, grid in enumerate(problem.grids):
        others = [g for other, g in enumerate(problem.grids) if other != axis]
        curves = []
        if problem.source is not None:
            curves.append(("f", problem.source, axis, others))
        if problem.dim == 2:
            curves += [
                (f"boundary {edge.name!r}", edge.function, 0, [])
                for edge in problem.edges
                if edge.axis != axis and edge.function is not None
            ]
        for name, function, place, fixed in curves:
            share, highest = _above(function, grid, place, fixed, negligible if name == "f" else 0)
            if share > _SHARE:
                limit = nyquist(grid)
                warnings.warn(
                    f"{name} has frequencies up to about {highest:.3g} cycles along axis {axis}, "
                    f"above the limit {limit:.3g} of its {len(grid)} points: the answer is aliased "
                    f"and wrong by about {share:.1g} of {name}; "
                    f"{int(2.5 * highest * (grid[-1] - grid[0])) + 2} points would resolve them",
                    RuntimeWarning,
                    stacklevel=stacklevel + 1,
                )


def _above(
    function: Callable[..., np.ndarray],
    grid: np.ndarray,
    place: int,
    others: list[np.ndarray],
    negligible: float,
) -> tuple[float, float]:
    """The share above the limit, in amplitude, and the highest frequency that matters."""
    n = _REFINEMENT * (len(grid) - 1) + 1
    s = np.linspace(grid[0], grid[-1], n)
    lines = []
    # Irrational fractions of the other axes: nodes of products of sines are missed.
    places = [[g[0] + t * (g[-1] - g[0]) for t in (0.1416, 0.4142, 0.7321)] for g in others]
    for fixed in itertools.product(*places):
        coordinates = [np.full(n, value) for value in fixed]
        coordinates.insert(place, s)
        lines.append(function(*coordinates))
    turns = 2 * np.pi * np.arange(n) / (n - 1)
    window = np.array(_BLACKMAN_HARRIS) @ np.cos(np.multiply.outer(np.arange(4), turns))
    power = np.sum(np.abs(np.fft.rfft(np.stack(lines) * window)) ** 2, axis=0)
    freqs = np.fft.rfftfreq(n, s[1] - s[0])
    total = float(power.sum())
    if total <= negligible**2 * window.sum() ** 2:
        return 0.0, 0.0
    above = freqs > nyquist(grid) + _LOBE / (grid[-1] - grid[0])
    relevant = freqs[power > _SHARE**2 * power.max()]
    return float(np.sqrt(power[above].sum() / total)), float(relevant.max())


def _image_size(problem: Problem) -> float:
    """What L makes of a function like the boundary data: f far below it is rounding."""
    data = max((float(np.abs(edge.values).max()) for edge in problem.edges), default=0.0)
    middle = (grid[len(grid) // 2] for grid in problem.grids)
    coordinates = tuple(np.asarray(x) for x in middle)
    return data * sum(
        abs(float(c)) / math.prod(size**a for size, a in zip(problem.lengths, orders, strict=True))
        for c, orders in problem.pde.linear.coefficients(*coordinates)
    )

r"""How rough observations at scattered points have u: a bandwidth of its spectrum for each axis.

Values at scattered points have no periodogram without leakage, and lines in it drown. What they do
tell is the width of a Gaussian spectrum about zero: the one under which they are likeliest by
themselves, among powers of :math:`\sqrt 2` times the width that a slow function has.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.linalg import cholesky, solve_triangular

from solvers.gp_pde._problem import Observations

_FEWEST = 8
_MOST = 200
_STEP = math.sqrt(2)
_SWEEPS = 2


def observed_widths(seen: Observations, slow: list[float], limits: list[float]) -> list[float]:
    """Standard deviations of the spectrum by axis, in cycles, from ``slow`` up to ``limits``.

    Fewer than eight values say nothing, and are taken for those of a slow function; of more than
    200, an evenly spread part is looked at.
    """
    count = len(seen.values)
    if count < _FEWEST:
        return slow
    part = np.unique(np.linspace(0, count - 1, min(count, _MOST)).astype(int))
    squares = (seen.points[part, None] - seen.points[part]) ** 2
    noise = seen.noise_std[part] ** 2
    values = seen.values[part]
    # What is beyond the noise, or as much as noise may hide.
    variance = max(float(np.mean(values**2 - noise)), 0.1 * float(np.mean(noise)))

    def cost(widths: np.ndarray) -> float:
        covariance = variance * np.exp(-2 * np.pi**2 * (squares @ widths**2))
        covariance[np.diag_indices(len(values))] += noise + 1e-10 * variance
        root = cholesky(covariance, lower=True)
        half = solve_triangular(root, values, lower=True)
        return 0.5 * float(half @ half) + float(np.sum(np.log(np.diag(root))))

    ladders = [
        low * _STEP ** np.arange(max(0, math.floor(math.log(high / low, _STEP))) + 1)
        for low, high in zip(slow, limits, strict=True)
    ]
    together = [
        np.array([ladder[min(k, len(ladder) - 1)] for ladder in ladders])
        for k in range(max(map(len, ladders)))
    ]
    widths = min(together, key=cost)
    for _ in range(_SWEEPS):
        for axis, ladder in enumerate(ladders):
            tried = np.repeat(widths[None], len(ladder), axis=0)
            tried[:, axis] = ladder
            widths = min(tried, key=cost)
    return [float(width) for width in widths]

r"""How far a spline solution is off, from solutions on half and on a quarter of the cells.

With u_n the solution on n cells and an error of order q, :math:`\lVert u_n - u_{n/2} \rVert`
is :math:`2^q - 1` times that of u_n. The order is the one seen between the two differences, kept
between :math:`\alpha/2`, that of solutions singular at the ends, and that of smooth ones. On few
cells the difference is taken as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from solvers.riesz._ends import end_means, singular
from solvers.riesz._equation import CollocatedEquation
from solvers.riesz._spline import inner_points, spline_basis

_SAMPLES = 1025
_ENOUGH_CELLS = 12  # for a quarter of them to show an order
_END_CELLS = 8  # that are looked at closely, where singular solutions have their largest error

Collocated = Callable[[int, int], tuple[CollocatedEquation, np.ndarray]]


def judge(
    equation: CollocatedEquation, f: np.ndarray, x: np.ndarray, collocated: Collocated
) -> tuple[float, bool]:
    """Error estimate, and whether the solution is singular at the ends.

    ``collocated(n, p)`` gives the equation of another space with its right-hand side.
    """
    n, p, alpha = equation.A.n, equation.A.p, equation.A.alpha
    if x.size == 0:
        return 0.0, False
    if not np.all(np.isfinite(x)):
        return np.inf, False
    points = _sample(n)
    u = spline_basis(points, n, p) @ x
    spaces = (
        [(n // 2, p), (n // 4, p)]
        if n >= _ENOUGH_CELLS
        else [(n // 2, p)]
        if n > 1
        else [_other(p)]
    )
    means = [end_means(inner_points(n, p), equation.image(x, f), alpha)]
    values = [u]
    for space in spaces:
        coarse, right = collocated(*space)
        solution = coarse.solve(right)[0]
        values.append(spline_basis(points, *space) @ solution)
        if len(means) == 1:
            means.append(end_means(inner_points(*space), coarse.image(solution, right), alpha))
    differences = [np.abs(a - b).max(axis=0) for a, b in pairwise(values)]
    first = differences[0]
    if len(differences) == 2:
        highest = p + 2 - alpha if p % 2 == 0 else p + 1 - alpha
        tiny = np.finfo(np.float64).tiny
        ratio = np.log((differences[1] + tiny) / (first + tiny)) / np.log((n // 2) / (n // 4))
        order = np.clip(ratio, alpha / 2, highest)
        first = first / ((n / (n // 2)) ** order - 1)
    return float(np.max(first)), singular(*means)


def _other(p: int) -> tuple[int, int]:
    """One cell, another degree."""
    return 1, p - 1 if p > 2 else p + 1


def _sample(n: int) -> np.ndarray:
    near = np.linspace(0, min(_END_CELLS / n, 0.5), 8 * _END_CELLS + 1)
    return np.concatenate((near, np.linspace(0, 1, _SAMPLES), 1 - near))

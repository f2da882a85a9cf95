"""A first solution and a factor from a sketch of the problem."""

from __future__ import annotations

import numpy as np

from numerics.arrays import Array
from numerics.sketching import osnap
from solvers.regression._factor import Factor, factor_of, triangularise
from solvers.regression._problem import Problem

_ROWS_A_COLUMN = 12
_ENTRIES_A_ROW = 8


def sketched_start(
    problem: Problem, rtol: float, rng: np.random.Generator
) -> tuple[Factor, Array, float]:
    """Factor of the sketched A, solution of the sketched problem, and d/m.

    An embedding is all that is wanted of the sketch, and the sparse one is the fastest. The ridge's
    rows are kept as they are.
    """
    n, d = problem.n, problem.d
    m = min(_ROWS_A_COLUMN * d, n)
    op = osnap(n, m, s=min(_ENTRIES_A_ROW, m), rng=rng)
    small = problem.sketched(problem.sketch(op, double=True), op.apply(problem.b))
    R, z, _ = triangularise(small)
    factor = factor_of(problem.algebra, R, rtol)
    return factor, factor.apply(factor.coordinates(z)), min(d / m, 0.5)

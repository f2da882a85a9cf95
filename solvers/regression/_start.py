"""A first solution and a factor from a sketch of the problem."""

from __future__ import annotations

import numpy as np

from numerics.arrays import Array
from numerics.sketching import Sketch, osnap, sketch, srht
from solvers.regression._factor import Factor, factor_of
from solvers.regression._problem import Problem

_ROWS_A_COLUMN = 16


def sketched_start(
    problem: Problem, rtol: float, rng: np.random.Generator
) -> tuple[Factor, Array, float]:
    """Factor of the sketched A, solution of the sketched problem, and d/m.

    An embedding is all that is wanted of the sketch, so a sparse one will do for sparse A. The
    ridge's rows are kept as they are.
    """
    algebra, n, d = problem.algebra, problem.n, problem.d
    m = min(_ROWS_A_COLUMN * d, n)
    if problem.source.kind == "sparse":
        op = osnap(n, m, s=min(8, m), rng=rng)
    else:
        op = srht(n, m, rng=rng)
    Y, z = _sketch_in_double(problem, op), algebra.block(op.apply(problem.b))
    Q, R = algebra.qr(Y)
    z = Q.T @ z
    if problem.ridge:
        tail = algebra.diagonal(np.full(d, np.sqrt(problem.ridge)))
        R, z, _ = algebra.add_rows(R, z, tail, algebra.zeros(d, problem.k))
    factor = factor_of(algebra, R, rtol)
    return factor, factor.apply(factor.coordinates(z)), min(d / m, 0.5)


def _sketch_in_double(problem: Problem, op: Sketch) -> Array:
    source = problem.source
    if not source.single:
        return problem.algebra.block(sketch(source._data, op))
    total = problem.algebra.zeros(op.m, problem.d)
    for start, block in source.blocks(expected=problem.n):
        total = total + op.apply_rows(start, problem.algebra.block(block))
    return total

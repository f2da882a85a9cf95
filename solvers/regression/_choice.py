"""Which method for which problem: by shape, a look at some rows, and what reading A costs."""

from __future__ import annotations

import numpy as np
from scipy.sparse import issparse

from solvers.regression._problem import Problem

NORMAL_CONDITION = 1e6
# Measured where the curves cross, see the benchmark `regression_speed`.
_FEW_COLUMNS = 600
_MANY_COLUMNS = 1500
_SMALL = 1 << 13


def candidates(problem: Problem) -> tuple[str, ...]:
    """Methods to try in order; the last one does not fail."""
    n, d = problem.n, problem.d
    if problem.on_disk or n * d <= _SMALL or n < 4 * d:
        return ("qr",)
    last = "precondition" if d > _FEW_COLUMNS and n >= 40 * d else "qr"
    if problem.source.kind == "sparse" and n >= 20 * d:
        last = "precondition"
    if d > _MANY_COLUMNS or _looks_ill_conditioned(problem):
        return (last,)
    return ("normal", last)


def _looks_ill_conditioned(problem: Problem) -> bool:
    """Whether some rows, evenly spaced, already rule the normal equations out.

    They may do so where all rows together would not, which costs time but no accuracy.
    """
    if problem.ridge:
        return False
    data, algebra = problem.source.data, problem.algebra
    step = max(1, problem.n // (8 * problem.d))
    rows = data[::step]
    sample = algebra.block(rows.toarray() if issparse(rows) else rows)
    if not algebra.is_finite(sample):
        return False
    norms = algebra.norms(sample)
    if not np.all(norms > 0):
        return False
    s = algebra.singular_values(algebra.qr(sample * algebra.scale(1 / norms))[1])
    return bool(s[-1] * 10 * NORMAL_CONDITION < s[0])

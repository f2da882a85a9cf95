r"""Factors F with :math:`F F^T \approx (A^T A + \lambda I)^+`, and solutions by them.

From a triangle R with :math:`R^T R \approx A^T A`, or from its singular values where some count as
zero: then F spans the row space and solutions by it have the smallest norm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from numerics.arrays import Array
from solvers.regression._algebra import Algebra
from solvers.regression._problem import Problem

_ROUNDING = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Factor:
    """An inverse factor, (d, rank): a triangle to solve with, or a dense matrix.

    The condition number that matters to it is that of A with columns of equal length, since a
    triangle is as accurate whatever the lengths; with singular values cut off they do matter.
    """

    algebra: Algebra
    rank: int
    condition: float
    effective_condition: float
    smallest: float
    R: Array
    dense: Array | None
    _basis: Array | None
    _singular: np.ndarray
    _lengths: np.ndarray

    def apply(self, y: Array) -> Array:
        """Product Fy."""
        if self.dense is None:
            return self.algebra.solve_upper(self.R, y)
        return self.dense @ y

    def apply_transposed(self, g: Array) -> Array:
        """Product of the transpose with g."""
        if self.dense is None:
            return self.algebra.solve_upper(self.R, g, transposed=True)
        return self.dense.T @ g

    def coordinates(self, z: Array) -> Array:
        r"""The y for which Fy minimises :math:`\lVert Rx - z \rVert`."""
        if self.dense is None:
            return z
        return self.dense.T @ (self.R.T @ z)

    def size(self, x: Array) -> np.ndarray:
        r"""The product of :math:`\lVert A \rVert` and :math:`\lVert x \rVert`, a column each."""
        lengths = self.algebra.scale(self._lengths)
        return float(self._singular[0]) * self.algebra.norms(lengths[:, None] * x)

    def backward_error(self, y: Array, sizes: np.ndarray, residuals: np.ndarray) -> np.ndarray:
        r"""How much A must change for x to become x + Fy, times :math:`\lVert x \rVert`.

        A direction of singular value :math:`\sigma` counts by
        :math:`\sigma / \sqrt{\sigma^2 + \mu^2}` with
        :math:`\mu = \lVert r \rVert / \lVert x \rVert` (Karlson and Waldén 1997).
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            mu = np.where(residuals > 0, residuals * self._singular[0] / sizes, 0.0)
            weights = 1 / np.sqrt(1 + (mu / self._singular[:, None]) ** 2)
        return self.algebra.norms(
            self.algebra.scale(weights) * (y if self._basis is None else self._basis.T @ y)
        )


def factor_of(algebra: Algebra, R: Array, rtol: float) -> Factor:
    """Factor from a triangle, with singular values up to ``rtol`` times the largest as zeros."""
    _, s, Vh = algebra.svd(R)
    d = len(s)
    rank = int(np.sum(s > rtol * s[0])) if s[0] > 0 else 0
    condition = float(s[0] / s[rank - 1]) if rank else 0.0
    smallest = float(s[rank - 1]) if rank else 0.0
    if rank < d:
        dense = Vh[:rank].T * algebra.scale(1 / s[:rank])
        singular, lengths = s[:rank] if rank else np.ones(1), np.ones(d)
        return Factor(
            algebra, rank, condition, condition, smallest, R, dense, None, singular, lengths
        )
    lengths = algebra.norms(R)
    basis, singular, _ = algebra.svd(R * algebra.scale(1 / lengths))
    effective = float(singular[0] / singular[-1]) if singular[-1] > 0 else np.inf
    return Factor(algebra, rank, condition, effective, smallest, R, None, basis, singular, lengths)


def default_rtol(d: int) -> float:
    """Relative size below which a singular value cannot be told from rounding errors."""
    return 10 * d * _ROUNDING


def triangularise(problem: Problem) -> tuple[Array, Array, np.ndarray]:
    r"""Householder QR by blocks of rows: R, :math:`z = Q^T b` and the norms of what is left of b.

    The triangle of the rows so far is stacked on the next block and made a triangle again, which
    keeps the block in cache and is as stable as one QR of all rows.
    """
    algebra, d, k = problem.algebra, problem.d, problem.k
    R, z, squares = algebra.zeros(d, d), algebra.zeros(d, k), np.zeros(k)
    for _, block, right in problem.checked_blocks(for_qr=True):
        R, z, rest = algebra.add_rows(R, z, block, right)
        squares += algebra.norms(rest) ** 2
    if problem.ridge:
        tail = algebra.diagonal(np.full(d, np.sqrt(problem.ridge)))
        R, z, rest = algebra.add_rows(R, z, tail, algebra.zeros(d, k))
        squares += algebra.norms(rest) ** 2
    if not algebra.is_finite(R):
        raise ValueError("A is too large: squares of its entries overflow")
    return R, z, np.sqrt(squares)


def normal_equations(problem: Problem) -> tuple[Array, Array]:
    r"""The matrix :math:`A^T A + \lambda I` and the right-hand sides :math:`A^T b`."""
    algebra, d = problem.algebra, problem.d
    G = algebra.zeros(d, d) + algebra.diagonal(np.full(d, problem.ridge))
    h = algebra.zeros(d, problem.k)
    for _, block, right in problem.checked_blocks():
        G += algebra.gram(block)
        h += block.T @ right
    return G, h

r"""Operators with constant coefficients on a product of bases, and their fast inverse.

On tensors C of coefficients, one axis a dimension, a sum of mixed derivatives is

.. math:: L C = \sum_t c_t\, C \times_1 M_1^{(a_{t1})} \cdots \times_d M_d^{(a_{td})},

for the Laplacian in the plane the left-hand side of a Sylvester equation,
:math:`M_1 C + C M_2^T`. Where the terms involve one matrix an axis beside the identity,
:math:`Q_j = X_j \Lambda_j X_j^{-1}`, they are diagonal together: in two axes

.. math:: L^{-1} R = X_1 \left(\frac{(X_1^{-1} R X_2^{-T})_{kl}}
          {e_{00} + e_{10}\lambda_k + e_{01}\mu_l + e_{11}\lambda_k\mu_l}\right) X_2^T,

four products of matrices. Eigenvectors that are far from orthogonal, as those of an advection, cost
digits, which refinement with the operator itself gives back. Where there is more than one matrix an
axis, a part of the operator that is diagonal preconditions GMRES.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.linalg
from scipy.sparse.linalg import LinearOperator as ScipyOperator
from scipy.sparse.linalg import gmres

from numerics.kronecker import along

Terms = Sequence[tuple[float, tuple[int, ...]]]

_SYMMETRIC = 1e-8
_SINGULAR = 1e-7
_FLOOR = 1e3
_ROUNDING = 1e-15
_REFINEMENTS = 12
_RESTART = 60


def apply_terms(
    terms: Terms, derivatives: Sequence[dict[int, np.ndarray]], tensor: np.ndarray
) -> np.ndarray:
    """Apply a sum of products of matrices, ``derivatives[axis][order]``, None for identities."""
    total = np.zeros(())
    for coefficient, orders in terms:
        matrices = [
            per.get(order) if order else per.get(0)
            for per, order in zip(derivatives, orders, strict=True)
        ]
        total = total + coefficient * along(tensor, matrices)
    return total


@dataclass(frozen=True)
class SeparableOperator:
    """A sum of terms on tensors.

    Attributes
    ----------
    terms : sequence of (coefficient, orders)
        With constant coefficients.
    derivatives : sequence of dict
        Square matrices by order, one dict an axis; order 0 is the identity.
    sizes : tuple of int
        Of the axes.
    lengths : tuple of float
        Of the axes of the box: they say which eigenvalues are as good as zero.
    """

    terms: Terms
    derivatives: Sequence[dict[int, np.ndarray]]
    sizes: tuple[int, ...]
    lengths: tuple[float, ...]

    def __call__(self, tensor: np.ndarray) -> np.ndarray:
        """The operator times a tensor."""
        return apply_terms(self.terms, self.derivatives, tensor)

    def adjoint(self, tensor: np.ndarray) -> np.ndarray:
        """The transposed operator times a tensor."""
        transposed = [{a: M.T for a, M in per.items()} for per in self.derivatives]
        return apply_terms(self.terms, transposed, tensor)

    @cached_property
    def scale(self) -> float:
        """Size of the operator on waves as long as the box."""
        return sum(
            abs(c)
            * float(
                np.prod([(2 * np.pi / L) ** a for a, L in zip(orders, self.lengths, strict=True)])
            )
            for c, orders in self.terms
        )

    @cached_property
    def inverse(self) -> FastInverse:
        """Inverse of the part that is diagonal, all of the operator if ``complete``."""
        kept = _diagonal_part(self.terms, self.lengths, self.sizes)
        table = np.zeros([1 + max(orders[j] for _, orders in kept) for j in range(len(self.sizes))])
        for coefficient, orders in kept:
            table[orders] += coefficient
        values, vectors, inverses, reduced = [], [], [], []
        symmetric = True
        for axis, (size, per) in enumerate(zip(self.sizes, self.derivatives, strict=True)):
            generator = _generator(table, axis)
            to_powers = np.zeros((2, table.shape[axis]))
            to_powers[0, 0] = 1.0
            if generator is None:
                values.append(np.zeros(size))
                vectors.append(np.eye(size))
                inverses.append(np.eye(size))
            else:
                to_powers[1, 1:] = generator / np.sum(generator**2)
                Q = sum(g * per[order] for order, g in enumerate(generator, start=1) if g != 0)
                w, X, Xi, orthonormal = _eigen(np.asarray(Q))
                symmetric &= orthonormal
                values.append(w)
                vectors.append(X)
                inverses.append(Xi)
            reduced.append(to_powers)
        small = along(table, reduced)
        symbol = along(small, [np.stack([np.ones_like(w), w], axis=1) for w in values])
        return FastInverse(
            symbol=symbol,
            vectors=tuple(vectors),
            inverses=tuple(inverses),
            negligible=_SINGULAR * self.scale,
            complete=len(kept) == len(self.terms),
            symmetric=symmetric,
        )

    def solve(self, right: np.ndarray, *, rtol: float = 1e-12) -> tuple[np.ndarray, int, bool]:
        """Solution, iterations of GMRES and whether it met ``rtol``; null directions get 0."""
        return _solve(self, self.inverse, right, rtol, adjoint=False)

    def solve_adjoint(
        self, right: np.ndarray, *, rtol: float = 1e-12
    ) -> tuple[np.ndarray, int, bool]:
        """The same with the transposed operator."""
        return _solve(self, self.inverse, right, rtol, adjoint=True)


@dataclass(frozen=True)
class FastInverse:
    """Division by a symbol in bases of eigenvectors.

    Attributes
    ----------
    symbol : array
        Eigenvalues, one an entry of the tensor.
    vectors, inverses : tuple of array
        Eigenvectors of each axis and the inverses of their matrices.
    negligible : float
        Eigenvalues below it are zero but for rounding.
    complete : bool
        Whether that is the whole operator.
    symmetric : bool
        Whether the eigenvectors are orthonormal.
    """

    symbol: np.ndarray
    vectors: tuple[np.ndarray, ...]
    inverses: tuple[np.ndarray, ...]
    negligible: float
    complete: bool
    symmetric: bool

    @cached_property
    def null(self) -> np.ndarray:
        """Where the symbol is zero."""
        return np.abs(self.symbol) < self.negligible

    def modes(self, right: np.ndarray) -> np.ndarray:
        """Coefficients of a tensor in eigenvectors."""
        return along(right, self.inverses)

    def __call__(self, right: np.ndarray) -> np.ndarray:
        """Solution, 0 in null directions."""
        return along(self._divided(self.modes(right)), self.vectors).real

    def adjoint(self, right: np.ndarray) -> np.ndarray:
        """Solution with the transposed operator."""
        modes = along(right, [X.T for X in self.vectors])
        return along(self._divided(modes), [X.T for X in self.inverses]).real

    def precondition(self, right: np.ndarray, shift: float) -> np.ndarray:
        """Solution with ``shift`` added to the operator, eigenvalues kept away from zero."""
        symbol = self.symbol + shift
        least = _FLOOR * self.negligible
        small = np.abs(symbol) < least
        return along(self.modes(right) / np.where(small, least, symbol), self.vectors).real

    def _divided(self, modes: np.ndarray) -> np.ndarray:
        return np.where(self.null, 0.0, modes / np.where(self.null, 1.0, self.symbol))


def krylov(
    product: Callable[[np.ndarray], np.ndarray],
    precondition: Callable[[np.ndarray], np.ndarray],
    right: np.ndarray,
    rtol: float,
    maxiter: int = 10 * _RESTART,
) -> tuple[np.ndarray, int, bool]:
    """GMRES on tensors: solution, iterations and whether the residual met ``rtol``."""
    shape, size = right.shape, right.size
    iterations = 0

    def count(_: float) -> None:
        nonlocal iterations
        iterations += 1

    def flat(function: Callable[[np.ndarray], np.ndarray]) -> ScipyOperator:
        return ScipyOperator(
            (size, size), matvec=lambda v: function(v.reshape(shape)).ravel(), dtype=np.float64
        )

    # Right preconditioning: what is stopped on is the equation's own residual.
    solution, _ = gmres(
        flat(lambda v: product(precondition(v))),
        right.ravel(),
        rtol=rtol,
        restart=min(_RESTART, size),
        maxiter=max(1, maxiter // _RESTART),
        callback=count,
        callback_type="pr_norm",
    )
    solution = precondition(solution.reshape(shape))
    gap = float(np.linalg.norm(right - product(solution)))
    return solution, iterations, gap <= 10 * rtol * float(np.linalg.norm(right))


def _solve(
    operator: SeparableOperator,
    inverse: FastInverse,
    right: np.ndarray,
    rtol: float,
    *,
    adjoint: bool,
) -> tuple[np.ndarray, int, bool]:
    product = operator.adjoint if adjoint else operator.__call__
    precondition = inverse.adjoint if adjoint else inverse.__call__
    size = float(np.linalg.norm(right))
    solution = np.zeros_like(right)
    residual, gap = right, size
    if size == 0.0:
        return solution, 0, True
    if inverse.complete:
        for _ in range(_REFINEMENTS):
            step = solution + precondition(residual)
            rest = right - product(step)
            smaller = float(np.linalg.norm(rest))
            if not smaller < gap:
                break
            solution, residual, stalled, gap = step, rest, smaller > 0.5 * gap, smaller
            if stalled or gap <= _ROUNDING * size:
                break
        # What null directions are left with is the caller's to judge.
        if gap <= rtol * size or inverse.null.any():
            return solution, 0, gap <= rtol * size
    step, iterations, converged = krylov(product, precondition, residual, rtol * size / gap)
    return solution + step, iterations, converged


def _diagonal_part(terms: Terms, lengths: tuple[float, ...], sizes: tuple[int, ...]) -> list:
    """Terms that are diagonal together: those of one axis alone first, then the strongest."""

    def weakness(term: tuple[float, tuple[int, ...]]) -> tuple[bool, float]:
        c, orders = term
        waves = [(n * np.pi / L) ** a for a, L, n in zip(orders, lengths, sizes, strict=True)]
        return bool(np.count_nonzero(orders) > 1), -abs(c) * float(np.prod(waves))

    kept: list[tuple[float, tuple[int, ...]]] = []
    for term in sorted(terms, key=weakness):
        trial = [*kept, term]
        if all(_one_matrix(trial, axis) for axis in range(len(lengths))):
            kept = trial
    return kept


def _one_matrix(terms: Terms, axis: int) -> bool:
    """Whether the terms involve multiples of one matrix along an axis, beside the identity."""
    table: dict[tuple[int, ...], dict[int, float]] = {}
    for c, orders in terms:
        others = orders[:axis] + orders[axis + 1 :]
        if orders[axis]:
            row = table.setdefault(others, {})
            row[orders[axis]] = row.get(orders[axis], 0.0) + c
    columns = sorted({order for row in table.values() for order in row})
    rows = np.array([[row.get(order, 0.0) for order in columns] for row in table.values()])
    if len(rows) < 2:
        return True
    rows = rows / np.abs(rows).max(axis=1, keepdims=True)
    return bool(np.linalg.matrix_rank(rows, tol=1e-12) < 2)


def _generator(table: np.ndarray, axis: int) -> np.ndarray | None:
    """Coefficients, from order 1 on, of the one matrix along an axis; None without one."""
    rows = np.moveaxis(table, axis, -1).reshape(-1, table.shape[axis])[:, 1:]
    sizes = np.abs(rows).sum(axis=1)
    if not sizes.any():
        return None
    return rows[np.argmax(sizes)]


def _eigen(Q: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, bool]:
    """Eigenvalues, eigenvectors, the inverse of their matrix, and whether they are orthonormal."""
    if np.linalg.norm(Q - Q.T) <= _SYMMETRIC * np.linalg.norm(Q):
        w, X = scipy.linalg.eigh((Q + Q.T) / 2)
        return w, X, X.T, True
    w, X = np.linalg.eig(Q)
    inverse = np.linalg.inv(X)
    return w, X, inverse, False

r"""The collocated equation :math:`(\kappa A + b H + c M) x = f` and the ways to solve it.

Divided by :math:`\kappa`, which may vary from row to row, it has the matrix
:math:`A + \beta H + \gamma M`: where :math:`\beta = b/\kappa` and :math:`\gamma = c/\kappa` are
constant, that is a Toeplitz matrix with a border whatever :math:`\kappa` is, and solved directly.
Otherwise Strang's circulant for the means of :math:`\beta` and :math:`\gamma` preconditions.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import scipy.linalg
import scipy.sparse
from scipy.sparse.linalg import LinearOperator

from numerics.bsplines import bspline_collocation_matrix
from numerics.toeplitz_preconditioners import circulant_preconditioner
from solvers.riesz.bordered import DENSE_LIMIT, BorderedSolver
from solvers.riesz.collocation import RieszCollocation
from solvers.riesz.krylov import MAXITER, preconditioned_gmres

_EPS = float(np.finfo(np.float64).eps)
_RTOL = 1e-12
_FALLBACK_LIMIT = 4096  # unknowns up to which LAPACK takes over from an iteration that fails


class CollocatedEquation:
    """An equation on the unit interval; ``factors`` are kappa, b and c, float64, () or (N,)."""

    def __init__(
        self,
        A: RieszCollocation,
        factors: tuple[np.ndarray, np.ndarray, np.ndarray],
        method: str,
        rtol: float | None,
    ) -> None:
        self.A = A
        self.kappa, self.b, self.c = kappa, b, c = factors
        self._beta, self._gamma = b / kappa, c / kappa
        self._rtol = _RTOL if rtol is None else rtol
        self._automatic = method == "auto"
        constant = bool(np.all(self._beta == self._beta.flat[0])) and bool(
            np.all(self._gamma == self._gamma.flat[0])
        )
        if method == "direct" and not constant:
            raise ValueError(
                "method must be 'auto', 'gmres' or 'dense' where b/kappa or c/kappa varies, "
                "got 'direct'"
            )
        if method == "auto":
            small = A.n <= A.p + 1 or A.shape[0] <= DENSE_LIMIT
            method = "dense" if small else "direct" if constant else "gmres"
        self.method = method

    def matvec(self, x: np.ndarray) -> np.ndarray:
        """Product with x, (N,) or (N, k)."""
        image = _rows(self.kappa, self.A.matvec(x))
        if np.any(self.b):
            image += _rows(self.b, self.H @ x)
        return image + _rows(self.c, self.M @ x) if np.any(self.c) else image

    def rmatvec(self, y: np.ndarray) -> np.ndarray:
        """Product of the transpose with y, (N,) or (N, k)."""
        image = self.A.rmatvec(_rows(self.kappa, y))
        if np.any(self.b):
            image += self.H.T @ _rows(self.b, y)
        return image + self.M.T @ _rows(self.c, y) if np.any(self.c) else image

    def solve(self, f: np.ndarray) -> tuple[np.ndarray, int, bool]:
        """Solution for f, (N,) or (N, k), iterations, and whether they met the tolerance."""
        return self._solve(f, transposed=False)

    def solve_transposed(self, g: np.ndarray) -> tuple[np.ndarray, int, bool]:
        """Solution of the transposed system."""
        return self._solve(g, transposed=True)

    def correction(self, residual: np.ndarray) -> np.ndarray:
        """What a residual is worth in the solution, to its first digits."""
        if self.method == "gmres":
            scaled = residual / _column(self.kappa, residual)
            return np.asarray(self._circulant @ scaled)
        return self.solve(residual)[0]

    def backward_error(self, x: np.ndarray, residual: np.ndarray, f: np.ndarray) -> float:
        """Residual relative to the size of the terms that it is the sum of."""
        n, t = self.A.n, np.abs(self.A.toeplitz)
        norm = np.abs(self.kappa).max() * self.A.scale * (2 * t.sum() - t[0])
        norm += 2 * n * np.abs(self.b).max() + np.abs(self.c).max()
        size = norm * np.abs(x).max(axis=0) + np.abs(f).max(axis=0)
        return float(
            np.max(np.abs(residual).max(axis=0) / np.where(size > 0, size, 1), initial=0.0)
        )

    def image(self, x: np.ndarray, f: np.ndarray) -> np.ndarray:
        """Values of R u at the points, from the equation: exact where differences cancel."""
        rest = f.copy()
        if np.any(self.b):
            rest -= _rows(self.b, self.H @ x)
        if np.any(self.c):
            rest -= _rows(self.c, self.M @ x)
        return rest / _column(self.kappa, f)

    @cached_property
    def M(self) -> scipy.sparse.csr_array:
        """The mass matrix."""
        return bspline_collocation_matrix(self.A.n, self.A.p)

    @cached_property
    def H(self) -> scipy.sparse.csr_array:
        """The matrix of the derivative."""
        return bspline_collocation_matrix(self.A.n, self.A.p, 1)

    def _solve(self, f: np.ndarray, *, transposed: bool) -> tuple[np.ndarray, int, bool]:
        if f.size == 0:
            return np.zeros_like(f), 0, True
        if self.method == "dense":
            return scipy.linalg.lu_solve(self._lu, f, trans=int(transposed)), 0, True
        kappa = _column(self.kappa, f)
        if self.method == "direct":
            if transposed:
                return self._bordered.solve_transposed(f) / kappa, self._bordered.iterations, True
            return self._bordered.solve_double(f / kappa), self._bordered.iterations, True
        scaled = f if transposed else f / kappa
        columns = [self._gmres(v, transposed) for v in scaled.reshape(len(f), -1).T]
        x = np.stack([column for column, _, _ in columns], axis=-1).reshape(f.shape)
        converged = all(residual <= self._rtol for _, _, residual in columns)
        iterations = max(count for _, count, _ in columns)
        if not converged and self._automatic and len(f) <= _FALLBACK_LIMIT:
            self.method = "dense"
            return self._solve(f, transposed=transposed)
        return (x / kappa if transposed else x), iterations, converged

    def _gmres(self, f: np.ndarray, transposed: bool) -> tuple[np.ndarray, int, float]:
        """Two runs: rounding in a long one is made good by a short one for the residual."""
        matvec = self._scaled_rmatvec if transposed else self._scaled_matvec
        preconditioner = self._circulant.T if transposed else self._circulant
        x, iterations, reached = preconditioned_gmres(
            matvec, preconditioner.matvec, f, rtol=0.3 * self._rtol
        )
        if iterations < MAXITER and reached > 0.3 * self._rtol:
            step, count, factor = preconditioned_gmres(
                matvec,
                preconditioner.matvec,
                f - matvec(x),
                rtol=min(0.3 * self._rtol / reached, 0.5),
            )
            x, iterations, reached = x + step, iterations + count, reached * factor
        return x, iterations, reached

    def _scaled_matvec(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(self.A.matvec(x) + self._beta * (self.H @ x) + self._gamma * (self.M @ x))

    def _scaled_rmatvec(self, y: np.ndarray) -> np.ndarray:
        banded = self.H.T @ (self._beta * y) + self.M.T @ (self._gamma * y)
        return np.asarray(self.A.rmatvec(y) + banded)

    @cached_property
    def _circulant(self) -> LinearOperator:
        n, p, N = self.A.n, self.A.p, self.A.shape[0]
        cells = 3 * p
        middle = (cells + p - 2) // 2
        column = self.A.scale * self.A.toeplitz
        row = column.copy()
        # A negative reaction is left out: it might make the circulant singular.
        factors = (max(float(np.mean(self._gamma)), 0.0), float(np.mean(self._beta)) * n / cells)
        reach = min(p, N - 1)
        for deriv, factor in enumerate(factors):
            band = factor * bspline_collocation_matrix(cells, p, deriv)[[middle], :].toarray()[0]
            row[: reach + 1] += band[middle : middle + reach + 1]
            column[: reach + 1] += band[middle : middle - reach - 1 : -1]
        return circulant_preconditioner(column, row=row, exact=False)

    @cached_property
    def _bordered(self) -> BorderedSolver:
        return BorderedSolver(self.A, b=float(self._beta.flat[0]), c=float(self._gamma.flat[0]))

    @cached_property
    def _lu(self) -> tuple[np.ndarray, np.ndarray]:
        dense = _rows(self.kappa, self.A.todense())
        if np.any(self.b):
            dense += _rows(self.b, self.H.toarray())
        if np.any(self.c):
            dense += _rows(self.c, self.M.toarray())
        return scipy.linalg.lu_factor(dense, overwrite_a=True)


def _column(factor: np.ndarray, values: np.ndarray) -> np.ndarray:
    """A factor a row, to go with values (N,) or (N, k)."""
    return factor[:, None] if factor.ndim and values.ndim == 2 else factor


def _rows(factor: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.asarray(_column(factor, values) * values)

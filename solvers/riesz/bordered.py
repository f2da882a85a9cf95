r"""Direct solution of constant-coefficient collocation systems by their Toeplitz block.

On n cells of [0, 1] the matrix of :math:`\kappa R u + b u' + c u`, with R the positive operator
:math:`(-\Delta)^{\alpha/2}`, is

.. math:: K = \kappa A + b H + c M = \begin{pmatrix} T & U \\ V & W \end{pmatrix}

once the unknowns of the p - 1 boundary splines at either end are put last: T is Toeplitz of order
n - p, the borders are 2(p - 1) wide. The inverse of T is known by its first and last columns
(:func:`numerics.gohberg_semencul`), and what is left is the Schur complement
:math:`S = W - V T^{-1} U` of order 2(p - 1).

For b = 0 and c >= 0, K is centrosymmetric and T symmetric positive definite: its inverse has one
column to be found, by conjugate gradients, and half of :math:`T^{-1}U` mirrors the other half.
Advection makes T unsymmetric, with a positive definite symmetric part still; then both columns are
found, by GMRES with Strang's circulant. Setup and solution take O(p N log N) operations and
O(p N) memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.linalg
import scipy.sparse

from numerics.arrays import Array, as_arrays, as_float, check_real
from numerics.bsplines import bspline_collocation_matrix
from numerics.toeplitz import conjugate_gradients, gohberg_semencul, toeplitz_operator
from numerics.toeplitz_preconditioners import circulant_preconditioner
from solvers.riesz.krylov import preconditioned_gmres

if TYPE_CHECKING:
    from solvers.riesz.collocation import RieszCollocation

DENSE_LIMIT = 128  # unknowns up to which LAPACK is the faster way


class BorderedSystem:
    r"""The matrix :math:`\kappa A + b H + c M` held by its Toeplitz block and borders.

    For trusted arguments; the collocation matrix has at least p + 1 cells.
    """

    def __init__(self, A: RieszCollocation, kappa: float, b: float, c: float) -> None:
        n, p, N = A.n, A.p, A.shape[0]
        width = p - 1
        self.shape = A.shape
        self.mirrored = b == 0
        self.definite = b == 0 and c >= 0
        self.border = np.concatenate((np.arange(width), np.arange(N - width, N)))
        inner = slice(width, N - width)
        self.inner = inner
        banded = scipy.sparse.csc_array(banded_part(n, p, b, c))
        middle = banded[inner, :]
        factor = kappa * A.scale
        t = factor * A.toeplitz[: n - p]
        self.column = t + _full(middle[:, [width]])[:, 0]
        self.row = t + _full(banded[[width], :][:, inner])[0]
        left = A.left_columns
        columns = np.concatenate((left, left[::-1, ::-1]), axis=1)
        self.U = factor * columns[inner] + _full(middle[:, self.border])
        self.W = factor * columns[self.border] + _full(banded[self.border, :][:, self.border])
        # The last of the first p - 1 rows has an equidistant point: it is one of the Toeplitz rows.
        equidistant = A.toeplitz[np.abs(width - 1 - np.arange(N))]
        rows = np.concatenate((A.top_rows, equidistant[None]))
        rows = np.concatenate((rows, rows[::-1, ::-1]))
        self.V = factor * rows[:, inner] + _full(banded[self.border, :][:, inner])
        self.toeplitz = toeplitz_operator(self.column, row=self.row)

    def matvec(self, x: np.ndarray) -> np.ndarray:
        """Product with x, (N,) or (N, k)."""
        middle, border = x[self.inner], x[self.border]
        y = np.empty_like(x)
        y[self.inner] = self.toeplitz @ middle + self.U @ border
        y[self.border] = self.V @ middle + self.W @ border
        return y

    def rmatvec(self, x: np.ndarray) -> np.ndarray:
        """Product of the transpose with x, (N,) or (N, k)."""
        middle, border = x[self.inner], x[self.border]
        y = np.empty_like(x)
        y[self.inner] = self.toeplitz.T @ middle + self.V.T @ border
        y[self.border] = self.U.T @ middle + self.W.T @ border
        return y


class BorderedSolver:
    r"""Direct solver of :math:`(\kappa A + b H + c M) x = f`; small systems go to LAPACK.

    Parameters
    ----------
    A : RieszCollocation
        Matrix of the positive Riesz operator on [0, 1].
    kappa : float
        Positive.
    b, c : float
        Factors of the derivative and of the mass matrix. A negative c may make the matrix singular.

    Raises
    ------
    TypeError, ValueError
        If a coefficient is no finite real number, or ``kappa`` not positive.

    Examples
    --------
    >>> import numpy as np
    >>> from solvers.riesz.collocation import RieszCollocation
    >>> A = RieszCollocation(500, 4, 1.5)
    >>> x = np.linspace(-1, 1, 502) ** 2
    >>> np.allclose(BorderedSolver(A).solve(A.matvec(x)), x, atol=1e-11)
    True
    """

    def __init__(
        self, A: RieszCollocation, *, kappa: float = 1.0, b: float = 0.0, c: float = 0.0
    ) -> None:
        kappa = as_float("kappa", kappa, positive=True)
        b, c = as_float("b", b), as_float("c", c)
        self.shape = A.shape
        self._collocation = A
        self.iterations = 0
        if A.n <= A.p + 1 or A.shape[0] <= DENSE_LIMIT:
            dense = kappa * A.todense() + banded_part(A.n, A.p, b, c).toarray()
            self._dense = dense
            self._lu = scipy.linalg.lu_factor(dense)
            return
        self._dense = None
        self.system = system = BorderedSystem(A, kappa, b, c)
        self._inverse, self.iterations = _toeplitz_inverse(system)
        half = system.U.shape[1] // 2
        if system.mirrored:
            left = self._refined(system.U[:, :half])
            self._Z = np.concatenate((left, left[::-1, ::-1]), axis=1)
        else:
            self._Z = self._refined(system.U)
        self._lu = scipy.linalg.lu_factor(system.W - system.V @ self._Z)

    def matvec(self, x: np.ndarray) -> np.ndarray:
        """Product of the matrix with trusted float64 x, (N,) or (N, k)."""
        return self.system.matvec(x) if self._dense is None else self._dense @ x

    def rmatvec(self, x: np.ndarray) -> np.ndarray:
        """Product of the transpose with trusted float64 x."""
        return self.system.rmatvec(x) if self._dense is None else self._dense.T @ x

    def solve(self, f: Array) -> Array:
        """Solution for right-hand sides as columns, refined once.

        Parameters
        ----------
        f : array, shape (N,) or (N, k)
            Real, NumPy or torch (which is not differentiated here).

        Returns
        -------
        array, shape of ``f``

        Raises
        ------
        TypeError
            For complex ``f``.
        ValueError
            For a wrong length, values that are not finite, and float32 where none of its digits
            would be right.
        """
        frame, f = as_arrays(f=f)
        check_real("f", f, frame)
        N = self.shape[0]
        if f.ndim not in (1, 2) or f.shape[0] != N:
            raise ValueError(f"f must have shape ({N},) or ({N}, k), got {tuple(f.shape)}")
        self._collocation.check_single("f", frame)
        if frame.is_torch:
            f = f.detach().cpu()
        x = self.solve_double(np.asarray(f, dtype=np.float64))
        return frame.cast(frame.asarray(x))

    def solve_double(self, f: np.ndarray) -> np.ndarray:
        """Solution for trusted float64 right-hand sides, (N,) or (N, k)."""
        x = self._solved(f)
        return x + self._solved(f - self.matvec(x))

    def solve_transposed(self, g: np.ndarray) -> np.ndarray:
        """Solution of the transposed system for trusted float64 g, (N,) or (N, k)."""
        y = self._solved_transposed(g)
        return y + self._solved_transposed(g - self.rmatvec(y))

    def _solved(self, f: np.ndarray) -> np.ndarray:
        if self._dense is not None:
            return scipy.linalg.lu_solve(self._lu, f)
        system = self.system
        x = np.empty_like(f)
        w = self._inverse @ f[system.inner]
        border = scipy.linalg.lu_solve(self._lu, f[system.border] - system.V @ w)
        x[system.border] = border
        x[system.inner] = w - self._Z @ border
        return x

    def _solved_transposed(self, g: np.ndarray) -> np.ndarray:
        if self._dense is not None:
            return scipy.linalg.lu_solve(self._lu, g, trans=1)
        system = self.system
        y = np.empty_like(g)
        rest = g[system.border] - self._Z.T @ g[system.inner]
        border = scipy.linalg.lu_solve(self._lu, rest, trans=1)
        y[system.border] = border
        y[system.inner] = self._inverse.T @ (g[system.inner] - system.V.T @ border)
        return y

    def _refined(self, F: np.ndarray) -> np.ndarray:
        X = self._inverse @ F
        return X + self._inverse @ (F - self.system.toeplitz @ X)


def banded_part(n: int, p: int, b: float, c: float) -> scipy.sparse.csr_array:
    """The sparse matrix :math:`b H + c M`; no collocation for a factor of 0."""
    N = n + p - 2
    banded = scipy.sparse.csr_array((N, N))
    if b != 0:
        banded = banded + b * bspline_collocation_matrix(n, p, 1)
    if c != 0:
        banded = banded + c * bspline_collocation_matrix(n, p)
    return banded


def _toeplitz_inverse(system: BorderedSystem) -> tuple[scipy.sparse.linalg.LinearOperator, int]:
    """Inverse of the Toeplitz block, and the iterations that its columns took."""
    m = len(system.column)
    first = np.zeros(m)
    first[0] = 1
    if system.definite:
        x, iterations = conjugate_gradients(system.column, system.toeplitz, first)
        return gohberg_semencul(x), iterations
    preconditioner = circulant_preconditioner(system.column, row=system.row, exact=False)
    columns, iterations = [], 0
    for unit in (first, first[::-1]):
        x = np.zeros(m)
        for _ in range(2):  # the second time corrects the residual of the first
            residual = unit - system.toeplitz @ x
            step, count, _ = preconditioned_gmres(
                system.toeplitz.matvec, preconditioner.matvec, residual, rtol=1e-14
            )
            x, iterations = x + step, max(iterations, count)
        columns.append(x)
    return gohberg_semencul(columns[0], last=columns[1]), iterations


def _full(matrix: scipy.sparse.sparray) -> np.ndarray:
    return np.asarray(matrix.toarray())

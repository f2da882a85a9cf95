r"""Collocation matrices of the Riesz operator: Toeplitz but for a few rows and columns.

The unknowns are the :math:`N = n + p - 2` splines that vanish at both ends, the points the inner
Greville abscissae:

.. math:: A_{ij} = (R B_j)(\xi_i), \qquad R = (-\Delta)^{\alpha/2},

in the positive convention (:math:`A` tends to the matrix of :math:`-B_j''(\xi_i)` as
:math:`\alpha \to 2`). In cells of width 1 the entries do not know n: :math:`n^{-\alpha} A` is the
symmetric Toeplitz matrix of the coefficients :math:`t_k` but for the first and last p - 1 columns,
which belong to splines at the ends, and the first and last p - 2 rows, whose points are not
equidistant. What remains after the Toeplitz matrix is taken off has rank 4p - 6. The matrix is
centrosymmetric, :math:`A_{N-1-i,N-1-j} = A_{ij}`, and not symmetric.

References: Mazza, Donatelli, Manni, Speleers, arXiv 2106.14834.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import scipy.fft
from scipy.sparse.linalg import LinearOperator

from numerics.arrays import Array, Frame, as_arrays, as_float, check_choice, check_real
from numerics.bsplines import check_space, greville_sums
from solvers.riesz.derivative import (
    KINDS,
    check_riesz_order,
    moved_series,
    riesz_factor,
    shape_table,
)
from solvers.riesz.symbol import leading_coefficients, mass_symbol, riesz_symbol

_DENSE = 64  # order up to which a product with the full matrix is the shorter one


def riesz_collocation_matrix(
    n: int,
    p: int,
    alpha: float,
    *,
    kind: str = "riemann-liouville",
    format: str = "dense",
) -> np.ndarray | RieszCollocation:
    r"""Collocation matrix of :math:`R = (-\Delta)^{\alpha/2}` on [0, 1].

    .. math:: A_{ij} = (R B_j)(\xi_i), \qquad
              R = \frac{D_L^\alpha + D_R^\alpha}{2 \cos(\pi\alpha/2)}

    This is the positive operator; the Riesz derivative of much of the literature is -R.

    Parameters
    ----------
    n : int
        Number of cells, at least 1; fewer than p are legal.
    p : int
        Degree, 2 to 10.
    alpha : float
        Order, 1 < alpha < 2.
    kind : {"riemann-liouville", "caputo"}
        The two differ by a matrix of rank 2: in the first column and the last.
    format : {"dense", "structured"}

    Returns
    -------
    array, shape (N, N), float64, or RieszCollocation
        With N = n + p - 2.

    Raises
    ------
    TypeError, ValueError
        For arguments out of range.

    References
    ----------
    Mazza, Donatelli, Manni, Speleers, arXiv 2106.14834.

    Examples
    --------
    One cell, one quadratic: :math:`R\,2x(1-x)` at 1/2.

    >>> import math
    >>> A = riesz_collocation_matrix(1, 2, 1.5)
    >>> one_sided = 2 * (0.5**-0.5 / math.gamma(0.5) - 2 * 0.5**0.5 / math.gamma(1.5))
    >>> bool(abs(A[0, 0] - one_sided / math.cos(0.75 * math.pi)) < 1e-14)
    True
    """
    check_choice("format", format, ("dense", "structured"))
    matrix = RieszCollocation(n, p, alpha, kind=kind)
    return matrix.todense() if format == "dense" else matrix


class RieszCollocation:
    r"""Collocation matrix of the positive Riesz operator, as a Toeplitz matrix with a border.

    .. math:: A = n^\alpha (T + E), \qquad T_{ij} = t_{|i-j|}, \quad
              \operatorname{rank} E = 4p - 6

    held in O(p N) numbers and multiplied in O(N log N) operations. ``toeplitz``, ``left_columns``
    and ``top_rows`` are in cells of width 1, without the factor :math:`n^\alpha`; the last columns
    and rows are their mirror images.

    Parameters
    ----------
    n : int
        Number of cells, at least 1.
    p : int
        Degree, 2 to 10.
    alpha : float
        Order, 1 < alpha < 2.
    kind : {"riemann-liouville", "caputo"}

    Attributes
    ----------
    n, p, alpha, kind
        As given.
    scale : float
        The factor :math:`n^\alpha`.
    shape : tuple of int
        (N, N) with N = n + p - 2.
    toeplitz : array, shape (N,)
        Coefficients :math:`t_0, \ldots, t_{N-1}`.
    left_columns : array, shape (N, b)
        First columns, ``b = min(p - 1, ceil(N / 2))``.
    top_rows : array, shape (r, N)
        First rows, ``r = min(p - 2, ceil(N / 2))``.

    Raises
    ------
    TypeError, ValueError
        For arguments out of range.

    References
    ----------
    Mazza, Donatelli, Manni, Speleers, arXiv 2106.14834.

    Examples
    --------
    >>> import numpy as np
    >>> A = RieszCollocation(100, 3, 1.5)
    >>> x = np.cos(np.arange(101))
    >>> bool(np.allclose(A.matvec(x), A.todense() @ x, atol=1e-12 * A.scale))
    True
    """

    def __init__(self, n: int, p: int, alpha: float, *, kind: str = "riemann-liouville") -> None:
        self.n, self.p = check_space(n, p, minimum=2)
        self.alpha = check_riesz_order(alpha)
        check_choice("kind", kind, KINDS)
        self.kind = kind
        self.scale = float(self.n) ** self.alpha
        N = self.n + self.p - 2
        self.shape = (N, N)
        from solvers.riesz import _numba

        sums = greville_sums(self.n, self.p)[1:-1]
        half = (N + 1) // 2
        self.toeplitz = np.empty(N)
        columns = np.empty((min(self.p - 1, half), N))
        rows = np.empty((min(self.p - 2, half), N))
        origin = (self.p + 1) // 4
        _numba.collocate(
            shape_table(self.n, self.p, self.alpha),
            shape_table(self.p + 1, self.p, self.alpha),
            self.n,
            sums,
            riesz_factor(self.alpha),
            kind == "caputo",
            float(origin),
            moved_series(self.p, self.alpha, sums[: len(rows)] / self.p - origin),
            self.toeplitz,
            columns,
            rows,
        )
        leading = leading_coefficients(self.p, self.alpha)[:N]
        self.toeplitz[: leading.size] = leading
        self._rows = rows  # torch takes writable memory only
        self.left_columns, self.top_rows = columns.T, rows.view()
        for array in (self.toeplitz, self.left_columns, self.top_rows):
            array.flags.writeable = False

    def todense(self) -> np.ndarray:
        r"""The matrix itself, factor :math:`n^\alpha` included.

        Returns
        -------
        array, shape (N, N), float64
        """
        N = self.shape[0]
        k = np.arange(N)
        dense = self.toeplitz[np.abs(k[:, None] - k)]
        b, r = self.left_columns.shape[1], self.top_rows.shape[0]
        dense[:, :b] = self.left_columns
        dense[:, N - b :] = self.left_columns[::-1, ::-1]
        dense[:r] = self.top_rows
        dense[N - r :] = self.top_rows[::-1, ::-1]
        return dense * self.scale

    def matvec(self, x: Array) -> Array:
        r"""Product with a vector or with columns.

        Parameters
        ----------
        x : array, shape (N,) or (N, k)
            Real. float32 is taken while its error, eps :math:`n^\alpha`, stays below 1e-3.

        Returns
        -------
        array, shape of ``x``
        """
        return self._apply(x, self._product)

    def rmatvec(self, x: Array) -> Array:
        """Product of the transpose with a vector or with columns.

        Parameters
        ----------
        x : array, shape (N,) or (N, k)
            As for :meth:`matvec`.

        Returns
        -------
        array, shape of ``x``
        """
        return self._apply(x, self._adjoint_product)

    def solve(self, f: Array) -> Array:
        """Solution of the direct bordered solver.

        Parameters
        ----------
        f : array, shape (N,) or (N, k)
            Right-hand sides.

        Returns
        -------
        array, shape of ``f``
        """
        from solvers.riesz.bordered import BorderedSolver

        return BorderedSolver(self).solve(f)

    def as_linear_operator(self) -> LinearOperator:
        """The matrix for SciPy's iterative solvers.

        Returns
        -------
        LinearOperator, shape (N, N)
        """
        return LinearOperator(
            self.shape,
            matvec=self.matvec,
            rmatvec=self.rmatvec,
            matmat=self.matvec,
            rmatmat=self.rmatvec,
            dtype=np.float64,
        )

    def tau_preconditioner(self, *, kappa: float = 1.0, shift_mass: float = 0.0) -> LinearOperator:
        r"""Inverse of the sine-transform matrix with the symbol for its eigenvalues.

        .. math:: P = S \operatorname{diag}\bigl(\kappa n^\alpha f(\theta_j) + c\, h(\theta_j)\bigr)
                  S, \qquad \theta_j = \frac{j\pi}{N+1},

        S the orthonormal sine transform, f the symbol of the Riesz matrices and h that of the mass
        matrices: a preconditioner for :math:`\kappa A + c M`. It is symmetric positive definite.

        Parameters
        ----------
        kappa : float
            Positive.
        shift_mass : float
            The factor c, not negative.

        Returns
        -------
        LinearOperator, shape (N, N)
            Applies :math:`P^{-1}`.

        Raises
        ------
        TypeError, ValueError
            For factors that are no real numbers or out of range.
        """
        kappa = as_float("kappa", kappa, positive=True)
        shift_mass = as_float("shift_mass", shift_mass)
        if shift_mass < 0:
            raise ValueError(f"shift_mass must not be negative, got {shift_mass}")
        N = self.shape[0]
        theta = np.pi * np.arange(1, N + 1) / (N + 1)
        inverse = 1 / (
            kappa * self.scale * riesz_symbol(theta, self.p, self.alpha)
            + shift_mass * mass_symbol(theta, self.p)
        )

        def apply(x: np.ndarray) -> np.ndarray:
            factors = inverse.reshape((N,) + (1,) * (x.ndim - 1))
            image = scipy.fft.dst(x, type=1, norm="ortho", axis=0)
            return scipy.fft.dst(image * factors, type=1, norm="ortho", axis=0)

        return LinearOperator(
            self.shape, matvec=apply, rmatvec=apply, matmat=apply, rmatmat=apply, dtype=np.float64
        )

    def check_single(self, name: str, frame: Frame) -> None:
        """Refuse single precision where nothing of it would be left.

        Parameters
        ----------
        name : str
            Of the argument that is in it.
        frame : Frame
            Of that argument.
        """
        if frame.single and float(np.finfo(np.float32).eps) * self.scale >= 1e-3:
            raise ValueError(
                f"{name} must be double precision: for float32, eps n^alpha must be below 1e-3, "
                f"got n = {self.n} and alpha = {self.alpha}"
            )

    @cached_property
    def _dense(self) -> np.ndarray:
        return self.todense()

    @cached_property
    def _length(self) -> int:
        return int(scipy.fft.next_fast_len(2 * self.shape[0], real=True))

    @cached_property
    def _spectrum(self) -> np.ndarray:
        """Eigenvalues of the circulant matrix that the Toeplitz matrix is a corner of."""
        circulant = np.zeros(self._length)
        circulant[: self.shape[0]] = self.toeplitz
        circulant[self._length - self.shape[0] + 1 :] = self.toeplitz[:0:-1]
        return np.asarray(scipy.fft.rfft(circulant).real)

    @cached_property
    def _column_change(self) -> np.ndarray:
        """Left columns less those of the Toeplitz matrix, but for the rows kept apart."""
        N, b = self.left_columns.shape
        r = self.top_rows.shape[0]
        k = np.arange(N)
        change = self.left_columns - self.toeplitz[np.abs(k[:, None] - k[:b])]
        change[:r] = 0
        change[N - r :] = 0
        return np.asarray(change)

    def _apply(self, x: Array, product: Any) -> Array:
        frame, x = as_arrays(x=x)
        check_real("x", x, frame)
        N = self.shape[0]
        if x.ndim not in (1, 2) or x.shape[0] != N:
            raise ValueError(f"x must have shape ({N},) or ({N}, k), got {tuple(x.shape)}")
        self.check_single("x", frame)
        columns = frame.xp.reshape(frame.double(x), (N, -1))
        image = self.scale * product(frame, columns)
        return frame.cast(frame.xp.reshape(image, tuple(x.shape)))

    def _toeplitz_product(self, frame: Frame, x: Array) -> Array:
        if frame.is_numpy:
            image = scipy.fft.rfft(x, n=self._length, axis=0) * self._spectrum[:, None]
            return scipy.fft.irfft(image, n=self._length, axis=0)[: self.shape[0]]
        fft = frame.xp.fft
        image = fft.rfft(x, n=self._length, axis=0) * frame.asarray(self._spectrum)[:, None]
        return fft.irfft(image, n=self._length, axis=0)[: self.shape[0], ...]

    def _product(self, frame: Frame, x: Array) -> Array:
        xp, N = frame.xp, self.shape[0]
        if N <= _DENSE:
            return frame.asarray(self._dense / self.scale) @ x
        b, r = self.left_columns.shape[1], self.top_rows.shape[0]
        change, rows = frame.asarray(self._column_change), frame.asarray(self._rows)
        inner = self._toeplitz_product(frame, x) + change @ x[:b, :]
        inner = inner + xp.flip(change @ xp.flip(x[N - b :, :], axis=0), axis=0)
        last = xp.flip(rows @ xp.flip(x, axis=0), axis=0)
        return xp.concat((rows @ x, inner[r : N - r, :], last), axis=0)

    def _adjoint_product(self, frame: Frame, x: Array) -> Array:
        xp, N = frame.xp, self.shape[0]
        if N <= _DENSE:
            return frame.asarray(self._dense.T / self.scale) @ x
        b, r = self.left_columns.shape[1], self.top_rows.shape[0]
        change, rows = frame.asarray(self._column_change), frame.asarray(self._rows)
        ends = xp.zeros((r, x.shape[1]), dtype=x.dtype, device=frame.device)
        inner = xp.concat((ends, x[r : N - r, :], ends), axis=0)
        image = self._toeplitz_product(frame, inner)
        first = change.T @ inner
        last = xp.flip(change.T @ xp.flip(inner, axis=0), axis=0)
        middle = xp.zeros((N - 2 * b, x.shape[1]), dtype=x.dtype, device=frame.device)
        image = image + xp.concat((first, middle, last), axis=0) + rows.T @ x[:r, :]
        return image + xp.flip(rows.T @ xp.flip(x[N - r :, :], axis=0), axis=0)

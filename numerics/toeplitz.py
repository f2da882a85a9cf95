r"""Toeplitz matrices: products, inverses and preconditioners, all through the FFT.

A Toeplitz matrix :math:`T_{ij} = c_{i-j}` (:math:`r_{j-i}` above the diagonal) is a corner of a
circulant, so that a product costs two FFTs. The first and last columns x, y of its inverse say the
whole inverse (Gohberg and Semencul, 1972),

.. math:: x_0 T^{-1} = L(x)\, L(Jy)^T - L(Zy)\, L(ZJx)^T,

with L(v) the lower triangular Toeplitz matrix of first column v, J the reversal and Z the shift
down by one; for a symmetric matrix y = Jx. A symmetric positive definite system costs a dozen
products by conjugate gradients. Several right-hand sides are columns side by side, as in SciPy's
solvers, and operators are SciPy ``LinearOperator`` objects on NumPy.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import scipy.fft
import scipy.linalg
from scipy.sparse.linalg import LinearOperator, cg

from numerics.arrays import Array, Frame, as_arrays, check_choice, check_real, check_shape
from numerics.convergence import ConvergenceWarning
from numerics.toeplitz_preconditioners import (
    check_vector,
    host_vectors,
    tau_preconditioner,
)

_LEVINSON_LIMIT = 512  # below it the O(N^2) recursion is as fast as the iteration
_MAXITER = 500
_NOTHING_SOLVED = 1e-3  # relative residual from which on no digit can be trusted
_EPS = float(np.finfo(np.float64).eps)


def toeplitz_matvec(c: Array, x: Array, *, row: Array | None = None) -> Array:
    r"""Product of a Toeplitz matrix and a vector, :math:`(Tx)_i = \sum_j c_{i-j} x_j`.

    Two FFTs of a circulant of twice the order; the error is a small multiple of the unit roundoff
    times :math:`\lVert c \rVert_2 \lVert x \rVert_2`, whatever the size of the entry.

    Parameters
    ----------
    c : array, shape (N,)
        First column; real, NumPy or torch.
    x : array, shape (N,) or (N, k)
        Vectors as columns.
    row : array, shape (N,), optional
        First row, whose first entry is not looked at; ``c`` without it (a symmetric matrix).

    Returns
    -------
    array, shape (N,) or (N, k)
        Kind and precision of the arguments. Torch results are differentiable in all of them.

    Raises
    ------
    TypeError
        For complex arguments.
    ValueError
        For shapes that do not fit, and values that are not finite.

    Examples
    --------
    The second difference of a square is 2.

    >>> import numpy as np
    >>> c = np.array([-2.0, 1, 0, 0, 0])
    >>> np.allclose(toeplitz_matvec(c, np.arange(5.0) ** 2)[1:-1], 2)
    True
    """
    frame, c, x, row = as_arrays(c=c, x=x, row=row)
    _check_system(frame, c, x, row, "x")
    xp, size = frame.xp, _fft_length(c.shape[0])
    spectrum = _circulant_spectrum(frame, c, c if row is None else row, size)
    return frame.cast(_circulant_product(xp, spectrum, x, size))


def toeplitz_operator(c: Array, *, row: Array | None = None) -> LinearOperator:
    r"""Toeplitz matrix as a SciPy operator that holds the transform of its coefficients.

    Parameters
    ----------
    c : ndarray, shape (N,)
        First column, real.
    row : ndarray, shape (N,), optional
        First row, whose first entry is not looked at; ``c`` without it.

    Returns
    -------
    LinearOperator, shape (N, N)
        float64, with adjoint.

    Raises
    ------
    TypeError
        For complex arguments and torch tensors.
    ValueError
        For shapes that do not fit, and values that are not finite.

    Examples
    --------
    >>> import numpy as np
    >>> T = toeplitz_operator(np.array([0.0, 1, 0]), row=np.zeros(3))
    >>> (T @ np.array([1.0, 2, 3])).round(12), (T.T @ np.array([1.0, 2, 3])).round(12)
    (array([0., 1., 2.]), array([2., 3., 0.]))
    """
    c, row = host_vectors(c=c, row=row)
    return _ToeplitzOperator(c, c if row is None else row)


def toeplitz_solve(c: Array, b: Array, *, method: str = "auto") -> Array:
    r"""Solution of a symmetric positive definite Toeplitz system :math:`Tx = b`.

    Parameters
    ----------
    c : array, shape (N,)
        First column of T; real, NumPy or torch.
    b : array, shape (N,) or (N, k)
        Right-hand sides as columns.
    method : {"auto", "levinson", "pcg", "gohberg-semencul"}
        Levinson's recursion, O(N^2) and the only one that takes an indefinite matrix whose leading
        blocks are regular; conjugate gradients with the tau matrix as preconditioner for each
        column; or conjugate gradients for the first column of the inverse and its formula for all
        columns, refined once. "auto" takes the first for N up to 512, beyond it the second
        for one column and the third for several.

    Returns
    -------
    array, shape (N,) or (N, k)
        Kind and precision of the arguments; computed in double precision, on the host. Torch
        results are differentiable in ``c`` and ``b``, by one more solution of the same system.

    Raises
    ------
    TypeError
        For complex arguments.
    ValueError
        For shapes that do not fit, values that are not finite, and an unknown ``method``.

    Warns
    -----
    ConvergenceWarning
        If the residual is not at rounding level.

    Examples
    --------
    A Kac-Murdock-Szego matrix has a tridiagonal inverse.

    >>> import numpy as np
    >>> c = 0.5 ** np.arange(6)
    >>> np.allclose(toeplitz_solve(c, c), [1, 0, 0, 0, 0, 0])
    True
    >>> x = toeplitz_solve(c, np.eye(6)[:, 2], method="gohberg-semencul")
    >>> np.allclose(3 * x, [0, -2, 5, -2, 0, 0])
    True
    """
    frame, c, b = as_arrays(c=c, b=b)
    _check_system(frame, c, b, None, "b")
    check_choice("method", method, ("auto", "levinson", "pcg", "gohberg-semencul"))
    if frame.is_torch:
        from numerics._torch_toeplitz import ToeplitzSolve

        return frame.cast(ToeplitzSolve.apply(frame.double(c), frame.double(b), method))
    return frame.cast(solve_symmetric(frame.double(c), frame.double(b), method))


def gohberg_semencul(x: Array, *, last: Array | None = None) -> LinearOperator:
    r"""Inverse of a Toeplitz matrix from the first and last columns of that inverse.

    .. math:: x_0 T^{-1} = L(x)\, L(Jy)^T - L(Zy)\, L(ZJx)^T

    Parameters
    ----------
    x : ndarray, shape (N,)
        First column of :math:`T^{-1}`, with :math:`x_0 \ne 0`.
    last : ndarray, shape (N,), optional
        Last column y of :math:`T^{-1}`; ``x`` reversed without it (a symmetric matrix).

    Returns
    -------
    LinearOperator, shape (N, N)
        :math:`T^{-1}` in float64, with adjoint: six FFTs a vector. A step of refinement
        against :func:`toeplitz_operator` makes the solution backward stable in practice.

    Raises
    ------
    TypeError
        For complex arguments and torch tensors.
    ValueError
        For shapes that do not fit, values that are not finite, and :math:`x_0 = 0`.

    References
    ----------
    Gohberg, Semencul, Mat. Issled. 7 (1972) 201-223.

    Examples
    --------
    The inverse of the second difference of order N has the first column
    :math:`1 - i/(N+1)`, i = 1, ..., N.

    >>> import numpy as np
    >>> inverse = gohberg_semencul(1 - np.arange(1, 5) / 5)
    >>> T = 2 * np.eye(4) - np.eye(4, k=1) - np.eye(4, k=-1)
    >>> np.allclose(inverse @ T, np.eye(4))
    True
    """
    x, last = host_vectors(x=x, last=last)
    y = x[::-1] if last is None else last
    if x[0] == 0:
        raise ValueError("x must have a first entry other than 0, got 0.0")
    return _GohbergSemencul(x, y)


def solve_symmetric(c: np.ndarray, b: np.ndarray, method: str) -> np.ndarray:
    """Solve for trusted float64 host arrays."""
    several = b.ndim == 2 and b.shape[1] > 1
    if method == "auto":
        fast = "gohberg-semencul" if several else "pcg"
        method = "levinson" if len(c) <= _LEVINSON_LIMIT else fast
    if b.size == 0:
        return np.zeros_like(b)
    operator = toeplitz_operator(c)
    if method == "levinson":
        x = scipy.linalg.solve_toeplitz(c, b)
    elif method == "pcg":
        columns = b.reshape(len(c), -1).T
        x = np.stack([conjugate_gradients(c, operator, v)[0] for v in columns], axis=-1)
        x = x.reshape(b.shape)
    else:
        first = conjugate_gradients(c, operator, np.eye(len(c), 1)[:, 0])[0]
        inverse = gohberg_semencul(first)
        x = inverse @ b
        x = x + inverse @ (b - operator @ x)
    # Rounding of the products, in the norm in which an FFT has it; and no more than that may be
    # left of b, since a solution that is all rounding error passes the first test by its size.
    size = np.linalg.norm(b, axis=0)
    residual = np.linalg.norm(b - operator @ x, axis=0)
    rounding = 1e3 * _EPS * (np.linalg.norm(c) * np.linalg.norm(x, axis=0) + size)
    if not np.all(residual <= np.minimum(rounding, _NOTHING_SOLVED * size)):
        worst = np.max(residual / np.where(size > 0, size, 1))
        warnings.warn(
            f"method {method!r} left a relative residual of {worst:.1e}; "
            "is the matrix positive definite and far from singular?",
            ConvergenceWarning,
            stacklevel=3,
        )
    return x


def conjugate_gradients(
    c: np.ndarray, operator: LinearOperator, b: np.ndarray
) -> tuple[np.ndarray, int]:
    """Solve to rounding level, with one correction of the residual; also count the iterations."""
    preconditioner = _positive_preconditioner(c)
    steps: list[None] = []

    def solve(v: np.ndarray, rtol: float) -> np.ndarray:
        return cg(
            operator,
            v,
            rtol=rtol,
            maxiter=_MAXITER,
            M=preconditioner,
            callback=lambda _: steps.append(None),
        )[0]

    x = solve(b, 4 * _EPS)
    iterations = len(steps)
    # What the correction corrects is all rounding: a few digits of it are enough.
    return x + solve(b - operator @ x, 1e-3), iterations


def _positive_preconditioner(c: np.ndarray) -> LinearOperator | None:
    try:
        return tau_preconditioner(c, exact=False)
    except ValueError:
        return None


def _check_system(frame: Frame, c: Array, x: Array, row: Array | None, name: str) -> None:
    check_vector(frame, "c", c)
    check_real(name, x, frame)
    if x.ndim not in (1, 2) or x.shape[0] != c.shape[0]:
        N = c.shape[0]
        raise ValueError(f"{name} must have shape ({N},) or ({N}, k), got {tuple(x.shape)}")
    if row is not None:
        check_vector(frame, "row", row)
        check_shape("row", row, c.shape[0])


def _fft_length(N: int) -> int:
    return int(scipy.fft.next_fast_len(2 * N - 1, real=True))


def _circulant_spectrum(frame: Frame, c: Array, row: Array, size: int) -> Array:
    xp = frame.xp
    gap = xp.zeros((size - 2 * c.shape[0] + 1,), dtype=c.dtype, device=frame.device)
    return xp.fft.rfft(xp.concat((c, gap, xp.flip(row[1:]))))


def _circulant_product(xp: Any, spectrum: Array, x: Array, size: int) -> Array:
    if x.ndim == 2:
        spectrum = spectrum[:, None]
    product = xp.fft.irfft(spectrum * xp.fft.rfft(x, n=size, axis=0), n=size, axis=0)
    return product[: x.shape[0], ...]


class _ToeplitzOperator(LinearOperator):
    def __init__(self, c: np.ndarray, row: np.ndarray) -> None:
        super().__init__(np.float64, (len(c), len(c)))
        self._size = _fft_length(len(c))
        gap = np.zeros(self._size - 2 * len(c) + 1)
        self._spectrum = scipy.fft.rfft(np.concatenate((c, gap, row[:0:-1])))

    def _product(self, spectrum: np.ndarray, X: np.ndarray) -> np.ndarray:
        transform = scipy.fft.rfft(X.T, n=self._size)
        return scipy.fft.irfft(spectrum * transform, n=self._size)[..., : len(X)].T

    def _matvec(self, x: np.ndarray) -> np.ndarray:
        return self._product(self._spectrum, x)

    _matmat = _matvec

    def _rmatvec(self, x: np.ndarray) -> np.ndarray:
        return self._product(np.conj(self._spectrum), x)

    _rmatmat = _rmatvec


class _GohbergSemencul(LinearOperator):
    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        N = len(x)
        super().__init__(np.float64, (N, N))
        self._size = _fft_length(N)
        # The first pair takes 1/x_0, so that the products are of the size of the result.
        rows = np.zeros((4, N))
        rows[0], rows[1] = x / x[0], y[::-1]
        rows[2, 1:], rows[3, 1:] = y[:-1] / x[0], x[:0:-1]
        self._spectra = scipy.fft.rfft(rows, n=self._size)

    def _product(self, spectra: np.ndarray, X: np.ndarray) -> np.ndarray:
        size, N = self._size, len(X)
        a, b, c, d = spectra
        transform = scipy.fft.rfft(X.T, n=size)
        first = scipy.fft.irfft(np.conj(b) * transform, n=size)[..., :N]
        second = scipy.fft.irfft(np.conj(d) * transform, n=size)[..., :N]
        transform = a * scipy.fft.rfft(first, n=size) - c * scipy.fft.rfft(second, n=size)
        return scipy.fft.irfft(transform, n=size)[..., :N].T

    def _matvec(self, x: np.ndarray) -> np.ndarray:
        return self._product(self._spectra, x)

    _matmat = _matvec

    def _rmatvec(self, x: np.ndarray) -> np.ndarray:
        return self._product(self._spectra[[1, 0, 3, 2]], x)

    _rmatmat = _rmatvec

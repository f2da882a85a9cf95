r"""Preconditioners of Toeplitz matrices that sine transforms and FFTs invert.

For a symmetric positive definite T the tau matrix of the same coefficients,

.. math:: \tau(T) = S\,\mathrm{diag}(\lambda)\,S, \qquad
          S_{ij} = \sqrt{\tfrac{2}{N+1}} \sin\frac{ij\pi}{N+1},

is T less the Hankel matrix of :math:`c_2, \ldots, c_{N-1}` in two corners; where the symbol
of T has a zero of order below 2 the spectrum of :math:`\tau(T)^{-1} T` is bounded and clusters at 1
for all N. Strang's circulant is about as good and needs no symmetry.
"""

from __future__ import annotations

import numpy as np
import scipy.fft
from scipy.sparse.linalg import LinearOperator

from numerics.arrays import Array, Frame, as_arrays, check_real, check_shape

_EPS = float(np.finfo(np.float64).eps)
_GAP = 64  # zeros between the ends of a circulant that shall not be neighbours


def tau_eigenvalues(c: Array) -> Array:
    r"""Eigenvalues of the tau matrix with the coefficients of a symmetric Toeplitz matrix.

    .. math:: \lambda_j = c_0 + 2 \sum_{k=1}^{N-1} c_k \cos\frac{k j \pi}{N + 1},
              \qquad j = 1, \ldots, N.

    The matrix is :math:`S\,\mathrm{diag}(\lambda)\,S` with the orthonormal sines
    :math:`S_{ij} = \sqrt{2/(N+1)} \sin(ij\pi/(N+1))`.

    Parameters
    ----------
    c : array, shape (N,)
        First column; real, NumPy or torch.

    Returns
    -------
    array, shape (N,)
        Kind and precision of ``c``; differentiable on torch.

    Raises
    ------
    TypeError
        For complex ``c``.
    ValueError
        If ``c`` is no vector or not finite.

    Examples
    --------
    Tridiagonal Toeplitz matrices are tau matrices.

    >>> import numpy as np
    >>> c = np.array([2.0, -1, 0, 0])
    >>> T = 2 * np.eye(4) - np.eye(4, k=1) - np.eye(4, k=-1)
    >>> np.allclose(tau_eigenvalues(c), np.linalg.eigvalsh(T))
    True
    """
    frame, c = as_arrays(c=c)
    check_vector(frame, "c", c)
    xp, N = frame.xp, c.shape[0]
    gap = xp.zeros((3,), dtype=c.dtype, device=frame.device)
    even = xp.concat((c, gap, xp.flip(c[1:])))
    return frame.cast(xp.real(xp.fft.rfft(even))[1 : N + 1])


def tau_preconditioner(c: Array, *, exact: bool = True) -> LinearOperator:
    r"""Inverse of the tau matrix of a symmetric Toeplitz matrix: two sine transforms a vector.

    Parameters
    ----------
    c : ndarray, shape (N,)
        First column, real.
    exact : bool
        Take the transform of order N itself, which is slow where N + 1 has a large prime factor.
        Otherwise the coefficients are continued by zeros to the next order that is fast, and the
        middle block of that larger inverse is applied: as good a preconditioner.

    Returns
    -------
    LinearOperator, shape (N, N)
        Symmetric positive definite, float64.

    Raises
    ------
    TypeError
        For complex arguments and torch tensors.
    ValueError
        If ``c`` is no vector or not finite, or its tau matrix is not positive definite.

    Examples
    --------
    >>> import numpy as np
    >>> P = tau_preconditioner(np.array([2.0, -1, 0, 0]))
    >>> T = 2 * np.eye(4) - np.eye(4, k=1) - np.eye(4, k=-1)
    >>> np.allclose(P @ T, np.eye(4))
    True
    """
    (c,) = host_vectors(c=c)
    N = len(c)
    order = N if exact else int(scipy.fft.next_fast_len(N + 1, real=True)) - 1
    eigenvalues = tau_eigenvalues(np.pad(c, (0, order - N)))
    if not eigenvalues.min() > 0:
        raise ValueError(
            f"c must have positive tau eigenvalues, got a smallest of {eigenvalues.min():.3g}"
        )
    return _TauInverse(eigenvalues, N)


def circulant_preconditioner(
    c: Array, *, row: Array | None = None, exact: bool = True
) -> LinearOperator:
    r"""Inverse of Strang's circulant, which copies the central diagonals of a Toeplitz matrix.

    .. math:: s_k = c_k \ (2k < N), \qquad s_{N-k} = r_k \ (2k < N), \qquad
              s_{N/2} = \tfrac12 (c_{N/2} + r_{N/2}).

    Parameters
    ----------
    c : ndarray, shape (N,)
        First column, real.
    row : ndarray, shape (N,), optional
        First row r, whose first entry is not looked at; ``c`` without it.
    exact : bool
        Take the circulant of order N itself. Otherwise the coefficients are continued by zeros to
        an order at least 64 larger that is fast, and the middle block of that larger inverse is
        applied: a better preconditioner, since the ends are not neighbours any more.

    Returns
    -------
    LinearOperator, shape (N, N)
        float64, with adjoint: two FFTs a vector.

    Raises
    ------
    TypeError
        For complex arguments and torch tensors.
    ValueError
        For shapes that do not fit, values that are not finite, and a singular circulant.

    References
    ----------
    Strang, Stud. Appl. Math. 74 (1986) 171-176.

    Examples
    --------
    A circulant is its own preconditioner.

    >>> import numpy as np
    >>> c = np.array([3.0, 1, 0, 0.5])
    >>> P = circulant_preconditioner(c, row=np.array([3.0, 0.5, 0, 1]))
    >>> np.allclose(P @ c, [1, 0, 0, 0])
    True
    """
    c, row = host_vectors(c=c, row=row)
    size = len(c)
    N = size if exact else int(scipy.fft.next_fast_len(size + _GAP, real=True))
    row = np.pad(c if row is None else row, (0, N - size))
    c = np.pad(c, (0, N - size))
    central = (N - 1) // 2
    s = np.zeros(N)
    s[: central + 1] = c[: central + 1]
    s[N - central :] = row[central:0:-1]
    if N % 2 == 0:
        s[N // 2] = (c[N // 2] + row[N // 2]) / 2
    spectrum = scipy.fft.rfft(s)
    if not np.abs(spectrum).min() > _EPS * np.abs(spectrum).max():
        raise ValueError("c must have a regular circulant, got one with a zero eigenvalue")
    return _CirculantInverse(spectrum, N, size)


def check_vector(frame: Frame, name: str, values: Array) -> None:
    """Refuse complex values, and anything but one axis with something on it."""
    check_real(name, values, frame)
    if values.ndim != 1 or values.shape[0] == 0:
        raise ValueError(f"{name} must have shape (N,) with N >= 1, got {tuple(values.shape)}")


def host_vectors(**arguments: Array | None) -> list[np.ndarray | None]:
    """Read real NumPy vectors of one length as float64."""
    frame, *vectors = as_arrays(finite=True, **arguments)
    if not frame.is_numpy:
        names = ", ".join(arguments)
        raise TypeError(f"{names} must be NumPy: SciPy's operators take nothing else, got torch")
    size = vectors[0].shape[0] if vectors[0].ndim else 0
    for name, vector in zip(arguments, vectors, strict=True):
        if vector is not None:
            check_vector(frame, name, vector)
            check_shape(name, vector, size)
    return [None if vector is None else frame.double(vector) for vector in vectors]


class _TauInverse(LinearOperator):
    def __init__(self, eigenvalues: np.ndarray, N: int) -> None:
        super().__init__(np.float64, (N, N))
        self._scale = 1 / eigenvalues

    def _matvec(self, x: np.ndarray) -> np.ndarray:
        padded, inner = _in_the_middle(x.T, len(self._scale))
        modes = scipy.fft.dst(padded, type=1, norm="ortho")
        return scipy.fft.dst(self._scale * modes, type=1, norm="ortho")[..., inner].T

    _matmat = _rmatvec = _rmatmat = _matvec


class _CirculantInverse(LinearOperator):
    def __init__(self, spectrum: np.ndarray, order: int, N: int) -> None:
        super().__init__(np.float64, (N, N))
        self._order = order
        self._scale = 1 / spectrum

    def _product(self, scale: np.ndarray, X: np.ndarray) -> np.ndarray:
        padded, inner = _in_the_middle(X.T, self._order)
        return scipy.fft.irfft(scale * scipy.fft.rfft(padded), n=self._order)[..., inner].T

    def _matvec(self, x: np.ndarray) -> np.ndarray:
        return self._product(self._scale, x)

    _matmat = _matvec

    def _rmatvec(self, x: np.ndarray) -> np.ndarray:
        return self._product(np.conj(self._scale), x)

    _rmatmat = _rmatvec


def _in_the_middle(rows: np.ndarray, order: int) -> tuple[np.ndarray, slice]:
    """Rows amid zeros, and where they are."""
    N = rows.shape[-1]
    if order == N:
        return rows, slice(None)
    inner = slice((order - N) // 2, (order - N) // 2 + N)
    padded = np.zeros((*rows.shape[:-1], order))
    padded[..., inner] = rows
    return padded, inner

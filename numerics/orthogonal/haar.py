r"""Orthogonal matrices distributed by the Haar measure.

The QR factorisation of a Gaussian matrix, with R's diagonal made positive, has a Haar distributed Q
(Mezzadri, arXiv math-ph/0609050). The reflection that a column meets depends on a Gaussian vector
that is independent of the columns before (Stewart, 1980), so that the vectors can be drawn instead
of computed: only Q has to be formed, at half the operations and half the random numbers.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.linalg.lapack

from numerics.arrays import Array, Frame, as_generator, as_integer, frame_like

_LAPACK_BLOCK = 64  # columns that dorgqr forms at once when it has the workspace for them


def haar_orthogonal(
    n: int,
    *,
    size: int | tuple[int, ...] | None = None,
    special: bool = False,
    rng: Any = None,
    like: Array | None = None,
) -> Array:
    r"""Orthogonal matrices drawn from the Haar measure.

    Their law is that of UQ and QU for every fixed orthogonal U. Each is formed from n - 1
    reflections with Gaussian vectors, in :math:`\tfrac43 n^3` operations.

    Parameters
    ----------
    n : int
        Order.
    size : int or tuple of int, optional
        Shape of the batch; a single matrix without it.
    special : bool
        Draw rotations, of determinant 1, instead.
    rng : Generator, int, torch.Generator or None
        Source of randomness; the draw is made on the host.
    like : array, optional
        An array of the kind, device and precision to give; NumPy float64 without it.

    Returns
    -------
    array, shape (..., n, n)
        One matrix for each entry of `size`.

    Raises
    ------
    ValueError
        For n < 1 or a negative size.

    References
    ----------
    Mezzadri, arXiv math-ph/0609050; Stewart, SIAM J. Numer. Anal. 17 (1980) 403-409.

    Examples
    --------
    The trace has variance 1 for every n > 1.

    >>> import numpy as np
    >>> Q = haar_orthogonal(4, size=4000, rng=0)
    >>> np.allclose(np.swapaxes(Q, 1, 2) @ Q, np.eye(4))
    True
    >>> bool(abs(np.var(np.trace(Q, axis1=1, axis2=2)) - 1) < 0.1)
    True
    """
    n = as_integer("n", n, minimum=1)
    shape = _batch(size)
    frame, generator = frame_like(like), as_generator(rng)
    count = math.prod(shape)
    # A row holds a vector, that of reflection j from entry j on: columns as LAPACK wants them.
    vectors = np.zeros((count, n, n))
    vectors[:, *np.triu_indices(n)] = generator.standard_normal((count, n * (n + 1) // 2))
    tau, signs = _reflectors(vectors)
    if special:
        # Every reflection but the last, which is along one entry and left out, has determinant -1.
        signs[:, 0] *= (-1) ** (n - 1) * np.prod(signs, axis=1)
    Q = _product(frame, vectors, tau) * frame.asarray(signs)[:, None, :]
    return frame.cast(frame.xp.reshape(Q, (*shape, n, n)))


def _batch(size: Any) -> tuple[int, ...]:
    if size is None:
        return ()
    sizes = size if isinstance(size, tuple | list) else (size,)
    return tuple(as_integer("size", length, minimum=0) for length in sizes)


def _reflectors(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Turn Gaussian rows into LAPACK's reflectors, in place: factors and signs."""
    n = vectors.shape[-1]
    diagonal = np.einsum("kii->ki", vectors)
    length = np.sqrt(np.einsum("kij,kij->ki", vectors, vectors))
    sign = np.where(diagonal < 0, -1.0, 1.0)
    tau = (np.abs(diagonal) + length) / length
    vectors /= (diagonal + sign * length)[:, :, None]
    tau[:, n - 1] = 0  # nothing is below the last entry, which keeps its sign
    signs = -sign
    signs[:, n - 1] *= -1
    return tau, signs


def _product(frame: Frame, vectors: np.ndarray, tau: np.ndarray) -> Array:
    columns = np.swapaxes(vectors, 1, 2)
    if frame.is_torch:
        product = frame.xp.linalg.householder_product
        return product(frame.asarray(columns), frame.asarray(tau))
    workspace = _LAPACK_BLOCK * max(1, vectors.shape[-1])
    for matrix, factors in zip(columns, tau, strict=True):
        scipy.linalg.lapack.dorgqr(matrix, factors, lwork=workspace, overwrite_a=True)
    return columns

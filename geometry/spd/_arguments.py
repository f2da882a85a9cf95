r"""The front door of this package: matrices that must be Hermitian or positive definite.

A matrix counts as Hermitian when no entry of :math:`A - A^H` exceeds 1e-8 of the largest entry of A
(1e-5 for single precision), and as positive definite when it has a Cholesky factor. Behind the door
matrices are Hermitian to the last bit and in double precision: that a matrix given in single
precision is ill-conditioned costs no further digits.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import numpy as np

from geometry.spd._linear_algebra import adjoint, hermitian_part
from numerics.arrays import (
    Array,
    Frame,
    as_arrays,
    broadcast_batch,
    check_real,
    check_shape,
)

_ASYMMETRY = 1e-8
_ASYMMETRY_SINGLE = 1e-5


def as_spd(
    *,
    hermitian: Collection[str] = (),
    general: Collection[str] = (),
    scalars: Collection[str] = (),
    check: bool = True,
    **arguments: Any,
) -> tuple[Any, ...]:
    """Resolve named arguments to one frame, in double precision, complex when one matrix is.

    Parameters
    ----------
    hermitian : collection of str
        Names of the arguments that are Hermitian matrices: tangent vectors.
    general : collection of str
        Names of those that are square matrices and nothing more.
    scalars : collection of str
        Names of those that are real numbers, one or one for each matrix of the batch.
    check : bool
        Look at the values. Shapes and dtypes are always checked. Inside a torch transform there
        are no values to look at.
    **arguments : array_like or None
        All arguments by name. What is not listed above must be positive definite. All matrices are
        of one order, and batch axes broadcast; ``None`` passes through.

    Returns
    -------
    frame : Frame
        That of the arguments as they were given, to cast results by.
    *arrays : array
        The arguments in the order given.

    Raises
    ------
    ValueError
        For matrices that are not square or of different order, not finite, not Hermitian, or not
        positive definite; the message holds the batch index.
    """
    frame, *resolved = as_arrays(finite=check, **arguments)
    arrays = {name: v for name, v in zip(arguments, resolved, strict=True) if v is not None}
    matrices = {name: v for name, v in arrays.items() if name not in scalars}
    order = _common_order(matrices)
    batches = {name: tuple(v.shape[:-2]) for name, v in matrices.items()}
    for name in scalars:
        if name in arrays:
            check_real(name, arrays[name], frame)
            batches[name] = tuple(arrays[name].shape)
    broadcast_batch(**batches)
    converted = frame.common_dtype(*(frame.double(v) for v in matrices.values()))
    result = {name: frame.double(arrays[name]) for name in scalars if name in arrays}
    for name, matrix in zip(matrices, converted, strict=True):
        check_shape(name, matrix, order, order)
        if name in general:
            result[name] = matrix
            continue
        look = check and frame.has_values(matrix)
        exact = look and bool(frame.xp.all(matrix == adjoint(frame, matrix)))
        if look and not exact:
            check_hermitian(name, matrix, frame)
        # Taken even of an exactly symmetric tensor, it makes gradients symmetric.
        if frame.is_torch or not exact:
            matrix = hermitian_part(frame, matrix)
        if look and name not in hermitian:
            check_positive_definite(name, matrix, frame)
        result[name] = matrix
    return (frame, *(result.get(name) for name in arguments))


def check_hermitian(name: str, A: Array, frame: Frame) -> None:
    """Refuse matrices that differ from their adjoint by more than rounding."""
    if math.prod(A.shape) == 0:
        return
    xp = frame.xp
    tolerance = _ASYMMETRY_SINGLE if frame.single else _ASYMMETRY
    largest = xp.max(xp.abs(A), axis=(-2, -1))
    difference = xp.max(xp.abs(A - adjoint(frame, A)), axis=(-2, -1))
    bad = difference > tolerance * largest
    if bool(xp.any(bad)):
        index = _first(bad)
        raise ValueError(
            f"{name} must be {'Hermitian' if frame.is_complex(A) else 'symmetric'}, got "
            f"{_where(name, index)} with entries of A - A^H up to {float(difference[index]):.2g}, "
            f"where {float(largest[index]):.2g} is the largest of A"
        )


def check_positive_definite(name: str, A: Array, frame: Frame) -> None:
    """Refuse Hermitian matrices without a Cholesky factor."""
    if math.prod(A.shape) == 0:
        return
    if frame.is_torch:
        bad = frame.xp.linalg.cholesky_ex(A.detach()).info != 0
        if not bool(frame.xp.any(bad)):
            return
        index = _first(bad)
    else:
        try:
            np.linalg.cholesky(A)
            return
        except np.linalg.LinAlgError:
            index = _first_without_factor(A)
    smallest = frame.xp.linalg.eigvalsh(A[index])[..., 0]
    raise _not_positive_definite(name, index, smallest)


def check_positive_eigenvalues(name: str, w: Array, frame: Frame) -> None:
    """Refuse matrices whose eigenvalues ``w`` (..., n), ascending, are not all positive."""
    if math.prod(w.shape) == 0 or not frame.has_values(w):
        return
    bad = ~(w[..., 0] > 0)
    if bool(frame.xp.any(bad)):
        index = _first(bad)
        raise _not_positive_definite(name, index, w[..., 0][index])


def _not_positive_definite(name: str, index: tuple[int, ...], smallest: Array) -> ValueError:
    return ValueError(
        f"{name} must be positive definite, got {_where(name, index)} with smallest eigenvalue "
        f"{float(smallest):.3g}"
    )


def _common_order(matrices: dict[str, Array]) -> int:
    name, first = next(iter(matrices.items()))
    check_shape(name, first, "n", "n")
    order = int(first.shape[-1])
    if order == 0:
        raise ValueError(f"{name} must hold matrices of order 1 or more, got {tuple(first.shape)}")
    return order


def _first(bad: Array) -> tuple[int, ...]:
    host = np.asarray(bad.cpu() if hasattr(bad, "cpu") else bad)
    return tuple(int(i) for i in np.argwhere(host)[0]) if host.ndim else ()


def _first_without_factor(A: np.ndarray) -> tuple[int, ...]:
    for index in np.ndindex(A.shape[:-2]):
        try:
            np.linalg.cholesky(A[index])
        except np.linalg.LinAlgError:
            return index
    return (0,) * (A.ndim - 2)


def _where(name: str, index: tuple[int, ...]) -> str:
    return f"{name}[{', '.join(map(str, index))}]" if index else "a matrix"

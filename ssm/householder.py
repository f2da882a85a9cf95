r"""Products of generalised Householder factors, and the fewest that make an orthogonal matrix.

A factor :math:`I - \beta k k^T` with a unit vector k has determinant :math:`1 - \beta` and, for
:math:`\beta` in [0, 2], spectral norm at most 1; with :math:`\beta = 2` it is a reflection. The
theorem of Cartan and Dieudonné, in Scherk's form, says that an orthogonal Q is a product of
:math:`\operatorname{rank}(Q - I)` reflections and of no fewer. This is what one step of
DeltaProduct (arXiv 2502.10297) with as many corrections can do.
"""

from __future__ import annotations

import math

from numerics.arrays import (
    Array,
    Frame,
    as_arrays,
    as_float,
    broadcast_batch,
    check_real,
    check_shape,
)

_TOLERANCE = 32  # units in the last place, a row, within which Q - I counts as zero


def householder_product(k: Array, beta: Array) -> Array:
    r"""Product of generalised Householder factors,
    :math:`(I - \beta_1 k_1 k_1^T)(I - \beta_2 k_2 k_2^T) \cdots (I - \beta_r k_r k_r^T)`.

    Parameters
    ----------
    k : array, shape (..., r, d)
        Unit vectors. Where ``beta`` is zero any vector will do.
    beta : array, shape (..., r)
        Gains: 0 for the identity, 1 for a projection, 2 for a reflection.

    Returns
    -------
    array, shape (..., d, d)
        The identity for r = 0. It is computed in double precision and rounded at the end.

    Raises
    ------
    TypeError
        For complex arrays, arrays that hold no numbers, or mixed array libraries.
    ValueError
        For wrong shapes, vectors that are zero or not of length 1 to half the digits of their
        precision, and values that are not finite.

    See Also
    --------
    numerics.HouseholderProduct : reflections of any length as an operator that is not formed.

    References
    ----------
    Siems, Carstensen, Zela, Hutter, Pontil, Grazzi, arXiv 2502.10297.

    Examples
    --------
    Two reflections along axes 45 degrees apart turn by 90 degrees. The determinant is the product
    of the numbers one minus beta.

    >>> import numpy as np
    >>> k = np.array([[1.0, 0.0], [np.sqrt(0.5), np.sqrt(0.5)]])
    >>> householder_product(k, np.array([2.0, 2.0])).round(12)
    array([[ 0.,  1.],
           [-1.,  0.]])
    >>> round(float(np.linalg.det(householder_product(k, np.array([0.5, 1.5])))), 12)
    -0.25
    """
    frame, k, beta = as_arrays(k=k, beta=beta)
    check_real("k", k, frame)
    check_real("beta", beta, frame)
    check_shape("k", k, "r", "d")
    r, d = k.shape[-2:]
    check_shape("beta", beta, r)
    batch = broadcast_batch(k=tuple(k.shape[:-2]), beta=tuple(beta.shape[:-1]))
    check_unit(frame, "k", k, beta)
    xp = frame.xp
    keys, gains = frame.double(k), frame.double(beta)[..., None, None]
    product = xp.broadcast_to(xp.eye(d, dtype=keys.dtype, device=frame.device), (*batch, d, d))
    for i in range(r):
        key = keys[..., i, :, None]
        product = product - (gains[..., i, :, :] * (product @ key)) @ xp.matrix_transpose(key)
    # Without factors the broadcast identity is read-only memory that all of the batch shares.
    return xp.astype(product, frame.real, copy=True)


def min_reflections(Q: Array, *, tol: float | None = None) -> Array:
    r"""The least number of reflections whose product is Q, which is
    :math:`\operatorname{rank}(Q - I)`.

    A rotation by a plane takes two, a permutation as many as its length less its number of cycles.

    Parameters
    ----------
    Q : array, shape (..., d, d)
        Orthogonal matrices.
    tol : float, optional
        Singular values of Q - I up to this are taken for zero; 32 d units in the last place of the
        precision of Q without it.

    Returns
    -------
    array of int64, shape (...)

    Raises
    ------
    TypeError, ValueError
        As :func:`reflections`.

    References
    ----------
    Scherk, Proc. Amer. Math. Soc. 1 (1950) 481-491.

    Examples
    --------
    A transposition, a cycle of three, and two transpositions.

    >>> import numpy as np
    >>> [int(min_reflections(np.eye(4)[p])) for p in ([1, 0, 2, 3], [1, 2, 0, 3], [1, 0, 3, 2])]
    [1, 2, 2]
    """
    frame, wide, tol = _orthogonal(Q, tol)
    return _ranks(frame, wide, tol)


def reflections(Q: Array, *, tol: float | None = None) -> tuple[Array, Array]:
    r"""Write orthogonal matrices as products of the fewest reflections,
    :math:`Q = H_1 H_2 \cdots H_r` with :math:`H_i = I - \beta_i k_i k_i^T`.

    With :math:`R_0 = Q`, step i reflects :math:`R_{i-1}` along
    :math:`k_i \propto R_{i-1} e - e`, e the unit vector that it moves farthest, and
    :math:`R_i = H_i R_{i-1}` keeps e and all that was kept before: the rank of
    :math:`R_i - I` falls by one. Fed to :func:`ssm.delta_rule` in this order, the factors multiply
    the state by :math:`Q^T`; in the reverse order, by Q.

    Parameters
    ----------
    Q : array, shape (..., d, d)
        Orthogonal matrices, to half the digits of their precision.
    tol : float, optional
        As for :func:`min_reflections`.

    Returns
    -------
    k : array, shape (..., r, d)
        Unit vectors; r is the largest number that a matrix of the batch takes.
    beta : array, shape (..., r)
        2 for a reflection. Matrices that take fewer end in factors with gain 0.

    Raises
    ------
    TypeError
        For complex arrays or arrays that hold no numbers.
    ValueError
        For matrices that are not square or not orthogonal, a negative ``tol``, and values that are
        not finite.

    References
    ----------
    Scherk, Proc. Amer. Math. Soc. 1 (1950) 481-491; arXiv 2502.10297 for its use.

    Examples
    --------
    >>> import numpy as np
    >>> quarter_turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    >>> k, beta = reflections(quarter_turn)
    >>> beta
    array([2., 2.])
    >>> np.allclose(householder_product(k, beta), quarter_turn)
    True
    """
    frame, rest, tol = _orthogonal(Q, tol)
    xp = frame.xp
    ranks, d = _ranks(frame, rest, tol), rest.shape[-1]
    axes = xp.arange(d, device=frame.device)
    eye = xp.eye(d, dtype=rest.dtype, device=frame.device)
    keys, gains = [], []
    for i in range(int(xp.max(ranks)) if math.prod(ranks.shape) else 0):
        moved = rest - eye
        farthest = xp.argmax(xp.sum(moved * moved, axis=-2), axis=-1)
        chosen = xp.astype(farthest[..., None] == axes, rest.dtype)
        key = xp.sum(moved * chosen[..., None, :], axis=-1)
        wanted = (i < ranks)[..., None]
        key = xp.where(wanted, key, eye[0, :])
        key = key / xp.sqrt(xp.sum(key * key, axis=-1, keepdims=True))
        gain = 2 * xp.astype(wanted, rest.dtype)
        rest = rest - (gain * key)[..., :, None] * (key[..., None, :] @ rest)
        keys.append(key)
        gains.append(gain[..., 0])
    if not keys:
        batch = rest.shape[:-2]
        none = xp.zeros((*batch, 0, d), dtype=frame.real, device=frame.device)
        return none, none[..., 0]
    return frame.cast(xp.stack(keys, axis=-2)), frame.cast(xp.stack(gains, axis=-1))


def check_gains(frame: Frame, beta: Array) -> None:
    """Refuse gains outside of [0, 2], where a factor makes vectors longer."""
    xp = frame.xp
    if frame.has_values(beta) and not bool(xp.all((beta >= 0) & (beta <= 2))):
        raise ValueError(
            f"beta must lie in [0, 2], got values from {float(xp.min(beta))} to"
            f" {float(xp.max(beta))}"
        )


def check_unit(frame: Frame, name: str, k: Array, beta: Array) -> None:
    """Refuse keys with a gain that are not unit vectors to half the digits of the precision."""
    xp = frame.xp
    if not (frame.has_values(k) and frame.has_values(beta)):
        return
    lengths = xp.sqrt(xp.sum(k * k, axis=-1))
    tolerance = math.sqrt(xp.finfo(frame.real).eps)
    wrong = (xp.abs(lengths - 1) > tolerance) & (beta != 0)
    if bool(xp.any(wrong)):
        at_fault = xp.where(wrong, lengths, xp.ones_like(lengths))
        farthest = xp.argmax(xp.reshape(xp.abs(at_fault - 1), (-1,)))
        length = float(xp.reshape(at_fault, (-1,))[farthest])
        raise ValueError(f"{name} must hold unit vectors, got one of length {length:.6g}")


def _orthogonal(Q: Array, tol: float | None) -> tuple[Frame, Array, float]:
    frame, Q = as_arrays(Q=Q)
    xp = frame.xp
    check_real("Q", Q, frame)
    check_shape("Q", Q, "d", "d")
    d = Q.shape[-1]
    if d == 0:
        raise ValueError(f"Q must have order d of at least 1, got shape {tuple(Q.shape)}")
    eps = float(xp.finfo(frame.real).eps)
    tol = _TOLERANCE * d * eps if tol is None else as_float("tol", tol)
    if tol < 0:
        raise ValueError(f"tol must not be negative, got {tol}")
    wide = frame.double(Q)
    eye = xp.eye(d, dtype=wide.dtype, device=frame.device)
    defect = xp.abs(xp.matrix_transpose(wide) @ wide - eye)
    if bool(xp.any(defect > math.sqrt(eps))):
        raise ValueError(f"Q must be orthogonal, got max |Q^T Q - I| = {float(xp.max(defect)):.1e}")
    return frame, wide, tol


def _ranks(frame: Frame, wide: Array, tol: float) -> Array:
    xp = frame.xp
    eye = xp.eye(wide.shape[-1], dtype=wide.dtype, device=frame.device)
    return xp.sum(xp.astype(xp.linalg.svdvals(wide - eye) > tol, xp.int64), axis=-1)

r"""The Cayley transform, which takes skew-symmetric matrices to rotations without eigenvalue -1.

.. math:: Q = \left(I - \tfrac12 W\right)^{-1} \left(I + \tfrac12 W\right)

agrees with :math:`e^W` to second order. One solution of a linear system gives it; for a W of rank
2r, one of order 2r does.
"""

from __future__ import annotations

import numpy as np

from numerics.arrays import Array, Frame, as_arrays, check_real, check_shape
from numerics.orthogonal.low_rank import IdentityPlusLowRank
from numerics.orthogonal.operator import OrthogonalOperator


def cayley(W: Array) -> Array:
    r"""Cayley transform :math:`(I - W/2)^{-1} (I + W/2)` of a skew-symmetric matrix.

    Computed in double precision, in :math:`O(n^3)`. :math:`I - W/2` is never singular, its
    condition number is at most :math:`1 + \lVert W \rVert_2 / 2`, and Q is as many roundings from
    orthogonal. The transform of tW agrees with :math:`e^{tW}` up to :math:`t^3 W^3 / 12`.

    Parameters
    ----------
    W : array, shape (..., n, n)
        Real and skew-symmetric to half the digits of its precision, which is checked on the CPU;
        NumPy or torch. A - A^T makes any A skew-symmetric exactly.

    Returns
    -------
    array, shape (..., n, n)
        Orthogonal matrices of determinant 1. Kind and precision of W; torch results are
        differentiable in it.

    Raises
    ------
    TypeError
        For complex arguments.
    ValueError
        For a W that is not square or not skew-symmetric, and values that are not finite.

    Examples
    --------
    In the plane the angle is :math:`2 \arctan(w/2)`.

    >>> import numpy as np
    >>> cayley(np.array([[0.0, -2.0], [2.0, 0.0]]))
    array([[ 0., -1.],
           [ 1.,  0.]])
    """
    frame, W = as_arrays(W=W)
    check_real("W", W, frame)
    check_shape("W", W, "n", "n")
    _check_skew(frame, W)
    xp, half = frame.xp, 0.5 * frame.double(W)
    eye = xp.eye(W.shape[-1], dtype=half.dtype, device=frame.device)
    return frame.cast(xp.linalg.solve(eye - half, eye + half))


def cayley_low_rank(U: Array, V: Array) -> OrthogonalOperator:
    r"""Cayley transform of :math:`W = U V^T - V U^T`, as an operator that is not formed.

    With :math:`A = [U, -V]` and :math:`B = [V, U]`, so that :math:`W = A B^T`,

    .. math:: Q = I + A \left(I - \tfrac12 B^T A\right)^{-1} B^T,

    a system of order 2r for r columns: :math:`O(n r^2)` once and :math:`O(nr)` for every vector.
    Columns that differ much in length or depend on each other cost digits.

    Parameters
    ----------
    U, V : array, shape (n, r)
        Real, NumPy or torch; 2r much less than n is what it is for.

    Returns
    -------
    OrthogonalOperator, shape (n, n)
        Its adjoint and powers are of the same form. Torch results are differentiable in U and V.

    Raises
    ------
    TypeError
        For complex arguments.
    ValueError
        For shapes that do not fit or are empty, and values that are not finite.

    References
    ----------
    Wen, Yin, Math. Program. 142 (2013) 397-434.

    Examples
    --------
    It is the transform of the matrix.

    >>> import numpy as np
    >>> U, V = np.random.default_rng(0).standard_normal((2, 6, 1))
    >>> np.allclose(cayley_low_rank(U, V).to_dense(), cayley(U @ V.T - V @ U.T))
    True
    """
    frame, U, V = as_arrays(U=U, V=V)
    for name, array in (("U", U), ("V", V)):
        check_real(name, array, frame)
        if array.ndim != 2 or 0 in array.shape:
            raise ValueError(
                f"{name} must have shape (n, r) with n, r > 0, got {tuple(array.shape)}"
            )
    check_shape("V", V, *U.shape)
    xp, transpose = frame.xp, frame.xp.matrix_transpose
    left = xp.concat((U, -V), axis=1)
    right = xp.concat((transpose(V), transpose(U)))
    inner = 0.5 * frame.double(right) @ frame.double(left)
    eye = xp.eye(inner.shape[0], dtype=inner.dtype, device=frame.device)
    return IdentityPlusLowRank(left, frame.cast(xp.linalg.inv(eye - inner)), right)


def _check_skew(frame: Frame, W: Array) -> None:
    values = W.detach() if frame.is_torch else W
    if not frame.runs_on_host(values):
        return
    host = np.asarray(values)
    if host.size == 0:
        return
    defect = np.max(np.abs(host + np.swapaxes(host, -1, -2)))
    if not defect <= float(np.sqrt(np.finfo(host.dtype).eps)) * np.max(np.abs(host)):
        raise ValueError(f"W must be skew-symmetric, got max |W + W^T| = {defect:.1e}")

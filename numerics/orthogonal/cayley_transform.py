r"""The Cayley transform, which takes skew-symmetric matrices to rotations without eigenvalue -1.

.. math:: Q = \left(I - \tfrac12 W\right)^{-1} \left(I + \tfrac12 W\right)

agrees with :math:`e^W` to second order. It is a rational function of W, so that one solution of a
linear system gives it exactly orthogonal up to rounding.
"""

from __future__ import annotations

import numpy as np

from numerics.arrays import Array, Frame, as_arrays, check_real, check_shape


def cayley(W: Array) -> Array:
    r"""Cayley transform :math:`(I - W/2)^{-1} (I + W/2)` of a skew-symmetric matrix.

    Computed as :math:`2 (I - W/2)^{-1} - I` in double precision, in :math:`O(n^3)`.
    :math:`I - W/2` is never singular, and the transform of tW agrees with :math:`e^{tW}` up to
    :math:`t^3 W^3 / 12`.

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

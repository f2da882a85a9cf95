r"""Functions of matrices.

The exponential is computed by scaling and squaring of the diagonal Pade approximant of degree 13,

.. math:: e^{A} \approx \bigl(r_{13}(A / 2^s)\bigr)^{2^s},
          \qquad \lVert A \rVert_1 / 2^s \le \theta_{13} = 5.37,

for which the backward error is below the unit roundoff of double precision (Higham 2005,
doi:10.1137/04061101X). No special case is made of triangular matrices: the one in
``scipy.linalg.expm`` 1.17.1 returns wrong digits when diagonal entries differ by rounding only.
"""

from __future__ import annotations

import math

from numerics.arrays import Array, Frame, as_arrays, check_shape

_THETA_13 = 5.371920351148152
_PADE_13 = [math.comb(13, k) / math.perm(26, k) for k in range(14)]


def expm(A: Array) -> Array:
    r"""Exponential of square matrices, :math:`e^{A} = \sum_k A^k / k!`.

    Parameters
    ----------
    A : array, shape (..., N, N)
        Real or complex matrices; NumPy or torch.

    Returns
    -------
    array, shape (..., N, N)
        :math:`e^{A}`, in the kind and precision of ``A``. Single-precision input is computed in
        double precision and rounded once. Torch results are differentiable.

    Raises
    ------
    ValueError
        If ``A`` is not square in its last two axes, or not finite.

    Examples
    --------
    A rotation by a quarter turn is the exponential of its generator.

    >>> import numpy as np
    >>> quarter_turn = expm(np.pi / 2 * np.array([[0.0, -1.0], [1.0, 0.0]]))
    >>> np.allclose(quarter_turn, [[0, -1], [1, 0]], atol=1e-15)
    True
    """
    frame, A = as_arrays(A=A)
    check_shape("A", A, "N", "N")
    return frame.cast(expm_double(frame, frame.double(A)))


def expm_double(frame: Frame, A: Array) -> Array:
    """Exponential of trusted double-precision matrices."""
    xp = frame.xp
    if frame.is_torch:
        return xp.linalg.matrix_exp(A)
    if A.size == 0:
        return A
    norm = float(xp.max(xp.sum(xp.abs(A), axis=-2)))
    squarings = max(0, math.ceil(math.log2(norm / _THETA_13))) if norm > _THETA_13 else 0
    A = A / 2.0**squarings
    b = _PADE_13
    identity = xp.eye(A.shape[-1], dtype=A.dtype, device=frame.device)
    A2 = A @ A
    A4 = A2 @ A2
    A6 = A4 @ A2
    odd = A @ (
        A6 @ (b[13] * A6 + b[11] * A4 + b[9] * A2)
        + b[7] * A6
        + b[5] * A4
        + b[3] * A2
        + b[1] * identity
    )
    even = (
        A6 @ (b[12] * A6 + b[10] * A4 + b[8] * A2)
        + b[6] * A6
        + b[4] * A4
        + b[2] * A2
        + b[0] * identity
    )
    result = xp.linalg.solve(even - odd, even + odd)
    for _ in range(squarings):
        result = result @ result
    return result

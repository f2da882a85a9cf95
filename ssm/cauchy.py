r"""Products with Cauchy matrices, whose entries are :math:`1/(z_l - w_n)`.

They are what the transfer function of a diagonal system is made of,
:math:`C (zI - \Lambda)^{-1} B = \sum_n C_n B_n / (z - \lambda_n)`, and with a low-rank correction
the kernels of S4 (arXiv 2111.00396). No matrix is formed.
"""

from __future__ import annotations

import math

from numerics.arrays import Array, as_arrays, broadcast_batch, check_shape
from ssm._cauchy_sums import cauchy_sums


def cauchy_matvec(v: Array, z: Array, w: Array) -> Array:
    r"""Cauchy matrix times a vector, one sum over the nodes for each point.

    .. math:: y_l = \sum_n \frac{v_n}{z_l - w_n}

    Memory is that of the arguments and of the result; gradients in torch, of any order, are
    Cauchy products again. Differences are taken in double precision whatever that of the input.

    Parameters
    ----------
    v : array, shape (..., N)
        Weights.
    z : array, shape (..., L)
        Points.
    w : array, shape (..., N)
        Nodes. Batch axes of all three broadcast.

    Returns
    -------
    array, shape (..., L)
        Complex when one of the arguments is, else real. Where the differences are far from 1 by
        more than 150 powers of ten their squares leave the range of double precision.

    Raises
    ------
    TypeError
        For arrays that hold no numbers or mix libraries.
    ValueError
        For shapes that do not fit, values that are not finite, and a point that meets a node.

    References
    ----------
    Gu, Goel, Re, arXiv 2111.00396 (S4, where kernels are reduced to Cauchy products).

    Examples
    --------
    The logarithmic derivative of a polynomial is the sum over its roots: for the N-th roots of
    unity it is :math:`N z^{N-1}/(z^N - 1)`.

    >>> import numpy as np
    >>> roots, z = np.exp(2j * np.pi * np.arange(6) / 6), np.array([2.0, 0.5j, -3.0])
    >>> np.allclose(cauchy_matvec(np.ones(6), z, roots), 6 * z**5 / (z**6 - 1), rtol=1e-14)
    True
    """
    frame, v, z, w = as_arrays(v=v, z=z, w=w)
    xp = frame.xp
    check_shape("w", w, "N")
    N = w.shape[-1]
    check_shape("v", v, N)
    check_shape("z", z, "L")
    L = z.shape[-1]
    batch = broadcast_batch(**{n: tuple(x.shape[:-1]) for n, x in (("v", v), ("z", z), ("w", w))})
    is_real = not any(frame.is_complex(array) for array in (v, z, w))
    v, z, w = (
        xp.reshape(xp.broadcast_to(array, (*batch, size)), (math.prod(batch), size))
        for array, size in ((v, N), (z, L), (w, N))
    )
    v, z, w = (xp.astype(array, xp.complex128) for array in (v, z, w))
    kappa = xp.ones((L,), dtype=xp.float64, device=frame.device)
    y = cauchy_sums(frame, v[:, None, :], w, z, kappa)[:, 0, :]
    y = xp.reshape(xp.real(y) if is_real else y, (*batch, L))
    if frame.has_values(y) and not frame.all_finite(y):
        raise ValueError("z must not meet a node: at a z equal to a w the quotient is not finite")
    return y

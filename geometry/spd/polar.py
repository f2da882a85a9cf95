r"""Unitary polar factor :math:`W = Q H`, :math:`Q^H Q = I`, H positive semidefinite.

Of all unitary matrices it is the nearest to W. With the singular value decomposition
:math:`W = Y \operatorname{diag}(s) Z^H` it is :math:`Q = Y Z^H`, and in the basis Z its derivative
divides by the sums :math:`s_i + s_j`: repeated singular values do no harm, only two zeros do.
"""

from __future__ import annotations

from numerics.arrays import Array, Frame


def polar_factor(frame: Frame, W: Array) -> Array:
    """Unitary polar factor of trusted square matrices; differentiable in torch, to any order."""
    if frame.is_torch:
        from geometry.spd._torch import PolarFactor

        return PolarFactor.apply(W, *frame.xp.linalg.svd(W.detach()))
    Y, _, Zh = frame.xp.linalg.svd(W)
    return Y @ Zh

r"""Parallel transport along Bures-Wasserstein geodesics.

Along the geodesic :math:`\Sigma(t) = (L + t D)(L + t D)^H` of aligned square roots, the vector
:math:`V(t) = X \Sigma + \Sigma X` is parallel when

.. math:: X' = -\mathcal L_\Sigma[X N + N^H X], \qquad N(t) = D L^H + t D D^H,

with the solution :math:`Y = \mathcal L_\Sigma[W]` of :math:`\Sigma Y + Y \Sigma = W`. When the ends
A and B commute, entries in their common eigenbasis are multiplied by
:math:`\sqrt{(b_i + b_j) / (a_i + a_j)}`; otherwise there is no closed form. The equation is linear,
its coefficients are known in advance, and its flow is an isometry, so that the errors of steps add
up and never grow. The steps are those of the explicit Runge-Kutta method of order 8 by Dormand and
Prince, with errors a unit of time below the tolerance times the norm of the vector.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import numpy as np
from scipy.integrate import DOP853

from geometry.spd._linear_algebra import (
    adjoint,
    diagonal,
    diagonal_matrix,
    gram,
    hermitian_part,
    real_inner,
    square_root,
)
from geometry.spd.lyapunov_equation import lyapunov_solution
from numerics import ConvergenceWarning
from numerics.arrays import Array, Frame

_SAFETY = 0.9
_SLOWEST, _FASTEST = 0.1, 5.0  # factors by which a step may change
_FIRST = 0.125  # step
_ROUNDING = 2e-18  # relative error that rounding makes of a step, for each unit of condition

Slope = Callable[[float, Array], Array]


def transport_along_geodesic(frame: Frame, L: Array, D: Array, V: Array, rtol: float) -> Array:
    """Move V from L L^H to (L + D)(L + D)^H.

    All matrices of a batch take the same steps, those that the hardest one needs.
    """
    G, DD = D @ adjoint(frame, L), gram(frame, D)

    def solution(t: float, W: Array) -> Array:
        root = L + t * D
        U, s, _ = frame.xp.linalg.svd(root.detach() if frame.is_torch else root)
        return lyapunov_solution(frame, gram(frame, root), W, eigen_of_P=(s * s, U))

    def slope(t: float, X: Array) -> Array:
        return -solution(t, 2 * hermitian_part(frame, X @ (G + t * DD)))

    def size(t: float, X: Array) -> Array:
        return square_root(frame, real_inner(frame, X @ (L + t * D), X @ (L + t * D)))

    X = solution(0.0, V) + 0.0 * D
    norm, first = size(0.0, X), slope(0.0, X)
    rounding = _rounding(frame, L, L + D)
    t, step, missed = 0.0, _FIRST, 0.0
    while t < 1.0:
        end = t + step if t + 1.05 * step < 1.0 else 1.0
        step = end - t
        moved, last, fine, coarse = _step(slope, t, step, X, first)
        error = _largest_error(frame, size(end, fine), size(end, coarse), norm)
        tolerance = rtol + rounding / step
        factor = _SAFETY * (tolerance / max(error, 1e-9 * tolerance)) ** (1 / 7)
        if error <= tolerance:
            t, X, first = end, moved, last
            missed += max(0.0, error - rtol) * step
        step *= min(_FASTEST, max(_SLOWEST, factor))
    if missed > rtol:
        warnings.warn(
            f"rtol={rtol:.1e} of the parallel transport is beyond rounding for matrices of this "
            f"condition; the relative error is about {missed:.1e}",
            ConvergenceWarning,
            stacklevel=4,
        )
    return 2 * hermitian_part(frame, X @ gram(frame, L + D))


def transport_of_commuting(frame: Frame, P: Array, Q: Array, V: Array) -> Array | None:
    """Move V from P to Q when the two commute to rounding, otherwise return None."""
    xp = frame.xp
    P_size, Q_size = (xp.sum(diagonal(frame, A), axis=-1)[..., None, None] for A in (P, Q))
    # Eigenvalues of a sum with an irrational weight coincide only where those of both do.
    _, U = xp.linalg.eigh(P / P_size + math.sqrt(0.5) * (Q / Q_size))
    rotated = [adjoint(frame, U) @ A @ U for A in (P, Q)]
    p, q = (diagonal(frame, A) for A in rotated)
    rounding = 16 * P.shape[-1] * float(np.finfo(np.float64).eps)
    for A, a, size in zip(rotated, (p, q), (P_size, Q_size), strict=True):
        if not bool(xp.all(xp.abs(A - diagonal_matrix(frame, a)) <= rounding * size)):
            return None
    factor = xp.sqrt((q[..., :, None] + q[..., None, :]) / (p[..., :, None] + p[..., None, :]))
    inner = factor * (adjoint(frame, U) @ V @ U)
    return hermitian_part(frame, U @ inner @ adjoint(frame, U))


def _rounding(frame: Frame, *roots: Array) -> float:
    """Relative error that rounding makes of one step, by the condition number."""
    xp = frame.xp
    worst = 0.0
    for root in roots:
        s = xp.linalg.svdvals(root.detach() if frame.is_torch else root)
        if 0 not in s.shape:
            worst = max(worst, float(xp.max(s[..., 0] / s[..., -1])))
    return _ROUNDING * worst**2


def _step(
    slope: Slope, t: float, step: float, X: Array, first: Array
) -> tuple[Array, Array, Array, Array]:
    """One step: its end, the slope there, and errors a unit of time of orders 5 and 3."""
    slopes = [first]
    for row, c in zip(DOP853.A[1:], DOP853.C[1:], strict=True):
        slopes.append(slope(t + c * step, X + step * _combined(row, slopes)))
    moved = X + step * _combined(DOP853.B, slopes)
    slopes.append(slope(t + step, moved))
    return moved, slopes[-1], _combined(DOP853.E5, slopes), _combined(DOP853.E3, slopes)


def _combined(weights: np.ndarray, slopes: list[Array]) -> Array:
    return sum(
        float(weight) * slope for weight, slope in zip(weights, slopes, strict=False) if weight
    )


def _largest_error(frame: Frame, fine: Array, coarse: Array, norm: Array) -> float:
    """Largest relative error a unit of time, by the estimate of the method's authors."""
    xp = frame.xp
    if 0 in fine.shape:
        return 0.0
    if frame.is_torch:
        fine, coarse, norm = fine.detach(), coarse.detach(), norm.detach()
    total = xp.sqrt(fine**2 + 0.01 * coarse**2)
    error = fine**2 / xp.where(total > 0, total, 1.0)
    return float(xp.max(error / xp.where(norm > 0, norm, 1.0)))

r"""What becomes of tangent vectors whose Bures-Wasserstein geodesics leave the manifold.

:math:`\operatorname{Exp}_I V = (I + V/2)^2` is one to one while :math:`I + V/2` is positive
definite. Beyond, it folds: its logarithm is :math:`2(|I + V/2| - I)`. Normalisation takes the
exponential, the logarithm, a scaling by c and both once more, so that eigenvalues v of V become

.. math:: 2 \left( \left| 1 + c \, (|1 + v/2| - 1) \right| - 1 \right),

which is c v where nothing folds: while :math:`I + \max(1, c) V/2` is positive definite. A Cholesky
factorisation tells, and only the others are decomposed.
"""

from __future__ import annotations

import math

import numpy as np

from geometry.spd._linear_algebra import adjoint, broadcast_together, real_inner
from geometry.spd.bures_wasserstein import _MARGIN
from geometry.spd.spectral import compose, eigen
from numerics.arrays import Array, Frame


def scaled_at_identity(frame: Frame, V: Array, c: Array, domain: str) -> tuple[Array, Array]:
    """Tangent vectors at I times c (...), or what ``domain`` says where they leave the manifold.

    Returns the vectors and which of them, shape (...), left it.
    """
    xp = frame.xp
    beyond = leaves(frame, (xp.clip(c, min=1) / 2)[..., None, None] * V, domain)
    scaled = c[..., None, None] * V
    if not frame.has_values(V):
        return xp.where(beyond[..., None, None], _beyond(frame, V, c, domain), scaled), beyond
    if not bool(xp.any(beyond)):
        return scaled, beyond
    if domain == "raise":
        raise ValueError(_outside(beyond))
    _, c = broadcast_together(frame, (V,), (), (c,))
    result = scaled if frame.is_numpy else scaled.clone()
    result[beyond] = _beyond(frame, V[beyond], c[beyond], domain)
    return result, beyond


def kept_within(frame: Frame, X: Array, domain: str) -> tuple[Array, Array]:
    """Shorten X where I + X is not positive definite, if ``domain`` says so; and which are."""
    xp = frame.xp
    beyond = leaves(frame, X, domain)
    look = frame.has_values(X)
    if domain == "fold" or (look and not bool(xp.any(beyond))):
        return X, beyond
    if domain == "raise":
        if look:
            raise ValueError(_outside(beyond))
        return X, beyond
    factor = xp.where(beyond, _shortening(frame, X), xp.ones_like(X[..., 0, 0]))
    return factor[..., None, None] * X, beyond


def leaves(frame: Frame, X: Array, domain: str) -> Array:
    """Which of I + X, shape (...), are not positive definite, to the margin of "clip"."""
    xp = frame.xp
    room = 1 - _MARGIN if domain == "clip" else 1.0
    X = X.detach() if frame.is_torch else X
    shifted = X + room * xp.eye(X.shape[-1], dtype=X.dtype, device=frame.device)
    if frame.is_torch:
        return xp.linalg.cholesky_ex(shifted).info != 0
    try:
        np.linalg.cholesky(shifted)
        return np.zeros(X.shape[:-2], bool)
    except np.linalg.LinAlgError:
        return np.linalg.eigvalsh(shifted)[..., 0] <= 0


def folded_values(frame: Frame, v: Array, c: Array) -> tuple[Array, Array, Array, Array]:
    """Images of the eigenvalues, their derivatives in v and in c, and on which piece they lie."""
    xp = frame.xp
    c = c[..., None]
    first = 1 + v / 2
    second = 1 + c * (xp.abs(first) - 1)
    one = xp.ones_like(first)
    sign_1, sign_2 = (xp.where(x >= 0, one, -one) for x in (first, second))
    values, rates = 2 * (xp.abs(second) - 1), 2 * sign_2 * (xp.abs(first) - 1)
    return values, c * sign_1 * sign_2, rates, 2 * sign_1 + sign_2


def folded_differences(frame: Frame, v: Array, c: Array) -> Array:
    """Divided differences (..., n, n): slopes on one piece, quotients across a bend."""
    xp = frame.xp
    values, slopes, _, pieces = folded_values(frame, v, c)
    alike = pieces[..., :, None] == pieces[..., None, :]
    gap = v[..., :, None] - v[..., None, :]
    quotient = values[..., :, None] - values[..., None, :]
    quotient = quotient / xp.where(alike, xp.ones_like(gap), gap)
    return xp.where(alike, slopes[..., :, None], quotient)


def _beyond(frame: Frame, V: Array, c: Array, domain: str) -> Array:
    if domain == "fold":
        v, U = eigen(frame, V)
        c = broadcast_together(frame, (V,), (), (c,))[1]
        if frame.is_torch:
            from geometry.spd._torch_batch_normalization import Folding

            return Folding.apply(V, c, v, U)
        return compose(frame, U, folded_values(frame, v, c)[0])
    reach = frame.xp.clip(c, min=1) / 2
    return (c * _shortening(frame, reach[..., None, None] * V))[..., None, None] * V


def _shortening(frame: Frame, X: Array) -> Array:
    """Factor that leaves the margin to the smallest eigenvalue of I + X."""
    u = eigen(frame, X)[1][..., :, :1]
    # The eigenvalue as a Rayleigh quotient, for the sake of its gradient.
    smallest = real_inner(frame, X, u @ adjoint(frame, u))
    beyond = smallest < _MARGIN - 1
    return frame.xp.where(beyond, (_MARGIN - 1) / frame.xp.where(beyond, smallest, -1.0), 1.0)


def _outside(beyond: Array) -> str:
    host = np.asarray(beyond.cpu() if hasattr(beyond, "cpu") else beyond)
    index = ", ".join(str(int(i)) for i in np.argwhere(host)[0]) if host.ndim else ""
    where = f"X[{index}]" if math.prod(host.shape) > 1 else "X"
    return (
        f"{where} leaves the manifold on its way ({int(host.sum())} of {host.size} do); "
        "domain='clip' or 'fold' accept it"
    )

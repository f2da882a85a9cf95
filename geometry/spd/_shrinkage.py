r"""Shrinkage of sample covariances towards a multiple of the identity, over stacks of them.

.. math:: (1 - \rho) S + \rho \, \frac{\operatorname{tr} S}{n} I, \qquad
          S = \frac1T \sum_t y_t y_t^T .

Powers are taken in units of the mean variance: squares of squares of signals in volts would
underflow in single precision.
"""

from __future__ import annotations

from numerics.arrays import Array, Frame


def shrunk(frame: Frame, S: Array, rho: Array) -> Array:
    """Covariances (..., n, n) that are shrunk by ``rho`` (...)."""
    size = S.shape[-1]
    mean = frame.xp.sum(frame.xp.linalg.diagonal(S), axis=-1) / size
    identity = frame.xp.eye(size, dtype=S.dtype, device=frame.device)
    rho, mean = rho[..., None, None], mean[..., None, None]
    return (1 - rho) * S + (rho * mean) * identity


def ledoit_wolf_shrinkage(frame: Frame, S: Array, y: Array) -> Array:
    r"""Shrinkage of Ledoit and Wolf (2004) for centred samples ``y`` (..., n, T).

    An estimate of :math:`\operatorname{E} \lVert S - \Sigma \rVert_F^2`, of the single
    :math:`\lVert y_t y_t^T - S \rVert_F^2`, over the squared distance of S from its multiple of
    the identity.
    """
    xp, samples = frame.xp, y.shape[-1]
    S, mean = _in_units_of_mean(frame, S)
    powers = xp.sum(y * y, axis=-2) / mean[..., None]
    fourth = xp.sum(powers**2, axis=-1) / samples
    error = (fourth - xp.sum(S * S, axis=(-2, -1))) / samples
    return _fraction(frame, error, _spread(frame, S))


def oracle_shrinkage(frame: Frame, S: Array, y: Array) -> Array:
    """Oracle approximating shrinkage of Chen, Wiesel, Eldar and Hero (2010), as in scikit-learn."""
    xp, size, samples = frame.xp, S.shape[-1], y.shape[-1]
    S, _ = _in_units_of_mean(frame, S)
    squared = xp.sum(S * S, axis=(-2, -1))
    return _fraction(frame, squared + size**2, (samples + 1) * _spread(frame, S))


def _in_units_of_mean(frame: Frame, S: Array) -> tuple[Array, Array]:
    mean = frame.xp.sum(frame.xp.linalg.diagonal(S), axis=-1) / S.shape[-1]
    mean = frame.xp.where(mean > 0, mean, frame.xp.ones_like(mean))
    return S / mean[..., None, None], mean


def _spread(frame: Frame, S: Array) -> Array:
    identity = frame.xp.eye(S.shape[-1], dtype=S.dtype, device=frame.device)
    return frame.xp.sum((S - identity) ** 2, axis=(-2, -1))


def _fraction(frame: Frame, part: Array, whole: Array) -> Array:
    """``part / whole`` but at most 1, and 1 where the whole is 0."""
    inside = (whole > 0) & (part < whole)
    one = frame.xp.ones_like(whole)
    return frame.xp.where(inside, part / frame.xp.where(inside, whole, one), one)

"""Scalar signals as rows on the host, for what counts and searches."""

from __future__ import annotations

import math

import numpy as np

from numerics.arrays import Array, Frame, check_real, check_shape


def host_signals(
    frame: Frame, x: Array, *, shortest: int, why: str
) -> tuple[np.ndarray, tuple[int, ...]]:
    """Real signals as contiguous rows in double precision, and their batch axes."""
    check_real("x", x, frame)
    check_shape("x", x, "T")
    if x.shape[-1] < shortest:
        raise ValueError(
            f"x must have at least {shortest} samples for {why} lags so long, got {x.shape[-1]}"
        )
    batch = tuple(x.shape[:-1])
    if 0 in batch:
        raise ValueError(f"x must hold at least one signal, got shape {tuple(x.shape)}")
    rows = np.reshape(on_host(x), (math.prod(batch), x.shape[-1]))
    return np.ascontiguousarray(rows, dtype=np.float64), batch


def on_host(x: Array) -> np.ndarray:
    return np.asarray(x if isinstance(x, np.ndarray) else x.detach().cpu())

r"""Functions that callers give, with their values checked."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from numerics.arrays import Array, as_arrays, check_real


def checked_function(name: str, function: Callable[..., Array]) -> Callable[..., np.ndarray]:
    """A function of coordinates whose values are float64, finite, real and of their shape."""

    def values(*coordinates: np.ndarray) -> np.ndarray:
        try:
            given = function(*coordinates)
        except Exception as error:
            raise ValueError(
                f"{name} must take {len(coordinates)} array(s) of coordinates of shape "
                f"{np.shape(coordinates[0])}; it raised {type(error).__name__}: {error}"
            ) from error
        frame, array = as_arrays(finite=True, **{name: given})
        check_real(name, array, frame)
        host = np.asarray(array.detach().cpu() if frame.is_torch else array, dtype=np.float64)
        shape = np.shape(coordinates[0])
        if host.shape not in ((), shape):
            raise ValueError(f"{name} must give values of shape {shape}, got {host.shape}")
        return np.broadcast_to(host, shape).copy()

    return values

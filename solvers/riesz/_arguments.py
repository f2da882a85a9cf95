"""What the solvers' arguments have in common beyond the front door of the arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from numerics.arrays import Array, Frame, as_float, check_real


def as_interval(name: str, value: Any) -> tuple[float, float]:
    """Read the ends of an interval, in order."""
    lower, upper = as_pair(name, value)
    lower, upper = as_float(name, lower), as_float(name, upper)
    if not lower < upper:
        raise ValueError(f"{name} must be increasing, got ({lower}, {upper})")
    return lower, upper


def as_pair(name: str, value: Any) -> tuple[Any, Any]:
    """Read two things, one a direction or an end."""
    try:
        first, second = value
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a pair, got {value!r}") from None
    return first, second


def check_number(name: str, value: Array, frame: Frame) -> None:
    """Refuse complex values and arrays with axes."""
    check_real(name, value, frame)
    if value.ndim:
        raise ValueError(f"{name} must be a number, got shape {tuple(value.shape)}")


def host_values(frame: Frame, array: Array) -> np.ndarray:
    """The values in NumPy, double precision, outside the graph of derivatives."""
    return np.asarray(array if frame.is_numpy else array.detach().cpu(), dtype=np.float64)

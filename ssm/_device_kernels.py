"""Whether kernels written in Triton run on given tensors."""

from __future__ import annotations

import importlib.util
from functools import cache
from typing import Any

from numerics.arrays import Array, Frame

_OLDEST = (7, 0)


def triton_runs(frame: Frame, *arrays: Array) -> bool:
    """Whether Triton kernels may take ``arrays``: CUDA tensors that no gradient is recorded of.

    Tensors inside ``torch.compile`` or a ``torch.func`` transform have no memory to read.
    """
    if not frame.is_torch or frame.device.type != "cuda":
        return False
    import torch

    if torch.is_grad_enabled() and any(array.requires_grad for array in arrays):
        return False
    return all(frame.has_values(array) for array in arrays) and _has_triton(frame.device)


@cache
def _has_triton(device: Any) -> bool:
    """Whether Triton is there, and compiles for this device."""
    import torch

    found = importlib.util.find_spec("triton") is not None
    return found and torch.cuda.get_device_capability(device) >= _OLDEST

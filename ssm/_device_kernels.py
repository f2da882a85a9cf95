"""Whether kernels written in Triton run on given tensors."""

from __future__ import annotations

import importlib.util
from functools import cache
from typing import Any

from numerics.arrays import Array, Frame

_OLDEST = (7, 0)


def triton_runs(frame: Frame, *arrays: Array) -> bool:
    """Whether Triton kernels may take ``arrays``: CUDA tensors, where Triton is there.

    Tensors inside ``torch.compile`` or a ``torch.func`` transform have no memory to read. What a
    kernel does is not recorded: it belongs into operations whose gradients are written down.
    """
    if not frame.is_torch or frame.device.type != "cuda":
        return False
    return all(frame.has_values(array) for array in arrays) and _has_triton(frame.device)


@cache
def _has_triton(device: Any) -> bool:
    """Whether Triton is there, and compiles for this device."""
    import torch

    found = importlib.util.find_spec("triton") is not None
    return found and torch.cuda.get_device_capability(device) >= _OLDEST

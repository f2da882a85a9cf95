"""Peak memory of one call, seen from two sides.

`traced` counts what NumPy and Python ask for and is exact; `resident` is the growth of the process
in physical memory, which also sees what numba, torch and BLAS take (Linux only).
"""

from __future__ import annotations

import ctypes
import gc
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class PeakMemory:
    """Peak extra bytes during a call, its result included; `resident` is None where unknown."""

    traced: int
    resident: int | None

    @property
    def largest(self) -> int:
        """The larger of the two."""
        return max(self.traced, self.resident or 0)


def peak_memory(call: Callable[[], Any]) -> PeakMemory:
    """Run `call` twice, once under each way of counting.

    Examples
    --------
    >>> import numpy as np
    >>> peak_memory(lambda: np.zeros(2**20)).traced >= 8 * 2**20
    True
    """
    gc.collect()
    resident = _resident_growth(call)
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        result = call()
        traced = tracemalloc.get_traced_memory()[1] - before
        del result
    finally:
        tracemalloc.stop()
    return PeakMemory(traced, resident)


def _resident_growth(call: Callable[[], Any]) -> int | None:
    _give_free_heap_back()
    try:
        # Writing 5 sets the high-water mark of the resident set back to its present size.
        _CLEAR_REFS.write_text("5", encoding="ascii")
        before = _status_bytes("VmHWM")
    except (OSError, ValueError):
        call()
        return None
    result = call()
    growth = _status_bytes("VmHWM") - before
    del result
    return max(0, growth)


def _give_free_heap_back() -> None:
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError, TypeError):
        return


def _status_bytes(key: str) -> int:
    for line in _STATUS.read_text(encoding="ascii").splitlines():
        if line.startswith(key + ":"):
            return 1024 * int(line.split()[1])
    raise ValueError(f"{_STATUS} holds no {key}")

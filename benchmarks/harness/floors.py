"""The floors that times are held against: copy bandwidth and matrix-product rate, measured here.

No computation that moves b bytes is faster than b / bandwidth, and none that is made of f
multiply-add operations (counted as two each) beats f / rate by much.
"""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.harness.timing import time_interleaved


@dataclass(frozen=True)
class Floors:
    """Measured rates: bytes a second (read and written) and floating-point operations a second."""

    copy: float
    gemm64: float
    gemm32: float

    def bytes_seconds(self, count: float) -> float:
        """Time to move `count` bytes, reads and writes together."""
        return count / self.copy

    def flops_seconds(self, count: float, dtype: Any = np.float64) -> float:
        """Time of `count` operations at the matrix-product rate of `dtype`'s precision."""
        single = np.dtype(dtype) in (np.dtype(np.float32), np.dtype(np.complex64))
        return count / (self.gemm32 if single else self.gemm64)


@functools.cache
def measure_floors(quick: bool) -> Floors:
    """Copy two large arrays and multiply two square matrices; once per process and form."""
    elements = (8 if quick else 16) * 2**20
    order = 1024 if quick else 2048
    rng = np.random.default_rng(0)
    source = np.ones(elements)
    target = np.empty_like(source)
    left = rng.standard_normal((order, order))
    right = rng.standard_normal((order, order))
    left32, right32 = left.astype(np.float32), right.astype(np.float32)
    timings = time_interleaved(
        {
            "copy": lambda: np.copyto(target, source),
            "gemm64": lambda: left @ right,
            "gemm32": lambda: left32 @ right32,
        },
        repeats=5 if quick else 9,
        clock=time.perf_counter,
    )
    flops = 2.0 * order**3
    return Floors(
        copy=2.0 * source.nbytes / timings["copy"].median,
        gemm64=flops / timings["gemm64"].median,
        gemm32=flops / timings["gemm32"].median,
    )

"""Memory and floors: what is counted, not how fast it goes."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.harness.floors import Floors
from benchmarks.harness.memory import peak_memory


def test_peak_memory_sees_an_array_that_is_gone_at_the_end():
    mebibyte = 2**20
    peak = peak_memory(lambda: float(np.ones(8 * mebibyte).sum()))
    # The array of 64 MiB is the whole of it; the rest of the call is less than one.
    assert 64 * mebibyte <= peak.traced < 65 * mebibyte
    if peak.resident is not None:
        assert 60 * mebibyte < peak.resident < 80 * mebibyte
    assert peak.largest >= 64 * mebibyte


def test_floors_turn_counts_into_seconds():
    floors = Floors(copy=10.0, gemm64=2.0, gemm32=4.0)
    assert floors.bytes_seconds(5.0) == 0.5
    assert floors.flops_seconds(8.0) == 4.0
    assert floors.flops_seconds(8.0, np.complex128) == 4.0
    assert floors.flops_seconds(8.0, np.float32) == 2.0


@pytest.mark.parametrize("dtype", [np.float32, np.complex64])
def test_single_precision_has_its_own_rate(dtype):
    assert Floors(1.0, 2.0, 4.0).flops_seconds(4.0, dtype) == 1.0

"""The machinery of the benchmarks: registry, timing, records, and the ways to show them."""

from __future__ import annotations

from benchmarks.harness.context import Context, Skipped
from benchmarks.harness.memory import PeakMemory, peak_memory
from benchmarks.harness.record import Check, Column, Figure, Published, Record, Table
from benchmarks.harness.registry import benchmark
from benchmarks.harness.timing import Timing, time_interleaved

__all__ = [
    "Check",
    "Column",
    "Context",
    "Figure",
    "PeakMemory",
    "Published",
    "Record",
    "Skipped",
    "Table",
    "Timing",
    "benchmark",
    "peak_memory",
    "time_interleaved",
]

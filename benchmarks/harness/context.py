"""What a benchmark is given to work with."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from benchmarks.harness.environment import describe_environment
from benchmarks.harness.floors import Floors, measure_floors
from benchmarks.harness.memory import PeakMemory, peak_memory
from benchmarks.harness.record import Check, Figure, Record, Table
from benchmarks.harness.registry import Benchmark
from benchmarks.harness.timing import Timing, time_interleaved

SEED = 0


class Skipped(Exception):
    """Raised by a benchmark that cannot run here; the message says why."""


class Context:
    """The quick flag, a seeded generator, timing, floors and progress for one benchmark.

    Parameters
    ----------
    entry : Benchmark
        The benchmark that runs.
    quick : bool
        Whether to run the short form.
    data : Path, optional
        Folder with more data, for benchmarks that take them.
    progress : callable, optional
        Told in words what is being done.
    clock : callable
        Seconds as a float; the timings use it.

    Attributes
    ----------
    rng : numpy.random.Generator
        Seeded alike in every run.
    """

    def __init__(
        self,
        entry: Benchmark,
        *,
        quick: bool = False,
        data: Path | None = None,
        progress: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.entry = entry
        self.quick = quick
        self.data = data
        self.rng = np.random.default_rng(SEED)
        self.skipped: list[str] = []
        self._progress = progress
        self._clock = clock

    @property
    def floors(self) -> Floors:
        """Copy bandwidth and matrix-product rate, measured once in this process."""
        self.tell("measuring the floors")
        return measure_floors(self.quick)

    def tell(self, text: str) -> None:
        """Say on the progress bar what is being done now."""
        if self._progress is not None:
            self._progress(text)

    def time_interleaved(
        self,
        callables: Mapping[str, Callable[[], Any]],
        *,
        repeats: int | Mapping[str, int] = 7,
        warmup: int | Mapping[str, int] = 1,
        baseline: str | None = None,
    ) -> dict[str, Timing]:
        """`benchmarks.harness.timing.time_interleaved` with this context's clock and progress."""
        return time_interleaved(
            callables,
            repeats=repeats,
            warmup=warmup,
            baseline=baseline,
            clock=self._clock,
            progress=self._progress,
        )

    def peak_memory(self, call: Callable[[], Any]) -> PeakMemory:
        """Peak extra memory of one call, see `benchmarks.harness.memory.peak_memory`."""
        self.tell("measuring memory")
        return peak_memory(call)

    def optional(self, module: str) -> ModuleType | None:
        """The module, or None after noting in the record that what needs it is left out."""
        try:
            return importlib.import_module(module)
        except ImportError:
            note = f"{module.partition('.')[0]} is not installed: its rows are left out"
            if note not in self.skipped:
                self.skipped.append(note)
            return None

    def require(self, module: str) -> ModuleType:
        """The module; without it the benchmark is reported as skipped."""
        try:
            return importlib.import_module(module)
        except ImportError:
            name = module.partition(".")[0]
            raise Skipped(f"{name} is not installed") from None

    def record(
        self,
        *,
        asked: str,
        tables: Iterable[Table] = (),
        checks: Iterable[Check] = (),
        figures: Iterable[Figure] = (),
        skipped: Iterable[str] = (),
    ) -> Record:
        """The record of this run, with name, title and environment filled in."""
        return Record(
            name=self.entry.name,
            title=self.entry.title,
            paper=self.entry.paper,
            summary=self.entry.summary,
            asked=asked,
            quick=self.quick,
            tables=tuple(tables),
            checks=tuple(checks),
            figures=tuple(figures),
            skipped=(*self.skipped, *skipped),
            environment=describe_environment(),
        )

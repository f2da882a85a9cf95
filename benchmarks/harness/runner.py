"""Run a benchmark so that whatever happens in it becomes a record."""

from __future__ import annotations

import dataclasses
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from benchmarks.harness.context import Context, Skipped
from benchmarks.harness.environment import describe_environment
from benchmarks.harness.record import Record
from benchmarks.harness.registry import Benchmark


def run_benchmark(
    entry: Benchmark,
    *,
    quick: bool = False,
    data: Path | None = None,
    progress: Callable[[str], None] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Record:
    """Run one benchmark; an exception gives a record with status ``"failed"`` or ``"skipped"``."""
    context = Context(entry, quick=quick, data=data, progress=progress, clock=clock)
    began = clock()
    try:
        record = entry.run(context)
    except Skipped as reason:
        record = _without_result(context, "skipped", str(reason))
    except Exception as error:
        record = _without_result(context, "failed", _where(error))
    return dataclasses.replace(record, seconds=round(clock() - began, 3))


def _without_result(context: Context, status: str, message: str) -> Record:
    entry = context.entry
    return Record(
        name=entry.name,
        title=entry.title,
        paper=entry.paper,
        summary=entry.summary,
        status=status,
        message=message,
        quick=context.quick,
        skipped=tuple(context.skipped),
        environment=describe_environment(),
    )


def _where(error: Exception) -> str:
    """The error and the innermost line of a benchmark that led to it."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "benchmarks" in frame.filename] or frames
    message = f"{type(error).__name__}: {error}"
    if not ours:
        return message
    *_, frame = ours
    name = frame.filename.replace("\\", "/").rpartition("/")[2]
    return f"{message} ({name}, line {frame.lineno})"

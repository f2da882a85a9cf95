"""Interleaved timing: the callables take turns, so that a busy moment hits all of them alike."""

from __future__ import annotations

import dataclasses
import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Timing:
    """The repetitions of one callable; `ratio` is `over` the baseline, ``nan`` without one."""

    name: str
    seconds: tuple[float, ...]
    ratio: float = float("nan")

    @property
    def median(self) -> float:
        """Median time in seconds."""
        return statistics.median(self.seconds)

    @property
    def minimum(self) -> float:
        """Shortest time in seconds."""
        return min(self.seconds)

    @property
    def iqr(self) -> float:
        """Interquartile range in seconds, zero for fewer than two repetitions."""
        if len(self.seconds) < 2:
            return 0.0
        first, _, third = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return third - first

    @property
    def ms(self) -> float:
        """Median time in milliseconds."""
        return 1e3 * self.median

    def over(self, other: Timing) -> float:
        """Median over the rounds that both took part in of this time divided by `other`'s."""
        pairs = zip(self.seconds, other.seconds, strict=False)
        return statistics.median(ours / theirs for ours, theirs in pairs)


def time_interleaved(
    callables: Mapping[str, Callable[[], Any]],
    *,
    repeats: int | Mapping[str, int] = 7,
    warmup: int | Mapping[str, int] = 1,
    baseline: str | None = None,
    clock: Callable[[], float] = time.perf_counter,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Timing]:
    """Time several callables in turns.

    After `warmup` untimed calls each, every round calls each of them once; each round starts with
    the next one in line, so that none always runs behind the same neighbour. A callable that starts
    work on a graphics card must wait for it to end.

    Parameters
    ----------
    callables : mapping of str to callable
        What to time, by name; called without arguments.
    repeats, warmup : int or mapping of str to int
        Timed and untimed calls, for all or for each by name; a slow peer given fewer repetitions
        takes part in the first rounds only.
    baseline : str, optional
        Ratios are taken to this one, round by round.
    clock : callable
        Seconds as a float.
    progress : callable, optional
        Told in words how far the timing has come.

    Returns
    -------
    dict of str to Timing
        In the order of `callables`.

    Examples
    --------
    >>> ticks = iter([0.0, 1.0, 1.0, 3.0, 3.0, 5.0, 5.0, 6.0])
    >>> work = {"ours": lambda: None, "peer": lambda: None}
    >>> timings = time_interleaved(
    ...     work, repeats=2, warmup=0, baseline="peer", clock=lambda: next(ticks)
    ... )
    >>> timings["ours"].seconds, timings["peer"].seconds, timings["ours"].ratio
    ((1.0, 1.0), (2.0, 2.0), 0.5)
    """
    names = list(callables)
    if not names:
        raise ValueError("callables must hold at least one callable, got none")
    if baseline is not None and baseline not in callables:
        raise ValueError(f"baseline must be one of {names}, got {baseline!r}")
    counts = _per_name(repeats, names, "repeats", least=1)
    warm = _per_name(warmup, names, "warmup", least=0)
    for name in names:
        if progress is not None:
            progress(f"warming up {name}")
        for _ in range(warm[name]):
            callables[name]()

    rounds: list[dict[str, float]] = []
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for number in range(max(counts.values())):
            if progress is not None:
                progress(f"round {number + 1} of {max(counts.values())}")
            start = number % len(names)
            took = {}
            for name in names[start:] + names[:start]:
                if number < counts[name]:
                    began = clock()
                    callables[name]()
                    took[name] = clock() - began
            rounds.append(took)
    finally:
        if collecting:
            gc.enable()

    timings: dict[str, Timing] = {}
    for name in names:
        seconds = tuple(took[name] for took in rounds if name in took)
        timings[name] = Timing(name, seconds)
    if baseline is not None:
        peer = timings[baseline]
        timings = {n: dataclasses.replace(t, ratio=t.over(peer)) for n, t in timings.items()}
    return timings


def _per_name(
    value: int | Mapping[str, int], names: list[str], argument: str, *, least: int
) -> dict[str, int]:
    counts = {name: value if isinstance(value, int) else value[name] for name in names}
    for name, count in counts.items():
        if count < least:
            raise ValueError(f"{argument} must be at least {least}, got {count} for {name!r}")
    return counts

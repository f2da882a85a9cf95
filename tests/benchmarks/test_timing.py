"""Interleaved timing, held to a clock that the tests wind by hand."""

from __future__ import annotations

import math

import pytest

from benchmarks.harness.timing import Timing, time_interleaved


class Workshop:
    """Callables that take stated times on their own clock and note when they were called."""

    def __init__(self, **durations: list[float]) -> None:
        self.now = 0.0
        self.calls: list[str] = []
        self.callables = {name: self._worker(name, list(d)) for name, d in durations.items()}

    def _worker(self, name, durations):
        def work():
            self.calls.append(name)
            self.now += durations.pop(0)

        return work

    def clock(self) -> float:
        return self.now


def test_callables_take_turns_and_each_round_starts_with_the_next_one():
    shop = Workshop(a=[1.0] * 4, b=[2.0] * 4, c=[3.0] * 4)
    time_interleaved(shop.callables, repeats=3, warmup=1, clock=shop.clock)
    assert shop.calls == ["a", "b", "c", *"abc", *"bca", *"cab"]


def test_warmup_calls_are_not_timed():
    shop = Workshop(a=[100.0, 100.0, 1.0, 2.0, 3.0])
    timing = time_interleaved(shop.callables, repeats=3, warmup=2, clock=shop.clock)["a"]
    assert timing.seconds == (1.0, 2.0, 3.0)
    assert (timing.median, timing.minimum, timing.iqr) == (2.0, 1.0, 1.0)


def test_ratio_is_the_median_of_the_ratios_of_each_round():
    # The machine is ten times slower in the second round: no ratio of one round changes.
    shop = Workshop(ours=[1.0, 10.0, 1.0], peer=[4.0, 40.0, 2.0])
    timings = time_interleaved(
        shop.callables, repeats=3, warmup=0, baseline="peer", clock=shop.clock
    )
    assert timings["ours"].ratio == 0.25
    assert timings["peer"].ratio == 1.0


def test_a_slow_peer_takes_part_in_the_first_rounds_only():
    shop = Workshop(ours=[1.0] * 5, peer=[50.0])
    timings = time_interleaved(
        shop.callables,
        repeats={"ours": 5, "peer": 1},
        warmup=0,
        baseline="peer",
        clock=shop.clock,
    )
    assert shop.calls == ["ours", "peer", "ours", "ours", "ours", "ours"]
    assert timings["ours"].ratio == pytest.approx(0.02)


def test_any_two_compare_over_the_rounds_that_both_took_part_in():
    slow, quick = Timing("slow", (8.0, 20.0)), Timing("quick", (2.0, 4.0, 100.0))
    assert slow.over(quick) == 4.5


def test_no_baseline_gives_no_ratio_and_one_repetition_no_spread():
    shop = Workshop(a=[1.0])
    timing = time_interleaved(shop.callables, repeats=1, warmup=0, clock=shop.clock)["a"]
    assert math.isnan(timing.ratio)
    assert timing.iqr == 0.0


def test_progress_is_told_of_warmup_and_rounds():
    shop = Workshop(a=[1.0] * 3)
    heard: list[str] = []
    time_interleaved(shop.callables, repeats=2, clock=shop.clock, progress=heard.append)
    assert heard == ["warming up a", "round 1 of 2", "round 2 of 2"]


def test_milliseconds_are_a_thousand_times_the_median():
    assert Timing("a", (0.5, 1.5, 2.5)).ms == 1500.0


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"callables": {}}, "callables"),
        ({"baseline": "nobody"}, "baseline"),
        ({"repeats": 0}, "repeats"),
        ({"repeats": {"a": 0}}, "repeats"),
        ({"warmup": -1}, "warmup"),
    ],
)
def test_bad_arguments_are_named(arguments, word):
    shop = Workshop(a=[1.0] * 9)
    with pytest.raises(ValueError, match=word):
        time_interleaved(**({"callables": shop.callables, "clock": shop.clock} | arguments))

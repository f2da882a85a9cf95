"""Many small networks trained at a time, each in a process with one thread."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import Any

WORKERS = 2


def train_each(
    train: Callable[[Any], Any],
    jobs: Sequence[Any],
    describe: Callable[[Any], str],
    tell: Callable[[str], None],
) -> list[Any]:
    """What ``train`` gives for every job, in their order; both must be picklable."""
    workers = max(1, min(WORKERS, os.cpu_count() or 1, len(jobs)))
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_begin) as pool:
        running = {pool.submit(train, job): i for i, job in enumerate(jobs)}
        found: list[Any] = [None] * len(jobs)
        for done, future in enumerate(as_completed(running), 1):
            at = running[future]
            found[at] = future.result()
            tell(f"{done} of {len(jobs)}: {describe(jobs[at])}")
    return found


def _begin() -> None:
    import numba
    import torch

    torch.set_num_threads(1)
    numba.set_num_threads(1)

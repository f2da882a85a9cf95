"""How many threads compiled loops start, and that others' settings stay as they were."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_WORK_PER_THREAD = 2**17


@contextmanager
def threads(rows: int, work: int) -> Iterator[None]:
    """Start no more threads than there are rows, nor any for less than they cost.

    ``work`` counts the multiplications of one row. On a busy machine the end of a parallel loop
    waits for the slowest thread, milliseconds where the loop itself takes microseconds.
    """
    import numba

    with torch_threads_kept():
        before = numba.get_num_threads()
        numba.set_num_threads(max(1, min(before, rows, rows * work // _WORK_PER_THREAD)))
        try:
            yield
        finally:
            numba.set_num_threads(before)


@contextmanager
def torch_threads_kept() -> Iterator[None]:
    """Leave torch the number of threads that it has.

    numba sets it for the thread that calls, when it starts its own and in each parallel loop by
    OpenMP, and torch's loops share that setting.
    """
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch is not None else 0
    try:
        yield
    finally:
        if torch is not None and torch.get_num_threads() != before:
            torch.set_num_threads(before)

"""Sketches whose columns are made when they are needed, a few at a time, and multiplied out."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np

from numerics.arrays import Array, frame_like
from numerics.sketching.linear_sketch import Sketch

_BUFFER_ENTRIES = 1 << 20


class ColumnSketch(Sketch):
    """A sketch that can write out any of its columns; no more than 8 MiB of them at a time."""

    @abstractmethod
    def _columns(self, start: int, stop: int) -> np.ndarray:
        """S[:, start:stop].T in float64, contiguous."""

    def _steps(self, start: int, stop: int) -> list[tuple[int, int]]:
        step = max(16, _BUFFER_ENTRIES // self.m)
        return [(first, min(first + step, stop)) for first in range(start, stop, step)]

    def _accumulate(self, start: int, block: np.ndarray, out: np.ndarray, threads: int) -> None:
        for first, last in self._steps(start, start + block.shape[0]):
            columns = self._columns(first, last).astype(block.dtype, copy=False)
            out += columns.T @ block[first - start : last - start]

    def _adjoint_rows(self, start: int, stop: int, Y: np.ndarray) -> np.ndarray:
        result = np.empty((stop - start, Y.shape[1]), Y.dtype)
        for first, last in self._steps(start, stop):
            columns = self._columns(first, last).astype(Y.dtype, copy=False)
            np.matmul(columns, Y, out=result[first - start : last - start])
        return result

    def _device_rows(self, start: int, block: Array) -> Array:
        frame = frame_like(block)
        out = frame.xp.zeros((self.m, block.shape[1]), dtype=block.dtype, device=frame.device)
        for first, last in self._steps(start, start + block.shape[0]):
            columns = frame.cast(frame.asarray(self._columns(first, last)))
            out += columns.T @ block[first - start : last - start]
        return out

    def _device_adjoint_rows(self, start: int, stop: int, Y: Array) -> Array:
        frame = frame_like(Y)
        parts = [
            frame.cast(frame.asarray(self._columns(first, last))) @ Y
            for first, last in self._steps(start, stop)
        ]
        return frame.xp.concat(parts, axis=0)

    def _sparse_rows(self, start: int, block: Any) -> np.ndarray:
        out = np.zeros((self.m, block.shape[1]), block.dtype)
        for first, last in self._steps(start, start + block.shape[0]):
            columns = self._columns(first, last).astype(block.dtype, copy=False)
            out += (block[first - start : last - start].T @ columns).T
        return out

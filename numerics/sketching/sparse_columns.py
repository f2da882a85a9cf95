r"""Sketches with few entries a column: CountSketch and OSNAP.

Every row of A is added with a random sign to s rows of the sketch, at a cost proportional to the
entries of A. They embed subspaces and so serve to precondition, but they do not bound the error of
single coordinates: where a row that carries the solution meets a row of the residual, the error is
of the size of the residual however large m is, short of :math:`d^2`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import csr_array

from numerics.arrays import Array, as_generator, as_integer, frame_like
from numerics.sketching.linear_sketch import (
    Guarantee,
    Sketch,
    as_rows,
    as_signs,
    check_sizes,
    draw_signs,
)


def countsketch(n: int, m: int, *, rng: Any = None, rows: Any = None, signs: Any = None) -> Sketch:
    r"""Sketch that adds each row with a random sign to one random row.

    Parameters
    ----------
    n, m : int
        Rows of what is sketched and of the sketch.
    rng : Generator, int or None
        Where rows and signs are drawn from.
    rows, signs : array of int, shape (n,), optional
        Row of the sketch, below m, and sign for each row.

    Returns
    -------
    Sketch
        With ``rows`` and ``signs`` as attributes.

    Raises
    ------
    ValueError
        For n < 1, m < 1, and draws that do not fit.

    References
    ----------
    Clarkson, Woodruff, arXiv 1207.6365; arXiv 1705.10723 for the coordinatewise failure.

    Examples
    --------
    >>> import numpy as np
    >>> S = countsketch(3, 2, rows=[1, 0, 1], signs=[1, -1, -1])
    >>> S @ np.array([10.0, 20, 30])
    array([-20., -20.])
    """
    return CountSketch(n, m, rng, rows, signs)


def osnap(
    n: int, m: int, *, s: int = 4, rng: Any = None, rows: Any = None, signs: Any = None
) -> Sketch:
    r"""Sketch with s entries :math:`\pm 1/\sqrt s` in different rows of each column.

    Parameters
    ----------
    n, m : int
        Rows of what is sketched and of the sketch.
    s : int
        Entries a column, at most m.
    rng : Generator, int or None
        Where rows and signs are drawn from.
    rows, signs : array of int, shape (n, s), optional
        Rows of the sketch, below m and different in each column, and signs.

    Returns
    -------
    Sketch
        With ``rows``, ``signs`` and ``s`` as attributes.

    Raises
    ------
    ValueError
        For n < 1, m < 1, s outside 1 to m, and draws that do not fit.

    References
    ----------
    Nelson, Nguyen, arXiv 1211.1002.

    Examples
    --------
    Columns have unit length.

    >>> import numpy as np
    >>> S = osnap(50, 20, s=3, rng=0).to_dense()
    >>> np.allclose(np.sum(S**2, axis=0), 1), int(np.count_nonzero(S))
    (True, 150)
    """
    return OSNAP(n, m, s, rng, rows, signs)


class SparseColumns(Sketch):
    """s entries a column; ``rows`` and ``signs`` have shape (n,) or (n, s)."""

    is_dense = False
    rows: np.ndarray
    signs: np.ndarray
    _draw_names: tuple[str, ...] = ("rows", "signs")

    def _entries(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray, float]:
        rows = self.rows[start:stop].reshape(stop - start, -1)
        return rows, self.signs[start:stop].reshape(rows.shape), rows.shape[1] ** -0.5

    def _accumulate(self, start: int, block: np.ndarray, out: np.ndarray, threads: int) -> None:
        from numerics.sketching._numba_sketching import add_to_rows

        add_to_rows(block, *self._entries(start, start + block.shape[0]), out)

    def _adjoint_rows(self, start: int, stop: int, Y: np.ndarray) -> np.ndarray:
        from numerics.sketching._numba_sketching import take_from_rows

        result = np.empty((stop - start, Y.shape[1]), Y.dtype)
        take_from_rows(Y, *self._entries(start, stop), result)
        return result

    def _device_rows(self, start: int, block: Array) -> Array:
        frame = frame_like(block)
        rows, signs, scale = self._entries(start, start + block.shape[0])
        shape = (self.m, block.shape[1])
        out = frame.xp.zeros(shape, dtype=block.dtype, device=frame.device)
        for column in range(rows.shape[1]):
            index = frame.xp.asarray(rows[:, column].astype(np.int64), device=frame.device)
            factors = frame.cast(frame.asarray(scale * signs[:, column]))
            out.index_add_(0, index, factors[:, None] * block)
        return out

    def _device_adjoint_rows(self, start: int, stop: int, Y: Array) -> Array:
        frame = frame_like(Y)
        rows, signs, scale = self._entries(start, stop)
        out = frame.xp.zeros((stop - start, Y.shape[1]), dtype=Y.dtype, device=frame.device)
        for column in range(rows.shape[1]):
            index = frame.xp.asarray(rows[:, column].astype(np.int64), device=frame.device)
            out += frame.cast(frame.asarray(scale * signs[:, column]))[:, None] * Y[index]
        return out

    def _sparse_rows(self, start: int, block: Any) -> np.ndarray:
        rows, signs, scale = self._entries(start, start + block.shape[0])
        pointers = np.arange(rows.shape[0] + 1) * rows.shape[1]
        values = (scale * signs.ravel()).astype(block.dtype)
        transposed = csr_array((values, rows.ravel(), pointers), shape=(rows.shape[0], self.m))
        return (transposed.T @ block).toarray()


class CountSketch(SparseColumns):
    """See :func:`countsketch`."""

    kind = "countsketch"
    guarantee = Guarantee(
        "A subspace embedding with m = O(d^2 / epsilon^2) rows, but with a coherent A the "
        "coordinatewise bound fails with probability 1 - exp(-d^2/m).",
        "fails",
        "arXiv 1705.10723",
    )

    def __init__(self, n: int, m: int, rng: Any, rows: Any, signs: Any) -> None:
        super().__init__(*check_sizes(n, m))
        generator = as_generator(rng)
        if rows is None:
            rows = generator.integers(self.m, size=self.n)
        self.rows = as_rows("rows", rows, (self.n,), self.m)
        if signs is None:
            signs = draw_signs(generator, self.n)
        self.signs = as_signs("signs", signs, (self.n,))


class OSNAP(SparseColumns):
    """See :func:`osnap`."""

    kind = "osnap"
    guarantee = Guarantee(
        "A subspace embedding with m = O(d log(d/delta) / epsilon^2) rows and s = O(log(d/delta) / "
        "epsilon), but with a coherent A single coordinates are off by about 1/s of the residual.",
        "fails",
        "arXiv 1211.1002 for the embedding, arXiv 1705.10723 for the failure",
    )
    _draw_names = ("s", "rows", "signs")

    def __init__(self, n: int, m: int, s: int, rng: Any, rows: Any, signs: Any) -> None:
        super().__init__(*check_sizes(n, m))
        self.s = as_integer("s", s, minimum=1)
        if self.s > self.m:
            raise ValueError(f"s must be at most m = {self.m}, got {s}")
        generator = as_generator(rng)
        if rows is None:
            rows = _distinct_rows(generator, self.n, self.m, self.s)
        self.rows = as_rows("rows", rows, (self.n, self.s), self.m)
        if np.any(np.diff(np.sort(self.rows, axis=1), axis=1) == 0):
            raise ValueError("rows must be different in each column, got repeated ones")
        if signs is None:
            signs = draw_signs(generator, (self.n, self.s))
        self.signs = as_signs("signs", signs, (self.n, self.s))


def _distinct_rows(rng: np.random.Generator, n: int, m: int, s: int) -> np.ndarray:
    """Floyd's sampling of s of m, for n columns side by side."""
    rows = np.empty((n, s), np.intp)
    for k in range(s):
        last = m - s + k
        rows[:, k] = rng.integers(last + 1, size=n)
        taken = (rows[:, :k] == rows[:, k, None]).any(axis=1)
        rows[taken, k] = last
    return rows

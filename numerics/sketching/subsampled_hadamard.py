r"""The subsampled randomised Hadamard transform, read in one pass.

:math:`S = \tfrac{1}{\sqrt m} P H_N D`: random signs D, the Hadamard matrix of order
:math:`N = 2^{\lceil \log_2 n \rceil}`, and m of its rows. With :math:`H_N = H_R \otimes H_B` row
(r, b) of :math:`H_N D A` is :math:`\sum_{r'} (-1)^{|r \wedge r'|} (H_B D_{r'} A_{r'})_b`, a sum
over blocks of B rows: each is signed and transformed in cache and the m rows that are wanted are
added up, so that A is read once, never copied, and blocks past n do not exist.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from numerics.arrays import Array, as_generator, frame_like
from numerics.sketching.linear_sketch import (
    Guarantee,
    Sketch,
    as_rows,
    as_signs,
    check_sizes,
    draw_signs,
)

_DEVICE_BLOCK = 1 << 13


def srht(
    n: int,
    m: int,
    *,
    rng: Any = None,
    replace: bool = False,
    signs: Any = None,
    rows: Any = None,
) -> Sketch:
    r"""Subsampled randomised Hadamard transform :math:`S = \tfrac{1}{\sqrt m} P H_N D`.

    Parameters
    ----------
    n, m : int
        Rows of what is sketched and of the sketch; m at most N, the power of two from n on.
    rng : Generator, int or None
        Where signs and rows are drawn from.
    replace : bool
        Sample rows of :math:`H_N` independently. Without replacement errors are smaller, about
        by :math:`\sqrt{1 - m/N}`, and with m = N nothing is lost.
    signs : array of int, shape (n,), optional
        The diagonal of D.
    rows : array of int, shape (m,), optional
        The rows that P picks, below N.

    Returns
    -------
    Sketch
        With ``signs``, ``rows`` and ``replace`` as attributes.

    Raises
    ------
    ValueError
        For n < 1, m < 1, m > N without replacement, and draws that do not fit.

    References
    ----------
    arXiv 2302.00248, arXiv 1705.10723.

    Examples
    --------
    Rows of S are orthogonal when n is a power of two.

    >>> import numpy as np
    >>> S = srht(64, 16, rng=0).to_dense()
    >>> np.allclose(S @ S.T, 64 / 16 * np.eye(16))
    True
    """
    return SRHT(n, m, rng, replace, signs, rows)


class HadamardRows(Sketch):
    """A sum over the N rows of H_N D, each added with its weight to rows of the sketch.

    Sample p adds ``weights[p] * (H_N D A)[rows[p]]`` to row ``targets[p]``.
    """

    signs: np.ndarray

    def _set_samples(
        self,
        N: int,
        rows: np.ndarray,
        targets: np.ndarray,
        weights: np.ndarray | None,
        scale: float,
    ) -> None:
        self._N, self._scale = N, scale
        self._rows, self._targets, self._weights = rows, targets, weights

    def _accumulate(self, start: int, block: np.ndarray, out: np.ndarray, threads: int) -> None:
        from numerics.sketching._numba_sketching import hadamard_rows

        signs = self.signs[start : start + block.shape[0]]
        hadamard_rows(block, signs, start, self._N, self._samples(), self._scale, out, threads)

    def _adjoint_rows(self, start: int, stop: int, Y: np.ndarray) -> np.ndarray:
        from numerics.sketching._numba_sketching import hadamard_rows_adjoint

        signs = self.signs[start:stop]
        return hadamard_rows_adjoint(Y, signs, start, self._N, self._samples(), self._scale)

    def _samples(self) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        return self._rows, self._targets, self._weights

    def _device_rows(self, start: int, block: Array) -> Array:
        from numerics.hadamard import fwht

        frame = frame_like(block)
        xp = frame.xp
        out = xp.zeros((self.m, block.shape[1]), dtype=block.dtype, device=frame.device)
        for first, last, lead, size in _aligned(start, start + block.shape[0], self._N):
            buffer = xp.zeros((size, block.shape[1]), dtype=block.dtype, device=frame.device)
            signs = frame.cast(frame.asarray(self.signs[first:last]))
            part = block[first - start : last - start]
            buffer[lead : lead + last - first] = signs[:, None] * part
            low, factors = self._factors(frame, first // size, size)
            rows = fwht(buffer, axis=0)[low] * factors[:, None]
            out.index_add_(0, _indices(frame, self._targets), rows)
        return out

    def _device_adjoint_rows(self, start: int, stop: int, Y: Array) -> Array:
        from numerics.hadamard import fwht

        frame = frame_like(Y)
        xp = frame.xp
        picked = Y[_indices(frame, self._targets)]
        parts = []
        for first, last, lead, size in _aligned(start, stop, self._N):
            low, factors = self._factors(frame, first // size, size)
            buffer = xp.zeros((size, Y.shape[1]), dtype=Y.dtype, device=frame.device)
            buffer.index_add_(0, low, picked * factors[:, None])
            signs = frame.cast(frame.asarray(self.signs[first:last]))
            parts.append(signs[:, None] * fwht(buffer, axis=0)[lead : lead + last - first])
        return xp.concat(parts, axis=0)

    def _factors(self, frame: Any, number: int, size: int) -> tuple[Array, Array]:
        """Row in the block and signed weight, for each sample."""
        odd = np.bitwise_count((self._rows // size) & number) & 1
        factors = self._scale * (1.0 - 2.0 * odd)
        if self._weights is not None:
            factors = factors * self._weights
        return _indices(frame, self._rows % size), frame.cast(frame.asarray(factors))


class SRHT(HadamardRows):
    """See :func:`srht`."""

    kind = "srht"
    guarantee = Guarantee(
        "Proved with m = d^(1 + Theta(sqrt(log log n / log d))) / epsilon^2 rows. That "
        "m = O(d log^3(n/delta) / epsilon^2) suffice was claimed in 2023; its authors now call "
        "that proof incomplete, and it is neither proved nor disproved. Experiments agree with it.",
        "open",
        "arXiv 1705.10723 for the proved bound, arXiv 2302.00248 for the other",
    )
    _draw_names = ("signs", "rows", "replace")

    def __init__(self, n: int, m: int, rng: Any, replace: bool, signs: Any, rows: Any) -> None:
        n, m = check_sizes(n, m)
        N = 1 << (n - 1).bit_length()
        if not replace:
            check_sizes(n, m, largest=N)
        super().__init__(n, m)
        generator = as_generator(rng)
        self.replace = bool(replace)
        self.signs = draw_signs(generator, n) if signs is None else as_signs("signs", signs, (n,))
        if rows is None:
            rows = generator.choice(N, m, replace=self.replace)
        self.rows = as_rows("rows", rows, (m,), N)
        if not replace and np.unique(self.rows).size < m:
            raise ValueError("rows must be distinct unless replace=True, got repeated ones")
        self._set_samples(N, self.rows, np.arange(m), None, 1 / np.sqrt(m))

    @property
    def fraction(self) -> float:
        """m/N without replacement, 0 with it."""
        return 0.0 if self.replace else self.m / self._N


def _aligned(start: int, stop: int, N: int) -> list[tuple[int, int, int, int]]:
    """Cut rows at multiples of the block: first, last, place in the block and its size."""
    size = min(N, _DEVICE_BLOCK)
    cuts = []
    first = start
    while first < stop:
        last = min(stop, (first // size + 1) * size)
        cuts.append((first, last, first % size, size))
        first = last
    return cuts


def _indices(frame: Any, values: np.ndarray) -> Array:
    return frame.xp.asarray(values.astype(np.int64), device=frame.device)

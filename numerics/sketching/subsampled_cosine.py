r"""The subsampled randomised cosine transform, which needs no power of two.

:math:`S = \sqrt{n/m}\, P C D` with random signs D, the orthonormal discrete cosine transform C of
type II and m of its n rows. In memory it is one fast transform of all n rows; row blocks are
multiplied by the cosines that they need.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.fft

from numerics.arrays import as_generator
from numerics.sketching.explicit_columns import ColumnSketch
from numerics.sketching.linear_sketch import (
    Guarantee,
    Sketch,
    as_rows,
    as_signs,
    check_sizes,
    draw_signs,
)


def srct(
    n: int,
    m: int,
    *,
    rng: Any = None,
    replace: bool = False,
    signs: Any = None,
    rows: Any = None,
) -> Sketch:
    r"""Subsampled randomised cosine transform :math:`S = \sqrt{n/m}\, P C D`.

    Parameters
    ----------
    n, m : int
        Rows of what is sketched and of the sketch; m at most n.
    rng : Generator, int or None
        Where signs and rows are drawn from.
    replace : bool
        Sample rows of C independently.
    signs : array of int, shape (n,), optional
        The diagonal of D.
    rows : array of int, shape (m,), optional
        The rows that P picks, below n.

    Returns
    -------
    Sketch
        With ``signs``, ``rows`` and ``replace`` as attributes.

    Raises
    ------
    ValueError
        For n < 1, m < 1, m > n without replacement, and draws that do not fit.

    References
    ----------
    Avron, Maymounkov, Toledo, SIAM J. Sci. Comput. 32 (2010) 1217-1236.

    Examples
    --------
    Rows of S are orthogonal for every n.

    >>> import numpy as np
    >>> S = srct(60, 15, rng=0).to_dense()
    >>> np.allclose(S @ S.T, 60 / 15 * np.eye(15))
    True
    """
    return SRCT(n, m, rng, replace, signs, rows)


class SRCT(ColumnSketch):
    """See :func:`srct`."""

    kind = "srct"
    guarantee = Guarantee(
        "A subspace embedding as the Hadamard transform is; for single coordinates no bound of "
        "its own is known. Experiments agree with those of the Hadamard transform.",
        "open",
        "arXiv 1705.10723, for the Hadamard transform",
    )
    _draw_names = ("signs", "rows", "replace")

    def __init__(self, n: int, m: int, rng: Any, replace: bool, signs: Any, rows: Any) -> None:
        n, m = check_sizes(n, m)
        if not replace:
            check_sizes(n, m, largest=n)
        super().__init__(n, m)
        generator = as_generator(rng)
        self.replace = bool(replace)
        self.signs = draw_signs(generator, n) if signs is None else as_signs("signs", signs, (n,))
        if rows is None:
            rows = generator.choice(n, m, replace=self.replace)
        self.rows = as_rows("rows", rows, (m,), n)
        if not replace and np.unique(self.rows).size < m:
            raise ValueError("rows must be distinct unless replace=True, got repeated ones")

    @property
    def fraction(self) -> float:
        """m/n without replacement, 0 with it."""
        return 0.0 if self.replace else self.m / self.n

    def _columns(self, start: int, stop: int) -> np.ndarray:
        # The row of constants is smaller by sqrt(2); angles are reduced while they are integers.
        weights = np.where(self.rows == 0, 1.0, np.sqrt(2.0)) / np.sqrt(self.m)
        steps = (2 * np.arange(start, stop)[:, None] + 1) * self.rows % (4 * self.n)
        return weights * self.signs[start:stop, None] * np.cos(np.pi / (2 * self.n) * steps)

    def _accumulate(self, start: int, block: np.ndarray, out: np.ndarray, threads: int) -> None:
        if block.shape[0] < self.n:
            super()._accumulate(start, block, out, threads)
            return
        factor = block.dtype.type(np.sqrt(self.n / self.m))
        panel = max(1, (1 << 22) // self.n)
        for first in range(0, block.shape[1], panel):
            part = self.signs[:, None] * block[:, first : first + panel]
            part = scipy.fft.dct(part, axis=0, norm="ortho", overwrite_x=True)
            out[:, first : first + panel] += factor * part[self.rows]

    def _adjoint_rows(self, start: int, stop: int, Y: np.ndarray) -> np.ndarray:
        if stop - start < self.n:
            return super()._adjoint_rows(start, stop, Y)
        spread = np.zeros((self.n, Y.shape[1]), Y.dtype)
        np.add.at(spread, self.rows, Y * Y.dtype.type(np.sqrt(self.n / self.m)))
        return self.signs[:, None] * scipy.fft.idct(spread, axis=0, norm="ortho", overwrite_x=True)

r"""Sketches with random entries: normal, and signs that are four-wise independent.

The Gaussian sketch has independent entries N(0, 1/m); conditional on SA, the error of the sketched
least-squares solution is exactly normal. The sketch of Alon, Matias and Szegedy has entries
:math:`\pm 1/\sqrt m` of which any four in a row are independent. Neither is stored: a chunk of
columns is drawn anew from its own stream whenever it is needed, which costs mn draws a pass.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from numerics.arrays import as_generator
from numerics.sketching.explicit_columns import ColumnSketch
from numerics.sketching.linear_sketch import Guarantee, Sketch, as_rows, check_sizes

_CHUNK = 64  # columns from one stream
_FIELD_BITS = 31
_FIELD_TAIL = 0b1001  # x^31 = x^3 + 1 in the field of 2^31 elements


def gaussian_sketch(n: int, m: int, *, rng: Any = None, key: Any = None) -> Sketch:
    r"""Sketch with independent entries N(0, 1/m).

    Parameters
    ----------
    n, m : int
        Rows of what is sketched and of the sketch.
    rng : Generator, int or None
        Where the key is drawn from.
    key : array of int, shape (2,), optional
        What the entries follow from, with NumPy's stream of normal numbers.

    Returns
    -------
    Sketch
        With ``key`` as an attribute.

    Raises
    ------
    ValueError
        For n < 1, m < 1, and a key of another shape.

    References
    ----------
    arXiv 1705.10723 for sketches with independent entries in regression.

    Examples
    --------
    :math:`\lVert Sx \rVert^2 / \lVert x \rVert^2` is chi-squared over m, with standard deviation
    :math:`\sqrt{2/m}`.

    >>> import numpy as np
    >>> x = np.ones(1000) / np.sqrt(1000)
    >>> bool(abs(np.sum((gaussian_sketch(1000, 800, rng=0) @ x) ** 2) - 1) < 0.2)
    True
    """
    return GaussianSketch(n, m, rng, key)


def ams_sketch(n: int, m: int, *, rng: Any = None, seeds: Any = None) -> Sketch:
    r"""Sketch with entries :math:`\pm 1/\sqrt m`, any four of a row independent.

    The sign in row k and column i is the parity of bits of :math:`1`, :math:`i` and
    :math:`i^3` picked by ``seeds[k]``, the cube taken in the field of :math:`2^{31}` elements: the
    dual of a code of distance six, so that even any five are independent.

    Parameters
    ----------
    n, m : int
        Rows of what is sketched, at most :math:`2^{31}`, and of the sketch.
    rng : Generator, int or None
        Where the seeds are drawn from.
    seeds : array of int, shape (m,), optional
        63 random bits for each row.

    Returns
    -------
    Sketch
        With ``seeds`` as an attribute.

    Raises
    ------
    ValueError
        For n < 1, n above :math:`2^{31}`, m < 1, and seeds of another shape.

    References
    ----------
    Alon, Matias, Szegedy, J. Comput. Syst. Sci. 58 (1999) 137-147.

    Examples
    --------
    >>> import numpy as np
    >>> S = ams_sketch(300, 25, rng=0).to_dense()
    >>> np.unique(5 * S)
    array([-1.,  1.])
    """
    return AMSSketch(n, m, rng, seeds)


class GaussianSketch(ColumnSketch):
    """See :func:`gaussian_sketch`."""

    kind = "gaussian"
    guarantee = Guarantee(
        "m = O(d log(d/delta) / epsilon^2) rows suffice: given SA the error of the solution is "
        "exactly normal with covariance ||r||^2/m (A^T S^T S A)^-1.",
        "proved",
        "elementary: the sketched residual is independent of SA",
    )
    _draw_names = ("key",)

    def __init__(self, n: int, m: int, rng: Any, key: Any) -> None:
        super().__init__(*check_sizes(n, m))
        if key is None:
            key = as_generator(rng).integers(2**63, size=2)
        self.key = as_rows("key", key, (2,), 2**63)

    def _columns(self, start: int, stop: int) -> np.ndarray:
        result = np.empty((stop - start, self.m))
        for chunk in range(start // _CHUNK, -(-stop // _CHUNK)):
            first = chunk * _CHUNK
            low, high = max(first, start), min(first + _CHUNK, stop)
            seed = np.random.SeedSequence(self.key.tolist(), spawn_key=(chunk,))
            stream = np.random.Generator(np.random.SFC64(seed))
            if low == first:
                stream.standard_normal(out=result[low - start : high - start])
            else:
                drawn = stream.standard_normal((high - first, self.m))
                result[low - start : high - start] = drawn[low - first :]
        result /= np.sqrt(self.m)
        return result


class AMSSketch(ColumnSketch):
    """See :func:`ams_sketch`."""

    kind = "ams"
    guarantee = Guarantee(
        "For a fixed pair (g, h) the product is kept to O(log^1.5(n/delta)/sqrt(m)); that this "
        "gives the bound on the solution with m = O(d polylog / epsilon^2) is not established.",
        "open",
        "arXiv 2302.00248, whose proof of that step two of its authors call incomplete",
    )
    _draw_names = ("seeds",)

    def __init__(self, n: int, m: int, rng: Any, seeds: Any) -> None:
        super().__init__(*check_sizes(n, m))
        if self.n > 2**_FIELD_BITS:
            raise ValueError(f"n must be at most {2**_FIELD_BITS}, got {n}")
        if seeds is None:
            seeds = as_generator(rng).integers(2**63, size=self.m)
        self.seeds = as_rows("seeds", seeds, (self.m,), 2**63)

    def _columns(self, start: int, stop: int) -> np.ndarray:
        i = np.arange(start, stop, dtype=np.int64)
        points = (_field_product(_field_product(i, i), i) << _FIELD_BITS | i) << 1 | 1
        odd = np.bitwise_count(points[:, None] & self.seeds) & 1
        return (1.0 - 2.0 * odd) / np.sqrt(self.m)


def _field_product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Product of polynomials over the field of two elements modulo x^31 + x^3 + 1."""
    product = np.zeros_like(a)
    mask = (1 << _FIELD_BITS) - 1
    for bit in range(_FIELD_BITS - 1, -1, -1):
        product = (product << 1) & mask ^ (product >> (_FIELD_BITS - 1)) * _FIELD_TAIL
        product ^= a * (b >> bit & 1)
    return product

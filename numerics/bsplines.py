r"""B-splines on open uniform knots: knots, Greville abscissae, exact pieces, collocation matrices.

With :math:`n` cells of width :math:`h = 1/n` and degree :math:`p`, the knots are 0 and 1 repeated
:math:`p + 1` times and :math:`h, 2h, \ldots` between. They define :math:`n + p` splines
:math:`B_0, \ldots, B_{n+p-1}`, non-negative and of sum 1. All but :math:`p` at either end are
translates of one cardinal spline. In cells of width 1 the pieces have rational coefficients that
depend on :math:`p` alone (on :math:`n` too where :math:`n \le p`): they are computed once, exactly,
in the Bernstein form

.. math:: B_j(c + s) = \sum_{i=0}^p b_{j,c,i} \binom{p}{i} s^i (1 - s)^{p-i}, \qquad 0 \le s \le 1,

which is evaluated by averages of non-negative numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise

import numpy as np
import scipy.sparse

from numerics.arrays import as_integer

MAX_DEGREE = 10


def open_uniform_knots(n: int, p: int) -> np.ndarray:
    r"""Knots of the splines of degree p on n equal cells of [0, 1], the ends p + 1 times.

    Parameters
    ----------
    n : int
        Number of cells, at least 1.
    p : int
        Degree, 0 to 10.

    Returns
    -------
    array, shape (n + 2p + 1,), float64

    Raises
    ------
    TypeError, ValueError
        If ``n`` or ``p`` is no integer or out of range.

    Examples
    --------
    >>> open_uniform_knots(2, 2)
    array([0. , 0. , 0. , 0.5, 1. , 1. , 1. ])
    """
    n, p = check_space(n, p, minimum=0)
    return np.clip(np.arange(-p, n + p + 1), 0, n) / n


def greville_abscissae(n: int, p: int) -> np.ndarray:
    r"""Greville abscissae, the means of p consecutive knots.

    .. math:: \xi_i = \frac{t_{i+1} + \cdots + t_{i+p}}{p}, \qquad
              \sum_i \xi_i B_i(x) = x.

    They are mirror images of each other in the middle of the interval: exactly so before the
    division by n.

    Parameters
    ----------
    n : int
        Number of cells, at least 1.
    p : int
        Degree, 1 to 10.

    Returns
    -------
    array, shape (n + p,), float64
        Ascending, from 0 to 1; those in the interior are ``[1:-1]``.

    Raises
    ------
    TypeError, ValueError
        If ``n`` or ``p`` is no integer or out of range.

    Examples
    --------
    >>> greville_abscissae(2, 2)
    array([0.  , 0.25, 0.75, 1.  ])
    """
    n, p = check_space(n, p)
    return greville_sums(n, p) / (p * n)


def bspline_collocation_matrix(n: int, p: int, deriv: int = 0) -> scipy.sparse.csr_array:
    r"""Values or derivatives of the inner B-splines at the inner Greville abscissae.

    .. math:: M_{ij} = B_j^{(d)}(\xi_i), \qquad i, j = 1, \ldots, n + p - 2.

    The splines that are left out, the first and the last, are those that do not vanish at an end.
    At a knot where the derivative jumps, the value is that of the cell on the right.

    Parameters
    ----------
    n : int
        Number of cells, at least 1.
    p : int
        Degree, 2 to 10.
    deriv : int
        Order of the derivative, 0 to p.

    Returns
    -------
    csr_array, shape (n + p - 2, n + p - 2), float64
        At most p + 1 entries a row.

    Raises
    ------
    TypeError, ValueError
        If an argument is no integer or out of range.

    Examples
    --------
    The cubic spline takes 1/6, 2/3, 1/6 at its knots.

    >>> bspline_collocation_matrix(12, 3)[[6]].data * 6
    array([1., 4., 1.])
    """
    n, p = check_space(n, p, minimum=2)
    deriv = as_integer("deriv", deriv, minimum=0)
    if deriv > p:
        raise ValueError(f"deriv must be at most the degree {p}, got {deriv}")
    sums = greville_sums(n, p)[1:-1]
    cell = np.minimum(sums // p, n - 1)
    s = (sums - p * cell) / p
    spline = cell[:, None] + np.arange(p + 1)
    pieces = spline_pieces(n, p)
    index, shift = pieces.locate(spline)
    piece = cell[:, None] - shift - pieces.start[index]
    values = bernstein(pieces.bezier(deriv)[index, piece], s[:, None]) * float(n) ** deriv
    N = n + p - 2
    inside = (spline >= 1) & (spline <= N) & (values != 0)
    rows = np.broadcast_to(np.arange(N)[:, None], spline.shape)
    return scipy.sparse.csr_array(
        (values[inside], (rows[inside], spline[inside] - 1)), shape=(N, N)
    )


def check_space(n: int, p: int, *, minimum: int = 1) -> tuple[int, int]:
    """Read the number of cells and the degree of a spline space."""
    n = as_integer("n", n, minimum=1)
    p = as_integer("p", p, minimum=minimum)
    if p > MAX_DEGREE:
        raise ValueError(f"p must be at most {MAX_DEGREE}, got {p}")
    return n, p


def greville_sums(n: int, p: int) -> np.ndarray:
    """Greville abscissae times p n: integers."""
    knots = np.clip(np.arange(-p, n + p + 1), 0, n)
    total = np.concatenate(([0], np.cumsum(knots)))
    return total[p + 1 : -1] - total[1 : -1 - p]


def bernstein(coefficients: np.ndarray, s: np.ndarray) -> np.ndarray:
    """Value at ``s`` of polynomials with Bernstein coefficients along the last axis."""
    for _ in range(coefficients.shape[-1] - 1):
        s_ = s[..., None]
        coefficients = (1 - s_) * coefficients[..., :-1] + s_ * coefficients[..., 1:]
    return coefficients[..., 0]


@dataclass(frozen=True)
class SplinePieces:
    """Pieces of the splines on ``min(n, p + 1)`` cells of width 1, of which longer spaces are made.

    Attributes
    ----------
    n, p : int
        Number of cells of the space wanted, and degree.
    cells : int
        ``min(n, p + 1)``.
    start, count : array of int, shape (cells + p,)
        First cell of each support and number of cells in it.
    exact : tuple
        Bernstein coefficients, ``exact[j][piece]`` a tuple of p + 1 fractions.
    """

    n: int
    p: int
    cells: int
    start: np.ndarray
    count: np.ndarray
    exact: tuple[tuple[tuple[Fraction, ...], ...], ...]

    def locate(self, spline: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Index in the table, and shift in cells, of splines of the space wanted."""
        shift = np.clip(spline - self.p, 0, self.n - self.cells)
        return spline - shift, shift

    def bezier(self, deriv: int = 0) -> np.ndarray:
        """Bernstein coefficients of a derivative, shape (cells + p, p + 1, p + 1 - deriv)."""
        return _rounded(self.cells, self.p, deriv)


def spline_pieces(n: int, p: int) -> SplinePieces:
    """Exact pieces for the splines of degree ``p`` on ``n`` cells of width 1."""
    cells = min(n, p + 1)
    start = np.maximum(np.arange(cells + p) - p, 0)
    count = np.minimum(np.arange(1, cells + p + 1), cells) - start
    return SplinePieces(n, p, cells, start, count, _exact_pieces(cells, p))


@lru_cache(maxsize=64)
def _rounded(cells: int, p: int, deriv: int) -> np.ndarray:
    table = np.zeros((cells + p, p + 1, p + 1 - deriv))
    for j, pieces in enumerate(_exact_pieces(cells, p)):
        for k, piece in enumerate(pieces):
            values = list(piece)
            for degree in range(p, p - deriv, -1):
                values = [degree * (b - a) for a, b in pairwise(values)]
            table[j, k] = [float(value) for value in values]
    table.flags.writeable = False
    return table


@lru_cache(maxsize=64)
def _exact_pieces(cells: int, p: int) -> tuple[tuple[tuple[Fraction, ...], ...], ...]:
    """Bernstein coefficients of every spline on every cell of its support.

    The i-th coefficient on [c, c + 1] is the polar form of the spline at c, p - i times, and at
    c + 1, i times. The right half is the mirror image of the left.
    """
    pieces: list[dict[int, tuple[Fraction, ...]]] = [{} for _ in range(cells + p)]
    for c in range((cells + 1) // 2):
        columns = [_polar_form(c, cells, p, [c] * (p - i) + [c + 1] * i) for i in range(p + 1)]
        for k in range(p + 1):
            coefficients = tuple(column[k] for column in columns)
            pieces[c + k][c] = coefficients
            pieces[cells + p - 1 - c - k][cells - 1 - c] = coefficients[::-1]
    return tuple(tuple(piece[c] for c in sorted(piece)) for piece in pieces)


def _polar_form(c: int, cells: int, p: int, points: list[int]) -> list[Fraction]:
    """Polar forms at ``points`` of the p + 1 splines that live on cell c, by de Boor's scheme."""
    knots = [min(max(c + k - p + 1, 0), cells) for k in range(2 * p)]
    rows = [[Fraction(int(i == k)) for i in range(p + 1)] for k in range(p + 1)]
    for level, u in enumerate(points):
        merged = []
        for k in range(p - level):
            left, right = knots[level + k], knots[p + k]
            weight = Fraction(u - left, right - left)
            merged.append([a + weight * (b - a) for a, b in zip(rows[k], rows[k + 1], strict=True)])
        rows = merged
    return rows[0]

r"""The assembly of a Riesz collocation matrix in whole-array NumPy, to time the compiled one by.

It is the same rule, with the same quadratures and the same series: up to a knot z somewhat before y
the derivative of a spline is :math:`\Gamma(-\alpha)^{-1}\int^z B(t)(y-t)^{-1-\alpha}dt`, by Gauss
rules or, from some distance on, a series of moments, and from there on
:math:`\Gamma(2-\alpha)^{-1}\int_z^y B''(t)(y-t)^{1-\alpha}dt` plus what value and slope at z
contribute. Each branch is taken for all points that need it at once.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np
from scipy.special import poch, roots_jacobi, roots_legendre

from numerics.bsplines import bernstein, greville_sums, spline_pieces

_NEAR_GAP = 0.125
_FINE, _COARSE, _TERMS = 32, 16, 33


class _Shapes(NamedTuple):
    """The splines of p + 1 cells of width 1, of which the others are translates."""

    p: int
    alpha: float
    start: np.ndarray
    width: np.ndarray
    value: np.ndarray  # at the start of each cell
    slope: np.ndarray
    bend: np.ndarray  # Bernstein coefficients of the second derivatives
    series: np.ndarray  # of the moments about the centre
    rules: tuple[tuple[np.ndarray, np.ndarray, np.ndarray], ...]  # nodes, weights B, weights B''
    jacobi: tuple[np.ndarray, np.ndarray]


def numpy_assembly(n: int, p: int, alpha: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Toeplitz column, first p - 1 columns and first p - 2 rows, in cells of width 1; n > 2p."""
    table, N = _shapes(p, alpha), n + p - 2
    factor = 0.5 / math.cos(math.pi * alpha / 2)
    # Points are kept as whole numbers of 1 / p cells, so that far from 0 no digit is lost.
    sums = greville_sums(n, p)[1:-1]
    mirrored = sums[::-1]
    centre = 0.5 * (p + 1)
    distance = np.arange(N, dtype=np.float64)
    both = _left(table, p, centre + distance) + _left(table, p, centre - distance)
    columns = np.empty((N, p - 1))
    for b in range(p - 1):
        last = n + p - 2 - b
        columns[:, b] = _one_sided(table, n, b + 1, sums) + _one_sided(table, n, last, mirrored)
    rows = np.empty((p - 2, N))
    for r in range(p - 2):
        rows[r] = _row(table, n, sums[r]) + _row(table, n, mirrored[r])[::-1]
    return factor * both, factor * columns, factor * rows


def _one_sided(table: _Shapes, n: int, j: int, sums: np.ndarray) -> np.ndarray:
    """Left derivative of spline j of n cells at all points sums / p."""
    shift = min(max(j - table.p, 0), n - table.p - 1)
    return _left(table, j - shift, (sums - table.p * shift) / table.p)


def _row(table: _Shapes, n: int, total: int) -> np.ndarray:
    """Left derivatives at total / p of all splines that are kept."""
    p = table.p
    row = np.empty(n + p - 2)
    translates = np.arange(p, n)
    row[p - 1 : n - 1] = _left(table, p, (total - p * (translates - p)) / p)
    for j in [*range(1, p), *range(n, n + p - 1)]:
        row[j - 1] = _one_sided(table, n, j, np.array([total]))[0]
    return row


def _left(table: _Shapes, index: int, y: np.ndarray) -> np.ndarray:
    start, width = table.start[index], table.width[index]
    length = y - start
    cells = np.clip(np.floor(length - 0.5), 0, width)
    cells[length < 0] = -1
    far = length - width / 2 >= 2 * width
    out = np.zeros(y.shape)
    if np.any(far):
        out[far] = _moments(table, index, y[far])
    for cell in range(width + 1):
        chosen = (cells == cell) & ~far
        if not np.any(chosen):
            continue
        near = y[chosen]
        out[chosen] = _up_to(table, index, cell, near)
        if cell < width:
            out[chosen] += _from(table, index, cell, near)
    return out


def _moments(table: _Shapes, index: int, y: np.ndarray) -> np.ndarray:
    """The whole integral, from two widths of the support behind its end."""
    half = 0.5 * table.width[index]
    distance = y - (table.start[index] + half)
    out = np.empty(y.shape)
    ends = (0.0, 16 * half, 256 * half, np.inf)
    for terms, low, high in zip((_TERMS, 15, 8), ends[:-1], ends[1:], strict=True):
        chosen = (distance >= low) & (distance < high)
        d = distance[chosen]
        series = np.polynomial.polynomial.polyval(1 / d, table.series[index, :terms])
        out[chosen] = series * d ** (-1 - table.alpha)
    return out / math.gamma(-table.alpha)


def _up_to(table: _Shapes, index: int, cell: int, y: np.ndarray) -> np.ndarray:
    """The integral of B over the cells before one."""
    out = np.zeros(y.shape)
    for k in range(cell):
        length = y - (table.start[index] + k)
        rules = [(nodes, mass[index, k]) for nodes, mass, _ in table.rules]
        out += _gauss(length, -1 - table.alpha, rules)
    return out / math.gamma(-table.alpha)


def _from(table: _Shapes, index: int, cell: int, y: np.ndarray) -> np.ndarray:
    """The integral of the second derivative from the start of a cell, with what stands there."""
    alpha = table.alpha
    length = y - (table.start[index] + cell)
    out = np.zeros(y.shape)
    if table.value[index, cell] != 0:
        out += table.value[index, cell] * length**-alpha / math.gamma(1 - alpha)
    if table.slope[index, cell] != 0:
        out += table.slope[index, cell] * length ** (1 - alpha) / math.gamma(2 - alpha)
    for k in range(cell, min(cell + 2, table.width[index])):
        length = y - (table.start[index] + k)
        apart = length - 1 >= _NEAR_GAP
        close = (length > 0) & ~apart
        nodes, _, bend = table.rules[1]
        kernel = (length[apart, None] - nodes) ** (1 - alpha)
        out[apart] += kernel @ bend[index, k] / math.gamma(2 - alpha)
        out[close] += _to_the_end(table, index, k, 0.0, length[close])
        past = close & (length > 1)
        out[past] -= _to_the_end(table, index, k, 1.0, length[past] - 1)
    return out


def _gauss(length: np.ndarray, power: float, rules: Any) -> np.ndarray:
    """Integral over one cell, with the coarse rule from one cell of distance."""
    out = np.empty(length.shape)
    for (nodes, weights), chosen in zip(rules, (length >= 2, length < 2), strict=True):
        out[chosen] = (length[chosen, None] - nodes) ** power @ weights
    return out


def _to_the_end(
    table: _Shapes, index: int, k: int, origin: float, length: np.ndarray
) -> np.ndarray:
    nodes, weights = table.jacobi
    s = origin + length[:, None] * nodes
    bend = np.broadcast_to(bernstein(table.bend[index, k, None, None, :], s), s.shape)
    return length ** (2 - table.alpha) / math.gamma(3 - table.alpha) * (bend @ weights)


@functools.lru_cache(maxsize=8)
def _shapes(p: int, alpha: float) -> _Shapes:
    pieces = spline_pieces(p + 1, p)
    values, bends = pieces.bezier(0), pieces.bezier(2)
    rules = []
    for size in (_COARSE, _FINE):
        nodes, weights = roots_legendre(size)
        nodes, weights = (nodes + 1) / 2, weights / 2
        mass, bend = (weights * bernstein(b[:, :, None, :], nodes) for b in (values, bends))
        rules.append((nodes, mass, bend))
    nodes, mass, _ = rules[1]
    offset = np.arange(p + 1)[:, None] + nodes - pieces.count[:, None, None] / 2
    q = np.arange(_TERMS)
    moments = np.einsum("jkm,jkmq->jq", mass, offset[..., None] ** q)
    factorials = np.array([math.factorial(k) for k in q], dtype=float)
    jacobi, jacobi_weights = roots_jacobi((p - 2) // 2 + 1, 1 - alpha, 0.0)
    return _Shapes(
        p,
        alpha,
        pieces.start,
        pieces.count,
        values[:, :, 0],
        pieces.bezier(1)[:, :, 0],
        bends,
        moments * poch(1 + alpha, q) / factorials,
        tuple(rules),
        ((jacobi + 1) / 2, jacobi_weights / jacobi_weights.sum()),
    )

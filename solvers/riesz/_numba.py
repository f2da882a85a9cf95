"""Compiled loops of the fractional derivatives of B-splines; callers have checked everything.

Lengths are in cells of width 1. One routine, ``_left``, gives the left Riemann-Liouville
derivative of a spline; the right one is that of the mirrored spline at the mirrored point.
Splines are rows of a :class:`Table` of the shapes that occur, moved by a whole number of cells.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

NEAR_GAP = 0.125  # below this distance a Gauss-Legendre rule does not resolve the singularity
FINE, COARSE = 32, 16  # nodes a cell, up to and from one cell of distance
TERMS = 33  # of the moment series, used from four half-widths of the support


class Table(NamedTuple):
    """Shapes of degree p and their quadratures for one order alpha."""

    p: int
    cells: int
    alpha: float
    order: int  # of the ordinary derivative under the integral: 1 for alpha < 1, else 2
    far: float  # 1 / Gamma(-alpha)
    near: float  # 1 / Gamma(order - alpha)
    touching: float  # 1 / Gamma(order + 1 - alpha)
    at_value: float  # 1 / Gamma(1 - alpha)
    at_slope: float  # 1 / Gamma(2 - alpha)
    start: np.ndarray  # (S,) first cell of the support
    width: np.ndarray  # (S,) cells in the support
    value: np.ndarray  # (S,) at the start of the support, from the right
    slope: np.ndarray  # (S,) likewise; 0 where the order is 1
    bend: np.ndarray  # (S, p + 1, p + 1 - order) Bernstein coefficients of that derivative
    kink: np.ndarray  # (S, p + 1) jump of the slope at the end of a cell, where p < order
    series: np.ndarray  # (S, TERMS) (1 + alpha)_q / q! times the moments about the centre
    fine: np.ndarray  # (FINE,) nodes on [0, 1]
    fine_mass: np.ndarray  # (S, p + 1, FINE) weights times values
    fine_bend: np.ndarray  # (S, p + 1, FINE) weights times derivatives
    coarse: np.ndarray
    coarse_mass: np.ndarray
    coarse_bend: np.ndarray
    jacobi: np.ndarray  # Gauss nodes on [0, 1] for the weight (1 - v)^(order - 1 - alpha)
    jacobi_weight: np.ndarray  # of sum 1


@njit(cache=True)
def derivative_matrix(table, n, y, mirrored, factor, left, right, caputo, out):
    """Derivatives of all n + p splines; ``mirrored`` is n - y. Left and right are 0 or 1."""
    total = n + table.p
    for i in range(y.size):
        for j in range(total):
            value = 0.0
            if left:
                value += _one_sided(table, n, j, y[i], caputo)
            if right:
                value += _one_sided(table, n, total - 1 - j, mirrored[i], caputo)
            out[i, j] = factor * value


@njit(cache=True)
def toeplitz_column(table, factor, out):
    """Riesz derivative of the cardinal spline at its centre plus 0, 1, 2, ..."""
    p = table.p
    centre = 0.5 * (p + 1)
    for k in range(out.size):
        value = _left(table, p, centre + k, True, True)
        if k < centre:
            value += _left(table, p, centre - k, True, True)
        out[k] = factor * value


@njit(cache=True)
def border_columns(table, n, sums, factor, caputo, out):
    """Columns of the first splines that are kept, at all inner Greville abscissae."""
    p = table.p
    N, columns = out.shape
    for b in range(columns):
        for i in range(N):
            value = _one_sided(table, n, b + 1, sums[i] / p, caputo)
            value += _one_sided(table, n, n + p - 2 - b, sums[N - 1 - i] / p, caputo)
            out[i, b] = factor * value


@njit(cache=True)
def border_rows(table, n, sums, factor, caputo, out):
    """Rows of the first inner Greville abscissae, for all splines that are kept."""
    p = table.p
    rows, N = out.shape
    for r in range(rows):
        for j in range(N):
            value = _one_sided(table, n, j + 1, sums[r] / p, caputo)
            value += _one_sided(table, n, n + p - 2 - j, sums[N - 1 - r] / p, caputo)
            out[r, j] = factor * value


@njit(cache=True)
def _one_sided(table, n, j, y, caputo):
    """Left derivative of spline j of n cells at y."""
    shift = min(max(j - table.p, 0), n - table.cells)
    index = j - shift
    ends = not (caputo and table.start[index] + shift == 0)
    return _left(table, index, y - shift, ends, ends or table.alpha == 1.0)


@njit(cache=True)
def _left(table, index, y, with_value, with_slope):
    """Left derivative of a shape at y, with or without what its start contributes."""
    first = table.start[index]
    if y < first:
        return 0.0
    alpha = table.alpha
    far = y - (first + table.width[index]) >= NEAR_GAP
    if far:
        result = table.far * _far(table, index, y)
    else:
        result = _near(table, index, y)
    # Riemann-Liouville holds these terms already when far, and never otherwise.
    if table.value[index] != 0.0 and table.at_value != 0.0 and with_value != far:
        term = table.value[index] * (y - first) ** -alpha * table.at_value
        result += -term if far else term
    if table.slope[index] != 0.0 and with_slope != far:
        term = table.slope[index] * (y - first) ** (1.0 - alpha) * table.at_slope
        result += -term if far else term
    return result


@njit(cache=True)
def _far(table, index, y):
    """Integral of B(t) (y - t)^(-1 - alpha) over a support that ends well before y."""
    power = -1.0 - table.alpha
    half = 0.5 * table.width[index]
    distance = y - (table.start[index] + half)
    if distance >= 4.0 * half:
        return _moments(table, index, distance, half) * distance**power
    total = 0.0
    for k in range(table.width[index]):
        c = table.start[index] + k
        if y - c >= 2.0:
            for q in range(COARSE):
                total += table.coarse_mass[index, k, q] * (y - c - table.coarse[q]) ** power
        else:
            for q in range(FINE):
                total += table.fine_mass[index, k, q] * (y - c - table.fine[q]) ** power
    return total


@njit(cache=True)
def _moments(table, index, distance, half):
    """The series in 1 / distance, so long that what is left out is below the last place."""
    if distance < 16.0 * half:
        terms = TERMS
    elif distance < 256.0 * half:
        terms = 15
    else:
        terms = 8
    inverse = 1.0 / distance
    total = table.series[index, terms - 1]
    for q in range(terms - 2, -1, -1):
        total = total * inverse + table.series[index, q]
    return total


@njit(cache=True)
def _near(table, index, y):
    """Integral of the derivative of B times (y - t)^(order - 1 - alpha) / Gamma(order - alpha)."""
    total = 0.0
    power = table.order - 1.0 - table.alpha
    if table.p < table.order:
        for k in range(table.width[index]):
            gap = y - (table.start[index] + k + 1)
            if gap >= 0.0 and table.kink[index, k] != 0.0:
                total += table.kink[index, k] * gap**power
        return table.near * total
    for k in range(table.width[index]):
        length = y - (table.start[index] + k)
        if length <= 0.0:
            break
        gap = length - 1.0
        if gap >= 1.0:
            part = 0.0
            for q in range(COARSE):
                part += table.coarse_bend[index, k, q] * (length - table.coarse[q]) ** power
            total += table.near * part
        elif gap >= NEAR_GAP:
            part = 0.0
            for q in range(FINE):
                part += table.fine_bend[index, k, q] * (length - table.fine[q]) ** power
            total += table.near * part
        else:
            total += _to_the_end(table, index, k, 0.0, length)
            if gap > 0.0:
                total -= _to_the_end(table, index, k, 1.0, gap)
    return total


@njit(cache=True)
def _to_the_end(table, index, piece, origin, length):
    """The part of one piece, continued where need be, from ``origin`` over ``length`` up to y."""
    degree = table.bend.shape[2] - 1
    work = np.empty(degree + 1)
    total = 0.0
    for q in range(table.jacobi.size):
        s = origin + length * table.jacobi[q]
        for i in range(degree + 1):
            work[i] = table.bend[index, piece, i]
        for level in range(degree, 0, -1):
            for i in range(level):
                work[i] = (1.0 - s) * work[i] + s * work[i + 1]
        total += table.jacobi_weight[q] * work[0]
    return total * length ** (table.order - table.alpha) * table.touching

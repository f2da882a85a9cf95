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
FINE, COARSE = 32, 16  # nodes a cell, from half a cell and from one cell of distance
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
    value: np.ndarray  # (S, p + 1) at the start of each cell
    slope: np.ndarray  # (S, p + 1) likewise, from the right; 0 where the order is 1
    bend: np.ndarray  # (S, p + 1, p + 1 - order) Bernstein coefficients of that derivative
    kink: np.ndarray  # (S, p + 1) jump of the slope at the end of a cell, where p < order
    series: np.ndarray  # (S, TERMS) (1 + alpha)_q / q! times the moments about the centre
    fine: np.ndarray  # (FINE,) nodes on [0, 1]
    fine_mass: np.ndarray  # (S, p + 1, FINE) weights times values
    bend_rule: np.ndarray  # (S, p + 1, FINE) weights times derivatives
    coarse: np.ndarray  # (COARSE,)
    coarse_mass: np.ndarray  # (S, p + 1, COARSE)
    jacobi: np.ndarray  # Gauss nodes on [0, 1] for the weight (1 - v)^(order - 1 - alpha)
    jacobi_weight: np.ndarray  # of sum 1


@njit(cache=True)
def derivative_matrix(table, n, y, mirrored, factor, left, right, caputo, out):
    """Derivatives of all n + p splines at y; ``mirrored`` is n - y."""
    for i in range(y.size):
        out[i] = 0.0
        if left:
            _add_row(table, n, y[i], factor, caputo, False, out[i])
        if right:
            _add_row(table, n, mirrored[i], factor, caputo, True, out[i])


@njit(cache=True)
def _add_row(table, n, y, factor, caputo, mirror, row):
    """Add the left derivatives at y of all splines, most of which are cardinal and far."""
    p = table.p
    half = 0.5 * (p + 1)
    far = table.far * factor
    power = -1.0 - table.alpha
    series = table.series[p]
    for j in range(row.size):
        place = row.size - 1 - j if mirror else j
        distance = y - (j - p + half)
        if p < j < n and distance >= 4.0 * half:
            row[place] += far * _moments(series, distance, half) * distance**power
        elif j - p <= y:
            index, shift = _shape(table, n, j)
            row[place] += factor * _one_sided(table, index, shift, y - shift, caputo)


@njit(cache=True)
def toeplitz_column(table, factor, out):
    """Riesz derivative of the cardinal spline at its centre plus 0, 1, 2, ..."""
    powers = _powers(-1.0 - table.alpha, out.size)
    _fill_toeplitz(table, powers, factor, out)


@njit(cache=True)
def collocate(table, cardinal, n, sums, factor, caputo, origin, moved, toeplitz, columns, rows):
    """Toeplitz column, first columns (as rows of ``columns``) and first rows.

    ``sums`` are the inner Greville abscissae times p. ``table`` has the shapes of n cells, of which
    none is cardinal where n <= p, and ``cardinal`` those of p + 1. ``moved`` holds for each of the
    first rows the moment series of the cardinal spline about ``origin`` instead of that row's
    abscissa: with it, all distances are halves of integers, whose powers are shared.
    """
    p = table.p
    N = toeplitz.size
    powers = _powers(-1.0 - table.alpha, N + 1)
    _fill_toeplitz(cardinal, powers, factor, toeplitz)
    borders = columns.shape[0]
    for b in range(borders):
        half = 0.5 * table.width[b + 1]
        # From here to the last equidistant point the column is one run of distances.
        first = max(p - 2, 0)
        while first < N - p + 2 and sums[first] < 5.0 * half * p:
            first += 1
        last = max(first, N - p + 2)
        for i in range(N):
            if i < first or i >= last:
                columns[b, i] = factor * _entry(table, n, sums, i, b, caputo)
        run = columns[b, first:last]
        _far_run(powers, table.series[b + 1], half, sums[first] / p - half, table.far * factor, run)
        if caputo and table.slope[b + 1, 0] != 0.0:
            end = factor * table.slope[b + 1, 0] * table.at_slope
            for i in range(first, last):
                columns[b, i] -= end * (sums[i] / p) ** (1.0 - table.alpha)
    for r in range(rows.shape[0]):
        half = 0.5 * (p + 1) + abs(sums[r] / p - origin)
        # The centre of spline c + 1, a cardinal one, less the origin.
        lag = 1.5 - 0.5 * p - origin
        first = borders
        while first < N - borders and first + lag < 4.0 * half:
            first += 1
        for c in range(N):
            if c < borders:
                rows[r, c] = columns[c, r]
            elif c >= N - borders:
                rows[r, c] = columns[N - 1 - c, N - 1 - r]
            elif c < first:
                rows[r, c] = factor * _entry(table, n, sums, r, c, caputo)
        run = rows[r, first : max(first, N - borders)]
        _far_run(powers, moved[r], half, first + lag, table.far * factor, run)


@njit(cache=True)
def _fill_toeplitz(table, powers, factor, out):
    p = table.p
    half = 0.5 * (p + 1)
    first = min(2 * (p + 1), out.size)
    for k in range(first):
        value = _left(table, p, half + k, True, True)
        if k < half:
            value += _left(table, p, half - k, True, True)
        out[k] = factor * value
    _far_run(powers, table.series[p], half, float(first), table.far * factor, out[first:])


@njit(cache=True)
def _powers(exponent, size):
    """Powers of 0, 1, 2, ... and of 1/2, 3/2, ..., from those of the odd numbers."""
    powers = np.zeros((2, size))
    double, halve = 2.0**exponent, 2.0**-exponent
    for k in range(size):
        powers[1, k] = (2.0 * k + 1.0) ** exponent
    for k in range(1, size):
        powers[0, k] = powers[1, k // 2] if k % 2 else powers[0, k // 2] * double
    for k in range(size):
        powers[1, k] *= halve
    return powers


@njit(cache=True, error_model="numpy")  # a test for division by zero would forbid vector registers
def _far_run(powers, series, half, distance, factor, out):
    """Moment series at ``distance``, ``distance + 1``, ..., which are halves of integers."""
    start = int(distance)
    table = powers[int(2.0 * distance) % 2, start : start + out.size]
    close = min(max(int(np.ceil(256.0 * half - distance)), 0), out.size)
    for i in range(close):
        out[i] = factor * table[i] * _moments(series, distance + i, half)
    c0, c1, c2, c3 = series[0], series[1], series[2], series[3]
    c4, c5, c6, c7 = series[4], series[5], series[6], series[7]
    for i in range(close, out.size):
        z = 1.0 / (distance + i)
        total = (((((((c7 * z + c6) * z + c5) * z + c4) * z + c3) * z + c2) * z + c1) * z) + c0
        out[i] = factor * table[i] * total


@njit(cache=True)
def _entry(table, n, sums, i, c, caputo):
    """Both sides together at the i-th point, of spline c + 1; distances from exact integers."""
    p = table.p
    index, shift = _shape(table, n, c + 1)
    value = _one_sided(table, index, shift, (sums[i] - shift * p) / p, caputo)
    index, shift = _shape(table, n, n + p - 2 - c)
    point = sums[sums.size - 1 - i] - shift * p
    return value + _one_sided(table, index, shift, point / p, caputo)


@njit(cache=True)
def _shape(table, n, j):
    """The shape of spline j of n cells, and the number of cells that it is moved by."""
    shift = min(max(j - table.p, 0), n - table.cells)
    return j - shift, shift


@njit(cache=True)
def _one_sided(table, index, shift, y, caputo):
    """Left derivative of a shape moved by ``shift``, y beyond that."""
    ends = not (caputo and table.start[index] + shift == 0)
    return _left(table, index, y, ends, ends or table.alpha == 1.0)


@njit(cache=True)
def _left(table, index, y, with_value, with_slope):
    """Left derivative of a shape at y, with or without what its start contributes.

    The integral is split at a knot between half a cell and a cell and a half before y. Beyond it
    stands B itself, whose terms have one sign. From it on, where B may be small, stands its
    derivative, and what B and its slope at the knot contribute.
    """
    first = table.start[index]
    if y < first:
        return 0.0
    cell = int(y - first)
    if y - first - cell < 0.5:
        cell -= 1
    cell = min(max(cell, 0), table.width[index])
    result = 0.0
    if cell > 0:
        result = table.far * _far(table, index, cell, y)
        if not with_value:
            result -= _value_term(table, index, 0, y)
        if not with_slope:
            result -= _slope_term(table, index, 0, y)
    if cell < table.width[index]:
        result += _near(table, index, cell, y)
        if cell > 0 or with_value:
            result += _value_term(table, index, cell, y)
        if cell > 0 or with_slope:
            result += _slope_term(table, index, cell, y)
    return result


@njit(cache=True)
def _value_term(table, index, cell, y):
    """What the value at the start of a cell contributes at y; infinite there itself."""
    value = table.value[index, cell]
    if value == 0.0 or table.at_value == 0.0:
        return 0.0
    return value * (y - table.start[index] - cell) ** -table.alpha * table.at_value


@njit(cache=True)
def _slope_term(table, index, cell, y):
    """What the slope at the start of a cell contributes at y."""
    slope = table.slope[index, cell]
    if slope == 0.0:
        return 0.0
    return slope * (y - table.start[index] - cell) ** (1.0 - table.alpha) * table.at_slope


@njit(cache=True)
def _far(table, index, cells, y):
    """Integral of B(t) (y - t)^(-1 - alpha) over the first cells, which end well before y."""
    power = -1.0 - table.alpha
    half = 0.5 * table.width[index]
    distance = y - (table.start[index] + half)
    if distance >= 4.0 * half:
        return _moments(table.series[index], distance, half) * distance**power
    total = 0.0
    for k in range(cells):
        length = y - (table.start[index] + k)
        if length >= 2.0:
            for q in range(COARSE):
                total += table.coarse_mass[index, k, q] * (length - table.coarse[q]) ** power
        else:
            for q in range(FINE):
                total += table.fine_mass[index, k, q] * (length - table.fine[q]) ** power
    return total


@njit(cache=True)
def _moments(series, distance, half):
    """The series in 1 / distance, so long that what is left out is below the last place."""
    if distance < 16.0 * half:
        terms = TERMS
    elif distance < 256.0 * half:
        terms = 15
    else:
        terms = 8
    inverse = 1.0 / distance
    total = series[terms - 1]
    for q in range(terms - 2, -1, -1):
        total = total * inverse + series[q]
    return total


@njit(cache=True)
def _near(table, index, cell, y):
    """Integral of the derivative of B times (y - t)^(order - 1 - alpha) / Gamma(order - alpha).

    It begins with a cell that starts at most a cell and a half before y.
    """
    total = 0.0
    power = table.order - 1.0 - table.alpha
    for k in range(cell, min(cell + 2, table.width[index])):
        length = y - (table.start[index] + k)
        gap = length - 1.0
        if length <= 0.0:
            break
        if table.p < table.order:
            if gap >= 0.0 and table.kink[index, k] != 0.0:
                total += table.near * table.kink[index, k] * gap**power
        elif gap >= NEAR_GAP:
            part = 0.0
            for q in range(FINE):
                part += table.bend_rule[index, k, q] * (length - table.fine[q]) ** power
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

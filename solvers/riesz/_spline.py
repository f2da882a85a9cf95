"""Values of splines that vanish at both ends, and data carried from one space to another."""

from __future__ import annotations

import numpy as np
import scipy.sparse
from scipy.interpolate import BSpline, make_interp_spline

from numerics.arrays import Array, Frame
from numerics.bsplines import greville_abscissae, open_uniform_knots


def spline_basis(x: np.ndarray, n: int, p: int) -> scipy.sparse.csr_array:
    """Values of the N = n + p - 2 inner splines at points (m,); zero outside [0, 1]."""
    inside = np.flatnonzero((x >= 0) & (x <= 1))
    if not len(inside):
        return scipy.sparse.csr_array((len(x), n + p - 2))
    local = BSpline.design_matrix(x[inside], open_uniform_knots(n, p), p).tocoo()
    kept = (local.col >= 1) & (local.col <= n + p - 2)
    place = (inside[local.row[kept]], local.col[kept] - 1)
    return scipy.sparse.csr_array((local.data[kept], place), shape=(len(x), n + p - 2))


def basis_product(frame: Frame, basis: scipy.sparse.csr_array, coefficients: Array) -> Array:
    """Product of a basis with coefficients (N,) or (N, k) of any frame, differentiable in them."""
    if frame.is_numpy:
        return basis @ coefficients
    entries, xp = basis.tocoo(), frame.xp
    rows, columns = (xp.asarray(i, dtype=xp.int64, device=frame.device) for i in entries.coords)
    data = xp.reshape(frame.asarray(entries.data), (-1,) + (1,) * (coefficients.ndim - 1))
    shape = (basis.shape[0], *coefficients.shape[1:])
    zeros = xp.zeros(shape, dtype=coefficients.dtype, device=frame.device)
    return zeros.index_add(0, rows, data * coefficients[columns])


def inner_points(n: int, p: int) -> np.ndarray:
    """The inner Greville abscissae."""
    return greville_abscissae(n, p)[1:-1]


def coarser_space(n: int, p: int) -> tuple[int, int] | None:
    """A space of half the cells, or one degree lower, to hold a solution against; None if none."""
    if n > 1:
        return n // 2, p
    return (n, p - 1) if p > 2 else None


def carried(
    values: np.ndarray, fine: np.ndarray, coarse: np.ndarray, axis: int = 0, degree: int = 3
) -> np.ndarray:
    """Values given at fine points, at coarse points between them, by spline interpolation."""
    odd = (len(fine) - 1) // 2 * 2 + 1
    spline = make_interp_spline(fine, values, k=min(degree, odd, len(fine) - 1), axis=axis)
    return np.asarray(spline(coarse))

r"""Fractional derivatives of B-splines, right to the last digits at any distance.

On [0, 1], for :math:`0 < \alpha < 2`, the left Riemann-Liouville derivative is

.. math:: D_L^\alpha u(x) = \frac{1}{\Gamma(2 - \alpha)} \frac{d^2}{dx^2}
          \int_0^x (x - t)^{1 - \alpha} u(t)\, dt,

the right one :math:`D_R^\alpha` is its mirror image, and the Riesz operator, in the **positive**
convention, is

.. math:: R u = \frac{D_L^\alpha u + D_R^\alpha u}{2 \cos(\pi\alpha/2)}
              = (-\Delta)^{\alpha/2} u,

the fractional Laplacian of u continued by zero, with Fourier symbol :math:`|\omega|^\alpha`. It
tends to :math:`-u''` as :math:`\alpha \to 2`. The Riesz derivative
:math:`\partial^\alpha u / \partial |x|^\alpha` of much of the literature is :math:`-R u`.

A spline is a sum of truncated powers, whose derivatives are known, but that sum loses
:math:`k^{p+1}` units in the last place at a distance of k cells. Instead, in cells of width 1, the
integral is split at a knot z half a cell to a cell and a half before y:

.. math:: D_L^\alpha B(y) = \int^z \frac{B(t) (y - t)^{-1-\alpha}}{\Gamma(-\alpha)}\, dt
          + \frac{B(z) (y - z)^{-\alpha}}{\Gamma(1 - \alpha)}
          + \frac{B'(z) (y - z)^{1-\alpha}}{\Gamma(2 - \alpha)}
          + \int_z^y \frac{B''(t) (y - t)^{1-\alpha}}{\Gamma(2 - \alpha)}\, dt

(for :math:`\alpha < 1`, the last two terms are one integral of :math:`B'`). The first integrand has
one sign, so that nothing cancels, however far: a Gauss rule on each cell, or the series of the
moments of B. The others are no larger than B is about z. The last takes the Gauss-Jacobi rule of
the weight :math:`(y - t)^{1-\alpha}`, exact for the polynomial :math:`B''`. The Caputo derivative
is that without what B and its slope contribute at the end of the interval.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import factorial, poch, rgamma, roots_jacobi, roots_legendre

from numerics.arrays import Array, as_arrays, as_float, check_choice, check_real
from numerics.bsplines import bernstein, check_space, spline_pieces

if TYPE_CHECKING:
    from solvers.riesz._numba import Table

KINDS = ("riemann-liouville", "caputo")


def bspline_fractional_derivative(
    x: Array,
    n: int,
    p: int,
    alpha: float,
    *,
    side: str = "riesz",
    kind: str = "riemann-liouville",
) -> Array:
    r"""Fractional derivatives of all B-splines of degree p on n equal cells of [0, 1].

    .. math:: D_{ij} = (D^\alpha B_j)(x_i), \qquad
              R = \frac{D_L^\alpha + D_R^\alpha}{2 \cos(\pi\alpha/2)} = (-\Delta)^{\alpha/2}.

    Note the sign of the Riesz operator: it is the positive one, :math:`-u''` for
    :math:`\alpha \to 2`. At an end of the interval where a derivative is infinite, so is the
    result.

    Parameters
    ----------
    x : array, shape (m,)
        Points in [0, 1]. No knots inside the interval where p = 1 and alpha >= 1.
    n : int
        Number of cells, at least 1.
    p : int
        Degree, 1 to 10.
    alpha : float
        Order, 0 < alpha < 2; not 1 where ``side="riesz"``.
    side : {"riesz", "left", "right"}
    kind : {"riemann-liouville", "caputo"}
        They differ for splines that do not vanish, or have a slope, at the end where the
        integral begins.

    Returns
    -------
    array, shape (m, n + p)
        In the kind and precision of ``x``.

    Raises
    ------
    TypeError
        For complex ``x``, for tensors that require a gradient, and for ``n`` or ``p`` that are no
        integers.
    ValueError
        For values out of range.

    References
    ----------
    Mazza, Donatelli, Manni, Speleers, arXiv 2106.14834.

    Examples
    --------
    The splines sum to 1, whose left derivative is :math:`x^{-\alpha}/\Gamma(1 - \alpha)`.

    >>> import numpy as np
    >>> D = bspline_fractional_derivative(np.array([0.25]), 8, 3, 0.5, side="left")
    >>> bool(abs(D.sum() - 2 / np.sqrt(np.pi)) < 1e-14)
    True
    """
    frame, x = as_arrays(x=x)
    check_real("x", x, frame)
    if x.ndim != 1:
        raise ValueError(f"x must have shape (m,), got {tuple(x.shape)}")
    n, p = check_space(n, p)
    check_choice("side", side, ("left", "right", "riesz"))
    check_choice("kind", kind, KINDS)
    alpha = check_order(alpha, side)
    if frame.is_torch and x.requires_grad:
        raise TypeError("x must not require a gradient: these derivatives have none to give")
    host = np.asarray(x.detach().cpu() if frame.is_torch else x, dtype=np.float64)
    if np.any((host < 0) | (host > 1)):
        raise ValueError(f"x must lie in [0, 1], got values from {host.min()} to {host.max()}")
    y = host * n
    if p == 1 and alpha >= 1 and np.any((y == np.rint(y)) & (host > 0) & (host < 1)):
        raise ValueError(f"x must avoid the knots for p = 1 and alpha >= 1, got alpha {alpha}")
    from solvers.riesz import _numba

    out = np.empty((y.size, n + p))
    factor = float(n) ** alpha * (riesz_factor(alpha) if side == "riesz" else 1.0)
    _numba.derivative_matrix(
        shape_table(n, p, alpha),
        n,
        y,
        n * (1.0 - host),
        factor,
        side != "right",
        side != "left",
        kind == "caputo",
        out,
    )
    return frame.cast(frame.asarray(out))


def check_order(alpha: float, side: str = "left") -> float:
    """Read an order of differentiation between 0 and 2."""
    alpha = as_float("alpha", alpha)
    if not 0 < alpha < 2:
        raise ValueError(f"alpha must lie in (0, 2), got {alpha}")
    if side == "riesz" and alpha == 1:
        raise ValueError("alpha must not be 1 for the Riesz operator, whose two sides cancel there")
    return alpha


def check_riesz_order(alpha: float) -> float:
    """Read an order between 1 and 2, those of the boundary value problems."""
    alpha = as_float("alpha", alpha)
    if not 1 < alpha < 2:
        raise ValueError(f"alpha must lie in (1, 2), got {alpha}")
    return alpha


def riesz_factor(alpha: float) -> float:
    r"""The constant :math:`1 / (2\cos(\pi\alpha/2))`, from the sine where the cosine is small."""
    return 0.5 / math.sin(math.pi * (1.0 - alpha) / 2)


@lru_cache(maxsize=32)
def shape_table(n: int, p: int, alpha: float) -> Table:
    """Shapes of the splines and their quadratures; any n > p gives the same."""
    return _shape_table(min(n, p + 1), p, alpha)


@lru_cache(maxsize=32)
def _shape_table(cells: int, p: int, alpha: float) -> Table:
    from solvers.riesz._numba import COARSE, FINE, Table

    pieces = spline_pieces(cells, p)
    values, slopes = pieces.bezier(0), pieces.bezier(1)
    order = 1 if alpha < 1 else 2
    kink = np.zeros(values.shape[:2])
    if p >= order:
        bend = pieces.bezier(order)
    else:
        # The second derivative of a hat: nothing but jumps of its slope.
        bend = np.zeros((*values.shape[:2], 1))
        after = np.concatenate((slopes[:, 1:, 0], np.zeros((len(slopes), 1))), axis=1)
        kink = after - slopes[:, :, 0]
    rules = {}
    for name, size in (("fine", FINE), ("coarse", COARSE)):
        nodes, weights = roots_legendre(size)
        nodes, weights = (nodes + 1) / 2, weights / 2
        rules[name] = nodes, weights, weights * bernstein(values[:, :, None, :], nodes)
    nodes, weights, mass = rules["fine"]
    coarse, _, coarse_mass = rules["coarse"]
    centre = pieces.count[:, None, None] / 2
    offset = np.arange(p + 1)[:, None] + nodes - centre
    degree = bend.shape[-1] - 1
    jacobi, jacobi_weight = roots_jacobi(degree // 2 + 1, order - 1 - alpha, 0.0)
    return Table(
        p=p,
        cells=cells,
        alpha=alpha,
        order=order,
        far=float(rgamma(-alpha)),
        near=float(rgamma(order - alpha)),
        touching=float(rgamma(order + 1 - alpha)),
        at_value=float(rgamma(1 - alpha)),
        at_slope=float(rgamma(2 - alpha)),
        start=pieces.start,
        width=pieces.count,
        value=np.ascontiguousarray(values[:, :, 0]),
        slope=slopes[:, :, 0] * (order == 2),
        bend=bend,
        kink=kink,
        series=_moment_series(alpha, mass, offset),
        fine=nodes,
        fine_mass=mass,
        bend_rule=weights * bernstein(bend[:, :, None, :], nodes),
        coarse=coarse,
        coarse_mass=coarse_mass,
        jacobi=(jacobi + 1) / 2,
        jacobi_weight=jacobi_weight / jacobi_weight.sum(),
    )


def moved_series(p: int, alpha: float, distance: np.ndarray) -> np.ndarray:
    """Moment series of the cardinal spline about points at a distance from its centre."""
    table = shape_table(p + 1, p, alpha)
    offset = np.arange(p + 1)[:, None] + table.fine - (p + 1) / 2 + distance[:, None, None]
    return _moment_series(alpha, table.fine_mass[p], offset)


def _moment_series(alpha: float, mass: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Coefficients of the powers of 1/d in the integral of B(t) (1 - t/d)^(-1 - alpha)."""
    from solvers.riesz._numba import TERMS

    q = np.arange(TERMS)
    term = np.broadcast_to(mass, offset.shape)
    moments = np.empty((len(offset), TERMS))
    for k in q:
        moments[:, k] = np.sum(term, axis=(1, 2))
        term = term * offset
    return np.asarray(moments * poch(1 + alpha, q) / factorial(q))

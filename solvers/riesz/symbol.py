r"""Symbols of the collocation matrices: what their eigenvalues are distributed as.

Inside, all three matrices are Toeplitz: row i, column j hold the coefficient of :math:`k = i - j`,

.. math:: t_k = R\beta\Bigl(\frac{p+1}{2} + k\Bigr), \qquad
          f(\theta) = \sum_k t_k e^{ik\theta}
          = \sum_{l \in \mathbb{Z}} |\theta + 2\pi l|^\alpha
            \operatorname{sinc}^{p+1} \frac{\theta + 2\pi l}{2},

with :math:`\beta` the cardinal spline of degree p in cells of width 1, R the Riesz operator in the
positive convention :math:`R = (-\Delta)^{\alpha/2}` and :math:`\operatorname{sinc} y = \sin y / y`.
The last sum is one of Hurwitz zeta functions: with :math:`x = |\theta|/2\pi` and
:math:`s = p + 1 - \alpha`,

.. math:: f(\theta) = \frac{(2 \sin(|\theta|/2))^{p+1}}{(2\pi)^s}
          \bigl(Z(s, x) + Z(s, 1 - x)\bigr), \qquad
          Z(s, x) = \sum_{l \ge 0} \frac{(\pm 1)^l}{(x + l)^s},

with the sign - for even p. It has one zero, at 0, of order :math:`\alpha`; for odd p,
:math:`f(\pi) / f(\pi/2) = 2^{\alpha + (1-p)/2}`.
"""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from functools import lru_cache

import numpy as np
from scipy.special import zeta

from numerics.arrays import Array, Frame, as_arrays, as_integer, check_real
from numerics.bsplines import bernstein, check_space, spline_pieces
from solvers.riesz.derivative import check_riesz_order, riesz_factor, shape_table

_LEADING = 32


def riesz_symbol(theta: Array, p: int, alpha: float) -> Array:
    r"""Symbol of the collocation matrices of :math:`R = (-\Delta)^{\alpha/2}`, in cells of width 1.

    .. math:: f(\theta) = \sum_k t_k e^{ik\theta}
              = |\theta|^\alpha \Bigl(1 - \frac{p+1}{24} \theta^2 + \cdots\Bigr)

    Real, even, of period :math:`2\pi`, positive but for its zero at 0. The sign is that of the
    positive operator.

    Parameters
    ----------
    theta : array, any shape
        Angles. Those outside :math:`[-\pi, \pi]` are reduced.
    p : int
        Degree, 2 to 10.
    alpha : float
        Order, 1 < alpha < 2.

    Returns
    -------
    array, shape of ``theta``

    Raises
    ------
    TypeError, ValueError
        For complex angles, and for ``p`` or ``alpha`` out of range.

    References
    ----------
    Mazza, Donatelli, Manni, Speleers, arXiv 2106.14834.

    Examples
    --------
    For odd degrees the values at :math:`\pi` and :math:`\pi/2` have a ratio known in closed form.

    >>> import numpy as np
    >>> half, full = riesz_symbol(np.array([np.pi / 2, np.pi]), 5, 1.5)
    >>> bool(abs(full / half - 2 ** (1.5 - 2)) < 1e-14)
    True
    """
    _, p = check_space(1, p, minimum=2)
    alpha = check_riesz_order(alpha)
    frame, theta, angle = _angles(theta)
    size = np.abs(angle)
    x, s = size / (2 * np.pi), p + 1 - alpha
    nearest = size**alpha * np.sinc(size / (2 * np.pi)) ** (p + 1)
    if p % 2:
        others = zeta(s, 1 + x) + zeta(s, 1 - x)
    else:
        others = _alternating(s, 1 - x) - _alternating(s, 1 + x)
    others *= (2 * np.sin(size / 2)) ** (p + 1) / (2 * np.pi) ** s
    return _result(frame, theta, nearest + others)


def mass_symbol(theta: Array, p: int) -> Array:
    r"""Symbol of the matrices of values :math:`B_j(\xi_i)`.

    .. math:: h(\theta) = \sum_k \beta\Bigl(\frac{p+1}{2} + k\Bigr) e^{ik\theta}

    Real, even and positive.

    Parameters
    ----------
    theta : array, any shape
        Angles.
    p : int
        Degree, 1 to 10.

    Returns
    -------
    array, shape of ``theta``

    Raises
    ------
    TypeError, ValueError
        For complex angles, and for ``p`` out of range.

    Examples
    --------
    >>> import numpy as np
    >>> mass_symbol(np.array([0.0, np.pi]), 3) * 3
    array([3., 1.])
    """
    _, p = check_space(1, p)
    frame, theta, angle = _angles(theta)
    values = cardinal_values(p, 0)
    total = np.full_like(angle, values[0])
    for k, value in enumerate(values[1:], start=1):
        total += 2 * value * np.cos(k * angle)
    return _result(frame, theta, total)


def advection_symbol(theta: Array, p: int) -> Array:
    r"""Symbol of the matrices of derivatives :math:`B_j'(\xi_i)`, in cells of width 1.

    .. math:: g(\theta) = \sum_k \beta'\Bigl(\frac{p+1}{2} + k\Bigr) e^{ik\theta}
              = -i\theta + O(\theta^3)

    Imaginary and odd. The sign comes from k being the row minus the column.

    Parameters
    ----------
    theta : array, any shape
        Angles.
    p : int
        Degree, 2 to 10.

    Returns
    -------
    array, shape of ``theta``, complex

    Raises
    ------
    TypeError, ValueError
        For complex angles, and for ``p`` out of range.

    Examples
    --------
    For the cubic spline it is :math:`-i \sin\theta`.

    >>> import numpy as np
    >>> bool(abs(advection_symbol(np.array([0.7]), 3)[0] + 1j * np.sin(0.7)) < 1e-15)
    True
    """
    _, p = check_space(1, p, minimum=2)
    frame, theta, angle = _angles(theta)
    total = np.zeros_like(angle)
    for k, value in enumerate(cardinal_values(p, 1)[1:], start=1):
        total += 2 * value * np.sin(k * angle)
    return _result(frame, theta, 1j * total)


def riesz_toeplitz_coefficients(p: int, alpha: float, num: int) -> np.ndarray:
    r"""Riesz derivative of the cardinal spline at its centre and whole cells away from it.

    .. math:: t_k = (R\beta)\Bigl(\frac{p+1}{2} + k\Bigr)
              = -\frac{\Gamma(1+\alpha)}{\pi} \sin\frac{\pi\alpha}{2}\, k^{-1-\alpha}
                \Bigl(1 + \frac{(1+\alpha)(2+\alpha)(p+1)}{24 k^2} + \cdots\Bigr),

    for the positive operator :math:`R = (-\Delta)^{\alpha/2}`: :math:`t_0 > 0` and
    :math:`t_0 + 2\sum_{k \ge 1} t_k = 0`. Each is right to 2e-13 of itself, however far, and the
    first 32 up to one common rounding.

    Parameters
    ----------
    p : int
        Degree, 2 to 10.
    alpha : float
        Order, 1 < alpha < 2.
    num : int
        Number of coefficients, at least 1.

    Returns
    -------
    array, shape (num,), float64

    Raises
    ------
    TypeError, ValueError
        For arguments out of range.

    References
    ----------
    Mazza, Donatelli, Manni, Speleers, arXiv 2106.14834.

    Examples
    --------
    They are the Fourier coefficients of the symbol.

    >>> import numpy as np
    >>> t = riesz_toeplitz_coefficients(4, 1.5, 3)
    >>> theta = np.pi * (np.arange(1 << 12) + 0.5) / (1 << 12)
    >>> f = riesz_symbol(theta, 4, 1.5)
    >>> bool(np.allclose(t, [np.mean(f * np.cos(k * theta)) for k in range(3)], atol=1e-9))
    True
    """
    _, p = check_space(1, p, minimum=2)
    alpha = check_riesz_order(alpha)
    num = as_integer("num", num, minimum=1)
    from solvers.riesz import _numba

    out = np.empty(num)
    _numba.toeplitz_column(shape_table(p + 1, p, alpha), riesz_factor(alpha), out)
    head = leading_coefficients(p, alpha)[:num]
    out[: head.size] = head
    return out


@lru_cache(maxsize=64)
def leading_coefficients(p: int, alpha: float) -> np.ndarray:
    r"""First Toeplitz coefficients, from their finite sum in 60 digits.

    .. math:: t_k = \frac{1}{2\cos(\pi\alpha/2)\,\Gamma(p+1-\alpha)} \sum_{j=0}^{p+1} (-1)^j
              \binom{p+1}{j} g\Bigl(\frac{p+1}{2} + k - j\Bigr), \qquad
              g(y) = |y|^{p-\alpha} (\operatorname{sign} y)^{p+1}.

    All coefficients add up to zero. Where these, the largest, are off by a few units in the last
    place, all in one direction, solutions are off by that times :math:`n^\alpha`.
    """
    with localcontext(prec=60):
        exponent = Decimal(p) - Decimal(alpha)
        powers = [(Decimal(m) / 2) ** exponent for m in range(1, p + 2 + 2 * _LEADING)]
        factor = Decimal(riesz_factor(alpha) / math.gamma(p + 1 - alpha))
        values = []
        for k in range(_LEADING):
            total = Decimal(0)
            for j in range(p + 2):
                twice = p + 1 + 2 * (k - j)
                if twice:
                    sign = (-1) ** j if twice > 0 or p % 2 else -((-1) ** j)
                    total += sign * math.comb(p + 1, j) * powers[abs(twice) - 1]
            values.append(float(factor * total))
    leading = np.array(values)
    leading.setflags(write=False)
    return leading


def cardinal_values(p: int, deriv: int) -> np.ndarray:
    """The cardinal spline, or a derivative, at its centre and whole cells to the right of it."""
    cardinal = spline_pieces(p + 1, p).bezier(deriv)[p]
    return np.array(
        [bernstein(cardinal[c], np.array((p + 1) % 2 / 2)) for c in range((p + 1) // 2, p + 1)]
    )


def _angles(theta: Array) -> tuple[Frame, Array, np.ndarray]:
    frame, theta = as_arrays(theta=theta)
    check_real("theta", theta, frame)
    if frame.is_torch and theta.requires_grad:
        raise TypeError("theta must not require a gradient")
    angle = np.asarray(theta.cpu() if frame.is_torch else theta).astype(np.float64)
    outside = np.abs(angle) > np.pi
    reduced = np.remainder(angle + np.pi, 2 * np.pi) - np.pi
    return frame, theta, np.where(outside, reduced, angle)


def _result(frame: Frame, theta: Array, values: np.ndarray) -> Array:
    return frame.cast(frame.asarray(values.reshape(tuple(theta.shape))))


def _alternating(s: float, x: np.ndarray) -> np.ndarray:
    return 2**-s * (zeta(s, x / 2) - zeta(s, (x + 1) / 2))

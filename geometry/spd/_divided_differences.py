r"""Values and divided differences of the functions of :mod:`geometry.spd.spectral`.

The quotient :math:`f[a, b] = (f(a) - f(b)) / (a - b)` loses all digits when a and b are near. With
:math:`a \ge b` and :math:`\ell = \log a/b`, computed as :math:`\operatorname{log1p}((a - b)/b)`,
these do not, however near or far a and b are:

.. math:: \sqrt{\cdot}: \frac{1}{\sqrt a + \sqrt b}, \qquad
          \frac{1}{\sqrt{\cdot}}: \frac{-1}{\sqrt{ab} (\sqrt a + \sqrt b)}, \qquad
          \log: \frac{\ell}{a - b},

.. math:: \exp: e^a \, \frac{1 - e^{-(a - b)}}{a - b}, \qquad
          \lambda^\theta: \operatorname{sgn}(\theta) \max(a^\theta, b^\theta) \,
          \frac{1 - e^{-|\theta| \ell}}{a - b},

with their limits at :math:`a = b`. Second differences have closed forms for the roots; for the
others the widest pair of the three is divided by, or, when all three are near, their Taylor series
about the mean is summed.
"""

from __future__ import annotations

import numpy as np

from numerics.arrays import Array, Frame

_NEAR = 0.02  # gap to the size of the eigenvalues below which the series is taken
_DEGREE = 8  # of the series: what is left out is below 1e-14 of the first term


def spectral_values(frame: Frame, w: Array, name: str, theta: Array | None = None) -> Array:
    r"""Values of a function at the eigenvalues ``w`` (..., n).

    Besides the public ones there are "log1p", :math:`\log(1 + w)`, "power_log",
    :math:`w^\theta \log w`, the derivative of "power" with respect to the exponent, and
    "power_log_log", the next one.
    """
    xp = frame.xp
    if name == "exp":
        return xp.exp(w)
    if name == "log1p":
        return xp.log1p(w)
    w = xp.clip(w, min=0)
    if name == "sqrt":
        return xp.sqrt(w)
    if name == "invsqrt":
        return 1 / xp.sqrt(w)
    if name == "log":
        return xp.log(w)
    assert theta is not None
    power = w ** theta[..., None]
    if name == "power":
        return power
    # The limit at zero is zero for the exponents that are of use there.
    log = xp.log(xp.where(w > 0, w, xp.ones_like(w)))
    return power * log if name == "power_log" else power * log**2


def divided_differences(frame: Frame, w: Array, name: str, theta: Array | None = None) -> Array:
    r"""Divided differences :math:`f[w_i, w_j]` (..., n, n), accurate whatever the gap."""
    xp = frame.xp
    if name not in ("exp", "log1p"):
        w = xp.clip(w, min=0)
    if name in ("sqrt", "invsqrt"):
        root = xp.sqrt(w)
        x, y = root[..., :, None], root[..., None, :]
        return 1 / (x + y) if name == "sqrt" else -1 / (x * y * (x + y))
    gap = xp.abs(w[..., :, None] - w[..., None, :])
    one = xp.ones_like(gap)
    divisor = xp.where(gap > 0, gap, one)
    if name == "exp":
        f = xp.exp(w)
        largest = xp.maximum(f[..., :, None], f[..., None, :])
        return largest * xp.where(gap > 0, -xp.expm1(-gap) / divisor, one)
    low = xp.minimum(w[..., :, None], w[..., None, :])
    if name == "log1p":
        low = 1 + low
    ratio = xp.where(low > 0, xp.log1p(gap / xp.where(low > 0, low, one)), xp.inf * one)
    log = xp.where(gap > 0, ratio / divisor, 1 / low)
    if name in ("log", "log1p"):
        return log
    assert theta is not None
    f, exponent = spectral_values(frame, w, "power", theta), theta[..., None, None]
    largest = xp.maximum(f[..., :, None], f[..., None, :])
    quotient = xp.sign(exponent) * largest * -xp.expm1(-xp.abs(exponent) * ratio) / divisor
    power = xp.where(gap > 0, quotient, exponent * largest / low)
    return power if name == "power" else _power_log_differences(frame, w, f, log, power)


def _power_log_differences(frame: Frame, w: Array, f: Array, log: Array, power: Array) -> Array:
    """Differences of f log w: by the product rule for the near, the quotient for the far."""
    xp = frame.xp
    logs = xp.log(w)
    values = f * logs
    a, b = w[..., :, None], w[..., None, :]
    product = (f[..., :, None] + f[..., None, :]) * log
    product = (product + (logs[..., :, None] + logs[..., None, :]) * power) / 2
    quotient = (values[..., :, None] - values[..., None, :]) / xp.where(a == b, 1.0 + a, a - b)
    return xp.where(xp.abs(a - b) > xp.minimum(a, b), quotient, product)


def second_divided_differences(
    frame: Frame, w: Array, name: str, theta: Array | None = None
) -> Array:
    r"""Second divided differences :math:`f[w_i, w_j, w_k]` (..., n, n, n); ``w`` is sorted."""
    xp = frame.xp
    if name in ("sqrt", "invsqrt"):
        root = xp.sqrt(xp.clip(w, min=0))
        x, y, z = root[..., :, None, None], root[..., None, :, None], root[..., None, None, :]
        sums = (x + y) * (y + z) * (x + z)
        return -1 / sums if name == "sqrt" else (x + y + z) / (x * y * z * sums)
    F = divided_differences(frame, w, name, theta)
    triples = np.sort(np.indices((w.shape[-1],) * 3), axis=0)
    first, middle, last = (xp.asarray(index, device=frame.device) for index in triples)
    gap = w[..., last] - w[..., first]
    scale = xp.ones_like(gap) if name == "exp" else xp.maximum(w[..., last], w[..., first])
    if name == "log1p":
        scale = 1 + scale
    near = xp.abs(gap) < _NEAR * scale
    divisor = xp.where(gap == 0, xp.ones_like(gap), gap)
    quotient = (F[..., middle, last] - F[..., first, middle]) / divisor
    points = (w[..., first], w[..., middle], w[..., last])
    return xp.where(near, _series(frame, points, name, theta), quotient)


def _series(
    frame: Frame, points: tuple[Array, Array, Array], name: str, theta: Array | None
) -> Array:
    r"""Second divided difference of three near points.

    About their mean it is :math:`\sum_k f^{(k)}(m) / k! \, h_{k-2}`, h the complete homogeneous
    symmetric polynomials of the deviations, for whose sum of zero
    :math:`h_k = e_3 h_{k-3} - e_2 h_{k-2}`.
    """
    xp = frame.xp
    mean = (points[0] + points[1] + points[2]) / 3
    x, y, z = (point - mean for point in points)
    e2, e3 = x * y + (x + y) * z, x * y * z
    h = [xp.ones_like(mean), xp.zeros_like(mean), -e2]
    for k in range(3, _DEGREE - 1):
        h.append(e3 * h[k - 3] - e2 * h[k - 2])
    coefficients = _taylor(frame, mean, name, theta)
    total = coefficients[2]
    for k in range(3, _DEGREE + 1):
        total = total + coefficients[k] * h[k - 2]
    return total


def _taylor(frame: Frame, m: Array, name: str, theta: Array | None) -> list[Array]:
    r"""Coefficients :math:`f^{(k)}(m) / k!` for k up to the degree of the series."""
    xp = frame.xp
    if name == "exp":
        terms = [xp.exp(m)]
        for k in range(1, _DEGREE + 1):
            terms.append(terms[-1] / k)
        return terms
    if name in ("log", "log1p"):
        m = m if name == "log" else 1 + m
        terms = [xp.log(m), 1 / m]
        for k in range(2, _DEGREE + 1):
            terms.append(terms[-1] * (1 - k) / (k * m))
        return terms
    assert theta is not None
    exponent = theta[..., None, None, None]
    terms = [m**exponent]
    for k in range(1, _DEGREE + 1):
        terms.append(terms[-1] * (exponent - k + 1) / (k * m))
    if name == "power":
        return terms
    # The derivative of each coefficient with respect to the exponent.
    slopes = [terms[0] * xp.log(m)]
    for k in range(1, _DEGREE + 1):
        slopes.append((slopes[-1] * (exponent - k + 1) + terms[k - 1]) / (k * m))
    return slopes

"""A smooth solution with a known image, on which every scheme can show its order; and the
fractional derivatives of splines in high precision."""

from __future__ import annotations

from math import comb, cos, gamma, pi

import mpmath
import pytest


def _left(y, alpha):
    return sum(
        (-1) ** j * comb(4, j) * gamma(5 + j) / gamma(5 + j - alpha) * y ** (4 + j - alpha)
        for j in range(5)
    )


@pytest.fixture
def bump():
    """The function u(x) = x^4 (1-x)^4."""
    return lambda x: (x * (1 - x)) ** 4


@pytest.fixture
def riesz_of_bump():
    """Its image R u(x), as a function of x and alpha, from the derivatives of powers."""
    return lambda x, alpha: (_left(x, alpha) + _left(1 - x, alpha)) / (2 * cos(pi * alpha / 2))


@pytest.fixture
def precise_left():
    """Left derivative of spline j at y, in cells of width 1, as a function of (n, p, alpha, j, y).

    A spline is a divided difference in its knots of truncated powers, whose derivatives are
    truncated powers. That loses k^(p+1) in the last place at k cells: 110 digits keep 50 and more
    for p <= 10 and k <= 1e5. With ``kind="caputo"`` the derivatives of the value and the slope at
    the left end are taken off.
    """
    return _precise_left


@pytest.fixture
def precise_riesz():
    """The Riesz operator on spline j at y, likewise."""

    def riesz(n, p, alpha, j, y, kind="riemann-liouville"):
        with mpmath.workdps(110):
            both = _precise_left(n, p, alpha, j, y, kind)
            both += _precise_left(n, p, alpha, n + p - 1 - j, n - y, kind)
            return both / (2 * mpmath.cos(mpmath.pi * mpmath.mpf(alpha) / 2))

    return riesz


def _precise_left(n, p, alpha, j, y, kind="riemann-liouville"):
    with mpmath.workdps(110):
        order, y = mpmath.mpf(alpha), mpmath.mpf(y)
        knots = [min(max(k - p, 0), n) for k in range(j, j + p + 2)]

        def entry(knot, r):
            """r-th derivative by the knot, over r!, of what stands for (y - knot)_+^p."""
            if y <= knot:
                return mpmath.mpf(0)
            factor = mpmath.gamma(p + 1) * mpmath.rgamma(p + 1 - order - r) * (-1) ** r
            return factor * (y - knot) ** (p - order - r) / mpmath.factorial(r)

        row = [entry(knot, 0) for knot in knots]
        for r in range(1, p + 2):
            row = [
                entry(knots[i], r)
                if knots[i] == knots[i + r]
                else (row[i + 1] - row[i]) / (knots[i + r] - knots[i])
                for i in range(p + 2 - r)
            ]
        value = (-1) ** (p + 1) * (knots[-1] - knots[0]) * row[0]
        if kind == "caputo" and y > 0:
            at_end = {0: (1, -p), 1: (0, p)}.get(j, (0, 0))
            value -= at_end[0] * y**-order * mpmath.rgamma(1 - order)
            if alpha > 1:
                value -= at_end[1] * y ** (1 - order) * mpmath.rgamma(2 - order)
        return value

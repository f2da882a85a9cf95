r"""Problems with known answers for the Riesz operator, and one of them in 50 digits.

The operator is positive, :math:`R = (-\Delta)^{\alpha/2}` on functions continued by zero. For
:math:`u = \sum_k c_k x^k` the left derivative is
:math:`D_L^\alpha u = \sum_k c_k \Gamma(k+1)/\Gamma(k+1-\alpha)\, x^{k-\alpha}` and the right one
its mirror image. The reference in many digits takes every spline apart into truncated powers, which
double precision cannot afford.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np

_DEGREE = 4


def bump(x: np.ndarray, q: int = _DEGREE) -> np.ndarray:
    """The function (x (1 - x))^q, which has q - 1 vanishing derivatives at either end."""
    return (x * (1 - x)) ** q


def bump_slope(x: np.ndarray, q: int = _DEGREE) -> np.ndarray:
    """Its first derivative."""
    return q * (x * (1 - x)) ** (q - 1) * (1 - 2 * x)


def bump_left(x: np.ndarray, alpha: float, q: int = _DEGREE) -> np.ndarray:
    """Its left Riemann-Liouville derivative of order alpha < q."""
    weights = [
        (-1) ** k * math.comb(q, k) * math.gamma(q + k + 1) / math.gamma(q + k + 1 - alpha)
        for k in range(q + 1)
    ]
    return x ** (q - alpha) * np.polynomial.polynomial.polyval(x, weights)


def bump_riesz(x: np.ndarray, alpha: float, q: int = _DEGREE) -> np.ndarray:
    """The Riesz operator applied to it."""
    both = bump_left(x, alpha, q) + bump_left(1 - x, alpha, q)
    return both / (2 * math.cos(math.pi * alpha / 2))


def torsion(x: np.ndarray, alpha: float) -> np.ndarray:
    """The solution of R u = 1, which is singular at both ends."""
    return np.maximum(x * (1 - x), 0.0) ** (alpha / 2) / math.gamma(1 + alpha)


def error_in_many_digits(n: int, p: int, alpha: float, points: Any, *, digits: int = 50) -> float:
    r"""Largest error at `points` of the collocation solution of R u = f, u = (x (1 - x))^4.

    Every spline is a sum of truncated powers :math:`c\,(y - \tau)_+^r`, with c from the jumps of
    its derivatives, in exact fractions, and the derivative of each is a truncated power again. The
    system is assembled and solved with `digits` digits.
    """
    knots = [0] * p + list(range(n + 1)) + [n] * p
    splines = [_truncated_powers(knots, j, p) for j in range(1, n + p - 1)]
    nodes = [Fraction(sum(knots[i + 1 : i + p + 1]), p) for i in range(1, n + p - 1)]
    N = len(nodes)
    with mpmath.workdps(digits):
        order = mpmath.mpf(alpha)
        left = mpmath.matrix(N, N)
        for i, node in enumerate(nodes):
            y = mpmath.mpf(node.numerator) / node.denominator
            for j, spline in enumerate(splines):
                left[i, j] = _left_derivative(spline, y, order)
        cosine = 2 * mpmath.cos(mpmath.pi * order / 2)
        A, f = mpmath.matrix(N, N), mpmath.matrix(N, 1)
        for i, node in enumerate(nodes):
            x = mpmath.mpf(node.numerator) / (node.denominator * n)
            f[i] = (_bump_left(x, order) + _bump_left(1 - x, order)) / cosine
            for j in range(N):
                mirrored = left[N - 1 - i, N - 1 - j]
                A[i, j] = n**order * (left[i, j] + mirrored) / cosine
        coefficients = list(mpmath.lu_solve(A, f))
        worst = mpmath.mpf(0)
        for point in points:
            x = mpmath.mpf(float(point))
            terms = zip(coefficients, splines, strict=True)
            value = mpmath.fsum(c * _value(spline, n * x) for c, spline in terms)
            worst = max(worst, abs(value - (x * (1 - x)) ** 4))
    return float(worst)


_Powers = list[tuple[int, int, Fraction]]


def _truncated_powers(knots: list[int], j: int, p: int) -> _Powers:
    """Knot, exponent and weight of every truncated power in the j-th spline."""
    first, last = knots[j], knots[j + p + 1]
    zero = [Fraction(0)] * (p + 1)
    cells = [_piece(knots, j, p, cell) for cell in range(first, last)]
    terms: _Powers = []
    before = zero
    for knot, after in zip(range(first, last + 1), [*cells, zero], strict=True):
        jump = [b - a for a, b in zip(before, after, strict=True)]
        for r in range(p + 1):
            weight = sum(jump[k] * math.comb(k, r) * knot ** (k - r) for k in range(r, p + 1))
            if weight:
                terms.append((knot, r, Fraction(weight)))
        before = after
    return terms


def _piece(knots: list[int], j: int, p: int, cell: int) -> list[Fraction]:
    """Coefficients of the j-th spline on one cell, by the recursion of Cox and de Boor."""
    if p == 0:
        return [Fraction(int(knots[j] <= cell < knots[j + 1]))]
    total = [Fraction(0)] * (p + 1)
    rising, falling = knots[j + p] - knots[j], knots[j + p + 1] - knots[j + 1]
    if rising:
        for k, c in enumerate(_piece(knots, j, p - 1, cell)):
            total[k] -= c * knots[j] / rising
            total[k + 1] += c / rising
    if falling:
        for k, c in enumerate(_piece(knots, j + 1, p - 1, cell)):
            total[k] += c * knots[j + p + 1] / falling
            total[k + 1] -= c / falling
    return total


def _left_derivative(spline: _Powers, y: Any, order: Any) -> Any:
    return mpmath.fsum(
        _as_real(c) * mpmath.gamma(r + 1) / mpmath.gamma(r + 1 - order) * (y - knot) ** (r - order)
        for knot, r, c in spline
        if knot < y
    )


def _value(spline: _Powers, y: Any) -> Any:
    return mpmath.fsum(_as_real(c) * (y - knot) ** r for knot, r, c in spline if knot < y)


def _bump_left(x: Any, order: Any) -> Any:
    return mpmath.fsum(
        (-1) ** k
        * mpmath.binomial(4, k)
        * mpmath.gamma(5 + k)
        / mpmath.gamma(5 + k - order)
        * x ** (4 + k - order)
        for k in range(5)
    )


def _as_real(fraction: Fraction) -> Any:
    return mpmath.mpf(fraction.numerator) / fraction.denominator

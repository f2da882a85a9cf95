r"""Envelopes of the components of a spectral mixture, with derivatives to any order they have.

In a variable t without dimension, the Gaussian has :math:`G(t) = e^{-t^2/2}`,
:math:`G^{(n)}(t) = (-1)^n \mathrm{He}_n(t) e^{-t^2/2}`, and the Matern function of smoothness
:math:`\nu = p + 1/2`

.. math:: G(t) = e^{-z} \frac{p!}{(2p)!} \sum_{i=0}^{p} \frac{(p+i)!}{i!\,(p-i)!} (2z)^{p-i},
          \qquad z = |t|, \qquad
          G^{(n)}(t) = \operatorname{sgn}(t)^n P_n(z) e^{-z}, \quad P_{n+1} = P_n' - P_n.

The coefficients of :math:`P_n` come from rational arithmetic. An odd :math:`P_n` with n < 2p has no
constant term, so that :math:`\operatorname{sgn}(t) P_n(z) = t\, P_n(z)/z` keeps all its digits at
the smallest t. The derivative of order 2p + 1 jumps at 0: there are no more than 2p.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache
from typing import Any

from numerics.arrays import Array, as_float, check_choice

ENVELOPES = ("gaussian", "matern")
MAX_NU = 20.5
_NOTHING_LEFT = 800.0  # where exp(-z) is 0 and a power of z is still finite


def check_envelope(envelope: str, nu: float) -> int | None:
    """Read an envelope: p for the Matern function of smoothness p + 1/2, None for the Gaussian."""
    check_choice("envelope", envelope, ENVELOPES)
    if envelope == "gaussian":
        return None
    nu = as_float("nu", nu)
    if not 0.5 <= nu <= MAX_NU or (nu - 0.5) % 1 != 0:
        raise ValueError(f"nu must be a half-integer 1/2, 3/2, ..., {MAX_NU}, got {nu}")
    return int(nu - 0.5)


def rate(p: int | None) -> float:
    """Quotient of the rate a in t = a r and the spectral scale."""
    return 2 * math.pi * (1.0 if p is None else math.sqrt(2 * p + 1))


def envelope_at(xp: Any, t: Array, p: int | None) -> tuple[Array, Array]:
    """The variable of the derivatives' polynomials at t, and the exponential that they multiply."""
    if p is None:
        square = t * t
        return square, xp.exp(-0.5 * square)
    # Of the two slopes of |t| at 0, the right one: with it, autograd finds the even derivatives at
    # 0 that it loses with the slope 0.
    z = xp.clip(xp.where(t >= 0, t, -t), None, _NOTHING_LEFT)
    return z, xp.exp(-z)


def derivative_polynomial(p: int | None, n: int) -> tuple[float, ...]:
    """Coefficients of the n-th derivative, lowest power first, without t where n is odd.

    The polynomial is in t^2 for the Gaussian and in z for the Matern function.
    """
    return _hermite(n)[n % 2 :: 2] if p is None else _matern(p, n)[n % 2 :]


@lru_cache(maxsize=64)
def _hermite(n: int) -> tuple[float, ...]:
    """Coefficients of (-1)^n He_n, from G' = -t G."""
    current = [1]
    for _ in range(n):
        derived = [*[k * c for k, c in enumerate(current)][1:], 0, 0]
        times_t = [0, *current]
        current = [d - c for d, c in zip(derived, times_t, strict=True)]
    return tuple(map(float, current))


@lru_cache(maxsize=256)
def _matern(p: int, n: int) -> tuple[float, ...]:
    """Coefficients of P_n."""
    current = [
        Fraction(
            math.factorial(p) * math.factorial(2 * p - k) * 2**k,
            math.factorial(2 * p) * math.factorial(p - k) * math.factorial(k),
        )
        for k in range(p + 1)
    ]
    for _ in range(n):
        derived = [*[k * c for k, c in enumerate(current)][1:], Fraction(0)]
        current = [d - c for d, c in zip(derived, current, strict=True)]
    return tuple(map(float, current))

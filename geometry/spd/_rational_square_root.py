r"""Partial fractions of the square root, after Hale, Higham and Trefethen.

With the elliptic functions of modulus k' complementary to :math:`k`, :math:`k^2` the ratio of the
ends of the interval, the midpoint rule of N points turns an integral for the square root into

.. math:: \sqrt x \approx \sum_{j=1}^N c_j \frac{x}{x + \sigma_j}, \qquad
          \sigma_j = k^2 \operatorname{sc}^2 \tau_j, \quad
          c_j = \frac{2 k K'}{\pi N} \frac{\operatorname{dn} \tau_j}{\operatorname{cn}^2 \tau_j},
          \quad \tau_j = \frac{(j - 1/2) K'}{N},

with a relative error that falls exponentially with N, uniformly on :math:`[k^2, 1]`.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from scipy.special import ellipkm1

_CLASSES = 8
_DECADES = 4


@functools.cache
def square_root_fractions() -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights (8, N) to rounding level on [1e-4, 1], [1e-8, 1], ..., [1e-32, 1].

    Rows are filled up with nodes of weight zero.
    """
    rows = [_fractions(10.0 ** (_DECADES * (c + 1))) for c in range(_CLASSES)]
    most = len(rows[-1][0])
    nodes, weights = np.ones((_CLASSES, most)), np.zeros((_CLASSES, most))
    for c, (node, weight) in enumerate(rows):
        nodes[c, : len(node)], weights[c, : len(node)] = node, weight
    return nodes, weights


def _fractions(ratio: float) -> tuple[np.ndarray, np.ndarray]:
    N = 8 * math.ceil((8 + 1.8 * math.log(ratio)) / 8)
    k = ratio**-0.5
    K = ellipkm1(k * k)
    sc, dn = _elliptic((np.arange(N) + 0.5) * (K / N), k)
    return (k * sc) ** 2, 2 * K * k / (math.pi * N) * dn * (1 + sc**2)


def _elliptic(u: np.ndarray, k: float) -> tuple[np.ndarray, np.ndarray]:
    """Functions sc and dn of the modulus complementary to k, by descending transformations.

    SciPy takes the square of the modulus, and no double number is that near to 1.
    """
    a, b, means = 1.0, k, []
    while True:
        means.append((a, b))
        c = (a + b) / 2
        if abs(a - b) <= 1e-9 * a:
            break
        a, b = c, math.sqrt(a * b)
    x = 1 / np.tan(c * u)
    y, dn = c * x, np.ones_like(u)
    for a, b in reversed(means):
        x, y = x * y, y * dn
        dn = (b + x) / (a + x)
        x = y / a
    return 1 / x, dn

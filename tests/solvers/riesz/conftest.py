"""A smooth solution with a known image, on which every scheme can show its order."""

from __future__ import annotations

from math import comb, cos, gamma, pi

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

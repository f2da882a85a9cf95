from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import BSpline
from scipy.special import gamma

from solvers import advection_symbol, mass_symbol, riesz_symbol, riesz_toeplitz_coefficients

DEGREES = st.integers(2, 10)
ORDERS = st.floats(1.01, 1.99)


@pytest.mark.parametrize("p", [2, 3, 4, 5, 6, 8, 10])
@pytest.mark.parametrize("alpha", [1.1, 1.2, 1.5, 1.8, 1.99])
def test_coefficients_against_fifty_digits(p, alpha, precise_riesz):
    """At 2e-13 of themselves to a distance of 1e5 cells, where the powers lose 1e5^(p+1)."""
    t = riesz_toeplitz_coefficients(p, alpha, 100_001)
    far = 100_000
    for k in [*range(2 * p + 6), 100, 1000, 4096, 20_001, far]:
        n = far + p + 2  # the cardinal spline p, and points to its right that fit
        exact = precise_riesz(n, p, alpha, p, mpmath.mpf(p + 1) / 2 + k)
        assert abs(t[k] / exact - 1) < 2e-13, k


@pytest.mark.parametrize("p", [2, 5, 6, 10])
@pytest.mark.parametrize("alpha", [1.01, 1.5, 1.9])
def test_first_coefficients_share_one_rounding(p, alpha, precise_riesz):
    """Of the common factor; each then has one of its own, two units at the most."""
    t = riesz_toeplitz_coefficients(p, alpha, 32)
    exact = [precise_riesz(40 + p, p, alpha, p, mpmath.mpf(p + 1) / 2 + k) for k in range(32)]
    ratio = np.array([float(t[k] / exact[k] - t[0] / exact[0]) for k in range(32)])
    assert np.abs(ratio).max() < 2 * np.finfo(float).eps


@given(p=DEGREES, alpha=ORDERS)
def test_coefficients_sum_to_the_zero_of_the_symbol(p, alpha):
    """What the first K leave of the sum is known from the tail, to O(K^-2) of itself."""
    K = 20_000
    t = riesz_toeplitz_coefficients(p, alpha, K + 1)
    assert t[0] > 0
    half_last = t[K]  # the trapezoidal end of the sum over the tail
    tail = 2 * gamma(1 + alpha) * math.sin(math.pi * alpha / 2) / (math.pi * alpha) * K**-alpha
    left = t[0] + 2 * t[1:].sum() - half_last
    np.testing.assert_allclose(left, tail, rtol=1e-6, atol=1e-14 * t[0] * K**0.5)


def test_negative_beyond_the_first_for_degrees_up_to_six():
    """An M-matrix there; degree 8 has one positive coefficient beside t_0."""
    for alpha in (1.2, 1.5, 1.8):
        for p in range(2, 7):
            assert np.all(riesz_toeplitz_coefficients(p, alpha, 200)[1:] < 0)
    assert np.sum(riesz_toeplitz_coefficients(8, 1.2, 200)[1:] > 0) == 1


@pytest.mark.parametrize("p", [2, 3, 6, 9])
@pytest.mark.parametrize("alpha", [1.1, 1.5, 1.9])
def test_symbol_is_the_sum_over_the_coefficients(p, alpha):
    """The tail of the sum, summed by parts from the two last coefficients, leaves O(K^-2-alpha)."""
    K = 4000
    t = riesz_toeplitz_coefficients(p, alpha, K + 1)
    theta = np.array([0.5, 1.0, 2.0, math.pi])
    total = t[0] + 2 * np.cos(np.outer(theta, np.arange(1, K))) @ t[1:K]
    edge = t[K] * np.exp(1j * theta * K) / (1 - np.exp(1j * theta))
    np.testing.assert_allclose(riesz_symbol(theta, p, alpha), total + 2 * edge.real, atol=1e-9)


@pytest.mark.parametrize("p", [2, 3, 4, 7, 10])
@pytest.mark.parametrize("alpha", [1.05, 1.5, 1.95])
def test_symbol_against_high_precision(p, alpha):
    theta = np.array([1e-300, 1e-9, 1e-6, 0.01, 0.7, 1.6, 2.9, math.pi])
    with mpmath.workdps(60):
        s, reference = p + 1 - mpmath.mpf(alpha), []
        for value in theta:
            x = mpmath.mpf(value) / (2 * mpmath.pi)
            if p % 2:
                both = mpmath.zeta(s, x) + mpmath.zeta(s, 1 - x)
            else:
                both = sum(
                    (mpmath.zeta(s, y / 2) - mpmath.zeta(s, (y + 1) / 2)) / 2**s for y in (x, 1 - x)
                )
            front = (2 * mpmath.sin(mpmath.mpf(value) / 2)) ** (p + 1) / (2 * mpmath.pi) ** s
            reference.append(float(front * both))
    np.testing.assert_allclose(riesz_symbol(theta, p, alpha), reference, rtol=2e-14)


# Maximum of f, where it is, and f(pi): (alpha, p): values computed to the digits given.
@pytest.mark.parametrize(
    ("alpha", "p", "largest", "where", "end"),
    [
        (1.2, 2, 1.830476, math.pi, 1.830476),
        (1.2, 3, 1.386424, 2.788, 1.385769),
        (1.2, 8, 0.721828, 1.248, 0.1356594),
        (1.5, 4, 1.266095, 2.021, 1.142885),
        (1.5, 6, 0.946068, 1.578, 0.4709090),
        (1.8, 3, 3.007273, math.pi, 3.007273),
        (1.8, 6, 1.101789, 1.733, 0.6633010),
    ],
)
def test_maxima_of_the_symbol(alpha, p, largest, where, end):
    theta = np.linspace(0, math.pi, 20_001)
    f = riesz_symbol(theta, p, alpha)
    np.testing.assert_allclose(f.max(), largest, rtol=1e-6)
    np.testing.assert_allclose(theta[f.argmax()], where, atol=1e-3)
    np.testing.assert_allclose(f[-1], end, rtol=1e-6)


@given(p=DEGREES, alpha=ORDERS)
def test_zero_of_order_alpha(p, alpha):
    theta = np.array([1e-100, 1e-8, 1e-3])
    ratio = riesz_symbol(theta, p, alpha) / theta**alpha
    expected = 1 - (p + 1) / 24 * theta**2
    # Beyond this come terms in theta^4 and, for the lowest degrees, theta^(p + 1 - alpha).
    order = min(4.0, p + 1 - alpha)
    np.testing.assert_array_less(np.abs(ratio - expected), 1e-13 + 2 * theta**order)
    assert riesz_symbol(np.zeros(1), p, alpha)[0] == 0


@given(q=st.integers(1, 4), alpha=ORDERS)
def test_odd_degrees_have_a_known_ratio(q, alpha):
    p = 2 * q + 1
    half, full = riesz_symbol(np.array([math.pi / 2, math.pi]), p, alpha)
    np.testing.assert_allclose(full / half, 2 ** (alpha + (1 - p) / 2), rtol=1e-14)


@given(q=st.integers(1, 5), alpha=ORDERS)
def test_even_degrees_stay_below_it(q, alpha):
    p = 2 * q
    half, full = riesz_symbol(np.array([math.pi / 2, math.pi]), p, alpha)
    assert full / half < 2 ** (alpha + (1 - p) / 2)


@given(p=DEGREES, alpha=ORDERS, theta=st.floats(-60, 60))
def test_even_and_periodic(p, alpha, theta):
    angles = np.array([theta, -theta, theta + 2 * math.pi])
    f = riesz_symbol(angles, p, alpha)
    h, g = mass_symbol(angles, p), advection_symbol(angles, p)
    assert np.all(f >= 0)
    assert np.all(h > 0)
    # Shifting and reducing the angle rounds it by units of 1e-14; |f'| < 2 pi^2.
    np.testing.assert_allclose(f, f[0], atol=1e-12)
    np.testing.assert_allclose(h, h[0], atol=1e-13)
    np.testing.assert_allclose(g * [1, -1, 1], g[0], atol=1e-12)


@pytest.mark.parametrize("p", [2, 3, 5, 8, 10])
def test_mass_and_advection_against_scipy(p):
    cardinal = BSpline.basis_element(np.arange(p + 2.0))
    k = np.arange(-(p // 2), p // 2 + 1)
    centre = (p + 1) / 2
    theta = np.linspace(-3, 3, 7)
    waves = np.exp(1j * np.outer(theta, k))
    np.testing.assert_allclose(mass_symbol(theta, p), waves @ cardinal(centre + k), atol=1e-15)
    slopes = cardinal(centre + k, nu=1)
    np.testing.assert_allclose(advection_symbol(theta, p), waves @ slopes, atol=1e-14)
    np.testing.assert_allclose(mass_symbol(np.zeros(1), p), 1, rtol=1e-15)
    small = 1e-4
    np.testing.assert_allclose(advection_symbol(np.array([small]), p) / small, -1j, atol=1e-7)


def test_kinds_of_arrays(xp, rng):
    theta = rng.uniform(-math.pi, math.pi, (3, 4))
    for symbol in (lambda x: riesz_symbol(x, 4, 1.4), lambda x: mass_symbol(x, 4)):
        np.testing.assert_allclose(xp.numpy(symbol(xp.asarray(theta))), symbol(theta), atol=xp.tol)
    g = xp.numpy(advection_symbol(xp.asarray(theta), 4))
    np.testing.assert_allclose(g, advection_symbol(theta, 4), atol=xp.tol)


def test_scalars_and_integers():
    assert riesz_symbol(1.0, 3, 1.5).shape == ()
    np.testing.assert_array_equal(riesz_symbol([1, 2], 3, 1.5), riesz_symbol([1.0, 2.0], 3, 1.5))


@pytest.mark.parametrize(
    ("call", "error", "word"),
    [
        (lambda: riesz_symbol(1j, 3, 1.5), TypeError, "theta must be real"),
        (lambda: riesz_symbol([math.inf], 3, 1.5), ValueError, "theta must be finite"),
        (lambda: riesz_symbol(1.0, 1, 1.5), ValueError, "p must be at least 2"),
        (lambda: riesz_symbol(1.0, 11, 1.5), ValueError, "p must be at most 10"),
        (lambda: riesz_symbol(1.0, 3, 1.0), ValueError, r"alpha must lie in \(1, 2\)"),
        (lambda: riesz_symbol(1.0, 3, 2.0), ValueError, r"alpha must lie in \(1, 2\)"),
        (lambda: mass_symbol(1.0, 0), ValueError, "p must be at least 1"),
        (lambda: advection_symbol(1.0, 1), ValueError, "p must be at least 2"),
        (lambda: riesz_toeplitz_coefficients(3, 1.5, 0), ValueError, "num must be at least 1"),
        (lambda: riesz_toeplitz_coefficients(3, 1.5, 2.0), TypeError, "num must be an integer"),
        (lambda: riesz_toeplitz_coefficients(3, 0.5, 2), ValueError, "alpha must lie in"),
    ],
)
def test_bad_input(call, error, word):
    with pytest.raises(error, match=word):
        call()

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import solve_toeplitz

from solvers import fractional_centred_coefficients


@pytest.mark.parametrize("alpha", [0.3, 1.0, 1.2, 1.5, 1.8, 1.99])
def test_against_gamma_functions_to_forty_digits(alpha):
    """Both sides of the change from recurrence to expansion, and far out."""
    picks = [0, 1, 2, 31, 32, 33, 100, 1000, 99_999]
    g = fractional_centred_coefficients(alpha, 100_000)
    with mpmath.workdps(40):
        a = mpmath.mpf(alpha)
        for k in picks:
            exact = (
                (-1) ** k
                * mpmath.gamma(a + 1)
                * mpmath.rgamma(a / 2 - k + 1)
                * mpmath.rgamma(a / 2 + k + 1)
            )
            assert abs(g[k] - exact) <= 1e-14 * abs(exact)


@given(alpha=st.floats(0.05, 2.0), theta=st.floats(0.3, np.pi))
def test_symbol(alpha, theta):
    """The Fourier series is |2 sin(theta/2)|^alpha. Its tail oscillates, so that cutting it at K
    leaves at most the first term dropped over sin(theta/2)."""
    K = 4000
    g = fractional_centred_coefficients(alpha, K)
    partial = g[0] + 2 * np.sum(g[1:] * np.cos(theta * np.arange(1, K)))
    bound = 2 * abs(g[-1]) / np.sin(theta / 2) + 1e-13
    assert abs(partial - (2 * np.sin(theta / 2)) ** alpha) <= bound


@given(alpha=st.floats(0.05, 1.99), num=st.integers(1, 200))
def test_signs_and_nesting(alpha, num):
    """Positive in the middle, negative and rising to zero beside it; short is a part of long."""
    g = fractional_centred_coefficients(alpha, num)
    assert g[0] > 0
    assert np.all(g[1:] < 0)
    assert np.all(np.diff(g[1:]) > 0)
    np.testing.assert_array_equal(g, fractional_centred_coefficients(alpha, 400)[:num])


@pytest.mark.parametrize(("alpha", "error"), [(1.2, 9.54e-8), (1.5, 1.19e-7), (1.8, 1.43e-7)])
def test_second_order_on_a_smooth_solution(alpha, error, bump, riesz_of_bump):
    """Nodal error at n = 256, and a quarter of it at 512."""
    errors = []
    for n in (256, 512):
        x = np.arange(1, n) / n
        g = fractional_centred_coefficients(alpha, n - 1)
        u = solve_toeplitz(g, riesz_of_bump(x, alpha)) / n**alpha
        errors.append(np.max(np.abs(u - bump(x))))
    assert errors[0] == pytest.approx(error, rel=0.01)
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.01)


def test_result_follows_like(xp):
    got = fractional_centred_coefficients(1.5, 100, like=xp.asarray(np.zeros(2)))
    np.testing.assert_allclose(
        xp.numpy(got), fractional_centred_coefficients(1.5, 100), rtol=xp.tol
    )


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: fractional_centred_coefficients(0.0, 4), ValueError, "alpha must be positive"),
        (lambda: fractional_centred_coefficients(2.1, 4), ValueError, r"alpha .* \(0, 2\].* 2.1"),
        (lambda: fractional_centred_coefficients(np.nan, 4), ValueError, "alpha must be finite"),
        (lambda: fractional_centred_coefficients(1j, 4), TypeError, "alpha must be a real"),
        (lambda: fractional_centred_coefficients(1.5, 0), ValueError, "num must be at least 1"),
        (lambda: fractional_centred_coefficients(1.5, 2.0), TypeError, "num must be an integer"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import eval_jacobi, roots_jacobi

from solvers import jacobi_riesz_solve


def fractional_laplacian(u, x, alpha):
    """The hypersingular integral over the line of a function that vanishes outside (0, 1), in the
    working precision of mpmath: an oracle that shares nothing with the identity."""
    alpha = mpmath.mpf(alpha)
    constant = (
        alpha
        * mpmath.mpf(2) ** (alpha - 1)
        * mpmath.gamma((1 + alpha) / 2)
        / (mpmath.sqrt(mpmath.pi) * mpmath.gamma(1 - alpha / 2))
    )

    def inside(y):
        return u(y) if 0 < y < 1 else mpmath.mpf(0)

    def integrand(s):
        # In s = t^(2 - alpha) the singularity at t = 0 is gone, but the second difference of values
        # next to it needs many digits.
        with mpmath.workdps(400):
            t = s ** (1 / (2 - alpha))
            return (2 * u(x) - inside(x + t) - inside(x - t)) / t**2 / (2 - alpha)

    near, far = sorted((x, 1 - x))
    breaks = [0, near / 2, near, far]
    integral = mpmath.quad(integrand, [t ** (2 - alpha) for t in breaks])
    return constant * (integral + 2 * u(x) * far**-alpha / alpha)


@pytest.mark.parametrize(("alpha", "k"), [(0.6, 1), (1.3, 3), (1.6, 2), (1.8, 5)])
def test_identity_against_the_hypersingular_integral(alpha, k):
    """R[w P_k] is a multiple of P_k: solving for f = P_k gives w P_k over the eigenvalue, and the
    integral of that, to 30 digits, is P_k again, to 1e-13."""
    half = alpha / 2
    solution = jacobi_riesz_solve(lambda x: eval_jacobi(k, half, half, 2 * x - 1), 8, alpha)
    with mpmath.workdps(30):
        a = mpmath.mpf(alpha) / 2
        coefficient = mpmath.mpf(float(solution.coefficients[k]))

        def u(y):
            return coefficient * (y * (1 - y)) ** a * mpmath.jacobi(k, a, a, 2 * y - 1)

        x = mpmath.mpf("0.3")
        exact = mpmath.jacobi(k, a, a, 2 * x - 1)
        assert abs(fractional_laplacian(u, x, alpha) - exact) <= 1e-13 * max(1, abs(exact))
    others = np.delete(solution.coefficients, k)
    assert np.max(np.abs(others)) <= 1e-14
    x = np.linspace(0.05, 0.95, 7)
    expected = eval_jacobi(k, alpha / 2, alpha / 2, 2 * x - 1)
    np.testing.assert_allclose(solution.riesz(x), expected, rtol=1e-13, atol=1e-13)
    assert solution.residual_norm <= 1e-13


@pytest.mark.parametrize(("K", "error"), [(4, 8e-5), (16, 7.3e-8), (64, 6e-11)])
def test_reaction_in_the_middle(K, error):
    """R u + u = 1 at alpha = 1.5: the error falls like K^-5, and the estimate bounds it."""
    solution = jacobi_riesz_solve(lambda x: 1 + 0 * x, K, 1.5, 1.0)
    assert abs(solution(0.5) - 0.21612104346) <= error
    assert error <= solution.error_estimate
    assert solution.singular_ends


@given(
    alpha=st.floats(0.2, 1.95),
    kappa=st.floats(0.1, 10),
    c=st.floats(0, 20),
    lower=st.floats(-3, 3),
    length=st.floats(0.2, 5),
    slope=st.floats(-1, 1),
)
def test_change_of_interval(alpha, kappa, c, lower, length, slope):
    """Moving the interval moves the solution; stretching it divides kappa by the power."""
    moved = jacobi_riesz_solve(
        lambda y: 1 + slope * (y - lower) / length,
        12,
        alpha,
        c,
        kappa=kappa,
        domain=(lower, lower + length),
    )
    unit = jacobi_riesz_solve(lambda x: 1 + slope * x, 12, alpha, c, kappa=kappa / length**alpha)
    x = np.linspace(0.01, 0.99, 9)
    np.testing.assert_allclose(moved(lower + length * x), unit(x), rtol=1e-10)
    assert moved.singular_ends == unit.singular_ends


@pytest.mark.parametrize("alpha", [1.2, 1.5, 1.8])
def test_smooth_solution_is_resolved_and_not_called_singular(alpha, bump, riesz_of_bump):
    """x^4(1-x)^4 is w times a function that vanishes at the ends to the power 4 - alpha/2."""
    x = np.linspace(0, 1, 301)
    for K in (16, 32, 64):
        solution = jacobi_riesz_solve(lambda x: riesz_of_bump(x, alpha), K, alpha, rtol=1e-6)
        error = np.max(np.abs(solution(x) - bump(x)))
        assert error <= solution.error_estimate
        assert not solution.singular_ends
    assert error <= 5e-14
    assert solution.converged


def test_unresolved_is_not_called_converged():
    solution = jacobi_riesz_solve(lambda x: np.cos(40 * x), 4, 1.5)
    assert not solution.converged
    assert solution.residual_norm > 0.1


def test_values_at_the_nodes_stand_for_the_function():
    alpha, K = 1.4, 10
    nodes = (1 + roots_jacobi(K, alpha / 2, alpha / 2)[0]) / 2
    by_function = jacobi_riesz_solve(np.exp, K, alpha, 2.0)
    by_values = jacobi_riesz_solve(np.exp(nodes), K, alpha, 2.0)
    np.testing.assert_array_equal(by_values.coefficients, by_function.coefficients)


def test_zero_outside_and_for_zero_data():
    solution = jacobi_riesz_solve(np.exp, 6, 1.5, domain=(1.0, 2.0))
    np.testing.assert_array_equal(solution([0.5, 1.0, 2.0, 7.0]), 0.0)
    with pytest.raises(ValueError, match="x must be in the domain"):
        solution.riesz([0.5])
    nothing = jacobi_riesz_solve(np.zeros(6), 6, 1.5)
    assert nothing.residual_norm == 0
    assert nothing.converged
    assert not nothing.singular_ends


def test_array_kinds(xp):
    values = np.cos(np.arange(8.0))
    expected = jacobi_riesz_solve(values, 8, 1.5, 1.0)
    got = jacobi_riesz_solve(xp.asarray(np.repeat(values, 2))[::2], 8, 1.5, 1.0)
    np.testing.assert_allclose(xp.numpy(got.coefficients), expected.coefficients, rtol=xp.tol)
    x = np.linspace(0, 1, 6).reshape(2, 3)
    values = xp.numpy(got(xp.asarray(x)))
    np.testing.assert_allclose(values, expected(x), rtol=xp.tol, atol=xp.tol)


def test_gradients():
    torch = pytest.importorskip("torch")
    f = torch.cos(torch.arange(5, dtype=torch.float64)).requires_grad_()
    c, kappa = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (0.0, 2.0))
    x = torch.linspace(0.1, 0.9, 4, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda f, c, kappa: jacobi_riesz_solve(f, 5, 1.3, c, kappa=kappa)(x), (f, c + 0.5, kappa)
    )


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: jacobi_riesz_solve(np.ones(4), 4, 2.0), ValueError, r"alpha must be in \(0, 2\)"),
        (lambda: jacobi_riesz_solve(np.ones(4), 4, "x"), TypeError, "alpha must be a real"),
        (lambda: jacobi_riesz_solve(np.ones(4), 0, 1.5), ValueError, "K must be at least 1"),
        (
            lambda: jacobi_riesz_solve(np.ones(3), 4, 1.5),
            ValueError,
            r"f must have 4 values.*\(3,\)",
        ),
        (lambda: jacobi_riesz_solve(1j * np.ones(4), 4, 1.5), TypeError, "f must be real"),
        (lambda: jacobi_riesz_solve(np.log, 4, 1.5, domain=(0, np.inf)), ValueError, "domain"),
        (lambda: jacobi_riesz_solve(lambda x: x / 0, 4, 1.5), ValueError, "f must be finite"),
        (lambda: jacobi_riesz_solve(np.ones(4), 4, 1.5, -1.0), ValueError, "c must not be neg"),
        (lambda: jacobi_riesz_solve(np.ones(4), 4, 1.5, [1.0]), ValueError, "c must be a num"),
        (lambda: jacobi_riesz_solve(np.ones(4), 4, 1.5, kappa=0), ValueError, "kappa must be pos"),
        (
            lambda: jacobi_riesz_solve(np.exp, 4, 1.5, domain=(1, 0)),
            ValueError,
            "domain must be",
        ),
        (lambda: jacobi_riesz_solve(np.exp, 4, 1.5, domain=1), TypeError, "domain must be a pair"),
        (lambda: jacobi_riesz_solve(np.exp, 4, 1.5, rtol=0), ValueError, "rtol must be positive"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import BSpline

from numerics import (
    ConvergenceWarning,
    bspline_collocation_matrix,
    greville_abscissae,
    open_uniform_knots,
)
from solvers import jacobi_riesz_solve, riesz_collocation_matrix, solve_riesz_bvp

POINTS = np.linspace(0, 1, 2049)

# Largest errors for u = x^4 (1-x)^4 on n = 16, 32, 64, 128 cells.
BUMP = {
    (1.2, 2): (6.16e-6, 7.93e-7, 1.10e-7, 1.54e-8),
    (1.2, 5): (6.53e-8, 3.52e-9, 1.42e-10, 5.28e-12),
    (1.5, 2): (9.18e-6, 1.47e-6, 2.58e-7, 4.57e-8),
    (1.5, 3): (9.71e-6, 1.54e-6, 2.61e-7, 4.67e-8),
    (1.5, 4): (3.79e-7, 2.31e-8, 1.21e-9, 5.81e-11),
    (1.5, 6): (7.82e-9, 1.02e-10, 1.23e-12, 1.5e-14),
    (1.8, 3): (1.93e-5, 4.36e-6, 9.82e-7, 2.16e-7),
    (1.8, 4): (5.84e-7, 5.04e-8, 3.29e-9, 1.95e-10),
}


def slope(x):
    return 4 * (x * (1 - x)) ** 3 * (1 - 2 * x)


def points(n, p, domain=(0.0, 1.0)):
    return domain[0] + (domain[1] - domain[0]) * greville_abscissae(n, p)[1:-1]


def largest_error(solution, exact, at=POINTS):
    return np.abs(solution(at) - exact(at)).max()


@pytest.mark.parametrize(("alpha", "p"), BUMP)
def test_smooth_solution(alpha, p, bump, riesz_of_bump):
    """Errors are those tabulated, in three digits, and the estimate is within a factor of 4
    on 16 cells and of 1.6 from 32 on."""
    for n, expected in zip((16, 32, 64, 128), BUMP[alpha, p], strict=True):
        u = solve_riesz_bvp(lambda x: riesz_of_bump(x, alpha), n, p, alpha)
        error = largest_error(u, bump)
        assert error == pytest.approx(expected, rel=0.01, abs=3e-15)
        factor = 4 if n == 16 else 1.7
        assert error / factor <= u.error_estimate <= factor * error + 1e-14
        assert u.converged
        assert not u.singular_ends
        assert (u.n, u.p, u.domain) == (n, p, (0.0, 1.0))


@pytest.mark.parametrize(("alpha", "p"), [(1.5, 2), (1.5, 3), (1.8, 5), (1.2, 4)])
def test_order(alpha, p, bump, riesz_of_bump):
    """p + 2 - alpha for even p and p + 1 - alpha for odd, within 0.15."""
    errors = [
        largest_error(solve_riesz_bvp(lambda x: riesz_of_bump(x, alpha), n, p, alpha), bump)
        for n in (64, 128)
    ]
    order = p + 2 - alpha if p % 2 == 0 else p + 1 - alpha
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize(
    ("p", "expected"), [(2, 4.23e-8), (3, 6.82e-9), (4, 3.26e-12), (5, 6.2e-13)]
)
def test_advection_and_reaction(p, expected, bump, riesz_of_bump):
    u = solve_riesz_bvp(
        lambda x: riesz_of_bump(x, 1.5) + 2 * slope(x) + 5 * bump(x), 256, p, 1.5, b=2, c=5
    )
    assert u.method == "direct"
    error = largest_error(u, bump)
    assert error == pytest.approx(expected, rel=0.01)
    assert error / 1.2 <= u.error_estimate <= 1.2 * error


@pytest.mark.parametrize("alpha", [1.2, 1.5, 1.8])
@pytest.mark.parametrize("n", [3, 32, 512])
def test_singular_ends(alpha, n):
    """R u = 1: the order is alpha/2 whatever p, the estimate knows, and the flag is up."""
    u = solve_riesz_bvp(np.ones_like, n, 3, alpha)
    near = np.linspace(0, min(8 / n, 1), 500)
    exact = lambda x: (x * (1 - x)) ** (alpha / 2) / math.gamma(1 + alpha)  # noqa: E731
    error = max(largest_error(u, exact), largest_error(u, exact, near))
    assert u.singular_ends
    assert error <= u.error_estimate <= (20 if n == 3 else 2) * error


def test_known_singular_errors():
    errors = [2.16e-3, 1.28e-3, 7.6e-4]
    for n, expected in zip((32, 64, 128), errors, strict=True):
        u = solve_riesz_bvp(1.0, n, 3, 1.5)
        exact = (POINTS * (1 - POINTS)) ** 0.75 / math.gamma(2.5)
        assert np.abs(u(POINTS) - exact).max() == pytest.approx(expected, rel=0.02)


def test_against_jacobi_polynomials():
    """R u + u = 1 in the middle, where both are accurate."""
    spectral = jacobi_riesz_solve(lambda x: 1 + 0 * x, 64, 1.5, 1.0)
    u = solve_riesz_bvp(lambda x: 1 + 0 * x, 1024, 3, 1.5, c=1.0)
    assert abs(u(0.5) - spectral(0.5)) < 3e-8
    assert abs(spectral(0.5) - 0.21612104346) < 1e-9


@pytest.mark.parametrize("n", [8, 64, 300])
def test_variable_coefficients(n, bump, riesz_of_bump):
    kappa, b, c = (lambda x: 1 + 10 * x), (lambda x: np.sin(3 * x)), np.exp

    def f(x):
        return kappa(x) * riesz_of_bump(x, 1.5) + b(x) * slope(x) + c(x) * bump(x)

    u = solve_riesz_bvp(f, n, 4, 1.5, kappa=kappa, b=b, c=c)
    assert u.method == ("gmres" if n == 300 else "dense")
    error = largest_error(u, bump)
    assert error <= {8: 1e-5, 64: 2e-9, 300: 2e-12}[n]
    assert 0.8 * error <= u.error_estimate <= (50 if n == 8 else 1.5) * error
    iterative = solve_riesz_bvp(f, n, 4, 1.5, kappa=kappa, b=b, c=c, method="gmres")
    assert iterative.converged
    np.testing.assert_allclose(iterative(POINTS), u(POINTS), atol=1e-13)


def test_a_factor_that_varies_with_all_terms_is_no_hindrance():
    """Divided by kappa the equation has constant coefficients."""
    s = points(200, 3)
    plain = solve_riesz_bvp(np.ones(201), 200, 3, 1.5, b=2.0)
    scaled = solve_riesz_bvp(2.0**s, 200, 3, 1.5, kappa=2.0**s, b=2 * 2.0**s)
    assert scaled.method == "direct"
    np.testing.assert_allclose(scaled.coefficients, plain.coefficients, rtol=1e-11)


@settings(max_examples=15)
@given(
    n=st.integers(1, 300),
    p=st.integers(2, 8),
    alpha=st.floats(1.05, 1.95),
    variable=st.booleans(),
    method=st.sampled_from(["auto", "direct", "gmres", "dense"]),
    seed=st.integers(0, 2**32),
)
def test_collocation_is_met(n, p, alpha, variable, method, seed):
    """The coefficients solve the dense system, by whatever method, for two columns."""
    rng = np.random.default_rng(seed)
    N = n + p - 2
    kappa, b, c = rng.uniform(0.5, 2), rng.uniform(-2, 2), rng.uniform(0, 2)
    if variable and method != "direct":
        wave = np.cos(points(n, p))
        kappa, b, c = kappa + 0.2 * wave, b * wave, c * wave
    f = rng.standard_normal((N, 2))
    u = solve_riesz_bvp(f, n, p, alpha, kappa=kappa, b=b, c=c, method=method)
    rows = lambda factor: np.broadcast_to(factor, (N,))[:, None]  # noqa: E731
    K = rows(kappa) * riesz_collocation_matrix(n, p, alpha)
    K = K + rows(b) * bspline_collocation_matrix(n, p, 1).toarray()
    K = K + rows(c) * bspline_collocation_matrix(n, p).toarray()
    exact = np.linalg.solve(K, f)
    np.testing.assert_allclose(u.coefficients, exact, atol=1e-9 * np.abs(exact).max())
    assert u.converged
    residual = np.linalg.norm(f - K @ u.coefficients, axis=0) / np.linalg.norm(f, axis=0)
    # Both are what rounding leaves.
    assert u.residual_norm == pytest.approx(residual.max(), abs=1e-14 * np.linalg.norm(K))
    if method != "auto":
        assert u.method == method


def test_evaluation():
    u = solve_riesz_bvp(np.cos, 9, 3, 1.3, domain=(-1.0, 2.0))
    spline = BSpline(open_uniform_knots(9, 3), np.pad(u.coefficients, 1), 3)
    x = np.array([[-1.0, -0.4, 0.0], [1.1, 1.999, 2.0]])
    np.testing.assert_allclose(u(x), spline((x + 1) / 3), atol=1e-15)
    np.testing.assert_array_equal(u([-5.0, 2.001]), [0, 0])
    assert np.ndim(u(0.3)) == 0


@pytest.mark.parametrize("domain", [(0.0, 5.0), (-3.0, -2.5)])
def test_interval(domain, bump, riesz_of_bump):
    lower, upper = domain
    length = upper - lower

    def f(y):
        x = (y - lower) / length
        return 2 * riesz_of_bump(x, 1.5) / length**1.5 + 3 * slope(x) / length + bump(x)

    u = solve_riesz_bvp(f, 200, 5, 1.5, kappa=2, b=3, c=1, domain=domain)
    y = lower + length * POINTS
    np.testing.assert_allclose(u(y), bump(POINTS), atol=1e-11)
    assert not u.singular_ends


@pytest.mark.parametrize("p", [2, 3, 5])
@pytest.mark.parametrize("n", [1, 2, 4])
def test_fewer_cells_than_degrees(n, p, bump, riesz_of_bump):
    """Crude, and the estimate knows it."""
    u = solve_riesz_bvp(lambda x: riesz_of_bump(x, 1.5), n, p, 1.5)
    assert u.method == "dense"
    error = largest_error(u, bump)
    assert error / 3 < u.error_estimate < 30 * error


def test_values_give_what_a_function_does(bump, riesz_of_bump):
    """Values are interpolated where a coarser space is asked for the estimate."""
    for n, p in ((100, 3), (400, 4)):
        kappa = 1 + points(n, p) ** 2
        f = kappa * riesz_of_bump(points(n, p), 1.5)
        from_values = solve_riesz_bvp(f, n, p, 1.5, kappa=kappa)
        from_function = solve_riesz_bvp(
            lambda x: (1 + x**2) * riesz_of_bump(x, 1.5), n, p, 1.5, kappa=lambda x: 1 + x**2
        )
        np.testing.assert_array_equal(from_values.coefficients, from_function.coefficients)
        assert from_values.error_estimate == pytest.approx(from_function.error_estimate, rel=0.2)
        assert not from_values.singular_ends


def test_negative_reaction():
    """Beyond the first eigenvalue, 4.518 for alpha = 1.5, the solution turns its sign."""
    below = solve_riesz_bvp(1.0, 400, 3, 1.5, c=-4.4)
    above = solve_riesz_bvp(1.0, 400, 3, 1.5, c=-4.6)
    assert below.converged
    assert above.converged
    assert below(0.5) > 5
    assert above(0.5) < -5


def test_large_problem_is_solved_in_memory_of_its_size(bump, riesz_of_bump):
    """2^15 unknowns: the matrix alone would take 8 GB. Rounding leaves eps n^alpha of u."""
    n = 2**15
    u = solve_riesz_bvp(lambda x: riesz_of_bump(x, 1.5), n, 4, 1.5)
    assert u.converged
    error = largest_error(u, bump)
    assert error <= 0.2 * np.finfo(float).eps * n**1.5 * bump(0.5)
    assert u.error_estimate <= 4 * np.finfo(float).eps * n**1.5 * bump(0.5)


def test_nothing_gives_nothing():
    u = solve_riesz_bvp(0.0, 300, 3, 1.5)
    np.testing.assert_array_equal(u.coefficients, np.zeros(301))
    assert (u.residual_norm, u.error_estimate, u.singular_ends) == (0.0, 0.0, False)
    assert u.converged
    empty = solve_riesz_bvp(np.zeros((301, 0)), 300, 3, 1.5)
    assert empty.coefficients.shape == (301, 0)
    assert empty(np.ones(2)).shape == (2, 0)


def test_giving_up_is_not_silent():
    """Advection that changes sign, a thousand times the diffusion."""
    b = 1e4 * (0.5 - points(300, 3))
    with pytest.warns(ConvergenceWarning, match="'gmres' left the system unsolved after 200"):
        u = solve_riesz_bvp(np.ones(301), 300, 3, 1.1, b=b, method="gmres")
    assert not u.converged
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = solve_riesz_bvp(np.ones(301), 300, 3, 1.1, b=b)
    assert again.method == "dense"
    assert again.converged
    assert np.abs(u(POINTS) - again(POINTS)).max() <= u.error_estimate


def test_tolerance():
    f = np.ones(401)
    c = points(400, 3) * 50
    loose = solve_riesz_bvp(f, 400, 3, 1.5, c=c, rtol=1e-4)
    tight = solve_riesz_bvp(f, 400, 3, 1.5, c=c)
    assert loose.converged
    assert tight.converged
    assert loose.iterations < tight.iterations
    assert 1e-9 < np.abs(loose.coefficients - tight.coefficients).max() < 1e-3


def test_kinds(xp, rng):
    n, p = 20, 3
    s = points(n, p)
    wide = np.zeros((len(s), 4))
    wide[:, ::2] = rng.standard_normal((len(s), 2))
    f, kappa = xp.asarray(wide)[:, ::2], xp.asarray(1 + s)
    u = solve_riesz_bvp(f, n, p, 1.5, kappa=kappa, c=2)
    exact = solve_riesz_bvp(wide[:, ::2], n, p, 1.5, kappa=1 + s, c=2)
    np.testing.assert_allclose(xp.numpy(u.coefficients), exact.coefficients, atol=xp.tol)
    x = np.linspace(-0.2, 1.2, 12).reshape(3, 4)
    np.testing.assert_allclose(xp.numpy(u(xp.asarray(x))), exact(x), atol=xp.tol)
    assert tuple(u(xp.asarray(x)).shape) == (3, 4, 2)
    from_function = solve_riesz_bvp(lambda y: 3 * y, n, p, 1.5, kappa=kappa, c=2)
    assert type(from_function.coefficients) is type(kappa)


@pytest.mark.parametrize("method", ["direct", "gmres", "dense"])
@pytest.mark.parametrize("domain", [(0.0, 1.0), (-1.0, 2.0)])
def test_gradients(method, domain, rng):
    torch = pytest.importorskip("torch")
    n, p = (150, 3) if method != "dense" else (6, 3)
    N = n + p - 2

    def tensor(values):
        return torch.tensor(np.asarray(values), dtype=torch.float64, requires_grad=True)

    basis = torch.tensor(rng.standard_normal((N, 5)))
    weights = tensor(rng.standard_normal((5, 2)))
    kappa, b, c = tensor(1.3), tensor(0.7), tensor(2.0)
    x = torch.linspace(domain[0], domain[1], 7, dtype=torch.float64)

    def value(weights, kappa, b, c):
        u = solve_riesz_bvp(
            basis @ weights, n, p, 1.4, kappa=kappa, b=b, c=c, domain=domain, method=method
        )
        return 10 * u(x)

    assert torch.autograd.gradcheck(value, (weights, kappa, b, c), atol=1e-6)


@pytest.mark.parametrize("method", ["gmres", "dense"])
def test_gradients_in_variable_coefficients(method, rng):
    torch = pytest.importorskip("torch")
    n, p = 8, 3
    data = (rng.standard_normal(9), 1 + rng.uniform(size=9), *rng.uniform(size=(2, 9)))
    f, kappa, b, c = (torch.tensor(v, requires_grad=True) for v in data)

    def value(f, kappa, b, c):
        return solve_riesz_bvp(f, n, p, 1.6, kappa=kappa, b=b, c=c, method=method).coefficients

    assert torch.autograd.gradcheck(value, (f, kappa, b, c), atol=1e-6)


def test_inputs_are_left_alone():
    f, kappa = np.ones(201), np.linspace(1, 2, 201)
    for method in ("auto", "gmres", "dense"):
        solve_riesz_bvp(f, 200, 3, 1.5, kappa=kappa, b=1.0, method=method)
    np.testing.assert_array_equal(f, np.ones(201))
    np.testing.assert_array_equal(kappa, np.linspace(1, 2, 201))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"alpha": 2.0}, ValueError, "alpha must"),
        ({"alpha": 1.0}, ValueError, "alpha must"),
        ({"alpha": "1.5"}, TypeError, "alpha must"),
        ({"p": 1}, ValueError, "p must be at least 2"),
        ({"p": 11}, ValueError, "p must be at most 10"),
        ({"p": 3.0}, TypeError, "p must be an integer"),
        ({"n": 0}, ValueError, "n must be at least 1"),
        ({"n": True}, TypeError, "n must be an integer"),
        ({"f": np.ones(10)}, ValueError, r"f must have shape \(11,\) or \(11, k\).* got \(10,\)"),
        ({"f": np.ones((11, 1, 1))}, ValueError, "f must have shape"),
        ({"f": np.full(11, np.nan)}, ValueError, "f must be finite"),
        ({"f": np.ones(11) * 1j}, TypeError, "f must be real"),
        ({"f": lambda x: 1 / (x - x)}, ValueError, "f must be finite"),
        ({"f": lambda x: x[1:]}, ValueError, "f must have shape"),
        ({"f": "one"}, TypeError, "f must hold"),
        ({"kappa": 0.0}, ValueError, "kappa must be positive"),
        ({"kappa": np.linspace(-1, 1, 11)}, ValueError, "kappa must be positive"),
        ({"kappa": np.ones(3)}, ValueError, "kappa must have shape"),
        ({"b": np.ones((11, 2))}, ValueError, "b must have shape"),
        ({"b": 1j}, TypeError, "b must be real"),
        ({"c": np.inf}, ValueError, "c must be finite"),
        ({"domain": (1.0, 0.0)}, ValueError, "domain must be increasing"),
        ({"domain": (0.0, 0.0)}, ValueError, "domain must be increasing"),
        ({"domain": 3.0}, TypeError, "domain must be a pair"),
        ({"method": "lu"}, ValueError, "method must be one of auto, dense, direct, gmres"),
        ({"method": "direct", "c": np.arange(11.0)}, ValueError, "method must be .* 'direct'"),
        ({"rtol": 0}, ValueError, "rtol must be positive"),
        ({"f": np.ones(4097, np.float32), "n": 4096, "alpha": 1.9}, ValueError, "f must be double"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero|invalid value")
def test_bad_input(change, error, message):
    arguments = {"f": np.ones(11), "n": 10, "p": 3, "alpha": 1.5, **change}
    f, n, p, alpha = (arguments.pop(name) for name in ("f", "n", "p", "alpha"))
    with pytest.raises(error, match=message):
        solve_riesz_bvp(f, n, p, alpha, **arguments)


def test_mixed_libraries_are_refused():
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match="mix array libraries"):
        solve_riesz_bvp(np.ones(11), 10, 3, 1.5, kappa=torch.ones(11))

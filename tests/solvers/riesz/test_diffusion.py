from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

from numerics import ConvergenceWarning, bspline_collocation_matrix, greville_abscissae
from solvers import riesz_collocation_matrix, riesz_diffusion, riesz_eigenvalues
from solvers.riesz import diffusion as module

METHODS = ("crank-nicolson", "bdf2", "expm")
LINE = np.linspace(0, 1, 201)


def generator(n, p, alpha):
    """The matrix M^{-1} A of the system, dense."""
    M = bspline_collocation_matrix(n, p).toarray()
    return np.linalg.solve(M, riesz_collocation_matrix(n, p, alpha)), M


def smooth(x):
    return np.sin(np.pi * x) ** 2 * np.exp(x)


@pytest.fixture
def forced(bump, riesz_of_bump):
    """u = (2 + sin t) x^4 (1-x)^4 as arguments of the solver, and as a function of x and t."""
    return (
        lambda x: 2 * bump(x),
        lambda x, t: np.cos(t) * bump(x) + (2 + np.sin(t)) * riesz_of_bump(x, 1.5),
        lambda x, t: (2 + np.sin(t)) * bump(x),
    )


@pytest.mark.parametrize(
    ("n", "steps", "error"), [(32, 16, 1.35e-7), (32, 32, 5.0e-8), (64, 128, 2.5e-9)]
)
def test_crank_nicolson_figures(n, steps, error, forced):
    """Largest errors at t = 1 for p = 4, alpha = 1.5, as an independent program gave them."""
    start, source, exact = forced
    u = riesz_diffusion(start, source, np.linspace(0, 1, steps + 1), n, 4, 1.5)
    assert np.max(np.abs(u(-1, LINE) - exact(LINE, 1.0))) == pytest.approx(error, rel=0.03)
    errors = np.max(np.abs(u(slice(None), LINE) - exact(LINE, u.t[:, None])), axis=1)
    assert np.all(errors <= u.error_estimate)
    assert u.converged
    assert not u.singular_ends


@pytest.mark.parametrize("method", METHODS)
def test_second_order_in_time_with_a_source(method, forced):
    """Down to where the error of space, 2.5e-9, begins to show."""
    start, source, exact = forced
    errors = []
    for steps in (16, 32, 64):
        times = np.linspace(0, 1, steps + 1)
        u = riesz_diffusion(start, source, times, 64, 4, 1.5, method=method)
        errors.append(np.max(np.abs(u(-1, LINE) - exact(LINE, 1.0))))
        assert np.all(errors[-1] <= u.error_estimate[-1])
    np.testing.assert_allclose(np.log2(np.divide(errors[:-1], errors[1:])), 2, atol=0.15)


@pytest.mark.parametrize("method", ["crank-nicolson", "bdf2"])
@pytest.mark.parametrize("grading", [1.0, 1.5])
def test_second_order_against_the_exponential(method, grading):
    """The same space, so that the error of time is all there is; equal steps, and growing ones."""
    errors = []
    for steps in (32, 64, 128):
        times = 0.05 * np.linspace(0, 1, steps + 1) ** grading
        exact = riesz_diffusion(smooth, None, times, 24, 3, 1.6, method="expm")
        u = riesz_diffusion(smooth, None, times, 24, 3, 1.6, method=method)
        errors.append(np.max(np.abs(u.coefficients[-1] - exact.coefficients[-1])))
    np.testing.assert_allclose(np.log2(np.divide(errors[:-1], errors[1:])), 2, atol=0.2)


def test_rough_start_rings_in_one_method_and_not_in_the_other():
    """A jump, steps far too long for the fast modes. BDF2 keeps its second order."""

    def jump(x):
        return np.where(x < 0.5, 1.0, 0.0)

    def error(method, steps):
        times = np.linspace(0, 0.1, steps + 1)
        exact = riesz_diffusion(jump, None, times, 256, 3, 1.8, method="expm")
        u = riesz_diffusion(jump, None, times, 256, 3, 1.8, method=method)
        assert u.singular_ends
        return np.max(np.abs(u(-1, LINE) - exact(-1, LINE))), u.error_estimate[-1]

    ringing, suspected = error("crank-nicolson", 20)
    assert 0.3 < ringing < 2 * suspected
    (coarse, estimate), (fine, _) = error("bdf2", 20), error("bdf2", 40)
    assert coarse <= estimate < 2e-3
    assert np.log2(coarse / fine) == pytest.approx(2, abs=0.2)


@pytest.mark.parametrize(("method", "kept"), [("crank-nicolson", True), ("bdf2", False)])
def test_fastest_mode(method, kept):
    """One step multiplies it by nearly -1, or by nearly 0."""
    L, _ = generator(16, 3, 1.5)
    mu, V = np.linalg.eig(L)
    fastest = V[:, np.argmax(mu)].real
    values = bspline_collocation_matrix(16, 3) @ fastest
    u = riesz_diffusion(values, None, np.arange(5) * 1e3, 16, 3, 1.5, method=method)
    size = np.linalg.norm(u.coefficients, axis=1)
    if kept:
        np.testing.assert_allclose(size, 1, rtol=1e-3)
    else:
        assert np.all(size[1:] < 1e-5)


@given(
    n=st.integers(1, 12),
    p=st.integers(2, 8),
    alpha=st.floats(1.05, 1.95),
    kappa=st.floats(0.1, 3),
    times=st.lists(st.floats(1e-9, 0.5), min_size=1, max_size=4, unique=True),
    seed=st.integers(0, 99),
)
def test_exponential_is_exact(n, p, alpha, kappa, times, seed):
    """Against the exponential of the matrix, by scaling and squaring, with data that are linear
    in time: the block matrix [[-L, I, 0], [0, 0, I], [0, 0, 0]] carries them along."""
    rng = np.random.default_rng(seed)
    L, M = generator(n, p, alpha)
    N = len(L)
    start, constant, slope = rng.standard_normal((3, N))
    t = np.cumsum([0.3, *times])
    f = constant + (t - t[0])[:, None] * slope
    u = riesz_diffusion(start, f, t, n, p, alpha, kappa=kappa, method="expm")
    blocks = np.zeros((3 * N, 3 * N))
    blocks[:N, :N] = -kappa * L
    blocks[:N, N : 2 * N] = blocks[N : 2 * N, 2 * N :] = np.eye(N)
    inside = np.concatenate([np.linalg.solve(M, v) for v in (start, constant, slope)])
    for row, elapsed in zip(u.coefficients, t - t[0], strict=True):
        expected = (scipy.linalg.expm(elapsed * blocks) @ inside)[:N]
        np.testing.assert_allclose(row, expected, atol=1e-10 * np.max(np.abs(inside)))


def test_exponential_needs_no_steps():
    once = riesz_diffusion(smooth, None, [0, 0.3], 40, 4, 1.3, method="expm")
    often = riesz_diffusion(smooth, None, np.linspace(0, 0.3, 50), 40, 4, 1.3, method="expm")
    np.testing.assert_allclose(once(-1, LINE), often(-1, LINE), atol=1e-14)


@pytest.mark.parametrize("alpha", [1.2, 1.5, 1.8])
def test_estimate_after_a_rough_start(alpha):
    """A jump, exact in time: the error of space, of first order, against a far finer space."""

    def jump(x):
        return np.where(x < 0.5, 1.0, 0.0)

    times = [0.0, 0.01, 0.05]
    finest = riesz_diffusion(jump, None, times, 600, 2, alpha, method="expm")(slice(1, None), LINE)
    for p in (2, 3, 5):
        u = riesz_diffusion(jump, None, times, 32, p, alpha, method="expm")
        error = np.max(np.abs(u(slice(1, None), LINE) - finest), axis=1)
        assert np.all(error < u.error_estimate[1:])
        assert np.all(u.error_estimate[1:] < 4 * error)


def test_slowest_mode_decays_by_its_eigenvalue():
    modes = riesz_eigenvalues(40, 3, 1.5, 2)
    for method in METHODS:
        u = riesz_diffusion(
            lambda x: modes(x)[:, 1], None, np.linspace(0, 0.1, 401), 40, 3, 1.5, method=method
        )
        decayed = np.exp(-0.1 * modes.eigenvalues[1]) * modes(LINE)[:, 1]
        np.testing.assert_allclose(u(-1, LINE), decayed, atol=2e-5)


@pytest.mark.parametrize("method", METHODS)
def test_steady_state(method):
    """A constant source is balanced in the end by the solution of the boundary value problem."""
    A = riesz_collocation_matrix(20, 3, 1.5)
    f = np.cos(greville_abscissae(20, 3)[1:-1])
    u = riesz_diffusion(0 * f, f, np.linspace(0, 20, 41), 20, 3, 1.5, kappa=2.0, method=method)
    at_rest = np.linalg.solve(2 * A, f)
    tolerance = 1e-2 if method == "crank-nicolson" else 1e-9
    np.testing.assert_allclose(u.coefficients[-1], at_rest, atol=tolerance * np.max(at_rest))


@pytest.mark.parametrize("method", METHODS)
def test_interval(method):
    """Stretching it by 3 is the same as dividing kappa by 3^alpha."""
    t = np.linspace(0, 0.2, 6)
    unit = riesz_diffusion(smooth, lambda x, t: x + t, t, 16, 3, 1.4, kappa=3**-1.4, method=method)
    long = riesz_diffusion(
        lambda y: smooth((y + 1) / 3),
        lambda y, t: (y + 1) / 3 + t,
        t,
        16,
        3,
        1.4,
        domain=(-1, 2),
        method=method,
    )
    np.testing.assert_allclose(long.coefficients, unit.coefficients, atol=1e-12)
    np.testing.assert_allclose(long(2, 3 * LINE - 1), unit(2, LINE), atol=1e-12)
    assert long(2, -1.5) == long(2, 2.5) == 0


@pytest.mark.parametrize("method", METHODS)
def test_forms_of_the_data(method):
    """Functions, values for all times, values for each."""
    t, x = np.linspace(0, 0.1, 5), greville_abscissae(16, 4)[1:-1]
    options = {"n": 16, "p": 4, "alpha": 1.7, "method": method}
    by_function = riesz_diffusion(smooth, lambda x, t: np.exp(x), t, **options)
    for f in (np.exp(x), np.tile(np.exp(x), (5, 1))):
        by_values = riesz_diffusion(smooth(x), f, t, **options)
        np.testing.assert_array_equal(by_values.coefficients, by_function.coefficients)
        np.testing.assert_allclose(by_values.error_estimate, by_function.error_estimate, rtol=0.05)
    nothing = riesz_diffusion(smooth, lambda x, t: 0.0, t, **options)
    without = riesz_diffusion(smooth, None, t, **options)
    np.testing.assert_allclose(nothing.coefficients, without.coefficients, atol=1e-13)


def test_start_and_shapes():
    u = riesz_diffusion(smooth, None, np.arange(3) / 10, 30, 3, 1.5)
    np.testing.assert_allclose(
        u(0, greville_abscissae(30, 3)), smooth(greville_abscissae(30, 3)), atol=1e-14
    )
    assert u(0, 0.5).shape == ()
    assert u([0, 2], np.zeros((4, 5))).shape == (2, 4, 5)
    assert u(slice(1, None), LINE).shape == (2, 201)
    alone = riesz_diffusion(smooth, None, [0.7], 30, 3, 1.5)
    np.testing.assert_array_equal(alone.coefficients, u.coefficients[:1])
    smallest = riesz_diffusion(np.ones(1), None, [0, 1], 1, 2, 1.5)
    assert smallest.coefficients.shape == (2, 1)


def test_one_step_is_halved_for_its_estimate():
    u = riesz_diffusion(smooth, None, [0.0, 0.2], 64, 3, 1.5)
    exact = riesz_diffusion(smooth, None, [0.0, 0.2], 64, 3, 1.5, method="expm")
    error = np.max(np.abs(u(1, LINE) - exact(1, LINE)))
    assert 0.5 * error < u.error_estimate[1] < 5 * error


def test_sudden_longer_steps_start_anew():
    """A ratio of steps beyond 1 + sqrt(2) would be unstable in BDF2."""
    t = np.cumsum([0.0, *(1e-4 * 4.0 ** np.arange(7))])
    u = riesz_diffusion(lambda x: 1.0 * (x < 0.3), None, t, 64, 3, 1.8, method="bdf2")
    assert np.all(np.diff(np.max(np.abs(u(slice(1, None), LINE)), axis=1)) < 0)


def test_an_inexact_solver_is_reported(monkeypatch):
    from solvers.riesz.bordered import BorderedSolver

    solve = BorderedSolver.solve_double
    monkeypatch.setattr(BorderedSolver, "solve_double", lambda self, f: 1.001 * solve(self, f))
    with pytest.warns(
        ConvergenceWarning, match="crank-nicolson left a relative residual of 1.0e-03"
    ):
        u = riesz_diffusion(smooth, None, [0.0, 0.1, 0.2], 20, 3, 1.5)
    assert not u.converged


@pytest.mark.parametrize("method", METHODS)
def test_array_kinds(xp, method):
    """Tensors go through the eigenvectors, NumPy arrays through the direct solver."""
    t = np.linspace(0, 0.1, 5)
    start, f = np.cos(np.arange(17.0)), np.sin(np.arange(17.0))
    expected = riesz_diffusion(start, f, t, 16, 3, 1.5, method=method)
    u = riesz_diffusion(
        *map(xp.asarray, (np.repeat(start, 2)[::2], f, t)), 16, 3, 1.5, method=method
    )
    # The fast modes leave a trace of the size of eps n^alpha.
    tolerance = {"rtol": xp.tol, "atol": 10 * xp.tol}
    np.testing.assert_allclose(xp.numpy(u.coefficients), expected.coefficients, **tolerance)
    got = xp.numpy(u(slice(None), xp.asarray(LINE)))
    np.testing.assert_allclose(got, expected(slice(None), LINE), **tolerance)


@pytest.mark.parametrize("method", METHODS)
def test_gradients(method):
    torch = pytest.importorskip("torch")
    start = torch.cos(torch.arange(5, dtype=torch.float64)).requires_grad_()
    f = torch.sin(torch.arange(15, dtype=torch.float64)).reshape(3, 5).requires_grad_()
    kappa = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    t = torch.tensor([0.0, 0.1, 0.25], dtype=torch.float64, requires_grad=True)
    x = torch.tensor([0.2, 0.7], dtype=torch.float64)

    def values(start, f, kappa, t):
        return riesz_diffusion(start, f, t, 4, 3, 1.5, kappa=kappa, method=method)(2, x)

    assert torch.autograd.gradcheck(values, (start, f, kappa, t))


def solve(u0=None, f=None, t=(0.0, 0.1), n=4, p=3, alpha=1.5, **options):
    return riesz_diffusion(np.ones(5) if u0 is None else u0, f, t, n, p, alpha, **options)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: solve(n=0), ValueError, "n must be at least 1"),
        (lambda: solve(p=1), ValueError, "p must be at least 2"),
        (lambda: solve(alpha=2.0), ValueError, r"alpha must lie in \(1, 2\)"),
        (lambda: solve(np.ones(4)), ValueError, r"u0 must have shape \(5,\), got \(4,\)"),
        (lambda: solve(np.full(5, np.inf)), ValueError, "u0 must be finite"),
        (lambda: solve(1j * np.ones(5)), TypeError, "u0 must be real"),
        (lambda: solve(lambda x: x > 0), TypeError, "u0 must hold"),
        (lambda: solve(f=np.ones(3)), ValueError, r"f must have shape \(5,\) or \(2, 5\)"),
        (lambda: solve(f=lambda x, t: x[1:]), ValueError, "f must give values of shape"),
        (lambda: solve(f=lambda x, t: x / 0), ValueError, "f must be finite"),
        (lambda: solve(f=lambda x, t: 1j * x), TypeError, "f must be real"),
        (lambda: solve(t=(0.0, 0.0)), ValueError, "t must be increasing"),
        (lambda: solve(t=()), ValueError, "t must have shape"),
        (lambda: solve(t=0.0), ValueError, "t must have shape"),
        (lambda: solve(kappa=-1), ValueError, "kappa must be positive"),
        (lambda: solve(kappa=[1.0]), ValueError, "kappa must be a number"),
        (lambda: solve(domain=(1, 0)), ValueError, "domain must be increasing"),
        (lambda: solve(method="euler"), ValueError, "method must be one of bdf2"),
        (lambda: solve()(0, [1j]), TypeError, "x must be real"),
        (
            lambda: solve(np.ones(2049, np.float32), t=np.float32([0, 1]), n=2048),
            ValueError,
            "u0 must be double precision",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_limit_of_the_decomposition(monkeypatch):
    monkeypatch.setattr(module, "_DENSE_LIMIT", 4)
    with pytest.raises(ValueError, match=r"n \+ p - 2 must be at most 4 for method='expm'"):
        solve(method="expm")
    assert solve().converged

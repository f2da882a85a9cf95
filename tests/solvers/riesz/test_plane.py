from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numerics import bspline_collocation_matrix
from numerics.convergence import ConvergenceWarning
from solvers import riesz_collocation_matrix, solve_riesz_bvp_2d

LINE = np.linspace(0, 1, 101)

# Largest errors for R_x u + R_y u = f with u the product of two bumps, alpha = 1.5, by an
# independent dense program; n = 16, 32, 64.
ERRORS = {
    2: (5.3e-8, 8.8e-9, 1.5e-9),
    3: (4.8e-8, 8.7e-9, 1.5e-9),
    4: (1.1e-9, 6.0e-11, 3.1e-12),
    5: (3.3e-10, 2.2e-11, 1.1e-12),
}
# Iterations to 1e-8 with the sine transform: they grow with the degree alone.
ITERATIONS = {2: 7, 3: 10, 4: 14, 5: 17, 6: 20, 8: 23, 10: 28}


@pytest.fixture
def product(bump, riesz_of_bump):
    """Solution and right-hand side of the product of two bumps."""

    def problem(alpha):
        return (
            lambda x, y: bump(x) * bump(y),
            lambda x, y: riesz_of_bump(x, alpha) * bump(y) + bump(x) * riesz_of_bump(y, alpha),
        )

    return problem


@pytest.mark.parametrize("p", ERRORS)
def test_figures(p, product):
    u, f = product(1.5)
    for n, expected in zip((16, 32, 64), ERRORS[p], strict=True):
        solution = solve_riesz_bvp_2d(f, (n, n), (p, p), (1.5, 1.5))
        error = np.max(np.abs(solution(LINE[:, None], LINE) - u(LINE[:, None], LINE)))
        assert error == pytest.approx(expected, rel=0.1)
        assert error <= solution.error_estimate
        assert solution.converged
        assert not solution.singular_ends


@pytest.mark.parametrize("alpha", [(1.2, 1.2), (1.1, 1.9), (1.8, 1.8)])
def test_estimate_at_singular_edges(alpha):
    """f = 1, against a far finer space; the largest error is next to the edges."""
    x = np.concatenate((np.linspace(0, 0.1, 40), np.linspace(0.1, 1, 40)))
    finest = solve_riesz_bvp_2d(np.ones((300, 300)), (300, 300), (2, 2), alpha)
    for p in (2, 5):
        shape = (16 + p - 2, 16 + p - 2)
        solution = solve_riesz_bvp_2d(np.ones(shape), (16, 16), (p, p), alpha)
        error = np.max(np.abs(solution(x[:, None], x[None]) - finest(x[:, None], x[None])))
        assert error < solution.error_estimate < 4 * error
        assert solution.singular_ends


@pytest.mark.parametrize("p", ITERATIONS)
def test_iterations_do_not_grow_with_n(p):
    for n in (32, 64, 128):
        solution = solve_riesz_bvp_2d(
            np.ones((n + p - 2, n + p - 2)), (n, n), (p, p), (1.5, 1.5), method="gmres", rtol=1e-8
        )
        assert solution.converged
        assert 2 < solution.iterations <= ITERATIONS[p]


@given(
    n=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    p=st.tuples(st.integers(2, 8), st.integers(2, 8)),
    alpha=st.tuples(st.floats(1.05, 1.95), st.floats(1.05, 1.95)),
    kappa=st.tuples(st.floats(0.1, 10), st.floats(0.1, 10)),
    c=st.floats(0, 30),
    seed=st.integers(0, 99),
)
def test_against_the_kronecker_system(n, p, alpha, kappa, c, seed):
    """Any space, down to one cell, whose pencil may have complex pairs. The tolerance is rounding
    times the condition of the system and of the eigenvectors, 1e4 at most here."""
    shape = tuple(m + q - 2 for m, q in zip(n, p, strict=True))
    F = np.random.default_rng(seed).standard_normal(shape)
    solution = solve_riesz_bvp_2d(F, n, p, alpha, kappa=kappa, c=c)
    spaces = list(zip(n, p, alpha, strict=True))
    Ax, Ay = (riesz_collocation_matrix(*space) for space in spaces)
    Mx, My = (bspline_collocation_matrix(*space[:2]).toarray() for space in spaces)
    K = kappa[0] * np.kron(Ax, My) + kappa[1] * np.kron(Mx, Ay) + c * np.kron(Mx, My)
    expected = np.linalg.solve(K, F.ravel()).reshape(shape)
    scale = np.max(np.abs(expected))
    np.testing.assert_allclose(solution.coefficients, expected, atol=1e-10 * scale)
    assert solution.converged


def test_directions_and_domain():
    """Exchanging the axes transposes; stretching a side divides its kappa by the power."""
    f = lambda x, y: np.exp(x) * (1 + y**2)  # noqa: E731
    u = solve_riesz_bvp_2d(f, (10, 14), (3, 4), (1.3, 1.7), kappa=(1.0, 2.0), c=3.0)
    turned = solve_riesz_bvp_2d(
        lambda x, y: f(y, x), (14, 10), (4, 3), (1.7, 1.3), kappa=(2.0, 1.0), c=3.0
    )
    np.testing.assert_allclose(turned.coefficients, u.coefficients.T, rtol=1e-11)
    stretched = solve_riesz_bvp_2d(
        lambda x, y: f((x - 1) / 2, y + 3),
        (10, 14),
        (3, 4),
        (1.3, 1.7),
        kappa=(2**1.3, 2.0),
        c=3.0,
        domain=((1, 3), (-3, -2)),
    )
    np.testing.assert_allclose(stretched.coefficients, u.coefficients, rtol=1e-11)
    np.testing.assert_allclose(stretched(1.6, -2.25), u(0.3, 0.75), rtol=1e-11)
    assert u.singular_ends
    assert stretched(0.9, -2.5) == stretched(1.5, -1.9) == 0


def test_values_stand_for_the_function(product):
    """The solution is the same, the estimate nearly: the coarse values are interpolated."""
    _, f = product(1.5)
    by_function = solve_riesz_bvp_2d(f, (16, 20), (3, 2), (1.5, 1.5))
    kept = []
    solve_riesz_bvp_2d(lambda x, y: kept.append(f(x, y)) or kept[-1], (16, 20), (3, 2), (1.5, 1.5))
    by_values = solve_riesz_bvp_2d(kept[0], (16, 20), (3, 2), (1.5, 1.5))
    np.testing.assert_array_equal(by_values.coefficients, by_function.coefficients)
    assert by_values.error_estimate == pytest.approx(by_function.error_estimate, rel=0.5)


def test_grid_and_points_agree(rng):
    u = solve_riesz_bvp_2d(rng.standard_normal((9, 11)), (8, 9), (3, 4), (1.5, 1.2))
    x, y = rng.uniform(-0.1, 1.1, 6), rng.uniform(-0.1, 1.1, 7)
    grid = u(x[:, None], y[None, :])
    X, Y = np.meshgrid(x, y, indexing="ij")
    np.testing.assert_allclose(u(X, Y), grid, atol=1e-14)
    np.testing.assert_allclose(u(x[0], y), grid[0], atol=1e-14)


def test_an_iteration_that_is_cut_off_says_so(monkeypatch):
    from solvers.riesz import _tensor, krylov

    def cut_off(*arguments, rtol):
        return krylov.preconditioned_gmres(*arguments, rtol=rtol, maxiter=3)

    monkeypatch.setattr(_tensor, "preconditioned_gmres", cut_off)
    with pytest.warns(ConvergenceWarning, match="gmres left a relative residual"):
        u = solve_riesz_bvp_2d(np.ones((20, 20)), (20, 20), (2, 2), (1.5, 1.5), method="gmres")
    assert not u.converged


def test_array_kinds(xp):
    values = np.cos(np.arange(9 * 11.0)).reshape(9, 11)
    options = {"n": (8, 9), "p": (3, 4), "alpha": (1.5, 1.2), "c": 2.0}
    expected = solve_riesz_bvp_2d(values, **options)
    got = solve_riesz_bvp_2d(xp.asarray(np.repeat(values, 2, axis=1))[:, ::2], **options)
    scale = np.max(np.abs(expected.coefficients))
    np.testing.assert_allclose(
        xp.numpy(got.coefficients) / scale, expected.coefficients / scale, atol=xp.tol
    )
    x = np.linspace(0, 1, 5)
    for points in ((x[:, None], x[None]), (x, x)):
        result = xp.numpy(got(*map(xp.asarray, points)))
        np.testing.assert_allclose(result / scale, expected(*points) / scale, atol=xp.tol)


def test_gradients():
    torch = pytest.importorskip("torch")
    f = torch.cos(torch.arange(12, dtype=torch.float64)).reshape(3, 4).requires_grad_()
    parameters = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (1.0, 2.0, 0.5)]
    points = torch.tensor([0.2, 0.7], dtype=torch.float64)

    def values(f, kx, ky, c):
        u = solve_riesz_bvp_2d(f, (2, 3), (3, 3), (1.5, 1.2), kappa=(kx, ky), c=c)
        return u(points, points)

    assert torch.autograd.gradcheck(values, (f, *parameters))


def solve(f=None, n=(4, 4), p=(3, 3), alpha=(1.5, 1.5), **options):
    return solve_riesz_bvp_2d(np.ones((5, 5)) if f is None else f, n, p, alpha, **options)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: solve(n=4), TypeError, "n must be a pair, got 4"),
        (lambda: solve(n=(4, 0)), ValueError, "n must be at least 1"),
        (lambda: solve(p=(3, 1)), ValueError, "p must be at least 2"),
        (lambda: solve(p=(3, 11)), ValueError, "p must be at most 10"),
        (lambda: solve(alpha=(1.5, 2.0)), ValueError, "alpha must lie in"),
        (lambda: solve(kappa=(1.0, 0.0)), ValueError, "kappa must be positive"),
        (lambda: solve(kappa=1.0), TypeError, "kappa must be a pair"),
        (lambda: solve(kappa=([1.0], 1.0)), ValueError, "kappa must be a number"),
        (lambda: solve(c=-1.0), ValueError, "c must not be negative"),
        (lambda: solve(c=1j), TypeError, "c must be real"),
        (lambda: solve(np.ones((4, 5))), ValueError, r"f must have shape \(5, 5\), got \(4, 5\)"),
        (lambda: solve(np.full((5, 5), np.nan)), ValueError, "f must be finite"),
        (lambda: solve(1j * np.ones((5, 5))), TypeError, "f must be real"),
        (lambda: solve(domain=((0, 1), (1, 1))), ValueError, "domain must be increasing"),
        (lambda: solve(domain=(0, 1)), TypeError, "domain must be a pair"),
        (lambda: solve(method="cg"), ValueError, "method must be one of diag"),
        (lambda: solve(rtol=-1), ValueError, "rtol must be positive"),
        (lambda: solve()([0.1, 0.2], [0.1, 0.2, 0.3]), ValueError, r"x \(2,\), y \(3,\)"),
        (lambda: solve()(0.1, 1j), TypeError, "y must be real"),
        (
            lambda: solve(np.ones((2049, 9), np.float32), n=(2048, 8)),
            ValueError,
            "f must be double precision",
        ),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_gmres_takes_no_tensors():
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match="f must be a NumPy array for method='gmres'"):
        solve(torch.ones(5, 5), method="gmres")

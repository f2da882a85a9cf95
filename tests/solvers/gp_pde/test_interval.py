"""Equations on an interval: known solutions, and posteriors of draws from the model."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import sympy as sp

from numerics.convergence import ConvergenceWarning
from solvers.gp_pde._features import axis_features
from solvers.gp_pde._null_functions import null_functions
from solvers.gp_pde._problem import Edge, Problem
from solvers.gp_pde.conditions import Dirichlet, Neumann, Periodic
from solvers.gp_pde.equations import PDE, Laplacian, LinearOperator, LinearOperator1D
from solvers.gp_pde.solve import solve_pde
from solvers.gp_pde.spectral_mixture import SpectralMixture

x_ = sp.symbols("x")
CUBE = (lambda u: u * (u**2 - 1), lambda u: 3 * u**2 - 1)


def manufactured(expression, linear, interval, n, conditions, nonlinear=None):
    """Solution off the grid, and the arguments of the problem that it solves."""
    derivatives = [sp.lambdify(x_, sp.diff(expression, x_, k)) for k in range(5)]

    def u(x, order=0):
        return derivatives[order](x) + 0 * x

    def f(x):
        total = sum(c * u(x, orders[0]) for c, orders in linear.coefficients(x))
        return total + (nonlinear[0](u(x)) if nonlinear else 0)

    made = {
        "D": lambda x, _: Dirichlet(u(x)),
        "N": lambda x, outward: Neumann(outward * u(x, 1)),
        "-": lambda x, _: None,
        "DN": lambda x, outward: [Dirichlet(u(x)), Neumann(outward * u(x, 1))],
    }
    boundary = (
        Periodic()
        if conditions == "periodic"
        else tuple(
            made[kind](x, outward)
            for kind, x, outward in zip(conditions, interval, (-1, 1), strict=True)
        )
    )
    pde = PDE(linear, *(nonlinear or ()))
    return u, (pde, np.linspace(*interval, n), f, boundary)


def error(solution, u, interval, order=0):
    x = np.linspace(*interval, 731)
    mean, _ = solution.predict(x, order)
    return np.linalg.norm(mean - u(x, order)) / np.linalg.norm(u(x, order))


# Limits are ten times what is seen or more: the last digits depend on the LAPACK in use.
@pytest.mark.parametrize(
    ("expression", "linear", "interval", "n", "conditions", "nonlinear", "limit"),
    [
        (sp.sin(100 * x_), Laplacian(1), (0, 2 * np.pi), 400, "DD", None, 2e-11),
        (sp.sin(500 * x_) - 2 * (x_ - 0.5) ** 2, Laplacian(1), (0, 1), 400, "DD", None, 1e-9),
        (sp.sin(40 * x_) + x_**2, Laplacian(1), (0, 1), 150, "ND", None, 1e-6),
        (sp.sin(17 * x_) + x_, LinearOperator1D(900.0, 0, 1), (0, 1), 150, "DD", None, 1e-10),
        (sp.exp(-x_) * sp.sin(20 * x_), LinearOperator1D(1, 1), (0, 2), 150, "D-", None, 1e-8),
        (sp.sin(20 * x_), Laplacian(1), (0, 1), 150, ("DN", "-"), None, 1e-7),
        (sp.sin(20 * x_), LinearOperator([(1.0, 4)]), (0, 1), 150, ("DN", "DN"), None, 1e-10),
        (
            sp.sin(20 * x_) + x_,
            LinearOperator1D(lambda x: x, 0, lambda x: 1 + x**2),
            (0, 1),
            150,
            "DN",
            None,
            1e-8,
        ),
        (
            sp.sin(6 * sp.pi * x_),
            LinearOperator1D(-1, 1, 1),
            (0, 1),
            80,
            "periodic",
            None,
            1e-11,
        ),
        (sp.exp(-200 * (x_ - 0.5) ** 2), Laplacian(1), (0, 1), 100, "DD", None, 1e-8),
        (sp.sin(50 * x_), Laplacian(1), (0, 2 * np.pi), 220, "DD", CUBE, 1e-10),
        (sp.sin(20 * x_), Laplacian(1), (0, 1), 120, "ND", (np.exp, np.exp), 1e-7),
    ],
    ids=str,
)
def test_manufactured_solutions(expression, linear, interval, n, conditions, nonlinear, limit):
    u, arguments = manufactured(expression, linear, interval, n, conditions, nonlinear)
    solution = solve_pde(*arguments)
    assert error(solution, u, interval) < limit
    # A derivative loses the size of the shortest wave resolved.
    assert error(solution, u, interval, 1) < 300 * limit
    assert solution.converged
    assert solution.residual_off_grid
    assert solution.residual_norm < 1e-6
    assert (len(solution.newton_history) > 1) == (nonlinear is not None)


def test_newton_takes_one_step_more_than_a_linear_equation_needs():
    """A linear term given as a nonlinear one is solved in the first step."""
    x = np.linspace(0, 1, 80)
    pde = PDE(Laplacian(1), lambda u: 9.0 * u, lambda u: 9.0 + 0 * u)
    solution = solve_pde(pde, x, 0.0, (0.0, 1.0))
    assert solution.iterations == 2
    np.testing.assert_allclose(solution.u, np.sin(3 * x) / np.sin(3), atol=1e-8)
    rest = solve_pde(PDE(Laplacian(1), *CUBE), x, 0.0, (0.0, 0.0))
    assert not rest.u.any()
    assert rest.converged


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kernel", ["auto", SpectralMixture([1.0], [0.0], [2.0])], ids=str)
def test_newton_does_not_creep_to_where_the_residual_is_noise(kernel, rng):
    pde = PDE(Laplacian(1), lambda u: u**3 - u, lambda u: 3 * u**2 - 1)
    x, places = np.linspace(0, 1, 40), np.linspace(0.05, 0.95, 10)
    for _ in range(5):
        u = (np.sin(7 * x), np.sin(7 * places))
        f = u[0] ** 3 - 50 * u[0] + 20 * rng.standard_normal(40)
        seen = places, u[1] + 0.1 * rng.standard_normal(10), 0.1
        ends = (0.0, np.sin(7.0))
        solution = solve_pde(pde, x, f, ends, kernel=kernel, noise=(20.0, 0.05), observations=seen)
        assert solution.converged
        assert solution.iterations <= 8


def test_newton_that_does_not_arrive_says_so():
    x = np.linspace(0, 1, 60)
    pde = PDE(Laplacian(1), lambda u: 30 * np.exp(u), lambda u: 30 * np.exp(u))
    # Bratu's problem has no solution for a factor above 3.51.
    with pytest.warns(ConvergenceWarning, match="rtol") as record:
        solution = solve_pde(pde, x, 0.0, (0.0, 0.0), maxiter=4)
    assert record[0].filename == __file__
    assert not solution.converged
    assert solution.iterations == len(solution.newton_history) == 4


def test_posterior_covers_draws_of_its_own_model(rng):
    kernel = SpectralMixture([1.0, 0.3], [0.0, 6.0], [1.0, 0.5])
    x = np.linspace(0, 1, 60)
    linear = LinearOperator1D(10.0, 0.0, 1.0)
    features = axis_features(x, kernel, floor=1e-20)
    image = features(x, 2) + 10 * features(x)
    check = np.linspace(0, 1, 40)
    places = rng.uniform(0, 1, 15)
    noise, std = (20.0, 0.1), 0.2
    scores = []
    for _ in range(60):
        xi = rng.standard_normal(features.size)
        ends = features(x[[0, -1]]) @ xi + noise[1] * rng.standard_normal(2)
        f = image @ xi + noise[0] * rng.standard_normal(60)
        seen = features(places) @ xi + std * rng.standard_normal(15)
        solution = solve_pde(
            linear,
            x,
            f,
            tuple(ends),
            kernel=kernel,
            noise=noise,
            observations=(places, seen, std),
        )
        mean, variance = solution.predict(check)
        scores.append((mean - features(check) @ xi) / np.sqrt(variance))
    scores = np.array(scores)
    # About 60 times 5 independent scores: the share has a standard error of 1.3 %.
    assert 0.90 < np.mean(np.abs(scores) < 1.96) < 0.99
    assert 0.75 < np.mean(scores**2) < 1.3


def test_noise_and_observations_enter_as_in_the_dense_formulas(rng):
    kernel = SpectralMixture([1.0], [2.0], [1.0])
    x = np.linspace(0, 1, 25)
    places, seen = rng.uniform(0, 1, 6), rng.standard_normal(6)
    f = rng.standard_normal(25)
    solution = solve_pde(
        Laplacian(1),
        x,
        f,
        (0.3, None),
        kernel=kernel,
        noise=(2.0, 0.1),
        observations=(places, seen, np.full(6, 0.5)),
    )
    features = axis_features(x, kernel, given=True, floor=1e-20)
    H = np.concatenate([features(x[:1]), features(x, 2), features(places)])
    std = np.concatenate([[0.1], np.full(25, 2.0), np.full(6, 0.5)])
    y = np.concatenate([[0.3], f, seen])
    S = H @ H.T + np.diag(std**2)
    phi = features(np.array([0.17, 0.8]), 1)
    mean, variance = solution.predict([0.17, 0.8], 1)
    np.testing.assert_allclose(mean, phi @ H.T @ np.linalg.solve(S, y), rtol=1e-7)
    inner = phi @ phi.T - phi @ H.T @ np.linalg.solve(S, H @ phi.T)
    np.testing.assert_allclose(variance, np.diag(inner), rtol=1e-6)
    known = slice(0, 26)
    before = S[known, known]
    shift = S[26:, known] @ np.linalg.solve(before, y[known])
    spread = S[26:, 26:] - S[26:, known] @ np.linalg.solve(before, S[known, 26:])
    rest = seen - shift
    expected = -0.5 * (
        rest @ np.linalg.solve(spread, rest) + np.linalg.slogdet(2 * np.pi * spread)[1]
    )
    assert abs(solution.log_evidence - expected) < 1e-7 * abs(expected)


def test_more_data_never_raise_the_variance():
    kernel = SpectralMixture([1.0], [0.0], [1.0])
    f = np.cos
    variances = [
        solve_pde(Laplacian(1), np.linspace(0, 1, n), f, (0.0, 0.0), kernel=kernel, noise=(0.1, 0))
        for n in (5, 9, 17, 33)
    ]
    at = [s.predict([0.3])[1][0] for s in variances]
    assert all(later <= earlier for earlier, later in itertools.pairwise(at))


def test_draws_meet_exact_boundary_data_and_the_mean():
    x = np.linspace(0, 1, 20)
    solution = solve_pde(Laplacian(1), x, np.cos, (1.0, 2.0), noise=(0.3, 0.0))
    draws = solution.sample(400, rng=1)
    np.testing.assert_allclose(draws[:, [0, -1]], np.broadcast_to([1.0, 2.0], (400, 2)), atol=1e-7)
    _, variance = solution.predict(x)
    error = np.abs(draws.mean(axis=0) - solution.u)
    assert np.all(error < 5 * np.sqrt(variance / 400) + 1e-7)


def described(linear, ends, periodic=False):
    x = np.linspace(0, 1, 20)
    edges = tuple(Edge(0, end, order, np.array(0.0)) for end, order in ends)
    return Problem(PDE(linear), (x,), 0 * x, None, edges, (periodic,))


DIRICHLET, NEUMANN = [(0, 0), (1, 0)], [(0, 1), (1, 1)]


@pytest.mark.parametrize(
    ("linear", "ends", "periodic", "count"),
    [
        (Laplacian(1), DIRICHLET, False, 0),
        (Laplacian(1), NEUMANN, False, 1),
        (Laplacian(1), [], True, 1),
        (LinearOperator1D(np.pi**2, 0, 1), DIRICHLET, False, 1),
        (LinearOperator1D(9.0, 0, 1), DIRICHLET, False, 0),
        (LinearOperator1D(4 * np.pi**2, 0, 1), [], True, 2),
        (LinearOperator1D(0, 3.0, 1), NEUMANN, False, 1),
        (LinearOperator1D(0, 1000.0, 1), DIRICHLET, False, 0),
        (LinearOperator1D(-1e6, 0, 1), DIRICHLET, False, 0),
        (LinearOperator1D(-1e-7, 0, 1), NEUMANN, False, 0),
        (LinearOperator1D(4.0, 4.0, 1), DIRICHLET, False, 0),
        (LinearOperator([(1.0, 4)]), NEUMANN, False, 2),
        (LinearOperator1D(0, np.sin, np.exp), NEUMANN, False, 1),
        (LinearOperator1D(0, 0, np.exp), [(0, 0)], False, 1),
        (LinearOperator1D(np.cos, 0, 1), [], False, 0),
    ],
)
def test_null_functions_solve_the_homogeneous_problem(linear, ends, periodic, count):
    problem = described(linear, ends, periodic)
    found = null_functions(problem)
    assert len(found) == count
    x = np.linspace(0, 1, 9)
    for v in found:
        image = sum(c * v(x, orders[0]) for c, orders in linear.coefficients(x))
        np.testing.assert_allclose(image, 0, atol=1e-6)
        assert np.abs(v(x, 0)).max() > 0.1
        for end, order in ends:
            assert abs(v(np.array([float(end)]), order)[0]) < 1e-8


@pytest.mark.parametrize("boundary", [(Neumann(0.0), Neumann(0.0)), Periodic()])
def test_singular_equations(boundary):
    x = np.linspace(0, 1, 80)

    def f(x):
        return -4 * np.pi**2 * np.cos(2 * np.pi * x)

    with pytest.warns(RuntimeWarning, match="singular") as record:
        solution = solve_pde(Laplacian(1), x, f, boundary)
    assert record[0].filename == __file__
    np.testing.assert_allclose(solution.u, np.cos(2 * np.pi * x), atol=1e-7)
    with pytest.raises(ValueError, match=r"singular.*compatible"):
        solve_pde(Laplacian(1), x, lambda x: f(x) + 0.01, boundary)
    # A value seen tells which solution it is.
    seen = np.array([0.25]), np.array([7.0]), 1e-6
    shifted = solve_pde(Laplacian(1), x, f, boundary, observations=seen)
    np.testing.assert_allclose(shifted.u, 7 + np.cos(2 * np.pi * x), atol=1e-4)


@pytest.mark.parametrize("grid", ["random", "chebyshev"])
@pytest.mark.parametrize("sampled", [False, True])
def test_uneven_grids(grid, sampled, rng):
    inner = np.sort(rng.uniform(0, 1, 160))
    x = (
        np.concatenate([[0.0], inner, [1.0]])
        if grid == "random"
        else 0.5 - 0.5 * np.cos(np.linspace(0, np.pi, 100))
    )

    def f(x):
        return -1600 * np.sin(40 * x)

    solution = solve_pde(Laplacian(1), x, f(x) if sampled else f, (0.0, np.sin(40.0)))
    assert error(solution, lambda x, order: np.sin(40 * x), (0, 1)) < 1e-6
    assert solution.residual_off_grid != sampled


def test_the_prior_is_the_data_s():
    x = np.linspace(0, 1, 200)
    u = solve_pde(Laplacian(1), x, lambda x: -1e4 * np.sin(100 * x), (0.0, np.sin(100.0)))
    assert abs(u.freqs[0][0] - 100 / (2 * np.pi)) < 0.1
    doubled = solve_pde(Laplacian(1), x, lambda x: -2e4 * np.sin(100 * x), (0.0, 2 * np.sin(100.0)))
    ratio = doubled.kernels[0].weights.max() / u.kernels[0].weights.max()
    assert abs(ratio - 4) < 1e-3
    near = solve_pde(Laplacian(1), np.linspace(0, 1, 37), lambda x: np.sin(90 * x), (0.0, 0.0))
    assert near.extension == (2.0,)


@pytest.mark.parametrize(
    ("kernel", "longest"),
    [
        (SpectralMixture([1.0], [0.0], [0.3]), (3.8, 3.9)),
        (SpectralMixture([1.0], [0.0], [0.8], envelope="matern", nu=4.5), (3.0, 3.0)),
        (SpectralMixture([0.7, 0.3], [0.0, 4.0], [2.0, 2.0]), (1.5, 1.5)),
    ],
    ids=["slow", "rough", "fast"],
)
@pytest.mark.parametrize("n", [14, 40])
def test_a_kernel_given_is_the_prior(kernel, longest, n, rng):
    x, z = np.linspace(0, 1, n), np.array([0.03, 0.41, 0.9])
    f, noise = rng.standard_normal(n), 0.5
    solution = solve_pde(Laplacian(1), x, f, (0.3, None), kernel=kernel, noise=(noise, 0.1))
    assert longest[0] - 1e-9 <= solution.extension[0] <= longest[1] + 1e-9
    gaps = x[:, None] - x
    S = np.zeros((n + 1, n + 1))
    S[0, 0] = kernel(np.zeros(1))[0]
    S[0, 1:] = S[1:, 0] = kernel(x, order=2)
    S[1:, 1:] = kernel(gaps, order=4)
    S[np.diag_indices(n + 1)] += np.array([0.1, *np.full(n, noise)]) ** 2
    cross = np.concatenate([kernel(z[:, None]), kernel(z[:, None] - x, order=2)], axis=1)
    mean, variance = solution.predict(z)
    expected = cross @ np.linalg.solve(S, np.concatenate([[0.3], f]))
    spread = kernel(np.zeros(1))[0] - np.sum(cross * np.linalg.solve(S, cross.T).T, axis=1)
    np.testing.assert_allclose(variance, spread, rtol=0.03)
    np.testing.assert_allclose(mean, expected, atol=0.03 * np.sqrt(spread.max()))


def test_noisy_values_leave_what_exact_data_determine():
    x = np.linspace(0, 1, 40)
    points = np.linspace(0.1, 0.9, 30)
    noisy = np.sin(np.pi * points) + 0.05 * np.random.default_rng(1).standard_normal(30)

    def f(x):
        return -(np.pi**2) * np.sin(np.pi * x)

    alone = solve_pde(Laplacian(1), x, f, (0.0, 0.0))
    beside = solve_pde(Laplacian(1), x, f, (0.0, 0.0), observations=(points, noisy, 0.05))
    between = np.linspace(0, 1, 301)
    np.testing.assert_allclose(beside.predict(between)[0], alone.predict(between)[0], atol=1e-8)
    assert beside.residual_norm < 2 * alone.residual_norm

"""Equations on boxes: solutions that are no sums of the features, and the conditions there are.

Errors are measured between the points of the grids. The solutions, products of exponentials, sines
and rational functions, are resolved to 1e-10 to 1e-8 by the grids used.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import sympy

from numerics.convergence import ConvergenceWarning
from solvers.gp_pde._plane import solve_plane
from solvers.gp_pde._plane_spectrum import plane_kernels
from solvers.gp_pde._problem import Edge, Problem
from solvers.gp_pde.equations import PDE, Advection, Laplacian, LinearOperator
from solvers.gp_pde.spectral_mixture import SpectralMixture

X, Y, Z = sympy.symbols("x y z")
U = sympy.sin(3 * X) * sympy.cos(2 * Y) + sympy.exp(-X * Y) / 2
GRIDS = (np.linspace(0.0, 1.0, 60), np.linspace(0.2, 1.1, 62))
CUBE = (np.linspace(0.0, 1.0, 40), np.linspace(0.0, 1.5, 41), np.linspace(-1.0, 0.0, 42))
TOLERANCE = 3e-8


def function(expression, dim=2):
    lambdified = sympy.lambdify((X, Y, Z)[:dim], expression)
    return lambda *points: lambdified(*points) + 0.0 * points[0]


def image(linear, u):
    total = 0
    for c, orders in linear.terms:
        term = u
        for symbol, order in zip((X, Y, Z), orders, strict=False):
            term = sympy.diff(term, symbol, order) if order else term
        total += (c(X, Y) if callable(c) else c) * term
    return total


def box(linear, u=U, grids=GRIDS, *, ends=None, normal=(), nonlinear=None, jac=None, **options):
    """A problem with data of ``u``; ``ends`` are those with data, ``normal`` with slopes."""
    dim = len(grids)
    pde = PDE(linear, nonlinear, jac)
    f = image(linear, u) + (nonlinear(u) if nonlinear else 0)
    edges = []
    for axis in range(dim):
        for end in (0, 1):
            if ends is not None and (axis, end) not in ends:
                continue
            order = int((axis, end) in normal)
            values = function(sympy.diff(u, (X, Y, Z)[axis], order) if order else u, dim)
            points = [g if j != axis else g[[-end]] for j, g in enumerate(grids)]
            mesh = np.meshgrid(*points, indexing="ij")
            edges.append(Edge(axis, end, order, np.squeeze(values(*mesh), axis=axis)))
    source = function(f, dim)
    return Problem(
        pde=pde,
        grids=grids,
        f=source(*np.meshgrid(*grids, indexing="ij")),
        source=options.pop("source", source),
        edges=tuple(edges),
        periodic=options.pop("periodic", (False,) * dim),
        **options,
    )


def error(solution, u=U, order=None, count=70):
    dim = solution.dim
    points = tuple(np.linspace(g[0], g[-1], count) for g in solution.grids)
    mean, variance = solution.posterior.moments(points, order or (0,) * dim)
    for symbol, n in zip((X, Y, Z), order or (), strict=False):
        u = sympy.diff(u, symbol, n) if n else u
    truth = function(u, dim)(*np.meshgrid(*points, indexing="ij"))
    assert (variance >= 0).all()
    return np.linalg.norm(mean - truth) / np.linalg.norm(truth)


MIXED = LinearOperator(
    [(1.0, (2, 0)), (1.0, (0, 2)), (-0.5, (1, 1)), (2.0, (1, 0)), (-3.0, (0, 0))]
)
VARYING = LinearOperator(
    [(lambda x, y: 1 + x**2 / 2, (2, 0)), (lambda x, y: 2 + y, (0, 2)), (1.0, (0, 1))]
)
HEAT = LinearOperator([(1.0, (0, 1)), (-0.1, (2, 0))])
ALL = [(0, 0), (0, 1), (1, 0), (1, 1)]
PROBLEMS = {
    "poisson": {"linear": Laplacian(2)},
    "poisson, normal derivatives": {"linear": Laplacian(2), "normal": [(0, 1), (1, 0)]},
    "helmholtz": {"linear": Laplacian(2) + LinearOperator([(4.0, (0, 0))])},
    "mixed derivative": {"linear": MIXED},
    "coefficients that vary": {"linear": VARYING},
    "advection": {"linear": Advection(3.0), "ends": [(0, 0), (1, 0)]},
    "advection, all faces": {"linear": Advection(3.0)},
    "advection to the left, all faces": {"linear": Advection(-3.0)},
    "heat": {"linear": HEAT, "ends": [(0, 0), (0, 1), (1, 0)]},
    "heat, all faces": {"linear": HEAT},
    "data on two faces": {"linear": LinearOperator([(1.0, (1, 1))]), "ends": [(0, 0), (1, 0)]},
}
DIRECT = {"poisson", "poisson, normal derivatives", "helmholtz", "advection", "heat"}


@pytest.mark.parametrize("name", PROBLEMS)
def test_solutions_between_the_points(name):
    solution = solve_plane(box(**PROBLEMS[name]))
    assert error(solution) < TOLERANCE
    assert solution.converged
    assert solution.residual_off_grid
    assert solution.residual_norm < 1e-4
    assert (solution.iterations == 0) == (name in DIRECT or name == "data on two faces")
    assert solution.newton_history == ()
    assert solution.u.shape == (60, 62)


def test_coefficients_that_vary_too_much_for_gmres():
    grids = (np.linspace(0.0, 1.0, 30), np.linspace(0.2, 1.1, 32))
    speed = LinearOperator([(lambda x, y: 1 + 2 * x**3, (1, 0)), (1.0, (0, 1))])
    solution = solve_plane(box(speed, grids=grids, ends=[(0, 0), (1, 0)]))
    assert solution.converged
    assert solution.iterations >= 240
    assert error(solution) < 1e-5


def test_derivatives_and_points_one_by_one():
    solution = solve_plane(box(Laplacian(2)))
    # The error is in the highest frequencies, about 200: each derivative multiplies it by that.
    assert error(solution, order=(1, 1)) < 1e-3
    assert error(solution, order=(0, 2)) < 1e-3
    points = np.random.default_rng(0).uniform([0.0, 0.2], [1.0, 1.1], (50, 2))
    mean, variance = solution.posterior.moments(points, (0, 1))
    for (x, y), m, v in zip(points[:5], mean, variance, strict=False):
        one = solution.posterior.moments((np.array([x]), np.array([y])), (0, 1))
        np.testing.assert_allclose((one[0][0, 0], one[1][0, 0]), (m, v), rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(
        solution.posterior.moments(solution.grids, (0, 0))[0], solution.u, atol=1e-12
    )


@pytest.mark.parametrize("source", ["callable", "sampled"])
def test_grids_that_are_not_uniform(source):
    rng = np.random.default_rng(0)
    grids = []
    for grid in GRIDS:
        moved = grid.copy()
        moved[1:-1] += 0.15 * (grid[1] - grid[0]) * rng.uniform(-1, 1, len(grid) - 2)
        grids.append(moved)
    options = {} if source == "callable" else {"source": None}
    solution = solve_plane(box(Laplacian(2), grids=tuple(grids), **options))
    assert error(solution) < TOLERANCE
    assert solution.residual_off_grid == (source == "callable")


def test_high_frequencies_off_the_lattice_of_the_features():
    u = sympy.sin(41.3 * X + 1) * sympy.cos(23.7 * Y) + sympy.sin(7.1 * Y) / 3
    assert error(solve_plane(box(Laplacian(2), u)), u) < TOLERANCE


def test_layers_at_a_face():
    # A harmonic function: f says nothing, and what falls off a face is no wave.
    u = sympy.exp(20 * (Y - 1)) * sympy.sin(20 * X) + X * Y
    solution = solve_plane(box(Laplacian(2), u, (np.linspace(0, 1, 60), np.linspace(0, 1, 60))))
    assert error(solution, u) < 1e-6


def test_an_advection_reads_the_frequencies_of_time_off_the_initial_data():
    u = sympy.sin(5 * (X - 12 * Y))
    axis = np.linspace(0.0, 1.0, 70)
    whole = solve_plane(box(Advection(12.0), u, (axis, axis), ends=[(0, 0), (1, 0)]))
    assert error(whole, u) < 1e-7
    assert min(abs(f - 60 / (2 * np.pi)) for f in whole.freqs[1]) < 1.0
    assert all(np.all(np.diff(freqs) > 0) for freqs in whole.freqs)


def test_allen_cahn_by_newton():
    def nonlinear(u):
        return u * (u**2 - 1)

    problem = box(Laplacian(2), nonlinear=nonlinear, jac=lambda u: 3 * u**2 - 1)
    solution = solve_plane(problem)
    assert error(solution) < TOLERANCE
    assert solution.converged
    assert solution.iterations == len(solution.newton_history) <= 5
    assert solution.newton_history[-1] < 1e-10
    # Quadratic convergence.
    assert solution.newton_history[1] < 0.1 * solution.newton_history[0]


@pytest.mark.parametrize("n", [30, 45])
def test_the_variance_of_a_wall_is_of_the_size_of_its_error(n):
    """Allen and Cahn's: unlike waves, so that the prior alone has it exact."""
    u = sympy.tanh((X - 0.5 + Y / 5) / sympy.sqrt(0.0208))
    grids = (np.linspace(0.0, 1.0, n), np.linspace(0.0, 1.0, n))
    problem = box(
        -0.01 * Laplacian(2), u, grids, nonlinear=lambda u: u**3 - u, jac=lambda u: 3 * u**2 - 1
    )
    # What is left of f is rounding.
    problem = replace(problem, f=0.0 * problem.f, source=lambda x, y: 0.0 * x)
    solution = solve_plane(problem)
    points = (np.linspace(0.0, 1.0, 70),) * 2
    _, variance = solution.posterior.moments(points, (0, 0))
    size = np.linalg.norm(function(u)(*np.meshgrid(*points, indexing="ij"))) / 70
    ratio = np.sqrt(np.mean(variance)) / (size * error(solution, u))
    # The residual is largest in the highest frequencies, the error need not be.
    assert 0.1 < ratio < 10
    # What is said of the prior is not enlarged.
    stated = float(np.sum(solution.kernels[0].weights))
    assert 0.1 < stated < 10
    assert solution.posterior.amplitude > 10 * np.sqrt(stated)


def test_newton_stops_at_maxiter_and_says_so():
    problem = box(
        Laplacian(2), nonlinear=lambda u: u**3, jac=lambda u: 3 * u**2, maxiter=1, rtol=1e-14
    )
    with pytest.warns(ConvergenceWarning, match="1 iterations were not enough"):
        solution = solve_plane(problem)
    assert not solution.converged


def test_nonlinear_with_nothing_to_do_returns_zero():
    problem = box(Laplacian(2), 0 * X, nonlinear=lambda u: u**3, jac=lambda u: 3 * u**2)
    solution = solve_plane(problem)
    assert solution.converged
    np.testing.assert_array_equal(solution.u, 0.0)


def test_three_axes():
    u = sympy.sin(4 * X) * sympy.cos(3 * Y) * sympy.exp(Z) + X * Y * Z
    assert error(solve_plane(box(Laplacian(3), u, CUBE)), u, count=25) < 1e-7
    problem = box(Laplacian(3), u, CUBE, nonlinear=lambda u: u**3, jac=lambda u: 3 * u**2)
    assert error(solve_plane(problem), u, count=25) < 1e-7


PERIODIC = (np.linspace(0.0, 2.0, 41), np.linspace(0.0, 2.0, 45))
WAVES = sympy.exp(sympy.sin(sympy.pi * X)) * sympy.cos(sympy.pi * Y + 1)


def test_periodic_axes():
    u = sympy.exp(sympy.sin(sympy.pi * X)) * sympy.cos(3 * Y)
    ends = [(1, 0), (1, 1)]
    problem = box(Laplacian(2), u, PERIODIC, ends=ends, periodic=(True, False))
    assert error(solve_plane(problem), u) < 3e-8
    linear = Laplacian(2) - LinearOperator([(2.0, (0, 0))])
    problem = box(linear, WAVES, PERIODIC, ends=[], periodic=(True, True))
    solution = solve_plane(problem)
    assert error(solution, WAVES) < 1e-11
    assert solution.extension == (1.0, 1.0)


def test_singular_problems_have_the_solution_of_mean_zero():
    problem = box(Laplacian(2), WAVES, PERIODIC, ends=[], periodic=(True, True))
    with pytest.warns(RuntimeWarning, match="mean zero"):
        solution = solve_plane(problem)
    assert error(solution, WAVES) < 1e-11
    with pytest.warns(RuntimeWarning, match="mean zero"):
        solution = solve_plane(box(Laplacian(2), normal=ALL))
    points = tuple(np.linspace(g[0], g[-1], 50) for g in GRIDS)
    mean, _ = solution.posterior.moments(points, (0, 0))
    gap = mean - function(U)(*np.meshgrid(*points, indexing="ij"))
    np.testing.assert_allclose(gap, gap.mean(), atol=1e-8)
    nodes, weights = np.polynomial.legendre.leggauss(20)
    inner = [g[0] + (g[-1] - g[0]) * (nodes + 1) / 2 for g in GRIDS]
    # A resonance: sin(pi x) sin(pi y) is free.
    square = (np.linspace(0, 1, 40), np.linspace(0, 1, 42))
    linear = Laplacian(2) + LinearOperator([(2 * np.pi**2, (0, 0))])
    u = sympy.sin(2 * sympy.pi * X) * sympy.sin(sympy.pi * Y)
    with pytest.warns(RuntimeWarning, match="orthogonal"):
        assert error(solve_plane(box(linear, u, square)), u) < TOLERANCE
    at_nodes, _ = solution.posterior.moments(tuple(inner), (0, 0))
    assert abs(weights @ at_nodes @ weights) < 1e-9


def test_a_singular_problem_without_a_solution_is_refused():
    problem = box(Laplacian(2), normal=ALL)
    with pytest.raises(ValueError, match="f must be compatible"):
        solve_plane(replace(problem, f=problem.f + 1.0))


def test_more_conditions_than_a_nonlinear_equation_takes():
    problem = box(Advection(1.0), nonlinear=lambda u: u**2, jac=lambda u: 2 * u)
    with pytest.raises(ValueError, match="leave out x1, y1"):
        solve_plane(problem)


def test_inconsistent_data_on_outflow_are_met_in_the_mean():
    problem = box(Advection(3.0))
    exact = solve_plane(problem)
    *edges, last = problem.edges
    assert last.name == "y1"
    last = replace(last, values=last.values + 0.1 * np.sin(np.pi * GRIDS[0]) ** 4)
    solution = solve_plane(replace(problem, edges=(*edges, last)))
    moved = solution.u[:, -1] - exact.u[:, -1]
    # Part of the way to the data, and not at all at the inflow.
    assert 0.01 < np.abs(moved).max() < 0.1
    np.testing.assert_allclose(solution.u[0], exact.u[0], atol=1e-8)
    np.testing.assert_allclose(solution.u[:, 0], exact.u[:, 0], atol=1e-8)


def test_least_squares_over_all_weights_agrees():
    """Dense least squares over the weights of the features, at points that are not the grid's."""
    grids = (np.linspace(0.0, 1.0, 24), np.linspace(0.2, 1.1, 22))
    solution = solve_plane(box(Laplacian(2), grids=grids))
    bases = solution.posterior.bases
    x, y = (np.linspace(g[0], g[-1], 33) for g in grids)
    values = [[b.features(p, n) for n in (0, 2)] for b, p in zip(bases, (x, y), strict=True)]
    equation = np.kron(values[0][1], values[1][0]) + np.kron(values[0][0], values[1][1])
    ends = [b.features(g[[0, -1]]) for b, g in zip(bases, grids, strict=True)]
    faces = [np.kron(ends[0], values[1][0]), np.kron(values[0][0], ends[1])]
    u = function(U)
    f = function(sympy.diff(U, X, 2) + sympy.diff(U, Y, 2))(x[:, None], y)
    g = [u(grids[0][[0, -1]][:, None], y), u(x[:, None], grids[1][[0, -1]])]
    weight = 1.0 / np.abs(f).max()
    rows = np.concatenate([weight * equation, *faces])
    data = np.concatenate([weight * f.ravel(), g[0].ravel(), g[1].ravel()])
    xi = np.linalg.lstsq(rows, data, rcond=1e-15)[0]
    dense = np.kron(values[0][0], values[1][0]) @ xi
    mean, _ = solution.posterior.moments((x, y), (0, 0))
    truth = u(x[:, None], y)
    # So few points resolve u to 1e-5 or so, by either way.
    np.testing.assert_allclose(dense.reshape(33, 33), truth, atol=5e-5)
    np.testing.assert_allclose(mean, truth, atol=5e-5)


def test_a_kernel_that_is_given_is_taken_as_it_is():
    kernels = (SpectralMixture([4.0], [0.3], [0.6], envelope="matern", nu=4.5),) * 2
    solution = solve_plane(box(Laplacian(2), kernels=kernels))
    assert error(solution) < 1e-6
    np.testing.assert_allclose(solution.kernels[0].weights, [4.0])
    assert solution.kernels[0].envelope == "matern"
    assert solution.nugget == 1e-11


def test_side_lobes_are_no_lines():
    u = sympy.sin(41.3 * X) * sympy.cos(23.7 * Y)
    problem = box(Laplacian(2), u)
    for kernel, omega in zip(
        plane_kernels(problem, list(Laplacian(2).terms)), (41.3, 23.7), strict=True
    ):
        # The line, and what stands for slow functions.
        far = np.abs(kernel.freqs - omega / (2 * np.pi)) > 0.5
        np.testing.assert_array_equal(kernel.freqs[far], 0.0)
        assert float(np.sum(kernel.weights)) == pytest.approx(1.0)

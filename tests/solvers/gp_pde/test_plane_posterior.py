"""Posteriors on boxes: against the formulas of Gaussian processes, and for coverage."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from numerics.kronecker import along
from solvers.gp_pde._axis_basis import axis_basis
from solvers.gp_pde._features import axis_features
from solvers.gp_pde._plane import solve_plane
from solvers.gp_pde._plane_observed import observed_widths
from solvers.gp_pde._plane_posterior import PlanePosterior
from solvers.gp_pde._plane_spread import row_products
from solvers.gp_pde._problem import Edge, Observations, Problem
from solvers.gp_pde.equations import PDE, Advection, Laplacian, LinearOperator
from solvers.gp_pde.spectral_mixture import SpectralMixture

GRIDS = (np.linspace(0.0, 1.0, 12), np.linspace(0.0, 1.2, 11))
KERNELS = (
    SpectralMixture([1.0], [0.5], [0.5]),
    SpectralMixture([0.5, 0.5], [0.2, 0.8], [0.4, 0.4]),
)
VARYING = LinearOperator([(lambda x, y: 1 + x * y, (2, 0)), (1.0, (0, 2)), (0.5, (0, 1))])


def drawn(
    linear=None,
    noise=(0.5, 0.02),
    observed=0,
    seed=0,
    ends=None,
    grids=GRIDS,
    pde=None,
    kernels=KERNELS,
):
    """A problem whose solution is drawn from its prior, and that solution's weights."""
    rng = np.random.default_rng(seed)
    pde = pde or PDE(linear)
    features = [axis_features(g, k, given=True) for g, k in zip(grids, kernels, strict=True)]
    weights = rng.standard_normal([f.size for f in features])

    def u(points, order=(0, 0)):
        return features[0](points[0], order[0]) @ weights @ features[1](points[1], order[1]).T

    f = sum(
        (c(*np.meshgrid(*grids, indexing="ij")) if callable(c) else c) * u(grids, orders)
        for c, orders in pde.linear.terms
    )
    f = f + pde.reaction(u(grids))[0] + noise[0] * rng.standard_normal(f.shape)
    edges = []
    for axis, end in ends if ends is not None else [(0, 0), (0, 1), (1, 0), (1, 1)]:
        face = [g[[-end]] if j == axis else g for j, g in enumerate(grids)]
        values = u(face).ravel()
        edges.append(Edge(axis, end, 0, values + noise[1] * rng.standard_normal(len(values))))
    seen = None
    if observed:
        points = rng.uniform([0.0, 0.0], [g[-1] for g in grids], (observed, 2))
        rows = row_products([f(x) for f, x in zip(features, points.T, strict=True)])
        std = np.full(observed, 0.05)
        seen = Observations(
            points, rows @ weights.ravel() + std * rng.standard_normal(observed), std
        )
    problem = Problem(pde, grids, f, None, tuple(edges), (False, False), kernels, noise)
    return replace(problem, observations=seen), features, u


def brute_force(problem, features, points, order=(0, 0)):
    """Posterior mean and variance with every weight of every feature, and the log evidence."""
    grids = problem.grids
    mesh = np.meshgrid(*grids, indexing="ij")
    rows, data, std = [], [], []
    total = 0.0
    for c, orders in problem.pde.linear.terms:
        c = np.reshape(c(*mesh), (-1, 1)) if callable(c) else c
        per = [f(g, a) for f, g, a in zip(features, grids, orders, strict=True)]
        total = total + c * np.kron(*per)
    rows.append(total)
    data.append(problem.f.ravel())
    std.append(np.full(problem.f.size, problem.noise[0]))
    for edge in problem.edges:
        per = [
            f(g[[-edge.end]] if j == edge.axis else g)
            for j, (f, g) in enumerate(zip(features, grids, strict=True))
        ]
        rows.append(np.kron(*per))
        data.append(edge.values)
        std.append(np.full(edge.values.size, max(problem.noise[1], 1e-5)))
    if problem.observations is not None:
        seen = problem.observations
        rows.append(row_products([f(x) for f, x in zip(features, seen.points.T, strict=True)]))
        data.append(seen.values)
        std.append(seen.noise_std)
    H, y, std = (np.concatenate(part) for part in (rows, data, std))
    H, y = H / std[:, None], y / std
    cross = np.kron(*[f(x, a) for f, x, a in zip(features, points, order, strict=True)])
    # In the dual form, of the size of the data: K = I + H H^T.
    factor = np.linalg.cholesky(np.eye(len(y)) + H @ H.T)
    half = np.linalg.solve(factor, np.column_stack([H @ cross.T, y]))
    mean = half[:, :-1].T @ half[:, -1]
    variance = np.sum(cross**2, axis=1) - np.sum(half[:, :-1] ** 2, axis=0)
    evidence = -0.5 * half[:, -1] @ half[:, -1] - np.sum(np.log(np.diag(factor)))
    evidence -= np.sum(np.log(std)) + len(y) * np.log(2 * np.pi) / 2
    shape = tuple(len(x) for x in points)
    return mean.reshape(shape), variance.reshape(shape), evidence


POINTS = (np.linspace(0.05, 0.95, 7), np.linspace(0.1, 1.1, 6))
CASES = {
    "laplacian": {"linear": Laplacian(2)},
    "observations too": {"linear": Laplacian(2), "observed": 15},
    "coefficients that vary": {"linear": VARYING},
    "advection, two faces": {"linear": Advection(2.0), "ends": [(0, 0), (1, 0)]},
    "no face": {"linear": Laplacian(2), "ends": [], "observed": 20},
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("order", [(0, 0), (1, 0)])
def test_posterior_is_that_of_the_process(name, order):
    problem, features, _ = drawn(**CASES[name])
    solution = solve_plane(problem)
    mean, variance = solution.posterior.moments(POINTS, order)
    expected, spread, evidence = brute_force(problem, features, POINTS, order)
    # What is left out in the data is below a hundredth of the noise.
    sd = np.sqrt(spread)
    np.testing.assert_allclose(mean, expected, atol=0.03 * sd.mean())
    np.testing.assert_allclose(np.sqrt(variance), sd, rtol=0.02)
    if problem.observations is not None:
        # That of the observations given the equation and the faces.
        evidence -= brute_force(replace(problem, observations=None), features, POINTS, order)[2]
    assert solution.log_evidence == pytest.approx(evidence, abs=0.5)
    assert solution.posterior.amplitude == 1.0


def test_evidence_where_exact_data_leave_nothing_open():
    problem, _, u = drawn(Laplacian(2), (0.0, 0.0), 10, grids=tuple(map(_finer, GRIDS)))
    with pytest.warns(RuntimeWarning, match="observations change nothing"):
        evidence = solve_plane(problem).log_evidence
    seen = problem.observations
    true = np.array([u((x[:1], x[1:]))[0, 0] for x in seen.points])
    expected = np.sum(norm.logpdf(seen.values, true, seen.noise_std))
    assert evidence == pytest.approx(expected, abs=0.02)


def test_exact_faces_are_met_and_the_equation_conditions_the_rest():
    problem, features, _ = drawn(Laplacian(2), noise=(0.5, 0.0))
    solution = solve_plane(problem)
    mean, variance = solution.posterior.moments(POINTS, (0, 0))
    expected, spread, _ = brute_force(problem, features, POINTS)
    # The oracle's faces have noise of 1e-5.
    np.testing.assert_allclose(mean, expected, atol=0.02 * np.sqrt(spread).mean())
    np.testing.assert_allclose(np.sqrt(variance), np.sqrt(spread), rtol=0.02)
    for edge in problem.edges:
        on_face = solution.u[(slice(None),) * edge.axis + (-edge.end,)]
        np.testing.assert_allclose(on_face, edge.values, atol=1e-4)


@pytest.mark.parametrize("noise", [(0.5, 0.02), (0.5, 0.0)])
def test_coverage_is_nominal(noise):
    inside, squares = [], []
    for seed in range(40):
        problem, _, u = drawn(Laplacian(2), noise=noise, observed=8, seed=seed)
        mean, variance = solve_plane(problem).posterior.moments(POINTS, (0, 0))
        z = (mean - u(POINTS)) / np.sqrt(variance)
        inside.append(np.mean(np.abs(z) < 1.96))
        squares.append(np.mean(z**2))
    # Values at the points of one draw go together; forty draws leave some 2 % and 8 %.
    assert np.mean(inside) == pytest.approx(0.95, abs=0.04)
    assert np.mean(squares) == pytest.approx(1.0, abs=0.25)


def test_the_amplitude_comes_from_the_data():
    problem, _, u = drawn(Laplacian(2), observed=20)
    scaled = replace(
        problem,
        kernels=None,
        f=1e3 * problem.f,
        edges=tuple(replace(edge, values=1e3 * edge.values) for edge in problem.edges),
        noise=(500.0, 20.0),
        observations=Observations(
            problem.observations.points,
            1e3 * problem.observations.values,
            1e3 * problem.observations.noise_std,
        ),
    )
    one, other = solve_plane(replace(problem, kernels=None)), solve_plane(scaled)
    np.testing.assert_allclose(other.u, 1e3 * one.u, rtol=1e-6, atol=1e-3)
    assert other.posterior.amplitude == pytest.approx(1e3 * one.posterior.amplitude, rel=0.05)
    assert float(np.sum(other.kernels[0].weights)) == pytest.approx(
        other.posterior.amplitude**2, rel=1e-12
    )
    assert np.linalg.norm(one.u - u(GRIDS)) < 0.2 * np.linalg.norm(u(GRIDS))


@pytest.mark.parametrize("noise", [(0.1, 1e-2), (0.0, 0.0)])
@pytest.mark.parametrize("speed", [1.3, 3.0])
def test_observations_alone_can_say_what_u_is_like(noise, speed):
    """A string: f and the ends are zero, and say of any u that there is none."""
    rng = np.random.default_rng(0)
    grids = (np.linspace(0.0, 1.0, 16), np.linspace(0.0, 1.0, 15))

    def u(x, t):
        first = np.sin(np.pi * x) * np.cos(np.pi * speed * t)
        return first + 0.5 * np.sin(3 * np.pi * x) * np.sin(3 * np.pi * speed * t)

    points = rng.uniform(0.0, 1.0, (80, 2))
    std = np.full(80, 0.1)
    seen = Observations(points, u(*points.T) + std * rng.standard_normal(80), std)
    edges = tuple(Edge(0, end, 0, np.zeros(15)) for end in (0, 1))
    wave = PDE(LinearOperator([(1.0, (0, 2)), (-(speed**2), (2, 0))]))
    f = np.zeros((16, 15))
    problem = Problem(wave, grids, f, None, edges, (False, False), None, noise)
    solution = solve_plane(replace(problem, observations=seen))
    mean, variance = solution.posterior.moments(POINTS, (0, 0))
    gap = mean - u(*np.meshgrid(*POINTS, indexing="ij"))
    inside = POINTS[1] < 1.0
    assert np.sqrt(np.mean(gap[:, inside] ** 2)) < 0.1
    assert 0.3 < np.sqrt(np.mean(gap[:, inside] ** 2 / variance[:, inside])) < 1.7
    assert solution.posterior.amplitude > 0.3


def test_widths_are_those_of_what_is_observed():
    rng = np.random.default_rng(1)
    points = rng.uniform(0.0, 1.0, (150, 2))
    values = np.sin(25 * points[:, 0] + 1) * np.cos(3 * points[:, 1])
    seen = Observations(points, values, np.full(150, 0.05))
    rough, slow = observed_widths(seen, [1.0, 1.0], [6.0, 6.0])
    assert rough > 2.5
    assert slow == 1.0
    few = Observations(points[:5], values[:5], np.full(5, 0.05))
    assert observed_widths(few, [1.0, 2.0], [6.0, 6.0]) == [1.0, 2.0]


def test_draws_have_the_moments_that_are_told():
    problem, _, _ = drawn(Laplacian(2))
    posterior = solve_plane(problem).posterior
    mean, variance = posterior.moments(POINTS, (0, 1))
    draws = posterior.draw(4000, np.random.default_rng(0), POINTS, (0, 1))
    # Four standard errors of a mean, five of a variance's square root.
    assert np.abs((draws.mean(0) - mean) / np.sqrt(variance)).max() < 4.5 / np.sqrt(4000)
    np.testing.assert_allclose(draws.std(0), np.sqrt(variance), rtol=5 / np.sqrt(8000))
    points = np.array([[0.3, 0.4], [0.31, 0.4]])
    pair = posterior.draw(500, np.random.default_rng(1), points, (0, 0))
    assert pair.shape == (500, 2)
    assert np.corrcoef(pair.T)[0, 1] > 0.9


def test_variance_point_by_point_is_that_on_the_product():
    posterior = solve_plane(drawn(Laplacian(2), observed=5)[0]).posterior
    mesh = np.stack([x.ravel() for x in np.meshgrid(*POINTS, indexing="ij")], axis=1)
    for order in ((0, 0), (2, 0)):
        mean, variance = posterior.moments(POINTS, order)
        at_points = posterior.moments(mesh, order)
        np.testing.assert_allclose(at_points[0], mean.ravel(), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(at_points[1], variance.ravel(), rtol=1e-6)


def test_directions_left_out_keep_their_prior():
    features = [axis_features(g, k, given=True) for g, k in zip(GRIDS, KERNELS, strict=True)]
    bases = tuple(
        axis_basis(f, g, (), (0,), cutoff=1e-2) for f, g in zip(features, GRIDS, strict=True)
    )
    posterior = PlanePosterior(bases, np.zeros([b.size for b in bases]), 3.0)
    _, variance = posterior.moments(POINTS, (0, 1))
    prior = np.kron(*[f(x, a) for f, x, a in zip(features, POINTS, (0, 1), strict=True)])
    seen = np.kron(*[b(x, a) * b.sd for b, x, a in zip(bases, POINTS, (0, 1), strict=True)])
    expected = 9.0 * (np.sum(prior**2, axis=1) - np.sum(seen**2, axis=1))
    np.testing.assert_allclose(variance.ravel(), expected, rtol=1e-8)
    assert expected.min() > 0
    draws = posterior.draw(3000, np.random.default_rng(0), POINTS, (0, 1))
    np.testing.assert_allclose(draws.var(0).ravel(), expected, rtol=0.15)


def test_exact_problems_have_next_to_no_variance():
    problem, _, u = drawn(Laplacian(2), noise=(0.0, 0.0), grids=tuple(map(_finer, GRIDS)))
    posterior = solve_plane(problem).posterior
    _, variance = posterior.moments(POINTS, (0, 0))
    assert np.sqrt(variance.max()) < 1e-7
    draw = posterior.draw(2, np.random.default_rng(0), POINTS, (0, 0))
    np.testing.assert_allclose(draw, np.broadcast_to(u(POINTS), draw.shape), atol=1e-4)


def _finer(grid):
    return np.linspace(grid[0], grid[-1], 2 * len(grid))


def test_an_open_face_is_closed_by_observations():
    ends = [(0, 0), (0, 1), (1, 0)]
    grids = tuple(map(_finer, GRIDS))
    rough = (SpectralMixture([1.0], [0.0], [1.5]),) * 2
    problem, _, u = drawn(Laplacian(2), (0.0, 0.0), 40, ends=ends, grids=grids, kernels=rough)
    seen = solve_plane(problem)
    blind = solve_plane(replace(problem, observations=None))
    face = (POINTS[0], np.array([1.2]))
    errors = [
        np.abs(solution.posterior.moments(face, (0, 0))[0] - u(face)).max()
        for solution in (seen, blind)
    ]
    spreads = [
        np.sqrt(solution.posterior.moments(face, (0, 0))[1].max()) for solution in (seen, blind)
    ]
    assert spreads[1] > 2 * spreads[0]
    assert errors[0] < 4 * spreads[0]
    assert errors[1] < 4 * spreads[1]
    assert seen.log_evidence is None


def test_nonlinear_equations_with_noise():
    pde = PDE(Laplacian(2), lambda u: u**3, lambda u: 3 * u**2)
    problem, _, u = drawn(pde=pde)
    solution = solve_plane(problem)
    mean, variance = solution.posterior.moments(POINTS, (0, 0))
    z = (mean - u(POINTS)) / np.sqrt(variance)
    assert solution.converged
    assert solution.iterations == len(solution.newton_history) > 1
    assert np.sqrt(np.mean(z**2)) < 2.5
    linear = solve_plane(drawn(Laplacian(2))[0])
    assert linear.newton_history == ()


def test_noise_on_three_axes():
    rng = np.random.default_rng(0)
    grids = tuple(np.linspace(0.0, 1.0, n) for n in (7, 8, 9))
    kernels = (SpectralMixture([1.0], [0.0], [0.4]),) * 3
    features = [axis_features(g, k, given=True) for g, k in zip(grids, kernels, strict=True)]
    weights = rng.standard_normal([f.size for f in features])

    def u(points, orders=(0, 0, 0)):
        return along(weights, [f(x, a) for f, x, a in zip(features, points, orders, strict=True)])

    f = sum(u(grids, orders) for _, orders in Laplacian(3).terms)
    edges = []
    for axis in range(3):
        for end in (0, 1):
            face = [g[[-end]] if j == axis else g for j, g in enumerate(grids)]
            values = np.squeeze(u(face), axis)
            edges.append(Edge(axis, end, 0, values + 0.02 * rng.standard_normal(values.shape)))
    f = f + 0.5 * rng.standard_normal(f.shape)
    problem = Problem(
        PDE(Laplacian(3)), grids, f, None, tuple(edges), (False,) * 3, kernels, (0.5, 0.02)
    )
    posterior = solve_plane(problem).posterior
    points = tuple(np.linspace(0.1, 0.9, n) for n in (4, 3, 5))
    mean, variance = posterior.moments(points, (0, 0, 0))
    # Sixty values, of which a dozen are independent.
    assert 0.5 < np.sqrt(np.mean((mean - u(points)) ** 2 / variance)) < 1.6
    one = posterior.moments(np.array([[x[1] for x in points]]), (0, 0, 0))
    np.testing.assert_allclose(one[0], mean[1, 1, 1], rtol=1e-9)
    np.testing.assert_allclose(one[1], variance[1, 1, 1], rtol=1e-6)


def test_what_is_refused_or_warned_about():
    problem, _, _ = drawn(Laplacian(2), observed=5)
    with pytest.raises(ValueError, match="noise must be larger"):
        solve_plane(replace(problem, noise=(1e-9, 1e-12)))
    wide = SpectralMixture([1.0], [0.0], [30.0])
    grids = (np.linspace(0, 1, 90), np.linspace(0, 1, 90))
    big, _, _ = drawn(Laplacian(2), grids=grids)
    with pytest.raises(ValueError, match="at most 4000 unknowns"):
        solve_plane(replace(big, kernels=(wide, wide)))
    with pytest.warns(RuntimeWarning, match="observations change nothing"):
        solve_plane(replace(problem, noise=(0.0, 0.0)))

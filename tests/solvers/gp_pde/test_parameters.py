"""Coefficients found from noisy values, and whether their uncertainty is what it says."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from numerics.convergence import ConvergenceWarning
from solvers.gp_pde._newton_search import NewtonSearch
from solvers.gp_pde.equations import PDE, Laplacian, LinearOperator, LinearOperator1D
from solvers.gp_pde.parameters import fit_pde_parameters

FREE = (np.full(2, -np.inf), np.full(2, np.inf))


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_search_finds_minimum_and_curvature_at_any_scale(scale):
    A = np.array([[4.0, 1.5], [1.5, 1.0]]) / scale**2
    centre = scale * np.array([1.0, -2.0])

    def cost(theta):
        off = theta - centre
        return 7.0 + 0.5 * off @ A @ off + 1e-3 * (off @ A @ off) ** 2

    search = NewtonSearch(cost, scale * np.array([2.0, 1.0]), FREE)
    theta, curvature, _, converged = search.minimum(scale * np.array([2.0, 1.0]), 50, 1e-4)
    assert converged
    np.testing.assert_allclose(theta, centre, atol=1e-3 * scale)
    np.testing.assert_allclose(curvature, A, atol=1e-3 * A.max())


def test_search_stays_inside_limits_and_leaves_saddles():
    seen = []

    def cost(theta):
        seen.append(theta.copy())
        return 100 * (np.cos(theta[0]) - 0.1 * theta[0] + (theta[1] - 5) ** 2)

    limits = np.array([-1.0, 0.0]), np.array([6.0, 4.0])
    theta, _, iterations, converged = NewtonSearch(cost, np.array([0.3, 1.0]), limits).minimum(
        np.array([0.3, 1.0]), 60, 1e-3
    )
    assert not converged
    assert iterations < 30
    assert np.all(limits[0] < np.min(seen, axis=0))
    assert np.all(np.max(seen, axis=0) < limits[1])
    # On its way to the minimum at 3.24, from the maximum at 0.1, when the other meets its limit.
    assert 2.5 < theta[0] < 4.0
    assert theta[1] > 3.9


def test_search_takes_few_values():
    """The cost of a wave's speed: a deep minimum, and others half a period off."""
    count = 0

    def cost(theta):
        nonlocal count
        count += 1
        return 200 * (1 - np.exp(-((theta[0] - 1.3) ** 2) / 0.1)) + 5 * np.cos(20 * theta[0])

    search = NewtonSearch(cost, np.array([1.0]), (FREE[0][:1], FREE[1][:1]))
    theta, curvature, _, converged = search.minimum(np.array([1.0]), 50, 1e-3)
    assert converged
    assert count < 22
    sd = 1 / np.sqrt(curvature[0, 0])
    best = minimize_scalar(lambda x: cost([x]), bracket=(theta[0] - sd, theta[0], theta[0] + sd))
    # Differences over a third of a standard deviation are that biased by the third derivative.
    assert abs(best.x - theta[0]) < 0.02 * sd
    before = count
    again, *_ = search.minimum(theta, 50, 1e-3)
    assert count - before <= 4
    assert abs(again[0] - theta[0]) < 0.02 * sd


def test_a_flat_direction_is_an_error():
    with pytest.raises(ValueError, match="do not depend on parameter 1"):
        NewtonSearch(lambda t: t[0] ** 2, np.ones(2), FREE).minimum(np.ones(2), 5, 1e-3)


def standard_scores(u, pde, start, truth, boundary, f=0.0, *, count, std, seeds):
    scores = []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        at = rng.uniform(0.05, 0.95, count)
        seen = u(at) + std * rng.standard_normal(count)
        fit = fit_pde_parameters(
            pde, start, np.linspace(0, 1, 30), f, boundary, observations=(at, seen, std)
        )
        assert fit.converged
        root = np.linalg.cholesky(np.atleast_2d(fit.covariance))
        scores.append(np.linalg.solve(root, np.atleast_1d(fit.estimate) - truth))
    return np.array(scores)


@pytest.mark.parametrize(
    ("u", "pde", "start", "truth", "boundary", "f", "std"),
    [
        (
            lambda x: np.exp(-1.5 * x),
            lambda k: LinearOperator([(k, 0), (1.0, 1)]),
            1.0,
            1.5,
            (1.0, None),
            0.0,
            0.02,
        ),
        (
            lambda x: np.sin(10 * x) / 0.7,
            lambda k: LinearOperator1D(0.0, 0.0, k),
            1.3,
            0.7,
            (0.0, np.sin(10.0) / 0.7),
            lambda x: -100 * np.sin(10 * x),
            0.1,
        ),
        (
            lambda x: np.sin(8 * x),
            lambda k: LinearOperator1D(0.0, float(k[1]), float(k[0])),
            np.array([1.0, 1.0]),
            np.array([0.7, 2.0]),
            (0.0, np.sin(8.0)),
            lambda x: -0.7 * 64 * np.sin(8 * x) + 16 * np.cos(8 * x),
            0.05,
        ),
    ],
    ids=["decay", "diffusivity", "two"],
)
def test_uncertainty_is_what_it_says(u, pde, start, truth, boundary, f, std):
    scores = standard_scores(u, pde, start, truth, boundary, f, count=15, std=std, seeds=8)
    # Eight squares of standard normal numbers have a mean of 1 +- 0.5.
    assert 0.25 < np.mean(scores**2) < 2.5
    assert np.abs(scores).max() < 4


def test_a_nonlinear_equation(rng):
    def u(x):
        return np.sin(5 * x)

    def pde(k):
        return PDE(Laplacian(1), lambda u: k * u**3, lambda u: 3 * k * u**2)

    at = rng.uniform(0, 1, 30)
    seen = u(at) + 0.01 * rng.standard_normal(30)
    fit = fit_pde_parameters(
        pde,
        4.0,
        np.linspace(0, 1, 25),
        lambda x: -25 * u(x) + 6 * u(x) ** 3,
        (0.0, u(1.0)),
        observations=(at, seen, 0.01),
    )
    assert abs(fit.estimate - 6) < 4 * np.sqrt(fit.covariance)
    assert fit.covariance < 1
    assert np.abs(fit.solution.u - u(np.linspace(0, 1, 25))).max() < 0.02


@pytest.mark.parametrize(("noise", "n"), [(None, 14), ((1e-2, 1e-3), 10)])
def test_the_heat_equation(noise, n):
    rng = np.random.default_rng(3)

    def u(x, t):
        return np.exp(-0.1 * np.pi**2 * t) * np.sin(np.pi * x)

    at = rng.uniform(0, 1, (30, 2))
    seen = u(*at.T) + 0.02 * rng.standard_normal(30)
    fit = fit_pde_parameters(
        lambda k: LinearOperator([(1.0, (0, 1)), (-k, (2, 0))]),
        0.13,
        (np.linspace(0, 1, n), np.linspace(0, 1, n - 1)),
        0.0,
        {"x0": 0.0, "x1": 0.0, "y0": lambda x, t: np.sin(np.pi * x)},
        observations=(at, seen, 0.02),
        noise=noise,
    )
    assert abs(fit.estimate - 0.1) < 3.5 * np.sqrt(fit.covariance)
    assert 0.001 < np.sqrt(fit.covariance) < 0.01


def test_the_speed_of_a_string_of_which_only_observations_tell():
    """Two numbers of waves, no initial data, and f and the ends at rest."""
    rng = np.random.default_rng(5)

    def u(x, t):
        second = 0.5 * np.sin(3 * np.pi * x) * np.cos(3.9 * np.pi * t)
        return np.sin(np.pi * x) * np.cos(1.3 * np.pi * t) + second

    at = rng.uniform(0, 1, (60, 2))
    seen = u(*at.T) + 0.1 * rng.standard_normal(60)
    solves = 0

    def wave(speed):
        nonlocal solves
        solves += 1
        return LinearOperator([(1.0, (0, 2)), (-(speed**2), (2, 0))])

    fit = fit_pde_parameters(
        wave,
        1.2,
        (np.linspace(0, 1, 14),) * 2,
        0.0,
        {"x0": 0.0, "x1": 0.0},
        observations=(at, seen, 0.1),
        noise=(0.1, 0.01),
    )
    assert fit.converged
    assert abs(fit.estimate - 1.3) < 3 * np.sqrt(fit.covariance)
    assert 0.005 < np.sqrt(fit.covariance) < 0.03
    assert solves <= 25


def test_results_are_of_the_callers_kind(xp):
    at = np.array([0.2, 0.5, 0.9])
    for start in (xp.asarray([1.0]), xp.asarray(1.0)):
        fit = fit_pde_parameters(
            lambda k: LinearOperator([(float(np.ravel(k)[0]), 0), (1.0, 1)]),
            start,
            np.linspace(0, 1, 20),
            0.0,
            (1.0, None),
            observations=(at, np.exp(-1.2 * at), 0.01),
        )
        assert xp.numpy(fit.estimate).shape == tuple(start.shape)
        assert xp.numpy(fit.covariance).shape == tuple(start.shape) * 2
        assert abs(float(np.ravel(xp.numpy(fit.estimate))[0]) - 1.2) < 0.02


def test_what_does_not_settle_is_said():
    at = np.array([0.2, 0.5, 0.9])
    with pytest.warns(ConvergenceWarning, match="not settled") as record:
        fit = fit_pde_parameters(
            lambda k: LinearOperator([(k, 0), (1.0, 1)]),
            5.0,
            np.linspace(0, 1, 20),
            0.0,
            (1.0, None),
            observations=(at, np.exp(-1.2 * at), 0.001),
            maxiter=1,
        )
    assert not fit.converged
    assert record[0].filename == __file__


def test_noise_is_asked_for_where_exact_data_leave_u_open():
    at = np.array([[0.3, 0.4], [0.6, 0.7]])
    with pytest.raises(ValueError, match="noise must be given"):
        fit_pde_parameters(
            lambda k: k * Laplacian(2),
            1.0,
            (np.linspace(0, 1, 8), np.linspace(0, 1, 7)),
            1.0,
            {"x0": 0.0, "x1": 0.0},
            observations=(at, np.array([0.1, 0.2]), 1e-3),
        )


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"theta0": np.ones((2, 2))}, ValueError, "theta0"),
        ({"theta0": "one"}, TypeError, "theta0"),
        ({"observations": None}, ValueError, "observations"),
        ({"bounds": [(0.0, 1.0), (0.0, 1.0)]}, ValueError, "bounds must be 1 pairs"),
        ({"bounds": [(2.0, 3.0)]}, ValueError, "bounds must hold theta0"),
        ({"rtol": -1.0}, ValueError, "rtol"),
        ({"pde_of_theta": lambda k: k}, TypeError, "pde must be"),
        ({"pde_of_theta": lambda k: LinearOperator1D(1.0, 1.0)}, ValueError, "do not depend"),
    ],
)
def test_bad_input(change, error, match):
    arguments = {
        "pde_of_theta": lambda k: LinearOperator1D(k, 1.0),
        "theta0": 1.0,
        "grids": np.linspace(0, 1, 20),
        "f": 0.0,
        "boundary": (1.0, None),
        "observations": (np.array([0.5]), np.array([0.6]), 0.1),
    } | change
    with pytest.raises(error, match=match):
        fit_pde_parameters(**arguments)

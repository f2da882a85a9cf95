"""Symmetric collocation against the textbook formulas and known solutions."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from scipy.stats import multivariate_normal

from solvers.gp_pde._functionals import Covariances, Functionals, derivative_at
from solvers.gp_pde._gram import condition
from solvers.gp_pde.collocation import gp_collocation
from solvers.gp_pde.conditions import Neumann, Periodic
from solvers.gp_pde.equations import PDE, Laplacian, LinearOperator, LinearOperator1D
from solvers.gp_pde.solve import solve_pde
from solvers.gp_pde.spectral_mixture import SpectralMixture

KERNEL = SpectralMixture([1.0, 0.5], [0.0, 2.0], [0.7, 0.5])
X = np.linspace(0, 1, 12)


def test_covariances_are_derivatives_of_the_kernel():
    """A mixed operator with a varying coefficient, against derivatives in 40 digits."""
    x, y = np.array([[0.3, 0.1]]), np.array([[0.7, -0.2]])
    first = Functionals(x, ((2.0, (2, 0)), (np.array([3.0]), (0, 1))))
    second = Functionals(y, ((1.5, (1, 1)), (-1.0, (0, 0))))
    found = Covariances((KERNEL, KERNEL)).between(first, second)[0, 0]

    def kappa(r):
        return sum(
            w * mpmath.exp(-2 * mpmath.pi**2 * s**2 * r**2) * mpmath.cos(2 * mpmath.pi * m * r)
            for w, m, s in zip(KERNEL.weights, KERNEL.freqs, KERNEL.scales, strict=True)
        )

    def k(a, b, c, d):
        return kappa(a - c) * kappa(b - d)

    with mpmath.workdps(40):
        at = (*x[0], *y[0])
        expected = sum(
            c * e * mpmath.diff(k, at, (*a, *b))
            for c, a in ((2.0, (2, 0)), (3.0, (0, 1)))
            for e, b in ((1.5, (1, 1)), (-1.0, (0, 0)))
        )
    assert abs(found - float(expected)) < 1e-10 * abs(float(expected))


def test_conditioning_agrees_with_dense_formulas(rng):
    groups = [
        Functionals(X[:, None], ((1.0, (2,)), (np.cos(X), (0,)))),
        derivative_at(np.array([[0.0], [1.0]]), (1,)),
    ]
    data, std = rng.standard_normal(14), np.repeat([3.0, 0.2], [12, 2])
    covariances = Covariances((KERNEL,))
    found = condition(covariances, groups, data, std, 0.0)
    S = covariances.matrix(groups, groups) + np.diag(std**2)
    asked = derivative_at(np.array([[0.4], [0.9]]), (1,))
    cross = covariances.matrix(groups, [asked])
    mean, variance = found.moments(asked.points, (1,))
    np.testing.assert_allclose(mean, cross.T @ np.linalg.solve(S, data), rtol=1e-8)
    inner = covariances.between(asked, asked) - cross.T @ np.linalg.solve(S, cross)
    np.testing.assert_allclose(variance, np.diag(inner), rtol=1e-6)
    # Two functionals kept to the last are conditioned on the others.
    whole = multivariate_normal(np.zeros(14), S)
    first = multivariate_normal(np.zeros(12), S[:12, :12])
    expected = whole.logpdf(data) - first.logpdf(data[:12])
    assert abs(found.log_evidence_of_last(2) - expected) < 1e-8 * abs(expected)
    np.testing.assert_allclose(found.fitted, data - std**2 * np.linalg.solve(S, data), rtol=1e-7)
    draws = found.draw(4000, rng, asked.points, (1,))
    np.testing.assert_allclose(np.cov(draws.T), inner, atol=0.1 * inner.max())


def test_the_amplitude_of_noisy_data_is_the_likeliest(rng):
    groups = [derivative_at(X[:, None], (0,))]
    data, std = 4 * np.sin(5 * X), np.full(12, 0.3)
    best = condition(Covariances((KERNEL,)), groups, data, std, None, rescale=True)

    def evidence(amplitude):
        kernel = SpectralMixture(amplitude**2 * KERNEL.weights, KERNEL.freqs, KERNEL.scales)
        found = condition(Covariances((kernel,)), groups, data, std, None)
        return found.log_evidence_of_last(12)

    at = evidence(best.amplitude)
    assert abs(at - best.log_evidence_of_last(12)) < 1e-6
    assert at > max(evidence(best.amplitude * 1.2), evidence(best.amplitude / 1.2))


def test_representers_are_reproduced():
    """f = L h with h in the span of the kernel at the data gives h back."""
    x = np.linspace(0, 1, 9)
    h = KERNEL(x - 0.0) - 2 * KERNEL(x - 1.0)
    f = KERNEL(x - 0.0, order=2) - 2 * KERNEL(x - 1.0, order=2)
    s = gp_collocation(Laplacian(1), x, f, x[[0, -1]], h[[0, -1]], KERNEL)
    z = np.array([0.05, 0.33, 0.71])
    mean, variance = s.predict(z)
    expected = KERNEL(z) - 2 * KERNEL(z - 1.0)
    np.testing.assert_allclose(mean, expected, atol=1e-7)
    assert np.all(variance >= 0)
    assert s.residual_norm < 1e-10


def test_scaling_the_kernel_scales_the_covariance_alone():
    f, g = np.cos(3 * X), [0.2, 0.1]
    one = gp_collocation(Laplacian(1), X, f, X[[0, -1]], g, KERNEL, nugget=1e-12)
    scaled = SpectralMixture(9 * KERNEL.weights, KERNEL.freqs, KERNEL.scales)
    nine = gp_collocation(Laplacian(1), X, f, X[[0, -1]], g, scaled, nugget=1e-12)
    np.testing.assert_allclose(one.predict(0.3)[0], nine.predict(0.3)[0], rtol=1e-6)
    np.testing.assert_allclose(9 * one.predict(0.3)[1], nine.predict(0.3)[1], rtol=1e-2)


@pytest.mark.parametrize(
    ("envelope", "limit"), [({}, 1e-5), ({"envelope": "matern", "nu": 2.5}, 1e-2)]
)
def test_many_frequencies_without_learning(envelope, limit):
    """Thirty equal components, as the paper starts from, at 160 points."""
    x = np.linspace(0, 1, 160)
    kernel = SpectralMixture(
        np.ones(30) / 30, np.linspace(0, 30, 30), np.full(30, 0.22), **envelope
    )

    def u(x):
        return np.sin(x) + 0.1 * np.sin(20 * x) + 0.05 * np.sin(100 * x)

    def f(x):
        return -np.sin(x) - 40 * np.sin(20 * x) - 500 * np.sin(100 * x)

    s = gp_collocation(Laplacian(1), x, f(x), x[[0, -1]], u(x[[0, -1]]), kernel)
    z = np.linspace(0, 1, 301)
    assert np.linalg.norm(s.predict(z)[0] - u(z)) < limit * np.linalg.norm(u(z))


def test_results_are_of_the_callers_kind(xp):
    x = xp.asarray(X)
    s = gp_collocation(
        Laplacian(1),
        x,
        xp.asarray(-np.sin(X)),
        x[:1],
        x[:1] * 0,
        KERNEL,
        noise=(1e-3, 1e-3),
        allow_float32=xp.single,
    )
    mean, variance = s.predict(x)
    assert xp.numpy(mean).shape == xp.numpy(variance).shape == (12,)
    assert xp.numpy(s.sample(x, 3, rng=0)).shape == (3, 12)
    np.testing.assert_array_equal(xp.numpy(s.sample(x, 3, rng=0)), xp.numpy(s.sample(x, 3, rng=0)))


def test_the_front_door_solves_by_it():
    x = np.linspace(0, 1, 120)

    def f(x):
        return -401 * np.sin(20 * x)

    screened = LinearOperator1D(-1.0, 0.0, 1.0)
    edges = (0.0, Neumann(20 * np.cos(20.0)))
    s = solve_pde(screened, x, f, edges, method="collocation")
    assert np.abs(s.u - np.sin(20 * x)).max() < 1e-6
    assert s.residual_norm < 1e-7
    assert (s.method, s.log_evidence, s.extension) == ("collocation", None, ())
    assert 1e-14 <= s.nugget <= 1e-11
    pde = PDE(Laplacian(1), lambda u: u**3 - u, lambda u: 3 * u**2 - 1)
    cubic = solve_pde(
        pde, x, lambda x: f(x) + np.sin(20 * x) ** 3, (0.0, np.sin(20.0)), method="collocation"
    )
    assert np.abs(cubic.u - np.sin(20 * x)).max() < 1e-5
    assert cubic.converged


def test_methods_agree_on_noisy_data(rng):
    x = np.linspace(0, 1, 30)
    f = np.cos(3 * x) + 0.3 * rng.standard_normal(30)
    seen = rng.uniform(0, 1, 8), rng.standard_normal(8), 0.2
    kernel = SpectralMixture([1.0], [0.0], [1.5])
    one, two = (
        solve_pde(
            LinearOperator1D(4.0, 0.0, 1.0),
            x,
            f,
            (0.0, 0.5),
            method=method,
            kernel=kernel,
            noise=(0.3, 0.1),
            observations=seen,
        )
        for method in ("features", "collocation")
    )
    # The features' kernel is the sum of the other's translates by 1.5: 2e-5 at a distance of 1/2.
    np.testing.assert_allclose(one.u, two.u, atol=1e-3)
    assert abs(one.log_evidence - two.log_evidence) < 1e-2


def test_a_rectangle():
    x, y = np.linspace(0, 1, 14), np.linspace(0, 2, 15)
    kernel = SpectralMixture([1.0], [0.0], [0.25])

    def u(x, y):
        return np.sin(2 * x) * np.cos(y)

    s = solve_pde(
        Laplacian(2),
        (x, y),
        lambda x, y: -5 * u(x, y),
        u,
        method="collocation",
        kernel=(kernel, kernel),
    )
    mean, _ = s.predict(([0.33, 0.7], [1.1]))
    np.testing.assert_allclose(mean[:, 0], u(np.array([0.33, 0.7]), 1.1), atol=1e-6)
    slope, _ = s.predict([[0.33, 1.1]], order=(0, 1))
    np.testing.assert_allclose(slope, -np.sin(0.66) * np.sin(1.1), atol=1e-4)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"operator": 1.0}, TypeError, "operator"),
        ({"operator": LinearOperator([(1.0, 4)])}, ValueError, "order"),
        ({"f": np.ones(5)}, ValueError, "f must have shape"),
        ({"g": np.ones(5)}, ValueError, "g must have shape"),
        ({"x_interior": np.ones((12, 2))}, ValueError, "x_interior must have shape"),
        ({"kernel": "auto"}, TypeError, "kernel"),
        (
            {"kernel": SpectralMixture([1.0], [0.0], [1.0], envelope="matern", nu=1.5)},
            ValueError,
            "derivatives",
        ),
        ({"nugget": -1.0}, ValueError, "nugget"),
        ({"nugget": 0.0, "x_boundary": np.zeros(2)}, ValueError, "nugget 0e"),
        ({"noise": (1.0,)}, ValueError, "noise"),
        ({"f": X.astype(np.float32)}, ValueError, "allow_float32"),
        ({"f": np.full(12, np.nan)}, ValueError, "f must be finite"),
    ],
)
def test_bad_input(change, error, match):
    arguments = {
        "operator": Laplacian(1),
        "x_interior": X,
        "f": np.ones(12),
        "x_boundary": X[[0, -1]],
        "g": np.zeros(2),
        "kernel": KERNEL,
    } | change
    with pytest.raises(error, match=match):
        gp_collocation(**arguments)


@pytest.mark.parametrize(
    ("boundary", "match"), [(Periodic(), "periodic"), ((Neumann(0.0), Neumann(0.0)), "singular")]
)
@pytest.mark.parametrize("method", ["collocation", "differentiation"])
def test_what_only_features_take(boundary, match, method):
    with pytest.raises(ValueError, match=match):
        solve_pde(Laplacian(1), X, 0.0, boundary, method=method)

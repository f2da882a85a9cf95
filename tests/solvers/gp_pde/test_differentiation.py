"""Collocation by differentiation matrices against known solutions."""

from __future__ import annotations

import numpy as np
import pytest

from solvers.gp_pde.conditions import Neumann
from solvers.gp_pde.equations import PDE, Advection, Laplacian, LinearOperator, LinearOperator1D
from solvers.gp_pde.solve import solve_pde
from solvers.gp_pde.spectral_mixture import SpectralMixture

X = np.linspace(0, 1, 80)
SMOOTH = SpectralMixture([1.0], [0.0], [0.4])


def u(x):
    return np.sin(20 * x)


@pytest.mark.parametrize(
    ("pde", "f", "boundary"),
    [
        (Laplacian(1), lambda x: -400 * u(x), (0.0, u(1.0))),
        (Laplacian(1), lambda x: -400 * u(x), (Neumann(-20.0), u(1.0))),
        (Laplacian(1), lambda x: -400 * u(x), ([0.0, Neumann(-20.0)], None)),
        (LinearOperator1D(1.0, 1.0), lambda x: u(x) + 20 * np.cos(20 * x), (0.0, None)),
        (
            LinearOperator1D(lambda x: x, 0.0, 1.0),
            lambda x: (x - 400) * u(x),
            (0.0, u(1.0)),
        ),
        (
            PDE(Laplacian(1), lambda u: u**3, lambda u: 3 * u**2),
            lambda x: -400 * u(x) + u(x) ** 3,
            (0.0, u(1.0)),
        ),
    ],
)
def test_intervals(pde, f, boundary):
    s = solve_pde(pde, X, f, boundary, method="differentiation")
    # Conditions at one end alone magnify what the nugget costs, five digits, by a hundred.
    assert np.abs(s.u - u(X)).max() < 1e-2
    z = np.array([0.111, 0.52])
    mean, variance = s.predict(z)
    np.testing.assert_allclose(mean, u(z), atol=1e-2)
    assert np.all(variance >= 0)
    assert s.converged
    assert s.residual_norm < 1e-2
    assert 1e-16 <= s.nugget < 1e-10


def test_a_rectangle_by_sylvester():
    x, y = np.linspace(0, 1, 24), np.linspace(0, 1.5, 26)

    def v(x, y):
        return np.sin(3 * x) * np.cos(2 * y)

    helmholtz = Laplacian(2) + LinearOperator([(5.0, (0, 0))])
    s = solve_pde(
        helmholtz,
        (x, y),
        lambda x, y: -8 * v(x, y),
        v,
        method="differentiation",
        kernel=(SMOOTH, SMOOTH),
    )
    mean, _ = s.predict(([0.31, 0.77], [1.01]))
    np.testing.assert_allclose(mean[:, 0], v(np.array([0.31, 0.77]), 1.01), atol=1e-5)
    assert s.sample(2, rng=0).shape == (2, 24, 26)
    assert s.residual_norm < 1e-4


def test_an_advection_with_inflow_and_initial_data():
    x, t = np.linspace(0, 1, 22), np.linspace(0, 1, 20)

    def v(x, t):
        return np.sin(3 * x - 6 * t)

    s = solve_pde(
        Advection(2.0),
        (x, t),
        0.0,
        {"x0": v, "y0": v},
        method="differentiation",
        kernel=(SMOOTH, SMOOTH),
    )
    np.testing.assert_allclose(s.u, v(x[:, None], t), atol=1e-4)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"noise": (0.1, 0.1)}, "noise"),
        ({"observations": ([0.5], [1.0], 0.1)}, "observations"),
    ],
)
def test_refused_on_an_interval(change, match):
    with pytest.raises(ValueError, match=match):
        solve_pde(Laplacian(1), X, 0.0, (0.0, 1.0), method="differentiation", **change)


@pytest.mark.parametrize(
    ("pde", "boundary"),
    [
        (LinearOperator([(1.0, (1, 1))]), {"x0": 0.0}),
        (PDE(Laplacian(2), np.sin, np.cos), {"x0": 0.0}),
        (Laplacian(2), {"x0": Neumann(0.0)}),
    ],
)
def test_refused_on_a_rectangle(pde, boundary):
    with pytest.raises(ValueError, match="'features' does"):
        solve_pde(pde, (X[:9], X[:8]), 0.0, boundary, method="differentiation")


def test_draws_scatter_as_the_variance_says():
    coarse = np.linspace(0, 1, 6)
    s = solve_pde(Laplacian(1), coarse, 0.0, (0.0, 1.0), method="differentiation", kernel=SMOOTH)
    at = np.array([0.1, 0.55, 0.93])
    mean, variance = s.predict(at, 1)
    draws = s.sample(4000, rng=0, points=at, order=1)
    np.testing.assert_allclose(draws.var(axis=0), variance, rtol=0.15)
    np.testing.assert_allclose(draws.mean(axis=0), mean, atol=5 * np.sqrt(variance.max() / 4000))
    with pytest.raises(ValueError, match="at most 4000"):
        s.sample(points=np.linspace(0, 1, 4001))

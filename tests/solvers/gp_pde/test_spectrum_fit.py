"""Evidence of a spectrum against the dense formula, its gradient, and what its maximum finds."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from solvers.gp_pde._arguments import as_problem
from solvers.gp_pde._features import axis_features
from solvers.gp_pde.equations import PDE, Laplacian
from solvers.gp_pde.solve import solve_pde
from solvers.gp_pde.spectral_mixture import SpectralMixture
from solvers.gp_pde.spectrum_fit import _PERIOD, _Evidence, fit_spectrum

X = np.linspace(0, 1, 40)


def wave(x):
    return np.sin(x) + 0.1 * np.sin(20 * x)


def source(x):
    return -np.sin(x) - 40 * np.sin(20 * x)


def described(noise, **change):
    problem, _ = as_problem(
        Laplacian(1),
        X,
        source,
        wave,
        **{
            "kernel": "auto",
            "noise": noise,
            "observations": None,
            "rtol": 1e-9,
            "maxiter": 20,
            "allow_float32": False,
        }
        | change,
    )
    return problem


def parameters_of(kernel):
    return np.concatenate([np.log(kernel.weights), kernel.freqs, np.log(kernel.scales)])


@pytest.mark.parametrize("envelope", [{}, {"envelope": "matern", "nu": 4.5}], ids=str)
@pytest.mark.parametrize("noise", [None, (1.0, 1e-2)], ids=str)
def test_gradient(noise, envelope):
    kernel = SpectralMixture([0.5, 0.3, 0.01], [0.2, 3.0, 9.0], [2.0, 1.0, 1.5], **envelope)
    evidence = _Evidence.of(described(noise), kernel)
    parameters = parameters_of(kernel)
    _, gradient = evidence(parameters)
    h = 1e-4
    for at, slope in zip(np.eye(9), gradient, strict=True):
        difference = (evidence(parameters + h * at)[0] - evidence(parameters - h * at)[0]) / (2 * h)
        # Exact data leave the density itself right to about 1e-6.
        assert abs(difference - slope) < 1e-4 * np.abs(gradient).max()


def test_noisy_evidence_is_the_gaussian_density():
    seen = np.array([0.2, 0.7]), np.array([0.3, 0.5]), np.array([0.1, 0.2])
    kernel = SpectralMixture([0.5, 0.1], [0.0, 3.0], [1.0, 1.0])
    evidence = _Evidence.of(described((2.0, 0.1), observations=seen), kernel)
    features = axis_features(X, kernel, extension=_PERIOD, floor=1e-20)
    rows = [features(X, 2), features(X[:1]), features(X[-1:]), features(seen[0])]
    H = np.concatenate(rows)
    std = np.concatenate([np.full(40, 2.0), np.full(2, 0.1), seen[2]])
    data = np.concatenate([source(X), wave(X[[0, -1]]), seen[1]])
    expected = multivariate_normal(np.zeros(44), H @ H.T + np.diag(std**2)).logpdf(data)
    value, _ = evidence(parameters_of(kernel))
    assert abs(-value - expected) < 1e-6 * abs(expected)
    assert evidence.scale(parameters_of(kernel)) == 1.0


def test_exact_evidence_is_the_density_at_the_likeliest_amplitude(monkeypatch):
    monkeypatch.setattr("solvers.gp_pde.spectrum_fit._RELATIVE_NOISE", 1e-2)
    kernel = SpectralMixture([0.5, 0.1], [0.0, 3.0], [1.0, 1.0])
    evidence = _Evidence.of(described(None), kernel)
    value, _ = evidence(parameters_of(kernel))
    features = axis_features(X, kernel, extension=_PERIOD, floor=1e-20)
    H = np.concatenate([features(X, 2), features(X[[0, -1]])])
    covariance = H @ H.T + np.diag((1e-2 * np.linalg.norm(H, axis=1)) ** 2)
    data = np.concatenate([source(X), wave(X[[0, -1]])])
    square = evidence.scale(parameters_of(kernel))
    assert abs(square - data @ np.linalg.solve(covariance, data) / 42) < 1e-6 * square
    expected = multivariate_normal(np.zeros(42), square * covariance).logpdf(data)
    assert abs(-value - expected) < 1e-6 * abs(expected)


@pytest.mark.parametrize("start", [12, "auto"])
def test_the_spectrum_of_noisy_data_has_its_lines(start, rng):
    x = np.linspace(0, 1, 100)
    f = source(x) + 0.5 * rng.standard_normal(100)
    noise = (0.5, 1e-3)
    fit = fit_spectrum(Laplacian(1), x, f, wave, kernel=start, noise=noise)
    assert fit.log_evidence > fit.initial_log_evidence
    freqs, weights = fit.kernel.freqs, fit.kernel.weights
    # Lines half a cycle per length apart are one to the data.
    near = np.abs(freqs - 20 / (2 * np.pi)) < 0.8
    assert weights[near].sum() > 10 * weights[(freqs > 6) & ~near].sum()
    solution = solve_pde(Laplacian(1), x, f, wave, kernel=fit.kernel, noise=noise)
    assert np.abs(solution.u - wave(x)).max() < 0.05


def test_exact_data_and_nonlinear_equations():
    pde = PDE(Laplacian(1), lambda u: u**3, lambda u: 3 * u**2)

    def f(x):
        return source(x) + wave(x) ** 3

    fit = fit_spectrum(pde, X, f, wave, kernel=10, maxiter=25)
    flat = SpectralMixture(np.ones(10), np.linspace(0, 15, 10), np.full(10, 1.5))
    before = solve_pde(pde, X, f, wave, kernel=flat)
    after = solve_pde(pde, X, f, wave, kernel=fit.kernel)
    z = np.linspace(0, 1, 99)
    errors = [np.abs(s.predict(z)[0] - wave(z)).max() for s in (before, after)]
    assert errors[1] < 1e-5
    assert errors[1] < 0.1 * errors[0]
    assert fit.iterations <= 25


def test_a_useless_maximum_is_warned_of():
    waves = ((1.0, 1), (0.1, 20), (0.05, 100))

    def u(x):
        return sum(a * np.sin(k * x) for a, k in waves)

    def f(x):
        return -sum(a * k**2 * np.sin(k * x) for a, k in waves)

    x = np.linspace(0, 2 * np.pi, 240)
    with pytest.warns(RuntimeWarning, match="poor prior; start from kernel='auto'") as record:
        poor = fit_spectrum(Laplacian(1), x, f, u, kernel=12)
    assert record[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit = fit_spectrum(Laplacian(1), x, f, u, maxiter=10)
    assert fit.log_evidence > poor.log_evidence
    solution = solve_pde(Laplacian(1), x, f, u, kernel=fit.kernel)
    assert np.abs(solution.u - u(x)).max() < 1e-6


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"kernel": 0}, ValueError, "kernel"),
        ({"kernel": True}, TypeError, "kernel"),
        ({"kernel": "flat"}, TypeError, "kernel"),
        ({"maxiter": 0}, ValueError, "maxiter"),
        ({"pde": Laplacian(2), "grid": (X, X)}, ValueError, "pde must have one axis"),
        ({"f": X[:4]}, ValueError, "f must have shape"),
    ],
)
def test_bad_input(change, error, match):
    arguments = {"pde": Laplacian(1), "grid": X, "f": 0.0, "boundary": lambda *x: 0.0} | change
    with pytest.raises(error, match=match):
        fit_spectrum(**arguments)

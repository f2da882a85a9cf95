"""Gaussian processes on grids: against dense algebra, and what conditioning must do."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from solvers.gp_pde import KroneckerGP, SpectralMixture

SMOOTH = SpectralMixture([1.0, 0.5], [0.4, 1.1], [0.3, 0.5])
ROUGH = SpectralMixture([0.7], [0.5], [0.4], envelope="matern", nu=2.5)


def process(sizes=(6, 5), jitter=1e-6):
    rng = np.random.default_rng(3)
    grids = [np.sort(rng.uniform(0, n / 3, n)) for n in sizes]
    return KroneckerGP(grids, [(SMOOTH, ROUGH)[j % 2] for j in range(len(sizes))], jitter=jitter)


def mesh(grids):
    return np.stack(np.meshgrid(*grids, indexing="ij"), axis=-1).reshape(-1, len(grids))


def dense(gp):
    return functools.reduce(np.kron, gp.covariances)


def covariance(gp, X, Y, order=(0, 0)):
    """Of derivatives at X with values at Y, point by point."""
    terms = [
        kernel(X[:, None, j] - Y[None, :, j], order=order[j]) for j, kernel in enumerate(gp.kernels)
    ]
    return functools.reduce(np.multiply, terms)


@settings(max_examples=10)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=3), st.integers(0, 2**32 - 1))
def test_density_and_solution_are_those_of_the_dense_matrix(sizes, seed):
    gp = process(tuple(sizes))
    U = np.random.default_rng(seed).standard_normal((2, *sizes))
    C = dense(gp)
    expected = [multivariate_normal(cov=C, allow_singular=True).logpdf(u.ravel()) for u in U]
    np.testing.assert_allclose(gp.logdet(), np.linalg.slogdet(C)[1], rtol=1e-8)
    solved = np.linalg.solve(C, U.reshape(2, -1).T).T
    np.testing.assert_allclose(gp.solve(U).reshape(2, -1), solved, rtol=1e-6, atol=1e-6)
    # SciPy drops small eigenvalues where the condition is beyond its threshold; none is here.
    np.testing.assert_allclose(gp.logpdf(U), expected, rtol=1e-6)


@pytest.mark.parametrize("order", [(0, 0), (1, 0), (1, 2), (2, 2)])
def test_prediction_against_dense_conditioning(order, rng):
    gp = process()
    X, at = mesh(gp.grids), rng.uniform(0, 2, (7, 2))
    U = rng.standard_normal(gp.shape)
    mean, variance = gp.condition(U).predict(at, order=order)
    k, C = covariance(gp, at, X, order), dense(gp)
    own = np.prod(
        [(-1) ** n * kernel(0.0, order=2 * n) for n, kernel in zip(order, gp.kernels, strict=True)]
    )
    scale = np.abs(k).max() * np.abs(np.linalg.solve(C, U.ravel())).sum()
    np.testing.assert_allclose(mean, k @ np.linalg.solve(C, U.ravel()), atol=1e-9 * scale)
    expected = own - np.sum(k * np.linalg.solve(C, k.T).T, axis=1)
    np.testing.assert_allclose(variance, expected, atol=1e-8 * own)
    assert np.all(variance >= 0)


def test_grid_and_points_say_the_same(rng):
    gp = process((5, 4, 3))
    posterior = gp.condition(rng.standard_normal((2, *gp.shape)))
    grids = [rng.uniform(0, 1, m) for m in (2, 3, 2)]
    for order in ((0, 0, 0), (1, 0, 2)):
        mean, variance = posterior.predict(grids, order=order)
        at_points = posterior.predict(mesh(grids), order=order)
        np.testing.assert_allclose(mean.reshape(2, -1), at_points[0], rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(variance.ravel(), at_points[1], rtol=1e-9, atol=1e-9)


def test_data_are_interpolated_and_scale_is_indifferent(rng):
    gp = process(jitter=1e-12)
    U = gp.sample(rng=rng)
    mean, variance = gp.condition(U).predict(list(gp.grids))
    np.testing.assert_allclose(mean, U, atol=1e-6)
    assert variance.max() < 1e-6
    scaled = [
        SpectralMixture(9 * k.weights, k.freqs, k.scales, envelope=k.envelope) for k in gp.kernels
    ]
    other = KroneckerGP(gp.grids, scaled, jitter=1e-12).condition(U)
    at = rng.uniform(0, 2, (5, 2))
    np.testing.assert_allclose(
        other.predict(at)[0], gp.condition(U).predict(at)[0], rtol=1e-6, atol=1e-6
    )
    np.testing.assert_allclose(
        other.predict(at)[1], 81 * gp.condition(U).predict(at)[1], rtol=1e-6, atol=1e-6
    )


def test_more_points_never_raise_the_variance():
    at, before = np.array([[0.37], [1.9]]), np.inf
    for n in (3, 7, 15, 31):
        gp = KroneckerGP([np.linspace(0, 2, n + 2)[1:-1]], [ROUGH], jitter=1e-12)
        _, variance = gp.condition(np.zeros(n)).predict(at)
        assert np.all(variance <= before + 1e-9)
        before = variance


def test_samples_have_the_covariance():
    gp = process((4, 3), jitter=1e-3)
    draws = gp.sample(20000, rng=0).reshape(20000, -1)
    C = dense(gp)
    # Entries of a sample covariance have standard errors up to sqrt(2 / 20000) of the variance.
    np.testing.assert_allclose(draws.T @ draws / 20000, C, atol=6 * np.sqrt(2 / 20000) * C.max())


@pytest.mark.parametrize("on_grid", [False, True])
def test_posterior_samples_have_its_mean_and_covariance(on_grid):
    gp = process((4, 3), jitter=1e-2)
    U = gp.sample(rng=1)
    posterior = gp.condition(U)
    grids = [np.array([0.2, 0.9]), np.array([0.1, 0.5])]
    at = grids if on_grid else mesh(grids)
    draws = posterior.sample(20000, rng=2, at=at).reshape(20000, -1)
    X, Y = mesh(gp.grids), mesh(grids)
    k, C = covariance(gp, Y, X), dense(gp)
    expected = covariance(gp, Y, Y) - k @ np.linalg.solve(C, k.T)
    bound = 6 * np.sqrt(2 / 20000) * np.diag(expected).max()
    np.testing.assert_allclose(np.cov(draws.T), expected, atol=bound)
    spread = 6 * np.sqrt(np.diag(expected).max() / 20000)
    np.testing.assert_allclose(draws.mean(0), posterior.predict(mesh(grids))[0], atol=spread)


def test_kinds_agree(xp, rng):
    grids, U = [np.linspace(0, 1, 4), np.linspace(0, 2, 5)], rng.standard_normal((4, 5))
    kernels, at = [SMOOTH, ROUGH], rng.uniform(0, 1, (3, 2))
    given = KroneckerGP([xp.asarray(x) for x in grids], kernels, jitter=0.1)
    exact = KroneckerGP(grids, kernels, jitter=0.1)
    close = functools.partial(np.testing.assert_allclose, rtol=10 * xp.tol, atol=10 * xp.tol)
    close(xp.numpy(given.logpdf(xp.asarray(U))), exact.logpdf(U))
    posterior, expected = given.condition(xp.asarray(U)), exact.condition(U)
    for result, wanted in zip(
        posterior.predict(xp.asarray(at), order=(0, 1)),
        expected.predict(at, order=(0, 1)),
        strict=True,
    ):
        close(xp.numpy(result), wanted)
    close(xp.numpy(given.sample(2, rng=4)), exact.sample(2, rng=4))
    close(
        xp.numpy(posterior.sample(rng=4, at=xp.asarray(at))).shape,
        expected.sample(rng=4, at=at).shape,
    )


def test_likelihood_is_differentiable_in_the_kernels(rng):
    torch = pytest.importorskip("torch")
    grids = [torch.linspace(0, 1, n, dtype=torch.float64) for n in (4, 3)]
    U = torch.tensor(rng.standard_normal((4, 3)))

    def logpdf(weights, freqs, scales):
        kernel = SpectralMixture(weights, freqs, scales)
        return KroneckerGP(grids, [kernel, kernel], jitter=1e-2).logpdf(U)

    leaves = [torch.tensor(x, requires_grad=True) for x in ([1.0, 0.5], [0.4, 1.1], [0.3, 0.5])]
    leaves = [x.detach().double().requires_grad_() for x in leaves]
    assert torch.autograd.gradcheck(logpdf, leaves)


GRID = np.linspace(0, 1, 3)
GP = KroneckerGP([GRID, GRID], [SMOOTH, ROUGH])
POSTERIOR = GP.condition(np.ones((3, 3)))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: KroneckerGP([], []), ValueError, "kernels"),
        (lambda: KroneckerGP([GRID], [SMOOTH, SMOOTH]), ValueError, "kernels"),
        (lambda: KroneckerGP([GRID], ["rbf"]), TypeError, r"kernels\[0\]"),
        (lambda: KroneckerGP([np.zeros(3)], [SMOOTH]), ValueError, r"grids\[0\]"),
        (lambda: KroneckerGP([np.eye(3)], [SMOOTH]), ValueError, r"grids\[0\]"),
        (lambda: KroneckerGP([GRID * np.nan], [SMOOTH]), ValueError, r"grids\[0\]"),
        (lambda: KroneckerGP([GRID], [SMOOTH], jitter=-1), ValueError, "jitter"),
        (lambda: GP.logpdf(np.ones((3, 4))), ValueError, "U must"),
        (lambda: GP.condition(np.full((3, 3), np.inf)), ValueError, "U must"),
        (lambda: GP.solve(np.ones((3, 3)) * 1j), TypeError, "U must"),
        (lambda: GP.sample(-1), ValueError, "size"),
        (lambda: GP.sample(rng="seed"), TypeError, "rng"),
        (lambda: POSTERIOR.predict(np.ones((2, 3))), ValueError, "at must"),
        (lambda: POSTERIOR.predict([GRID]), ValueError, "at must"),
        (lambda: POSTERIOR.predict(np.ones((2, 2)), order=(1,)), ValueError, "order"),
        (lambda: POSTERIOR.predict(np.ones((2, 2)), order=(0, 3)), ValueError, "order"),
        (lambda: GP.condition(np.ones((2, 3, 3))).sample(at=[GRID, GRID]), ValueError, "weights"),
    ],
)
def test_bad_input(call, error, words):
    with pytest.raises(error, match=words):
        call()

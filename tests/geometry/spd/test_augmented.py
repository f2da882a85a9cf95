"""Augmented covariances against scikit-learn, brute force and autoregressions that are known."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import LinAlgWarning, solve_discrete_lyapunov
from sklearn.covariance import ledoit_wolf, oas

from geometry.spd import augmented_covariance, delay_embedding, yule_walker
from geometry.spd.augmented import ESTIMATORS

SHAPES = [(1, 1), (2, 1), (3, 2), (4, 3)]


def as_moabb(x, order, lag):
    """MOABB's embedding, in its own slices."""
    if order == 1:
        return x
    return np.concatenate([x[..., k * lag : -(order - k) * lag] for k in range(order)], axis=-2)


def brute_autocovariance(x, h):
    d, T = x.shape
    x = x - x.mean(axis=1, keepdims=True)
    return sum((np.outer(x[:, t + h], x[:, t].conj()) for t in range(T - h)), np.zeros((d, d))) / T


def autoregression(A, U, T, rng):
    """A realisation of the stationary process, after its start is forgotten."""
    p, d = A.shape[:2]
    x = np.zeros((d, T + 200))
    noise = np.linalg.cholesky(U) @ rng.standard_normal(x.shape)
    for t in range(p, T + 200):
        x[:, t] = sum(A[k] @ x[:, t - 1 - k] for k in range(p)) + noise[:, t]
    return x[:, 200:]


def companion(A):
    p, d = A.shape[:2]
    return np.block([[np.concatenate(list(A), axis=1)], [np.eye((p - 1) * d, p * d)]])


@pytest.mark.parametrize(("order", "lag"), SHAPES)
def test_embedding_holds_the_later_samples(rng, order, lag):
    x = rng.standard_normal((2, 3, 17))
    y = delay_embedding(x, order, lag)
    T = 17 - (order - 1) * lag
    assert y.shape == (2, 3 * order, T)
    for k in range(order):
        for t in range(T):
            np.testing.assert_array_equal(y[:, 3 * k : 3 * (k + 1), t], x[:, :, t + k * lag])
    np.testing.assert_array_equal(
        delay_embedding(x, order, lag, trim="moabb"), as_moabb(x, order, lag)
    )


@pytest.mark.parametrize("samples", [9, 60])
@pytest.mark.parametrize("scale", [1.0, 1e-6])
@pytest.mark.parametrize(("name", "oracle"), [("ledoit_wolf", ledoit_wolf), ("oas", oas)])
def test_shrinkage_is_scikit_learns(rng, samples, scale, name, oracle):
    x = scale * rng.standard_normal((4, 3, samples)).cumsum(axis=-1)
    for order, lag in SHAPES[:3]:
        expected = np.stack([oracle(y.T)[0] for y in delay_embedding(x, order, lag)])
        found = augmented_covariance(x, order, lag, estimator=name)
        # Two ways to sum the same: a few roundings apart.
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13 * np.abs(expected).max())


def test_shrinkage_in_volts_and_single_precision(rng):
    """Fourth powers of microvolts are below the smallest single."""
    x = rng.standard_normal((2, 3, 20))
    for name in ("ledoit_wolf", "oas"):
        one = augmented_covariance(x, 2, 1, estimator=name)
        volts = augmented_covariance((1e-12 * x).astype(np.float32), 2, 1, estimator=name)
        np.testing.assert_allclose(1e24 * volts, one, atol=1e-5 * np.abs(one).max())


@pytest.mark.parametrize("name", ["ledoit_wolf", "oas"])
def test_a_constant_or_white_signal_is_shrunk_without_a_division_by_zero(name):
    np.testing.assert_array_equal(augmented_covariance(np.ones((2, 9)), 1, estimator=name), 0)
    one = augmented_covariance(np.array([[0.0, 1, 2, 1]]), 1, estimator=name)
    np.testing.assert_allclose(one, [[0.5]])


def test_plain_estimators_are_numpys(rng):
    x = rng.standard_normal((3, 40)) + 5
    y = delay_embedding(x, 3, 2)
    np.testing.assert_allclose(augmented_covariance(x, 3, 2), np.cov(y), rtol=1e-12)
    scm = augmented_covariance(x, 3, 2, estimator="scm")
    np.testing.assert_allclose(scm, np.cov(y, bias=True), rtol=1e-12)


@pytest.mark.parametrize(("order", "lag"), SHAPES)
@pytest.mark.parametrize("complex_", [False, True])
def test_toeplitz_blocks_are_the_autocovariances(rng, order, lag, complex_):
    x = rng.standard_normal((2, 15)) + (1j * rng.standard_normal((2, 15)) if complex_ else 0)
    found = augmented_covariance(x, order, lag, estimator="toeplitz")
    for i in range(order):
        for j in range(order):
            block = found[2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
            gamma = brute_autocovariance(x, abs(i - j) * lag)
            expected = gamma if i >= j else gamma.conj().T
            np.testing.assert_allclose(block, expected, atol=1e-13)


@given(
    d=st.integers(1, 3),
    order=st.integers(1, 5),
    lag=st.integers(1, 3),
    seed=st.integers(0, 2**31),
)
def test_toeplitz_is_positive_definite_and_its_autoregression_stable(d, order, lag, seed):
    x = np.random.default_rng(seed).standard_normal((d, order * lag + 6 * d)).cumsum(axis=-1)
    C = augmented_covariance(x, order, lag, estimator="toeplitz")
    np.testing.assert_array_equal(C, C.T)
    assert np.linalg.eigvalsh(C)[0] > 0
    A, U = yule_walker(x, order, lag)
    assert np.abs(np.linalg.eigvals(companion(A))).max() < 1
    assert np.linalg.eigvalsh(U)[0] > 0


def test_yule_walker_equations_hold(rng):
    x = rng.standard_normal((2, 30)).cumsum(axis=-1)
    order, lag = 3, 2
    A, U = yule_walker(x, order, lag)

    def gamma(h):
        return brute_autocovariance(x, h) if h >= 0 else brute_autocovariance(x, -h).T

    for j in range(1, order + 1):
        predicted = sum(A[k - 1] @ gamma((j - k) * lag) for k in range(1, order + 1))
        np.testing.assert_allclose(predicted, gamma(j * lag), atol=1e-11)
    left = gamma(0) - sum(A[k - 1] @ gamma(k * lag).T for k in range(1, order + 1))
    np.testing.assert_allclose(U, left, atol=1e-11)


def test_yule_walker_finds_the_autoregression(rng):
    A = np.array([[[0.5, 0.1], [0.0, 0.3]], [[-0.2, 0.1], [0.3, -0.3]]])
    U = np.array([[1.0, 0.4], [0.4, 2.0]])
    found, noise = yule_walker(autoregression(A, U, 20000, rng), 2)
    # Standard errors are about 1 / sqrt(20000) = 0.007.
    np.testing.assert_allclose(found, A, atol=0.03)
    np.testing.assert_allclose(noise, U, atol=0.08)


def test_yule_walker_does_not_mind_units(rng):
    x = rng.standard_normal((2, 50)).cumsum(axis=-1)
    units = np.array([1e-9, 1.0])
    A, U = yule_walker(x, 2)
    scaled, noise = yule_walker(units[:, None] * x, 2)
    ratio = units[:, None] / units
    np.testing.assert_allclose(scaled, A * ratio, rtol=1e-10)
    np.testing.assert_allclose(noise, U * units[:, None] * units, rtol=1e-10)


def test_only_augmented_covariances_tell_dynamics_apart(rng):
    """Two autoregressions of one stationary covariance, rotating one way or the other."""
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    left, right = 0.9 * turn[None], 0.9 * turn.T[None]
    U = np.eye(2)
    stationary = solve_discrete_lyapunov(left[0], U)
    np.testing.assert_allclose(solve_discrete_lyapunov(right[0], U), stationary, atol=1e-12)
    x = np.stack([autoregression(A, U, 100, rng) for A in [left, right] * 40])
    plain = augmented_covariance(x, 1)[:, [0, 0, 1], [0, 1, 1]]
    lagged = augmented_covariance(x, 2)[:, :2, 2:]
    rotation = lagged[:, 0, 1] - lagged[:, 1, 0]
    assert np.all(rotation[::2] * np.sign(rotation[0]) > 0)
    assert np.all(rotation[1::2] * np.sign(rotation[0]) < 0)
    # Each entry of the plain ones: no difference of the classes' means beyond four errors of it.
    error = np.sqrt(plain[::2].var(axis=0) / 40 + plain[1::2].var(axis=0) / 40)
    assert np.all(np.abs(plain[::2].mean(axis=0) - plain[1::2].mean(axis=0)) < 4 * error)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_kind_of_array(xp, rng, estimator):
    x = rng.standard_normal((4, 2, 2, 50))
    expected = augmented_covariance(x, 3, 2, estimator=estimator)
    wide = rng.standard_normal((4, 2, 2, 100))
    wide[..., ::2] = x
    for given_ in (xp.asarray(x), xp.asarray(wide)[..., ::2]):
        found = xp.numpy(augmented_covariance(given_, 3, 2, estimator=estimator))
        np.testing.assert_allclose(found, expected, atol=xp.tol)
    looped = np.stack([augmented_covariance(v, 3, 2, estimator=estimator) for v in x[:, 0]])
    np.testing.assert_allclose(expected[:, 0], looped, atol=1e-13)
    np.testing.assert_array_equal(expected, np.swapaxes(expected, -1, -2))


def test_yule_walker_on_every_kind_of_array(xp, rng):
    x = rng.standard_normal((3, 2, 60))
    expected = yule_walker(x, 2, 2)
    for found, right in zip(yule_walker(xp.asarray(x), 2, 2), expected, strict=True):
        np.testing.assert_allclose(xp.numpy(found), right, atol=xp.tol)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_gradients_of_covariances(rng, estimator):
    x = torch.tensor(rng.standard_normal((2, 2, 12)), requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda v: augmented_covariance(v, 2, 2, estimator=estimator), (x,)
    )


def test_gradients_of_autoregressions(rng):
    x = torch.tensor(rng.standard_normal((2, 2, 12)), requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: yule_walker(v, 2), (x,))


def test_too_few_samples_are_a_warning_where_the_matrix_is_singular(rng):
    x = rng.standard_normal((3, 7))  # 6 rows, 6 samples
    with pytest.warns(LinAlgWarning, match="has 6 samples and needs 7"):
        augmented_covariance(x, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for estimator in ("ledoit_wolf", "oas", "toeplitz"):
            assert np.linalg.eigvalsh(augmented_covariance(x, 2, estimator=estimator))[0] > 0


X = np.random.default_rng(0).standard_normal((2, 10))
BAD = [
    (delay_embedding, (X[0], 2), {}, ValueError, "x must have shape (..., d, T)"),
    (delay_embedding, (X, 0), {}, ValueError, "order must be at least 1"),
    (delay_embedding, (X, 2, 0), {}, ValueError, "lag must be at least 1"),
    (delay_embedding, (X, 2.5), {}, TypeError, "order must be an integer"),
    (delay_embedding, (X, 4, 3), {}, ValueError, "x must have at least 11 samples"),
    (delay_embedding, (X, 3, 3), {"trim": "moabb"}, ValueError, "x must have at least 11 samples"),
    (delay_embedding, (X, 2), {"trim": "half"}, ValueError, "trim must be one of full, moabb"),
    (delay_embedding, (X[:0], 2), {}, ValueError, "x must have at least one channel"),
    (delay_embedding, (np.full((2, 5), np.nan), 2), {}, ValueError, "x must be finite"),
    (augmented_covariance, (X, 2), {"estimator": "lwf"}, ValueError, "estimator must be one of"),
    (augmented_covariance, (X + 1j, 2), {"estimator": "oas"}, TypeError, "x must be real"),
    (augmented_covariance, (X, 9), {"estimator": "toeplitz"}, None, ""),
    (yule_walker, (X, 9), {}, ValueError, "x must have at least 11 samples"),
    (yule_walker, (np.ones((1, 9)), 1), {}, ValueError, "x must vary in every channel"),
    (yule_walker, (X[[0, 0]], 1), {}, ValueError, "x must have no channel that follows"),
]


@pytest.mark.parametrize(("function", "arguments", "options", "error", "message"), BAD)
def test_bad_input(function, arguments, options, error, message):
    if error is None:
        function(*arguments, **options)
        return
    with pytest.raises(error) as caught:
        function(*arguments, **options)
    assert message in str(caught.value)

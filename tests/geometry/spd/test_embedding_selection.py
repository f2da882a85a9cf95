"""Choice of order and lag against brute force, and on systems whose embeddings are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from sklearn.metrics import mutual_info_score

from geometry.spd import average_mutual_information, cao_e1, mdop_embedding, select_embedding
from geometry.spd.embedding_selection import _first_minimum


@pytest.fixture(scope="module")
def lorenz():
    """First coordinate on the attractor, 3000 samples 0.02 apart."""

    def rates(_, u):
        return [10 * (u[1] - u[0]), u[0] * (28 - u[2]) - u[1], u[0] * u[1] - 8 / 3 * u[2]]

    times = np.arange(20, 80, 0.02)
    return solve_ivp(rates, (0, 80), [1.0, 1, 1], t_eval=times, rtol=1e-8, atol=1e-8).y[0]


@pytest.fixture(scope="module")
def henon():
    x = np.zeros(2000)
    for t in range(2, 2000):
        x[t] = 1 - 1.4 * x[t - 1] ** 2 + 0.3 * x[t - 2]
    return x[100:]


def brute_cao(x, lag, max_dim, window):
    E = []
    for m in range(1, max_dim + 2):
        N = len(x) - m * lag
        y = np.stack([x[k * lag : k * lag + N] for k in range(m + 1)], axis=1)
        ratios = []
        for i in range(N):
            near = np.abs(y[:, :m] - y[i, :m]).max(axis=1)
            near[(np.abs(np.arange(N) - i) <= window) | (near == 0)] = np.inf
            j = int(np.argmin(near))
            if np.isfinite(near[j]):
                ratios.append(np.abs(y[j] - y[i]).max() / near[j])
        E.append(np.mean(ratios) if ratios else np.nan)
    return np.array(E[1:]) / np.array(E[:-1])


def brute_beta(x, delays, max_lag, window):
    N = len(x) - max_lag
    y = np.stack([x[d : d + N] for d in delays], axis=1)
    logs = np.full((max_lag + 1, N), np.nan)
    for i in range(N):
        near = np.linalg.norm(y - y[i], axis=1)
        near[(np.abs(np.arange(N) - i) <= window) | (near == 0)] = np.inf
        j = int(np.argmin(near))
        for h in range(1, max_lag + 1):
            if np.isfinite(near[j]) and x[i + h] != x[j + h]:
                logs[h, i] = np.log10(abs(x[i + h] - x[j + h]) / near[j])
    return np.nanmean(logs[1:], axis=1)


@given(seed=st.integers(0, 2**31), bins=st.integers(2, 9), max_lag=st.integers(0, 4))
def test_information_is_that_of_the_table(seed, bins, max_lag):
    x = np.random.default_rng(seed).standard_normal(40)
    symbols = np.argsort(np.argsort(x)) * bins // 40
    pairs = 40 - max_lag
    expected = [
        mutual_info_score(symbols[:pairs], symbols[h : h + pairs]) for h in range(max_lag + 1)
    ]
    found = average_mutual_information(x, max_lag, bins=bins)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    # Only the order of the values counts.
    np.testing.assert_array_equal(average_mutual_information(np.exp(x), max_lag, bins=bins), found)


def test_information_of_a_gaussian_autoregression(rng):
    x = np.zeros(200_000)
    noise = rng.standard_normal(len(x))
    for t in range(1, len(x)):
        x[t] = 0.8 * x[t - 1] + noise[t]
    h = np.arange(1, 4)
    expected = -0.5 * np.log(1 - 0.8 ** (2 * h))
    # Bins lose some of it, most where the two are near.
    found = average_mutual_information(x, 3, bins=32)[1:]
    assert np.all(found < expected + 0.005)
    np.testing.assert_allclose(found, expected, rtol=0.06)


def test_pooled_information_counts_all_pairs(rng):
    x = rng.standard_normal((6, 30)).cumsum(axis=1)
    symbols = np.argsort(np.argsort(x, axis=1), axis=1) * 4 // 30
    expected = mutual_info_score(symbols[:, :28].ravel(), symbols[:, 2:].ravel())
    found = average_mutual_information(x.reshape(2, 3, 30), 2, bins=4, pooled=True)
    assert found.shape == (3,)
    np.testing.assert_allclose(found[2], expected, atol=1e-12)


@given(
    seed=st.integers(0, 2**31),
    lag=st.integers(1, 3),
    max_dim=st.integers(1, 4),
    window=st.integers(0, 3),
    coarse=st.booleans(),
)
def test_cao_is_brute_force(seed, lag, max_dim, window, coarse):
    """Also of coarse values, with many ties, where the first counts, and distances of 0."""
    x = np.random.default_rng(seed).standard_normal(36)
    if coarse:
        x = np.round(2 * x)
    found = cao_e1(x, lag, max_dim, window=window)
    np.testing.assert_allclose(found, brute_cao(x, lag, max_dim, window), rtol=1e-12)


def test_cao_takes_the_nearest_at_a_distance_above_0():
    """Equal values in one dimension, a later coordinate apart: the zero is no neighbour."""
    x = np.array([0.0, 5.0, 0.0, 5.25, 1.0, 9.0, 3.0, 14.0])
    np.testing.assert_allclose(cao_e1(x, 1, 1), brute_cao(x, 1, 1, 0), rtol=1e-13)


def test_cao_of_long_signals_and_pools(rng):
    """Longer than one block of times, and of several signals at once."""
    x = rng.standard_normal((2, 3, 300))
    found = cao_e1(x, 2, 3)
    assert found.shape == (2, 3, 3)
    for index in np.ndindex(2, 3):
        np.testing.assert_allclose(found[index], brute_cao(x[index], 2, 3, 0), rtol=1e-12)
    one = np.stack([x[0, 0]] * 4)
    np.testing.assert_allclose(cao_e1(one, 2, 3, pooled=True), found[0, 0], rtol=1e-12)


def test_mdop_is_brute_force(rng):
    x = rng.standard_normal(60).cumsum()
    found = mdop_embedding(x, 4, 4, window=1, tol=0.0)
    for cycle, beta in enumerate(found.beta):
        expected = brute_beta(x, found.delays[: cycle + 1], 4, 1)
        chosen = np.array(found.delays[1 : cycle + 1], dtype=int)
        expected[chosen - 1] = -np.inf
        np.testing.assert_allclose(beta[1:], expected, rtol=1e-12)
        if cycle + 1 < found.order:
            assert found.delays[cycle + 1] == np.argmax(beta)


def test_mdop_pools_signals(rng):
    x = rng.standard_normal((2, 80))
    both = mdop_embedding(x, 5, 2, tol=0.0).beta[0][1:]
    one, two = (mdop_embedding(v, 5, 2, tol=0.0).beta[0][1:] for v in x)
    np.testing.assert_allclose(both, (one + two) / 2, rtol=1e-12)


def test_lorenz_needs_three_values(lorenz):
    """Its mutual information has a first minimum near 0.2, and three values unfold it."""
    assert _first_minimum(average_mutual_information(lorenz, 20)) in (8, 9, 10, 11)
    E1 = cao_e1(lorenz, 9, 5, window=10)
    assert E1[1] < 0.9 < E1[2]
    found = mdop_embedding(lorenz, 20, 6, window=10)
    assert found.order in (3, 4)
    assert np.all(np.diff(found.false_neighbors) < 0)


def test_henon_needs_two_values(henon):
    E1 = cao_e1(henon, 1, 4)
    assert E1[0] < 0.1
    assert np.all(np.abs(E1[1:] - 1) < 0.05)
    assert mdop_embedding(henon, 1, 4).delays == (0, 1)
    assert select_embedding(henon, max_lag=1) == (2, 1)


def test_noise_needs_ever_more(rng):
    E1 = cao_e1(rng.standard_normal(1000), 1, 6)
    assert np.all(np.diff(E1) > 0)
    assert E1[3] < 0.9


def test_selection_follows_its_parts(rng):
    x = rng.standard_normal((3, 2, 80)).cumsum(axis=-1)
    lag = _first_minimum(average_mutual_information(x, 6, pooled=True))
    order, found = select_embedding(x, max_order=4, max_lag=6)
    assert found == lag
    away = np.abs(cao_e1(x, lag, 4, pooled=True) - 1) >= 0.05
    assert order == min(4, 1 + int(np.max(np.flatnonzero(away), initial=-1)) + 1)
    mdop = mdop_embedding(x, 6, 4)
    assert select_embedding(x, method="mdop", max_order=4, max_lag=6) == (mdop.order, mdop.lag)
    assert mdop.lag == round(np.mean(mdop.delays[1:]))


def test_a_short_signal_limits_the_order(rng):
    assert select_embedding(rng.standard_normal((5, 18)), max_order=9, max_lag=3)[0] <= 9


def test_first_minimum():
    assert _first_minimum(np.array([5.0, 3, 2, 4, 1])) == 2
    assert _first_minimum(np.array([5.0, 4, 3, 2])) == 3
    assert _first_minimum(np.array([5.0, 4])) == 1


def test_every_kind_of_array(xp, rng):
    x = rng.standard_normal((2, 60)).cumsum(axis=-1).astype(np.float32).astype(np.float64)
    wide = np.zeros((2, 120))
    wide[:, ::2] = x
    for given_ in (xp.asarray(x), xp.asarray(wide)[:, ::2]):
        information = xp.numpy(average_mutual_information(given_, 4))
        np.testing.assert_allclose(information, average_mutual_information(x, 4), atol=xp.tol)
        np.testing.assert_allclose(
            xp.numpy(cao_e1(given_, 2, 3)), cao_e1(x, 2, 3), rtol=max(xp.tol, 1e-12)
        )
        assert mdop_embedding(given_, 5, 3).delays == mdop_embedding(x, 5, 3).delays
        assert select_embedding(given_) == select_embedding(x)


def test_tensors_with_gradients_are_looked_at():
    x = torch.linspace(0, 9, 40, dtype=torch.float64).sin().requires_grad_()
    assert not average_mutual_information(x, 2, bins=4).requires_grad
    assert isinstance(mdop_embedding(x, 3, 2).beta, np.ndarray)


X = np.random.default_rng(0).standard_normal(30)
BAD = [
    (average_mutual_information, (X + 1j, 2), {}, TypeError, "x must be real"),
    (average_mutual_information, (X, 29), {}, ValueError, "x must have at least 31 samples"),
    (average_mutual_information, (X, 2), {"bins": 1}, ValueError, "bins must be at least 2"),
    (average_mutual_information, (X, 2), {"bins": 31}, ValueError, "x must have at least 31"),
    (average_mutual_information, (X[None][:0], 2), {}, ValueError, "x must hold at least one"),
    (cao_e1, (X, 0, 2), {}, ValueError, "lag must be at least 1"),
    (cao_e1, (X, 1, 0), {}, ValueError, "max_dim must be at least 1"),
    (cao_e1, (X, 1, 2), {"window": -1}, ValueError, "window must be at least 0"),
    (cao_e1, (X, 10, 2), {}, ValueError, "x must have at least 32 samples"),
    (cao_e1, (np.full(30, np.nan), 1, 2), {}, ValueError, "x must be finite"),
    (mdop_embedding, (X, 0, 2), {}, ValueError, "max_lag must be at least 1"),
    (mdop_embedding, (X, 2, 2), {"stretch": 0.0}, ValueError, "stretch must be positive"),
    (mdop_embedding, (X, 2, 2), {"tol": "few"}, TypeError, "tol must be a real number"),
    (mdop_embedding, (np.ones(30), 2, 2), {}, ValueError, "x must vary"),
    (select_embedding, (X,), {"method": "unified"}, ValueError, "method must be one of mdop"),
]


@pytest.mark.parametrize(("function", "arguments", "options", "error", "message"), BAD)
def test_bad_input(function, arguments, options, error, message):
    with pytest.raises(error) as caught:
        function(*arguments, **options)
    assert message in str(caught.value)

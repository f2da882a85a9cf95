"""The networks and data of the training benchmarks: sizes, padding, splits, words, baselines."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits

from benchmarks import _sequence_networks, _word_networks, spacetime_forecasting
from benchmarks._forecast_networks import NETWORKS, Series, windows
from benchmarks._sequence_collections import Sequences
from benchmarks._sequence_networks import LAYERS, Job, Recipe, count_parameters, network_of_size
from ssm import group_representation, word_problem
from ssm.estimators import CompanionForecaster


@pytest.fixture(autouse=True)
def one_thread():
    """As in the benchmarks: the networks are too small to share."""
    with threadpool_limits(1):
        yield


@pytest.fixture
def tones():
    """Two classes of noisy sines that differ in frequency, with 8 to 16 samples."""
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    phase = rng.uniform(0, 6, (60, 1)) + np.arange(16) * np.where(y, 1.5, 0.4)[:, None]
    lengths = rng.integers(8, 17, 60)
    x = np.sin(phase) + 0.1 * rng.standard_normal(phase.shape)
    x[np.arange(16) >= lengths[:, None]] = 0.0
    order = np.arange(60)
    return Sequences("tones", x[..., None].astype(np.float32), lengths, y, order[:40], order[40:])


@pytest.mark.parametrize("layer", list(LAYERS))
def test_networks_have_their_size_and_do_not_see_padding(layer, tones):
    network, width = network_of_size(layer, tones, 3000)
    # The width is even, and a step of two changes a tenth of the parameters or so.
    assert abs(count_parameters(network) - 3000) < 400
    assert width % 2 == 0
    network.eval()
    x, lengths = torch.as_tensor(tones.x), torch.as_tensor(tones.lengths)
    padded = torch.nn.functional.pad(x, (0, 0, 0, 3), value=7.0)
    with torch.no_grad():
        found, expected = network(padded, lengths), network(x, lengths)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("layer", ["S4D", "LSTM"])
def test_networks_learn_to_tell_two_tones_apart(layer, tones):
    trained = _sequence_networks.train(Job(tones, Recipe(1000, 20, 10, 2e-2), layer, 0))
    assert trained.accuracy > 0.9
    assert trained.loss[-1] < 0.7 * trained.loss[0]


def test_validation_is_taken_from_every_class_of_the_training_part(tones):
    inner = tones.validation()
    assert sorted([*inner.train, *inner.test]) == sorted(tones.train)
    assert np.array_equal(np.bincount(tones.y[inner.test]), [5, 5])


def test_words_and_products_are_those_of_the_table():
    _, table = group_representation("S3")
    words, products = _word_networks.words_and_products(torch.as_tensor(table), 5, 40)
    assert np.array_equal(products, word_problem("S3", words.numpy()))


@pytest.fixture
def series():
    t = np.arange(120)
    y = 5 + 0.02 * t + np.sin(t / 2) + 0.1 * np.random.default_rng(0).standard_normal(120)
    return Series("wave", y, period=12, window=10, horizon=6, start=90)


def test_the_rolled_autoregression_forecasts_as_the_fitted_estimator_does(series):
    found = spacetime_forecasting._autoregression(series)
    p = int(found.method[3:-1])
    trend = "c" if found.parameters == p + 1 else "ct"
    past = series.y[series.window - p : series.start]
    expected = CompanionForecaster((p, 0, 0), trend=trend).fit(past).predict(series.horizon)
    # The line is taken out before the recursion instead of being added in every step.
    np.testing.assert_allclose(found.values[0, 0], expected, rtol=1e-10)


def test_windows_end_where_their_continuations_begin(series):
    past, ahead = windows(series, 10, 50)
    assert np.array_equal(past[7], series.y[7:17])
    assert np.array_equal(ahead[7], series.y[17:23])
    naive = spacetime_forecasting._seasonal_naive(series).values[0]
    assert np.array_equal(naive[0], series.y[78:84])
    assert len(naive) == len(series.y) - series.start - series.horizon + 1


@pytest.mark.parametrize("network", list(NETWORKS))
def test_continuations_depend_on_the_window_only_and_are_as_long_as_asked(network):
    torch.manual_seed(0)
    model = NETWORKS[network](4, 10).eval()
    window = torch.randn(3, 10)
    with torch.no_grad():
        long, short = model(window, 9), model(window, 4)
    assert long.shape == (3, 9)
    torch.testing.assert_close(long[:, :4], short, atol=1e-6, rtol=0)

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from solvers.gp_pde import SpectralMixture, spectral_init

TURN = 2 * np.pi


@given(seed=st.integers(0, 2**32), order=st.integers(0, 2))
def test_waves_are_found_and_nothing_else(seed, order):
    """Three waves five bins apart, a hundred in amplitude; what they leak is no line."""
    rng = np.random.default_rng(seed)
    x = np.linspace(0, 1, 300)
    freqs = 4.0 + np.cumsum(rng.uniform(5, 40, 3))
    amplitudes, phases = 10 ** rng.uniform(-2, 0, 3), rng.uniform(0, TURN, 3)
    waves = np.cos(TURN * np.multiply.outer(freqs, x) + phases[:, None])
    f = (amplitudes * (TURN * freqs) ** order) @ waves
    got, weights, scales = spectral_init(f, x[1], 10, order=order)
    assert len(got) == 3
    assert np.all(np.diff(weights) <= 0)
    by_freq = np.argsort(got)
    # Leakage of the tallest moves the smallest's maximum by up to a tenth of a bin, and with the
    # factor of the order between them it may be a tenth of its amplitude.
    np.testing.assert_allclose(got[by_freq], freqs, atol=0.1)
    np.testing.assert_allclose(weights[by_freq], amplitudes**2 / 2, rtol=0.3)
    np.testing.assert_allclose(scales, 12 / TURN)


SOURCES = {
    "sin 100x": (TURN, 400, lambda x: -1e4 * np.sin(100 * x), [100]),
    "sin x + .1 sin 20x + .05 sin 100x": (
        TURN,
        900,
        lambda x: -np.sin(x) - 40 * np.sin(20 * x) - 500 * np.sin(100 * x),
        [1, 20, 100],
    ),
    "the same on [0, 1]": (  # where sin x is a sixth of a wave, and lost under its neighbour
        1,
        900,
        lambda x: -np.sin(x) - 40 * np.sin(20 * x) - 500 * np.sin(100 * x),
        [20, 100],
    ),
    "sin 6x cos 100x": (
        TURN,
        400,
        lambda x: -(106**2) * np.sin(106 * x) / 2 + 94**2 * np.sin(94 * x) / 2,
        [94, 106],
    ),
    "x sin 200x": (
        TURN,
        900,
        lambda x: 400 * np.cos(200 * x) - 4e4 * x * np.sin(200 * x),
        [200],
    ),
    "sin 500x - 2(x - .5)^2": (1, 400, lambda x: -25e4 * np.sin(500 * x) - 4, [0, 500]),
}


@pytest.mark.parametrize("name", SOURCES)
def test_sources_of_the_paper(name):
    """Frequencies in radians, to a tenth of a bin."""
    end, n, f, expected = SOURCES[name]
    x = np.linspace(0, end, n)
    freqs, weights, _ = spectral_init(f(x), x[1], 8, order=2)
    np.testing.assert_allclose(TURN * np.sort(freqs), expected, atol=0.11 * TURN / end)
    assert np.all(weights > 0)


def test_order_is_what_brings_small_frequencies_up():
    x = np.linspace(0, TURN, 900)
    f = SOURCES["sin x + .1 sin 20x + .05 sin 100x"][2](x)
    as_it_is = spectral_init(f, x[1], 3)[0]
    np.testing.assert_allclose(TURN * as_it_is, [100, 20, 1], atol=0.15)
    of_u = spectral_init(f, x[1], 3, order=2)[0]
    np.testing.assert_allclose(TURN * of_u, [1, 20, 100], atol=0.15)
    np.testing.assert_array_equal(spectral_init(f, x[1], 2, order=2)[0], of_u[:2])


def test_a_constant_is_one_line_at_zero():
    freqs, weights, scales = spectral_init(np.full(50, 3.0), 0.1, 4)
    np.testing.assert_array_equal(freqs, [0])
    np.testing.assert_allclose(weights, [9.0])
    np.testing.assert_allclose(scales, [12 / (TURN * 4.9)])
    # As the second derivative it belongs to something that bends once in the record.
    weight = spectral_init(np.full(50, 3.0), 0.1, 4, order=2)[1]
    np.testing.assert_allclose(weight, [9.0 / (TURN / 5.1) ** 4])


def test_nothing_has_no_lines():
    for result in spectral_init(np.zeros((2, 30)), 0.1, 4):
        assert result.shape == (0,)


def test_power_is_averaged_and_not_the_samples():
    """The mean of sin x sin y over y is 0."""
    x = np.linspace(0, TURN, 60)
    f = np.multiply.outer(np.sin(5 * x), np.sin(9 * x))
    freqs, weights, _ = spectral_init(f, x[1], 4)
    np.testing.assert_allclose(TURN * freqs, [9], atol=0.05)
    np.testing.assert_allclose(weights, [0.5 * np.mean(np.sin(5 * x) ** 2)], rtol=0.01)


def test_scale_and_units():
    f = np.random.default_rng(3).standard_normal(64)
    freqs, weights, scales = spectral_init(f, 1.0, 5, order=1)
    big = spectral_init(1e100 * f, 1.0, 5, order=1)
    np.testing.assert_allclose(big[0], freqs, rtol=1e-12)
    stretched = spectral_init(f, 0.25, 5, order=1)
    np.testing.assert_allclose(stretched[0], 4 * freqs, rtol=1e-13)
    np.testing.assert_allclose(stretched[1], weights / 16, rtol=1e-13)
    np.testing.assert_allclose(stretched[2], 4 * scales, rtol=1e-13)
    assert len(freqs) == 5


def test_result_is_a_mixture():
    x = np.linspace(0, 1, 128)
    u = np.sin(40 * x) + 0.3 * np.cos(150 * x)
    freqs, weights, scales = spectral_init(u, x[1], 6)
    kernel = SpectralMixture(weights, freqs, scales)
    assert math.isclose(float(kernel(0.0)), np.mean(u**2), rel_tol=0.05)


def test_array_kinds(xp):
    x = np.linspace(0, 1, 200)
    f = np.sin(60 * x) + 0.2 * np.sin(250 * x)
    got = spectral_init(xp.asarray(np.stack((f, 2 * f))), x[1], 2, order=1)
    expected = spectral_init(np.stack((f, 2 * f)), x[1], 2, order=1)
    for value, reference in zip(got, expected, strict=True):
        np.testing.assert_allclose(xp.numpy(value), reference, rtol=xp.tol)
    strided = np.stack((f, f), axis=-1)[:, 0]
    for a, b in zip(spectral_init(strided, x[1], 2), spectral_init(f, x[1], 2), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"values": np.ones(3)}, ValueError, "values must have shape"),
        ({"values": 1.0}, ValueError, "values must have shape"),
        ({"values": np.full(9, np.nan)}, ValueError, "values must be finite"),
        ({"values": np.ones(9) * 1j}, TypeError, "values must be real"),
        ({"spacing": 0.0}, ValueError, "spacing must be positive"),
        ({"spacing": "1"}, TypeError, "spacing must be a real number"),
        ({"n_components": 0}, ValueError, "n_components must be at least 1"),
        ({"n_components": 2.0}, TypeError, "n_components must be an integer"),
        ({"order": -1}, ValueError, "order must be at least 0"),
    ],
)
def test_bad_input(change, error, message):
    arguments = {"values": np.ones(9), "spacing": 1.0, "n_components": 3, "order": 0} | change
    with pytest.raises(error, match=message):
        spectral_init(**arguments)

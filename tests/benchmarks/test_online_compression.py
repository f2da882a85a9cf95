"""The figures of the released function-approximation demonstration, from our own functions."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import published
from benchmarks._band_limited_noise import band_limited_noise
from ssm import hippo_project, hippo_reconstruct, legs_project_online

DT = 1e-3


@pytest.fixture(scope="module")
def noise():
    return band_limited_noise(3.0, DT, 3.0)


def relative_error(reconstruction, signal, weights=1.0):
    squares = np.sum(weights * (reconstruction - signal) ** 2)
    return np.sqrt(squares / np.sum(weights * signal**2))


def test_noise_is_band_limited_and_starts_at_zero(noise):
    assert noise.shape == (3000,)
    assert noise[0] == 0
    spectrum = np.abs(np.fft.rfft(noise))
    assert spectrum[10:].max() < 1e-12 * spectrum.max()
    assert np.all(spectrum[1:10] > 1e-3 * spectrum.max())


@pytest.mark.parametrize("N", [16, 32, 64, 128])
def test_scaled_legs(N, noise):
    # Published to three digits, computed in float32; ages as the demonstration takes them.
    c = legs_project_online(noise, N, method="bilinear", final=True)
    back = hippo_reconstruct(c, "legs_scaled", np.linspace(3, 0, 3000), window=3.0)
    assert relative_error(back, noise) == pytest.approx(
        published.LEGS_SCALED_NOISE[N].value, rel=2e-3
    )


@pytest.mark.parametrize(
    ("method", "N", "expected"),
    [
        ("exact", 32, 0.01043),
        ("bilinear", 32, 0.01085),
        ("backward", 32, 0.0360),
    ],
)
def test_scaled_legs_read_at_the_middle_of_the_samples(method, N, expected, noise):
    c = legs_project_online(noise, N, method=method, final=True)
    ages = np.arange(3000)[::-1] + 0.5
    back = hippo_reconstruct(c, "legs_scaled", ages, window=3000)
    assert relative_error(back, noise) == pytest.approx(expected, rel=2e-3)


def test_exact_steps_have_no_floor_of_their_own(noise):
    # What is left at N = 64 is that the signal is held over each sample.
    c = legs_project_online(noise, 64, final=True)
    back = hippo_reconstruct(c, "legs_scaled", np.arange(3000)[::-1] + 0.5, window=3000)
    assert relative_error(back, noise) < 4e-5


@pytest.mark.parametrize(
    ("measure", "span", "expected"),
    [
        # The demonstration's LegT window leaves out its own end, which alone takes 0.00383 to
        # the published 0.00385.
        ("legt", "last 1 s", 0.00383),
        ("fout", "last 1 s", published.WINDOW_NOISE["fout"]["last 1 s"].value),
        ("legs", "last 1 s", published.WINDOW_NOISE["legs"]["last 1 s"].value),
        ("legs", "weighted", published.WINDOW_NOISE["legs"]["weighted"].value),
    ],
)
def test_time_invariant_systems(measure, span, expected, noise):
    c = hippo_project(noise, measure, 64, DT, method="bilinear", final=True)
    ages = np.arange(3000 if span == "weighted" else 1000) * DT
    weights = np.exp(-ages) if span == "weighted" else 1.0
    back = hippo_reconstruct(c, measure, ages)
    error = relative_error(back, noise[::-1][: ages.size], weights)
    assert error == pytest.approx(expected, rel=2e-3)

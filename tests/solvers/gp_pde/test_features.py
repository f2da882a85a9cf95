"""Features of one axis against the kernel they stand for, and spectra against known lines."""

from __future__ import annotations

import numpy as np
import pytest

from solvers.gp_pde._features import (
    Curves,
    axis_coefficients,
    axis_features,
    characteristic_roots,
    is_uniform,
    power_spectrum,
    spectral_lines,
    spectrum_of,
    symbol_of,
)
from solvers.gp_pde.equations import Laplacian, LinearOperator, LinearOperator1D
from solvers.gp_pde.spectral_mixture import SpectralMixture

KERNEL = SpectralMixture([2.0, 0.5], [0.0, 3.0], [1.0, 0.8])


@pytest.mark.parametrize(("a", "b"), [(0, 0), (1, 0), (1, 1), (2, 1), (2, 2), (4, 0)])
def test_covariance_of_derivatives_is_the_kernels(a, b):
    grid = np.linspace(1.0, 2.0, 40)
    features = axis_features(grid, KERNEL, extension=3.0)
    x, y = np.linspace(1.0, 2.0, 7), np.linspace(1.1, 1.9, 5)
    covariance = features(x, a) @ features(y, b).T
    expected = (-1) ** b * KERNEL(x[:, None] - y[None, :], order=a + b)
    # The sum repeats the kernel with period 3, where its tails are below rounding, and the floor
    # of 1e-16 at the highest frequency, 100, weighs 100^4 in fourth derivatives.
    scale = abs(KERNEL(0.0, order=2 * ((a + b + 1) // 2)))
    np.testing.assert_allclose(covariance, expected, atol=1e-8 * scale)


def test_variances_add_up_and_have_a_floor():
    features = axis_features(np.linspace(0, 1, 60), KERNEL, extension=2.0)
    assert abs(features.variance() - 2.5) < 1e-9
    assert abs(features.variance(1) + KERNEL(0.0, order=2)) < 1e-6
    row = features(np.array([0.3]), 2)
    assert abs(np.sum(row**2) - features.variance(2)) < 1e-9 * features.variance(2)
    assert features.sd.min() >= 0.99e-8 * features.sd.max()
    assert features.size == row.shape[1]


def test_periodic_features_repeat():
    features = axis_features(np.linspace(-1, 2, 30), KERNEL, periodic=True)
    ends = features(np.array([-1.0, 2.0]), 1)
    np.testing.assert_allclose(ends[0], ends[1], atol=1e-10)


def test_lines_of_a_sum_of_sines():
    x = np.linspace(0, 2, 800)
    u = np.sin(2 * np.pi * 5 * x) + 0.01 * np.sin(2 * np.pi * 40 * x)
    f = -((10 * np.pi) ** 2) * np.sin(10 * np.pi * x) - 64 * np.pi**2 * np.sin(80 * np.pi * x)
    for curve in (Curves(u, x), Curves(f, x, symbol_of(Laplacian(1), 0))):
        freqs, weights = spectral_lines(curve, 2.0)
        order = np.argsort(-weights)[[0, 1]]
        # A padded bin is 1/16 wide; half of it costs 2 % of the power,
        # and the symbol is taken a bin of 1/2 aside.
        np.testing.assert_allclose(freqs[order[0]], 5, atol=1 / 32)
        assert np.abs(freqs - 40).min() < 1 / 32
        near = weights[np.argmin(np.abs(freqs - 40))]
        np.testing.assert_allclose([weights[order[0]], near], [0.5, 5e-5], rtol=0.5)


def test_noise_makes_no_lines(rng):
    x = np.linspace(0, 1, 400)
    f = np.sin(2 * np.pi * 20 * x) + 0.3 * rng.standard_normal(400)
    freqs, _ = spectral_lines(Curves(f, x, noise_std=0.3), 1.0)
    assert len(freqs) == 1
    assert abs(freqs[0] - 20) < 0.25


def test_uneven_points_show_the_line(rng):
    x = np.concatenate([[0.0], np.sort(rng.uniform(0, 1, 300)), [1.0]])
    assert not is_uniform(x)
    freqs, power = power_spectrum(np.cos(2 * np.pi * 30 * x), x)
    assert abs(freqs[np.argmax(power)] - 30) < 0.25
    assert abs(power.max() - 0.5) < 0.1


def test_spectrum_has_lines_and_homogeneous_solutions():
    x = np.linspace(0, 1, 200)
    curve = Curves(np.stack([np.sin(50 * x), np.zeros(200)]), x)
    kernel = spectrum_of([curve], 1.0, limit=99.5, roots=(30.0 + 0j, 0 + 10j), background=0.7)
    assert abs(kernel.freqs[0] - 50 / (2 * np.pi)) < 1 / 16
    np.testing.assert_allclose(kernel.freqs[-2:], [0, 10 / (2 * np.pi)])
    np.testing.assert_allclose(kernel.weights[-2:], 0.7)
    np.testing.assert_allclose(kernel.scales[-2], 30 / (2 * np.pi))
    aliased = spectrum_of([curve], 1.0, limit=5.0, roots=(0.0,))
    assert aliased.freqs.max() <= 5.0
    silent = spectrum_of([Curves(np.zeros(200), x)], 1.0, limit=99.5)
    np.testing.assert_array_equal(silent.weights, [1.0])


def test_symbol_and_roots():
    operator = LinearOperator1D(6.0, -5.0, 1.0)
    np.testing.assert_allclose(symbol_of(operator, 0)(2.0), 6 - 10j - 4)
    np.testing.assert_allclose(np.sort(characteristic_roots(np.array([6.0, -5.0, 1.0]))), [2, 3])
    mixed = LinearOperator([(2.0, (2, 0)), (3.0, (0, 1)), (4.0, (1, 1)), (5.0, (0, 0))])
    np.testing.assert_array_equal(axis_coefficients(mixed, 0), [5, 0, 2])
    np.testing.assert_array_equal(axis_coefficients(mixed, 1), [5, 3])
    assert len(characteristic_roots(np.array([2.0]))) == 0


def test_a_given_kernel_of_many_scales_keeps_features_few():
    grid = np.linspace(0, 1, 100)
    narrow = SpectralMixture([1.0, 0.1], [3.0, 9.0], [0.02, 0.05])
    features = axis_features(grid, narrow, given=True, floor=1e-20)
    assert features.period == pytest.approx(1 + 0.85 / 0.02)
    # About 1.5 times the grid's limit of frequencies without mass, and the lines.
    assert len(features.omega) < 150
    assert abs(features.variance() - 1.1) < 2e-6
    covariance = features(np.zeros(1)) @ features(grid).T
    np.testing.assert_allclose(covariance[0], narrow(grid), atol=2e-6)
    both = SpectralMixture([1.0, 1.0], [0.0, 0.0], [0.01, 50.0], envelope="matern", nu=4.5)
    features = axis_features(grid, both, given=True)
    assert len(features.omega) <= 301
    assert features.omega[-1] > 1.99 * np.pi * 4 * 49

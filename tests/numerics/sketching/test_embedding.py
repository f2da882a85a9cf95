"""What sketches do on average and almost always, with the rate of false alarms stated."""

from __future__ import annotations

import numpy as np
import pytest

from numerics import (
    ams_sketch,
    countsketch,
    gaussian_pooled,
    gaussian_sketch,
    oce_beta,
    osnap,
    srct,
    srht,
    tensor_srht,
)

DENSE = {
    "srht": srht,
    "srct": srct,
    "gaussian": gaussian_sketch,
    "ams": ams_sketch,
    "gaussian_pooled": gaussian_pooled,
    "tensor_srht": lambda n, m, **options: tensor_srht((n // 16, 16), m, **options),
}
SPARSE = {"countsketch": countsketch, "osnap": osnap}


@pytest.mark.parametrize("kind", [*DENSE, *SPARSE])
def test_products_are_kept_on_average(kind):
    """The mean of x^T S^T S y over 400 sketches is x^T y within 5 standard errors, estimated from
    the sketches: a false alarm in about 6e-7 of choices of seeds."""
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((2, 96))
    make = {**DENSE, **SPARSE}[kind]
    values = []
    for seed in range(400):
        S = make(96, 12, rng=seed)
        values.append((S @ x) @ (S @ y))
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    assert abs(np.mean(values) - x @ y) < 5 * error


@pytest.mark.parametrize("kind", [*DENSE, *SPARSE])
def test_subspaces_are_embedded(kind):
    """d = 4, m = 200: for a Gaussian sketch each singular value lies within 1 +- (sqrt(d/m) + t)
    but for probability exp(-m t^2 / 2), which for t = 0.4 is 1e-7; 50 sketches give a false alarm
    in 1e-5 of choices of seeds. The others are held to the same bound on a subspace half of which
    are coordinate axes (for CountSketch the axes do not collide at these seeds' rate of 0.03)."""
    rng = np.random.default_rng(0)
    A = np.zeros((1024, 4))
    A[:, 2:] = rng.standard_normal((1024, 2))
    A[5, 0] = A[77, 1] = 1
    U = np.linalg.qr(A)[0]
    make = {**DENSE, **SPARSE}[kind]
    width = np.sqrt(4 / 200) + 0.4
    outside = 0
    for seed in range(50):
        singular = np.linalg.svd(make(1024, 200, rng=seed) @ U, compute_uv=False)
        outside += bool(np.abs(singular - 1).max() > width)
    # CountSketch merges two of the axes with probability 1/200 a sketch: more than 5 of 50 with
    # probability below 3e-8.
    assert outside <= (5 if kind == "countsketch" else 0)


@pytest.mark.parametrize("kind", ["srht", "gaussian", "gaussian_pooled"])
def test_dense_sketches_have_light_tails_on_spikes(kind):
    """The 95 % quantile of the error of a spike pair is near 2; 400 sketches put the empirical one
    above 3 only if 20 of them are beyond 3, where at most 1 % are expected: a chance of 2e-8."""
    g, h = np.eye(512)[[3, 100]]
    errors = [oce_beta(DENSE[kind](512, 64, rng=seed), g, h) for seed in range(400)]
    assert np.quantile(errors, 0.95) < 3


def test_sparse_sketches_have_heavy_tails_on_spikes():
    """CountSketch is off by sqrt(m) = 8 with probability 1/64: 0 of 400 in 2e-3 of choices of
    seeds, which are fixed; every error is 0 or 8."""
    g, h = np.eye(512)[[3, 100]]
    errors = np.array([oce_beta(countsketch(512, 64, rng=seed), g, h) for seed in range(400)])
    np.testing.assert_allclose(np.unique(errors), [0, 8])
    assert 0 < np.count_nonzero(errors) < 20


def test_errors_shrink_without_replacement():
    """By sqrt(1 - m/N), here a half: the ratio of two standard deviations from 300 sketches each
    has a standard error of about 6 %, and is held within 5 of them."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 256)) / 16

    def deviation(replace):
        values = []
        for seed in range(300):
            S = srht(256, 192, rng=seed, replace=replace)
            values.append((S @ x) @ (S @ y))
        return np.std(values)

    assert 0.35 < deviation(False) / deviation(True) < 0.65

"""Pairwise distances: the compiled path against one pair at a time, and the rational root."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geometry import spd
from geometry.spd._rational_square_root import square_root_fractions

torch = pytest.importorskip("torch")

METRICS = ("affine_invariant", "log_euclidean", "log_cholesky", "bures_wasserstein")


def _one_by_one(X, Y, **choices):
    return spd.distance(X[..., :, None, :, :], Y[..., None, :, :, :], **choices)


def test_fractions_are_square_roots_to_rounding():
    nodes, weights = square_root_fractions()
    for c, (sigma, weight) in enumerate(zip(nodes, weights, strict=True)):
        x = np.logspace(-4 * (c + 1), 0, 2000)[:, None]
        total = np.sum(weight * x / (x + sigma), axis=1)
        np.testing.assert_allclose(total, np.sqrt(x[:, 0]), rtol=2e-14)


@given(
    n=st.integers(1, 9),
    N=st.integers(1, 19),
    digits=st.sampled_from([0.0, 2.0, 6.0, 10.0]),
    seed=st.integers(0, 2**32),
)
def test_compiled_path_agrees_with_single_pairs(with_condition, n, N, digits, seed):
    """Traces are used while they lose less than three digits; single pairs lose less than that."""
    rng = np.random.default_rng(seed)
    X = with_condition(rng, n, digits, batch=(N,)) * rng.uniform(0.1, 10.0, (N, 1, 1))
    X[N // 2] = X[0]
    X[-1] = X[0] * (1 + 1e-9)
    near = {"rtol": 1e-12 * 10 ** (digits / 4), "atol": 0}
    choices = {"metric": "bures_wasserstein"}
    one_by_one = _one_by_one(X, X, **choices)
    for squared in (False, True):
        values = spd.pairwise_distance(X, squared=squared, **choices)
        np.testing.assert_array_equal(values, values.T)
        np.testing.assert_allclose(values, one_by_one ** (1 + squared), **near)
    np.testing.assert_allclose(
        spd.pairwise_distance(X, X[:3], **choices), one_by_one[:, :3], **near
    )


@pytest.mark.parametrize("deformed", [False, True])
def test_compiled_path_with_metric_matrix_and_exponent(deformed, with_condition, rng):
    X = with_condition(rng, 4, 2, batch=(2, 11))
    X[:, 3] = X[:, 4] * (1 + 1e-8)
    M = with_condition(rng, 4, 1, batch=(2,))
    choices = {"metric": "bures_wasserstein"}
    theta = np.array([0.5, -1.0]) if deformed else None
    values = spd.pairwise_distance(X, M=M, theta=theta, **choices)
    for i in range(2):
        power = None if theta is None else theta[i]
        expected = _one_by_one(X[i], X[i], M=M[i], theta=power, **choices)
        # Powers of matrices 1e-8 apart are that much less apart to rounding.
        np.testing.assert_allclose(values[i], expected, rtol=1e-12 if theta is None else 1e-6)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("imaginary", [False, True])
def test_every_metric_and_kind(metric, imaginary, xp, with_condition, rng):
    X = with_condition(rng, 3, 1, batch=(2, 5), complex_=imaginary)
    Y = with_condition(rng, 3, 1, batch=(4,), complex_=imaginary)
    expected = _one_by_one(X, Y[None], metric=metric)
    given = xp.asarray(X), xp.asarray(Y)
    values = xp.numpy(spd.pairwise_distance(*given, metric=metric))
    np.testing.assert_allclose(values, expected, rtol=xp.tol)
    own = xp.numpy(spd.pairwise_distance(given[0], metric=metric))
    expected = _one_by_one(X, X, metric=metric)
    np.testing.assert_allclose(own, expected, rtol=xp.tol, atol=xp.tol)
    assert np.all(np.diagonal(own, axis1=-2, axis2=-1) == 0)
    strided = spd.pairwise_distance(xp.asarray(np.repeat(X, 2, axis=1))[:, ::2], metric=metric)
    np.testing.assert_allclose(xp.numpy(strided), own, rtol=xp.tol, atol=xp.tol)


@pytest.mark.parametrize("metric", METRICS)
def test_gradients(metric, with_condition, rng):
    X = torch.as_tensor(with_condition(rng, 2, 1, batch=(2,))).requires_grad_()
    Y = torch.as_tensor(with_condition(rng, 2, 1, batch=(1,))).requires_grad_()

    def function(X, Y):
        X, Y = (X + X.mH) / 2, (Y + Y.mH) / 2
        return (
            spd.pairwise_distance(X, Y, metric=metric, check=False),
            spd.pairwise_distance(X, metric=metric, squared=True, check=False),
        )

    assert torch.autograd.gradcheck(function, (X, Y))


def test_tiny_and_empty_sets(with_condition, rng):
    X = with_condition(rng, 3, 2, batch=(4,))
    for metric in METRICS:
        assert spd.pairwise_distance(X[:0], metric=metric).shape == (0, 0)
        assert spd.pairwise_distance(X, X[:0], metric=metric).shape == (4, 0)
        assert spd.pairwise_distance(X[:1], metric=metric).tolist() == [[0.0]]
    tiny = spd.pairwise_distance(1e-24 * X, metric="bures_wasserstein")
    expected = 1e-12 * spd.pairwise_distance(X, metric="bures_wasserstein")
    np.testing.assert_allclose(tiny, expected, rtol=1e-12)


def test_input_is_left_alone(with_condition, rng):
    X = with_condition(rng, 3, 2, batch=(4,))
    kept = X.copy()
    spd.pairwise_distance(X, metric="bures_wasserstein", theta=0.5)
    np.testing.assert_array_equal(X, kept)


@pytest.mark.parametrize(
    ("X", "choices", "message"),
    [
        (np.eye(3), {}, r"X must have shape \(..., N, n, n\)"),
        (np.ones((2, 3, 4)), {}, r"X must have shape \(..., N, n, n\)"),
        (-np.ones((2, 3, 3)), {}, r"X must be positive definite, got X\[0\]"),
        (np.full((2, 3, 3), np.nan), {}, "X must be finite"),
        (np.stack([np.eye(3)] * 2), {"Y": np.eye(3)}, r"Y must have shape \(..., K, 3, 3\)"),
        (np.stack([np.eye(3)] * 2), {"Y": -np.eye(3)[None]}, r"Y\[0\] with smallest eigenvalue"),
        (np.stack([np.eye(3)] * 2), {"M": np.eye(3)}, "M must be None"),
        (np.stack([np.eye(3)] * 2), {"metric": "euclidean"}, "metric must be one of"),
        (
            np.stack([np.eye(3)] * 2),
            {"theta": 0.0, "metric": "bures_wasserstein"},
            "theta must not be zero",
        ),
    ],
)
def test_refuses(X, choices, message):
    with pytest.raises(ValueError, match=message):
        spd.pairwise_distance(X, **choices)

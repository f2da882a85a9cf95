"""Frechet means and variances: stationarity, equivariance, many digits, peers."""

from __future__ import annotations

import dataclasses
import warnings

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geometry import spd
from numerics.convergence import ConvergenceWarning

torch = pytest.importorskip("torch")

METRICS = ("affine_invariant", "bures_wasserstein", "log_cholesky", "log_euclidean")
ITERATED = ("affine_invariant", "bures_wasserstein")


def parameters(with_condition, rng, n, imaginary=False):
    """Every metric with every combination of its parameters."""
    M = with_condition(rng, n, 1, complex_=imaginary)
    return [
        *({"metric": metric} for metric in METRICS),
        {"metric": "bures_wasserstein", "M": M},
        {"metric": "bures_wasserstein", "theta": 0.5},
        {"metric": "bures_wasserstein", "M": M, "theta": -0.7},
    ]


@given(
    n=st.integers(1, 5),
    count=st.integers(1, 6),
    digits=st.floats(0, 4),
    seed=st.integers(0, 2**32),
    imaginary=st.booleans(),
)
def test_logarithms_at_the_mean_cancel(with_condition, n, count, digits, seed, imaginary):
    rng = np.random.default_rng(seed)
    X = with_condition(rng, n, digits, batch=(count,), complex_=imaginary)
    weights = rng.random(count) + 0.01
    for options in parameters(with_condition, rng, n, imaginary):
        result = spd.frechet_mean(X, weights=weights, full_output=True, **options)
        assert result.converged
        logs = spd.log(np.broadcast_to(result.mean, X.shape), X, **options)
        total = np.einsum("k,kij->ij", weights / weights.sum(), logs)
        largest = spd.norm(result.mean, logs, **options).max()
        # Rounding of the data is seen through their condition number.
        tolerance = 1e-11 + 1e-13 * 10 ** (1.5 * digits)
        assert spd.norm(result.mean, total, **options) <= tolerance * max(largest, 1)


@given(n=st.integers(1, 5), seed=st.integers(0, 2**32))
def test_means_of_matrices_that_commute(from_eigenvalues, n, seed):
    rng = np.random.default_rng(seed)
    Q = np.linalg.qr(rng.standard_normal((n, n)))[0]
    w = rng.uniform(0.1, 10, (5, n))
    weights = rng.dirichlet(np.ones(5))
    X = (Q * w[:, None, :]) @ Q.T

    def power_mean(p):
        return (Q * (weights @ w**p) ** (1 / p)) @ Q.T

    geometric = (Q * np.exp(weights @ np.log(w))) @ Q.T
    for metric in ("affine_invariant", "log_euclidean"):
        np.testing.assert_allclose(
            spd.frechet_mean(X, weights=weights, metric=metric), geometric, atol=1e-10
        )
    for theta in (1.0, 0.3, -2.0):
        mean = spd.frechet_mean(X, weights=weights, metric="bures_wasserstein", theta=theta)
        np.testing.assert_allclose(mean, power_mean(theta / 2), atol=1e-9)


def test_mean_moves_with_the_isometries(with_condition, rng):
    X = with_condition(rng, 4, 2, batch=(6,))
    M = with_condition(rng, 4, 1)
    G = rng.standard_normal((4, 4)) + 2 * np.eye(4)
    Q = np.linalg.qr(G)[0]

    def moved(A, F):
        return F @ A @ F.T

    def mean(A, **options):
        return spd.frechet_mean(A, **options)

    np.testing.assert_allclose(mean(moved(X, G)), moved(mean(X), G), atol=1e-9)
    wasserstein = {"metric": "bures_wasserstein"}
    np.testing.assert_allclose(
        mean(moved(X, Q), **wasserstein), moved(mean(X, **wasserstein), Q), atol=1e-11
    )
    np.testing.assert_allclose(
        mean(moved(X, G), M=moved(M, G), **wasserstein),
        moved(mean(X, M=M, **wasserstein), G),
        atol=1e-10,
    )


def test_a_sample_counted_twice_is_one_of_twice_the_weight(with_condition, rng):
    A, B, C = with_condition(rng, 4, 2, batch=(3,))
    for options in parameters(with_condition, rng, 4):
        # Two samples have a closed form, three of which two are equal are iterated.
        pair = spd.frechet_mean([A, B], weights=[2, 1], **options)
        np.testing.assert_allclose(spd.frechet_mean([A, A, B], **options), pair, atol=1e-11)
        np.testing.assert_allclose(pair, spd.geodesic(A, B, 1 / 3, **options), atol=1e-12)
        without = spd.frechet_mean([A, B, C], weights=[2, 1, 0], **options)
        np.testing.assert_allclose(without, pair, atol=1e-11)
        np.testing.assert_allclose(spd.frechet_mean(A[None], **options), A, atol=1e-12)


def exact_mean(X, weights, metric, exactly):
    """Mean of real matrices in 28 digits: fixed-point steps with Anderson's extrapolation."""
    with mpmath.workdps(60):
        S = mpmath.matrix(spd.frechet_mean(X, weights=weights, metric=metric).tolist())
        total = sum(mpmath.mpf(float(w)) for w in weights)
        pairs = [
            (float(w) / total, mpmath.matrix(x.tolist())) for w, x in zip(weights, X, strict=True)
        ]
        n, history = S.rows, []
        for _ in range(100):
            change = fixed_point(S, pairs, metric, exactly) - S
            if mpmath.mnorm(change, "f") < 1e-28 * mpmath.mnorm(S, "f"):
                return S
            # Near the mean the step is linear in n (n + 1) / 2 unknowns.
            history = [*history[-(n * (n + 1) // 2) :], (S, change)]
            columns = [list(change - before) for _, before in history[:-1]]
            S = S + change
            if columns:
                A = mpmath.matrix(columns).T
                normal = A.T * A
                ridge = 1e-60 * max(normal[i, i] for i in range(normal.rows))
                right = A.T * mpmath.matrix(list(change))
                factors = mpmath.lu_solve(normal + ridge * mpmath.eye(normal.rows), right)
                points = [point + before for point, before in history[:-1]]
                last = S
                for factor, point in zip(factors, points, strict=True):
                    S = S - factor * (last - point)
            S = (S + S.T) / 2
    raise AssertionError("the reference did not converge")


def fixed_point(S, pairs, metric, exactly):
    """The barycentre's iteration, or a gradient step of length a tenth."""
    root = exactly(S, mpmath.sqrt)
    inverse = mpmath.inverse(root)
    if metric == "bures_wasserstein":
        terms = (w * exactly(root * x * root, mpmath.sqrt) for w, x in pairs)
        average = sum(terms, mpmath.zeros(S.rows))
        return inverse * average * average * inverse
    logs = (w * exactly(inverse * x * inverse, mpmath.log) for w, x in pairs)
    step = sum(logs, mpmath.zeros(S.rows)) / 10
    return root * exactly(step, mpmath.exp) * root


@pytest.mark.parametrize("scale", [1.0, 1e-12])
@pytest.mark.parametrize(
    ("metric", "digits", "tolerance"),
    [
        # The stopping rule leaves up to 1e-12 of the residual; what the affine-invariant mean
        # loses beyond is the data's rounding times their condition number.
        ("affine_invariant", 1.5, 2e-12),
        ("affine_invariant", 6, 1e-10),
        ("affine_invariant", 10, 1e-6),
        ("bures_wasserstein", 1.5, 2e-12),
        ("bures_wasserstein", 6, 5e-12),
        ("bures_wasserstein", 10, 1e-11),
    ],
)
def test_means_in_many_digits(
    metric, digits, tolerance, scale, with_condition, exactly, relative_error, rng
):
    X = scale * with_condition(rng, 3, digits, batch=(4,))
    weights = rng.random(4)
    exact = exact_mean(X, weights, metric, exactly)
    result = spd.frechet_mean(X, weights=weights, metric=metric, full_output=True)
    assert result.converged
    assert result.iterations <= 16
    assert relative_error(result.mean, exact) < tolerance
    plain = spd.frechet_mean(X, weights=weights, metric=metric, accelerate=False)
    assert relative_error(plain, exact) < 100 * tolerance


@pytest.mark.parametrize("metric", ITERATED)
@pytest.mark.parametrize("seed", range(6))
def test_hard_samples_converge(metric, seed, from_eigenvalues):
    rng = np.random.default_rng(seed)
    n, count = int(rng.integers(2, 8)), int(rng.integers(3, 16))
    spread = 10 ** rng.uniform(-4, 4, (count, n))
    rank_one = np.where(np.arange(n) == rng.integers(0, n, count)[:, None], 1.0, 1e-10)
    scaled = np.logspace(0, -4, n) * 10 ** rng.uniform(-6, 6, (count, 1))
    weights = np.maximum(rng.dirichlet(np.ones(count)), 1e-6)
    for eigenvalues in (spread, rank_one, scaled):
        X = from_eigenvalues(rng, eigenvalues)
        result = spd.frechet_mean(X, weights=weights, metric=metric, full_output=True, maxiter=60)
        assert result.converged
        # A unit that is a power of two makes no difference at all.
        for unit in (2.0**-500, 2.0**500):
            mean = spd.frechet_mean(unit * X, weights=weights, metric=metric)
            np.testing.assert_array_equal(mean, unit * result.mean)


@pytest.mark.parametrize("metric", ITERATED)
def test_batches_agree_with_loops(metric, xp, with_condition, rng):
    digits = rng.uniform(0, 3, (2, 3))
    X = np.stack([[with_condition(rng, 4, d, batch=(5,)) for d in row] for row in digits])
    weights = rng.random((3, 5))
    X_there, weights_there = xp.asarray(X), xp.asarray(weights)
    result = spd.frechet_mean(X_there, weights=weights_there, metric=metric, full_output=True)
    got = xp.numpy(result.mean)
    assert result.residual_norm.shape == (2, 3)
    assert result.converged
    for i, j in np.ndindex(2, 3):
        alone = spd.frechet_mean(X[i, j], weights=weights[j], metric=metric)
        np.testing.assert_allclose(got[i, j], alone, atol=xp.tol)
    strided = spd.frechet_mean(X_there[:, ::2], weights=weights_there[::2], metric=metric)
    np.testing.assert_allclose(xp.numpy(strided), got[:, ::2], atol=xp.tol)
    variance = xp.numpy(spd.frechet_variance(X_there, weights=weights_there, metric=metric))
    one = spd.frechet_variance(X[1, 2], weights=weights[2], metric=metric)
    np.testing.assert_allclose(variance[1, 2], one, rtol=10 * xp.tol)


def test_parameters_broadcast_with_the_batch(with_condition, rng):
    X = with_condition(rng, 3, 1, batch=(2, 4))
    M = with_condition(rng, 3, 1, batch=(2,))
    theta = np.array([0.5, 2.0])
    got = spd.frechet_mean(X, metric="bures_wasserstein", M=M, theta=theta)
    for k in range(2):
        alone = spd.frechet_mean(X[k], metric="bures_wasserstein", M=M[k], theta=theta[k])
        np.testing.assert_allclose(got[k], alone, atol=1e-11)
    variance = spd.frechet_variance(X, metric="bures_wasserstein", M=M, theta=theta)
    alone = spd.frechet_variance(X[1], metric="bures_wasserstein", M=M[1], theta=theta[1])
    np.testing.assert_allclose(variance[1], alone, rtol=1e-10)


@pytest.mark.parametrize("metric", METRICS)
def test_empty_batches(metric):
    X = np.empty((0, 3, 2, 2))
    assert spd.frechet_mean(X, metric=metric).shape == (0, 2, 2)
    assert spd.frechet_variance(X, metric=metric).shape == (0,)


@pytest.mark.parametrize("metric", ITERATED)
def test_a_good_guess_saves_steps(metric, with_condition, rng):
    X = with_condition(rng, 4, 4, batch=(6,))
    result = spd.frechet_mean(X, metric=metric, full_output=True)
    again = spd.frechet_mean(X, metric=metric, init=result.mean, full_output=True)
    assert again.iterations <= 1 < result.iterations
    np.testing.assert_allclose(again.mean, result.mean, atol=1e-11)
    theta = {"theta": 0.5, "M": X[0]} if metric == "bures_wasserstein" else {}
    first = spd.frechet_mean(X, metric=metric, full_output=True, **theta)
    again = spd.frechet_mean(X, metric=metric, init=first.mean, full_output=True, **theta)
    assert again.iterations <= 1


@pytest.mark.parametrize("metric", ITERATED)
@pytest.mark.parametrize("digits", [1, 2.5])
def test_eigenvalues_do_where_they_are_used(metric, digits, with_condition, rng, monkeypatch):
    X = with_condition(rng, 6, digits, batch=(8,))
    module = "_frechet_" + metric
    asked = []

    def never(*_):
        asked.append(metric)
        return False

    usual = spd.frechet_mean(X, metric=metric, full_output=True)
    monkeypatch.setattr(f"geometry.spd.{module}.fine_enough", never)
    by_singular_values = spd.frechet_mean(X, metric=metric, full_output=True)
    assert asked
    assert usual.iterations == by_singular_values.iterations
    np.testing.assert_allclose(usual.mean, by_singular_values.mean, atol=2e-12)


@pytest.mark.parametrize("metric", ITERATED)
@pytest.mark.parametrize("accelerate", [False, True])
def test_stopping_early_is_said(metric, accelerate, with_condition, rng):
    X = with_condition(rng, 4, 6, batch=(2, 6))
    with pytest.warns(ConvergenceWarning, match=r"mean \[\d\] has residual"):
        result = spd.frechet_mean(
            X, metric=metric, maxiter=2, accelerate=accelerate, full_output=True
        )
    assert not result.converged
    assert result.iterations >= 2
    assert float(np.max(result.residual_norm)) > 1e-12
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.converged = True


@pytest.mark.parametrize("metric", ITERATED)
def test_what_rounding_leaves_counts_as_converged(metric, with_condition, rng):
    X = with_condition(rng, 4, 8, batch=(6,))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = spd.frechet_mean(X, metric=metric, rtol=1e-30, full_output=True)
    assert result.converged
    assert result.iterations < 40


@pytest.mark.parametrize("metric", METRICS)
def test_variance_is_least_at_the_mean(metric, with_condition, hermitian, rng):
    X = with_condition(rng, 4, 1, batch=(6,))
    S = spd.frechet_mean(X, metric=metric)
    least = spd.frechet_variance(X, metric=metric)
    squares = spd.distance(np.broadcast_to(S, X.shape), X, metric=metric) ** 2
    np.testing.assert_allclose(least, squares.mean(), rtol=1e-12)
    for _ in range(3):
        V = hermitian(rng, (4, 4), False)
        near = spd.exp(S, 1e-3 * V / np.linalg.norm(V), metric=metric)
        assert spd.frechet_variance(X, mean=near, metric=metric) > least


def test_agrees_with_pyriemann(with_condition, rng):
    peer = pytest.importorskip("pyriemann.geometry.mean")
    X, weights = with_condition(rng, 5, 1, batch=(8,)), rng.random(8)
    for metric, mean in (
        ("affine_invariant", peer.mean_riemann),
        ("bures_wasserstein", peer.mean_wasserstein),
        ("log_cholesky", peer.mean_logchol),
        ("log_euclidean", peer.mean_logeuclid),
    ):
        got = spd.frechet_mean(X, weights=weights, metric=metric)
        np.testing.assert_allclose(got, mean(X, sample_weight=weights), atol=1e-8)


X = np.stack([np.eye(2), 2 * np.eye(2), np.diag([1.0, 3.0])])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"X": np.eye(2)}, ValueError, r"X must have shape \(..., N, n, n\)"),
        ({"X": X[:0]}, ValueError, "X must hold 1 or more samples"),
        ({"X": X * [[[1]], [[-1]], [[1]]]}, ValueError, r"X must be positive definite, got X\[1\]"),
        ({"X": X * np.nan}, ValueError, "X must be finite"),
        ({"X": X + np.eye(2, k=1)}, ValueError, "X must be symmetric"),
        ({"weights": [1, 1]}, ValueError, r"weights must have shape \(..., 3\)"),
        ({"weights": [1, -1, 1]}, ValueError, "weights must not be negative"),
        ({"weights": [0, 0, 0]}, ValueError, "weights .* smallest sum 0"),
        ({"weights": [1, np.inf, 1]}, ValueError, "weights must be finite"),
        ({"weights": [1j, 1, 1]}, TypeError, "weights must be real"),
        ({"weights": torch.ones(3)}, TypeError, "mix array libraries"),
        ({"metric": "euclidean"}, ValueError, "metric must be one of"),
        ({"M": np.eye(2)}, ValueError, "M must be None unless"),
        ({"theta": 2.0}, ValueError, "theta must be None unless"),
        ({"theta": np.nan, "metric": "bures_wasserstein"}, ValueError, "theta must be finite"),
        ({"theta": 0.0, "metric": "bures_wasserstein"}, ValueError, "theta must not be zero"),
        ({"M": np.eye(3), "metric": "bures_wasserstein"}, ValueError, "M must have shape"),
        ({"M": -np.eye(2), "metric": "bures_wasserstein"}, ValueError, "M must be positive"),
        ({"init": np.eye(3)}, ValueError, "init must have shape"),
        ({"init": -np.eye(2)}, ValueError, "init must be positive definite"),
        ({"X": [X, X], "init": np.stack([np.eye(2)] * 3)}, ValueError, "do not broadcast"),
        ({"rtol": 0.0}, ValueError, "rtol must be positive"),
        ({"maxiter": 0}, ValueError, "maxiter must be at least 1"),
        ({"maxiter": 1.5}, TypeError, "maxiter must be an integer"),
    ],
)
def test_bad_input(arguments, error, message):
    with pytest.raises(error, match=message):
        spd.frechet_mean(**{"X": X, **arguments})


def test_bad_input_of_the_variance():
    with pytest.raises(ValueError, match="mean must be positive definite"):
        spd.frechet_variance(X, mean=-np.eye(2))

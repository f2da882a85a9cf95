"""The pure function: mean and variance as asked, literal steps, gradients, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geometry import spd
from geometry.spd import NormalizedBatch, batch_normalize

torch = pytest.importorskip("torch")

METRICS = ("affine_invariant", "bures_wasserstein", "log_cholesky", "log_euclidean")


def function(A, f):
    w, U = np.linalg.eigh(A)
    return (U * f(w)[..., None, :]) @ np.conj(np.swapaxes(U, -1, -2))


def literal(X, mean, var, W, s, M, theta, eps=1e-5):
    """The six steps of the released layer, each map by its textbook formula."""
    eye = np.eye(X.shape[-1])
    white, color = function(M, lambda w: w**-0.5), function(M, np.sqrt)

    def power(A):
        return white @ function(A, lambda w: w**theta) @ white

    def transport(P, V, exponent):
        p, U = np.linalg.eigh(P)
        return U @ (((p[:, None] + p) / 2) ** exponent * (U.T @ V @ U)) @ U.T

    Y, B, W = power(X), power(mean), power(W)
    half, inverse = function(B, np.sqrt), function(B, lambda w: w**-0.5)
    map_ = inverse @ function(half @ Y @ half, np.sqrt) @ inverse
    V = transport(B, (map_ - eye) @ B + B @ (map_ - eye), -0.5)

    def exp_and_log(V):
        end = (eye + V / 2) @ (eye + V / 2)
        return 2 * (function(end, lambda w: np.sqrt(np.maximum(w, 0))) - eye)

    V = exp_and_log(s / np.sqrt(var + eps) * exp_and_log(V))
    V = transport(W, V, 0.5)
    p, U = np.linalg.eigh(W)
    L = U @ ((U.T @ V @ U) / (p[:, None] + p)) @ U.T
    Z = (eye + L) @ W @ (eye + L)
    return function(color @ Z @ color, lambda w: w ** (1 / theta))


@pytest.mark.parametrize("metric", METRICS)
@given(
    n=st.integers(1, 4), digits=st.floats(0, 2), seed=st.integers(0, 2**32), imaginary=st.booleans()
)
def test_mean_and_variance_are_as_asked(metric, with_condition, n, digits, seed, imaginary):
    rng = np.random.default_rng(seed)
    X = with_condition(rng, n, digits, batch=(6,), complex_=imaginary)
    W = with_condition(rng, n, 0.5, complex_=imaginary)
    options = {"metric": metric}
    if metric == "bures_wasserstein":
        options |= {"M": with_condition(rng, n, 0.5), "theta": rng.choice([0.3, 0.5, 1.0])}
    # Nothing folds when the deviations are small to the bias.
    s = 0.05
    mean = spd.frechet_mean(X, **options)
    var = spd.frechet_variance(X, mean=mean, **options)
    Y = batch_normalize(X, mean, var, W, s, eps=0.0 if var > 1e-10 else 1.0, **options)
    np.testing.assert_allclose(spd.frechet_mean(Y, **options), W, rtol=1e-8, atol=1e-8)
    if var > 1e-10:
        variance = spd.frechet_variance(Y, mean=W, **options)
        np.testing.assert_allclose(variance, s * s, rtol=1e-7)


@pytest.mark.parametrize("s", [0.1, 4.0])
@pytest.mark.parametrize("theta", [1.0, 0.5, 0.3])
def test_literal_steps_with_and_without_folding(theta, s, with_condition, rng):
    X, (B, W, M) = with_condition(rng, 4, 1.5, batch=(20,)), with_condition(rng, 4, 1, batch=(3,))
    # The exponential at the identity knows a scale: large matrices leave its domain.
    X, B = (0.1 if s < 1 else 3) * X, (0.1 if s < 1 else 1) * B
    expected = literal(X, B, 0.7, W, s, M, theta)
    result = batch_normalize(X, B, 0.7, W, s, M=M, theta=theta, full_output=True)
    # Square roots of matrices of condition 10^1.5 by textbook formulas.
    np.testing.assert_allclose(result.X, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())
    assert isinstance(result, NormalizedBatch)
    assert result.outside.any() == (s == 4.0)


def test_affine_invariant_is_a_power_of_the_whitened(with_condition, rng):
    X, (B, W) = with_condition(rng, 3, 2, batch=(5,)), with_condition(rng, 3, 1, batch=(2,))
    half, inverse = spd.sqrtm(W), spd.invsqrtm(B)
    expected = half @ spd.powm(inverse @ X @ inverse, 0.8 / np.sqrt(0.3)) @ half
    result = batch_normalize(X, B, 0.3, W, 0.8, eps=0.0, metric="affine_invariant")
    np.testing.assert_allclose(result, expected, rtol=1e-10, atol=1e-10)


def test_matrix_of_the_metric_by_any_factor(with_condition, rng):
    X, (B, W, G) = with_condition(rng, 3, 2, batch=(5,)), with_condition(rng, 3, 1, batch=(3,))
    G = G @ with_condition(rng, 3, 1)
    plain = batch_normalize(X, B, 0.3, W, 0.8)
    moved = batch_normalize(*(G @ A @ G.T for A in (X, B)), 0.3, G @ W @ G.T, 0.8, M=G @ G.T)
    np.testing.assert_allclose(moved, G @ plain @ G.T, rtol=1e-10, atol=1e-10)


def test_clipping_and_raising(with_condition, rng):
    X, (B, W) = with_condition(rng, 3, 2, batch=(2, 5)), with_condition(rng, 3, 1, batch=(2,))
    folded = batch_normalize(X, B, 0.1, W, 3.0, full_output=True)
    assert folded.outside.shape == (2, 5)
    assert folded.outside.any()
    clipped = batch_normalize(X, B, 0.1, W, 3.0, domain="clip", full_output=True)
    np.testing.assert_array_equal(clipped.outside, folded.outside)
    inside = ~folded.outside
    np.testing.assert_allclose(clipped.X[inside], folded.X[inside], rtol=1e-12)
    # It stops where the smallest eigenvalue of a square root's factor is 1e-3.
    assert np.linalg.eigvalsh(clipped.X).min() > 1e-7 * np.linalg.eigvalsh(W).min()
    first = ", ".join(map(str, np.argwhere(folded.outside)[0]))
    with pytest.raises(ValueError, match=rf"X\[{first}\] leaves the manifold"):
        batch_normalize(X, B, 0.1, W, 3.0, domain="raise")
    result = batch_normalize(X, B, 0.1, W, 0.01, domain="raise")
    np.testing.assert_array_equal(result, batch_normalize(X, B, 0.1, W, 0.01))


def test_ill_conditioned_matrices(with_condition, rng):
    X = with_condition(rng, 6, 10, batch=(8,))
    mean = spd.frechet_mean(X, metric="bures_wasserstein")
    var = spd.frechet_variance(X, mean=mean, metric="bures_wasserstein")
    Y = batch_normalize(X, mean, var, 9 * np.eye(6), 1.0, eps=0.0, domain="raise")
    variance = spd.frechet_variance(Y, mean=9 * np.eye(6), metric="bures_wasserstein")
    # The transport to the identity divides by the roots of sums of eigenvalues, here down to 1e-5.
    np.testing.assert_allclose(variance, 1.0, rtol=1e-9)
    back = batch_normalize(Y, 9 * np.eye(6), 1.0, mean, np.sqrt(var), eps=0.0)
    np.testing.assert_allclose(back, X, atol=1e-9)


@pytest.mark.parametrize("metric", METRICS)
def test_kinds_batches_and_broadcasting(xp, metric, with_condition, rng):
    X, B = with_condition(rng, 3, 1, batch=(4, 2)), with_condition(rng, 3, 1, batch=(2,))
    W, var, s = with_condition(rng, 3, 1), np.array([0.2, 0.3]), np.array([0.1, 0.2])
    expected = np.array(
        [
            [batch_normalize(X[i, j], B[j], var[j], W, s[j], metric=metric) for j in range(2)]
            for i in range(4)
        ]
    )
    given_arrays = [xp.asarray(A) for A in (X, B, var, W, s)]
    result = batch_normalize(*given_arrays, metric=metric, full_output=True)
    tolerance = 1e-5 if xp.single else 1e-11
    np.testing.assert_allclose(xp.numpy(result.X), expected, rtol=tolerance, atol=tolerance)
    assert not result.outside.any()
    given_arrays[0] = xp.asarray(np.repeat(X, 2, axis=-1))[..., ::2]
    np.testing.assert_array_equal(
        xp.numpy(batch_normalize(*given_arrays, metric=metric)), xp.numpy(result.X)
    )
    empty = batch_normalize(given_arrays[0][:0], *given_arrays[1:], metric=metric)
    assert xp.numpy(empty).shape == (0, 2, 3, 3)


def tensors(rng, from_eigenvalues, complex_=False):
    X = torch.tensor(
        from_eigenvalues(rng, [[1.0, 1, 2], [1, 1 + 1e-9, 1e-3], [3, 0.5, 0.5]], complex_),
        requires_grad=True,
    )
    B = torch.eye(3, dtype=X.dtype, requires_grad=True)
    W = torch.tensor(from_eigenvalues(rng, [0.5, 0.5, 1.5], complex_), requires_grad=True)
    numbers = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in (0.4, 0.7)]
    return X, B, numbers[0], W, numbers[1]


@pytest.mark.parametrize("imaginary", [False, True])
@pytest.mark.parametrize("metric", METRICS)
def test_gradients_at_coinciding_eigenvalues(metric, imaginary, from_eigenvalues, rng):
    inputs = tensors(rng, from_eigenvalues, imaginary)
    options = {"metric": metric, "check": False}
    # The smallest eigenvalue is 1e-3, beside which the default step is not small.
    assert torch.autograd.gradcheck(
        lambda *inputs: batch_normalize(*inputs, **options), inputs, eps=1e-8, atol=1e-4, rtol=1e-3
    )


@pytest.mark.parametrize(("s", "domain"), [(0.7, "raise"), (4.0, "fold"), (4.0, "clip")])
@pytest.mark.parametrize("theta", [0.5, 0.8])
def test_gradients_of_the_metric_and_beyond_the_domain(theta, s, domain, from_eigenvalues, rng):
    X, B, var, W, scale = tensors(rng, from_eigenvalues)
    # Of a clipped matrix the smallest eigenvalue must be single.
    X = torch.tensor(from_eigenvalues(rng, [[0.1, 1, 2], [3, 0.5, 0.5]]), requires_grad=True)
    scale = torch.tensor(s, dtype=torch.float64, requires_grad=True)
    M = torch.eye(3, dtype=torch.float64, requires_grad=True)
    exponent = torch.tensor(theta, dtype=torch.float64, requires_grad=True)
    options = {"domain": domain, "check": False}
    result = batch_normalize(X, B, var, W, scale, M=M, theta=theta, full_output=True, **options)
    assert result.outside.any() == (s == 4.0)
    assert torch.autograd.gradcheck(
        lambda X, B, var, W, s, M, t: batch_normalize(X, B, var, W, s, M=M, theta=t, **options),
        (X, B, var, W, scale, M, exponent),
        eps=1e-7,
        atol=1e-4,
    )
    # A constant 1/2 is a product instead of a power.
    a, b = (
        torch.autograd.grad(
            batch_normalize(X, B, var, W, scale, M=M, theta=t, **options).square().sum(),
            (X, B, W, M),
        )
        for t in (theta, exponent)
    )
    for first, second in zip(a, b, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("metric", METRICS)
def test_vmap_is_the_batch(metric, with_condition, rng):
    X = torch.tensor(with_condition(rng, 3, 2, batch=(6,)))
    B, W = torch.tensor(with_condition(rng, 3, 1, batch=(2,)))
    for s in (0.3, 3.0):
        expected = batch_normalize(X, B, 0.3, W, s, metric=metric)
        mapped = torch.func.vmap(lambda A, s=s: batch_normalize(A, B, 0.3, W, s, metric=metric))(X)
        torch.testing.assert_close(mapped, expected)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"X": np.ones((2, 3))}, ValueError, "X must have shape"),
        ({"X": np.stack([np.eye(2), -np.eye(2)])}, ValueError, r"X must be positive.*X\[1\]"),
        ({"X": np.array([[1.0, 0.5], [0.0, 1.0]])}, ValueError, "X must be symmetric"),
        ({"X": np.full((2, 2), np.nan)}, ValueError, "X must be finite"),
        ({"mean": np.eye(3)}, ValueError, "mean must have shape"),
        ({"bias": np.zeros((2, 2))}, ValueError, "bias must be positive definite"),
        ({"var": -1.0}, ValueError, "var must not be negative"),
        ({"var": 0.0, "eps": 0.0}, ValueError, "var must be positive"),
        ({"scale": 0.0}, ValueError, "scale must be positive"),
        ({"scale": 1j}, TypeError, "scale must be real"),
        ({"eps": -1.0}, ValueError, "eps must not be negative"),
        ({"metric": "euclidean"}, ValueError, "metric must be one of"),
        ({"domain": "wrap"}, ValueError, "domain must be one of"),
        ({"metric": "log_euclidean", "M": np.eye(2)}, ValueError, "M must be None unless"),
        ({"metric": "affine_invariant", "theta": 0.5}, ValueError, "theta must be None unless"),
        ({"theta": 0.0}, ValueError, "theta must not be zero"),
        ({"M": torch.eye(2)}, TypeError, "mix array libraries"),
    ],
)
def test_bad_input(change, error, message):
    arguments = {"X": np.eye(2), "mean": np.eye(2), "var": 1.0, "bias": np.eye(2), "scale": 1.0}
    with pytest.raises(error, match=message):
        batch_normalize(**(arguments | change))

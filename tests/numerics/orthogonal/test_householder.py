from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numerics import HouseholderProduct


def dense(V: np.ndarray) -> np.ndarray:
    """One reflection after the other."""
    Q = np.eye(V.shape[1])
    for v in V / np.linalg.norm(V, axis=1, keepdims=True):
        Q = Q - 2 * np.outer(Q @ v, v)
    return Q


@given(n=st.integers(1, 90), r=st.integers(1, 200), seed=st.integers(0, 2**32))
def test_product_of_reflections(n, r, seed):
    rng = np.random.default_rng(seed)
    V = rng.standard_normal((r, n)) * np.exp(20 * rng.standard_normal((r, 1)))
    Q, D = HouseholderProduct(V), dense(V)
    # 200 reflections with a few roundings each.
    np.testing.assert_allclose(Q.to_dense(), D, atol=1e-12)
    assert np.linalg.slogdet(D)[0] == (-1) ** r


def test_vectors_may_coincide(rng):
    """The triangular factor of equal vectors is not singular: its entries alternate."""
    v = rng.standard_normal(50)
    even = HouseholderProduct(np.tile(v, (100, 1)))
    np.testing.assert_allclose(even.to_dense(), np.eye(50), atol=1e-13)
    nearly = np.tile(v, (101, 1)) * (1 + 1e-9 * rng.standard_normal((101, 50)))
    np.testing.assert_allclose(HouseholderProduct(nearly).to_dense(), dense(nearly), atol=1e-13)


@pytest.mark.parametrize("scale", [1e-320, 1e-200, 1e200, 1e307])
def test_lengths_do_not_matter(scale, rng):
    V = rng.integers(1, 9, (5, 8)).astype(float)
    # Of a subnormal vector few digits are left.
    tol = 0.05 if scale < 1e-300 else 1e-13
    np.testing.assert_allclose(HouseholderProduct(scale * V).to_dense(), dense(V), atol=tol)
    Q = HouseholderProduct(scale * V).to_dense()
    np.testing.assert_allclose(Q.T @ Q, np.eye(8), atol=1e-13)


def test_single_precision_is_orthogonal_to_its_last_digits(rng):
    V = rng.standard_normal((64, 512)).astype(np.float32)
    Q = HouseholderProduct(V).to_dense()
    assert Q.dtype == np.float32
    # 2^-24 is half a unit of the last place of 1.
    assert np.max(np.abs(Q.T.astype(float) @ Q - np.eye(512))) < 2e-6


@pytest.mark.parametrize("r", [1, 16, 64])
def test_few_reflections_stay_near_the_identity(r):
    n = 256
    x = np.eye(n)[0]
    draws = [x @ (HouseholderProduct.random(n, reflections=r, rng=seed) @ x) for seed in range(400)]
    # The standard deviation of a draw is at most 1/sqrt(n) = 0.06.
    assert abs(np.mean(draws) - (1 - 2 / n) ** r) < 5 * 0.0625 / 20


def test_a_power_keeps_the_rank(rng):
    Q = HouseholderProduct(rng.standard_normal((3, 200)))
    power = Q.power(1000)
    assert power.nbytes < 10 * Q.nbytes
    D = np.linalg.matrix_power(Q.to_dense(), 1000)
    np.testing.assert_allclose(power.to_dense(), D, atol=1e-11)
    np.testing.assert_allclose(Q.power(-1000).to_dense(), D.T, atol=1e-11)


def test_later_changes_of_the_vectors_count_only_in_training():
    torch = pytest.importorskip("torch")
    V = np.array([[1.0, 0.0]])
    Q = HouseholderProduct(V)
    V[:] = [0.0, 1.0]
    np.testing.assert_array_equal(Q @ np.array([1.0, 0.0]), [-1, 0])
    weight = torch.nn.Parameter(torch.tensor([[1.0, 0.0], [1.0, 1.0]]))
    Q = HouseholderProduct(weight)
    x = torch.tensor([1.0, 0.0])
    optimiser = torch.optim.SGD([weight], lr=0.5)
    target = HouseholderProduct(torch.tensor([[2.0, 1.0], [1.0, 1.0]])) @ x
    for _ in range(60):
        optimiser.zero_grad()
        ((Q @ x - target) ** 2).sum().backward()
        optimiser.step()
    torch.testing.assert_close(Q @ x, target, atol=1e-3, rtol=0)


def test_agrees_with_lapack_through_torch(rng):
    torch = pytest.importorskip("torch")
    A, tau = torch.geqrf(torch.tensor(rng.standard_normal((20, 20))))
    V = torch.tril(A, diagonal=-1) + torch.eye(20, dtype=A.dtype)
    wanted = torch.linalg.householder_product(A, tau)
    # LAPACK leaves the last reflection out.
    torch.testing.assert_close(HouseholderProduct(V.T[:-1]).to_dense(), wanted)


@pytest.mark.parametrize(
    ("V", "error", "message"),
    [
        ([[1.0, 2.0], [0.0, 0.0]], ValueError, "the largest entry of every row of V must be posi"),
        (np.ones(3), ValueError, r"V must have shape \(r, n\)"),
        (np.ones((0, 3)), ValueError, r"V must have shape \(r, n\)"),
        (np.ones((3, 0)), ValueError, r"V must have shape \(r, n\)"),
        ([[np.inf, 1.0]], ValueError, "V must be finite"),
        ([[1j, 1.0]], TypeError, "V must be real"),
    ],
)
def test_bad_input(V, error, message):
    with pytest.raises(error, match=message):
        HouseholderProduct(V)
    with pytest.raises(ValueError, match="reflections must be at least 1"):
        HouseholderProduct.random(4, reflections=0)

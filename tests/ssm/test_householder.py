"""Products of Householder factors, and the fewest reflections of orthogonal matrices."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given
from hypothesis import strategies as st

from numerics import HouseholderProduct, haar_orthogonal
from ssm import householder_product, min_reflections, reflections


def _factors(rng, batch=(), r=3, d=4):
    k = rng.standard_normal((*batch, r, d))
    return k / np.linalg.norm(k, axis=-1, keepdims=True), rng.uniform(0, 2, (*batch, r))


def _of_rank(rng, d, r):
    """An orthogonal matrix that differs from the identity by rank r: rotations and signs."""
    blocks = [np.array([[0.6, -0.8], [0.8, 0.6]])] * (r // 2) + [-np.eye(1)] * (r % 2)
    middle = scipy.linalg.block_diag(*blocks, np.eye(d - r))
    V = haar_orthogonal(d, rng=rng)
    return V @ middle @ V.T


def test_product_is_that_of_the_factors_in_order(xp, rng):
    k, beta = _factors(rng, (2,))
    product = xp.numpy(householder_product(xp.asarray(k), xp.asarray(beta)))
    for system in range(2):
        expected = np.eye(4)
        for key, gain in zip(k[system], beta[system], strict=True):
            expected = expected @ (np.eye(4) - gain * np.outer(key, key))
        np.testing.assert_allclose(product[system], expected, atol=xp.tol)


def test_reflections_are_those_of_the_operator(rng):
    k, _ = _factors(rng, r=6)
    expected = HouseholderProduct(k).to_dense()
    np.testing.assert_allclose(householder_product(k, np.full(6, 2.0)), expected, atol=1e-14)


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(0, 6))
def test_determinant_norm_and_fixed_space(seed, d, r):
    rng = np.random.default_rng(seed)
    k, beta = _factors(rng, r=r, d=d)
    product = householder_product(k, beta)
    assert abs(np.linalg.det(product) - np.prod(1 - beta)) < 1e-13
    singular = np.linalg.svd(product, compute_uv=False)
    assert singular.max() < 1 + 1e-14
    # At least d - r directions are orthogonal to all keys, and stay as they are.
    assert np.sum(np.linalg.svd(product - np.eye(d), compute_uv=False) < 1e-13) >= d - r


@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.booleans())
def test_random_matrices_come_back_from_their_reflections(seed, d, special):
    Q = haar_orthogonal(d, special=special, rng=seed)
    k, beta = reflections(Q)
    assert k.shape == (int(min_reflections(Q)), d)
    assert (beta == 2).all()
    np.testing.assert_allclose(np.linalg.norm(k, axis=-1), 1, atol=1e-15)
    # The last steps work on what is left by the first: a few units in the last place each.
    np.testing.assert_allclose(householder_product(k, beta), Q, atol=1e-14 * d)


@pytest.mark.parametrize("d", [1, 2, 5, 12])
def test_the_number_is_the_rank_of_the_difference(xp, rng, d):
    for r in range(d + 1):
        Q = xp.asarray(_of_rank(rng, d, r))
        assert int(min_reflections(Q)) == r
        k, beta = reflections(Q)
        assert tuple(k.shape) == (r, d)
        product = xp.numpy(householder_product(k, beta))
        np.testing.assert_allclose(product, xp.numpy(Q), atol=xp.tol / 10)


def test_no_fewer_will_do(rng):
    """Any product of r reflections fixes d - r directions, so the rank is a lower bound."""
    for r in range(1, 6):
        k, _ = _factors(rng, r=r, d=5)
        assert int(min_reflections(householder_product(k, np.full(r, 2.0)))) == r


@pytest.mark.parametrize("angle", [1e-3, 1e-6, 1e-9, np.pi - 1e-9])
def test_small_rotations_keep_their_digits(angle):
    c, s = np.cos(angle), np.sin(angle)
    Q = np.array([[c, -s], [s, c]])
    k, beta = reflections(Q)
    assert beta.shape == (2,)
    np.testing.assert_allclose(householder_product(k, beta), Q, atol=1e-15)


def test_batches_are_filled_up_with_gains_of_zero(xp, rng):
    Q = np.stack([_of_rank(rng, 4, r) for r in (0, 3, 1, 4)]).reshape(2, 2, 4, 4)
    k, beta = reflections(xp.asarray(Q))
    counts = np.sum(xp.numpy(beta) == 2, axis=-1)
    np.testing.assert_array_equal(counts, [[0, 3], [1, 4]])
    np.testing.assert_array_equal(np.asarray(min_reflections(xp.asarray(Q))), counts)
    np.testing.assert_allclose(xp.numpy(householder_product(k, beta)), Q, atol=xp.tol)
    k, beta = reflections(xp.asarray(np.broadcast_to(np.eye(3), (2, 3, 3))))
    assert (tuple(k.shape), tuple(beta.shape)) == ((2, 0, 3), (2, 0))
    np.testing.assert_array_equal(
        xp.numpy(householder_product(k, beta)), np.broadcast_to(np.eye(3), (2, 3, 3))
    )


def test_tolerance_decides_what_counts_as_the_identity():
    Q = np.diag([1.0, -1.0, 1.0]) @ scipy.linalg.expm(
        1e-8 * np.array([[0, 0, 1], [0, 0, 0], [-1, 0, 0]])
    )
    assert int(min_reflections(Q)) == 3
    assert int(min_reflections(Q, tol=1e-7)) == 1
    assert reflections(Q, tol=1e-7)[0].shape == (1, 3)


def test_strided_input(rng):
    Q = np.stack([_of_rank(rng, 4, r) for r in (2, 3)])
    for order in (np.asfortranarray(Q), Q[::-1][::-1], Q.swapaxes(1, 2).copy().swapaxes(1, 2)):
        np.testing.assert_allclose(householder_product(*reflections(order)), Q, atol=1e-14)


def test_gradients(rng):
    raw, beta = (torch.tensor(a, requires_grad=True) for a in _factors(rng, (2,)))

    def product(raw, beta):
        return householder_product(raw / raw.norm(dim=-1, keepdim=True), beta)

    assert torch.autograd.gradcheck(product, (raw, beta))
    torch.testing.assert_close(torch.func.vmap(product)(raw, beta), product(raw, beta))


UNIT = np.array([[1.0, 0.0], [0.0, 1.0]])


@pytest.mark.parametrize(
    ("k", "beta", "error", "words"),
    [
        (2 * UNIT, np.ones(2), ValueError, "k must hold unit vectors, got one of length 2"),
        (0 * UNIT, np.ones(2), ValueError, "k must hold unit vectors, got one of length 0"),
        (UNIT, np.ones(3), ValueError, "beta must have shape"),
        (UNIT[0], np.ones(2), ValueError, "k must have shape"),
        (UNIT * 1j, np.ones(2), TypeError, "k must be real"),
        (UNIT, np.ones(2) * 1j, TypeError, "beta must be real"),
        (UNIT, np.array([1.0, np.nan]), ValueError, "beta must be finite"),
        (UNIT, torch.ones(2), TypeError, "mix array libraries"),
        (np.tile(UNIT, (2, 1, 1)), np.ones((3, 2)), ValueError, r"k \(2,\), beta \(3,\)"),
    ],
)
def test_bad_factors(k, beta, error, words):
    with pytest.raises(error, match=words):
        householder_product(k, beta)


def test_vectors_without_a_gain_may_be_anything():
    np.testing.assert_array_equal(householder_product(0 * UNIT, np.zeros(2)), np.eye(2))


@pytest.mark.parametrize("function", [min_reflections, reflections])
@pytest.mark.parametrize(
    ("Q", "options", "error", "words"),
    [
        (np.ones((2, 3)), {}, ValueError, "Q must have shape"),
        (2 * np.eye(2), {}, ValueError, "Q must be orthogonal"),
        (np.eye(2) * 1j, {}, TypeError, "Q must be real"),
        (np.full((2, 2), np.inf), {}, ValueError, "Q must be finite"),
        (np.empty((0, 0)), {}, ValueError, "order d of at least 1"),
        (np.eye(2), {"tol": -1.0}, ValueError, "tol must not be negative"),
        (np.eye(2), {"tol": "small"}, TypeError, "tol must be a real number"),
    ],
)
def test_bad_matrices(function, Q, options, error, words):
    with pytest.raises(error, match=words):
        function(Q, **options)

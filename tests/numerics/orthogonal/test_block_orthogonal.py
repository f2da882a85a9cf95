from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

from numerics import BlockOrthogonal, SignedPermutation, haar_orthogonal


@given(m=st.integers(1, 7), b=st.integers(1, 12), seed=st.integers(0, 2**32))
def test_scipys_block_matrix(m, b, seed):
    blocks = haar_orthogonal(b, size=m, rng=seed)
    Q = BlockOrthogonal(blocks)
    np.testing.assert_array_equal(Q.to_dense(), scipy.linalg.block_diag(*blocks))
    X = np.random.default_rng(seed).standard_normal((4, m * b))
    np.testing.assert_allclose(Q.apply(X), X @ Q.to_dense().T, atol=1e-13)
    np.testing.assert_allclose(Q.apply(X[0]), Q.to_dense() @ X[0], atol=1e-13)


def test_images_of_unit_vectors_stay_in_their_block():
    n, b = 1024, 8
    operators = [BlockOrthogonal.random(n, block=b, rng=seed) for seed in range(60)]
    images = np.stack([Q @ np.eye(n)[5] for Q in operators])
    assert np.all(images[:, 8:] == 0)
    cosines = (images @ images.T)[np.triu_indices(60, 1)]
    # The law of a coordinate of the unit sphere: variance 1/b, and 1770 dependent pairs.
    assert abs(np.sqrt(np.mean(cosines**2)) * np.sqrt(b) - 1) < 0.15
    moved = np.stack(
        [Q @ SignedPermutation.random(n, rng=i) @ np.eye(n)[5] for i, Q in enumerate(operators)]
    )
    cosines = (moved @ moved.T)[np.triu_indices(60, 1)]
    assert np.sqrt(np.mean(cosines**2)) < 2 / np.sqrt(n)


def test_different_blocks_compose_as_operators(rng):
    Q = BlockOrthogonal.random(12, block=4, rng=0) @ BlockOrthogonal.random(12, block=3, rng=1)
    D = Q.to_dense()
    np.testing.assert_allclose(D.T @ D, np.eye(12), atol=1e-14)
    assert np.count_nonzero(np.abs(D) > 1e-14) > 12 * 4


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: BlockOrthogonal(np.ones((2, 3, 3))), ValueError, "blocks must be orthogonal, got"),
        (lambda: BlockOrthogonal(np.eye(3)), ValueError, r"blocks must have shape \(m, b, b\)"),
        (lambda: BlockOrthogonal(np.ones((2, 3, 2))), ValueError, "blocks must have shape"),
        (lambda: BlockOrthogonal(np.ones((0, 3, 3))), ValueError, "blocks must have shape"),
        (lambda: BlockOrthogonal(np.eye(2)[None] * 1j), TypeError, "blocks must be real"),
        (lambda: BlockOrthogonal(np.full((1, 2, 2), np.nan)), ValueError, "blocks must be finite"),
        (lambda: BlockOrthogonal.random(12, block=5), ValueError, "block must divide n = 12"),
        (lambda: BlockOrthogonal.random(12, block=0), ValueError, "block must be at least 1"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()

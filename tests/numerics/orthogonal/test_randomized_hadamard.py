from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

from numerics import RandomizedHadamard


@given(logn=st.integers(0, 7), rounds=st.integers(1, 4), seed=st.integers(0, 2**32))
def test_product_of_scipys_matrices(logn, rounds, seed):
    n = 2**logn
    Q = RandomizedHadamard.random(n, rounds=rounds, rng=seed)
    H = scipy.linalg.hadamard(n) / np.sqrt(n)
    D = np.eye(n)
    for signs in Q.signs:
        D = H @ np.diag(signs) @ D
    np.testing.assert_allclose(Q.to_dense(), D, atol=1e-13)


@pytest.mark.parametrize("kind", ["one-hot", "sparse", "biased"])
def test_two_rounds_mix_and_one_does_not(kind, rng):
    """Images under two operators: one round leaves one-hot vectors parallel."""
    n = 1024
    x = np.zeros(n)
    if kind == "biased":
        x[:] = rng.standard_normal(n) + 3
    else:
        x[rng.choice(n, 1 if kind == "one-hot" else 20, replace=False)] = 1
    x /= np.linalg.norm(x)
    for rounds in (1, 2):
        images = [RandomizedHadamard.random(n, rounds=rounds, rng=rng) @ x for _ in range(40)]
        cosines = (images @ np.transpose(images))[np.triu_indices(40, 1)]
        rms = np.sqrt(np.mean(cosines**2))
        if rounds == 1 and kind == "one-hot":
            np.testing.assert_allclose(np.abs(cosines), 1, atol=1e-12)
        elif rounds == 2:
            # 780 cosines of standard deviation 1/32 each, by forties of common factors.
            assert 0.8 / 32 < rms < 1.25 / 32


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: RandomizedHadamard(np.ones((2, 3))), ValueError, "n a power of two, got n = 3"),
        (lambda: RandomizedHadamard(np.ones(4)), ValueError, r"signs must have shape \(rounds, n"),
        (lambda: RandomizedHadamard(np.ones((0, 4))), ValueError, "signs must have shape"),
        (lambda: RandomizedHadamard(np.full((1, 4), 2)), ValueError, "signs must be 1 or -1"),
        (lambda: RandomizedHadamard.random(12), ValueError, "n must be a power of two, got 12"),
        (lambda: RandomizedHadamard.random(8, rounds=0), ValueError, "rounds must be at least 1"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numerics import SignedPermutation


@given(n=st.integers(1, 40), seed=st.integers(0, 2**32), k=st.integers(0, 10**30))
def test_powers_follow_the_cycles(n, seed, k):
    """Against a walk along each cycle, around which everything repeats after two turns."""
    Q = SignedPermutation.random(n, rng=seed)
    index, signs = np.arange(n), np.ones(n, int)
    for i in range(n):
        length, j = 1, Q.permutation[i]
        while j != i:
            length, j = length + 1, Q.permutation[j]
        for _ in range(k % (2 * length)):
            signs[i] *= Q.signs[index[i]]
            index[i] = Q.permutation[index[i]]
    power = Q.power(k)
    np.testing.assert_array_equal(power.permutation, index)
    np.testing.assert_array_equal(power.signs, signs)


def test_it_is_exact(rng):
    Q = SignedPermutation.random(1000, rng=rng)
    x = rng.standard_normal(1000)
    np.testing.assert_array_equal(Q.power(-7) @ (Q.power(7) @ x), x)
    np.testing.assert_array_equal(Q.signs * x[Q.permutation], Q @ x)


def test_draws_are_uniform():
    """Each of the 48 signed permutations of three letters, by a chi-square test."""
    rng = np.random.default_rng(0)
    draws = (SignedPermutation.random(3, rng=rng) for _ in range(9600))
    words = [(*Q.permutation, *Q.signs) for Q in draws]
    _, counts = np.unique(words, axis=0, return_counts=True)
    assert len(counts) == 48
    # 47 degrees of freedom: 100 has probability 1e-5, and the seed is fixed.
    assert np.sum((counts - 200) ** 2) / 200 < 100


def test_without_signs_the_mean_stays(rng):
    Q = SignedPermutation.random(4096, signed=False, rng=rng)
    x = rng.standard_normal(4096) + 0.5
    np.testing.assert_array_equal(Q.signs, 1)
    # The cosine is mean^2 / (mean^2 + variance) = 0.2 up to a few 1 / sqrt(n).
    assert abs(x @ (Q @ x) / (x @ x) - 0.2) < 0.05
    Q = SignedPermutation.random(4096, rng=rng)
    assert abs(x @ (Q @ x) / (x @ x)) < 0.06


def test_tensors_make_the_same_operator():
    torch = pytest.importorskip("torch")
    Q = SignedPermutation(torch.tensor([2, 0, 1]), torch.tensor([1, -1, 1]))
    np.testing.assert_array_equal(Q.permutation, [2, 0, 1])
    np.testing.assert_array_equal(Q.signs, [1, -1, 1])
    generator = torch.Generator().manual_seed(0)
    P = SignedPermutation.random(9, rng=generator)
    np.testing.assert_array_equal(
        SignedPermutation.random(9, rng=generator.manual_seed(0)).permutation, P.permutation
    )


@pytest.mark.parametrize(
    ("permutation", "signs", "error", "message"),
    [
        ([0, 1, 1], [1, 1, 1], ValueError, "permutation must hold each of 0, ..., 2 once"),
        ([0, 1, 3], [1, 1, 1], ValueError, "permutation must hold each of"),
        ([0, -1, 1], [1, 1, 1], ValueError, "permutation must hold each of"),
        ([[0, 1]], [1, 1], ValueError, r"permutation must have shape \(n,\)"),
        (np.zeros(0, int), [], ValueError, r"permutation must have shape \(n,\)"),
        ([0.0, 1.0], [1, 1], TypeError, "permutation must hold integers"),
        ([0, 1], [1, 0], ValueError, "signs must be 1 or -1"),
        ([0, 1], [1, np.nan], ValueError, "signs must be finite"),
        ([0, 1], [1, 1, 1], ValueError, r"signs must have shape \(2,\)"),
        ([0, 1], ["a", "b"], TypeError, "signs must hold"),
        ([0, 1], [1j, 1], TypeError, "signs must be real"),
    ],
)
def test_bad_input(permutation, signs, error, message):
    with pytest.raises(error, match=message):
        SignedPermutation(permutation, signs)

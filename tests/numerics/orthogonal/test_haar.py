from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from numerics import haar_orthogonal


@given(n=st.integers(1, 40), special=st.booleans(), seed=st.integers(0, 2**32))
def test_orthogonal(n, special, seed):
    Q = haar_orthogonal(n, size=(2, 3), special=special, rng=seed)
    assert Q.shape == (2, 3, n, n)
    # A few units in the last place times sqrt(n).
    np.testing.assert_allclose(np.swapaxes(Q, -1, -2) @ Q, np.zeros_like(Q) + np.eye(n), atol=1e-13)
    if special:
        np.testing.assert_allclose(np.linalg.det(Q), 1, atol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_determinants_are_fair(n):
    signs = np.sign(np.linalg.det(haar_orthogonal(n, size=4000, rng=0)))
    # Five standard deviations of a mean of fair signs.
    assert abs(signs.mean()) < 5 / np.sqrt(4000)


@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize("n", [3, 5])
def test_law(n, special):
    """Traces by moments, entries by their law: each is a coordinate of the unit sphere."""
    Q = haar_orthogonal(n, size=6000, special=special, rng=1)
    traces = np.trace(Q, axis1=1, axis2=2)
    # E tr Q = 0 and E (tr Q)^2 = 1; standard errors are at most 1/77 and sqrt(2)/77.
    assert abs(traces.mean()) < 0.065
    assert abs((traces**2).mean() - 1) < 0.1
    for i, j in ((0, 0), (n - 1, n - 1), (0, n - 1), (n - 1, 0), (1, n - 2)):
        # (1 + q)/2 is beta((n - 1)/2, (n - 1)/2) distributed.
        law = scipy.stats.beta((n - 1) / 2, (n - 1) / 2)
        assert scipy.stats.kstest((1 + Q[:, i, j]) / 2, law.cdf).pvalue > 1e-4


def test_rotations_of_the_plane_have_uniform_angles():
    Q = haar_orthogonal(2, size=5000, special=True, rng=2)
    angles = np.arctan2(Q[:, 1, 0], Q[:, 0, 0]) / (2 * np.pi) + 0.5
    assert scipy.stats.kstest(angles, "uniform").pvalue > 1e-4


def test_same_law_as_scipy():
    """Traces of squares, which see more than entries do, by a two-sample test."""
    ours = haar_orthogonal(4, size=3000, rng=3)
    theirs = scipy.stats.ortho_group.rvs(4, size=3000, random_state=4)
    squares = [np.einsum("kij,kji->k", Q, Q) for Q in (ours, theirs)]
    assert scipy.stats.ks_2samp(*squares).pvalue > 1e-4


def test_kinds(xp):
    like = xp.asarray(np.ones(1))
    Q = xp.numpy(haar_orthogonal(7, size=2, rng=0, like=like))
    np.testing.assert_allclose(Q, haar_orthogonal(7, size=2, rng=0), atol=xp.tol)
    large = xp.numpy(haar_orthogonal(150, rng=0, like=like))
    np.testing.assert_allclose(large.T @ large, np.eye(150), atol=xp.tol)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: haar_orthogonal(0), ValueError, "n must be at least 1"),
        (lambda: haar_orthogonal(2.5), TypeError, "n must be an integer"),
        (lambda: haar_orthogonal(2, size=-1), ValueError, "size must be at least 0"),
        (lambda: haar_orthogonal(2, size=(2, 0.5)), TypeError, "size must be an integer"),
        (lambda: haar_orthogonal(2, rng="a"), TypeError, "rng must be"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()

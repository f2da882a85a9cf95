from __future__ import annotations

import mpmath
import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

from numerics import cayley


def skew(n: int, rng: np.random.Generator, *batch: int) -> np.ndarray:
    A = rng.standard_normal((*batch, n, n))
    return A - np.swapaxes(A, -1, -2)


@given(n=st.integers(1, 30), size=st.floats(-12, 12), seed=st.integers(0, 2**32))
def test_rotations_and_their_inverses(n, size, seed):
    W = np.exp(size) * skew(n, np.random.default_rng(seed), 2)
    Q = cayley(W)
    np.testing.assert_allclose(np.swapaxes(Q, 1, 2) @ Q, np.zeros_like(Q) + np.eye(n), atol=1e-13)
    np.testing.assert_allclose(cayley(-W), np.swapaxes(Q, 1, 2), atol=1e-13)
    np.testing.assert_allclose(np.linalg.det(Q), 1, atol=1e-12)
    # Its definition, multiplied out.
    eye = np.eye(n)
    scale = 1 + np.abs(W).max()
    np.testing.assert_allclose((eye - W / 2) @ Q, eye + W / 2, atol=1e-14 * n * scale)


def test_agrees_with_the_exponential_to_second_order(rng):
    W = skew(6, rng)
    W /= np.linalg.norm(W, 2)
    errors = [
        np.linalg.norm(cayley(t * W) - scipy.linalg.expm(t * W), 2) / t**3 for t in (0.1, 0.01)
    ]
    # The next term is t^3 W^3 / 12, the following ones a factor t smaller.
    np.testing.assert_allclose(errors, np.linalg.norm(W @ W @ W, 2) / 12, rtol=0.02)


def test_digits(rng):
    W = 30 * skew(5, rng)
    with mpmath.workdps(40):
        half = mpmath.matrix(W.tolist()) / 2
        exact = mpmath.inverse(mpmath.eye(5) - half) * (mpmath.eye(5) + half)
        exact = np.array(exact.tolist(), dtype=float)
    np.testing.assert_allclose(cayley(W), exact, atol=1e-13)


def test_kinds(xp, rng):
    W = skew(6, rng, 3)
    got = xp.numpy(cayley(xp.asarray(W)))
    np.testing.assert_allclose(got, cayley(W), atol=xp.tol)
    np.testing.assert_allclose(got[1], xp.numpy(cayley(xp.asarray(W)[1])), atol=xp.tol)
    wide = np.zeros((3, 6, 12))
    wide[..., ::2] = W
    np.testing.assert_allclose(xp.numpy(cayley(xp.asarray(wide)[..., ::2])), got, atol=xp.tol)


def test_gradients(rng):
    torch = pytest.importorskip("torch")
    A = torch.tensor(rng.standard_normal((2, 4, 4)), requires_grad=True)
    assert torch.autograd.gradcheck(lambda A: cayley(A - A.mT), (A,))


@pytest.mark.parametrize(
    ("W", "error", "message"),
    [
        (np.eye(3), ValueError, "W must be skew-symmetric, got"),
        (np.zeros((2, 3)), ValueError, "W must have shape"),
        (np.zeros(3), ValueError, "W must have shape"),
        ([[0, 1j], [-1j, 0]], TypeError, "W must be real"),
        ([[0, np.nan], [1, 0]], ValueError, "W must be finite"),
        ([["a"]], TypeError, "W must hold"),
    ],
)
def test_bad_input(W, error, message):
    with pytest.raises(error, match=message):
        cayley(W)

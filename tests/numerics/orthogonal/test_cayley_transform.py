from __future__ import annotations

import mpmath
import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

from numerics import cayley, cayley_low_rank


def skew(n: int, rng: np.random.Generator, *batch: int) -> np.ndarray:
    A = rng.standard_normal((*batch, n, n))
    return A - np.swapaxes(A, -1, -2)


@given(n=st.integers(1, 30), size=st.floats(-12, 12), seed=st.integers(0, 2**32))
def test_rotations_and_their_inverses(n, size, seed):
    W = np.exp(size) * skew(n, np.random.default_rng(seed), 2)
    Q = cayley(W)
    # The condition number of I - W/2, times some roundings.
    tol = 1e-14 * (1 + np.linalg.norm(W, 2, axis=(1, 2)).max())
    np.testing.assert_allclose(np.swapaxes(Q, 1, 2) @ Q, np.zeros_like(Q) + np.eye(n), atol=tol)
    np.testing.assert_allclose(cayley(-W), np.swapaxes(Q, 1, 2), atol=tol)
    np.testing.assert_allclose(np.linalg.det(Q), 1, atol=n * tol)
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


@given(
    n=st.integers(12, 40), r=st.integers(1, 6), size=st.floats(-6, 6), seed=st.integers(0, 2**32)
)
def test_low_rank_is_the_transform_of_the_matrix(n, r, size, seed):
    U, V = np.exp(size / 2) * np.random.default_rng(seed).standard_normal((2, n, r))
    W = U @ V.T - V @ U.T
    Q, D = cayley_low_rank(U, V), cayley(W)
    tol = 1e-13 * (1 + np.linalg.norm(W, 2))
    np.testing.assert_allclose(Q.to_dense(), D, atol=tol)
    np.testing.assert_allclose(Q.adjoint().to_dense(), D.T, atol=tol)
    np.testing.assert_allclose(Q.power(-5).to_dense(), np.linalg.matrix_power(D.T, 5), atol=5 * tol)
    X = np.random.default_rng(seed).standard_normal((3, n))
    np.testing.assert_allclose(Q.apply(X), X @ D.T, atol=10 * tol)


def test_low_rank_kinds(xp, rng):
    U, V, X = rng.standard_normal((3, 8, 2))
    Q = cayley_low_rank(xp.asarray(U), xp.asarray(V))
    wanted = cayley(U @ V.T - V @ U.T) @ X
    np.testing.assert_allclose(xp.numpy(Q @ xp.asarray(X)), wanted, atol=xp.tol)
    np.testing.assert_allclose(
        xp.numpy(Q.as_linear_operator() @ xp.asarray(X)), wanted, atol=xp.tol
    )


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
    U, V, x = torch.tensor(rng.standard_normal((3, 5, 2)), requires_grad=True)
    assert torch.autograd.gradcheck(lambda U, V, x: cayley_low_rank(U, V).power(2) @ x, (U, V, x))
    # Training begins at the identity, where W = 0.
    zero = torch.zeros_like(U, requires_grad=True)
    assert torch.autograd.gradcheck(lambda U: cayley_low_rank(U, V) @ x, (zero,))


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


@pytest.mark.parametrize(
    ("U", "V", "error", "message"),
    [
        (np.ones((3, 2)), np.ones((3, 1)), ValueError, "V must have shape"),
        (np.ones(3), np.ones((3, 1)), ValueError, r"U must have shape \(n, r\)"),
        (np.ones((3, 0)), np.ones((3, 0)), ValueError, "U must have shape"),
        (np.ones((3, 1)), np.ones((3, 1)) * 1j, TypeError, "V must be real"),
        (np.full((3, 1), np.inf), np.ones((3, 1)), ValueError, "U must be finite"),
    ],
)
def test_bad_low_rank_input(U, V, error, message):
    with pytest.raises(error, match=message):
        cayley_low_rank(U, V)

"""The matrix exponential against 40-digit arithmetic."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from numerics import expm
from ssm import hippo_matrices


def _reference(A: np.ndarray) -> np.ndarray:
    with mpmath.workdps(40):
        exact = mpmath.expm(mpmath.matrix(A.tolist()))
        return np.array([[complex(exact[i, j]) for j in range(len(A))] for i in range(len(A))])


@pytest.mark.parametrize("scale", [1e-8, 0.1, 1.0, 8.0, 30.0])
@pytest.mark.parametrize("shape", ["full", "lower", "upper", "complex"])
def test_against_mpmath(xp, rng, scale, shape):
    A = rng.standard_normal((6, 6)) / 3
    A = {"lower": np.tril, "upper": np.triu}.get(shape, lambda M: M)(A)
    if shape == "complex":
        A = A + 1j * rng.standard_normal((6, 6)) / 3
    given_A = xp.asarray(scale * A)
    exact = _reference(xp.numpy(given_A))
    # The squarings lose about one digit per factor 10 of the norm.
    tolerance = xp.tol * (1 + scale) * 1e-1 if not xp.single else 1e-6
    error = np.abs(xp.numpy(expm(given_A)) - exact).max() / np.abs(exact).max()
    assert error < tolerance


def test_triangular_with_diagonal_entries_that_differ_by_rounding(xp):
    """Here ``scipy.linalg.expm`` 1.17.1 is off by more than 0.01."""
    A = 2 * hippo_matrices("glagt", 8, alpha=-0.3, beta=0.5)[0]
    even = np.arange(0, 8, 2)
    A[even, even] = np.nextafter(A[even, even], 0)
    exact = _reference(xp.numpy(xp.asarray(A))).real
    np.testing.assert_allclose(
        xp.numpy(expm(xp.asarray(A))), exact, atol=1e-6 if xp.single else 1e-14
    )


@given(st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_exp_of_minus_A_is_the_inverse(N, seed):
    A = np.random.default_rng(seed).standard_normal((N, N))
    product = expm(A) @ expm(-A)
    bound = np.linalg.norm(expm(A), 2) * np.linalg.norm(expm(-A), 2) * 1e-13
    assert np.abs(product - np.eye(N)).max() < bound


def test_batch_equals_loop_and_strides_do_not_matter(rng):
    A = rng.standard_normal((2, 3, 5, 5))
    looped = np.stack([[expm(M) for M in row] for row in A])
    np.testing.assert_allclose(expm(A), looped, rtol=1e-11, atol=1e-13)
    strided = np.asfortranarray(A[0, 0])
    np.testing.assert_allclose(expm(strided), looped[0, 0], rtol=1e-11, atol=1e-13)
    assert expm(np.empty((0, 3, 3))).shape == (0, 3, 3)


def test_gradient(rng):
    A = torch.tensor(rng.standard_normal((3, 3)), requires_grad=True)
    assert torch.autograd.gradcheck(expm, (A,))


@pytest.mark.parametrize("bad", [np.ones((2, 3)), np.ones(3), np.full((2, 2), np.nan)])
def test_bad_input(bad):
    with pytest.raises(ValueError, match="A must"):
        expm(bad)

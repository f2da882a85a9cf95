from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numerics import tensor_srht
from solvers import kronecker_lstsq


@given(seed=st.integers(0, 2**32), d1=st.integers(1, 4), d2=st.integers(1, 4))
def test_exact_solution_is_that_of_the_product(seed, d1, d2):
    rng = np.random.default_rng(seed)
    A1, A2 = rng.standard_normal((20, d1)), rng.standard_normal((15, d2))
    B = rng.standard_normal((20, 15))
    x = np.linalg.lstsq(np.kron(A1, A2), B.ravel())[0]
    np.testing.assert_allclose(kronecker_lstsq(A1, A2, B).ravel(), x, atol=1e-13)


def test_smallest_norm(rng):
    A1 = rng.standard_normal((60, 2)) @ rng.standard_normal((2, 4))
    A2, B = rng.standard_normal((40, 3)), rng.standard_normal((60, 40))
    exact = np.linalg.pinv(A1, rcond=1e-12) @ B @ np.linalg.pinv(A2).T
    np.testing.assert_allclose(kronecker_lstsq(A1, A2, B), exact, atol=1e-13)


@given(seed=st.integers(0, 2**32))
def test_sketched_solution_is_that_of_the_sketched_product(seed):
    rng = np.random.default_rng(seed)
    A1, A2 = rng.standard_normal((12, 2)), rng.standard_normal((9, 3))
    B = rng.standard_normal((12, 9))
    S = tensor_srht((12, 9), 60, rng=seed).to_dense()
    x = np.linalg.lstsq(S @ np.kron(A1, A2), S @ B.ravel())[0]
    X = kronecker_lstsq(A1, A2, B, method="tensor_srht", m=60, rng=seed)
    np.testing.assert_allclose(X.ravel(), x, atol=1e-12)


def test_sketched_error_is_within_the_guarantee_asked(rng):
    """The default is for an l-infinity ratio of 1/2, with room for the tensor sketch."""
    A1, A2 = rng.standard_normal((64, 3)), rng.standard_normal((80, 4))
    B = rng.standard_normal((64, 80))
    exact = kronecker_lstsq(A1, A2, B)
    residual = np.linalg.norm(A1 @ exact @ A2.T - B)
    smallest = min(np.linalg.svd(A1)[1]) * min(np.linalg.svd(A2)[1])
    X = kronecker_lstsq(A1, A2, B, method="tensor_srht", rng=0)
    assert 0 < np.sqrt(12) * np.max(np.abs(X - exact)) * smallest / residual < 0.75


def test_kinds_and_gradients(xp, rng):
    A1, A2 = rng.standard_normal((12, 2)), rng.standard_normal((9, 3))
    B = rng.standard_normal((12, 9))
    for options in ({}, {"method": "tensor_srht", "m": 80, "rng": 1}):
        exact = kronecker_lstsq(A1, A2, B, **options)
        got = kronecker_lstsq(*map(xp.asarray, (A1, A2, B)), **options)
        np.testing.assert_allclose(xp.numpy(got), exact, atol=20 * xp.tol)
        if xp.library == "torch" and not xp.single:
            import torch

            tensors = [xp.asarray(a).requires_grad_() for a in (A1, A2, B)]
            assert torch.autograd.gradcheck(
                lambda *t, o=options: kronecker_lstsq(*t, **o), tensors, fast_mode=True
            )


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"A1": np.ones((2, 3))}, ValueError, "A1 must have at least as many rows"),
        ({"A2": np.ones(5)}, ValueError, "A2 must have two axes"),
        ({"B": np.ones((4, 4))}, ValueError, r"B must have shape \(6, 5\)"),
        ({"B": np.full((6, 5), np.nan)}, ValueError, "B must be finite"),
        ({"A1": np.ones((6, 2)) * 1j}, TypeError, "A1 must be real"),
        ({"method": "srht"}, ValueError, "method must be"),
        ({"m": 9}, ValueError, "m must not be given"),
        ({"m": 3, "method": "tensor_srht"}, ValueError, "m must be at least 4"),
        ({"m": 99, "method": "tensor_srht"}, ValueError, "m must be at most 64"),
        ({"m": 2.5, "method": "tensor_srht"}, TypeError, "m must be an integer"),
        ({"A1": np.ones((6, 2)), "method": "tensor_srht"}, np.linalg.LinAlgError, "rank 2 of 4"),
    ],
)
def test_bad_input(change, error, message):
    arguments = {"A1": np.eye(6, 2), "A2": np.eye(5, 2), "B": np.ones((6, 5)), "rng": 0, **change}
    A1, A2, B = (arguments.pop(name) for name in ("A1", "A2", "B"))
    with pytest.raises(error, match=message):
        kronecker_lstsq(A1, A2, B, **arguments)

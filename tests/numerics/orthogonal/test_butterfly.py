from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

from numerics import Butterfly


def dense(angles: np.ndarray) -> np.ndarray:
    """Rotations of pairs, one after the other, where the docstring says they are."""
    L, half = angles.shape
    n, Q = 2 * half, np.eye(2 * half)
    for layer in range(L):
        h = 2 ** (layer % int(np.log2(n)))
        for entry in range(half):
            g, j = divmod(entry, h)
            a, b = 2 * g * h + j, 2 * g * h + j + h
            c, s = np.cos(angles[layer, entry]), np.sin(angles[layer, entry])
            Q[[a, b]] = np.array([[c, -s], [s, c]]) @ Q[[a, b]]
    return Q


@given(logn=st.integers(1, 6), layers=st.integers(1, 9), seed=st.integers(0, 2**32))
def test_product_of_rotations(logn, layers, seed):
    Q = Butterfly.random(2**logn, layers=layers, rng=seed)
    np.testing.assert_allclose(Q.to_dense(), dense(Q.angles), atol=1e-13)


def test_host_and_generic_paths_agree(rng):
    torch = pytest.importorskip("torch")
    for n in (2, 4, 8, 64, 2048):
        angles = rng.uniform(0, 7, (13, n // 2))
        X = rng.standard_normal((5, n))
        Q = Butterfly(angles)
        P = Butterfly(torch.tensor(angles, requires_grad=True))
        for ours, theirs in ((Q, P), (Q.adjoint(), P.adjoint())):
            generic = theirs.apply(torch.tensor(X)).detach().numpy()
            np.testing.assert_allclose(ours.apply(X), generic, atol=1e-13)
            np.testing.assert_allclose(ours.apply(X.T, axis=0), generic.T, atol=1e-13)


def test_quarter_turns_are_a_hadamard_matrix_up_to_signs():
    D = Butterfly(np.full((5, 16), np.pi / 4)).to_dense()
    np.testing.assert_allclose(np.abs(D), 2**-2.5, atol=1e-14)
    H = np.abs(scipy.linalg.hadamard(32)) * 2**-2.5
    np.testing.assert_allclose(np.abs(D), H, atol=1e-14)
    assert np.linalg.det(D) == pytest.approx(1)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Butterfly(np.ones((2, 3))), ValueError, r"angles must have shape \(layers, n / 2"),
        (lambda: Butterfly(np.ones(4)), ValueError, "angles must have shape"),
        (lambda: Butterfly(np.ones((0, 4))), ValueError, "angles must have shape"),
        (lambda: Butterfly(np.ones((1, 4)) * 1j), TypeError, "angles must be real"),
        (lambda: Butterfly([[np.nan]]), ValueError, "angles must be finite"),
        (lambda: Butterfly.random(6), ValueError, "n must be a power of two, got 6"),
        (lambda: Butterfly.random(8, layers=0), ValueError, "layers must be at least 1"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()

"""The log-Euclidean metric: flat in logarithms."""

from __future__ import annotations

import numpy as np
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

from geometry import spd

METRIC = {"metric": "log_euclidean"}


def test_formulas_with_logarithms(with_condition, hermitian, rng):
    A, B = with_condition(rng, 4, 1, batch=(2,))
    V, W = hermitian(rng, (2, 4, 4), False)
    a, b = scipy.linalg.logm(A), scipy.linalg.logm(B)
    near = {"rtol": 1e-10, "atol": 1e-11}

    def slope(A, V):
        block = scipy.linalg.logm(np.block([[A, V], [np.zeros((4, 4)), A]]))
        return block[:4, 4:]

    np.testing.assert_allclose(spd.distance(A, B, **METRIC), np.linalg.norm(a - b), **near)
    np.testing.assert_allclose(
        spd.inner(A, V, W, **METRIC), np.sum(slope(A, V) * slope(A, W)), **near
    )
    np.testing.assert_allclose(slope(A, spd.log(A, B, **METRIC)), b - a, **near)
    np.testing.assert_allclose(spd.exp(A, V, **METRIC), scipy.linalg.expm(a + slope(A, V)), **near)
    np.testing.assert_allclose(
        spd.geodesic(A, B, 0.3, **METRIC), scipy.linalg.expm(0.7 * a + 0.3 * b), **near
    )
    moved = spd.parallel_transport(V, A, B, **METRIC)
    np.testing.assert_allclose(slope(B, moved), slope(A, V), **near)


@given(n=st.integers(1, 6), seed=st.integers(0, 2**32), imaginary=st.booleans())
def test_invariances(with_condition, n, seed, imaginary):
    """Under unitary congruence, scaling and inversion; and a power multiplies distances."""
    rng = np.random.default_rng(seed)
    A, B = with_condition(rng, n, 2, batch=(2,), complex_=imaginary)
    U = np.linalg.qr(rng.standard_normal((n, n)) + (1j * np.eye(n) if imaginary else 0))[0]
    distance = spd.distance(A, B, **METRIC)
    same = [
        (U @ A @ np.conj(U.T), U @ B @ np.conj(U.T)),
        (3 * A, 3 * B),
        (np.linalg.inv(A), np.linalg.inv(B)),
    ]
    for X, Y in same:
        np.testing.assert_allclose(spd.distance(X, Y, **METRIC), distance, rtol=1e-9, atol=1e-11)
    powers = spd.distance(spd.powm(A, 0.3), spd.powm(B, 0.3), **METRIC)
    np.testing.assert_allclose(powers, 0.3 * distance, rtol=1e-9, atol=1e-11)


def test_agrees_with_the_affine_invariant_one_for_commuting_matrices(from_eigenvalues, rng):
    a, b = np.exp(rng.standard_normal((2, 4)))
    Q = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    A, B = (Q * a) @ Q.T, (Q * b) @ Q.T
    np.testing.assert_allclose(spd.distance(A, B, **METRIC), spd.distance(A, B), rtol=1e-12)
    np.testing.assert_allclose(spd.log(A, B, **METRIC), spd.log(A, B), atol=1e-12)

"""The log-Cholesky metric: flat in Cholesky factors."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from geometry import spd

METRIC = {"metric": "log_cholesky"}


def flat(A):
    L = np.linalg.cholesky(A)
    return np.tril(L, -1) + np.diag(np.log(np.diag(L).real))


def slope(A, V, step=1e-6):
    return (flat(A + step * V) - flat(A - step * V)) / (2 * step)


@given(n=st.integers(1, 5), seed=st.integers(0, 2**32), imaginary=st.booleans())
def test_formulas_with_factors(with_condition, hermitian, n, seed, imaginary):
    """Derivatives of the coordinates are central differences, good for eight digits here."""
    rng = np.random.default_rng(seed)
    A, B = with_condition(rng, n, 1, batch=(2,), complex_=imaginary)
    V, W = hermitian(rng, (2, n, n), imaginary) / 10
    distance = np.linalg.norm(flat(A) - flat(B))
    np.testing.assert_allclose(spd.distance(A, B, **METRIC), distance, rtol=1e-10)
    product = np.sum(slope(A, V).conj() * slope(A, W)).real
    np.testing.assert_allclose(spd.inner(A, V, W, **METRIC), product, rtol=1e-6, atol=1e-6)
    velocity = slope(A, spd.log(A, B, **METRIC) / 10) * 10
    np.testing.assert_allclose(velocity, flat(B) - flat(A), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(
        flat(spd.geodesic(A, B, 0.3, **METRIC)), 0.7 * flat(A) + 0.3 * flat(B), atol=1e-11
    )
    np.testing.assert_allclose(
        flat(spd.exp(A, V, **METRIC)), flat(A) + slope(A, V), rtol=1e-5, atol=1e-6
    )
    moved = spd.parallel_transport(V, A, B, **METRIC)
    np.testing.assert_allclose(slope(B, moved), slope(A, V), rtol=1e-5, atol=1e-6)


def test_invariant_under_positive_diagonals_from_the_right_of_the_factor(with_condition, rng):
    """Diagonal parts of distances do not change when both factors' columns are scaled alike."""
    a, b = np.exp(rng.standard_normal((2, 4)))
    scale = np.exp(rng.standard_normal(4))
    np.testing.assert_allclose(
        spd.distance(np.diag(a), np.diag(b), **METRIC),
        spd.distance(np.diag(scale * a), np.diag(scale * b), **METRIC),
        rtol=1e-13,
    )


def test_determinant_along_a_geodesic_is_geometric(with_condition, rng):
    """So nothing swells between two matrices of the same determinant."""
    A, B = with_condition(rng, 4, 2, batch=(2,))
    t = np.linspace(0, 1, 5)
    logs = np.linalg.slogdet(spd.geodesic(A, B, t, **METRIC))[1]
    ends = np.linalg.slogdet(A)[1], np.linalg.slogdet(B)[1]
    np.testing.assert_allclose(logs, (1 - t) * ends[0] + t * ends[1], rtol=1e-12)


def test_small_changes_of_the_diagonal_keep_their_digits():
    A = np.diag([3.0, 5.0])
    B = A * (1 + 2.0**-40)
    np.testing.assert_allclose(spd.distance(A, B, **METRIC), np.sqrt(2) * 2.0**-41, rtol=1e-3)

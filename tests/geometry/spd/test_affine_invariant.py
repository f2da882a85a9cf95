"""The affine-invariant metric: its invariances, other formulas for it, and sixty digits."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

from geometry import spd


def test_formulas_with_square_roots(with_condition, hermitian, rng):
    A, B = with_condition(rng, 4, 1, batch=(2,))
    V, W = hermitian(rng, (2, 4, 4), False)
    root = scipy.linalg.sqrtm(A)
    inverse = np.linalg.inv(root)
    middle = inverse @ B @ inverse
    near = {"rtol": 1e-10, "atol": 1e-11}
    log = root @ scipy.linalg.logm(middle) @ root
    np.testing.assert_allclose(spd.log(A, B), log, **near)
    np.testing.assert_allclose(
        spd.exp(A, V), root @ scipy.linalg.expm(inverse @ V @ inverse) @ root, **near
    )
    power = scipy.linalg.fractional_matrix_power(middle, 0.3)
    np.testing.assert_allclose(spd.geodesic(A, B, 0.3), root @ power @ root, **near)
    E = scipy.linalg.sqrtm(B @ np.linalg.inv(A))
    np.testing.assert_allclose(spd.parallel_transport(V, A, B), E @ V @ E.T, **near)
    product = np.trace(np.linalg.solve(A, V) @ np.linalg.solve(A, W))
    np.testing.assert_allclose(spd.inner(A, V, W), product, **near)


@given(n=st.integers(1, 6), seed=st.integers(0, 2**32), imaginary=st.booleans())
def test_invariant_under_congruence_and_inversion(with_condition, n, seed, imaginary):
    rng = np.random.default_rng(seed)
    A, B = with_condition(rng, n, 2, batch=(2,), complex_=imaginary)
    G = (
        np.eye(n)
        + rng.standard_normal((n, n)) / 4
        + (1j * rng.standard_normal() if imaginary else 0)
    )
    scale = np.linalg.cond(G) ** 2
    distance = spd.distance(A, B)
    moved = spd.distance(G @ A @ np.conj(G.T), G @ B @ np.conj(G.T))
    np.testing.assert_allclose(moved, distance, rtol=1e-10 * scale)
    inverted = spd.distance(np.linalg.inv(A), np.linalg.inv(B))
    np.testing.assert_allclose(inverted, distance, rtol=1e-10)
    np.testing.assert_allclose(spd.distance(7 * A, 7 * B), distance, rtol=1e-12)


@pytest.mark.parametrize("digits", [2, 6, 10])
@pytest.mark.parametrize("apart", [None, 1e-4, 1e-7, 1e-10])
def test_distance_in_sixty_digits(digits, apart, with_condition, hermitian, rng):
    """The error is relative whatever the distance, and what rounding A and B makes of it: the
    rounding unit times the condition number."""
    A, B = with_condition(rng, 6, digits, batch=(2,))
    if apart is not None:
        L = np.linalg.cholesky(A)
        B = A + apart * L @ hermitian(rng, (6, 6), False) @ L.T
        B = (B + B.T) / 2
    with mpmath.workdps(60):
        inverse = mpmath.inverse(mpmath.cholesky(mpmath.matrix(A.tolist())))
        ratios = mpmath.eigsy(inverse * mpmath.matrix(B.tolist()) * inverse.T, eigvals_only=True)
        exact = mpmath.sqrt(sum(mpmath.log(ratio) ** 2 for ratio in ratios))
        assert abs(float(spd.distance(A, B) / exact - 1)) < 1e-16 * 10 ** (digits + 2)


@pytest.mark.parametrize("digits", [2, 8])
def test_logarithm_of_a_near_matrix_in_sixty_digits(
    digits, with_condition, hermitian, exactly, relative_error, rng
):
    A = with_condition(rng, 5, digits)
    L = np.linalg.cholesky(A)
    B = A + 1e-9 * L @ hermitian(rng, (5, 5), False) @ L.T
    B = (B + B.T) / 2
    with mpmath.workdps(60):
        root = exactly(A, mpmath.sqrt)
        inverse = exactly(A, lambda x: 1 / mpmath.sqrt(x))
        exact = root * exactly(inverse * mpmath.matrix(B.tolist()) * inverse, mpmath.log) * root
    assert relative_error(spd.log(A, B), exact) < 1e-15 * 10 ** (digits / 2 + 1)


def test_near_and_far_pairs_side_by_side(xp, with_condition, rng):
    """A batch takes both formulas, and they meet where one gives way to the other."""
    A = with_condition(rng, 4, 1)
    factors = np.array([0.0, 1e-9, 0.2, 0.2499999, 0.2500001, 0.3, 5.0])
    B = A * (1 + factors[:, None, None])
    expected = 2 * np.log1p(factors)
    got = xp.numpy(spd.distance(xp.asarray(A), xp.asarray(B)))
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-6 if xp.single else 1e-15)

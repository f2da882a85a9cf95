"""Kronecker products: against dense products, and identities between the verbs."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse.linalg import lsqr

from numerics import kronecker_logdet, kronecker_matvec, kronecker_operator, kronecker_solve

shapes = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=4)


def dense(factors):
    return functools.reduce(np.kron, factors)


def positive(rng, n):
    A = rng.standard_normal((n, n))
    return A @ A.T + n * np.eye(n)


@given(shapes, st.booleans(), st.integers(0, 2**32 - 1))
def test_product_is_that_of_the_dense_matrix(sizes, is_complex, seed):
    rng = np.random.default_rng(seed)
    factors = [rng.standard_normal(size) for size in sizes]
    if is_complex:
        factors[0] = factors[0] + 1j * rng.standard_normal(sizes[0])
    U = rng.standard_normal((2, *(n for _, n in sizes)))
    product = kronecker_matvec(factors, U)
    assert product.shape == (2, *(m for m, _ in sizes))
    expected = U.reshape(2, -1) @ dense(factors).T
    np.testing.assert_allclose(product.reshape(2, -1), expected, rtol=1e-12, atol=1e-12)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=3), st.integers(0, 2**32 - 1))
def test_solution_undoes_the_product(sizes, seed):
    rng = np.random.default_rng(seed)
    factors = [positive(rng, n) for n in sizes]
    U = rng.standard_normal((3, *sizes))
    for structure in ("gen", "pos"):
        X = kronecker_solve(factors, kronecker_matvec(factors, U), assume_a=structure)
        # The condition of each factor is below 100 or so.
        np.testing.assert_allclose(X, U, rtol=1e-9, atol=1e-9)
        expected = np.linalg.slogdet(dense(factors))[1]
        np.testing.assert_allclose(
            kronecker_logdet(factors, assume_a=structure), expected, rtol=1e-12, atol=1e-12
        )


def test_logdet_holds_where_eigenvalues_of_the_product_are_tiny():
    # Eigenvalues down to 1e-24: a floor of 1e-7 under them would give a third of this.
    eigenvalues = np.logspace(-12, 0, 25)
    factor = np.diag(eigenvalues)
    expected = 2 * 25 * np.log(eigenvalues).sum()
    assert kronecker_logdet([factor, factor], assume_a="pos") == pytest.approx(expected, rel=1e-13)
    assert kronecker_logdet([np.zeros((2, 2)), factor]) == -np.inf


def test_kinds_agree(xp, rng):
    factors, U = [positive(rng, 3), positive(rng, 4)], rng.standard_normal((2, 3, 4))
    given = [xp.asarray(C) for C in factors]
    close = functools.partial(np.testing.assert_allclose, rtol=xp.tol, atol=xp.tol)
    close(xp.numpy(kronecker_matvec(given, xp.asarray(U))), kronecker_matvec(factors, U))
    for structure in ("gen", "pos"):
        solved = kronecker_solve(given, xp.asarray(U), assume_a=structure)
        close(xp.numpy(solved), kronecker_solve(factors, U))
        close(xp.numpy(kronecker_logdet(given, assume_a=structure)), kronecker_logdet(factors))


def test_strided_arrays(rng):
    C1, C2, U = positive(rng, 6), positive(rng, 5), rng.standard_normal((5, 6, 2)).T[1]
    strided = np.repeat(C1, 2, axis=1)[:, ::2]
    np.testing.assert_array_equal(
        kronecker_matvec([strided, C2.T], U), kronecker_matvec([C1, C2], U.copy())
    )


def test_gradients(rng):
    torch = pytest.importorskip("torch")
    leaves = [
        torch.tensor(x, requires_grad=True)
        for x in (positive(rng, 3), positive(rng, 2), rng.standard_normal((3, 2)))
    ]

    def symmetric(A):
        return (A + A.mT) / 2

    for call in (
        lambda A, B, U: kronecker_matvec([A, B], U),
        lambda A, B, U: kronecker_solve([A, B], U),
        lambda A, B, U: kronecker_solve([symmetric(A), symmetric(B)], U, assume_a="pos"),
        lambda A, B, U: kronecker_logdet([symmetric(A), symmetric(B)], assume_a="pos"),
        lambda A, B, U: kronecker_logdet([A, B]),
    ):
        assert torch.autograd.gradcheck(call, leaves)


def test_operator_and_its_adjoint(rng):
    factors = [rng.standard_normal((4, 3)) + 1j, rng.standard_normal((5, 2))]
    operator, matrix = kronecker_operator(factors), dense(factors)
    X, Y = rng.standard_normal((6, 3)), rng.standard_normal((20, 3))
    np.testing.assert_allclose(operator @ X, matrix @ X, atol=1e-13)
    np.testing.assert_allclose(operator @ X[:, 0], matrix @ X[:, 0], atol=1e-13)
    np.testing.assert_allclose(operator.H @ Y, matrix.conj().T @ Y, atol=1e-13)
    x = lsqr(operator, matrix @ X[:, 0], atol=1e-14, btol=1e-14)[0]
    np.testing.assert_allclose(x, X[:, 0], atol=1e-9)


EYE = np.eye(2)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: kronecker_matvec([], EYE), ValueError, "factors"),
        (lambda: kronecker_matvec(EYE, EYE), ValueError, "factors"),
        (lambda: kronecker_matvec([EYE, np.ones(2)], EYE), ValueError, r"factors\[1\]"),
        (lambda: kronecker_matvec([EYE, np.ones((2, 0))], EYE), ValueError, r"factors\[1\]"),
        (lambda: kronecker_matvec([EYE, EYE], np.ones((2, 3))), ValueError, "U must"),
        (lambda: kronecker_matvec([EYE, EYE * np.nan], EYE), ValueError, r"factors\[1\]"),
        (lambda: kronecker_matvec([EYE, EYE], [["a"]]), TypeError, "U must"),
        (lambda: kronecker_solve([np.ones((2, 3))], np.ones(3)), ValueError, r"factors\[0\]"),
        (lambda: kronecker_solve([EYE, EYE], EYE, assume_a="sym"), ValueError, "assume_a"),
        (lambda: kronecker_logdet([EYE], assume_a="spd"), ValueError, "assume_a"),
        (
            lambda: kronecker_solve([-EYE], np.ones(2), assume_a="pos"),
            np.linalg.LinAlgError,
            "positive",
        ),
        (lambda: kronecker_logdet([-EYE], assume_a="pos"), np.linalg.LinAlgError, "positive"),
        (lambda: kronecker_solve([0 * EYE], np.ones(2)), np.linalg.LinAlgError, "ingular"),
    ],
)
def test_bad_input(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_operator_refuses_tensors():
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match="factors"):
        kronecker_operator([torch.eye(2)])

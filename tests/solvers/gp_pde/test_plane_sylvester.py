"""Operators on tensors, against Kronecker products that are formed and SciPy's Sylvester solver."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

from numerics.kronecker import along
from solvers.gp_pde._sylvester import SeparableOperator, krylov

EPS = np.finfo(np.float64).eps


def separable(terms, sizes, seed, lengths=None, symmetric=False):
    rng = np.random.default_rng(seed)
    derivatives = []
    for axis, n in enumerate(sizes):
        per = {}
        for order in {orders[axis] for _, orders in terms} - {0}:
            M = rng.standard_normal((n, n))
            # Eigenvalues near -3 order keep the sums of terms away from zero.
            per[order] = (M + M.T if symmetric else M) / (4 * np.sqrt(n)) - 3.0 * order * np.eye(n)
        derivatives.append(per)
    return SeparableOperator(terms, derivatives, sizes, lengths or (1.0,) * len(sizes))


def dense(operator):
    total = 0.0
    for c, orders in operator.terms:
        product = np.ones((1, 1))
        for per, order, n in zip(operator.derivatives, orders, operator.sizes, strict=True):
            product = np.kron(product, per[order] if order else np.eye(n))
        total = total + c * product
    return total


TERMS = {
    "laplace": [(1.0, (2, 0)), (1.0, (0, 2))],
    "one matrix an axis": [(2.0, (1, 0)), (1.0, (0, 1)), (0.5, (1, 1)), (1.0, (0, 0))],
    "two orders in one matrix": [(1.0, (2, 0)), (0.3, (1, 0)), (1.0, (0, 2))],
    "needs iterations": [(1.0, (2, 0)), (1.0, (0, 2)), (0.3, (1, 1)), (0.2, (1, 0))],
    "three axes": [(1.0, (2, 0, 0)), (1.0, (0, 2, 0)), (3.0, (0, 0, 2)), (0.1, (0, 0, 0))],
}


@given(st.integers(0, 2**32 - 1))
def test_products_along_axes_are_kronecker_products(seed):
    rng = np.random.default_rng(seed)
    sizes, rows = rng.integers(1, 5, 3), rng.integers(1, 5, 3)
    matrices = [rng.standard_normal((m, n)) for m, n in zip(rows, sizes, strict=True)]
    tensor = rng.standard_normal((2, *sizes))
    product = along(tensor, matrices)
    full = np.kron(np.kron(matrices[0], matrices[1]), matrices[2])
    np.testing.assert_allclose(product.reshape(2, -1), tensor.reshape(2, -1) @ full.T, atol=1e-13)
    np.testing.assert_array_equal(along(tensor, [None] * 3), tensor)


@pytest.mark.parametrize("name", TERMS)
def test_solutions_are_those_of_the_dense_matrix(name):
    terms = TERMS[name]
    sizes = (5, 6, 4)[: len(terms[0][1])]
    operator = separable(terms, sizes, seed=len(name))
    A = dense(operator)
    right = np.random.default_rng(1).standard_normal(sizes)
    # Condition numbers are below 100: rounding and the tolerance of GMRES stay below 1e-10.
    for apply, solve, matrix in (
        (operator, operator.solve, A),
        (operator.adjoint, operator.solve_adjoint, A.T),
    ):
        np.testing.assert_allclose(apply(right).ravel(), matrix @ right.ravel(), rtol=1e-12)
        solution, iterations, converged = solve(right)
        expected = np.linalg.solve(matrix, right.ravel())
        np.testing.assert_allclose(solution.ravel(), expected, rtol=1e-9, atol=1e-11)
        assert converged
        assert (iterations > 0) == (name == "needs iterations") != operator.inverse.complete


@pytest.mark.parametrize("symmetric", [False, True])
def test_two_axes_solve_scipys_sylvester_equation(symmetric):
    operator = separable(TERMS["laplace"], (9, 7), seed=3, symmetric=symmetric)
    right = np.random.default_rng(2).standard_normal((9, 7))
    (A,), (B,) = (per.values() for per in operator.derivatives)
    expected = scipy.linalg.solve_sylvester(A, B.T, right)
    np.testing.assert_allclose(operator.solve(right)[0], expected, rtol=1e-10, atol=1e-12)
    assert operator.inverse.symmetric == symmetric


def test_refinement_mends_eigenvectors_that_are_far_from_orthogonal():
    n = 8
    # Differences to the left: a triangular matrix whose eigenvectors all but coincide.
    D = np.diag(1.0 + 0.1 * np.arange(n)) - np.diag(np.ones(n - 1), -1)
    operator = SeparableOperator([(1.0, (1, 0)), (1.0, (0, 1))], [{1: D}, {1: D}], (n, n), (1, 1))
    assert 1e5 < np.linalg.cond(operator.inverse.vectors[0]) < 1e8
    right = np.random.default_rng(0).standard_normal((n, n))
    solution, _, converged = operator.solve(right)
    once = operator.inverse(right)
    assert np.linalg.norm(operator(once) - right) > 1e3 * np.linalg.norm(operator(solution) - right)
    expected = scipy.linalg.solve_sylvester(D, D.T, right)
    assert converged
    np.testing.assert_allclose(solution, expected, rtol=1e-8, atol=1e-8 * np.abs(expected).max())


def test_null_directions_are_found_and_left_at_zero():
    n = 8
    D2 = -np.diag(np.r_[0.0, np.arange(1.0, n) ** 2])
    operator = SeparableOperator(TERMS["laplace"], [{2: D2}, {2: D2}], (n, n), (6.0, 6.0))
    assert operator.inverse.null.sum() == 1
    right = np.random.default_rng(0).standard_normal((n, n))
    solution, _, converged = operator.solve(right)
    assert not converged
    assert solution[0, 0] == 0.0
    rest = operator(solution) - right
    np.testing.assert_allclose(rest.ravel()[1:], 0.0, atol=1e-13)


def test_krylov_counts_and_judges_itself():
    rng = np.random.default_rng(0)
    A = np.eye(30) + 0.1 * rng.standard_normal((30, 30)) / np.sqrt(30)
    right = rng.standard_normal((5, 6))

    def product(x):
        return (A @ x.ravel()).reshape(5, 6)

    x, iterations, converged = krylov(product, lambda v: v, right, 1e-12)
    np.testing.assert_allclose(x.ravel(), np.linalg.solve(A, right.ravel()), rtol=1e-9, atol=1e-11)
    assert converged
    assert 5 < iterations < 30
    assert not krylov(product, lambda v: 0 * v, right, 1e-12)[2]

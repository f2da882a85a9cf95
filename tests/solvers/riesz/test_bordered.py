from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numerics import bspline_collocation_matrix
from solvers.riesz.bordered import BorderedSolver
from solvers.riesz.collocation import RieszCollocation


def dense(A, kappa, b, c):
    H = bspline_collocation_matrix(A.n, A.p, 1).toarray()
    M = bspline_collocation_matrix(A.n, A.p).toarray()
    return kappa * A.todense() + b * H + c * M


# Both sides of the order from which on the structure is used, with and without advection,
# and with a negative reaction, for which the Toeplitz block is indefinite.
SYSTEMS = [
    (1, 2, 1.5, 1.0, 0.0, 0.0),
    (2, 6, 1.3, 2.0, 1.0, 1.0),
    (60, 4, 1.5, 1.0, 3.0, 2.0),
    (129, 2, 1.5, 1.0, 0.0, 0.0),
    (200, 3, 1.2, 0.3, 0.0, 5.0),
    (300, 6, 1.8, 7.0, 0.0, 0.0),
    (150, 8, 1.5, 1.0, 0.0, 0.0),
    (150, 10, 1.7, 1.0, -2.0, 1.0),
    (300, 4, 1.5, 1.0, 2.0, 5.0),
    (300, 5, 1.2, 1.0, 80.0, 0.0),
    (200, 3, 1.5, 1.0, 0.0, -20.0),
    (200, 4, 1.5, 1e-4, 0.0, 1.0),
]


@pytest.mark.parametrize(("n", "p", "alpha", "kappa", "b", "c"), SYSTEMS)
def test_against_lapack(n, p, alpha, kappa, b, c, rng):
    A = RieszCollocation(n, p, alpha)
    K = dense(A, kappa, b, c)
    solver = BorderedSolver(A, kappa=kappa, b=b, c=c)
    x = rng.standard_normal((A.shape[0], 2))
    size = np.abs(K).sum(axis=1).max()
    np.testing.assert_allclose(solver.matvec(x), K @ x, atol=1e-14 * size)
    np.testing.assert_allclose(solver.rmatvec(x), K.T @ x, atol=1e-14 * size)
    # The condition number is at most 2e5, of which LAPACK loses as much.
    np.testing.assert_allclose(solver.solve(K @ x), x, atol=1e-11)
    np.testing.assert_allclose(solver.solve(K @ x[:, 0]), x[:, 0], atol=1e-11)
    np.testing.assert_allclose(solver.solve_transposed(K.T @ x), x, atol=1e-11)


@settings(max_examples=10)
@given(
    n=st.integers(1, 400),
    p=st.integers(2, 8),
    alpha=st.floats(1.05, 1.95),
    c=st.floats(0, 100),
    seed=st.integers(0, 2**32),
)
def test_solution_returns_what_the_product_was_of(n, p, alpha, c, seed):
    solver = BorderedSolver(RieszCollocation(n, p, alpha), c=c)
    x = np.random.default_rng(seed).standard_normal(n + p - 2)
    np.testing.assert_allclose(solver.solve(solver.matvec(x)), x, atol=1e-11)


@pytest.mark.parametrize("p", [2, 3, 6, 8])
def test_large_system(p):
    """Refined, the solution of a smooth system is right to the last digits; iterations stay few."""
    A = RieszCollocation(4096, p, 1.5)
    solver = BorderedSolver(A)
    t = np.linspace(0, 1, A.shape[0])
    x = t**2 * (1 - t) + np.sin(9 * t)
    np.testing.assert_allclose(solver.solve(A.matvec(x)), x, atol=1e-12)
    assert solver.iterations <= 15


def test_the_matrix_solves_by_this(rng):
    A = RieszCollocation(300, 4, 1.5)
    x = rng.standard_normal(A.shape[0])
    np.testing.assert_allclose(A.solve(A.matvec(x)), x, atol=1e-11)


def test_kinds(xp, rng):
    A = RieszCollocation(200, 3, 1.2)
    x = rng.standard_normal((A.shape[0], 2))
    got = xp.numpy(BorderedSolver(A).solve(xp.asarray(A.matvec(x))))
    # eps n^alpha times the size of x.
    np.testing.assert_allclose(got, x, atol=A.scale * xp.tol)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda A: BorderedSolver(A, kappa=0), ValueError, "kappa must be positive"),
        (lambda A: BorderedSolver(A, b="1"), TypeError, "b must be a real number"),
        (lambda A: BorderedSolver(A, c=np.nan), ValueError, "c must be finite"),
        (lambda A: BorderedSolver(A).solve(np.ones(9)), ValueError, r"f must have shape \(11,\)"),
        (lambda A: BorderedSolver(A).solve(np.ones((11, 1, 1))), ValueError, "f must have shape"),
        (lambda A: BorderedSolver(A).solve(np.full(11, np.inf)), ValueError, "f must be finite"),
        (lambda A: BorderedSolver(A).solve(np.ones(11) * 1j), TypeError, "f must be real"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call(RieszCollocation(10, 3, 1.5))


def test_single_precision_is_refused_where_nothing_is_left_of_it():
    A = RieszCollocation(4096, 3, 1.9)
    with pytest.raises(ValueError, match=r"f must be double precision.*eps n\^alpha"):
        BorderedSolver(A).solve(np.ones(A.shape[0], np.float32))

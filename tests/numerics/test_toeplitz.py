from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse.linalg import LinearOperator

from numerics import (
    ConvergenceWarning,
    circulant_preconditioner,
    gohberg_semencul,
    tau_eigenvalues,
    tau_preconditioner,
    toeplitz_matvec,
    toeplitz_operator,
    toeplitz_solve,
)
from numerics.toeplitz import conjugate_gradients

METHODS = ("levinson", "pcg", "gohberg-semencul")


def fractional(N: int, alpha: float = 1.5) -> np.ndarray:
    """Coefficients of the symbol (2 sin(theta/2))^alpha: ill-conditioned as those of use are."""
    k = np.arange(1, N)
    c = np.cumprod(np.concatenate(([1.0], (k - 1 - alpha / 2) / (k + alpha / 2))))
    return c


def dense(c: np.ndarray, row: np.ndarray | None = None) -> np.ndarray:
    return scipy.linalg.toeplitz(c, c if row is None else row)


@given(N=st.integers(1, 200), k=st.integers(0, 3), seed=st.integers(0, 2**32))
def test_product_is_the_dense_one(N, k, seed):
    rng = np.random.default_rng(seed)
    c, row = rng.standard_normal((2, N))
    x = rng.standard_normal((N, k) if k else N)
    row[0] = np.pi  # which nobody looks at
    for r in (None, row):
        T = dense(c, r)
        # Normwise: an FFT spreads its rounding error over all entries.
        scale = np.linalg.norm(np.abs(T) @ np.abs(x)) + 1e-300
        assert np.linalg.norm(toeplitz_matvec(c, x, row=r) - T @ x) <= 1e-14 * scale
        operator = toeplitz_operator(c, row=r)
        assert np.linalg.norm(operator @ x - T @ x) <= 1e-14 * scale
        assert np.linalg.norm(operator.T @ x - T.T @ x) <= 1e-14 * scale


@given(N=st.integers(1, 90), k=st.integers(0, 3), seed=st.integers(0, 2**32))
def test_solution_has_a_small_residual(N, k, seed):
    """Diagonally dominant, so that every method is backward stable."""
    rng = np.random.default_rng(seed)
    c = rng.standard_normal(N) / N
    c[0] = 2.5
    b = rng.standard_normal((N, k) if k else N)
    for method in METHODS:
        x = toeplitz_solve(c, b, method=method)
        assert x.shape == b.shape
        assert np.abs(dense(c) @ x - b).max() <= 1e-13 * np.abs(b).max()


@pytest.mark.parametrize("alpha", [1.1, 1.5, 1.9])
@pytest.mark.parametrize("method", METHODS)
def test_solution_returns_what_the_product_was_of(method, alpha):
    """Condition numbers up to 3e5 at N = 700, of which smooth x feel little."""
    N = 700
    c = fractional(N, alpha)
    s = np.linspace(0, 1, N + 2)[1:-1]
    x = np.stack((s * (1 - s), np.sin(3 * np.pi * s) ** 2), axis=-1)
    got = toeplitz_solve(c, toeplitz_matvec(c, x), method=method)
    np.testing.assert_allclose(got, x, atol=1e-11)


def test_choice_of_method_does_not_show():
    c = fractional(600)
    b = np.random.default_rng(1).standard_normal((600, 2))
    reference = np.linalg.solve(dense(c), b)
    for rhs, exact in ((b, reference), (b[:, 0], reference[:, 0])):
        np.testing.assert_allclose(toeplitz_solve(c, rhs), exact, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(toeplitz_solve(c[:9], b[:9]), np.linalg.solve(dense(c[:9]), b[:9]))
    assert toeplitz_solve(c, np.zeros((600, 0))).shape == (600, 0)
    np.testing.assert_array_equal(toeplitz_solve(c, np.zeros(600)), np.zeros(600))


@pytest.mark.parametrize("N", [300, 4096])
def test_iterations_do_not_grow(N):
    c = fractional(N)
    b = np.zeros(N)
    b[0] = 1
    x, iterations = conjugate_gradients(c, toeplitz_operator(c), b)
    assert iterations <= 15
    assert np.linalg.norm(toeplitz_matvec(c, x) - b) < 1e-13


@given(N=st.integers(1, 60), seed=st.integers(0, 2**32))
def test_inverse_from_two_columns(N, seed):
    rng = np.random.default_rng(seed)
    c, row = rng.standard_normal((2, N)) / N
    c[0] = row[0] = 2.5
    for r in (None, row):
        T = dense(c, r)
        exact = np.linalg.inv(T)
        inverse = gohberg_semencul(exact[:, 0], last=None if r is None else exact[:, -1])
        assert isinstance(inverse, LinearOperator)
        np.testing.assert_allclose(inverse @ np.eye(N), exact, atol=1e-13)
        np.testing.assert_allclose(inverse.T @ np.eye(N), exact.T, atol=1e-13)
        np.testing.assert_allclose(inverse @ c, exact @ c, atol=1e-13)


@given(N=st.integers(1, 40), seed=st.integers(0, 2**32))
def test_tau_matrix(N, seed):
    """It is T less the Hankel matrix of the coefficients from the third on."""
    c = np.random.default_rng(seed).standard_normal(N) / N
    c[0] = 5
    corner = np.concatenate((c[2:], np.zeros(2)))[:N]
    tau = dense(c) - scipy.linalg.hankel(corner) - scipy.linalg.hankel(corner)[::-1, ::-1]
    theta = np.pi * np.arange(1, N + 1) / (N + 1)
    sines = np.sqrt(2 / (N + 1)) * np.sin(np.outer(np.arange(1, N + 1), theta))
    eigenvalues = tau_eigenvalues(c)
    np.testing.assert_allclose(sines * eigenvalues @ sines, tau, atol=1e-13)
    np.testing.assert_allclose(tau_preconditioner(c) @ tau, np.eye(N), atol=1e-13)
    np.testing.assert_allclose(tau_preconditioner(c).T @ tau[:, 0], np.eye(N)[0], atol=1e-13)


@pytest.mark.parametrize("N", [1, 2, 3, 8, 9])
def test_strang_circulant(N, rng):
    c, row = rng.standard_normal((2, N)) / N
    c[0] = row[0] = 4
    inverse = np.linalg.inv(circulant_preconditioner(c, row=row) @ np.eye(N))
    np.testing.assert_allclose(inverse, scipy.linalg.circulant(inverse[:, 0]), atol=1e-14)
    central = (N - 1) // 2
    np.testing.assert_allclose(inverse[: central + 1, 0], c[: central + 1])
    np.testing.assert_allclose(inverse[0, : central + 1], row[: central + 1])
    adjoint = circulant_preconditioner(c, row=row).T
    np.testing.assert_allclose(adjoint @ inverse.T, np.eye(N), atol=1e-14)


def test_spectrum_clusters():
    """Few eigenvalues of the preconditioned matrix are far from 1, whatever the preconditioner."""
    T = dense(fractional(256))
    tau = np.linalg.eigvals(tau_preconditioner(T[0]) @ T)
    circulant = np.linalg.eigvals(circulant_preconditioner(T[0]) @ T)
    longer = [
        np.linalg.eigvals(P(T[0], exact=False) @ T)
        for P in (tau_preconditioner, circulant_preconditioner)
    ]
    for eigenvalues in (tau, circulant, *longer):
        assert np.sum(np.abs(eigenvalues - 1) > 0.1) <= 6
        assert np.all(np.abs(eigenvalues - 1) < 50)
    assert np.all(np.abs(tau - 1) < 0.5)


def test_kinds(xp, rng):
    c = fractional(40)
    row = c * np.cos(np.arange(40))
    x = rng.standard_normal((40, 2))
    wide = np.zeros((40, 4))
    wide[:, ::2] = x
    for data in (xp.asarray(x), xp.asarray(wide)[:, ::2]):
        got = xp.numpy(toeplitz_matvec(xp.asarray(c), data, row=xp.asarray(row)))
        np.testing.assert_allclose(got, dense(c, row) @ x, atol=xp.tol)
        exact = np.linalg.solve(dense(c), x)
        for method in METHODS:
            got = xp.numpy(toeplitz_solve(xp.asarray(c), data, method=method))
            # The condition number is 120.
            np.testing.assert_allclose(got, exact, atol=100 * xp.tol)
    got = xp.numpy(tau_eigenvalues(xp.asarray(c)))
    np.testing.assert_allclose(got, tau_eigenvalues(c), atol=xp.tol)


def test_gradients(rng):
    torch = pytest.importorskip("torch")
    c = torch.tensor(fractional(9), requires_grad=True)
    row = torch.tensor(rng.standard_normal(9), requires_grad=True)
    x = torch.tensor(rng.standard_normal((9, 2)), requires_grad=True)
    check = torch.autograd.gradcheck
    assert check(lambda c, row, x: toeplitz_matvec(c, x, row=row), (c, row, x))
    assert check(tau_eigenvalues, (c,))
    for method in METHODS:
        assert check(lambda c, x, m=method: toeplitz_solve(c, x, method=m), (c, x))
        assert check(lambda c, x, m=method: toeplitz_solve(c, x[:, 0], method=m), (c, x))
    assert torch.autograd.gradgradcheck(toeplitz_solve, (c, x))


def test_inputs_are_left_alone():
    c, x = fractional(8), np.ones(8)
    before = c.copy(), x.copy()
    for method in METHODS:
        toeplitz_solve(c, x, method=method)
    np.testing.assert_array_equal((c, x), before)


def test_a_singular_matrix_is_not_solved_in_silence():
    with pytest.warns(ConvergenceWarning, match="positive definite"):
        toeplitz_solve(np.ones(40), np.arange(40.0), method="pcg")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: toeplitz_matvec(np.ones(3) * 1j, np.ones(3)), TypeError, "c must be real"),
        (lambda: toeplitz_matvec(np.ones(3), np.ones(3) * 1j), TypeError, "x must be real"),
        (lambda: toeplitz_matvec(np.ones((3, 3)), np.ones(3)), ValueError, "c must have shape"),
        (lambda: toeplitz_matvec(np.ones(3), np.ones(4)), ValueError, r"x must have shape \(3,\)"),
        (lambda: toeplitz_matvec(np.ones(3), np.ones((3, 1, 1))), ValueError, "x must have shape"),
        (lambda: toeplitz_matvec(np.ones(3), np.ones(3), row=np.ones(2)), ValueError, "row must"),
        (lambda: toeplitz_matvec(np.ones(0), np.ones(0)), ValueError, "c must have shape"),
        (lambda: toeplitz_solve(np.ones(3), np.ones(4)), ValueError, "b must have shape"),
        (lambda: toeplitz_solve(np.ones(3), [1, np.nan, 0]), ValueError, "b must be finite"),
        (lambda: toeplitz_solve(np.ones(3), np.ones(3), method="lu"), ValueError, "method must"),
        (lambda: gohberg_semencul(np.zeros(3)), ValueError, "x must have a first entry"),
        (lambda: gohberg_semencul(np.ones(3), last=np.ones(2)), ValueError, "last must have"),
        (lambda: toeplitz_operator(np.ones(3), row=np.ones(2)), ValueError, "row must have"),
        (lambda: tau_eigenvalues(np.ones((2, 2))), ValueError, "c must have shape"),
        (lambda: tau_preconditioner([1.0, 4.0, 0.0]), ValueError, "c must have positive tau"),
        (lambda: circulant_preconditioner(np.ones(3)), ValueError, "c must have a regular"),
        (lambda: tau_preconditioner(["a"]), TypeError, "c must hold"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_operators_refuse_tensors():
    torch = pytest.importorskip("torch")
    for make in (toeplitz_operator, gohberg_semencul, tau_preconditioner, circulant_preconditioner):
        with pytest.raises(TypeError, match="must be NumPy"):
            make(torch.ones(3))

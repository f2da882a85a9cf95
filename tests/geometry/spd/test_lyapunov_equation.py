"""Lyapunov equations: residuals, SciPy, gradients."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

from geometry import spd

torch = pytest.importorskip("torch")


@given(
    n=st.integers(1, 6), digits=st.floats(0, 8), seed=st.integers(0, 2**32), imaginary=st.booleans()
)
def test_equation_holds(with_condition, hermitian, n, digits, seed, imaginary):
    rng = np.random.default_rng(seed)
    P = with_condition(rng, n, digits, complex_=imaginary)
    M = with_condition(rng, n, 1, batch=(3, 1), complex_=imaginary)
    V = hermitian(rng, (2, n, n), imaginary)
    V[1] += np.triu(V[1])  # a right-hand side need not be Hermitian
    for given_M, I_or_M in ((None, np.eye(n)), (M, M)):
        X = spd.lyapunov(P, V, given_M)
        residual = P @ X @ I_or_M + I_or_M @ X @ P - V
        # The backward error: the residual to what the terms are.
        assert np.abs(residual).max() <= 1e-13 * (np.abs(V).max() + 10 * np.abs(X).max())
    np.testing.assert_allclose(X[:, 0], np.conj(np.swapaxes(X[:, 0], -1, -2)), rtol=1e-7, atol=1e-6)


def test_agrees_with_scipy(xp, with_condition, hermitian, rng):
    P, V = with_condition(rng, 5, 1), hermitian(rng, (5, 5), False)
    exact = scipy.linalg.solve_continuous_lyapunov(P, V)
    got = xp.numpy(spd.lyapunov(xp.asarray(P), xp.asarray(V)))
    np.testing.assert_allclose(got, exact, atol=10 * xp.tol)
    assert spd.lyapunov(P[None][:0], V).shape == (0, 5, 5)


def test_root_has_the_derivative_that_solves_the_equation(with_condition, hermitian, rng):
    A, E = with_condition(rng, 4, 1), hermitian(rng, (4, 4), False)
    step = 1e-5
    difference = (spd.sqrtm(A + step * E) - spd.sqrtm(A - step * E)) / (2 * step)
    np.testing.assert_allclose(spd.lyapunov(spd.sqrtm(A), E), difference, atol=1e-7)


@pytest.mark.parametrize("imaginary", [False, True])
def test_gradients(imaginary, from_eigenvalues, rng):
    P = torch.tensor(from_eigenvalues(rng, [1, 1, 3], imaginary), requires_grad=True)
    M = torch.tensor(from_eigenvalues(rng, [0.5, 1, 1], imaginary), requires_grad=True)
    V = torch.tensor(rng.standard_normal((2, 3, 3)), dtype=P.dtype, requires_grad=True)

    def solve(P, V, M=None):
        return spd.lyapunov(P, V, M, check=False)

    assert torch.autograd.gradcheck(solve, (P, V))
    assert torch.autograd.gradcheck(solve, (P, V, M))
    assert torch.autograd.gradgradcheck(solve, (P, V), fast_mode=True)

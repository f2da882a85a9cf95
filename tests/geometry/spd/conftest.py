"""Random positive definite matrices, and the tangent vectors at them."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest


def _hermitian(rng, shape, complex_):
    X = rng.standard_normal(shape)
    if complex_:
        X = X + 1j * rng.standard_normal(shape)
    return (X + np.conj(np.swapaxes(X, -1, -2))) / 2


def _from_eigenvalues(rng, eigenvalues, complex_=False):
    w = np.asarray(eigenvalues, float)
    Q = np.linalg.qr(_hermitian(rng, (*w.shape, w.shape[-1]), complex_))[0]
    A = (Q * w[..., None, :]) @ np.conj(np.swapaxes(Q, -1, -2))
    return (A + np.conj(np.swapaxes(A, -1, -2))) / 2


def _with_condition(rng, n, digits, *, batch=(), complex_=False):
    w = np.broadcast_to(np.logspace(0, -digits, n), (*batch, n))
    return _from_eigenvalues(rng, w, complex_)


@pytest.fixture(scope="session")
def hermitian():
    """Random Hermitian matrices, a function of (rng, shape, complex_)."""
    return _hermitian


@pytest.fixture(scope="session")
def from_eigenvalues():
    """Positive definite matrices in a random basis, a function of (rng, eigenvalues, complex_)."""
    return _from_eigenvalues


@pytest.fixture(scope="session")
def with_condition():
    """Matrices with eigenvalues from 1 to 10^-digits, of (rng, n, digits, batch=, complex_=)."""
    return _with_condition


@pytest.fixture(scope="session")
def exactly():
    """A function of a real matrix by its eigenvalues in 60 digits, as an mpmath matrix."""

    def evaluate(A, function):
        with mpmath.workdps(60):
            w, U = mpmath.eigsy(A if isinstance(A, mpmath.matrix) else mpmath.matrix(A.tolist()))
            return U * mpmath.diag([function(x) for x in w]) * U.T

    return evaluate


@pytest.fixture(scope="session")
def relative_error():
    """Frobenius norm of the difference to an mpmath matrix, relative to that matrix."""

    def compare(X, exact):
        with mpmath.workdps(60):
            difference = mpmath.matrix(np.asarray(X).tolist()) - exact
            return float(mpmath.mnorm(difference, "f") / mpmath.mnorm(exact, "f"))

    return compare

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import eval_jacobi, poch, roots_jacobi

from numerics import bspline_collocation_matrix
from solvers import RieszCollocation, riesz_collocation_matrix, riesz_eigenvalues
from solvers.riesz import eigenvalues as module

REFERENCE = {
    1.2: (2.97971383, 8.01040326, 13.58147413),
    1.5: (4.51842236, 14.31116223, 27.13679468),
    1.8: (7.13410957, 26.12737067, 55.01842706),
}


def jacobi_eigenvalues(alpha, K):
    """Rayleigh-Ritz in weighted Jacobi polynomials: from above, algebraic of high order in K."""
    k, half = np.arange(K), alpha / 2
    norms = poch(k + 1, half) / poch(k + 1 + half, half) / (2 * k + 1 + alpha)
    t, w = roots_jacobi(K, alpha, alpha)
    table = eval_jacobi(k, half, half, t[:, None])
    mass = (table.T * w / 2 ** (2 * alpha + 1)) @ table
    return scipy.linalg.eigh(np.diag(poch(k + 1.0, alpha) * norms), mass, eigvals_only=True)


@pytest.mark.parametrize("alpha", REFERENCE)
def test_against_jacobi_polynomials(alpha):
    """The oracle agrees with the published digits; splines approach it at first order."""
    exact = jacobi_eigenvalues(alpha, 64)[:3]
    np.testing.assert_allclose(exact, REFERENCE[alpha], atol=6e-9)
    errors = []
    for n in (128, 256, 512):
        modes = riesz_eigenvalues(n, 3, alpha, 3)
        errors.append(np.abs(modes.eigenvalues - exact))
        assert np.all(errors[-1] <= modes.error_estimate)
        assert modes.singular_ends
        assert modes.converged
    assert np.all(errors[-1] <= 1e-4 * exact)


def test_figures():
    """alpha = 1.5, p = 3, n = 256, as an independent dense program gave them."""
    modes = riesz_eigenvalues(256, 3, 1.5, 3)
    np.testing.assert_allclose(modes.eigenvalues, [4.51842863, 14.31121996, 27.13704484], atol=6e-9)


@pytest.mark.parametrize("alpha", [1.1, 1.5, 1.9])
def test_asymptotics(alpha):
    """Kwasnicki's formula, whose remainder is below one over k here."""
    k = np.arange(1, 31)
    asymptotic = (k * np.pi - (2 - alpha) * np.pi / 4) ** alpha
    modes = riesz_eigenvalues(1000, 5, alpha, 30)
    assert np.all(np.abs(modes.eigenvalues - asymptotic)[4:] < 1 / k[4:] + 2e-3 * asymptotic[4:])


@given(n=st.integers(3, 30), p=st.integers(2, 6), alpha=st.floats(1.05, 1.95), data=st.data())
def test_pencil(n, p, alpha, data):
    """A v = mu M v, with eigenfunctions of norm one that alternate between even and odd."""
    k = data.draw(st.integers(1, min(4, n + p - 2)))
    modes = riesz_eigenvalues(n, p, alpha, k)
    A, M = riesz_collocation_matrix(n, p, alpha), bspline_collocation_matrix(n, p)
    np.testing.assert_allclose(
        A @ modes.coefficients,
        (M @ modes.coefficients) * modes.eigenvalues,
        atol=1e-12 * n**alpha * np.max(np.abs(modes.coefficients)),
    )
    x, w = np.polynomial.legendre.leggauss(400)
    values = modes((1 + x) / 2)
    np.testing.assert_allclose(w @ values**2 / 2, 1.0, rtol=1e-4)
    parity = (-1.0) ** np.arange(k)
    np.testing.assert_allclose(values[::-1], parity * values, atol=1e-9)


def test_arnoldi_and_the_whole_decomposition_agree(monkeypatch):
    by_arnoldi = riesz_eigenvalues(300, 4, 1.4, 8)
    monkeypatch.setattr(module, "_DENSE", 1000)
    whole = riesz_eigenvalues(300, 4, 1.4, 8)
    np.testing.assert_allclose(by_arnoldi.eigenvalues, whole.eigenvalues, rtol=1e-11)
    np.testing.assert_allclose(by_arnoldi.coefficients, whole.coefficients, atol=1e-9)
    assert np.max(by_arnoldi.residual_norm) <= 1e-11


def test_interval():
    unit = riesz_eigenvalues(20, 3, 1.6, 4)
    long = riesz_eigenvalues(20, 3, 1.6, 4, domain=(-1.0, 2.0))
    np.testing.assert_allclose(long.eigenvalues, unit.eigenvalues / 3**1.6, rtol=1e-14)
    np.testing.assert_allclose(long.error_estimate, unit.error_estimate / 3**1.6, rtol=1e-14)
    x = np.array([[0.1, 0.4, 0.9]])
    np.testing.assert_allclose(long(3 * x - 1), unit(x) / np.sqrt(3), atol=1e-13)
    assert unit(x).shape == (1, 3, 4)
    np.testing.assert_array_equal(unit([-0.1, 1.1]), 0.0)


def test_as_many_as_there_are():
    """The coarse space has fewer: no estimate for the last ones."""
    modes = riesz_eigenvalues(6, 3, 1.5, 7)
    assert np.all(np.isfinite(modes.error_estimate) == (np.arange(7) < 4))
    assert np.all(np.diff(modes.eigenvalues) > 0)
    single = riesz_eigenvalues(1, 2, 1.5, 1)
    assert single.eigenvalues[0] == pytest.approx(2 * RieszCollocation(1, 2, 1.5).todense()[0, 0])
    assert np.isinf(single.error_estimate[0])


def test_a_coarser_space_may_have_fewer_real_ones():
    modes = riesz_eigenvalues(3, 6, 1.5, 3)
    assert np.all(np.diff(modes.eigenvalues) > 0)
    assert np.isfinite(modes.error_estimate[0])


def test_points_of_any_kind(xp):
    modes = riesz_eigenvalues(12, 3, 1.5, 2)
    x = np.linspace(0, 1, 7)
    np.testing.assert_allclose(xp.numpy(modes(xp.asarray(x))), modes(x), atol=10 * xp.tol)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: riesz_eigenvalues(4, 3, 1.5, 6), ValueError, "k must be at most n .* = 5, got 6"),
        (lambda: riesz_eigenvalues(4, 3, 1.5, 0), ValueError, "k must be at least 1"),
        (lambda: riesz_eigenvalues(1, 8, 1.2, 7), ValueError, "k must be at most . in so small"),
        (lambda: riesz_eigenvalues(4, 1, 1.5, 1), ValueError, "p must be at least 2"),
        (lambda: riesz_eigenvalues(4, 3, 1.0, 1), ValueError, r"alpha must lie in \(1, 2\)"),
        (lambda: riesz_eigenvalues(4.0, 3, 1.5, 1), TypeError, "n must be an integer"),
        (lambda: riesz_eigenvalues(4, 3, 1.5, 1, domain=(1, 1)), ValueError, "domain must be inc"),
        (lambda: riesz_eigenvalues(4, 3, 1.5, 1)([1j]), TypeError, "x must be real"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm import hippo_low_rank, hippo_matrices, legs_spectrum, nplr

MEASURES = ("legs", "legt", "lagt", "tlagt", "glagt", "fout", "foud", "fourier_decay")


def parameters(measure: str) -> dict[str, float]:
    return {"beta": 0.6} if measure in ("tlagt", "glagt") else {}


@given(measure=st.sampled_from(MEASURES), half=st.integers(1, 20), window=st.floats(0.05, 20))
def test_form_rebuilds_the_system(measure, half, window):
    N = 2 * half
    options = {"window": window, **parameters(measure)}
    A, B = hippo_matrices(measure, N, **options)
    Lambda, P, Bt, V = nplr(measure, N, conj=False, **options)
    np.testing.assert_allclose(V.conj().T @ V, np.eye(N), atol=1e-13)
    rebuilt = V @ (np.diag(Lambda) - P.T @ P.conj()) @ V.conj().T
    np.testing.assert_allclose(rebuilt, A, atol=1e-13 * np.abs(A).max())
    np.testing.assert_allclose(V @ Bt, B, atol=1e-13 * np.abs(B).max())
    assert np.all(Bt.real > 0)
    assert np.all(Bt.imag == 0)


@given(measure=st.sampled_from(MEASURES), half=st.integers(1, 20))
def test_half_of_the_modes_carries_the_system(measure, half):
    N = 2 * half
    options = parameters(measure)
    A, B = hippo_matrices(measure, N, **options)
    Lambda, P, Bt, V = nplr(measure, N, **options)
    assert Lambda.shape == Bt.shape == (half,)
    assert V.shape == (N, half)
    assert np.all(np.diff(Lambda.imag) > 0)
    assert np.all(Lambda.imag[1:] > 0)
    assert Lambda.imag[0] >= 0
    np.testing.assert_allclose(2 * (V @ Bt).real, B, atol=1e-13 * np.abs(B).max())
    correction, _ = hippo_low_rank(measure, N, **options)
    normal = A + correction.T @ correction
    rebuilt = 2 * (V * Lambda @ V.conj().T).real
    np.testing.assert_allclose(rebuilt, normal, atol=1e-13 * (1 + np.abs(normal).max()))
    np.testing.assert_allclose(2 * (V @ P.T).real, correction.T, atol=1e-13 * N)


@pytest.mark.parametrize("measure", ["legs", "legt", "lagt"])
@pytest.mark.parametrize("N", [1, 3, 17])
def test_odd_orders_hold_a_zero_frequency(measure, N):
    A, _ = hippo_matrices(measure, N)
    Lambda, P, _, V = nplr(measure, N, conj=False)
    assert abs(Lambda[N // 2].imag) < 1e-15
    rebuilt = V @ (np.diag(Lambda) - P.T @ P.conj()) @ V.conj().T
    np.testing.assert_allclose(rebuilt, A, atol=1e-14 * np.abs(A).max())


@pytest.mark.parametrize("measure", ["legs", "legt", "lagt", "fout", "fourier_decay"])
def test_against_a_hermitian_eigenvalue_routine(measure):
    N = 24
    A, B = hippo_matrices(measure, N)
    P, sigma = hippo_low_rank(measure, N)
    frequencies, V = np.linalg.eigh(-1j * (A + P.T @ P + sigma * np.eye(N)))
    Lambda, Pt, Bt, _ = nplr(measure, N, conj=False)
    scale = frequencies.max()
    np.testing.assert_allclose(Lambda.imag, frequencies, atol=1e-14 * N * scale)
    if not measure.startswith("fou"):  # whose frequency 0 is double, with any basis allowed
        np.testing.assert_allclose(Bt.real, np.abs(V.conj().T @ B), rtol=1e-9)
        reference = (V.conj().T @ P.T).T * (V.conj().T @ B).conj()
        np.testing.assert_allclose(Pt * Bt.conj(), reference, atol=1e-9 * np.abs(reference).max())


@pytest.mark.parametrize("N", [1, 2, 3, 15, 16, 17, 18, 33, 64, 256])
def test_legs_spectrum_against_forty_digits(N):
    """Smallest, largest and middle roots, both sides of the change of variable at omega = N, and
    both sides of the order 16 at which the sums cease to be taken term by term."""
    omega, gain = legs_spectrum(N, conj=False)
    picks = {0, N - 1, N // 2, N // 2 + 1, (3 * N) // 4, np.searchsorted(omega, N)}
    picks = {int(k) for k in (*picks, np.searchsorted(omega, N) - 1)}
    with mpmath.workdps(40):
        a = [mpmath.mpf(j) - mpmath.mpf(1) / 2 for j in range(1, N + 1)]
        for k in (k for k in picks if 0 <= k < N):
            target = mpmath.pi * (mpmath.mpf(k + 1) - mpmath.mpf(N + 1) / 2)
            w = mpmath.mpf(omega[k])
            for _ in range(3):
                slope = mpmath.fsum(x / (x * x + w * w) for x in a)
                w -= (mpmath.fsum(mpmath.atan(w / x) for x in a) - target) / slope
            assert abs(omega[k] - w) <= 1e-14 * abs(w)
            assert abs(gain[k] ** 2 * slope / 2 - 1) <= 1e-14


def test_legs_spectrum_against_eigenvalues():
    """The eigenvalue routine's absolute error, eps times the largest frequency, is 1e-9 of the
    smallest one."""
    N = 512
    A, _ = hippo_matrices("legs", N)
    P, sigma = hippo_low_rank("legs", N)
    frequencies = np.linalg.eigvalsh(-1j * (A + P.T @ P + sigma * np.eye(N)))
    np.testing.assert_allclose(legs_spectrum(N)[0], frequencies[N // 2 :], rtol=1e-9)


@given(N=st.integers(1, 300))
def test_legs_spectrum_moments(N):
    """Traces of powers of the skew part, and the norm of the input vector."""
    omega, gain = legs_spectrum(N, conj=False)
    n = np.arange(N)
    off_diagonal = np.sum((2.0 * n + 1) * n**2) / 2
    assert np.sum(gain**2) == pytest.approx(float(N) ** 2, rel=1e-12)
    assert np.sum(omega**2) == pytest.approx(off_diagonal, rel=1e-12)
    np.testing.assert_array_equal(omega, -omega[::-1])


def test_legs_spectrum_at_large_order():
    """The largest frequency is N^2/pi (1 + O(1/N^2)), the smallest keeps all its digits."""
    N = 200_000
    omega, _ = legs_spectrum(N)
    assert omega[-1] * np.pi / N**2 == pytest.approx(1, rel=10 / N)
    a = np.arange(N) + 0.5
    for k in (0, 1, 1000):
        phase = np.sum(np.arctan(omega[k] / a))
        assert phase == pytest.approx(np.pi * (k + 0.5), rel=1e-13)


def test_nplr_and_spectrum_agree():
    omega, gain = legs_spectrum(64)
    Lambda, _, B, _ = nplr("legs", 64)
    np.testing.assert_array_equal(Lambda, -0.5 + 1j * omega)
    np.testing.assert_allclose(B.real, gain, rtol=1e-13)


def test_result_follows_like(xp):
    like = xp.asarray(np.zeros(2))
    for got, exact in zip(legs_spectrum(16, like=like), legs_spectrum(16), strict=True):
        np.testing.assert_allclose(xp.numpy(got), exact, rtol=xp.tol)
    for measure in MEASURES:
        options = {"window": 1.7, **parameters(measure)}
        for got, exact in zip(
            nplr(measure, 16, like=like, **options), nplr(measure, 16, **options), strict=True
        ):
            np.testing.assert_allclose(xp.numpy(got), exact, rtol=xp.tol, atol=xp.tol)


def test_gradient_in_window():
    torch = pytest.importorskip("torch")
    window = torch.tensor(1.3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda window: nplr("legt", 6, window=window), (window,))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: legs_spectrum(0), ValueError, "N must be at least 1, got 0"),
        (lambda: legs_spectrum(2.0), TypeError, "N must be an integer"),
        (lambda: legs_spectrum(5), ValueError, "N must be even .* got 5; pass conj=False"),
        (lambda: nplr("legs", 5), ValueError, "N must be even .* got 5; pass conj=False"),
        (lambda: nplr("fout", 5, conj=False), ValueError, "N must be even for measure 'fout'"),
        (lambda: nplr("legs", 4, window=-1), ValueError, "window must be positive"),
        (lambda: nplr("lmu", 4), ValueError, "measure lmu has no normal plus low-rank form"),
        (lambda: nplr("glagt", 4, alpha=0.5), ValueError, "measure glagt with alpha"),
        (lambda: nplr("cheb", 4), ValueError, "measure must be one of .*legs"),
        (lambda: nplr("legs", 4, like="torch"), TypeError, "like must hold"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()

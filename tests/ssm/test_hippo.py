from __future__ import annotations

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm import hippo_low_rank, hippo_matrices
from ssm.hippo import MEASURES

FOURIER = ("fout", "foud", "fourier_decay")
LOW_RANK = ("legs", "legt", "lagt", "tlagt", "glagt", *FOURIER)


def parameters(measure: str) -> dict[str, float]:
    return {"tlagt": {"beta": 0.6}, "glagt": {"alpha": -0.3, "beta": 0.5}}.get(measure, {})


@given(
    measure=st.sampled_from(LOW_RANK),
    half=st.integers(1, 12),
    window=st.floats(0.05, 20.0),
    beta=st.floats(0.05, 4.0),
)
def test_correction_leaves_a_shifted_skew_matrix(measure, half, window, beta):
    options = {"beta": beta} if measure in ("tlagt", "glagt") else {}
    A, _ = hippo_matrices(measure, 2 * half, window=window, **options)
    P, sigma = hippo_low_rank(measure, 2 * half, window=window, **options)
    S = A + P.T @ P + sigma * np.eye(2 * half)
    assert np.abs(S + S.T).max() <= 1e-14 * (np.abs(A).max() + 1)


@pytest.mark.parametrize(
    ("measure", "rank"),
    [("legs", 1), ("legt", 2), ("lagt", 1), ("fout", 1), ("foud", 0), ("fourier_decay", 1)],
)
def test_rank_of_the_correction(measure, rank):
    P, sigma = hippo_low_rank(measure, 6)
    assert P.shape == (rank, 6)
    assert sigma == (0.5 if measure in ("legs", "foud") else 0)


def test_legs_input_is_sqrt2_times_the_correction():
    P, _ = hippo_low_rank("legs", 9)
    np.testing.assert_allclose(hippo_matrices("legs", 9)[1], np.sqrt(2) * P[0], rtol=1e-15)


@given(N=st.integers(1, 20), window=st.floats(0.1, 10))
def test_lmu_is_legt_in_other_coordinates(N, window):
    n = np.arange(N)
    T = (-1.0) ** n / np.sqrt(2 * n + 1)
    A, B = hippo_matrices("legt", N, window=window)
    A_lmu, B_lmu = hippo_matrices("lmu", N, window=window)
    np.testing.assert_allclose(T[:, None] * A_lmu / T, A, rtol=1e-13)
    np.testing.assert_allclose(T * B_lmu, B, rtol=1e-14)


def test_generalised_laguerre_against_gamma_functions():
    N, alpha, beta = 9, -0.7, 0.4
    mp = mpmath.mp
    norm = [mp.sqrt(mp.gamma(n + alpha + 1) / mp.factorial(n)) for n in range(N)]
    A, B = hippo_matrices("glagt", N, alpha=alpha, beta=beta)
    for n in range(N):
        expected = mp.binomial(n + alpha, n) * mp.mpf(beta) ** ((1 - mp.mpf(alpha)) / 2)
        expected /= norm[n] * mp.sqrt(mp.gamma(1 - alpha))
        assert B[n] == pytest.approx(float(expected), rel=1e-14)
        for k in range(n):
            assert A[n, k] == pytest.approx(-float(norm[k] / norm[n]), rel=1e-14)
    np.testing.assert_allclose(np.diag(A), -(1 + beta) / 2)


def test_laguerre_families_meet():
    A, B = hippo_matrices("lagt", 5)
    A_tilted, B_tilted = hippo_matrices("tlagt", 5, beta=0.3)
    A_general, B_general = hippo_matrices("glagt", 5, alpha=0.0, beta=0.3)
    np.testing.assert_allclose(A_tilted, A - 0.15 * np.eye(5), atol=1e-15)
    np.testing.assert_allclose(A_general, A_tilted, atol=1e-15)
    np.testing.assert_allclose(B_tilted, 0.3 * B)
    np.testing.assert_allclose(B_general, np.sqrt(0.3) * B, rtol=1e-15)


@pytest.mark.parametrize("measure", MEASURES)
def test_window_is_the_unit_of_time(measure):
    options = parameters(measure)
    A, B = hippo_matrices(measure, 6, **options)
    A_slow, B_slow = hippo_matrices(measure, 6, window=4.0, **options)
    np.testing.assert_array_equal(4 * A_slow, A)
    np.testing.assert_array_equal(4 * B_slow, B)
    real = np.linalg.eigvals(A).real
    assert np.sum(real > -1e-9) == (1 if measure in ("fout", "fourier_decay") else 0)


@pytest.mark.parametrize("measure", MEASURES)
def test_result_follows_like(measure, xp):
    like = xp.asarray(np.zeros(3))
    options = parameters(measure)
    expected = hippo_matrices(measure, 8, **options)
    for got, exact in zip(hippo_matrices(measure, 8, like=like, **options), expected, strict=True):
        np.testing.assert_allclose(xp.numpy(got), exact, rtol=xp.tol)
    if measure not in ("lmu", "glagt"):
        P, sigma = hippo_low_rank(measure, 8, like=like, **options)
        assert xp.numpy(P).shape[1] == 8
        assert xp.numpy(sigma).shape == ()


def test_gradient_in_every_parameter():
    torch = pytest.importorskip("torch")
    window, beta = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (1.3, 0.7))
    for value in (-0.4, 0.0, 0.2):
        alpha = torch.tensor(value, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(
            lambda window, alpha, beta: hippo_matrices(
                "glagt", 5, window=window, alpha=alpha, beta=beta
            ),
            (window, alpha, beta),
        )
    assert torch.autograd.gradcheck(
        lambda window, beta: hippo_low_rank("tlagt", 5, window=window, beta=beta), (window, beta)
    )


BAD = [
    (("legs", 0), {}, ValueError, "N must be at least 1, got 0"),
    (("legs", -3), {}, ValueError, "N must be at least 1"),
    (("legs", 4.0), {}, TypeError, "N must be an integer"),
    (("legs", True), {}, TypeError, "N must be an integer"),
    (("legs", "4"), {}, TypeError, "N must be an integer"),
    (("fout", 5), {}, ValueError, "N must be even for measure 'fout', got 5"),
    (("foud", 1), {}, ValueError, "N must be even"),
    (("fourier_decay", 3), {}, ValueError, "N must be even"),
    (("legendre", 4), {}, ValueError, "measure must be one of .*legs, legt.*got 'legendre'"),
    ((None, 4), {}, ValueError, "measure must be one of"),
    (("legt", 4), {"window": 0.0}, ValueError, "window must be positive, got 0.0"),
    (("legt", 4), {"window": -1}, ValueError, "window must be positive"),
    (("legt", 4), {"window": np.nan}, ValueError, "window must be finite"),
    (("legt", 4), {"window": 1j}, TypeError, "window must be real"),
    (("legt", 4), {"window": "1"}, TypeError, "window must hold"),
    (("legt", 4), {"window": [1.0, 2.0]}, ValueError, "window must be a single number"),
    (("glagt", 4), {"alpha": 1.0}, ValueError, r"alpha must be in \(-1, 1\), got 1.0"),
    (("glagt", 4), {"alpha": -1.0}, ValueError, r"alpha must be in \(-1, 1\)"),
    (("glagt", 4), {"beta": 0.0}, ValueError, "beta must be positive"),
    (("tlagt", 4), {"beta": -0.5}, ValueError, "beta must be positive"),
    (("legs", 4), {"alpha": 0.5}, ValueError, "alpha is for measure 'glagt' only"),
    (("legs", 4), {"beta": 0.5}, ValueError, "beta is for measures 'tlagt' and 'glagt' only"),
]


@pytest.mark.parametrize("function", [hippo_matrices, hippo_low_rank])
@pytest.mark.parametrize(("arguments", "options", "error", "message"), BAD)
def test_bad_input(function, arguments, options, error, message):
    with pytest.raises(error, match=message):
        function(*arguments, **options)


@pytest.mark.parametrize(("measure", "options"), [("lmu", {}), ("glagt", {"alpha": 0.2})])
def test_no_low_rank_form_lists_those_that_have_one(measure, options):
    with pytest.raises(ValueError, match=f"measure {measure} .*fout, lagt, legs, legt, tlagt"):
        hippo_low_rank(measure, 4, **options)

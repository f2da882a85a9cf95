from __future__ import annotations

from math import comb, factorial

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm import hippo_low_rank, hippo_matrices, hippo_transfer
from ssm.hippo import MEASURES

PARAMETERS = {"tlagt": {"beta": 0.6}, "glagt": {"alpha": -0.3, "beta": 0.5}}
S4D_TABLE = {
    1: [0.1104, 0.0617, 0.0322, 0.0157, 0.00777, 0.00389],
    4: [0.3754, 0.1972, 0.1114, 0.0609, 0.0316, 0.0158],
    16: [1.353, 0.552, 0.354, 0.222, 0.128, 0.0615],
}


def parameters(measure: str) -> dict[str, float]:
    return PARAMETERS.get(measure, {})


def resolvent(A: np.ndarray, B: np.ndarray, s: np.ndarray) -> np.ndarray:
    columns = [np.linalg.solve(x * np.eye(len(B)) - A, B.astype(complex)) for x in s]
    return np.stack(columns, axis=1)


def all_pass(N: int, s: np.ndarray) -> np.ndarray:
    j = np.arange(1, N + 1)[:, None]
    return np.prod((s - j + 1) / (s + j), axis=0)


@given(
    measure=st.sampled_from(MEASURES),
    half=st.integers(1, 12),
    window=st.floats(0.1, 10),
    real=st.floats(0, 5),
    imaginary=st.floats(-200, 200),
)
def test_against_the_resolvent(measure, half, window, real, imaginary):
    N = 2 * half
    s = np.array([real + 0.01 + 1j * imaginary]) / window
    options = {"window": window, **parameters(measure)}
    X = hippo_transfer(measure, N, s, **options)
    expected = resolvent(*hippo_matrices(measure, N, **options), s)
    np.testing.assert_allclose(X, expected, atol=1e-11 * np.abs(expected).max())


@pytest.mark.parametrize("measure", ["legs", "legt", "lmu", "glagt", "fout", "fourier_decay"])
def test_against_forty_digits(measure):
    N, options = 16, parameters(measure)
    A, B = hippo_matrices(measure, N, **options)
    s = np.array([1e-3, 1j, 10j, 300j, 0.5 + 40j])
    X = hippo_transfer(measure, N, s, **options)
    with mpmath.workdps(40):
        for k, x in enumerate(s):
            M = mpmath.mpc(complex(x)) * mpmath.eye(N) - mpmath.matrix(A.tolist())
            exact = mpmath.lu_solve(M, mpmath.matrix(B.tolist()))
            exact = np.array([complex(value) for value in exact])
            # The entries of A are rounded, which alone moves the resolvent by this much.
            assert np.abs(X[:, k] - exact).max() <= 1e-13 * np.abs(exact).max()


@given(N=st.integers(1, 200), w=st.floats(-1e4, 1e4))
def test_what_legs_misses_is_all_pass(N, w):
    s = np.array([1j * w])
    X = hippo_transfer("legs", N, s)
    missed = 1 - hippo_matrices("legs", N)[1] @ X
    np.testing.assert_allclose(missed, all_pass(N, s), atol=1e-13)
    np.testing.assert_allclose(np.abs(missed), abs(w) / np.hypot(N, w), atol=1e-13)


@given(N=st.integers(1, 60), w=st.floats(-1e3, 1e3))
def test_what_laguerre_misses_is_all_pass(N, w):
    s = np.array([1j * w])
    missed = 1 - hippo_transfer("lagt", N, s).sum(axis=0)
    np.testing.assert_allclose(missed, ((s - 0.5) / (s + 0.5)) ** N, atol=1e-13 * N)


@given(N=st.integers(1, 24), real=st.floats(0, 4), w=st.floats(-60, 60), window=st.floats(0.2, 4))
def test_legt_read_out_is_the_pade_approximant_of_a_delay(N, real, w, window):
    s = np.array([real + 1j * w]) / window
    n = np.arange(N)
    read_out = np.sqrt(2 * n + 1) * (-1.0) ** n @ hippo_transfer("legt", N, s, window=window)
    x = mpmath.mpc(complex(window * s[0]))
    with mpmath.workdps(60):
        numerator = mpmath.fsum(
            (-1) ** k * comb(N - 1, k) * factorial(2 * N - 1 - k) * x**k for k in range(N)
        )
        denominator = mpmath.fsum(
            comb(N, k) * factorial(2 * N - 1 - k) * x**k for k in range(N + 1)
        )
        expected = complex(numerator / denominator)
    np.testing.assert_allclose(read_out, expected, rtol=1e-11, atol=1e-13)


@given(half=st.integers(1, 60), w=st.floats(-500, 500), window=st.floats(0.2, 4))
def test_fout_read_out_is_a_delay(half, w, window):
    """(2h - 1)/(2h + 1) with h(s) = p^T (s - Omega)^{-1} p, which tends to coth(s/2)/2."""
    N, s = 2 * half, np.array([0.05 + 1j * w])
    p = hippo_matrices("fout", N)[1] / 2
    read_out = 2 * p @ hippo_transfer("fout", N, s / window, window=window) - 1
    m = 2 * np.pi * np.arange(1, half)[:, None]
    h = 1 / s + np.sum(2 * s / (s**2 + m**2), axis=0)
    np.testing.assert_allclose(read_out, (2 * h - 1) / (2 * h + 1), rtol=1e-9)


def test_fout_read_out_tends_to_the_delay():
    s = np.array([0.3 + 1j, 2 + 5j])
    p = hippo_matrices("fout", 4000)[1] / 2
    read_out = 2 * p @ hippo_transfer("fout", 4000, s) - 1
    np.testing.assert_allclose(read_out, np.exp(-s), atol=2e-3)


@pytest.mark.parametrize("measure", ["fout", "fourier_decay"])
def test_frequencies_of_the_fourier_blocks_are_no_poles(measure):
    spacing = 2 * np.pi if measure == "fout" else np.pi
    at = np.array([0, 1j * spacing, -3j * spacing])
    X = hippo_transfer(measure, 16, at)
    near = hippo_transfer(measure, 16, at + 1e-7)
    assert np.all(np.isfinite(X))
    np.testing.assert_allclose(X, near, atol=1e-6)


@given(N=st.integers(1, 200), n_frequency=st.floats(-300, 300))
def test_diagonal_system_of_legs(N, n_frequency):
    """X_D = X / (1 + r_N) for (A + P P^T, B/2), by Sherman and Morrison."""
    s = np.array([1j * n_frequency])
    A, B = hippo_matrices("legs", N)
    P, _ = hippo_low_rank("legs", N)
    diagonal = resolvent(A + P.T @ P, B / 2, s)
    exact = hippo_transfer("legs", N, s) / (1 + all_pass(N, s))
    np.testing.assert_allclose(diagonal, exact, rtol=1e-12, atol=1e-12 * np.abs(exact).max())


@pytest.mark.parametrize("w", S4D_TABLE)
def test_first_order_convergence_of_the_diagonal_system(w):
    s = np.array([1j * w])
    errors = []
    for N in (8, 16, 32, 64, 128, 256):
        r = all_pass(N, s)[0]
        X = hippo_transfer("legs", N, s)
        diagonal = X / (1 + r)
        errors.append(np.linalg.norm(diagonal - X) / np.linalg.norm(X))
    np.testing.assert_allclose(errors, S4D_TABLE[w], rtol=5e-3)


@pytest.mark.parametrize("measure", MEASURES)
def test_result_follows_the_points(measure, xp):
    s = np.array([[0.3 + 1j, 2.0], [5j, 1 - 7j]])
    options = {"window": 1.3, **parameters(measure)}
    exact = hippo_transfer(measure, 8, s, **options)
    got = xp.numpy(hippo_transfer(measure, 8, xp.asarray(s), **options))
    assert got.shape == (8, 2, 2)
    np.testing.assert_allclose(got, exact, atol=10 * xp.tol)
    real = xp.numpy(hippo_transfer(measure, 8, xp.asarray(s.real + 0.1), **options))
    assert real.dtype.kind == "c"
    np.testing.assert_allclose(real.imag, 0, atol=xp.tol)
    np.testing.assert_allclose(
        hippo_transfer(measure, 8, s[:, 1], **options), exact[:, :, 1], rtol=1e-13
    )
    assert hippo_transfer(measure, 8, s[:0], **options).shape == (8, 0, 2)


@pytest.mark.parametrize("measure", MEASURES)
def test_gradients(measure):
    torch = pytest.importorskip("torch")
    points = [0.1 + 1j, 0.8, 2j * np.pi]
    s = torch.tensor(points, dtype=torch.complex128, requires_grad=True)
    names = ["window", *parameters(measure)]
    values = [1.0, *parameters(measure).values()]
    scalars = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in values]

    def transfer(s, *scalars):
        return hippo_transfer(measure, 4, s, **dict(zip(names, scalars, strict=True)))

    assert torch.autograd.gradcheck(transfer, (s, *scalars))


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (("legs", 4, np.array([1.0, -3.0])), {}, ValueError, r"pole of 'legs' .* s = \(-3"),
        (("legs", 4, np.array([-1.5])), {"window": 2.0}, ValueError, r"s = \(-1.5"),
        (("lagt", 4, np.array([-0.5])), {}, ValueError, "pole of 'lagt'"),
        (("tlagt", 4, np.array([-1.0])), {}, ValueError, "pole of 'tlagt'"),
        (("foud", 4, np.array([-0.5 + 2j * np.pi])), {}, ValueError, "pole of 'foud'"),
        (("legt", 1, np.array([-1.0])), {}, ValueError, "pole of 'legt'"),
        (("legs", 4, np.array([np.inf])), {}, ValueError, "s must be finite"),
        (("legs", 4, "1j"), {}, TypeError, "s must hold"),
        (("legs", 0, np.array([1.0])), {}, ValueError, "N must be at least 1"),
        (("fout", 3, np.array([1.0])), {}, ValueError, "N must be even"),
        (("chebt", 3, np.array([1.0])), {}, ValueError, "measure must be one of .*legs"),
        (("legs", 3, np.array([1.0])), {"window": -1.0}, ValueError, "window must be positive"),
        (("glagt", 3, np.array([1.0])), {"alpha": 2.0}, ValueError, "alpha must be in"),
    ],
)
def test_bad_input(arguments, options, error, message):
    with pytest.raises(error, match=message):
        hippo_transfer(*arguments, **options)

"""Companion realisations of AR, ARMA and ARIMA, and the preprocessing kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.signal import lfilter

from ssm import (
    ar_to_companion,
    arima_to_companion,
    arma_to_companion,
    companion_forecast,
    companion_matrix,
    differencing_kernel,
    moving_average_residual_kernel,
)

PHI = np.array([0.6, -0.3, 0.1])
THETA = np.array([0.4, 0.2])

coefficients = arrays(np.float64, st.integers(1, 5), elements=st.floats(-0.9, 0.9))


def dense_powers(p: Any, b: Any, c: Any, length: int) -> np.ndarray:
    """c^T A^l b by multiplying the dense matrix, the definition itself."""
    A = companion_matrix(p)
    x, kernel = np.array(b), []
    for _ in range(length):
        kernel.append((c * x).sum(-1))
        x = (A @ x[..., None])[..., 0]
    return np.stack(kernel, axis=-1)


@given(coefficients)
def test_ar_kernel_is_the_coefficients_followed_by_zeros(phi: np.ndarray) -> None:
    kernel = dense_powers(*ar_to_companion(phi), len(phi) + 6)
    # Shifts and selections only: no rounding at all.
    np.testing.assert_array_equal(kernel, np.concatenate([phi, np.zeros(6)]))


@given(coefficients, st.integers(0, 2**32 - 1))
def test_ar_closed_loop_is_the_recursion(phi: np.ndarray, seed: int) -> None:
    history = list(np.random.default_rng(seed).standard_normal(len(phi)))
    p, b, c = ar_to_companion(phi)
    forecast, fed_back = companion_forecast(p, b, c, c, np.array(history[::-1]), 12)
    for _ in range(12):
        history.append(sum(a * y for a, y in zip(phi, history[::-1], strict=False)))
    expected = np.array(history[-12:])
    np.testing.assert_allclose(forecast, expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max())
    np.testing.assert_array_equal(forecast, fed_back)


@given(coefficients, coefficients, st.integers(0, 2))
def test_kernel_is_the_impulse_response(phi: np.ndarray, theta: np.ndarray, d: int) -> None:
    system = arima_to_companion(phi, d, theta)
    assert system[0].shape == (max(len(phi) + d, len(theta) + 1),)
    denominator = np.concatenate([[1.0], -phi])
    expected = lfilter(np.concatenate([[1.0], theta]), denominator, np.eye(1, 25)[0])
    for _ in range(d):
        expected = np.cumsum(expected)
    # Both sum the same recursion in another order.
    atol = 1e-12 * np.abs(expected).max()
    np.testing.assert_allclose(dense_powers(*system, 25), expected, rtol=0, atol=atol)


def test_psi_weights_of_statsmodels() -> None:
    process = pytest.importorskip("statsmodels.tsa.arima_process")
    kernel = dense_powers(*arma_to_companion(PHI, THETA), 40)
    peer = process.arma2ma(np.r_[1, -PHI], np.r_[1, THETA], 40)
    np.testing.assert_allclose(kernel, peer, rtol=0, atol=1e-14)


def test_arma_is_arima_without_differences() -> None:
    for ours, general in zip(
        arma_to_companion(PHI, THETA), arima_to_companion(PHI, 0, THETA), strict=True
    ):
        np.testing.assert_array_equal(ours, general)


def test_unit_roots_are_eigenvalues() -> None:
    p, _, _ = arima_to_companion([0.5], 2, [0.3])
    # A double root moves by the square root of the rounding error.
    np.testing.assert_allclose(
        np.sort(np.abs(np.linalg.eigvals(companion_matrix(p)))), [0.5, 1, 1], atol=1e-7
    )


@pytest.mark.parametrize("missing", [None, []])
def test_no_coefficients(missing: Any) -> None:
    np.testing.assert_array_equal(arma_to_companion(missing, [0.5])[2], [1.0, 0.5])
    np.testing.assert_array_equal(arma_to_companion([0.5], missing)[0], [0.5])
    p, b, c = arma_to_companion(missing, missing)
    assert (p.tolist(), b.tolist(), c.tolist()) == ([0.0], [1.0], [1.0])


def test_array_kinds(xp: Any) -> None:
    phi, theta = xp.asarray(PHI), xp.asarray(THETA)
    for ours, double in (
        (ar_to_companion(phi), ar_to_companion(PHI)),
        (arma_to_companion(phi, theta), arma_to_companion(PHI, THETA)),
        (arima_to_companion(phi, 1, theta), arima_to_companion(PHI, 1, THETA)),
    ):
        for got, expected in zip(ours, double, strict=True):
            np.testing.assert_allclose(xp.numpy(got), expected, rtol=0, atol=xp.tol)


def test_batches_broadcast_and_equal_the_loop(rng: np.random.Generator) -> None:
    phi, theta = rng.uniform(-0.5, 0.5, (4, 1, 3)), rng.uniform(-0.5, 0.5, (5, 2))
    batched = arima_to_companion(phi, 1, theta)
    for got in batched:
        assert got.shape == (4, 5, 4)
    for i in range(4):
        for j in range(5):
            single = arima_to_companion(phi[i, 0], 1, theta[j])
            for got, expected in zip(batched, single, strict=True):
                np.testing.assert_allclose(got[i, j], expected, rtol=0, atol=1e-15)


def test_strided_input_and_fresh_results() -> None:
    wide = np.zeros((3, 2))
    wide[:, 0] = PHI
    before = wide.copy()
    for strided, packed in zip(
        arima_to_companion(wide[:, 0], 1, THETA), arima_to_companion(PHI, 1, THETA), strict=True
    ):
        np.testing.assert_array_equal(strided, packed)
    for result in ar_to_companion(wide[:, 0]):
        result[...] = 7.0
    np.testing.assert_array_equal(wide, before)


def test_integers_become_doubles() -> None:
    assert ar_to_companion([1, 0])[2].dtype == np.float64


def test_gradients() -> None:
    torch = pytest.importorskip("torch")
    phi = torch.tensor(PHI, requires_grad=True)
    theta = torch.tensor(THETA, requires_grad=True)
    assert torch.autograd.gradcheck(lambda f: ar_to_companion(f)[2], (phi,))
    assert torch.autograd.gradcheck(lambda f, t: arima_to_companion(f, 1, t)[::2], (phi, theta))


@given(st.integers(0, 6), st.integers(0, 2**32 - 1))
def test_differencing(order: int, seed: int) -> None:
    u = np.random.default_rng(seed).standard_normal(30)
    got = np.convolve(u, differencing_kernel(order), mode="valid")
    np.testing.assert_allclose(got, np.diff(u, n=order), rtol=0, atol=1e-13)


@pytest.mark.parametrize("width", [1, 2, 7])
def test_moving_average_residual(width: int, rng: np.random.Generator) -> None:
    u = rng.standard_normal(30)
    got = np.convolve(u, moving_average_residual_kernel(width), mode="valid")
    windows = np.lib.stride_tricks.sliding_window_view(u, width)
    np.testing.assert_allclose(got, u[width - 1 :] - windows.mean(-1), rtol=0, atol=1e-14)


def test_kernels_like_an_array(xp: Any) -> None:
    like = xp.asarray(np.zeros(1))
    np.testing.assert_array_equal(xp.numpy(differencing_kernel(3, like=like)), [1, -3, 3, -1])
    np.testing.assert_allclose(
        xp.numpy(moving_average_residual_kernel(4, like=like)), [0.75, -0.25, -0.25, -0.25]
    )


@pytest.mark.parametrize(
    ("call", "error", "name"),
    [
        (lambda: ar_to_companion([]), ValueError, "phi"),
        (lambda: ar_to_companion(0.5), ValueError, "phi"),
        (lambda: ar_to_companion([np.nan]), ValueError, "phi"),
        (lambda: ar_to_companion(["0.5"]), TypeError, "phi"),
        (lambda: ar_to_companion([True]), TypeError, "phi"),
        (lambda: arma_to_companion([0.5], [np.inf]), ValueError, "theta"),
        (lambda: arma_to_companion([0.5], 0.1), ValueError, "theta"),
        (lambda: arma_to_companion(np.ones((2, 1)), np.ones((3, 1))), ValueError, "theta"),
        (lambda: arima_to_companion([0.5], -1, None), ValueError, "d must"),
        (lambda: arima_to_companion([0.5], 1.0, None), TypeError, "d must"),
        (lambda: arima_to_companion([0.5], True, None), TypeError, "d must"),
        (lambda: differencing_kernel(-1), ValueError, "order"),
        (lambda: differencing_kernel("2"), TypeError, "order"),
        (lambda: moving_average_residual_kernel(0), ValueError, "width"),
        (lambda: moving_average_residual_kernel(2.5), TypeError, "width"),
    ],
)
def test_bad_input(call: Any, error: type[Exception], name: str) -> None:
    with pytest.raises(error, match=name):
        call()


def test_mixed_libraries_are_refused() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match="mix"):
        arma_to_companion(torch.ones(1), np.ones(1))

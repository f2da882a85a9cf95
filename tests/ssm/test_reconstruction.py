from __future__ import annotations

import numpy as np
import pytest
import scipy.special
import torch
from hypothesis import given
from hypothesis import strategies as st

from ssm import hippo_project, hippo_reconstruct, legs_project_online

SLIDING = ("legt", "lmu", "fout", "legs_scaled")
FADING = ("legs", "lagt", "tlagt", "glagt", "fourier_decay")


def quadrature(measure):
    """Gauss nodes and weights for integrals over the ages that a measure looks at."""
    z, w = np.polynomial.legendre.leggauss(400)
    if measure in SLIDING:
        return (z + 1) / 2, w / 2
    # Ages beyond 80 weigh less than 1e-17 in every one of these measures at order 6.
    # A panel lasts one period of fourier_decay, whose weight jumps after each.
    z, w = np.polynomial.legendre.leggauss(60)
    s = np.concatenate([2 * k + z + 1 for k in range(40)])
    return s, np.tile(w, 40)


def kernels(measure, N, s):
    """The basis kernels, those of sliding windows and Fourier systems in the limit of order."""
    n = np.arange(N)[:, None]
    if measure in ("legt", "legs_scaled"):
        return np.sqrt(2 * n + 1) * scipy.special.eval_legendre(n, 1 - 2 * s)
    if measure == "lmu":
        return (2 * n + 1) * scipy.special.eval_legendre(n, 2 * s - 1)
    if measure in ("fout", "fourier_decay"):
        turn = 2 * np.pi * (n // 2) * (s if measure == "fout" else s / 2)
        rows = np.sqrt(2) * np.where(n % 2 == 0, np.cos(turn), np.sin(turn))
        rows[0] /= np.sqrt(2)
        return rows if measure == "fout" else rows * 3.0 ** (-1 - np.floor(s / 2))
    if measure == "legs":
        polynomials = scipy.special.eval_legendre(n, 2 * np.exp(-s) - 1)
        return np.sqrt(2 * n + 1) * polynomials * np.exp(-s)
    return scipy.special.eval_laguerre(n, s) * np.exp(-s / 2 if measure == "lagt" else -s)


@pytest.mark.parametrize("measure", SLIDING + FADING)
def test_a_signal_of_the_space_comes_back(measure, rng):
    # The coefficients int u(t-s) K_n(s) ds of u = sum c_n p_n are c themselves.
    N, window = 6, 2.5
    c = rng.standard_normal((3, N))
    if measure in ("fout", "fourier_decay"):
        c[:, 1] = 0
    s, weights = quadrature(measure)
    signal = hippo_reconstruct(c, measure, window * s, window=window)
    assert signal.shape == (3, s.size)
    projected = (signal * weights) @ kernels(measure, N, s).T
    np.testing.assert_allclose(projected, c, rtol=0, atol=1e-11)


@given(degree=st.integers(0, 5), seed=st.integers(0, 1000))
def test_polynomials_come_back_from_the_scaled_projection(degree, seed):
    # Holding the samples constant is an error of order h^2 in the coefficients, with h = 1/2000.
    rng = np.random.default_rng(seed)
    coefficients = rng.uniform(-1, 1, degree + 1)
    L = 2000
    t = (np.arange(L) + 0.5) / L
    c = legs_project_online(np.polyval(coefficients, t), 6, final=True)
    age = np.array([[0.0, 0.1], [0.5, 1.0]])
    back = hippo_reconstruct(c, "legs_scaled", L * age, window=L)
    np.testing.assert_allclose(back, np.polyval(coefficients, 1 - age), rtol=0, atol=2e-5)


@pytest.mark.parametrize("measure", ["legt", "lmu"])
def test_polynomials_come_back_from_a_full_window(measure):
    # Samples of the step-wise means are off the signal by order dt^2; at order 12 the kernels of
    # LegT are the polynomials up to ripples that a quadratic hardly feels.
    dt, window = 1e-3, 1.5
    t = (np.arange(6000) + 0.5) * dt
    c = hippo_project((t - 5) ** 2, measure, 12, dt, window=window, final=True)
    age = np.linspace(0, window, 7)
    back = hippo_reconstruct(c, measure, age, window=window)
    np.testing.assert_allclose(back, (1 - age) ** 2, rtol=0, atol=2e-5)


def test_periodic_signals_come_back_from_fourier_decay():
    # In the limit of N only: at N = 64 the kernels are a few per cent off their limit in the mean,
    # but the slow components that this signal has are well resolved.
    dt = 2e-3
    t = (np.arange(20_000) + 0.5) * dt
    c = hippo_project(1 + np.sin(np.pi * t), "fourier_decay", 64, dt, final=True)
    age = np.linspace(0, 4, 9)
    back = hippo_reconstruct(c, "fourier_decay", age)
    np.testing.assert_allclose(back, 1 + np.sin(np.pi * (40 - age)), rtol=0, atol=0.05)


def test_warped_projection_is_read_at_warped_ages():
    # For a = t^2 the polynomials are in (s/t)^2, so that a quadratic of time is one of degree 1.
    # Its means over the samples are held, an error of order h^2 again.
    L = 4000
    t = np.arange(L + 1) / L
    midpoint = (t[1:] + t[:-1]) / 2
    c = legs_project_online(midpoint**2, 4, warp=t**2, final=True)
    back = hippo_reconstruct(c, "legs_scaled", 1 - midpoint**2)
    np.testing.assert_allclose(back, midpoint**2, rtol=0, atol=1e-6)


def test_laguerre_polynomials_agree_with_scipy():
    s = np.linspace(0, 30, 50)
    rows = hippo_reconstruct(np.eye(9), "tlagt", s)
    expected = scipy.special.eval_laguerre(np.arange(9)[:, None], s)
    np.testing.assert_allclose(rows, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("measure", SLIDING + FADING)
def test_kinds_batches_and_shapes(xp, measure, rng):
    c = rng.standard_normal((2, 3, 8))
    age = rng.uniform(0, 2, (4, 5))
    expected = hippo_reconstruct(c, measure, age, window=2.0)
    assert expected.shape == (2, 3, 4, 5)
    scale = np.abs(expected).max()
    back = hippo_reconstruct(xp.asarray(c), measure, xp.asarray(age), window=2.0)
    np.testing.assert_allclose(xp.numpy(back), expected, rtol=0, atol=10 * scale * xp.tol)
    one = hippo_reconstruct(xp.asarray(c[1, 2]), measure, float(age[3, 4]), window=2.0)
    assert tuple(one.shape) == ()
    np.testing.assert_allclose(
        xp.numpy(one), expected[1, 2, 3, 4], rtol=0, atol=10 * scale * xp.tol
    )


@pytest.mark.parametrize("measure", SLIDING + FADING)
def test_gradients(measure, rng):
    c = torch.tensor(rng.standard_normal((2, 4)), requires_grad=True)
    age = torch.tensor([0.2, 1.1], dtype=torch.float64, requires_grad=True)
    window = torch.tensor(1.6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda c, age, window: hippo_reconstruct(c, measure, age, window=window), (c, age, window)
    )


def test_orders_one_and_two():
    for measure in ("legs_scaled", "legs", "lagt"):
        rows = hippo_reconstruct(np.eye(2), measure, 0.0)
        assert hippo_reconstruct(np.ones(1), measure, 0.0) == rows[0] == 1


def test_no_ages_and_no_signals():
    assert hippo_reconstruct(np.ones(4), "legt", np.ones(0)).shape == (0,)
    assert hippo_reconstruct(np.ones((0, 4)), "legt", np.ones(3)).shape == (0, 3)


def test_a_rounding_error_beyond_the_window_is_not_refused():
    age = np.arange(1, 11) * 0.1 * 3
    assert age.max() <= 3 * (1 + 1e-15)
    assert hippo_reconstruct(np.ones(3), "legt", age * (1 + 2e-16), window=3).shape == (10,)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"measure": "foud"}, ValueError, "measure must be one of.*legs_scaled.*; got 'foud'"),
        ({"measure": "legz"}, ValueError, "measure must be one of"),
        ({"c": np.ones(4) + 1j}, TypeError, "c must be real"),
        ({"c": np.array([np.nan, 1])}, ValueError, "c must be finite"),
        ({"c": 1.0}, ValueError, "c must have shape"),
        ({"c": np.ones((3, 0))}, ValueError, "c must have order"),
        ({"c": np.ones(3), "measure": "fout"}, ValueError, "c must have even order"),
        ({"age": -0.1}, ValueError, "age must not be negative"),
        ({"age": np.array([0.1, 1.1])}, ValueError, "age must be at most the window 1"),
        ({"age": 1j}, TypeError, "age must be real"),
        ({"age": torch.ones(2)}, TypeError, "mix"),
        ({"age": np.nan}, ValueError, "age must be finite"),
        ({"window": 0.0}, ValueError, "window must be positive"),
        ({"window": np.ones(2)}, ValueError, "window must be a single number"),
    ],
)
def test_bad_input(changes, error, words):
    arguments = {"c": np.ones(4), "measure": "legt", "age": 0.5, "window": 1.0} | changes
    window = arguments.pop("window")
    with pytest.raises(error, match=words):
        hippo_reconstruct(*arguments.values(), window=window)

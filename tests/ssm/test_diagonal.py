from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm import (
    hippo_low_rank,
    hippo_matrices,
    legs_spectrum,
    s4d_init,
    stable_real_part,
    unconstrained_real_part,
    vandermonde_kernel,
)
from ssm.diagonal import INITIALISATIONS, TRANSFORMS


@given(name=st.sampled_from(INITIALISATIONS), half=st.integers(1, 64))
def test_modes_decay_and_rotate_upward(name, half):
    N = 2 * half
    Lambda, B = s4d_init(name, N, rng=0)
    assert Lambda.shape == B.shape == ((N,) if name == "real" else (half,))
    assert Lambda.dtype == B.dtype == (np.float64 if name == "real" else np.complex128)
    if name == "real":
        np.testing.assert_array_equal(Lambda, np.diag(hippo_matrices("legs", N)[0]))
        return
    np.testing.assert_array_equal(Lambda.real, -0.5)
    assert np.all(Lambda.imag[1:] > 0)
    assert Lambda.imag[0] > 0 or name == "lin"
    if name != "legs":
        np.testing.assert_array_equal(B, 1)


def test_published_formulas_at_order_8():
    n, N = np.arange(4), 8
    expected = {
        "lin": [0, np.pi, 2 * np.pi, 3 * np.pi],
        "inv": [N / np.pi * (N / k - 1) for k in (1, 3, 5, 7)],
        "inv2": [N / np.pi * (N / k - 1) for k in (1, 2, 3, 4)],
        "quad": (1 + 2 * n) ** 2 / np.pi,
        "legs": legs_spectrum(8)[0],
    }
    for name, frequencies in expected.items():
        np.testing.assert_allclose(s4d_init(name, N)[0].imag, frequencies, rtol=1e-15)


@pytest.mark.parametrize(
    ("N", "top", "bottom"), [(16, 5.6e-2, 0.035), (64, 1.5e-2, 0.23), (256, 3.9e-3, 0.50)]
)
def test_inv_is_close_to_the_exact_spectrum_at_the_top_only(N, top, bottom):
    inv, exact = s4d_init("inv", N)[0].imag, s4d_init("legs", N)[0].imag
    assert abs(inv[0] / exact[-1] - 1) == pytest.approx(top, rel=0.02)
    assert abs(inv[-1] / exact[0] - 1) == pytest.approx(bottom, rel=0.02)


def test_legs_spectrum_gives_the_diagonal_systems_kernel():
    """The read-out P^T, whose coordinates are B/sqrt 2, of the system (A + P P^T, B)."""
    N, dt, L = 16, 0.01, 50
    A, B = hippo_matrices("legs", N)
    P, _ = hippo_low_rank("legs", N)
    w, V = np.linalg.eigh(-1j * (A + P.T @ P + np.eye(N) / 2))
    weights = np.abs(V.conj().T @ B) ** 2 / np.sqrt(2)
    t = dt * np.arange(L)
    expected = dt * (weights @ np.exp(np.outer(-0.5 + 1j * w, t))).real
    Lambda, Bt = s4d_init("legs", N)
    K = vandermonde_kernel(Lambda, Bt**2 / np.sqrt(2), L, dt=dt, discretization="impulse")
    np.testing.assert_allclose(K, expected, atol=1e-12 * np.abs(expected).max())


def test_real_modes_are_summed_plainly():
    Lambda, B = s4d_init("real", 3)
    K = vandermonde_kernel(Lambda, B, 5, dt=0.1, discretization="impulse", conj=False)
    t = 0.1 * np.arange(5)
    np.testing.assert_allclose(K, 0.1 * (np.exp(-t) + np.exp(-2 * t) + np.exp(-3 * t)), rtol=1e-14)
    with pytest.raises(ValueError, match="conj"):
        vandermonde_kernel(Lambda, B, 5, dt=0.1)


def test_random_frequencies_follow_the_seed():
    torch = pytest.importorskip("torch")
    first, _ = s4d_init("rand", 32, rng=3)
    np.testing.assert_array_equal(first, s4d_init("rand", 32, rng=np.random.default_rng(3))[0])
    assert not np.array_equal(first, s4d_init("rand", 32, rng=4)[0])
    seeded = [s4d_init("rand", 8, rng=torch.Generator().manual_seed(5))[0] for _ in range(2)]
    np.testing.assert_array_equal(*seeded)
    many = np.log(s4d_init("rand", 20_000, rng=0)[0].imag)
    assert abs(many.mean()) < 0.05
    assert many.std() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("name", INITIALISATIONS)
def test_result_follows_like(name, xp):
    exact = s4d_init(name, 16, rng=1)
    got = s4d_init(name, 16, rng=1, like=xp.asarray(np.zeros(1)))
    for array, reference in zip(got, exact, strict=True):
        np.testing.assert_allclose(xp.numpy(array), reference, rtol=xp.tol)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (("linear", 8), {}, ValueError, "name must be one of inv, inv2, legs, lin.*got 'linear'"),
        (("lin", 0), {}, ValueError, "N must be at least 1"),
        (("lin", 7), {}, ValueError, "N must be even.*got 7"),
        (("legs", 7), {}, ValueError, "N must be even.*got 7"),
        (("real", 0), {}, ValueError, "N must be at least 1"),
        (("lin", 8.0), {}, TypeError, "N must be an integer"),
        (("rand", 8), {"rng": "seed"}, TypeError, "rng must be"),
        (("lin", 8), {"like": "numpy"}, TypeError, "like must hold"),
    ],
)
def test_bad_initialisation(arguments, options, error, message):
    with pytest.raises(error, match=message):
        s4d_init(*arguments, **options)


@given(
    transform=st.sampled_from(TRANSFORMS),
    values=st.lists(st.floats(1e-3, 0.999), min_size=1, max_size=5),
)
def test_maps_invert_each_other(transform, values):
    real_part = -np.array(values)
    raw = unconstrained_real_part(real_part, transform=transform)
    np.testing.assert_allclose(stable_real_part(raw, transform=transform), real_part, rtol=1e-13)


@pytest.mark.parametrize("transform", ["exp", "softplus", "sigmoid", "relu"])
def test_real_part_is_negative_however_far_the_parameter_strays(transform):
    with np.errstate(all="raise"):
        real_part = stable_real_part(
            np.array([-700.0, -40.0, 0.0, 40.0, 700.0]), transform=transform
        )
    assert np.all(real_part < 0)
    assert np.all(np.isfinite(real_part))


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_maps_follow_their_input(transform, xp):
    raw = np.linspace(-3, 2, 12).reshape(3, 4)
    exact = stable_real_part(raw, transform=transform)
    got = stable_real_part(xp.asarray(raw), transform=transform)
    np.testing.assert_allclose(xp.numpy(got), exact, rtol=xp.tol, atol=1e-7 if xp.single else 0)
    back = xp.numpy(unconstrained_real_part(got, transform=transform))
    expected = np.maximum(raw, 0) if transform == "relu" else raw
    np.testing.assert_allclose(back, expected, atol=xp.tol)
    np.testing.assert_array_equal(
        stable_real_part(raw[::2, ::-1], transform=transform), exact[::2, ::-1]
    )


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_gradients(transform):
    torch = pytest.importorskip("torch")
    raw = torch.tensor([-2.0, 0.3, 1.7], dtype=torch.float64, requires_grad=True)
    real_part = torch.tensor([-0.9, -0.3, -0.01], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: stable_real_part(x, transform=transform), raw)
    assert torch.autograd.gradcheck(
        lambda x: unconstrained_real_part(x, transform=transform), real_part
    )


def test_gradient_at_zero_is_that_of_the_smooth_maps():
    torch = pytest.importorskip("torch")
    for transform, slope in (("softplus", -0.5), ("sigmoid", -0.25), ("exp", -1.0)):
        raw = torch.zeros(1, dtype=torch.float64, requires_grad=True)
        stable_real_part(raw, transform=transform).sum().backward()
        assert float(raw.grad) == pytest.approx(slope)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: stable_real_part(np.ones(2), transform="tanh"),
            ValueError,
            "transform must be one of exp",
        ),
        (lambda: stable_real_part(np.array([np.nan])), ValueError, "raw must be finite"),
        (lambda: stable_real_part(np.array([1j])), TypeError, "raw must be real"),
        (
            lambda: unconstrained_real_part(np.array([0.5])),
            ValueError,
            "real_part must be in the range",
        ),
        (
            lambda: unconstrained_real_part(np.array([0.0])),
            ValueError,
            "real_part must be in the range",
        ),
        (
            lambda: unconstrained_real_part(np.array([-2.0]), transform="sigmoid"),
            ValueError,
            "between -1.0 and 0.0; got values from -2.0",
        ),
        (
            lambda: unconstrained_real_part(np.array([-1e-5]), transform="relu"),
            ValueError,
            "range of transform 'relu'",
        ),
    ],
)
def test_bad_maps(call, error, message):
    with pytest.raises(error, match=message):
        call()

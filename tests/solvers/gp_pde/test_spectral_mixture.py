from __future__ import annotations

import dataclasses
import math
import warnings

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from solvers.gp_pde import (
    SpectralMixture,
    spectral_density,
    spectral_mixture_kernel,
    student_t_to_matern,
)

WEIGHTS, FREQS, SCALES = np.array([[0.7, 0.0, 1.6], [0.0, 3.0, 11.0], [0.4, 1.0, 0.15]])
ENVELOPES = [("gaussian", 2.5), ("matern", 0.5), ("matern", 2.5), ("matern", 4.5)]


def smoothness(envelope: str, nu: float) -> int:
    return 4 if envelope == "gaussian" else min(4, 2 * int(nu))


def mixture(envelope: str, nu: float) -> SpectralMixture:
    return SpectralMixture(WEIGHTS, FREQS, SCALES, envelope=envelope, nu=nu)


def exact(r: mp.mpf, w, mu, rho, envelope: str, nu: float, order: int) -> mp.mpf:
    """Derivative in mpmath of the textbook form with the Bessel function."""

    def one(x):
        if envelope == "gaussian":
            g = mp.exp(-2 * (mp.pi * mp.mpf(rho) * x) ** 2)
        else:
            z = 2 * mp.pi * mp.mpf(rho) * mp.sqrt(2 * mp.mpf(nu)) * abs(x)
            g = 2 ** (1 - mp.mpf(nu)) / mp.gamma(nu) * z**nu * mp.besselk(nu, z)
        return mp.mpf(w) * g * mp.cos(2 * mp.pi * mp.mpf(mu) * x)

    return mp.diff(one, r, order)


@pytest.mark.parametrize(("envelope", "nu"), [("gaussian", 1.5), ("matern", 2.5), ("matern", 6.5)])
def test_derivatives_are_those_of_the_textbook_form(envelope, nu):
    """Relative to the largest derivative."""
    for mu, rho in ((0.0, 0.7), (15.9, 0.05), (100.0, 0.4)):
        for order in range(5):
            kernel = SpectralMixture([1.0], [mu], [rho], envelope=envelope, nu=nu)
            largest = max(abs(kernel(0.0, order=order)), (2 * np.pi * (mu + rho)) ** order)
            for r in (1e-6, 0.013, 1.7):
                with mp.workdps(50):
                    expected = float(exact(mp.mpf(r), 1.0, mu, rho, envelope, nu, order))
                # Half a unit in the last place of m and of m r, and a few of the polynomials.
                bound = (8 + 2 * np.pi * mu * r) * np.finfo(float).eps * largest
                assert abs(kernel(r, order=order) - expected) <= bound


@pytest.mark.parametrize("nu", [1.5, 2.5, 3.5, 8.5])
def test_slopes_keep_their_digits_beside_zero(nu):
    r = np.array([1e-12, 1e-8, 1e-4])
    for order in (1, 3)[: int(nu)]:
        got = spectral_mixture_kernel(r, [1.0], [0.3], [0.4], envelope="matern", nu=nu, order=order)
        with mp.workdps(80):
            expected = [float(exact(mp.mpf(x), 1, 0.3, 0.4, "matern", nu, order)) for x in r]
        np.testing.assert_allclose(got, expected, rtol=1e-13)


@pytest.mark.parametrize(("envelope", "nu"), ENVELOPES)
def test_moments_of_the_density_are_the_derivatives_at_zero(envelope, nu):
    r""":math:`\kappa^{(2k)}(0) = (-1)^k \int (2\pi s)^{2k} S(s)\,ds`, and their highest order.

    Moments converge up to 2k = 2p: on the scale of the smoothness where the kernel stops.
    """
    kernel = mixture(envelope, nu)
    top = smoothness(envelope, nu)

    for k in range(top // 2 + 1):
        x = np.linspace(-40, 40, 40001)
        values = (2 * np.pi * np.sinh(x)) ** (2 * k) * kernel.density(np.sinh(x)) * np.cosh(x)
        moment = values.sum() * 0.002
        np.testing.assert_allclose((-1) ** k * moment, kernel(0.0, order=2 * k), rtol=1e-12)
    if envelope == "matern" and top < 4:
        with pytest.raises(ValueError, match=f"order must be at most {top} for the Matern"):
            kernel(0.0, order=top + 1)


def test_values_at_zero():
    """As written out by hand for the Gaussian and for Matern 5/2."""
    a, b, m = math.sqrt(5) * 2 * np.pi * SCALES, 2 * (np.pi * SCALES) ** 2, 2 * np.pi * FREQS
    matern, gaussian = mixture("matern", 2.5), mixture("gaussian", 0)
    known = {
        (matern, 2): -np.sum(WEIGHTS * (a**2 / 3 + m**2)),
        (matern, 4): np.sum(WEIGHTS * (a**4 + 2 * a**2 * m**2 + m**4)),
        (gaussian, 2): -np.sum(WEIGHTS * (2 * b + m**2)),
        (gaussian, 4): np.sum(WEIGHTS * (12 * b**2 + 12 * b * m**2 + m**4)),
    }
    for (kernel, order), value in known.items():
        np.testing.assert_allclose(kernel(0.0, order=order), value, rtol=1e-14)
        assert kernel(0.0, order=order - 1) == 0
        assert kernel(0.0) == WEIGHTS.sum()


@pytest.mark.parametrize("nu", [0.5, 2.5])
def test_density_and_kernel_are_a_fourier_pair(nu):
    r"""Wiener and Khinchin, by mpmath: :math:`\kappa(r) = \int S(s) \cos(2\pi sr)\,ds`.

    For :math:`\nu = 1/2` on the side of the kernel, which decays where its spectrum hardly does.
    """
    kernel = SpectralMixture([0.8], [1.5], [0.6], envelope="matern", nu=nu)
    with mp.workdps(15):
        for point in (0.2, 0.9):

            def integrand(s, point=point):
                other = kernel(float(s)) if nu == 0.5 else kernel.density(float(s))
                return float(other) * mp.cos(2 * mp.pi * s * point)

            value = 2 * mp.quad(integrand, mp.linspace(0, 12 if nu == 0.5 else 60, 31))
            expected = kernel.density(point) if nu == 0.5 else kernel(point)
            assert abs(value - expected) < (
                1e-13 if nu == 0.5 else 2e-11
            )  # s^-6 is left out beyond 60


@given(
    r=st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=5),
    seed=st.integers(0, 2**32),
    choice=st.sampled_from(ENVELOPES),
)
def test_parity_bound_and_homogeneity(r, seed, choice):
    rng = np.random.default_rng(seed)
    w, mu, rho = rng.uniform(0.01, 2, (3, 4))
    envelope, nu = choice
    kernel = SpectralMixture(w, mu, rho, envelope=envelope, nu=nu)
    double = SpectralMixture(2 * w, mu, rho, envelope=envelope, nu=nu)
    unit = SpectralMixture(w, 0.5 * mu, 0.5 * rho, envelope=envelope, nu=nu)
    r = np.array(r)
    for order in range(smoothness(envelope, nu) + 1):
        value = kernel(r, order=order)
        np.testing.assert_array_equal(kernel(-r, order=order), (-1) ** order * value)
        np.testing.assert_array_equal(double(r, order=order), 2 * value)
        np.testing.assert_allclose(2**order * unit(2 * r, order=order), value, rtol=1e-13)
        if order % 2 == 0:  # the spectrum of (-1)^k kappa^(2k) is not negative
            assert np.all(np.abs(value) <= abs(kernel(0.0, order=order)) * (1 + 1e-12))
    s = kernel.density(r)
    assert np.all(s >= 0)
    np.testing.assert_array_equal(kernel.density(-r), s)


def test_array_kinds(xp):
    kernel = mixture("matern", 2.5)
    r = np.linspace(-1, 2, 12).reshape(3, 4)
    parameters = [xp.asarray(v) for v in (WEIGHTS, FREQS, SCALES)]
    given_r = np.asarray(r, dtype=np.float32) if xp.single else r
    for order in (0, 1, 4):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            got = spectral_mixture_kernel(
                xp.asarray(r), *parameters, envelope="matern", order=order
            )
            by_object = kernel(xp.asarray(r), order=order)
        scale = abs(kernel(given_r.astype(float), order=order)).max()
        assert got.shape == (3, 4)
        for value in (got, by_object):
            error = xp.numpy(value) - kernel(given_r.astype(float), order=order)
            # float32 parameters are others than the float64 ones by half a unit in the last place
            assert np.abs(error).max() <= xp.tol * scale
    s = spectral_density(xp.asarray(r), *parameters, envelope="matern")
    np.testing.assert_allclose(xp.numpy(s), kernel.density(given_r), rtol=xp.tol)
    lengthscale, nu = student_t_to_matern(parameters[2], 5)
    np.testing.assert_allclose(xp.numpy(lengthscale), 1 / (2 * np.pi * SCALES), rtol=xp.tol)
    assert nu == 2.5


def test_batches_and_strides_and_groups_do_not_show():
    rng = np.random.default_rng(0)
    w, mu, rho = rng.uniform(0.1, 2, (3, 5, 1, 7))  # five kernels of seven components
    r = rng.standard_normal((5, 60))[:, ::2]
    got = spectral_mixture_kernel(r, w, mu, rho, order=3)
    looped = [
        spectral_mixture_kernel(r[i].copy(), w[i, 0], mu[i, 0], rho[i, 0], order=3)
        for i in range(5)
    ]
    np.testing.assert_allclose(got, looped, rtol=1e-13)
    long = rng.standard_normal(60_000)  # more than are taken with all components at a time
    whole = spectral_mixture_kernel(long, w[0, 0], mu[0, 0], rho[0, 0], order=3)
    pieces = [
        spectral_mixture_kernel(x, w[0, 0], mu[0, 0], rho[0, 0], order=3) for x in np.split(long, 6)
    ]
    np.testing.assert_allclose(whole, np.concatenate(pieces), atol=1e-12 * np.abs(whole).max())


def test_single_precision_warns_of_second_derivatives():
    r = np.linspace(0, 1, 3, dtype=np.float32)
    kernel = mixture("gaussian", 0)
    with pytest.warns(RuntimeWarning, match="single precision"):
        kernel(r, order=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kernel(r, order=1)
        kernel(r.astype(float), order=4)


@pytest.mark.parametrize(("envelope", "nu"), ENVELOPES)
def test_gradients(envelope, nu):
    """Autograd and the closed forms say the same, on the diagonal r = 0 too."""
    torch = pytest.importorskip("torch")
    top = smoothness(envelope, nu)
    r = torch.tensor([0.0, -0.3, 0.11], dtype=torch.float64, requires_grad=True)
    parameters = [torch.tensor(v[[0, 2]], requires_grad=True) for v in (WEIGHTS, FREQS, SCALES)]
    kernel = SpectralMixture(*parameters, envelope=envelope, nu=nu)
    for order in range(top):
        got = torch.autograd.grad(kernel(r, order=order).sum(), r)[0]
        expected = kernel(r, order=order + 1)
        largest = (
            float(abs(kernel(r.detach(), order=order + 1 + (order + 1) % 2)).detach().max())
            if (order + 2 <= top)
            else float(abs(expected).detach().max())
        )
        torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12 * largest)
    moved = r.detach()[1:].clone().requires_grad_()
    scaled = [v.detach()[:1].clone().requires_grad_() for v in parameters]

    def derivative(r, *parameters):
        return spectral_mixture_kernel(r, *parameters, envelope=envelope, nu=nu, order=min(top, 2))

    assert torch.autograd.gradcheck(derivative, (moved, *scaled))
    for value in kernel.density(r), kernel(r):
        assert value.requires_grad


def test_second_derivative_of_autograd_is_right_on_the_diagonal():
    """-357.0 for Matern 5/2 times cos(2 pi 3 r) with length scale 1, where |r| gives 0."""
    torch = pytest.importorskip("torch")
    kernel = SpectralMixture([1.0], [3.0], [1 / (2 * np.pi)], envelope="matern", nu=2.5)
    x = torch.zeros((), dtype=torch.float64, requires_grad=True)
    value = kernel(x)
    (slope,) = torch.autograd.grad(value, x, create_graph=True)
    (bend,) = torch.autograd.grad(slope, x)
    np.testing.assert_allclose(float(bend), -(5 / 3 + (6 * np.pi) ** 2), rtol=1e-13)
    assert abs(float(bend) + 357.0) < 0.05


def test_transforms_of_torch():
    torch = pytest.importorskip("torch")
    kernel = mixture("matern", 2.5)
    r = torch.linspace(-1, 1, 5, dtype=torch.float64)
    bend = torch.func.vmap(torch.func.grad(torch.func.grad(kernel)))(r)
    torch.testing.assert_close(bend, kernel(r, order=2), rtol=1e-10, atol=1e-9)


def test_kernel_is_frozen_and_its_parameters_are_its_own():
    weights = WEIGHTS.copy()
    kernel = SpectralMixture(weights, list(FREQS), SCALES)
    before = kernel(0.0)
    weights[:] = 9
    assert kernel(0.0) == before
    with pytest.raises(ValueError, match="read-only"):
        kernel.weights[0] = 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        kernel.nu = 1.5
    assert kernel.envelope == "gaussian"


def test_far_away_nothing_overflows():
    kernel = SpectralMixture([1.0], [0.5], [3.0], envelope="matern", nu=20.5)
    with np.errstate(all="raise", under="ignore"):
        assert np.all(kernel(np.array([1e3, 1e200]), order=3) == 0)


BAD = [
    ({"weights": [-1.0]}, ValueError, "weights must not be negative"),
    ({"weights": [np.nan]}, ValueError, "weights must be finite"),
    ({"weights": [1j]}, TypeError, "weights must be real"),
    ({"weights": [1.0, 2.0]}, ValueError, "freqs must have shape"),
    ({"weights": 1.0}, ValueError, "weights must have shape"),
    ({"weights": [], "freqs": [], "scales": []}, ValueError, "weights must"),
    ({"freqs": [np.inf]}, ValueError, "freqs must be finite"),
    ({"scales": [0.0]}, ValueError, "scales must be positive"),
    ({"scales": [[1.0]] * 2}, ValueError, "scales must have shape|must broadcast|broadcast"),
    ({"envelope": "box"}, ValueError, "envelope must be one of gaussian, matern"),
    ({"envelope": "matern", "nu": 2.0}, ValueError, "nu must be a half-integer"),
    ({"envelope": "matern", "nu": -0.5}, ValueError, "nu must be a half-integer"),
    ({"envelope": "matern", "nu": "5/2"}, TypeError, "nu must be a real number"),
]


@pytest.mark.parametrize(("change", "error", "message"), BAD)
def test_bad_mixture(change, error, message):
    arguments = {"weights": [1.0], "freqs": [1.0], "scales": [1.0]} | change
    with pytest.raises(error, match=message):
        SpectralMixture(**arguments)
    for function in (spectral_mixture_kernel, spectral_density):
        with pytest.raises(error, match=message):
            function(np.zeros(3), **arguments)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda k: k(0.0, order=5), ValueError, "order must be at most 4, got 5"),
        (lambda k: k(0.0, order=-1), ValueError, "order must be at least 0"),
        (lambda k: k(0.0, order=1.0), TypeError, "order must be an integer"),
        (lambda k: k(np.nan), ValueError, "r must be finite"),
        (lambda k: k(np.array([1j])), TypeError, "r must be real"),
        (lambda k: k.density("1"), TypeError, "s must"),
        (lambda k: student_t_to_matern(-1.0, 5), ValueError, "rho must be positive"),
        (lambda k: student_t_to_matern(1.0, 0), ValueError, "dof must be positive"),
    ],
)
def test_bad_calls(call, error, message):
    with pytest.raises(error, match=message):
        call(mixture("gaussian", 0))


def test_torch_parameters_need_torch():
    torch = pytest.importorskip("torch")
    parameters = [torch.as_tensor(v) for v in (WEIGHTS, FREQS, SCALES)]
    kernel = SpectralMixture(*parameters)
    assert kernel(0.5).dtype == torch.float64
    single = kernel(torch.tensor([0.5], dtype=torch.float32))
    assert single.dtype == torch.float32
    with pytest.raises(TypeError, match="mix array libraries"):
        kernel(np.zeros(2))

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import roots_genlaguerre

from numerics import expm
from ssm import hippo_basis, hippo_matrices, hippo_measure
from ssm.hippo import MEASURES

PARAMETERS = {"tlagt": {"beta": 0.6}, "glagt": {"alpha": -0.3, "beta": 0.5}}


def parameters(measure: str) -> dict[str, float]:
    return PARAMETERS.get(measure, {})


@given(
    measure=st.sampled_from(MEASURES),
    half=st.integers(1, 10),
    window=st.floats(0.1, 10),
    ages=st.lists(st.floats(0, 5), min_size=1, max_size=4),
)
def test_kernels_are_the_matrix_exponential(measure, half, window, ages):
    N, t = 2 * half, np.array(ages) * window
    options = {"window": window, **parameters(measure)}
    A, B = hippo_matrices(measure, N, **options)
    expected = np.stack([expm(A * x) @ B for x in t], axis=1)
    K = hippo_basis(measure, N, t, **options)
    np.testing.assert_allclose(K, expected, atol=1e-12 * np.abs(B).max())


@pytest.mark.parametrize("measure", ["legs", "legt", "lmu", "fout", "fourier_decay", "glagt"])
def test_kernels_against_forty_digits(measure):
    N, t = 16, np.array([1e-7, 0.3, 0.75, 2.0])
    options = parameters(measure)
    A, B = hippo_matrices(measure, N, **options)
    K = hippo_basis(measure, N, t, **options)
    with mpmath.workdps(40):
        for j, x in enumerate(t):
            exact = mpmath.expm(mpmath.matrix(A.tolist()) * x) * mpmath.matrix(B.tolist())
            error = np.abs(K[:, j] - np.array([float(value) for value in exact]))
            assert error.max() <= 3e-14 * np.abs(B).max()


@pytest.mark.parametrize("age", [1e-6, 0.001, 0.3, 0.693, 0.7, 2.0, 9.0])
def test_legs_of_order_1024(age):
    n = 1023
    with mpmath.workdps(40):
        x = mpmath.mpf(age)
        exact = mpmath.sqrt(2 * n + 1) * mpmath.legendre(n, 2 * mpmath.exp(-x) - 1) * mpmath.exp(-x)
    assert hippo_basis("legs", 1024, np.array([age]))[n, 0] == pytest.approx(
        float(exact), abs=1e-13 * np.sqrt(2 * n + 1)
    )


@pytest.mark.parametrize("age", [0.001, 3.0, 700.0, 2000.0, 4000.0, 4200.0])
def test_laguerre_of_order_1024(age):
    """At t = 2000 the factor exp(-t/2) underflows while its product with L_1023 is 0.01."""
    with mpmath.workdps(40):
        exact = mpmath.laguerre(1023, 0, mpmath.mpf(age)) * mpmath.exp(-mpmath.mpf(age) / 2)
    assert hippo_basis("lagt", 1024, np.array([age]))[1023, 0] == pytest.approx(
        float(exact), rel=1e-10, abs=1e-14
    )


@pytest.mark.parametrize("measure", MEASURES)
def test_the_remote_past_is_forgotten(measure):
    K = hippo_basis(measure, 16, np.array([1e4, 1e12, 1e200]), **parameters(measure))
    assert np.all(np.abs(K) < 1e-300)


def test_legs_is_orthonormal_to_its_weight():
    nodes, weights = np.polynomial.legendre.leggauss(130)
    t = -np.log((nodes + 1) / 2)
    p = hippo_basis("legs", 128, t) / hippo_measure("legs", t)
    np.testing.assert_allclose((weights / 2 * p) @ p.T, np.eye(128), atol=1e-12)


@pytest.mark.parametrize(("alpha", "beta"), [(0.0, 1.0), (-0.5, 0.4), (0.6, 2.0)])
def test_generalised_laguerre_is_orthonormal_to_its_weight(alpha, beta):
    """p_n p_k w is a polynomial times t^alpha e^{-t}."""
    nodes, weights = roots_genlaguerre(16, alpha)
    K = hippo_basis("glagt", 12, nodes, alpha=alpha, beta=beta)
    w = hippo_measure("glagt", nodes, alpha=alpha, beta=beta)
    quadrature = weights * np.exp(nodes) * nodes**-alpha / w
    np.testing.assert_allclose((quadrature * K) @ K.T, np.eye(12), atol=1e-12)


@pytest.mark.parametrize(
    ("measure", "functions"),
    [
        ("legt", lambda n, t: np.sqrt(2 * n + 1) * np.polynomial.Legendre.basis(n)(1 - 2 * t)),
        ("lmu", lambda n, t: (2 * n + 1) * np.polynomial.Legendre.basis(n)(2 * t - 1)),
        ("fout", lambda n, t: [1 + 0 * t, 0 * t, 2**0.5 * np.cos(2 * np.pi * t)][n]),
        ("fourier_decay", lambda n, t: [1 + 0 * t, 0 * t, 2**0.5 * np.cos(np.pi * t)][n]),
    ],
)
def test_truncated_measures_tend_to_their_limits(measure, functions):
    """In the mean over [0, 4]: the jumps keep a Gibbs overshoot, so the rate is N^{-1/2}."""
    t = (np.arange(800) + 0.5) / 200
    errors = []
    for N in (32, 128):
        K = hippo_basis(measure, N, t)
        limits = [functions(n, t) * hippo_measure(measure, t) for n in range(3)]
        errors.append(np.sqrt(np.mean((K[:3] - np.stack(limits)) ** 2)))
    assert errors[1] < 0.65 * errors[0]


@pytest.mark.parametrize("measure", MEASURES)
def test_result_follows_the_times(measure, xp):
    t = np.linspace(0, 3, 12).reshape(3, 4)
    options = {"window": 1.3, **parameters(measure)}
    exact = hippo_basis(measure, 8, t, **options)
    got = xp.numpy(hippo_basis(measure, 8, xp.asarray(t), **options))
    assert got.shape == (8, 3, 4)
    scale = np.abs(exact).max()
    np.testing.assert_allclose(got, exact, atol=10 * xp.tol * scale)
    weight = xp.numpy(hippo_measure(measure, xp.asarray(t + 0.01), **options))
    np.testing.assert_allclose(
        weight, hippo_measure(measure, t + 0.01, **options), atol=xp.tol * scale
    )


@pytest.mark.parametrize("measure", MEASURES)
def test_strided_scalar_and_empty_times(measure):
    t = np.linspace(0, 2, 10)
    options = parameters(measure)
    K = hippo_basis(measure, 4, t, **options)
    np.testing.assert_allclose(hippo_basis(measure, 4, t[::-2], **options), K[:, ::-2], atol=1e-13)
    np.testing.assert_allclose(hippo_basis(measure, 4, t[3], **options), K[:, 3], atol=1e-13)
    assert hippo_basis(measure, 4, t[:0], **options).shape == (4, 0)
    assert hippo_measure(measure, t[:0], **options).shape == (0,)


@pytest.mark.parametrize("measure", MEASURES)
def test_gradients(measure):
    torch = pytest.importorskip("torch")
    t = torch.tensor([0.1, 0.8, 1.7], dtype=torch.float64, requires_grad=True)
    scalars = [torch.tensor(1.3, dtype=torch.float64, requires_grad=True)]
    names = ["window"]
    for name, value in parameters(measure).items():
        scalars.append(torch.tensor(value, dtype=torch.float64, requires_grad=True))
        names.append(name)

    def kernels(t, *values):
        return hippo_basis(measure, 4, t, **dict(zip(names, values, strict=True)))

    def weight(t, *values):
        return hippo_measure(measure, t, **dict(zip(names, values, strict=True)))

    assert torch.autograd.gradcheck(kernels, (t, *scalars))
    assert torch.autograd.gradgradcheck(kernels, (t, *scalars))
    assert torch.autograd.gradcheck(weight, (t, *scalars))


@pytest.mark.parametrize("measure", [m for m in MEASURES if m not in ("lagt", "foud")])
def test_weights_have_mass_one(measure):
    """By midpoints in the square root of t, which tames the singularity t^0.3 of glagt."""
    edge = np.linspace(0, 8, 40_001)
    root = (edge[1:] + edge[:-1]) / 2
    weight = hippo_measure(measure, root**2, window=1.5, **parameters(measure))
    assert np.sum(weight * 2 * root) * edge[1] == pytest.approx(1, abs=2e-4)


def test_weight_before_now_and_at_its_singularity():
    t = np.array([-1.0, 0.0])
    np.testing.assert_array_equal(hippo_measure("legs", t, window=0.5), [0, 2])
    np.testing.assert_array_equal(hippo_measure("glagt", t, alpha=0.5), [0, np.inf])
    np.testing.assert_array_equal(hippo_measure("glagt", t, alpha=-0.5), [0, 0])
    staircase = hippo_measure("fourier_decay", np.array([0.0, 1.9, 2.0, 4.5]))
    np.testing.assert_allclose(27 * staircase, [9, 9, 3, 1], rtol=1e-15)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"t": np.array([0.1, -0.1])}, ValueError, "t must not be negative, got -0.1"),
        ({"t": np.array([np.nan])}, ValueError, "t must be finite"),
        ({"t": np.array([1j])}, TypeError, "t must be real"),
        ({"t": np.array(["a"])}, TypeError, "t must hold"),
        ({"N": 0}, ValueError, "N must be at least 1"),
        ({"measure": "fout", "N": 3}, ValueError, "N must be even"),
        ({"measure": "hermite"}, ValueError, "measure must be one of .*legs"),
        ({"window": 0}, ValueError, "window must be positive"),
        ({"measure": "glagt", "alpha": -1}, ValueError, "alpha must be in"),
        ({"measure": "legs", "beta": 2.0}, ValueError, "beta is for measures"),
    ],
)
def test_bad_input(options, error, message):
    arguments = {"measure": "legs", "N": 4, "t": np.linspace(0, 1, 3), **options}
    measure, N, t = (arguments.pop(name) for name in ("measure", "N", "t"))
    with pytest.raises(error, match=message):
        hippo_basis(measure, N, t, **arguments)
    if "N" not in options and message != "t must not be negative, got -0.1":
        with pytest.raises(error, match=message):
            hippo_measure(measure, t, **arguments)


def test_mixed_libraries():
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match="mix array libraries"):
        hippo_basis("legs", 4, np.ones(2), window=torch.tensor(1.0))

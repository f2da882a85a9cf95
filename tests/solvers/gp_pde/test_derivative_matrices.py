from __future__ import annotations

import warnings

import mpmath as mp
import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

from solvers.gp_pde import (
    SpectralMixture,
    kernel_derivative_matrix,
    kernel_differentiation_matrix,
)
from solvers.gp_pde._mixture import MAX_ORDER

KERNEL = SpectralMixture([0.7, 1.6], [0.0, 3.0], [0.4, 0.6], envelope="matern", nu=4.5)


def entries(x, y, kernel, a, b):
    return (-1) ** b * kernel(np.subtract.outer(x, y), order=a + b)


class Counting:
    """A kernel that counts what it is asked."""

    def __init__(self):
        self.evaluations = 0

    def __call__(self, r, order=0):
        self.evaluations += r.size
        return KERNEL(r, order=order)


@given(n=st.integers(1, 9), m=st.integers(1, 9), seed=st.integers(0, 2**32))
def test_entries_and_symmetry(n, m, seed):
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(-1, 1, n), rng.uniform(-1, 1, m)
    for a in range(3):
        for b in range(3):
            got = kernel_derivative_matrix(x, y, KERNEL, order=(a, b))
            np.testing.assert_array_equal(got, entries(x, y, KERNEL, a, b))
            mirrored = kernel_derivative_matrix(y, x, KERNEL, order=(b, a))
            np.testing.assert_allclose(got, mirrored.T, rtol=1e-12)


def test_derivative_of_differences_of_the_kernel():
    """By central differences in x, then in x', of fourth order."""
    x, y = np.array([0.1, 0.7]), np.array([0.2, 0.25, 1.3])
    h = 1e-3

    def central(f, t):
        return (8 * (f(t + h) - f(t - h)) - (f(t + 2 * h) - f(t - 2 * h))) / (12 * h)

    def covariance(x, y, *order):
        return kernel_derivative_matrix(x, y, KERNEL, order=order)

    by_x = central(lambda t: covariance(t, y, 1, 1), x)
    np.testing.assert_allclose(by_x, covariance(x, y, 2, 1), atol=1e-4)
    by_y = central(lambda t: covariance(x, t, 1, 1), y)
    np.testing.assert_allclose(by_y, covariance(x, y, 1, 2), atol=1e-4)


@pytest.mark.parametrize("offset", [0.0, 0.37])
@pytest.mark.parametrize("stop", [2 * np.pi, -3.0])
def test_uniform_grids_take_one_evaluation_a_diagonal(offset, stop):
    kernel = Counting()
    x = np.linspace(0, stop, 40)
    y = np.linspace(0, stop, 40)[:23] + offset
    for order in ((0, 0), (1, 0), (2, 2), (0, 3)):
        kernel.evaluations = 0
        got = kernel_derivative_matrix(x, y, kernel, order=order)
        assert kernel.evaluations == 40 + 23 - 1
        dense = entries(x, y, KERNEL, *order)
        # The grids are off by a unit in the last place here and there, the phase by 20 times that.
        scale = abs(KERNEL(0.0, order=sum(order) + sum(order) % 2)) * 20
        np.testing.assert_allclose(got, dense, atol=1e-14 * scale)
    square = kernel_derivative_matrix(x, x, KERNEL)
    np.testing.assert_array_equal(square, square.T)
    np.testing.assert_array_equal(square, scipy.linalg.toeplitz(square[0]))


@pytest.mark.parametrize("change", ["one point", "spacing", "batch"])
def test_other_points_take_one_evaluation_an_entry(change):
    kernel = Counting()
    x, y = np.linspace(0, 1, 12), np.linspace(0, 1, 12)
    if change == "one point":
        x[3] += 1e-12
    elif change == "spacing":
        y = y * (1 + 1e-12)
    else:
        x = x[None]
    got = kernel_derivative_matrix(x, y, kernel, order=(1, 1))
    assert kernel.evaluations == 144
    expected = entries(x.ravel(), y, KERNEL, 1, 1)
    np.testing.assert_array_equal(got.reshape(12, 12), expected)


def test_batches_and_strides_do_not_show():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((3, 10))[:, ::2], rng.standard_normal((2, 1, 4))
    got = kernel_derivative_matrix(x, y, KERNEL, order=(2, 1))
    assert got.shape == (2, 3, 5, 4)
    for i in range(2):
        for j in range(3):
            one = kernel_derivative_matrix(x[j].copy(), y[i, 0].copy(), KERNEL, order=(2, 1))
            np.testing.assert_array_equal(got[i, j], one)


def test_array_kinds(xp):
    x = xp.asarray(np.linspace(0, 1, 8) ** 1.2)
    y = xp.asarray(np.linspace(0, 1, 5))
    host_x, host_y = xp.numpy(x).astype(float), xp.numpy(y).astype(float)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        got = kernel_derivative_matrix(x, y, KERNEL, order=(2, 1))
        D = kernel_differentiation_matrix(x, KERNEL, 2, jitter=1e-8)
    expected = entries(host_x, host_y, KERNEL, 2, 1)
    np.testing.assert_allclose(xp.numpy(got), expected, atol=xp.tol * np.abs(expected).max())
    reference = kernel_differentiation_matrix(host_x, KERNEL, 2, jitter=1e-8)
    np.testing.assert_allclose(xp.numpy(D), reference, atol=xp.tol * np.abs(reference).max())


def test_gram_matrix_of_an_operator_is_positive():
    """Values at the ends and second derivatives inside, scaled to a unit diagonal."""
    kernel = SpectralMixture([1.0, 0.2], [0.0, 16.0], [1.0, 1.0])
    x, ends = np.linspace(0, 1, 62)[1:-1], np.array([0.0, 1.0])
    blocks = [
        [kernel_derivative_matrix(s, t, kernel, order=(a, b)) for t, b in ((ends, 0), (x, 2))]
        for s, a in ((ends, 0), (x, 2))
    ]
    gram = np.block(blocks)
    scale = np.sqrt(np.diag(gram))
    scaled = gram / np.outer(scale, scale)
    np.testing.assert_allclose(scaled, scaled.T, atol=1e-14)
    assert np.linalg.eigvalsh(scaled).min() > -1e-13 * len(gram)


@pytest.mark.parametrize("order", [1, 2])
def test_differentiation_is_exact_on_the_span_of_the_kernel(order):
    x = np.sort(np.random.default_rng(2).uniform(0, 2, 14))
    K = kernel_derivative_matrix(x, x, KERNEL)
    expected = kernel_derivative_matrix(x, x, KERNEL, order=(order, 0))
    D = kernel_differentiation_matrix(x, KERNEL, order)
    # Backward stable: K is as good as changed by its rounding, D times which is the error.
    bound = 20 * np.finfo(float).eps * np.linalg.norm(D, 2) * np.linalg.norm(K, 2)
    assert np.linalg.norm(D @ K - expected, 2) <= bound


def test_differentiation_in_high_precision():
    x = np.array([0.0, 0.2, 0.35, 0.6, 1.0])
    with mp.workdps(40):
        # The points' kernel values in double precision would do for K; mpmath has its own.
        def kappa(r, order):
            return mp.diff(lambda t: mp.exp(-2 * mp.pi**2 * t**2) * mp.cos(2 * mp.pi * t), r, order)

        matrices = [
            mp.matrix([[kappa(mp.mpf(a) - mp.mpf(b), n) for b in x] for a in x]) for n in (0, 2)
        ]
        exact = np.array((matrices[1] * matrices[0] ** -1).tolist(), dtype=float)
    D = kernel_differentiation_matrix(x, SpectralMixture([1.0], [1.0], [1.0]), 2)
    np.testing.assert_allclose(D, exact, atol=1e-14 * 10 * np.abs(exact).max())


def test_zeroth_derivative_is_the_identity_and_the_second_is_no_square():
    x = np.linspace(0, 1, 6)
    np.testing.assert_allclose(kernel_differentiation_matrix(x, KERNEL, 0), np.eye(6), atol=1e-11)
    first, second = (kernel_differentiation_matrix(x, KERNEL, n) for n in (1, 2))
    assert np.abs(first @ first - second).max() > 1.0


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_singular_matrices_are_refused_and_jitter_costs_digits(library):
    x = np.linspace(0, 2 * np.pi, 100)
    smooth = SpectralMixture([1.0], [0.0], [0.2])
    points = x
    if library == "torch":
        points = pytest.importorskip("torch").as_tensor(x)
    with pytest.raises(np.linalg.LinAlgError, match=r"100 points is not positive definite.*1e-13"):
        kernel_differentiation_matrix(points, smooth, 2)
    errors = []
    for jitter in (1e-13, 1e-10, 1e-6):
        D = np.asarray(kernel_differentiation_matrix(points, smooth, 2, jitter=jitter))
        errors.append(np.abs(D @ np.sin(x) + np.sin(x))[10:-10].max())
    assert errors[0] < 3e-6 < errors[1] < 1e-4 < errors[2] < 1e-2


def test_gradients():
    torch = pytest.importorskip("torch")
    x = torch.linspace(0, 1, 4, dtype=torch.float64)
    y = torch.tensor([0.1, 0.7], dtype=torch.float64, requires_grad=True)
    mixture = [torch.tensor([v], dtype=torch.float64, requires_grad=True) for v in (0.7, 0.5, 1.1)]

    def matrices(*mixture):
        kernel = SpectralMixture(*mixture, envelope="matern", nu=2.5)
        uniform = kernel_derivative_matrix(x, x, kernel, order=(1, 1))
        return uniform, kernel_differentiation_matrix(x, kernel, 1, jitter=1e-3)

    assert torch.autograd.gradcheck(matrices, mixture)
    assert torch.autograd.gradcheck(
        lambda y: kernel_derivative_matrix(x, y, KERNEL, order=(1, 1)), y
    )
    grid = x.clone().requires_grad_()  # moved by the gradient, it would be uniform no more
    assert torch.autograd.gradcheck(lambda g: kernel_derivative_matrix(g, g, KERNEL), grid)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda D, K: K([0.0, np.nan], [0.0], KERNEL), ValueError, "x must be finite"),
        (lambda D, K: K([0.0], [1j], KERNEL), TypeError, "y must be real"),
        (lambda D, K: K([0.0], 1.0, KERNEL), ValueError, "y must have shape"),
        (lambda D, K: K([0.0], [1.0], 3.0), TypeError, "kernel must be callable"),
        (lambda D, K: K([0.0], [1.0], KERNEL, order=2), ValueError, "order must be a pair"),
        (lambda D, K: K([0.0], [1.0], KERNEL, order=(1, -1)), ValueError, r"order\[1\]"),
        (lambda D, K: K([0.0], [1.0], KERNEL, order=(1.0, 1)), TypeError, r"order\[0\]"),
        (lambda D, K: K([0.0], [1.0], KERNEL, order=(3, 2)), ValueError, f"most {MAX_ORDER}"),
        (lambda D, K: D([[0.0]], KERNEL, 1), ValueError, "x must have shape"),
        (lambda D, K: D([], KERNEL, 1), ValueError, "x must have shape"),
        (lambda D, K: D([0.0, 1.0], KERNEL, -1), ValueError, "order must be at least 0"),
        (lambda D, K: D([0.0, 1.0], KERNEL, 1, jitter=-1e-9), ValueError, "jitter must not be"),
        (lambda D, K: D([0.0, 0.0], KERNEL, 1), np.linalg.LinAlgError, "not positive definite"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call(kernel_differentiation_matrix, kernel_derivative_matrix)


def test_single_precision_warns_of_second_derivatives():
    x = np.linspace(0, 1, 4, dtype=np.float32)
    with pytest.warns(RuntimeWarning, match="single precision"):
        kernel_derivative_matrix(x, x, KERNEL, order=(1, 1))

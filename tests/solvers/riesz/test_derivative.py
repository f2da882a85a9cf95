from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import BSpline
from scipy.special import rgamma

from numerics import greville_abscissae, open_uniform_knots
from solvers import bspline_fractional_derivative

# One cell, fewer cells than the degree, as many, one more, and enough for the moment series.
SPACES = [(1, 1), (9, 1), (1, 2), (40, 2), (2, 3), (3, 3), (30, 3), (5, 4), (24, 5), (4, 6), (7, 6)]
SPACES += [(30, 6), (5, 8), (9, 8), (24, 8), (3, 10), (24, 10)]
ORDERS = [(alpha, "riemann-liouville") for alpha in (0.3, 0.9, 1.1, 1.5, 1.999)]
ORDERS += [(alpha, "caputo") for alpha in (0.6, 1.4)]


def points(n: int, rng: np.random.Generator) -> np.ndarray:
    """Near both ends, just after a knot, just before one, and two at random; no power of two
    as a denominator, so that the last digit of x counts."""
    y = np.array([0.03, 0.3 * n, n // 2 + 1e-3, n // 2 + 0.9995, n - 0.07, *rng.uniform(0, n, 2)])
    return y / n


@pytest.mark.parametrize(("n", "p"), SPACES)
def test_left_derivatives_against_fifty_digits(n, p, precise_left, rng):
    x = points(n, rng)
    for alpha, kind in ORDERS:
        D = bspline_fractional_derivative(x, n, p, alpha, side="left", kind=kind) / n**alpha
        # The oracle starts from the product x n that the function forms.
        reference = np.array(
            [[float(precise_left(n, p, alpha, j, y, kind)) for j in range(n + p)] for y in x * n]
        )
        # A boundary spline has slopes of up to p and second derivatives of up to p^2, whose
        # contributions cancel next to the end it belongs to.
        scale = 1 + np.abs(reference).max()
        np.testing.assert_allclose(D, reference, rtol=0, atol=2e-14 * scale)
        # Away from the support nothing cancels: each has its own digits.
        away = x[:, None] * n - (np.arange(n + p) + 1) > 0.5
        if kind == "riemann-liouville":
            np.testing.assert_allclose(D[away], reference[away], rtol=1e-13)


@pytest.mark.parametrize(("n", "p"), [(1, 2), (3, 3), (20, 4), (5, 8)])
@pytest.mark.parametrize("alpha", [0.4, 1.1, 1.5, 1.99])
@pytest.mark.parametrize("kind", ["riemann-liouville", "caputo"])
def test_riesz_against_fifty_digits(n, p, alpha, kind, precise_riesz):
    x = np.array([1, 7, 20, 31]) / 32
    D = bspline_fractional_derivative(x, n, p, alpha, kind=kind)
    reference = (
        np.array(
            [[float(precise_riesz(n, p, alpha, j, y, kind)) for j in range(n + p)] for y in x * n]
        )
        * n**alpha
    )
    # Both sides cancel near alpha = 1, by 1 / |cos(pi alpha / 2)|.
    tolerance = 1e-14 / abs(math.cos(math.pi * alpha / 2)) * np.abs(reference).max()
    np.testing.assert_allclose(D, reference, rtol=0, atol=tolerance)


@given(
    n=st.integers(1, 60),
    p=st.integers(2, 10),
    alpha=st.floats(0.05, 1.98),
    x=st.floats(0.01, 0.99),
)
def test_constants_and_lines(n, p, alpha, x):
    """The splines sum to 1, and with their Greville abscissae to x: all of them are checked,
    those at the ends included."""
    left = bspline_fractional_derivative(np.array([x]), n, p, alpha, side="left")[0]
    one = x**-alpha * rgamma(1 - alpha)
    line = x ** (1 - alpha) * rgamma(2 - alpha)
    largest = np.abs(left).max()
    np.testing.assert_allclose(left.sum(), one, rtol=0, atol=1e-12 * largest)
    np.testing.assert_allclose(left @ greville_abscissae(n, p), line, rtol=0, atol=1e-12 * largest)
    caputo = bspline_fractional_derivative(np.array([x]), n, p, alpha, side="left", kind="caputo")[
        0
    ]
    np.testing.assert_allclose(caputo.sum(), 0, rtol=0, atol=1e-12 * np.abs(caputo).max())


@given(n=st.integers(1, 40), p=st.integers(2, 8), alpha=st.floats(1.02, 1.98))
def test_right_is_the_mirror_image_of_left(n, p, alpha):
    x = (np.arange(8) + 0.5) / 8
    left = bspline_fractional_derivative(x, n, p, alpha, side="left")
    right = bspline_fractional_derivative(1 - x, n, p, alpha, side="right")
    np.testing.assert_array_equal(right[:, ::-1], left)
    riesz = bspline_fractional_derivative(x, n, p, alpha)
    both = left + right[::-1]
    expected = both / (2 * math.cos(math.pi * alpha / 2))
    np.testing.assert_allclose(riesz, expected, rtol=0, atol=1e-13 * np.abs(riesz).max())


@pytest.mark.parametrize("p", [3, 4, 6])
def test_orders_0_1_and_2_are_ordinary_derivatives(p):
    """The positive sign: R tends to minus the second derivative."""
    n, x = 7, np.array([0.11, 0.4, 0.83])
    basis = BSpline(open_uniform_knots(n, p), np.eye(n + p), p)
    first = bspline_fractional_derivative(x, n, p, 1.0, side="left")
    np.testing.assert_allclose(first, basis(x, nu=1), rtol=0, atol=1e-13 * n * p)
    right = bspline_fractional_derivative(x, n, p, 1.0, side="right", kind="caputo")
    np.testing.assert_allclose(right, -basis(x, nu=1), rtol=0, atol=1e-13 * n * p)
    second = basis(x, nu=2)
    nearly_two = bspline_fractional_derivative(x, n, p, 2 - 1e-9)
    np.testing.assert_allclose(nearly_two, -second, rtol=0, atol=1e-6 * np.abs(second).max())
    nearly_zero = bspline_fractional_derivative(x, n, p, 1e-9, side="left")
    np.testing.assert_allclose(nearly_zero, basis(x), rtol=0, atol=1e-7)


def test_positive_where_the_laplacian_is(riesz_of_bump, bump):
    """R u for u = x^4 (1 - x)^4, which the splines of degree 8 hold, by its closed form."""
    alpha, n, p = 1.5, 1, 8
    x = np.linspace(0.05, 0.95, 7)
    nodes = np.linspace(0.05, 0.95, n + p)
    basis = BSpline.design_matrix(nodes, open_uniform_knots(n, p), p).toarray()
    u = np.linalg.solve(basis, bump(nodes))
    image = bspline_fractional_derivative(x, n, p, alpha) @ u
    # Conditioned by the interpolation.
    np.testing.assert_allclose(image, riesz_of_bump(x, alpha), rtol=0, atol=1e-11)
    assert image[3] > 0


def test_infinite_at_the_end_where_the_integral_begins():
    D = bspline_fractional_derivative(np.array([0.0, 1.0]), 5, 3, 1.5, side="left")
    assert D[0, 0] == -math.inf
    assert D[0, 1] == math.inf
    assert np.all(D[0, 2:] == 0)
    assert np.all(np.isfinite(D[1]))
    half = bspline_fractional_derivative(np.array([0.0]), 5, 3, 0.5, side="left")
    assert half[0, 0] == math.inf
    assert np.all(half[0, 1:] == 0)
    caputo = bspline_fractional_derivative(np.array([0.0]), 5, 3, 1.5, side="left", kind="caputo")
    assert np.all(caputo == 0)


@pytest.mark.parametrize("alpha", [0.5, 1.5])
def test_hats_off_the_knots(alpha, precise_left):
    x = np.array([0.05, 0.33, 0.97])
    D = bspline_fractional_derivative(x, 10, 1, alpha, side="left")
    reference = [[float(precise_left(10, 1, alpha, j, y)) for j in range(11)] for y in x * 10]
    np.testing.assert_allclose(D, np.array(reference) * 10**alpha, rtol=1e-13, atol=1e-13)


def test_kinds_of_arrays(xp, rng):
    x = rng.uniform(0, 1, 12)
    D = bspline_fractional_derivative(xp.asarray(x), 6, 4, 1.3)
    rounded = np.asarray(xp.asarray(x).cpu() if xp.library == "torch" else xp.asarray(x), float)
    reference = bspline_fractional_derivative(rounded, 6, 4, 1.3)
    scale = np.abs(reference).max()
    np.testing.assert_allclose(xp.numpy(D) / scale, reference / scale, atol=xp.tol)


def test_strides_and_integers():
    x = np.linspace(0.1, 0.9, 9)
    whole = bspline_fractional_derivative(x, 6, 3, 1.3)
    np.testing.assert_array_equal(bspline_fractional_derivative(x[::-2], 6, 3, 1.3), whole[::-2])
    ends = bspline_fractional_derivative(np.array([1]), 6, 3, 1.3, side="left")
    np.testing.assert_array_equal(
        ends, bspline_fractional_derivative(np.array([1.0]), 6, 3, 1.3, side="left")
    )
    assert bspline_fractional_derivative(np.zeros(0), 6, 3, 1.3).shape == (0, 9)


@pytest.mark.parametrize(
    ("change", "error", "word"),
    [
        ({"alpha": 0.0}, ValueError, r"alpha must lie in \(0, 2\)"),
        ({"alpha": 2.0}, ValueError, r"alpha must lie in \(0, 2\)"),
        ({"alpha": math.nan}, ValueError, "alpha must be finite"),
        ({"alpha": 1.0}, ValueError, "alpha must not be 1"),
        ({"alpha": "1.5"}, TypeError, "alpha must be a real number"),
        ({"n": 0}, ValueError, "n must be at least 1"),
        ({"p": 0}, ValueError, "p must be at least 1"),
        ({"p": 11}, ValueError, "p must be at most 10"),
        ({"p": 2.0}, TypeError, "p must be an integer"),
        ({"side": "both"}, ValueError, "side must be one of"),
        ({"kind": "weyl"}, ValueError, "kind must be one of"),
        ({"x": np.array([0.5, 1.1])}, ValueError, "x must lie in"),
        ({"x": np.array([math.nan])}, ValueError, "x must be finite"),
        ({"x": np.array([0.5 + 0j])}, TypeError, "x must be real"),
        ({"x": np.ones((2, 2))}, ValueError, "x must have shape"),
        ({"p": 1, "x": np.array([0.5])}, ValueError, "x must avoid the knots"),
    ],
)
def test_bad_input(change, error, word):
    arguments = {"x": np.array([0.3]), "n": 4, "p": 3, "alpha": 1.5, **change}
    x, n, p, alpha = (arguments.pop(name) for name in ("x", "n", "p", "alpha"))
    with pytest.raises(error, match=word):
        bspline_fractional_derivative(x, n, p, alpha, **arguments)


def test_no_gradient_is_promised():
    torch = pytest.importorskip("torch")
    x = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)
    with pytest.raises(TypeError, match="x must not require a gradient"):
        bspline_fractional_derivative(x, 4, 3, 1.5)

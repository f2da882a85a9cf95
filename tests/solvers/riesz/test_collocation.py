from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse.linalg import gmres

from numerics import bspline_collocation_matrix, greville_abscissae
from numerics.bsplines import greville_sums
from solvers import (
    RieszCollocation,
    bspline_fractional_derivative,
    riesz_collocation_matrix,
    riesz_toeplitz_coefficients,
)

SPACES = [(1, 2), (12, 2), (1, 3), (12, 3), (2, 4), (14, 4), (20, 5), (3, 6), (6, 6), (16, 6)]
SPACES += [(5, 8), (18, 8), (4, 10)]
KINDS = st.sampled_from(["riemann-liouville", "caputo"])


def h_units(n: int, p: int, alpha: float, **options) -> np.ndarray:
    return riesz_collocation_matrix(n, p, alpha, **options) / float(n) ** alpha


def toeplitz(p: int, alpha: float, N: int) -> np.ndarray:
    k = np.arange(N)
    return riesz_toeplitz_coefficients(p, alpha, N)[np.abs(k[:, None] - k)]


@pytest.mark.parametrize(("n", "p"), SPACES)
@pytest.mark.parametrize("alpha", [1.1, 1.5, 1.9])
def test_matrix_against_fifty_digits(n, p, alpha, precise_riesz):
    """All of it, at the exact Greville points."""
    points = [mpmath.mpf(int(s)) / p for s in greville_sums(n, p)[1:-1]]
    half = points[: (len(points) + 1) // 2]
    kinds = ("riemann-liouville", "caputo") if alpha == 1.5 else ("riemann-liouville",)
    for kind in kinds:
        A = h_units(n, p, alpha, kind=kind)[: len(half)]
        reference = np.array(
            [
                [float(precise_riesz(n, p, alpha, j, y, kind)) for j in range(1, n + p - 1)]
                for y in half
            ]
        )
        # Both sides cancel near alpha = 1, the contributions of a boundary spline near its end.
        tolerance = 1.2e-14 / abs(math.cos(math.pi * alpha / 2)) * np.abs(reference).max()
        np.testing.assert_allclose(A, reference, rtol=0, atol=tolerance)


@pytest.mark.parametrize("p", [2, 3, 6, 8])
def test_entries_far_out_against_fifty_digits(p, precise_riesz, rng):
    """Borders of a long matrix: each entry beyond the first has its own digits."""
    n, alpha = 5000, 1.4
    A = RieszCollocation(n, p, alpha)
    sums = greville_sums(n, p)
    for _ in range(12):
        i, j = int(rng.integers(40, n + p - 2)), int(rng.integers(0, p - 1))
        y = mpmath.mpf(int(sums[i + 1])) / p
        exact = precise_riesz(n, p, alpha, j + 1, y)
        assert abs(A.left_columns[i, j] / exact - 1) < 2e-13
        if p > 2:
            r, c = int(rng.integers(0, p - 2)), int(rng.integers(40, n + p - 2))
            y = mpmath.mpf(int(sums[r + 1])) / p
            exact = precise_riesz(n, p, alpha, c + 1, y)
            assert abs(A.top_rows[r, c] / exact - 1) < 2e-13


@given(n=st.integers(1, 40), p=st.integers(2, 10), alpha=st.floats(1.02, 1.98), kind=KINDS)
def test_rows_are_derivatives_at_the_greville_points(n, p, alpha, kind):
    A = riesz_collocation_matrix(n, p, alpha, kind=kind)
    x = greville_abscissae(n, p)[1:-1]
    D = bspline_fractional_derivative(x, n, p, alpha, kind=kind)[:, 1:-1]
    # The points are rounded in the one and exact in the other; both sides cancel near alpha = 1.
    tolerance = 1e-14 * n / abs(math.cos(math.pi * alpha / 2)) * np.abs(A).max()
    np.testing.assert_allclose(A, D, rtol=0, atol=tolerance)


@given(n=st.integers(1, 60), p=st.integers(2, 10), alpha=st.floats(1.02, 1.98), kind=KINDS)
def test_centrosymmetric(n, p, alpha, kind):
    A = riesz_collocation_matrix(n, p, alpha, kind=kind)
    assert A.shape == (n + p - 2, n + p - 2)
    np.testing.assert_array_equal(A, A[::-1, ::-1])


@given(n=st.integers(1, 60), p=st.integers(2, 10), alpha=st.floats(1.02, 1.98))
def test_holds_the_coefficients_of_the_cardinal_spline(n, p, alpha):
    """Also where the cells are too few for one."""
    t = RieszCollocation(n, p, alpha).toeplitz
    np.testing.assert_array_equal(t, riesz_toeplitz_coefficients(p, alpha, n + p - 2))


def test_not_symmetric():
    A = h_units(20, 2, 1.5)
    assert np.abs(A - A.T).max() > 0.04


@given(n=st.integers(3, 60), p=st.integers(2, 10), alpha=st.floats(1.02, 1.98))
def test_nested(n, p, alpha):
    """In cells of width 1 the entries do not know how many cells follow, to the last bit."""
    n = max(n, p + 1)
    small, large = RieszCollocation(n, p, alpha), RieszCollocation(2 * n, p, alpha)
    size = n - 1
    np.testing.assert_array_equal(small.toeplitz, large.toeplitz[: small.shape[0]])
    np.testing.assert_array_equal(small.left_columns[:size], large.left_columns[:size])
    np.testing.assert_array_equal(small.top_rows[:, :size], large.top_rows[:, :size])
    scaled = [A.todense()[:size, :size] / A.scale for A in (small, large)]
    np.testing.assert_allclose(*scaled, rtol=1e-15)


@pytest.mark.parametrize("p", [2, 3, 4, 5, 6, 7, 8])
@pytest.mark.parametrize("alpha", [1.2, 1.5])
def test_toeplitz_but_for_rank_4p_minus_6(p, alpha):
    """The last of these singular values is 2e-14 for p = 8, the next one a rounding error of
    the quotient that takes the factor off again."""
    N, rank = 6 * p + 20, 4 * p - 6
    E = h_units(N + 2 - p, p, alpha) - toeplitz(p, alpha, N)
    singular = np.linalg.svd(E, compute_uv=False)
    assert singular[rank - 1] > 1e-14
    assert singular[rank] < 2e-15
    b, r = p - 1, p - 2
    np.testing.assert_allclose(E[r : N - r, b : N - b], 0, atol=1e-15)


@pytest.mark.parametrize(("p", "norm"), [(2, 0.42), (3, 1.53), (4, 3.03), (5, 4.50), (6, 6.07)])
def test_size_of_the_border(p, norm):
    N = 58 + p
    E = h_units(60, p, 1.5) - toeplitz(p, 1.5, N)
    np.testing.assert_allclose(np.linalg.norm(E, 2), norm, atol=0.0051)


@given(n=st.integers(3, 40), p=st.integers(2, 8), alpha=st.floats(1.05, 1.98))
def test_kinds_differ_by_rank_two(n, p, alpha):
    """By what the slopes p n at the ends contribute, in the first column and the last."""
    difference = riesz_collocation_matrix(n, p, alpha)
    scale = np.abs(difference).max()
    difference = difference - riesz_collocation_matrix(n, p, alpha, kind="caputo")
    xi = greville_abscissae(n, p)[1:-1]
    column = p * n * xi ** (1 - alpha) / math.gamma(2 - alpha)
    expected = np.zeros_like(difference)
    expected[:, 0] += column
    expected[:, -1] += column[::-1]
    expected /= 2 * math.cos(math.pi * alpha / 2)
    scale = max(scale, np.abs(expected).max())
    np.testing.assert_allclose(difference, expected, rtol=0, atol=1e-12 * scale)


@pytest.mark.parametrize("p", [3, 4, 6])
@pytest.mark.parametrize("n", [2, 16])
def test_tends_to_minus_the_second_derivative(n, p):
    """The sign: the positive operator. The rate: first order in 2 - alpha."""
    second = -bspline_collocation_matrix(n, p, 2).toarray()
    scale = np.abs(second).max()
    gaps = [
        np.abs(riesz_collocation_matrix(n, p, 2 - gap) - second).max() / scale
        for gap in (1e-2, 1e-3, 1e-9)
    ]
    assert gaps[0] < 0.1
    assert gaps[1] < 0.12 * gaps[0]
    assert gaps[2] < 1e-7


@pytest.mark.parametrize("p", [2, 3, 4, 6])
def test_positive_definite_in_the_bulk(p):
    """Eigenvalues with positive real part: the operator is (-Laplacian)^(alpha / 2)."""
    eigenvalues = np.linalg.eigvals(riesz_collocation_matrix(40, p, 1.5))
    assert eigenvalues.real.min() > 0
    M = bspline_collocation_matrix(40, p).toarray()
    pencil = np.linalg.eigvals(np.linalg.solve(M, riesz_collocation_matrix(40, p, 1.5)))
    # The first Dirichlet eigenvalue of the fractional Laplacian on (0, 1).
    np.testing.assert_allclose(pencil.real.min(), 4.51842236, rtol=2e-3)


@pytest.mark.parametrize(
    ("alpha", "p", "n", "condition"),
    [(1.2, 3, 40, 54.35), (1.5, 2, 40, 139), (1.5, 8, 80, 1577), (1.8, 6, 40, 1330)],
)
def test_condition_numbers(alpha, p, n, condition):
    A = riesz_collocation_matrix(n, p, alpha)
    np.testing.assert_allclose(np.linalg.cond(A), condition, rtol=4e-3)


@pytest.mark.parametrize(
    ("p", "alpha", "rl", "caputo"), [(3, 1.1, 13.7, 262), (3, 1.5, 41.7, 50.4), (4, 1.8, 136, 131)]
)
def test_caputo_is_worse_conditioned_near_one(p, alpha, rl, caputo):
    for kind, condition in (("riemann-liouville", rl), ("caputo", caputo)):
        A = riesz_collocation_matrix(16, p, alpha, kind=kind)
        np.testing.assert_allclose(np.linalg.cond(A), condition, rtol=4e-3)


@given(
    n=st.sampled_from([1, 2, 5, 30, 62, 63, 64, 100, 257]),
    p=st.integers(2, 8),
    alpha=st.floats(1.05, 1.95),
    kind=KINDS,
    columns=st.sampled_from([None, 1, 3]),
)
def test_products_are_those_of_the_dense_matrix(n, p, alpha, kind, columns):
    A = RieszCollocation(n, p, alpha, kind=kind)
    N = A.shape[0]
    x = np.random.default_rng(n).standard_normal(N if columns is None else (N, columns))
    dense = A.todense()
    operator = A.as_linear_operator()
    scale = np.abs(dense).max() * np.abs(x).max()
    for image, expected in (
        (A.matvec(x), dense @ x),
        (A.rmatvec(x), dense.T @ x),
        (operator @ x, dense @ x),
        (operator.H @ x, dense.T @ x),
    ):
        assert image.shape == x.shape
        np.testing.assert_allclose(image, expected, rtol=0, atol=1e-14 * N * scale)


def test_products_keep_the_kind_of_array(xp, rng):
    for n in (30, 150):
        A = RieszCollocation(n, 3, 1.2)
        x = rng.standard_normal((A.shape[0], 4))
        for product in (A.matvec, A.rmatvec):
            together = xp.numpy(product(xp.asarray(x)))
            scale = A.scale * np.abs(x).max()
            np.testing.assert_allclose(together / scale, product(x) / scale, atol=xp.tol)
            alone = xp.numpy(product(xp.asarray(x)[:, 1]))
            np.testing.assert_allclose(alone / scale, together[:, 1] / scale, atol=xp.tol)


@pytest.mark.parametrize("n", [20, 100])
def test_products_are_differentiable(n):
    torch = pytest.importorskip("torch")
    A = RieszCollocation(n, 4, 1.3)
    x = torch.linspace(-1, 1, A.shape[0], dtype=torch.float64, requires_grad=True)
    weights = torch.cos(torch.arange(A.shape[0], dtype=torch.float64))
    (weights @ A.matvec(x)).backward()
    np.testing.assert_allclose(
        x.grad.numpy(), A.rmatvec(weights.numpy()), rtol=0, atol=1e-12 * A.scale
    )


def test_strided_and_integer_vectors():
    A = RieszCollocation(100, 3, 1.5)
    x = np.arange(202)
    np.testing.assert_array_equal(A.matvec(x[::2]), A.matvec(np.ascontiguousarray(x[::2] * 1.0)))


@given(p=st.integers(2, 8), alpha=st.floats(1.1, 1.9))
def test_solve_undoes_the_product(p, alpha):
    A = RieszCollocation(150, p, alpha)
    x = np.cos(np.arange(A.shape[0]))
    np.testing.assert_allclose(A.solve(A.matvec(x)), x, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("p", "most"), [(2, 7), (4, 8), (6, 10), (8, 11)])
def test_tau_preconditioner_makes_few_iterations(p, most):
    for n in (128, 512):
        A = RieszCollocation(n, p, 1.5)
        residuals = []
        gmres(
            A.as_linear_operator(),
            np.ones(A.shape[0]),
            M=A.tau_preconditioner(),
            rtol=1e-12,
            restart=30,
            maxiter=1,
            callback=residuals.append,
            callback_type="pr_norm",
        )
        # Preconditioned and relative: what is left after each step.
        assert residuals[0] < 1
        assert 1 + np.sum(np.array(residuals) > 1e-8) <= most


def test_tau_preconditioner_with_mass_and_factor():
    """It is the inverse of a positive definite matrix near kappa A + c M."""
    A = RieszCollocation(60, 3, 1.5)
    kappa, c = 0.01, 30.0
    P = A.tau_preconditioner(kappa=kappa, shift_mass=c) @ np.eye(A.shape[0])
    np.testing.assert_allclose(P, P.T, atol=1e-15)
    assert np.linalg.eigvalsh(P).min() > 0
    K = kappa * A.todense() + c * bspline_collocation_matrix(60, 3).toarray()
    eigenvalues = np.linalg.eigvals(P @ K)
    assert np.abs(eigenvalues - 1).max() < 0.5


def test_single_precision_is_refused_where_it_says_nothing():
    small, large = RieszCollocation(64, 3, 1.5), RieszCollocation(4096, 3, 1.5)
    assert small.matvec(np.ones(65, np.float32)).dtype == np.float32
    with pytest.raises(ValueError, match="x must be double precision"):
        large.matvec(np.ones(4097, np.float32))


def test_formats():
    structured = riesz_collocation_matrix(9, 3, 1.4, format="structured")
    assert isinstance(structured, RieszCollocation)
    np.testing.assert_array_equal(structured.todense(), riesz_collocation_matrix(9, 3, 1.4))
    for array in (structured.toeplitz, structured.left_columns, structured.top_rows):
        assert not array.flags.writeable


@pytest.mark.parametrize(
    ("change", "error", "word"),
    [
        ({"alpha": 1.0}, ValueError, r"alpha must lie in \(1, 2\)"),
        ({"alpha": 2.0}, ValueError, r"alpha must lie in \(1, 2\)"),
        ({"alpha": -math.inf}, ValueError, "alpha must be finite"),
        ({"alpha": 1.5j}, TypeError, "alpha must be a real number"),
        ({"p": 1}, ValueError, "p must be at least 2"),
        ({"p": 11}, ValueError, "p must be at most 10"),
        ({"p": 3.0}, TypeError, "p must be an integer"),
        ({"n": 0}, ValueError, "n must be at least 1"),
        ({"n": None}, TypeError, "n must be an integer"),
        ({"kind": "weyl"}, ValueError, "kind must be one of"),
        ({"format": "sparse"}, ValueError, "format must be one of"),
    ],
)
def test_bad_input(change, error, word):
    arguments = {"n": 8, "p": 3, "alpha": 1.5, **change}
    n, p, alpha = (arguments.pop(name) for name in ("n", "p", "alpha"))
    with pytest.raises(error, match=word):
        riesz_collocation_matrix(n, p, alpha, **arguments)


@pytest.mark.parametrize(
    ("x", "error", "word"),
    [
        (np.ones(8), ValueError, "x must have shape"),
        (np.ones((9, 1, 1)), ValueError, "x must have shape"),
        (1.0, ValueError, "x must have shape"),
        (np.full(9, math.nan), ValueError, "x must be finite"),
        (np.ones(9, complex), TypeError, "x must be real"),
        (np.ones(9, bool), TypeError, "x must hold"),
    ],
)
def test_bad_vectors(x, error, word):
    A = RieszCollocation(8, 3, 1.5)
    for product in (A.matvec, A.rmatvec):
        with pytest.raises(error, match=word):
            product(x)


@pytest.mark.parametrize(
    ("options", "error", "word"),
    [
        ({"kappa": 0}, ValueError, "kappa must be positive"),
        ({"kappa": "1"}, TypeError, "kappa must be a real number"),
        ({"shift_mass": -1.0}, ValueError, "shift_mass must not be negative"),
    ],
)
def test_bad_preconditioners(options, error, word):
    with pytest.raises(error, match=word):
        RieszCollocation(8, 3, 1.5).tau_preconditioner(**options)

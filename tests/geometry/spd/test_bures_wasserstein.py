"""The Bures-Wasserstein metric: sixty digits, invariances, the ends of its domain, transport."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from geometry import spd
from numerics import ConvergenceWarning

torch = pytest.importorskip("torch")
from torch.autograd import gradcheck, gradgradcheck  # noqa: E402

BW = {"metric": "bures_wasserstein"}


def _exact_distance(A, B, exactly):
    with mpmath.workdps(60):
        root = exactly(A, mpmath.sqrt)
        middle = mpmath.eigsy(root * mpmath.matrix(B.tolist()) * root, eigvals_only=True)
        traces = mpmath.fsum(np.diag(A).tolist()) + mpmath.fsum(np.diag(B).tolist())
        return mpmath.sqrt(traces - 2 * mpmath.fsum(mpmath.sqrt(x) for x in middle))


@pytest.mark.parametrize("digits", [2, 6, 10])
@pytest.mark.parametrize("apart", [None, 1e-2, 1e-4, 1e-7, 1e-10])
def test_distance_in_sixty_digits(digits, apart, with_condition, hermitian, exactly, rng):
    """Aligned factors lose eps |L| / d, the logarithm's norm loses eps sqrt(cond) to d = sqrt of
    the smallest eigenvalue; where the two meet the error is largest."""
    A, B = with_condition(rng, 6, digits, batch=(2,))
    if apart is not None:
        root = scipy.linalg.sqrtm(A)
        B = A + apart * root @ hermitian(rng, (6, 6), False) @ root
        B = (B + B.T) / 2
    exact = _exact_distance(A, B, exactly)
    error = abs(float(spd.distance(A, B, **BW) / exact - 1))
    # Below 1e-16 the entries of B no longer tell small eigenvalues apart from A's.
    assert error < 2e-14 * 10 ** (digits / 2) * (1 if apart != 1e-10 else 10 ** (digits / 2))


@given(n=st.integers(1, 6), seed=st.integers(0, 2**32), imaginary=st.booleans())
def test_least_distance_of_square_roots(with_condition, hermitian, n, seed, imaginary):
    rng = np.random.default_rng(seed)
    A, B = with_condition(rng, n, 3, batch=(2,), complex_=imaginary)
    distance = spd.distance(A, B, **BW)
    K, L = np.linalg.cholesky(A), np.linalg.cholesky(B)
    Q = scipy.linalg.expm(1j * hermitian(rng, (n, n), True)) if imaginary else np.eye(n)
    assert np.linalg.norm(K - L @ Q) >= distance * (1 - 1e-12)
    trace = np.trace(A + B).real - 2 * np.sum(np.linalg.svd(np.conj(K.T) @ L)[1])
    assert distance**2 == pytest.approx(trace, rel=1e-11, abs=1e-13)


@given(n=st.integers(1, 6), seed=st.integers(0, 2**32), imaginary=st.booleans())
def test_invariances(with_condition, n, seed, imaginary):
    rng = np.random.default_rng(seed)
    A, B = with_condition(rng, n, 2, batch=(2,), complex_=imaginary)
    M = with_condition(rng, n, 1, complex_=imaginary)
    G = np.eye(n) + rng.standard_normal((n, n)) / 4 + (0.3j if imaginary else 0)
    Q = np.linalg.qr(G)[0]
    near = {"rtol": 1e-11 * np.linalg.cond(G) ** 2}

    def moved(G, X):
        return G @ X @ np.conj(G.T)

    distance = spd.distance(A, B, **BW)
    np.testing.assert_allclose(spd.distance(moved(Q, A), moved(Q, B), **BW), distance, **near)
    np.testing.assert_allclose(spd.distance(9 * A, 9 * B, **BW), 3 * distance, **near)
    general = spd.distance(A, B, M=M, **BW)
    together = spd.distance(moved(G, A), moved(G, B), M=moved(G, M), **BW)
    np.testing.assert_allclose(together, general, **near)


def test_formulas_with_square_roots(with_condition, rng):
    A, B = with_condition(rng, 4, 1, batch=(2,))
    M = with_condition(rng, 4, 1)
    inverse = np.linalg.inv(M)
    root = scipy.linalg.sqrtm(inverse @ A @ inverse @ B).real
    traces = np.trace(inverse @ (A + B)) - 2 * np.trace(root)
    near = {"rtol": 1e-11, "atol": 1e-12}
    np.testing.assert_allclose(spd.distance(A, B, M=M, squared=True, **BW), traces, **near)
    log = M @ root + (M @ root).T - 2 * A
    np.testing.assert_allclose(spd.log(A, B, M=M, **BW), log, **near)
    np.testing.assert_allclose(spd.exp(A, log, M=M, **BW), B, **near)
    X = spd.lyapunov(A, log, M)
    np.testing.assert_allclose(spd.inner(A, log, B, M=M, **BW), np.trace(X @ B) / 2, **near)
    T = spd.optimal_transport_map(A, B, M=M)
    np.testing.assert_allclose(T @ A @ T.T, B, **near)
    np.testing.assert_allclose(T @ M, (T @ M).T, **near)


def test_at_the_metric_matrix_a_quarter_of_the_affine_invariant_product(
    with_condition, hermitian, rng
):
    M = with_condition(rng, 5, 2)
    V, W = hermitian(rng, (2, 5, 5), False)
    expected = spd.inner(M, V, W) / 4
    np.testing.assert_allclose(spd.inner(M, V, W, M=M, **BW), expected, rtol=1e-12)


def test_commuting_matrices_are_flat(rng):
    a, b = rng.uniform(0.1, 2.0, (2, 3, 5))
    A, B = (np.eye(5) * x[..., None, :] for x in (a, b))
    expected = np.linalg.norm(np.sqrt(a) - np.sqrt(b), axis=-1)
    np.testing.assert_allclose(spd.distance(A, B, **BW), expected, rtol=1e-13)
    middle = np.eye(5) * ((np.sqrt(a) + np.sqrt(b)) / 2)[..., None, :] ** 2
    np.testing.assert_allclose(spd.geodesic(A, B, 0.5, **BW), middle, rtol=1e-13)


def test_logarithm_of_a_near_matrix_keeps_its_digits(with_condition, hermitian, exactly, rng):
    A = with_condition(rng, 4, 4)
    B = A + 1e-12 * hermitian(rng, (4, 4), False)
    log = spd.log(A, B, **BW)
    # To first order it is the difference itself, whose square is the next one.
    np.testing.assert_allclose(log, B - A, atol=1e-19)
    X = spd.lyapunov(A, B - A)
    expected = np.sqrt(np.trace(X @ (B - A)) / 2)
    np.testing.assert_allclose(spd.distance(A, B, **BW), expected, rtol=1e-7)


@pytest.mark.parametrize("domain", ["raise", "clip", "fold"])
def test_beyond_the_domain(domain, xp, with_condition, rng):
    P = with_condition(rng, 3, 1, batch=(2, 2))
    V = 0.1 * P
    V[1, 0] = -4 * P[1, 0]  # L = -2 I: the geodesic reaches zero half-way
    P, V = xp.asarray(P), xp.asarray(V)
    if domain == "raise":
        with pytest.raises(ValueError, match=r"V\[1, 0\] leaves the manifold.* t = 0\.5"):
            spd.exp(P, V, domain=domain, **BW)
        return
    end = xp.numpy(spd.exp(P, V, domain=domain, **BW))
    scale = np.full((2, 2), 1.05**2)
    scale[1, 0] = 1.0 if domain == "fold" else 1e-6
    np.testing.assert_allclose(end, scale[..., None, None] * xp.numpy(P), rtol=max(xp.tol, 1e-9))


def test_transport_of_commuting_matrices(rng, from_eigenvalues, hermitian):
    a, b = rng.uniform(0.1, 2.0, (2, 4))
    V = hermitian(rng, (4, 4), False)
    expected = np.sqrt(np.add.outer(b, b) / np.add.outer(a, a)) * V
    moved = spd.parallel_transport(V, np.diag(a), np.diag(b), **BW)
    np.testing.assert_allclose(moved, expected, rtol=1e-13)
    # Where gradients are wanted the differential equation is solved, and has to agree.
    V, P, Q = (torch.as_tensor(x) for x in (V, np.diag(a), np.diag(b)))
    moved = spd.parallel_transport(V, P.requires_grad_(), Q, rtol=1e-12, **BW)
    np.testing.assert_allclose(moved.detach().numpy(), expected, atol=1e-11)


def test_transport_solves_its_equation(with_condition, hermitian, rng):
    """In terms of the transport map T: A' = -L[A S Sigma + Sigma S A], S = (T - I) K^-1."""
    P, Q = with_condition(rng, 3, 1, batch=(2,))
    V = hermitian(rng, (3, 3), False)
    S0 = spd.optimal_transport_map(P, Q) - np.eye(3)

    def slope(t, flat):
        A, K = flat.reshape(3, 3), np.eye(3) + t * S0
        sigma, S = K @ P @ K, S0 @ np.linalg.inv(K)
        right = A @ S @ sigma + sigma @ S @ A
        return scipy.linalg.solve_continuous_lyapunov(sigma, -right).ravel()

    start = scipy.linalg.solve_continuous_lyapunov(P, V).ravel()
    run = solve_ivp(slope, (0, 1), start, method="DOP853", rtol=1e-12, atol=1e-13)
    end = run.y[:, -1].reshape(3, 3)
    moved = spd.parallel_transport(V, P, Q, rtol=1e-12, **BW)
    np.testing.assert_allclose(moved, end @ Q + Q @ end, atol=1e-10)


@pytest.mark.parametrize("digits", [1, 3, 5])
@pytest.mark.parametrize("rtol", [1e-4, 1e-7, 1e-9])
def test_transport_meets_its_tolerance(digits, rtol, with_condition, hermitian, rng):
    P, Q = with_condition(rng, 4, digits, batch=(2, 3))
    V = hermitian(rng, (3, 4, 4), False)
    moved = spd.parallel_transport(V, P, Q, rtol=rtol, **BW)
    back = spd.parallel_transport(moved, Q, P, rtol=rtol, **BW)
    assert np.all(spd.norm(P, back - V, **BW) < 2 * rtol * spd.norm(P, V, **BW))


def test_transport_says_when_rounding_is_larger_than_the_tolerance(with_condition, hermitian, rng):
    P, Q = with_condition(rng, 4, 10, batch=(2,))
    with pytest.warns(ConvergenceWarning, match="beyond rounding"):
        spd.parallel_transport(hermitian(rng, (4, 4), False), P, Q, rtol=1e-12, **BW)


def test_transport_of_no_matrices():
    empty = np.empty((0, 3, 3))
    assert spd.parallel_transport(empty, empty, empty, **BW).shape == (0, 3, 3)


def _differentiable(rng, with_condition, hermitian, imaginary):
    P, Q, M = with_condition(rng, 3, 1, batch=(3,), complex_=imaginary)
    V = 0.1 * hermitian(rng, (3, 3), imaginary)
    return [torch.as_tensor(X).requires_grad_() for X in (P, Q, M, V)]


def _part(X):
    return (X + X.mH) / 2


@pytest.mark.parametrize("imaginary", [False, True])
@pytest.mark.parametrize("verb", ["distance", "squared", "log", "geodesic", "map", "exp", "inner"])
def test_gradients(verb, imaginary, with_condition, hermitian, rng):
    P, Q, M, V = _differentiable(rng, with_condition, hermitian, imaginary)
    BW_ = {**BW, "check": False}
    functions = {
        "distance": lambda P, Q, M, V: spd.distance(P, Q, M=M, **BW_),
        "squared": lambda P, Q, M, V: spd.distance(P, Q, M=M, squared=True, **BW_),
        "log": lambda P, Q, M, V: spd.log(P, Q, M=M, **BW_),
        "geodesic": lambda P, Q, M, V: spd.geodesic(P, Q, 0.3, M=M, **BW_),
        "map": lambda P, Q, M, V: spd.optimal_transport_map(P, Q, M=M, check=False),
        "exp": lambda P, Q, M, V: spd.exp(P, V, M=M, domain="fold", **BW_),
        "inner": lambda P, Q, M, V: spd.inner(P, V, Q, M=M, **BW_),
    }
    assert gradcheck(lambda *X: functions[verb](*map(_part, X)), (P, Q, M, V))


def test_gradients_of_transport_and_of_clipping(with_condition, hermitian, rng):
    P, Q, _, V = _differentiable(rng, with_condition, hermitian, False)

    def moved(V, P, Q):
        arguments = (X[:2, :2] for X in map(_part, (V, P, Q)))
        return spd.parallel_transport(*arguments, rtol=1e-7, check=False, **BW)

    assert gradcheck(moved, (V, P, Q), atol=1e-4, rtol=1e-3)

    def clipped(P, V):
        V = _part(V)
        return spd.exp(_part(P), -90 * V @ V, domain="clip", check=False, **BW)

    assert gradcheck(clipped, (P, V))


def test_second_derivatives_of_the_squared_distance(with_condition, hermitian, rng):
    P, Q, M, V = _differentiable(rng, with_condition, hermitian, False)

    def squared(P, Q, M):
        return spd.distance(*map(_part, (P, Q)), M=_part(M), squared=True, check=False, **BW)

    assert gradgradcheck(squared, (P, Q, M))
    near = (P.detach() + 1e-3 * V.detach()).requires_grad_()
    assert gradgradcheck(squared, (P, near, M))


def test_gradient_is_the_map_less_the_identity_and_zero_at_equal_matrices(with_condition, rng):
    A, B = (torch.as_tensor(X).requires_grad_() for X in with_condition(rng, 4, 6, batch=(2,)))
    grad = torch.autograd.grad(spd.distance(A, B, squared=True, **BW), (A, B))
    eye = torch.eye(4, dtype=torch.float64)
    for value, map_ in zip(grad, ((A, B), (B, A)), strict=True):
        expected = eye - spd.optimal_transport_map(*map_)
        torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-9)
    same = A.detach().clone().requires_grad_()
    for squared in (False, True):
        grad = torch.autograd.grad(spd.distance(A, same, squared=squared, **BW), (A, same))
        assert all(torch.equal(value, torch.zeros_like(value)) for value in grad)


def test_gradient_of_near_matrices_keeps_its_digits(with_condition, hermitian, rng):
    """The transport map less the identity solves S A + A S = B - A to first order."""
    A = with_condition(rng, 4, 3)
    B = A + 1e-11 * hermitian(rng, (4, 4), False)
    tensor = torch.as_tensor(A).requires_grad_()
    distance = spd.distance(tensor, torch.as_tensor(B), squared=True, **BW)
    (grad,) = torch.autograd.grad(distance, tensor)
    expected = -spd.lyapunov(A, B - A)
    np.testing.assert_allclose(grad.numpy(), expected, atol=1e-6 * np.max(np.abs(expected)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"B": -np.eye(3)}, "B must be positive definite"),
        ({"A": np.ones((3, 2))}, r"A must have shape \(..., n, n\)"),
        ({"B": np.eye(4)}, r"B must have shape \(..., 3, 3\)"),
        ({"M": np.zeros((3, 3))}, "M must be positive definite"),
        ({"A": np.full((3, 3), np.nan)}, "A must be finite"),
    ],
)
def test_map_refuses(changes, message):
    arguments = {"A": np.eye(3), "B": np.eye(3), **changes}
    with pytest.raises(ValueError, match=message):
        spd.optimal_transport_map(arguments.pop("A"), arguments.pop("B"), **arguments)

"""Companion systems against exact integers, dense matrices, SciPy's filter and themselves."""

from __future__ import annotations

import tracemalloc
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import scipy.signal
import torch
from hypothesis import given
from hypothesis import strategies as st

from numerics.arrays import as_arrays
from ssm import (
    _all_pole,
    _companion_kernel,
    _numba_companion,
    companion_c_tilde,
    companion_extend,
    companion_forecast,
    companion_kernel,
    companion_matrix,
    normalize_companion,
)
from ssm._companion_integers import kernel_by_integers

ALGORITHMS = ["auto", "filter", "fft"]
SHAPES = [(1, 1), (1, 6), (2, 1), (2, 2), (3, 2), (5, 5), (5, 6), (25, 9), (9, 40)]
# The bound that companion_kernel states.
GUARANTEE = 1e-12


def _system(rng, d, batch=(), complex_=False):
    """Random p of absolute sum 1, b and c."""
    p, b, c = rng.standard_normal((3, *batch, d))
    if complex_:
        p, b, c = (v + 1j * rng.standard_normal(v.shape) for v in (p, b, c))
    return normalize_companion(p), b, c


def _dense(p, b, c, L):
    """The kernel by multiplying with the dense matrix."""
    A, K = companion_matrix(p), []
    for _ in range(L):
        K.append(np.sum(c * b, axis=-1))
        b = (A @ b[..., None])[..., 0]
    return np.stack(K, axis=-1)


def _exact(p, b, c, L, bits=1500):
    """The kernel by stepping the state A^l b in fixed point, `bits` binary places.

    The recurrence that is tested steps the output instead.
    """
    P, state, C = ([int(Fraction(float(x)) * 2**bits) for x in v] for v in (p, b, c))
    K = []
    for _ in range(L):
        K.append((sum(x * y for x, y in zip(C, state, strict=True)) >> bits) / 2**bits)
        last = state[-1]
        state = [x + ((q * last) >> bits) for x, q in zip([0, *state[:-1]], P, strict=True)]
    return np.array(K)


def _from_roots(roots):
    return -np.poly(roots).real[:0:-1]


def _error(K, reference):
    return np.abs(K - reference).max() / np.abs(reference).max()


def _hard_cases():
    rng = np.random.default_rng(7)
    circle = np.exp(1j * np.linspace(0.1, 3.0, 8))
    bump = np.exp(-(((np.arange(40) - 20) / 5) ** 2))
    drift = rng.random((2, 3))
    cases = {
        "random walk": ([0.0, 1.0], 3000),
        "double unit root": ([-1.0, 2.0], 3000),
        "double unit root behind zeros": ([0.0, 0.0, 0.0, -1.0, 2.0], 3000),
        "triple unit root": ([1.0, -3.0, 3.0], 1000),
        "ten unit roots": (_from_roots(np.ones(10)), 300),
        "cyclic shift": (np.eye(8)[0], 500),
        "alternating": ([-1.0], 500),
        "slow oscillation": ([-1.0, 2 * np.cos(1e-3)], 4000),
        "slow damped oscillation": ([-(0.999**2), 2 * 0.999 * np.cos(0.01)], 3000),
        "roots on the circle": (_from_roots(np.r_[circle, circle.conj()]), 500),
        "one root": ([0.9], 100),
        "shift register": (np.zeros(6), 20),
        "growth 1.05": ([0.0, 0.0, 0.0, 1.05], 2000),
        "growth among decay": (_from_roots([1.05, 1.04, 0.9, 0.8, 0.5, -0.3, -0.9, 0.2]), 1500),
        "large coefficients": (3 * rng.standard_normal(16), 200),
        "random, longer than the kernel": (normalize_companion(rng.standard_normal(64)), 40),
        "random, absolute sum 1": (normalize_companion(rng.standard_normal(64)), 1000),
    }
    for name, (p, L) in cases.items():
        b, c = rng.standard_normal((2, len(p)))
        yield pytest.param(np.array(p), b, c, L, id=name)
    # Every step rounds the same way: errors add up where random ones would cancel.
    p = np.array([0.3, 0.6, 0.1])
    yield pytest.param(p, *drift, 20000, id="errors of one sign")
    # b is an eigenvector of 1; the root 2 leaves no trace, but every rounding error excites it.
    for L in (30, 100, 400):
        c = np.array([0.3, 0.7])
        yield pytest.param(
            np.array([-2.0, 3.0]), np.array([-2.0, 1.0]), c, L, id=f"hidden growth {L}"
        )
    # c is smooth and b alternates: the products cancel to 1e-7 of their size.
    yield pytest.param(
        np.zeros(40), bump * (-1.0) ** np.arange(40), bump, 60, id="cancelling products"
    )
    tiny = np.array([1e-100, -3e-101])
    yield pytest.param(np.array([0.0, 1.0]), tiny, tiny, 50, id="tiny vectors")


@pytest.mark.parametrize(("p", "b", "c", "L"), list(_hard_cases()))
def test_error_is_within_the_guarantee(p, b, c, L):
    assert _error(companion_kernel(p, b, c, L), _exact(p, b, c, L)) <= GUARANTEE


def test_guarantee_against_mpmath(rng):
    """Independent of the integers above: 60 digits, dense powers, an explosive system."""
    d, L = 8, 200
    p, b, c = rng.standard_normal((3, d))
    with mpmath.workdps(60):
        A = mpmath.matrix(companion_matrix(p).tolist())
        state, row = mpmath.matrix(b.tolist()), mpmath.matrix(c.tolist()).T
        reference = []
        for _ in range(L):
            reference.append(float((row * state)[0]))
            state = A * state
    assert _error(companion_kernel(p, b, c, L), np.array(reference)) <= GUARANTEE


@pytest.mark.parametrize(("d", "L"), [(512, 4096), (2048, 8192)])
def test_large_systems_within_the_guarantee(rng, d, L):
    """The double-double loop, which the exact cases above hold to 1e-16, is the reference."""
    p, b, c = _system(rng, d, (1,))
    reference = np.empty((1, L))
    _numba_companion.kernel_double_double(p, b, c, reference)
    assert _error(companion_kernel(p, b, c, L), reference) <= GUARANTEE
    assert _error(companion_kernel(p, b, c, L, algorithm="fft"), reference) <= 1e-14


@pytest.mark.parametrize("p", [[0.3, 0.6, 0.1], [0.5, 0.5], [-0.2, 0.3, -0.5]])
def test_the_bound_bounds(rng, p):
    """Kernels in which every error lasts: the bound of either recurrence is above its error."""
    L, S = 30000, 20
    p = np.broadcast_to(np.array(p), (S, len(p))).copy()
    b, c = rng.random((2, *p.shape))
    reference = np.empty((S, L))
    _numba_companion.kernel_double_double(p, b, c, reference)
    frame, _ = as_arrays(p=p)
    for K, bound in (
        _companion_kernel._filter(p, b, c, L, GUARANTEE),
        _companion_kernel._blocks(frame, p, b, c, L),
    ):
        error = np.abs(K - reference).max(axis=-1)
        assert np.all(error > 0)
        assert np.all(error <= bound)


def test_each_arithmetic_takes_over_from_the_last(monkeypatch):
    p, b, c = np.array([-2.0, 3.0]), np.array([-2.0, 1.0]), np.array([0.3, 0.7])
    used = []
    for name in ("kernel", "kernel_double_double"):
        loop = getattr(_numba_companion, name)
        monkeypatch.setattr(
            _numba_companion, name, lambda *a, n=name, f=loop: (used.append(n), f(*a))
        )
    for L, tiers in ((5, 1), (60, 2), (300, 2)):
        used.clear()
        K = companion_kernel(p, b, c, L)
        assert len(used) == tiers
        assert _error(K, _exact(p, b, c, L)) <= GUARANTEE
    # In double precision alone the hidden root takes over.
    assert np.abs(companion_kernel(p, b, c, 300, algorithm="filter")).max() > 1e50


def test_integers_are_right_for_complex_systems(rng):
    p, b, c = _system(rng, 5, complex_=True)
    for L in (1, 3, 40):
        K = kernel_by_integers(p, b, c, L, GUARANTEE)
        np.testing.assert_allclose(K, _dense(p, b, c, L), atol=1e-14)
    # The eigenvalue 2i is hidden: b is an eigenvector of 1.
    p, b, c = np.array([-2j, 1 + 2j]), np.array([-2j, 1.0]), np.array([0.3, 0.7])
    np.testing.assert_allclose(companion_kernel(p, b, c, 300), c @ b, rtol=1e-14)


@pytest.mark.parametrize("complex_", [False, True])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(("d", "L"), SHAPES)
def test_kernel_against_dense_powers(xp, rng, d, L, algorithm, complex_):
    p, b, c = (xp.asarray(v) for v in _system(rng, d, (2,), complex_))
    K = companion_kernel(p, b, c, L, algorithm=algorithm)
    expected = _dense(*(xp.numpy(v) for v in (p, b, c)), L)
    np.testing.assert_allclose(xp.numpy(K), expected, atol=xp.tol * np.abs(expected).max() / 10)


@pytest.mark.parametrize("single", [False, True])
def test_single_precision_is_computed_in_double(rng, single):
    """A random walk of 20000 steps: float32 sums would be off by 1e-4, a rounded result by 1e-7."""
    dtype = np.float32 if single else np.float64
    p, b, c = (np.array(v, dtype) for v in ([0.3, 0.7], [0.1, 0.0], [0.7, 1.1]))
    K = companion_kernel(p, b, c, 20000)
    assert K.dtype == dtype
    reference = companion_kernel(*(v.astype(float) for v in (p, b, c)), 20000)
    assert _error(K, reference) <= (1.2e-7 if single else 0)


def test_broadcast_strided_and_looped(rng):
    p, b, c = rng.standard_normal((3, 1, 8))[..., ::2], rng.standard_normal((4, 4)), np.ones(4)
    p = normalize_companion(p)
    before = p.copy(), b.copy(), c.copy()
    K = companion_kernel(p, b, c, 9)
    assert K.shape == (3, 4, 9)
    for i in range(3):
        for j in range(4):
            np.testing.assert_allclose(K[i, j], _dense(p[i, 0], b[j], c, 9), atol=1e-14)
    for array, copy in zip((p, b, c), before, strict=True):
        np.testing.assert_array_equal(array, copy)
    assert companion_kernel(np.ones((0, 3)), np.ones(3), np.ones(3), 5).shape == (0, 5)
    assert companion_kernel([1], [2], [3], 3).tolist() == [6, 6, 6]


def test_real_and_complex_mix(rng):
    p, b, c = _system(rng, 4)
    K = companion_kernel(p, b, 1j * c, 7)
    np.testing.assert_allclose(K, 1j * companion_kernel(p, b, c, 7), atol=1e-15)


def test_generic_recurrences_agree_with_the_compiled_one(xp, rng):
    """Short blocks of matrices and long blocks of transforms, across several blocks of each."""
    for d, n in ((1, 1), (3, 2), (40, 30), (7, 100), (5, 3000), (1100, 3000)):
        p, x = _system(rng, d, (2,))[0], rng.standard_normal((2, n))
        expected = np.empty((2, n))
        _numba_companion.all_pole(p, x, expected)
        frame, P, X = as_arrays(p=xp.asarray(p), x=xp.asarray(x))
        P, X = frame.double(P), frame.double(X)
        tolerance = np.abs(expected).max() * (1e-6 if xp.single else 1e-13)
        for solve in (_all_pole.all_pole_matrix, _all_pole.all_pole_fft):
            y = solve(frame, P, X)
            np.testing.assert_allclose(xp.numpy(frame.cast(y)), expected, atol=tolerance)
            left = xp.numpy(frame.cast(_all_pole.residual(frame, P, X, y)))
            assert np.abs(left).max() < 1e-13


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_path_of_devices(rng, monkeypatch, algorithm):
    """Tensors that compiled loops cannot reach: blocks, and the host for what they cannot do."""
    monkeypatch.setattr(_companion_kernel, "_on_host", lambda frame: frame.is_numpy)
    p, b, c = _system(rng, 6, (4,))
    p[1] = [0, 0, 0, 0, -1, 2]
    K = companion_kernel(*map(torch.tensor, (p, b, c)), 2500, algorithm=algorithm)
    assert isinstance(K, torch.Tensor)
    for row in range(4):
        tolerance = GUARANTEE if algorithm == "auto" else 1e-9
        assert _error(K[row].numpy(), _exact(p[row], b[row], c[row], 2500)) <= tolerance


def test_impulse_response_against_scipy(rng):
    """b = e_0 makes the kernel the impulse response of a filter with c's numerator."""
    d, L = 6, 200
    p, _, c = _system(rng, d)
    denominator = np.r_[1.0, -p[::-1]]
    numerator = np.convolve(denominator, c)[:d]
    expected = scipy.signal.lfilter(numerator, denominator, np.eye(1, L)[0])
    np.testing.assert_allclose(companion_kernel(p, np.eye(d)[0], c, L), expected, atol=1e-14)


def test_extension_holds_the_rows_of_the_powers(xp, rng):
    d, power = 6, 15
    p, _, c = _system(rng, d)
    s = xp.numpy(companion_extend(xp.asarray(p), xp.asarray(c), power + d))
    row = c @ np.linalg.matrix_power(companion_matrix(p), power)
    np.testing.assert_allclose(s[power:], row, atol=2e-7 if xp.single else 1e-15)
    np.testing.assert_array_equal(s[:d], xp.numpy(xp.asarray(c)))
    assert companion_extend(p, c, 2).tolist() == c[:2].tolist()


@pytest.mark.parametrize("L", [1, 3, 6, 7, 50])
def test_c_tilde(xp, rng, L):
    p, _, c = _system(rng, 6, (2,))
    power = np.linalg.matrix_power(companion_matrix(p), L)
    expected = c - np.einsum("...ij,...i->...j", power, c)
    tilde = companion_c_tilde(xp.asarray(p), xp.asarray(c), L)
    np.testing.assert_allclose(xp.numpy(tilde), expected, atol=1e-6 if xp.single else 1e-14)


@pytest.mark.parametrize("complex_", [False, True])
@pytest.mark.parametrize(("d", "L"), [(3, 8), (8, 8), (25, 9), (64, 720)])
def test_resolvent_away_from_the_circle(xp, rng, d, L, complex_):
    p, b, c = _system(rng, d, complex_=complex_)
    p = 0.5 * p
    K = companion_kernel(*map(xp.asarray, (p, b, c)), L, algorithm="resolvent")
    expected = companion_kernel(p, b, c, L)
    np.testing.assert_allclose(xp.numpy(K), expected, atol=xp.tol * np.abs(expected).max() / 10)


@pytest.mark.parametrize("p", [[0.0, 1.0], [-1.0, 2.0], [1.0, 0.0, 0.0, 0.0]])
def test_unit_roots_where_the_resolvent_fails(p):
    p = np.array(p)
    b, c = np.eye(len(p))[0], np.arange(1.0, len(p) + 1)
    K = companion_kernel(p, b, c, 16, algorithm="resolvent")
    assert not np.isfinite(K).all()
    expected = _exact(p, b, c, 16)
    for algorithm in ALGORITHMS:
        assert _error(companion_kernel(p, b, c, 16, algorithm=algorithm), expected) <= 1e-14


@given(d=st.integers(1, 12), repeats=st.integers(1, 4), seed=st.integers(0, 2**31))
def test_kernel_of_the_cyclic_shift_is_periodic(d, repeats, seed):
    b, c = np.random.default_rng(seed).standard_normal((2, d))
    K = companion_kernel(np.eye(d)[0], b, c, d * repeats)
    np.testing.assert_allclose(
        K, np.tile(K[:d], repeats), atol=1e-14 * np.abs(b) @ np.abs(c) + 1e-15
    )


@given(d=st.integers(1, 12), L=st.integers(1, 40), seed=st.integers(0, 2**31))
def test_kernel_is_linear_in_b_and_in_c(d, L, seed):
    rng = np.random.default_rng(seed)
    p, b, c = _system(rng, d)
    other = rng.standard_normal(d)
    K = companion_kernel(p, b, c, L)
    atol = 1e-13 * (1 + np.abs(b).sum() * np.abs(c).sum() + np.abs(other).sum() ** 2)
    in_b = companion_kernel(p, 2 * b - other, c, L)
    np.testing.assert_allclose(in_b, 2 * K - companion_kernel(p, other, c, L), atol=atol)
    in_c = companion_kernel(p, b, 2 * c - other, L)
    np.testing.assert_allclose(in_c, 2 * K - companion_kernel(p, b, other, L), atol=atol)


@given(d=st.integers(1, 10), L=st.integers(2, 40), seed=st.integers(0, 2**31))
def test_advancing_b_or_c_by_one_step_advances_the_kernel(d, L, seed):
    p, b, c = _system(np.random.default_rng(seed), d)
    A, K = companion_matrix(p), companion_kernel(p, b, c, L)
    atol = 1e-13 * (1 + np.abs(b).sum() * np.abs(c).sum())
    np.testing.assert_allclose(companion_kernel(p, A @ b, c, L - 1), K[1:], atol=atol)
    np.testing.assert_allclose(companion_kernel(p, b, c @ A, L - 1), K[1:], atol=atol)


@given(d=st.integers(1, 8), r=st.floats(0.5, 1.5), seed=st.integers(0, 2**31))
def test_similar_systems_have_scaled_kernels(d, r, seed):
    """diag(r^i) maps A onto r times the companion matrix of the roots divided by r."""
    p, b, c = _system(np.random.default_rng(seed), d)
    powers = r ** np.arange(d)
    K = companion_kernel(p * r ** (d - np.arange(d)), b / powers, c * powers, 20)
    expected = companion_kernel(p, b, c, 20) * r ** np.arange(20)
    np.testing.assert_allclose(K, expected, atol=1e-12 * (1 + np.abs(expected).max()) * 1.5**d)


@pytest.mark.parametrize("complex_", [False, True])
@pytest.mark.parametrize("H", [1, 2, 30])
def test_forecast_against_dense_stepping(xp, rng, H, complex_):
    p, b, c = (v / 2 for v in _system(rng, 5, (2, 1), complex_))
    k, x = rng.standard_normal((2, 3, 5)) / 3
    y, u = companion_forecast(*map(xp.asarray, (p, b, c, k, x)), H)
    closed = companion_matrix(p) + b[..., :, None] * k[..., None, :]
    state = np.broadcast_to(x, (2, 3, 5))
    for h in range(H):
        scale = np.abs(state).max()
        np.testing.assert_allclose(
            xp.numpy(y)[..., h], np.sum(c * state, -1), atol=scale * xp.tol / 10
        )
        np.testing.assert_allclose(
            xp.numpy(u)[..., h], np.sum(k * state, -1), atol=scale * xp.tol / 10
        )
        state = (closed @ state[..., None])[..., 0]


@pytest.mark.parametrize(("d", "H"), [(4, 5), (4, 12), (1, 32), (7, 90), (300, 10)])
def test_forecast_paths_agree(rng, d, H):
    """The compiled loop, and those that tensors with gradients take, by steps and by blocks."""
    p, b, c, k = (torch.tensor(rng.standard_normal((3, d)) / d) for _ in range(4))
    x = torch.tensor(rng.standard_normal((2, 1, d)))
    compiled = companion_forecast(p, b, c, k, x, H)
    for name in range(5):
        traced = [v.clone().requires_grad_(i == name) for i, v in enumerate((p, b, c, k, x))]
        for one, other in zip(compiled, companion_forecast(*traced, H), strict=True):
            assert other.shape == (2, 3, H)
            torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-13)
    arguments = (p[0], b[0], c, k[0], x[0, 0])
    traced = companion_forecast(*arguments[:4], x[0, 0].clone().requires_grad_(), H)
    for one, other in zip(companion_forecast(*arguments, H), traced, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-13)


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=8))
def test_normalised_systems_do_not_grow(values):
    p = np.array(values)
    q = normalize_companion(p)
    if np.abs(p).sum() < 1e-4:
        np.testing.assert_array_equal(q, p)
    else:
        np.testing.assert_allclose(np.abs(q).sum(), 1, rtol=1e-14)
        assert np.abs(companion_extend(q, np.eye(len(p))[-1], 50)).max() <= 1 + 1e-12


@pytest.mark.parametrize("complex_", [False, True])
@pytest.mark.parametrize(
    ("d", "L", "algorithm"),
    [(1, 1, "auto"), (3, 1, "auto"), (3, 2, "auto"), (2, 5, "auto")]
    + [(2, 5, algorithm) for algorithm in ("filter", "fft", "resolvent")],
)
def test_kernel_gradients(rng, d, L, algorithm, complex_):
    arguments = [torch.tensor(v / 2, requires_grad=True) for v in _system(rng, d, (1,), complex_)]

    def kernel(p, b, c):
        return companion_kernel(p, b, c, L, algorithm=algorithm)

    assert torch.autograd.gradcheck(kernel, arguments)
    if algorithm == "auto" and d < 3:
        assert torch.autograd.gradgradcheck(kernel, arguments)


def test_other_gradients(rng):
    p, b, c, k, x = (torch.tensor(v, requires_grad=True) for v in rng.standard_normal((5, 2, 3)))
    assert torch.autograd.gradcheck(normalize_companion, (p,))
    assert torch.autograd.gradcheck(lambda p, c: companion_extend(p, c, 6), (p, c))
    assert torch.autograd.gradcheck(lambda p, c: companion_c_tilde(p, c, 4), (p, c))
    assert torch.autograd.gradcheck(companion_matrix, (p,))
    assert torch.autograd.gradcheck(
        lambda *arguments: companion_forecast(*arguments, 11), (p, b, c, k, x)
    )


def test_gradient_through_a_broken_in_axis_and_float32(rng):
    p, _, c = _system(rng, 3)
    one = torch.tensor(p, requires_grad=True)
    many = torch.tensor(np.stack([p, p]), requires_grad=True)
    B, C = torch.tensor(rng.standard_normal((2, 3))), torch.tensor(c)
    companion_kernel(one, B, C, 5).sum().backward()
    companion_kernel(many, B, C, 5).sum().backward()
    torch.testing.assert_close(one.grad, many.grad.sum(0))
    single = torch.tensor(p, dtype=torch.float32, requires_grad=True)
    companion_kernel(single, B.float(), C.float(), 5).sum().backward()
    torch.testing.assert_close(single.grad, one.grad.float(), rtol=1e-5, atol=1e-5)


def test_functional_transforms(rng):
    p, b, c = (torch.tensor(v) for v in _system(rng, 3, (4,)))

    def kernel(p, b, c):
        return companion_kernel(p, b, c, 6)

    torch.testing.assert_close(torch.func.vmap(kernel)(p, b, c), kernel(p, b, c))
    torch.testing.assert_close(
        torch.func.vmap(kernel, in_dims=(0, None, 0))(p, b[0], c), kernel(p, b[0], c)
    )
    one = torch.func.jacrev(kernel)(p[0], b[0], c[0])
    expected = torch.autograd.functional.jacobian(lambda p: kernel(p, b[0], c[0]), p[0])
    torch.testing.assert_close(one, expected)


@pytest.mark.parametrize(
    ("d", "L", "algorithm"),
    [(64, 50_000, "auto"), (3000, 20_000, "auto"), (4096, 65_536, "fft"), (4096, 64, "filter")],
)
def test_memory_is_proportional_to_order_plus_length(rng, d, L, algorithm):
    """A dense A would take d^2, a table of powers d L: the bound is far below both.

    Blocks of Fourier transforms hold the padded signal, its spectrum and the correction at once.
    """
    p, b, c = _system(rng, d)
    companion_kernel(p, b, c, L, algorithm=algorithm)
    tracemalloc.start()
    companion_kernel(p, b, c, L, algorithm=algorithm)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40 * 8 * (d + L)


def test_overflow_is_reported():
    with pytest.raises(OverflowError, match="p has roots outside"):
        companion_kernel(np.array([1.5, 0.0]), np.ones(2), np.ones(2), 10_000)
    huge = np.array([1e200])
    with pytest.raises(OverflowError, match="range of double precision"):
        companion_kernel(np.array([1.0]), huge, huge, 3)


GOOD = np.ones(3)
BAD_KERNELS = {
    "empty p": ({"p": np.ones(0)}, ValueError, "p must have at least one entry"),
    "scalar p": ({"p": 1.0}, ValueError, "p must have shape"),
    "short b": ({"b": np.ones(2)}, ValueError, "b must have shape"),
    "long c": ({"c": np.ones((2, 4))}, ValueError, "c must have shape"),
    "batches": ({"p": np.ones((2, 3)), "b": np.ones((4, 3))}, ValueError, "batch axes"),
    "NaN": ({"c": np.array([1, np.nan, 0])}, ValueError, "c must be finite"),
    "infinity": ({"p": np.array([1, np.inf, 0])}, ValueError, "p must be finite"),
    "zero length": ({"L": 0}, ValueError, "L must be at least 1"),
    "length 2.5": ({"L": 2.5}, TypeError, "L must be an integer"),
    "algorithm": ({"algorithm": "fast"}, ValueError, "algorithm must be one of auto, fft"),
    "strings": ({"b": np.array(["a", "b", "c"])}, TypeError, "b must hold"),
    "booleans": ({"b": np.ones(3, bool)}, TypeError, "b must hold"),
    "mixed": ({"c": torch.ones(3)}, TypeError, "mix array libraries"),
}


@pytest.mark.parametrize(("change", "error", "message"), BAD_KERNELS.values(), ids=BAD_KERNELS)
def test_bad_kernel_arguments(change, error, message):
    arguments = {"p": GOOD, "b": GOOD, "c": GOOD, "L": 4, **change}
    with pytest.raises(error, match=message):
        companion_kernel(**arguments)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: companion_matrix(np.ones(0)), ValueError, "p must have at least one"),
        (lambda: companion_matrix(np.array([np.nan])), ValueError, "p must be finite"),
        (lambda: companion_extend(GOOD, np.ones(2), 4), ValueError, "c must have shape"),
        (lambda: companion_extend(GOOD, GOOD, 0), ValueError, "M must be at least 1"),
        (lambda: companion_c_tilde(GOOD, GOOD, 0), ValueError, "L must be at least 1"),
        (lambda: companion_c_tilde(GOOD, torch.ones(3), 1), TypeError, "mix array libraries"),
        (lambda: normalize_companion(1.0), ValueError, "p must have shape"),
        (
            lambda: companion_forecast(GOOD, GOOD, GOOD, np.ones(2), GOOD, 3),
            ValueError,
            "k must have shape",
        ),
        (
            lambda: companion_forecast(GOOD, GOOD, GOOD, GOOD, np.ones(4), 3),
            ValueError,
            "x_lag must have shape",
        ),
        (
            lambda: companion_forecast(GOOD, GOOD, GOOD, GOOD, GOOD, 0),
            ValueError,
            "H must be at least 1",
        ),
        (
            lambda: companion_forecast(GOOD, GOOD, GOOD, GOOD, GOOD, True),
            TypeError,
            "H must be an integer",
        ),
    ],
)
def test_bad_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()

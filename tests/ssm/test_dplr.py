"""Kernels of diagonal plus low-rank systems against dense powers, 40 digits and each other."""

from __future__ import annotations

import tracemalloc

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ssm import (
    dense_kernel,
    discretize,
    dplr_c_tilde,
    dplr_kernel,
    dplr_to_dense,
    hippo_matrices,
    nplr,
    state_kernel,
    vandermonde_kernel,
)

LENGTHS = [1, 2, 3, 8, 63, 64, 129, 600]


def _system(rng, batch=(), r=1, N=5, conj=True):
    """Stable: the sum of a damped normal part and a negative semidefinite one."""
    P = (rng.standard_normal((*batch, r, N)) + 1j * rng.standard_normal((*batch, r, N))) / 2
    Lambda = -rng.random((*batch, N)) + 3j * rng.standard_normal((*batch, N))
    B, C = rng.standard_normal((2, *batch, N)) + 1j * rng.standard_normal((2, *batch, N))
    return Lambda, P, B, C


def _dense(Lambda, P, B, C, L, dt, Q=None, conj=True):
    A, B, C = dplr_to_dense(Lambda, P, B, C, Q=Q, conj=conj)
    return dense_kernel(*discretize(A, B, dt, method="bilinear"), C, L)


@pytest.mark.parametrize("r", [0, 1, 2, 3])
@pytest.mark.parametrize("conj", [True, False])
@pytest.mark.parametrize("L", LENGTHS)
def test_kernel_is_that_of_the_dense_system(rng, L, r, conj):
    Lambda, P, B, C = _system(rng, r=r)
    Q = P + 0.2 * rng.standard_normal(P.shape)
    K = dplr_kernel(Lambda, P, B, C, L, dt=0.1, Q=Q, conj=conj)
    expected = _dense(Lambda, P, B, C, L, 0.1, Q, conj)
    assert np.isrealobj(K) == conj
    np.testing.assert_allclose(K, expected, atol=1e-13 * np.abs(expected).max())
    C = dplr_c_tilde(Lambda, P, C, L, dt=0.1, Q=Q, conj=conj)
    by_tilde = dplr_kernel(Lambda, P, B, C, L, dt=0.1, Q=Q, C_is_tilde=True, conj=conj)
    np.testing.assert_allclose(by_tilde, expected, atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize("r", [1, 2])
@pytest.mark.parametrize("L", [1, 64, 129])
def test_every_kind_of_array(xp, rng, L, r):
    Lambda, P, B, C = (xp.asarray(a) for a in _system(rng, (3,), r))
    K = xp.numpy(dplr_kernel(Lambda, P, B, C, L, dt=0.1))
    given_values = (xp.numpy(a).astype(complex) for a in (Lambda, P, B, C))
    expected = _dense(*given_values, L, 0.1)
    np.testing.assert_allclose(K, expected, atol=xp.tol / 100 * np.abs(expected).max())


@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.parametrize("measure", ["legs", "legt", "lagt", "fout", "fourier_decay"])
@pytest.mark.parametrize("N", [16, 64])
@pytest.mark.parametrize("L", [1023, 1024])
@pytest.mark.parametrize("dt", [1e-3, 1e-1])
def test_single_precision_is_within_1e_6(rng, measure, N, L, dt):
    """Against double precision on the same, rounded, parameters: by rows only the result is
    rounded; by the generating function, which transforms and devices go through, 1e-6 of the
    largest entry where the modes add up, 1e-5 where a random read-out makes them cancel."""
    Lambda, P, B, _ = nplr(measure, N)
    random = rng.standard_normal(N // 2) + 1j * rng.standard_normal(N // 2)
    C = np.stack((np.ones(N // 2), random))
    single = [a.astype(np.complex64) for a in (Lambda, P, B, C)]
    exact = dplr_kernel(*(a.astype(np.complex128) for a in single), L, dt=dt)
    largest = np.abs(exact).max(axis=1)
    *system, rows = map(torch.as_tensor, single)
    by_points = torch.func.vmap(lambda row: dplr_kernel(*system, row, L, dt=dt))(rows)
    by_rows = torch.as_tensor(dplr_kernel(*single, L, dt=dt))
    for K, bounds in ((by_rows, (1e-7, 1e-7)), (by_points, (1e-6, 1e-5))):
        assert K.dtype == torch.float32
        assert np.all(np.abs(K.numpy() - exact).max(axis=1) < bounds * largest)


@pytest.mark.parametrize("measure", ["legs", "legt", "lagt", "fout", "fourier_decay"])
@pytest.mark.parametrize("L", [255, 256])
def test_hippo_systems_have_the_kernels_of_their_matrices(rng, measure, L):
    """Also those whose normal part is undamped, or has the eigenvalue 0."""
    Lambda, P, B, V = nplr(measure, 32)
    C = rng.standard_normal(32)
    K = dplr_kernel(Lambda, P, B, C @ V, L, dt=0.01)
    system = discretize(*hippo_matrices(measure, 32), 0.01, method="bilinear")
    expected = dense_kernel(*system, C, L)
    np.testing.assert_allclose(K, expected, atol=1e-12 * np.abs(expected).max())


def test_kernel_to_forty_digits():
    """Dense powers of LegS, N = 8, in 40 digits; the bound is 20 units in the last place."""
    N, L, dt = 8, 40, 0.05
    A, _ = hippo_matrices("legs", N)
    Lambda, P, Bt, V = nplr("legs", N)
    K = dplr_kernel(Lambda, P, Bt, V.sum(0), L, dt=dt)
    with mpmath.workdps(40):
        h = mpmath.mpf(dt) / 2
        exact_A = mpmath.matrix(N, N)
        exact_B = mpmath.matrix(N, 1)
        for n in range(N):
            exact_B[n] = mpmath.sqrt(2 * n + 1)
            for k in range(n + 1):
                root = mpmath.sqrt((2 * n + 1) * (2 * k + 1))
                exact_A[n, k] = -root if n > k else -(n + 1)
        assert abs(float(exact_A[3, 1]) - A[3, 1]) < 1e-15
        inverse = mpmath.inverse(mpmath.eye(N) - h * exact_A)
        x, step = inverse * exact_B * 2 * h, inverse * (mpmath.eye(N) + h * exact_A)
        expected = []
        for _ in range(L):
            expected.append(float(sum(x)))
            x = step * x
    np.testing.assert_allclose(K, expected, atol=20 * 2.2e-16 * np.abs(expected).max())


@pytest.mark.parametrize("L", [16, 17])
def test_modes_on_the_unit_circle(L):
    """An undamped system sampled where the published form divides by zero: poles at the roots of
    unity, at 1 (a pure integrator) and at -1, the Nyquist frequency, to rounding."""
    dt = 0.1
    turn = 2 * np.tan(np.pi * np.arange(L // 2) / L) / dt
    Lambda, B = 1j * turn, np.ones(L // 2)
    C = np.linspace(1, 2, L // 2)
    K = dplr_kernel(Lambda, np.zeros((0, L // 2)), B, C, L, dt=dt)
    expected = vandermonde_kernel(Lambda, C * B, L, dt=dt, discretization="bilinear")
    np.testing.assert_allclose(K, expected, atol=1e-13 * np.abs(expected).max())
    with pytest.raises(ValueError, match="Lambda must have no mode"):
        dplr_kernel(Lambda[:1], np.zeros((0, 1)), B[:1], C[:1], L, dt=dt, C_is_tilde=True)


def test_long_kernels_have_no_trend_in_their_error(rng):
    Lambda, P, B, _ = nplr("legs", 16)
    K = dplr_kernel(Lambda, P, B, np.ones(8), 20_000, dt=1e-3)
    expected = _dense(Lambda, P, B, np.ones(8), 20_000, 1e-3)
    np.testing.assert_allclose(K, expected, atol=1e-12 * np.abs(expected).max())


def test_real_systems_give_real_kernels(xp, rng):
    Lambda, P = -rng.random(4) - 0.1, rng.standard_normal((2, 4))
    B, C = rng.standard_normal((2, 4))
    given_values = [xp.asarray(a) for a in (Lambda, P, B, C)]
    K = dplr_kernel(*given_values, 65, dt=0.1, conj=False)
    assert np.isrealobj(xp.numpy(K))
    expected = _dense(Lambda, P, B, C, 65, 0.1, conj=False)
    np.testing.assert_allclose(xp.numpy(K), expected, atol=xp.tol * np.abs(expected).max())
    tilde = dplr_c_tilde(*given_values[:2], given_values[3], 65, dt=0.1, conj=False)
    assert np.isrealobj(xp.numpy(tilde))
    leaves = [torch.tensor(a, requires_grad=True) for a in (Lambda, P, B, C)]
    assert torch.autograd.gradcheck(lambda *a: dplr_kernel(*a, 9, dt=0.1, conj=False), leaves)


def test_no_rank_is_the_vandermonde_kernel(rng):
    Lambda, _, B, C = _system(rng)
    K = dplr_kernel(Lambda, np.zeros((0, 5)), B, C, 100, dt=0.1)
    expected = vandermonde_kernel(Lambda, B * C, 100, dt=0.1, discretization="bilinear")
    np.testing.assert_allclose(K, expected, atol=1e-13 * np.abs(expected).max())


@given(st.integers(0, 2**32 - 1), st.integers(1, 90), st.integers(1, 3))
def test_a_shorter_kernel_is_the_beginning_of_a_longer_one(seed, L, r):
    system = _system(np.random.default_rng(seed), r=r)
    longer = dplr_kernel(*system, 100, dt=0.2)
    bound = 1e-12 * np.abs(longer).max()
    np.testing.assert_allclose(dplr_kernel(*system, L, dt=0.2), longer[:L], atol=bound)


@given(st.integers(0, 2**32 - 1), st.integers(1, 60))
def test_a_unitary_mix_of_the_columns_changes_nothing(seed, L):
    """P Q* is what counts: P U and Q U give the same system."""
    rng = np.random.default_rng(seed)
    Lambda, P, B, C = _system(rng, r=2)
    c, s = np.cos(1.0), np.sin(1.0)
    mixed = np.array([[c, s], [-s, c]]) @ P
    K = dplr_kernel(Lambda, P, B, C, L, dt=0.1)
    np.testing.assert_allclose(
        dplr_kernel(Lambda, mixed, B, C, L, dt=0.1), K, atol=1e-12 * np.abs(K).max()
    )


@pytest.mark.parametrize("conj", [True, False])
@pytest.mark.parametrize("L", [1, 2, 65])
def test_state_kernel_is_the_free_response(xp, rng, conj, L):
    Lambda, P, _, C = _system(rng, r=2)
    x0 = rng.standard_normal(5) + 1j * rng.standard_normal(5)
    y = state_kernel(*(xp.asarray(a) for a in (Lambda, P, C, x0)), L, dt=0.1, conj=conj)
    A, x, row = dplr_to_dense(Lambda, P, x0, C, conj=conj)
    step = discretize(A, x, 0.1, method="bilinear")[0]
    expected = dense_kernel(step, step @ x, row, L)
    np.testing.assert_allclose(xp.numpy(y), expected, atol=xp.tol / 10 * np.abs(expected).max())


@pytest.mark.parametrize("conj", [True, False])
@pytest.mark.parametrize("L", [1, 6, 33])
def test_c_tilde_there_and_back(xp, rng, conj, L):
    Lambda, P, _, C = (xp.asarray(a) for a in _system(rng, (2,)))
    tilde = dplr_c_tilde(Lambda, P, C, L, dt=0.3, conj=conj)
    back = dplr_c_tilde(Lambda, P, tilde, L, dt=0.3, conj=conj, inverse=True)
    np.testing.assert_allclose(xp.numpy(back), xp.numpy(C), atol=xp.tol)
    A, row, _ = dplr_to_dense(*(xp.numpy(a).astype(complex) for a in (Lambda, P, C, C)))
    if conj:
        dense = discretize(A, row, 0.3, method="bilinear")[0]
        remaining = np.eye(10) - np.linalg.matrix_power(dense, L)
        *_, given_row = dplr_to_dense(Lambda, P, C, C)
        *_, tilde_row = dplr_to_dense(Lambda, P, C, tilde)
        expected = np.einsum("bn,bnm->bm", xp.numpy(given_row), remaining)
        np.testing.assert_allclose(xp.numpy(tilde_row), expected, atol=xp.tol)


def test_batch_axes_broadcast(xp, rng):
    Lambda, P, B, _ = nplr("legs", 10)
    C = rng.standard_normal((2, 3, 5)) + 0j
    dt = np.array([0.1, 0.2, 0.3])
    shared = [xp.asarray(a) for a in (Lambda, P, B)]
    K = xp.numpy(dplr_kernel(*shared, xp.asarray(C), 70, dt=xp.asarray(dt)))
    assert K.shape == (2, 3, 70)
    for i in range(2):
        for j in range(3):
            one = dplr_kernel(*shared, xp.asarray(C[i, j]), 70, dt=xp.asarray(dt)[j])
            np.testing.assert_allclose(K[i, j], xp.numpy(one), atol=xp.tol)


def test_a_rank_axis_is_one_more_axis_than_that_of_lambda(rng):
    Lambda, P, B, C = _system(rng, (3,))
    with_axis = dplr_kernel(Lambda, P, B, C, 30, dt=0.1)
    np.testing.assert_array_equal(dplr_kernel(Lambda, P[:, 0], B, C, 30, dt=0.1), with_axis)
    one = dplr_kernel(Lambda[0], P[0, 0], B[0], C[0], 30, dt=0.1)
    np.testing.assert_allclose(one, with_axis[0], atol=1e-13)


def test_strided_and_expanded_input(rng):
    Lambda, P, B, C = _system(rng, (4,))
    K = dplr_kernel(Lambda, P, B, C, 50, dt=0.1)
    flipped = (np.asfortranarray(a[..., ::-1]) for a in (Lambda, P, B, C))
    np.testing.assert_allclose(dplr_kernel(*flipped, 50, dt=0.1), K, atol=1e-13)
    shared = (np.broadcast_to(a[:1], a.shape) for a in (Lambda, P, B, C))
    expanded = dplr_kernel(*shared, 50, dt=0.1)
    np.testing.assert_allclose(expanded, np.broadcast_to(K[:1], K.shape), atol=1e-13)


@pytest.mark.parametrize("conj", [True, False])
@pytest.mark.parametrize(("L", "r"), [(7, 0), (7, 2), (1500, 1)])
def test_rows_and_generating_function_agree(rng, L, r, conj):
    """Two independent ways, in values and gradients: powers of the discrete matrix, and its
    resolvent at points. Lengths leave the last block of the rows incomplete."""
    arrays = (*_system(rng, (2,), r), np.array([0.1, 0.2]))
    leaves = [torch.tensor(a, requires_grad=True) for a in arrays]
    *system, dt = leaves
    K = dplr_kernel(*system, L, dt=dt, conj=conj)
    tilde = dplr_c_tilde(*system[:2], system[3], L, dt=dt, conj=conj)
    by_points = dplr_kernel(*system[:3], tilde, L, dt=dt, conj=conj, C_is_tilde=True)
    weights = torch.as_tensor(rng.standard_normal(K.shape))
    torch.testing.assert_close(K, by_points, rtol=0, atol=1e-12 * float(K.detach().abs().max()))
    gradients, expected = (
        torch.autograd.grad((weights * kernel).abs().sum(), leaves) for kernel in (K, by_points)
    )
    for got, wanted in zip(gradients, expected, strict=True):
        bound = 1e-10 * float(expected[0].abs().max())
        torch.testing.assert_close(got, wanted, rtol=1e-10, atol=bound)


def test_growing_systems(rng):
    """As far as their kernels are finite, though a whole number of blocks would not be."""
    Lambda, P, B, C = np.full(3, 4 + 1j), np.zeros((0, 3)), np.ones(3), np.ones(3)
    z = (1 + Lambda[0] / 4) / (1 - Lambda[0] / 4)
    L = int(np.log(1e307) / np.log(abs(z)))
    K = dplr_kernel(Lambda, P, B, C, L, dt=0.5)
    expected = dplr_kernel(Lambda, P, B, C * z ** (L - 3), 3, dt=0.5)
    np.testing.assert_allclose(K[-3:], expected, rtol=1e-10)
    with pytest.raises(ValueError, match="L is too large"):
        dplr_kernel(Lambda, P, B, C, L + 20, dt=0.5)


def test_no_systems():
    Lambda, P, B, C = np.ones((0, 3)) * 1j, np.ones(3), np.ones(3), np.ones(3)
    assert dplr_kernel(Lambda, P, B, C, 7, dt=0.1).shape == (0, 7)


def test_no_array_of_systems_by_modes_by_length(rng):
    H, N, L = 8, 32, 4096
    Lambda, P, B, C = _system(rng, (H,), N=N)
    dplr_kernel(Lambda[:1], P[:1], B[:1], C[:1], L, dt=0.01)
    tracemalloc.start()
    dplr_kernel(Lambda, P, B, C, L, dt=0.01)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < H * N * L * 16 / 4


@pytest.mark.parametrize("r", [1, 2])
@pytest.mark.parametrize("conj", [True, False])
@pytest.mark.parametrize("tilde", [True, False])
def test_gradients(rng, r, conj, tilde):
    arrays = (*_system(rng, (2,), r, N=2), np.array([0.1, 0.2]))
    inputs = [torch.tensor(a, requires_grad=True) for a in arrays]

    def kernel(Lambda, P, B, C, dt):
        return dplr_kernel(Lambda, P, B, C, 9, dt=dt, C_is_tilde=tilde, conj=conj)

    assert torch.autograd.gradcheck(kernel, inputs, fast_mode=True)


@pytest.mark.parametrize("tilde", [True, False])
def test_gradients_of_second_order(rng, tilde):
    arrays = (*_system(rng, N=2), np.array(0.1))
    inputs = [torch.tensor(a, requires_grad=True) for a in arrays]

    def kernel(Lambda, P, B, C, dt):
        return dplr_kernel(Lambda, P, B, C, 4, dt=dt, C_is_tilde=tilde)

    assert torch.autograd.gradgradcheck(kernel, inputs, fast_mode=True)


def test_gradients_of_the_state_kernel_and_of_c_tilde(rng):
    Lambda, P, x0, C = (torch.tensor(a, requires_grad=True) for a in _system(rng, N=2))
    dt = torch.tensor(0.2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda *a: state_kernel(*a[:4], 6, dt=a[4]), (Lambda, P, C, x0, dt)
    )
    for inverse in (False, True):
        assert torch.autograd.gradcheck(
            lambda *a, inverse=inverse: dplr_c_tilde(*a[:3], 6, dt=a[3], inverse=inverse),
            (Lambda, P, C, dt),
        )


def test_with_and_without_a_gradient_agree(rng):
    arrays = [torch.as_tensor(a) for a in _system(rng, (2,), 2)]
    plain = dplr_kernel(*arrays, 77, dt=0.1)
    tracked = dplr_kernel(*(a.clone().requires_grad_() for a in arrays), 77, dt=0.1)
    torch.testing.assert_close(tracked.detach(), plain, rtol=1e-11, atol=1e-12)


@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_under_vmap(rng):
    Lambda, P, B, C = (torch.as_tensor(a) for a in _system(rng, (3,)))

    def kernel(Lambda, P, B, C):
        return dplr_kernel(Lambda, P, B, C, 20, dt=0.1)

    torch.testing.assert_close(torch.func.vmap(kernel)(Lambda, P, B, C), kernel(Lambda, P, B, C))


GOOD = {"Lambda": np.array([-1 + 1j, -1 + 2j]), "P": np.ones(2), "B": np.ones(2), "C": np.ones(2)}


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"L": 0}, ValueError, "L must be at least 1"),
        ({"L": 2.5}, TypeError, "L must be an integer"),
        ({"dt": 0}, ValueError, "dt must be positive"),
        ({"dt": 1j}, TypeError, "dt must be real"),
        ({"dt": np.ones(2), "B": np.ones((3, 2))}, ValueError, r"dt \(2,\)"),
        ({"Lambda": np.array([-1.0, -2.0])}, ValueError, "Lambda must be complex when conj=True"),
        ({"Lambda": np.array([np.nan + 0j, 1j])}, ValueError, "Lambda must be finite"),
        ({"Lambda": np.float64(1.0)}, ValueError, "Lambda must have shape"),
        ({"Lambda": np.empty(0, complex)}, ValueError, "Lambda must hold at least one mode"),
        ({"P": np.ones(3)}, ValueError, "P must have shape"),
        ({"P": np.ones((2, 3))}, ValueError, "P must have shape"),
        ({"Q": np.ones((2, 2))}, ValueError, "Q must have the rank of P"),
        ({"B": np.ones(3)}, ValueError, "B must have shape"),
        ({"C": np.ones((2, 1))}, ValueError, "C must have shape"),
        ({"C": np.array([np.inf, 1.0])}, ValueError, "C must be finite"),
        ({"B": torch.ones(2)}, TypeError, "mix array libraries"),
    ],
)
def test_bad_input(change, error, words):
    with pytest.raises(error, match=words):
        dplr_kernel(**(GOOD | {"L": 8, "dt": 0.1} | change))


def test_more_bad_input():
    good = {k: GOOD[k] for k in ("Lambda", "P", "C")} | {"L": 4, "dt": 0.1}
    with pytest.raises(ValueError, match="x0 must have shape"):
        state_kernel(**good, x0=np.ones(3))
    with pytest.raises(ValueError, match="L must be at least 1"):
        dplr_c_tilde(**(good | {"L": 0}))
    integrator = {"Lambda": np.zeros(1), "P": np.zeros((0, 1)), "C": np.ones(1)}
    with pytest.raises(ValueError, match="C has no inverse image"):
        dplr_c_tilde(**integrator, L=4, dt=0.1, conj=False, inverse=True)

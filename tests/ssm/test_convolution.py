"""Convolution and recurrence against each other, plain loops and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.fft
import scipy.signal
import torch
from hypothesis import given
from hypothesis import strategies as st

from ssm import (
    delayed_form,
    dense_kernel,
    discretize,
    hippo_matrices,
    ssm_conv,
    ssm_recurrent,
    vandermonde_matvec,
)
from ssm.convolution import _fast_length


def _system(rng, batch=(), N=4, diagonal=False):
    shape = (*batch, N) if diagonal else (*batch, N, N)
    A = rng.uniform(-0.9, 0.9, shape) if diagonal else rng.uniform(-0.9, 0.9, shape) / N**0.5
    return A, rng.standard_normal((*batch, N)), rng.standard_normal((*batch, N))


def _loop(u, A, B, C, D, x):
    y = []
    for value in u:
        x = A @ x + B * value
        y.append(C @ x + D * value)
    return np.array(y), x


@pytest.mark.parametrize("L", [1, 2, 63, 64, 65, 200])
@pytest.mark.parametrize("diagonal", [False, True])
def test_recurrence_is_the_loop(xp, rng, L, diagonal):
    A, B, C = _system(rng, (3,), diagonal=diagonal)
    D, x0, u = rng.standard_normal(3), rng.standard_normal((3, 4)), rng.standard_normal((3, L))
    y, x = ssm_recurrent(*(xp.asarray(a) for a in (u, A, B, C, D, x0)), diagonal=diagonal)
    for i in range(3):
        dense = np.diag(A[i]) if diagonal else A[i]
        expected_y, expected_x = _loop(u[i], dense, B[i], C[i], D[i], x0[i])
        np.testing.assert_allclose(xp.numpy(y[i]), expected_y, atol=xp.tol)
        np.testing.assert_allclose(xp.numpy(x[i]), expected_x, atol=xp.tol)


@pytest.mark.parametrize("diagonal", [False, True])
def test_convolution_equals_recurrence(xp, rng, diagonal):
    A, B, C = _system(rng, diagonal=diagonal)
    x0, u, L = rng.standard_normal(4), rng.standard_normal((2, 150)), 150
    dense = np.diag(A) if diagonal else A
    K = dense_kernel(dense, B, C, L)
    free = dense_kernel(dense, dense @ x0, C, L)
    y, _ = ssm_recurrent(*(xp.asarray(a) for a in (u, A, B, C, 0.3, x0)), diagonal=diagonal)
    by_fft = ssm_conv(
        xp.asarray(u), xp.asarray(K), D=xp.asarray(0.3), state_kernel=xp.asarray(free)
    )
    np.testing.assert_allclose(xp.numpy(by_fft), xp.numpy(y), atol=xp.tol)


def test_conjugate_pairs_give_the_real_part(xp, rng):
    z = 0.95 * np.exp(1j * rng.uniform(0.1, 3, 3))
    C, B = rng.standard_normal((2, 3)) + 1j * rng.standard_normal((2, 3))
    u = rng.standard_normal(100)
    y, x = ssm_recurrent(*(xp.asarray(a) for a in (u, z, B, C)), diagonal=True, conj=True)
    K = 2 * vandermonde_matvec(z, C * B, 100).real
    np.testing.assert_allclose(xp.numpy(y), ssm_conv(u, K), atol=xp.tol)
    assert np.iscomplexobj(xp.numpy(x))


@pytest.mark.parametrize("diagonal", [False, True])
def test_delayed_convention_is_that_of_scipy(rng, diagonal):
    A, B, C = _system(rng, diagonal=diagonal)
    dense = np.diag(A) if diagonal else A
    u, D = rng.standard_normal(130), 0.7
    y, _ = ssm_recurrent(u, A, B, C, D, diagonal=diagonal, convention="delayed")
    system = (dense, B[:, None], C[None], np.array([[D]]), 1)
    np.testing.assert_allclose(y, scipy.signal.dlsim(system, u)[1][:, 0], atol=1e-12)
    current, _ = ssm_recurrent(u, A, B, C, D, diagonal=diagonal)
    rewritten, _ = ssm_recurrent(
        u, *delayed_form(A, B, C, D, diagonal=diagonal), diagonal=diagonal, convention="delayed"
    )
    np.testing.assert_allclose(rewritten, current, atol=1e-12)


@given(st.integers(0, 2**32 - 1), st.integers(1, 150), st.integers(0, 150))
def test_a_signal_fed_in_two_pieces(seed, L, cut):
    rng = np.random.default_rng(seed)
    A, B, C = _system(rng)
    u = rng.standard_normal(L)
    cut = min(cut, L)
    whole, last = ssm_recurrent(u, A, B, C)
    first, x = ssm_recurrent(u[:cut], A, B, C)
    second, x = ssm_recurrent(u[cut:], A, B, C, x0=x)
    np.testing.assert_allclose(np.concatenate((first, second)), whole, atol=1e-12)
    np.testing.assert_allclose(x, last, atol=1e-12)


@given(st.integers(0, 2**32 - 1), st.integers(1, 100), st.integers(0, 20))
def test_linear_and_time_invariant(seed, L, shift):
    rng = np.random.default_rng(seed)
    u, v, K = rng.standard_normal((3, L))
    combined = ssm_conv(2 * u - v, K)
    np.testing.assert_allclose(combined, 2 * ssm_conv(u, K) - ssm_conv(v, K), atol=1e-11)
    delayed = ssm_conv(np.concatenate((np.zeros(shift), u)), K)
    np.testing.assert_allclose(delayed[shift:], ssm_conv(u, K), atol=1e-11)
    np.testing.assert_allclose(delayed[:shift], 0, atol=1e-11)


@pytest.mark.parametrize("M", [1, 5, 40, 90])
def test_kernels_shorter_and_longer_than_the_signal(xp, rng, M):
    u, K = rng.standard_normal(40), rng.standard_normal(M)
    expected = np.convolve(u, K)[:40]
    y = xp.numpy(ssm_conv(xp.asarray(u), xp.asarray(K)))
    np.testing.assert_allclose(y, expected if M > 1 else K[0] * u, atol=xp.tol)


def test_lengths_of_transforms_are_those_of_scipy():
    for n in (*range(1, 3000), 999983, 2**20 + 1):
        assert _fast_length(n) == scipy.fft.next_fast_len(n, real=True)


def test_complex_kernel(xp, rng):
    u, K = rng.standard_normal(30), rng.standard_normal(30) + 1j * rng.standard_normal(30)
    y = xp.numpy(ssm_conv(xp.asarray(u), xp.asarray(K)))
    np.testing.assert_allclose(y, np.convolve(u, K)[:30], atol=xp.tol)


def test_batches_broadcast_and_equal_the_loop(xp, rng):
    A, B, C = _system(rng, (3,))
    u = rng.standard_normal((2, 1, 90))
    y, x = ssm_recurrent(*(xp.asarray(a) for a in (u, A, B, C)))
    assert tuple(y.shape) == (2, 3, 90)
    assert tuple(x.shape) == (2, 3, 4)
    for i in range(2):
        for j in range(3):
            one, _ = ssm_recurrent(*(xp.asarray(a) for a in (u[i, 0], A[j], B[j], C[j])))
            np.testing.assert_allclose(xp.numpy(y[i, j]), xp.numpy(one), atol=xp.tol)


def test_strided_signals(rng):
    A, B, C = _system(rng)
    u = rng.standard_normal((100, 3))
    y, _ = ssm_recurrent(u.T, A, B, C)
    np.testing.assert_array_equal(y, ssm_recurrent(np.ascontiguousarray(u.T), A, B, C)[0])


def test_empty_signals(xp, rng):
    A, B, C = (xp.asarray(a) for a in _system(rng, (3,)))
    x0 = xp.asarray(rng.standard_normal(4))
    y, x = ssm_recurrent(xp.asarray(np.ones((3, 0))), A, B, C, x0=x0)
    assert tuple(y.shape) == (3, 0)
    np.testing.assert_array_equal(xp.numpy(x), np.broadcast_to(xp.numpy(x0), (3, 4)))
    assert tuple(ssm_conv(xp.asarray(np.ones((3, 0))), xp.asarray([1.0])).shape) == (3, 0)


def test_integer_signals_are_promoted_and_left_alone():
    u = np.arange(4)
    y = ssm_conv(u, np.ones(4))
    assert y.dtype == np.float64
    assert u.dtype.kind == "i"
    np.testing.assert_allclose(y, [0, 1, 3, 6], atol=1e-14)


@pytest.mark.parametrize("diagonal", [False, True])
def test_gradients(rng, diagonal):
    A, B, C = _system(rng, N=3, diagonal=diagonal)
    x0, u = rng.standard_normal(3), rng.standard_normal((2, 70))
    inputs = [
        torch.tensor(a, requires_grad=True) for a in (u[:, ::10], A, B, C, np.asarray(0.2), x0)
    ]
    assert torch.autograd.gradcheck(lambda *args: ssm_recurrent(*args, diagonal=diagonal), inputs)
    assert torch.autograd.gradcheck(ssm_conv, (inputs[0], inputs[1].reshape(-1)[:3], inputs[4]))


def test_a_node_at_zero_has_finite_gradients():
    z = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    one = torch.ones(1, dtype=torch.float64)
    y, _ = ssm_recurrent(torch.ones(3, dtype=torch.float64), z, one, one, diagonal=True)
    y.sum().backward()
    assert z.grad.item() == 2.0


def test_long_hippo_recurrence_stays_accurate():
    """LegS over 3000 steps: blocks against the plain loop."""
    Ad, Bd = discretize(*hippo_matrices("legs", 32), 0.01)
    u, C = np.random.default_rng(0).standard_normal(3000), np.ones(32)
    expected, state = _loop(u, Ad, Bd, C, 0.0, np.zeros(32))
    y, x = ssm_recurrent(u, Ad, Bd, C)
    np.testing.assert_allclose(y, expected, atol=1e-12)
    np.testing.assert_allclose(x, state, atol=1e-12)


GOOD = {"u": np.ones(5), "Ad": np.eye(2) / 2, "Bd": np.ones(2), "C": np.ones(2)}


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"u": np.array([1.0, np.nan])}, ValueError, "u must be finite"),
        ({"u": np.ones(5) * 1j}, TypeError, "u must be real"),
        ({"u": np.float64(1.0)}, ValueError, "u must have shape"),
        ({"u": np.array(["a"])}, TypeError, "u must hold"),
        ({"u": torch.ones(5)}, TypeError, "mix array libraries"),
        ({"Ad": np.ones((2, 3))}, ValueError, "Ad must have shape"),
        ({"Ad": np.ones((0, 0)), "Bd": np.ones(0), "C": np.ones(0)}, ValueError, "order N"),
        ({"Bd": np.ones(3)}, ValueError, "Bd must have shape"),
        ({"C": np.ones(3)}, ValueError, "C must have shape"),
        ({"x0": np.ones(3)}, ValueError, "x0 must have shape"),
        ({"D": np.ones(2), "u": np.ones((3, 5))}, ValueError, r"D \(2,\)"),
        ({"convention": "late"}, ValueError, "convention must be one of"),
    ],
)
def test_bad_input_to_the_recurrence(change, error, words):
    with pytest.raises(error, match=words):
        ssm_recurrent(**(GOOD | change))


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"K": np.ones(0)}, ValueError, "K must hold at least one value"),
        ({"K": np.ones((2, 5)), "u": np.ones((3, 5))}, ValueError, r"u \(3,\), K \(2,\)"),
        ({"u": np.ones(5) * 1j}, TypeError, "u must be real"),
        ({"state_kernel": np.ones(4)}, ValueError, "state_kernel must have shape"),
        ({"u": torch.ones(5), "K": torch.ones(5, device="meta")}, ValueError, "different devices"),
    ],
)
def test_bad_input_to_the_convolution(change, error, words):
    with pytest.raises(error, match=words):
        ssm_conv(**({"u": np.ones(5), "K": np.ones(5)} | change))


def test_result_is_the_callers_to_change(rng):
    y = ssm_conv(rng.standard_normal(8), rng.standard_normal((2, 8)), np.ones(2))
    y += 1  # a broadcast view would refuse
    assert y.shape == (2, 8)

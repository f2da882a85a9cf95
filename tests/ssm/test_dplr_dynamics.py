"""The recurrence and the dense form of diagonal plus low-rank systems, against each other."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ssm import (
    discretize,
    dplr_kernel,
    dplr_recurrence,
    dplr_to_dense,
    hippo_matrices,
    nplr,
    ssm_conv,
    ssm_recurrent,
    state_kernel,
)


def _system(rng, batch=(), r=1, N=5):
    P = (rng.standard_normal((*batch, r, N)) + 1j * rng.standard_normal((*batch, r, N))) / 2
    Lambda = -rng.random((*batch, N)) + 3j * rng.standard_normal((*batch, N))
    B, C = rng.standard_normal((2, *batch, N)) + 1j * rng.standard_normal((2, *batch, N))
    return Lambda, P, B, C


def test_dense_form_is_the_whole_system(rng):
    """Pairs written out in full have the real form's spectrum, gain and trace of the powers."""
    Lambda, P, B, C = _system(rng, r=2)
    Q = rng.standard_normal((2, 5)) + 1j * rng.standard_normal((2, 5))
    A, real_B, real_C = dplr_to_dense(Lambda, P, B, C, Q=Q)
    assert all(np.isrealobj(a) for a in (A, real_B, real_C))
    whole = (np.concatenate((a, a.conj()), -1) for a in (Lambda, P, B, C, Q))
    Lambda, P, B, C, Q = whole
    expected = np.diag(Lambda) - P.T @ Q.conj()
    np.testing.assert_allclose(np.poly(A), np.poly(expected), rtol=1e-10)
    for s in (1.0, 2j):
        gain = C @ np.linalg.solve(s * np.eye(10) - expected, B)
        assert abs(real_C @ np.linalg.solve(s * np.eye(10) - A, real_B) - gain) < 1e-11 * abs(gain)
    plain = dplr_to_dense(Lambda, P, B, C, Q=Q, conj=False)
    np.testing.assert_allclose(plain[0], expected)


@pytest.mark.parametrize("measure", ["legs", "legt", "fout"])
def test_dense_form_is_orthogonally_similar_to_the_hippo_matrix(xp, measure):
    like = xp.asarray([1.0])
    Lambda, P, B, V = nplr(measure, 8, like=like)
    A, real_B, _ = (xp.numpy(a) for a in dplr_to_dense(Lambda, P, B, B))
    V = xp.numpy(V)
    turn = np.sqrt(2) * np.concatenate((V.real, -V.imag), axis=1)
    expected_A, expected_B = hippo_matrices(measure, 8)
    np.testing.assert_allclose(turn @ A @ turn.T, expected_A, atol=100 * xp.tol)
    np.testing.assert_allclose(turn @ real_B, expected_B, atol=100 * xp.tol)


@pytest.mark.parametrize("r", [0, 1, 3])
@pytest.mark.parametrize("conj", [True, False])
@pytest.mark.parametrize("L", [1, 16, 17, 150])
def test_recurrence_is_that_of_the_dense_system(rng, r, conj, L):
    Lambda, P, B, C = _system(rng, (3,), r)
    Q = P + 0.2 * rng.standard_normal(P.shape)
    x0 = rng.standard_normal((3, 5)) + 1j * rng.standard_normal((3, 5))
    u, D, dt = rng.standard_normal((2, 3, L)), rng.standard_normal(3), np.array([0.1, 0.2, 0.3])
    A, dense_B, dense_C = dplr_to_dense(Lambda, P, B, C, Q=Q, conj=conj)
    _, dense_x, _ = dplr_to_dense(Lambda, P, x0, C, Q=Q, conj=conj)
    discrete = discretize(A, dense_B, dt, method="bilinear")
    expected, last = ssm_recurrent(u, *discrete, dense_C, D, dense_x)
    arrays = (u, Lambda, P, B, C, D, x0)
    for kind in (np.asarray, torch.as_tensor, lambda a: torch.as_tensor(a).requires_grad_()):
        y, x = dplr_recurrence(*map(kind, arrays), dt=kind(dt), Q=kind(Q), conj=conj)
        y, x = (a if isinstance(a, np.ndarray) else a.detach().numpy() for a in (y, x))
        assert np.isrealobj(y) == conj
        np.testing.assert_allclose(y, expected, atol=1e-12 * np.abs(expected).max())
        _, moved, _ = dplr_to_dense(Lambda, P, x, C, conj=conj)
        np.testing.assert_allclose(moved, last, atol=1e-12 * np.abs(last).max())


@pytest.mark.parametrize("L", [1, 40])
def test_recurrence_equals_convolution(xp, rng, L):
    Lambda, P, B, C = (xp.asarray(a) for a in _system(rng, (3,), 2))
    x0 = xp.asarray(rng.standard_normal((3, 5)) + 0j)
    u = xp.asarray(rng.standard_normal((2, 3, L)))
    y, x = dplr_recurrence(u, Lambda, P, B, C, 0.3, x0, dt=0.1)
    K = dplr_kernel(Lambda, P, B, C, L, dt=0.1)
    free = state_kernel(Lambda, P, C, x0, L, dt=0.1)
    by_fft = xp.numpy(ssm_conv(u, K, D=0.3, state_kernel=free))
    np.testing.assert_allclose(xp.numpy(y), by_fft, atol=xp.tol / 10 * np.abs(by_fft).max())
    assert xp.numpy(x).shape == (2, 3, 5)


@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(0, 60))
def test_a_signal_fed_in_two_pieces(seed, L, cut):
    rng = np.random.default_rng(seed)
    system = _system(rng, r=2)
    u, cut = rng.standard_normal(L), min(cut, L)
    whole, last = dplr_recurrence(u, *system, dt=0.1)
    first, x = dplr_recurrence(u[:cut], *system, dt=0.1)
    second, x = dplr_recurrence(u[cut:], *system, x0=x, dt=0.1)
    np.testing.assert_allclose(np.concatenate((first, second)), whole, atol=1e-12)
    np.testing.assert_allclose(x, last, atol=1e-12)


def test_real_systems_stay_real(xp, rng):
    Lambda, P, B, C = -rng.random(4), rng.standard_normal(4), np.ones(4), np.ones(4)
    u = rng.standard_normal(20)
    y, x = dplr_recurrence(*(xp.asarray(a) for a in (u, Lambda, P, B, C)), dt=0.1, conj=False)
    assert np.isrealobj(xp.numpy(y))
    assert np.isrealobj(xp.numpy(x))
    K = dplr_kernel(Lambda, P, B, C, 20, dt=0.1, conj=False)
    np.testing.assert_allclose(xp.numpy(y), ssm_conv(u, K), atol=xp.tol)


def test_strided_signals_and_empty_ones(xp, rng):
    system = [xp.asarray(a) for a in _system(rng)]
    u = xp.asarray(rng.standard_normal((30, 3)))
    y, _ = dplr_recurrence(u.T, *system, dt=0.1)
    one, _ = dplr_recurrence(u[:, 1], *system, dt=0.1)
    np.testing.assert_allclose(xp.numpy(y)[1], xp.numpy(one), atol=xp.tol)
    x0 = xp.asarray(rng.standard_normal(5) + 0j)
    y, x = dplr_recurrence(u.T[:, :0], *system, x0=x0, dt=0.1)
    assert tuple(y.shape) == (3, 0)
    np.testing.assert_array_equal(xp.numpy(x), np.broadcast_to(xp.numpy(x0), (3, 5)))


def test_inputs_are_left_alone(rng):
    system, x0 = _system(rng), np.ones(5) + 0j
    copies = [a.copy() for a in (*system, x0)]
    dplr_recurrence(np.ones(9), *system, x0=x0, dt=0.1)
    for given_array, copy in zip((*system, x0), copies, strict=True):
        np.testing.assert_array_equal(given_array, copy)


@pytest.mark.parametrize("L", [3, 18])
def test_gradients(rng, L):
    Lambda, P, B, C = _system(rng, N=2)
    arrays = (rng.standard_normal(L), Lambda, P, B, C, np.asarray(0.3), B, np.asarray(0.2))
    inputs = [torch.tensor(a, requires_grad=True) for a in arrays]

    def run(*arrays):
        return dplr_recurrence(*arrays[:7], dt=arrays[7])

    assert torch.autograd.gradcheck(run, inputs, fast_mode=True)


@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_under_vmap(rng):
    system = [torch.as_tensor(a) for a in _system(rng, (3,))]
    u = torch.as_tensor(rng.standard_normal((3, 5)))

    def run(u, *system):
        return dplr_recurrence(u, *system, dt=0.1)[0]

    torch.testing.assert_close(torch.func.vmap(run)(u, *system), run(u, *system))


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"u": np.array([1.0, np.nan])}, ValueError, "u must be finite"),
        ({"u": np.ones(3) * 1j}, TypeError, "u must be real"),
        ({"u": np.float64(1.0)}, ValueError, "u must have shape"),
        ({"u": np.ones((3, 4)), "B": np.ones((2, 2))}, ValueError, r"B \(2,\)"),
        ({"D": np.ones(2), "u": np.ones((3, 4))}, ValueError, r"D \(2,\)"),
        ({"x0": np.ones(3)}, ValueError, "x0 must have shape"),
        ({"P": np.ones(3)}, ValueError, "P must have shape"),
        ({"dt": -1.0}, ValueError, "dt must be positive"),
        ({"Lambda": np.ones(2)}, ValueError, "Lambda must be complex"),
        ({"u": torch.ones(3)}, TypeError, "mix array libraries"),
    ],
)
def test_bad_input(change, error, words):
    good = {"u": np.ones(3), "Lambda": np.array([1j, 2j]), "dt": 0.1}
    good |= {name: np.ones(2) for name in "PBC"}
    with pytest.raises(error, match=words):
        dplr_recurrence(**(good | change))

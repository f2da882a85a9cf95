from __future__ import annotations

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ssm import discretize, hippo_matrices, hippo_project

MEASURES = ("legs", "legt", "lmu", "lagt", "tlagt", "glagt", "fout", "foud", "fourier_decay")
METHODS = ("zoh", "bilinear", "backward")


def dense_stepping(u, measure, N, dt, *, method="zoh", window=1.0):
    """One dense matrix-vector product a step, for signals (..., L) and a scalar step."""
    Ad, Bd = discretize(*hippo_matrices(measure, N, window=window), dt, method=method)
    x = np.zeros((*u.shape[:-1], N))
    states = []
    for k in range(u.shape[-1]):
        x = x @ Ad.T + Bd * u[..., k, None]
        states.append(x)
    return np.stack(states, axis=-2)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("N", "L"), [(2, 1), (6, 64), (16, 391)])
def test_blocks_agree_with_stepping(measure, method, N, L, rng):
    # Both sum the same terms in another order: a few thousand roundings of numbers of size 1.
    u = rng.standard_normal((2, 3, L))
    expected = dense_stepping(u, measure, N, 0.03, method=method, window=1.5)
    states = hippo_project(u, measure, N, 0.03, method=method, window=1.5)
    np.testing.assert_allclose(states, expected, rtol=1e-12, atol=2e-13)
    last = hippo_project(u, measure, N, 0.03, method=method, window=1.5, final=True)
    np.testing.assert_allclose(last, expected[..., -1, :], rtol=1e-12, atol=2e-13)


def test_one_step_a_system(xp, rng):
    u = rng.standard_normal((3, 2, 150))
    dt = np.array([0.01, 0.05])
    expected = np.stack([dense_stepping(u[:, i], "legt", 8, dt[i]) for i in range(2)], axis=1)
    states = hippo_project(xp.asarray(u), "legt", 8, xp.asarray(dt))
    np.testing.assert_allclose(xp.numpy(states), expected, rtol=0, atol=10 * xp.tol)
    last = hippo_project(xp.asarray(u), "legt", 8, xp.asarray(dt), final=True)
    np.testing.assert_allclose(xp.numpy(last), expected[..., -1, :], rtol=0, atol=10 * xp.tol)
    shared = hippo_project(xp.asarray(u[0, 0]), "legt", 8, xp.asarray(dt))
    assert tuple(shared.shape) == (2, 150, 8)
    alone = hippo_project(xp.asarray(u[0, 0]), "legt", 8, 0.05)
    np.testing.assert_allclose(xp.numpy(shared)[1], xp.numpy(alone), rtol=0, atol=10 * xp.tol)


def test_many_systems_take_short_blocks(rng):
    u = rng.standard_normal((300, 20))
    dt = np.linspace(0.01, 0.02, 300)
    states = hippo_project(u, "legs", 64, dt)
    expected = dense_stepping(u[299], "legs", 64, 0.02)
    np.testing.assert_allclose(states[299], expected, rtol=0, atol=1e-12)


def test_kinds_and_precisions_agree(xp, rng):
    u = rng.standard_normal((2, 300))
    expected = dense_stepping(u, "legs", 12, 0.02)
    states = hippo_project(xp.asarray(u), "legs", 12, 0.02)
    np.testing.assert_allclose(xp.numpy(states), expected, rtol=0, atol=xp.tol)
    doubled = xp.asarray(np.repeat(u, 2, axis=-1))
    strided = hippo_project(doubled[:, ::2], "legs", 12, 0.02)
    np.testing.assert_allclose(xp.numpy(strided), expected, rtol=0, atol=xp.tol)


def test_batch_agrees_with_loop(rng):
    u = rng.standard_normal((4, 100))
    looped = np.stack([hippo_project(row, "fout", 10, 0.01) for row in u])
    np.testing.assert_allclose(hippo_project(u, "fout", 10, 0.01), looped, rtol=0, atol=1e-14)


def test_zero_order_hold_is_the_convolution_with_the_basis_kernel():
    # x_n = sum_k u_k int R_n P_n(2e^{-s}-1) e^{-s} ds over the age of sample k, by quadrature in
    # 30 digits.
    u, N, dt = [1.0, -2.0, 0.5, 3.0], 5, 0.3
    state = hippo_project(np.array(u), "legs", N, dt, final=True)
    with mpmath.workdps(30):
        for n in range(N):
            exact = mpmath.fsum(
                value
                * mpmath.quad(
                    lambda s, n=n: (
                        mpmath.sqrt(2 * n + 1)
                        * mpmath.legendre(n, 2 * mpmath.exp(-s) - 1)
                        * mpmath.exp(-s)
                    ),
                    [dt * (len(u) - 1 - k), dt * (len(u) - k)],
                )
                for k, value in enumerate(u)
            )
            assert abs(state[n] - float(exact)) < 2e-14


@given(seed=st.integers(0, 10**6), shift=st.integers(1, 70), measure=st.sampled_from(MEASURES))
def test_linear_and_time_invariant(seed, shift, measure):
    rng = np.random.default_rng(seed)
    u, v = rng.standard_normal((2, 90))
    x, y = hippo_project(np.stack((u, v)), measure, 8, 0.05)
    combined = hippo_project(2 * u - 3 * v, measure, 8, 0.05)
    np.testing.assert_allclose(combined, 2 * x - 3 * y, rtol=0, atol=1e-11)
    delayed = hippo_project(np.concatenate((np.zeros(shift), u)), measure, 8, 0.05)
    assert not delayed[:shift].any()
    np.testing.assert_allclose(delayed[shift:], x, rtol=0, atol=1e-12)


def test_gradients(rng):
    u = torch.tensor(rng.standard_normal((2, 9)), requires_grad=True)
    dt = torch.tensor([0.1, 0.2], dtype=torch.float64, requires_grad=True)
    window = torch.tensor(1.3, dtype=torch.float64, requires_grad=True)
    for final in (False, True):
        assert torch.autograd.gradcheck(
            lambda u, dt, window, final=final: hippo_project(
                u, "legt", 4, dt, window=window, final=final
            ),
            (u, dt, window),
        )


@pytest.mark.parametrize(
    ("shape", "final", "expected"),
    [
        ((0,), False, (0, 4)),
        ((0,), True, (4,)),
        ((3, 0), False, (3, 0, 4)),
        ((3, 0), True, (3, 4)),
        ((0, 5), False, (0, 5, 4)),
    ],
)
def test_empty_signals(xp, shape, final, expected):
    states = xp.numpy(hippo_project(xp.asarray(np.ones(shape)), "legt", 4, 0.1, final=final))
    assert states.shape == expected
    assert not states.any()


def test_integers_are_promoted_and_inputs_kept(rng):
    u = rng.integers(-5, 5, (2, 40))
    kept = u.copy()
    states = hippo_project(u, "legs", 4, 1)
    assert states.dtype == np.float64
    np.testing.assert_array_equal(states, hippo_project(u.astype(float), "legs", 4, 1.0))
    np.testing.assert_array_equal(u, kept)


def test_unstable_euler_warns():
    with pytest.warns(RuntimeWarning, match="dt"):
        hippo_project(np.ones(3), "legs", 16, 0.5, method="euler")


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"u": np.ones(3) + 1j}, TypeError, "u must be real"),
        ({"u": np.array([1.0, np.nan])}, ValueError, "u must be finite"),
        ({"u": np.array(["a"])}, TypeError, "u must hold"),
        ({"u": np.array([True])}, TypeError, "u must hold"),
        ({"u": 1.0}, ValueError, "u must have shape"),
        ({"dt": 0.0}, ValueError, "dt must be positive"),
        ({"dt": -0.1}, ValueError, "dt must be positive"),
        ({"dt": np.inf}, ValueError, "dt must be finite"),
        ({"dt": 1j}, TypeError, "dt must be real"),
        ({"u": np.ones((3, 5)), "dt": np.ones(2)}, ValueError, "dt"),
        ({"dt": torch.ones(1)}, TypeError, "mix"),
        ({"N": 0}, ValueError, "N must be at least 1"),
        ({"N": 2.5}, TypeError, "N must be an integer"),
        ({"measure": "fout", "N": 3}, ValueError, "N must be even"),
        ({"measure": "legz"}, ValueError, "measure must be one of"),
        ({"method": "foh"}, ValueError, "method must be one of"),
        ({"window": 0.0}, ValueError, "window must be positive"),
        ({"window": np.ones(2)}, ValueError, "window must be a single number"),
    ],
)
def test_bad_input(changes, error, words):
    arguments = {"u": np.ones(4), "measure": "legs", "N": 4, "dt": 0.1} | changes
    options = {key: arguments.pop(key) for key in ("method", "window") if key in arguments}
    with pytest.raises(error, match=words):
        hippo_project(*arguments.values(), **options)

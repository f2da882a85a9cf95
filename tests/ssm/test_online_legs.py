from __future__ import annotations

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from numerics.arrays import as_arrays
from ssm import discretize, hippo_matrices, hippo_project, legs_project_online
from ssm.online_legs import _edges, _stepped

METHODS = ("exact", "bilinear", "backward")
ALPHA = {"exact": None, "bilinear": 0.5, "backward": 1.0}


def brute_force(u, N, edges):
    """Inner products of the piecewise constant signal with the polynomials, in 40 digits."""
    with mpmath.workdps(40):
        a = [mpmath.mpf(float(edge)) / mpmath.mpf(float(edges[-1])) for edge in edges]

        def antiderivative(n, x):
            z = 2 * x - 1
            if n == 0:
                return x
            return (mpmath.legendre(n + 1, z) - mpmath.legendre(n - 1, z)) / (2 * (2 * n + 1))

        return np.array(
            [
                float(
                    mpmath.sqrt(2 * n + 1)
                    * mpmath.fsum(
                        mpmath.mpf(float(value))
                        * (antiderivative(n, right) - antiderivative(n, left))
                        for value, left, right in zip(u, a[:-1], a[1:], strict=True)
                    )
                )
                for n in range(N)
            ]
        )


def generic(u, N, method, warp, *, final=False):
    frame, u = as_arrays(u=u)
    edges = _edges(frame, u, warp)
    ratio, step = edges[:-1] / edges[1:], (edges[1:] - edges[:-1]) / edges[1:]
    return _stepped(frame, u, N, ratio, step, ALPHA[method], final)


@pytest.mark.parametrize("start", [0.0, 0.7])
@pytest.mark.parametrize("N", [1, 2, 9, 24])
def test_exact_steps_are_the_projection(N, start, rng):
    # Rounding errors of all steps add up like a random walk that each dilation shrinks.
    u = rng.standard_normal(60)
    edges = start + np.concatenate(([0.0], np.cumsum(rng.uniform(0.1, 2.0, 60))))
    expected = brute_force(u, N, edges)
    stepped = legs_project_online(u, N, warp=edges)
    np.testing.assert_allclose(stepped[-1], expected, rtol=0, atol=1e-14)
    direct = legs_project_online(u, N, warp=edges, final=True)
    np.testing.assert_allclose(direct, expected, rtol=0, atol=1e-14)
    np.testing.assert_allclose(stepped[30], brute_force(u[:31], N, edges[:32]), rtol=0, atol=1e-14)


def test_exact_steps_are_matrix_exponentials():
    # In 30 digits, since ``expm`` in double precision is the less accurate of the two.
    N, u = 6, [0.3, -1.0, 2.0, 0.7, -0.2]
    A, B = hippo_matrices("legs", N)
    states = legs_project_online(np.array(u), N)
    with mpmath.workdps(30):
        A, B = mpmath.matrix(A.tolist()), mpmath.matrix(B.tolist())
        c = mpmath.matrix([u[0]] + (N - 1) * [0])
        for k in range(2, len(u) + 1):
            Ad = mpmath.expm(A * mpmath.log(mpmath.mpf(k) / (k - 1)))
            c = Ad * c + (mpmath.lu_solve(A, (Ad - mpmath.eye(N)) * B)) * u[k - 1]
            # hippo_matrices rounds the entries of A and B to double precision.
            np.testing.assert_allclose(states[k - 1], [float(x) for x in c], rtol=0, atol=1e-14)


@pytest.mark.parametrize("method", ["bilinear", "backward", "euler"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_rules_are_those_of_discretize(method, rng):
    N, u = 7, rng.standard_normal(80)
    A, B = hippo_matrices("legs", N)
    c, expected = np.zeros(N), []
    for k in range(1, 81):
        Ad, Bd = discretize(A / k, B / k, 1.0, method=method)
        c = Ad @ c + Bd * u[k - 1]
        expected.append(c)
    states = legs_project_online(u, N, method=method)
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(states, expected, rtol=0, atol=1e-13 * scale)


@pytest.mark.parametrize("method", METHODS)
def test_exponential_warp_is_time_invariant_legs(method, rng):
    # The warp e^{ct} at unit steps: relative step 1 - e^{-c} for the rules, c for the exact steps.
    N, rate, u = 10, 0.2, rng.standard_normal(100)
    states = legs_project_online(u, N, method=method, warp=lambda t: np.exp(rate * t))
    dt = rate if method == "exact" else 1 - np.exp(-rate)
    rule = "zoh" if method == "exact" else method
    np.testing.assert_allclose(
        states, hippo_project(u, "legs", N, dt, method=rule), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("N", [1, 8, 33])
def test_paths_agree(xp, method, N, rng):
    u = xp.asarray(rng.standard_normal((2, 11, 70)))
    edges = xp.asarray(np.concatenate(([0.0], np.cumsum(rng.uniform(0.5, 1.5, 70)))))
    states = xp.numpy(legs_project_online(u, N, method=method, warp=edges))
    dense = xp.numpy(generic(u, N, method, edges))
    np.testing.assert_allclose(states, dense, rtol=0, atol=xp.tol)
    last = xp.numpy(legs_project_online(u, N, method=method, warp=edges, final=True))
    np.testing.assert_allclose(last, states[..., -1, :], rtol=0, atol=xp.tol)
    dense = xp.numpy(generic(u, N, method, edges, final=True))
    np.testing.assert_allclose(last, dense, rtol=0, atol=xp.tol)


@pytest.mark.parametrize("method", METHODS)
def test_last_of_all_batched_strided(xp, method, rng):
    u = rng.standard_normal((9, 2, 120))
    states = xp.numpy(legs_project_online(xp.asarray(u)[..., ::2], 12, method=method))
    for i in (0, 8):
        one = xp.numpy(legs_project_online(xp.asarray(u[i, 1, ::2]), 12, method=method))
        np.testing.assert_allclose(states[i, 1], one, rtol=0, atol=xp.tol)


def test_direct_projection_of_a_long_signal_in_several_parts(rng):
    u = rng.standard_normal(9000)
    stepped = legs_project_online(u, 128)[-1]
    direct = legs_project_online(u, 128, final=True)
    np.testing.assert_allclose(direct, stepped, rtol=0, atol=1e-13)


@given(
    seed=st.integers(0, 10**6),
    factor=st.floats(0.01, 100),
    method=st.sampled_from(METHODS),
)
def test_time_scale_does_not_matter_and_the_map_is_linear(seed, factor, method):
    rng = np.random.default_rng(seed)
    u, v = rng.standard_normal((2, 50))
    warp = np.concatenate(([0.0], np.cumsum(rng.uniform(0.1, 1.0, 50))))
    x, y = legs_project_online(np.stack((u, v)), 9, method=method, warp=warp)
    scaled = legs_project_online(u - 2 * v, 9, method=method, warp=factor * warp)
    np.testing.assert_allclose(scaled, x - 2 * y, rtol=0, atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_constants_are_kept_exactly(method):
    states = legs_project_online(np.full(400, 3.0), 20, method=method)
    # c - u e_0 is zero before every step but the first, where the rules shrink it.
    expected = np.zeros(20)
    expected[0] = 3.0
    rows = states if method == "exact" else states[-1:]
    bound = 0.0 if method == "exact" else 1.0
    assert np.abs(rows[-1] - expected).max() <= bound
    if method == "exact":
        np.testing.assert_array_equal(states, np.broadcast_to(expected, states.shape))


@pytest.mark.parametrize("method", METHODS)
def test_gradients_of_the_compiled_steps(method, rng):
    u = torch.tensor(rng.standard_normal((2, 10, 7)), requires_grad=True)
    for final in (False, True):

        def project(u, final=final):
            return legs_project_online(u, 5, method=method, final=final)

        assert torch.autograd.gradcheck(project, (u,))
        assert torch.autograd.gradgradcheck(project, (u,))


@pytest.mark.parametrize("method", METHODS)
def test_gradients_by_the_warp(method, rng):
    u = torch.tensor(rng.standard_normal((2, 6)), requires_grad=True)
    edges = torch.tensor([0.0, 1.0, 1.8, 3.1, 4.0, 5.5, 6.0], dtype=torch.float64)
    edges.requires_grad_()
    for final in (False, True):
        assert torch.autograd.gradcheck(
            lambda u, later, final=final: legs_project_online(
                u, 4, method=method, warp=torch.cat((edges[:1].detach(), later)), final=final
            ),
            (u, edges[1:]),
        )


@pytest.mark.parametrize(
    ("shape", "final", "expected"),
    [
        ((0,), False, (0, 4)),
        ((0,), True, (4,)),
        ((3, 0), False, (3, 0, 4)),
        ((0, 5), True, (0, 4)),
    ],
)
@pytest.mark.parametrize("method", METHODS)
def test_empty_signals(xp, method, shape, final, expected):
    u = xp.asarray(np.ones(shape))
    states = xp.numpy(legs_project_online(u, 4, method=method, final=final))
    assert states.shape == expected
    assert not states.any()


def test_integers_are_promoted_and_inputs_kept(rng):
    u = rng.integers(-5, 5, (2, 40))
    kept = u.copy()
    states = legs_project_online(u, 4, warp=np.arange(41))
    assert states.dtype == np.float64
    np.testing.assert_array_equal(states, legs_project_online(u.astype(float), 4))
    np.testing.assert_array_equal(u, kept)


def test_precision_follows_the_signal():
    warp = np.arange(6.0)
    assert legs_project_online(np.ones(5, np.float32), 3, warp=warp).dtype == np.float32
    assert legs_project_online(np.ones(5), 3, warp=warp.astype(np.float32)).dtype == np.float64


def test_unstable_euler_warns():
    with pytest.warns(RuntimeWarning, match="'euler' is unstable for N = 3"):
        legs_project_online(np.ones(3), 3, method="euler")


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"u": np.ones(3) + 1j}, TypeError, "u must be real"),
        ({"u": np.array([1.0, np.nan])}, ValueError, "u must be finite"),
        ({"u": np.array([object()])}, TypeError, "u must hold"),
        ({"u": 1.0}, ValueError, "u must have shape"),
        ({"N": 0}, ValueError, "N must be at least 1"),
        ({"N": True}, TypeError, "N must be an integer"),
        ({"method": "zoh"}, ValueError, "method must be one of"),
        ({"warp": np.arange(4.0)}, ValueError, "warp must have one value"),
        ({"warp": lambda t: 1.0}, ValueError, "warp must have one value"),
        ({"warp": np.ones(5)}, ValueError, "warp must be increasing, got 1 and then 1"),
        ({"warp": np.arange(5.0) - 1}, ValueError, "warp must not be negative"),
        ({"warp": np.array([0, 1, 2, 3, np.inf])}, ValueError, "warp must be finite"),
        ({"warp": np.arange(5) + 0j}, TypeError, "warp must be real"),
        ({"warp": torch.arange(5.0)}, TypeError, "mix"),
        ({"warp": "linear"}, TypeError, "warp must hold"),
    ],
)
def test_bad_input(changes, error, words):
    arguments = {"u": np.ones(4), "N": 3} | changes
    u, N = arguments.pop("u"), arguments.pop("N")
    with pytest.raises(error, match=words):
        legs_project_online(u, N, **arguments)

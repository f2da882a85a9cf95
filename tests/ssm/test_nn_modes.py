"""The layers in modes: published initialisations, kernels, and parameters that stay stable."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from ssm import (  # noqa: E402
    dense_kernel,
    discretize,
    dplr_c_tilde,
    dplr_to_dense,
    hippo_matrices,
    s4d_init,
    vandermonde_kernel,
)
from ssm.diagonal import INITIALISATIONS, TRANSFORMS  # noqa: E402
from ssm.nn import S4, S4D  # noqa: E402

DOUBLE = torch.float64


@pytest.mark.parametrize("init", INITIALISATIONS)
def test_s4d_starts_at_the_published_modes(init):
    layer = S4D(50, 16, init=init, rng=0, dtype=DOUBLE)
    seed = np.random.default_rng(0)
    seed.uniform(size=50)
    Lambda, B = s4d_init(init, 16, rng=seed)
    np.testing.assert_allclose(layer.Lambda.detach().numpy(), np.tile(Lambda, (50, 1)), rtol=1e-14)
    stored = layer._vector(layer.B).detach().numpy()
    np.testing.assert_array_equal(stored, np.tile(B, (50, 1)))
    dt = layer.dt.detach().numpy()
    assert 1e-3 <= dt.min() < 2e-3
    assert 5e-2 < dt.max() <= 1e-1
    # Means of 400 and of 50 squares of unit variance, within five standard deviations.
    assert abs(float(layer._vector(layer.C).abs().square().mean().detach()) - 1) < 0.4
    assert abs(float(layer.D.square().mean().detach()) - 1) < 1.0


@pytest.mark.parametrize("discretization", ["zoh", "bilinear"])
def test_s4d_is_convolution_with_the_kernel_of_its_parameters(discretization):
    layer = S4D(2, 6, discretization=discretization, rng=0, dtype=DOUBLE)
    with torch.no_grad():
        impulse = torch.zeros(30, 2, dtype=DOUBLE)
        impulse[0] = 1
        y = layer(impulse).numpy()
    w = layer.B.detach().numpy() @ [1, 1j] * (layer.C.detach().numpy() @ [1, 1j])
    K = vandermonde_kernel(
        layer.Lambda.detach().numpy(),
        w,
        30,
        dt=layer.dt.detach().numpy(),
        discretization=discretization,
    )
    K[:, 0] += layer.D.detach().numpy()
    np.testing.assert_allclose(y, K.T, atol=1e-13)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_modes_stay_stable_under_any_map(transform):
    layer = S4D(2, 4, init="lin", real_part=transform, rng=0)
    torch.testing.assert_close(layer.Lambda.real, torch.full((2, 2), -0.5))
    with torch.no_grad():
        layer.raw_real_part.normal_(0, 3)
    if transform != "none":
        assert (layer.Lambda.real < 0).all()


def test_a_step_remembers_as_long_as_the_convolution():
    """Steps of 1e-4: modes within 5e-5 of the circle, whose rounding would come back 1e4 times."""
    layer = S4D(1, 16, dt_min=1e-4, dt_max=1e-4, rng=0)
    u = torch.zeros(6000, 1)
    u[0] = 1
    with torch.no_grad():
        y, step, state = layer(u), layer.stepper(), layer.initial_state(())
        for t in range(6000):
            y_t, state = step(u[t], state)
    torch.testing.assert_close(y_t, y[-1], rtol=0, atol=1e-5 * float(y.abs().max()))


@pytest.mark.parametrize("init", ["fourier_decay", "fout", "lagt", "legs", "legt"])
def test_s4_starts_at_the_hippo_system(init):
    layer = S4(2, 8, init=init, real_part="none", rng=0, dtype=DOUBLE)
    P, B, C = (torch.view_as_complex(x.detach()) for x in (layer.P, layer.B, layer.C))
    dense = dplr_to_dense(layer.Lambda.detach(), P, B, C)
    A, B = hippo_matrices(init, 8)
    s = np.arange(1.0, 5.0)
    for system in range(2):
        M, b, _ = (x[system].numpy() for x in dense)
        # What orthogonally similar systems have in common.
        np.testing.assert_allclose(np.poly(M), np.poly(A), rtol=1e-8, atol=1e-6)
        for value in s:
            ours, theirs = (
                vector @ np.linalg.solve(value * np.eye(8) - matrix, vector)
                for matrix, vector in ((M, b), (A, B))
            )
            np.testing.assert_allclose(ours, theirs, rtol=1e-9)
    stable = S4(2, 8, init=init, rng=0, dtype=DOUBLE)
    shift = (stable.Lambda - layer.Lambda).detach()
    undamped = init in ("fourier_decay", "fout", "lagt", "legt")
    torch.testing.assert_close(shift, torch.full_like(shift, -1e-4 if undamped else 0))


def test_s4_is_convolution_with_the_kernel_of_its_dense_system():
    layer = S4(3, 6, rng=0, dtype=DOUBLE)
    P, B, C = (torch.view_as_complex(x.detach()) for x in (layer.P, layer.B, layer.C))
    A, B, C = dplr_to_dense(layer.Lambda.detach(), P, B, C)
    A, B = discretize(A, B, layer.dt.detach(), method="bilinear")
    K = dense_kernel(A, B, C, 40)
    impulse = torch.zeros(40, 3, dtype=DOUBLE)
    impulse[0] = 1
    y = layer(impulse).detach()
    torch.testing.assert_close(y[1:], K.mT[1:], rtol=0, atol=1e-12)
    torch.testing.assert_close(y[0], K[:, 0] + layer.D.detach(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("length", [1, 25, 40])
def test_a_learnt_c_tilde_is_that_of_its_c(length):
    layer = S4(2, 8, dt_min=0.02, rng=0, dtype=DOUBLE)
    twin = S4(2, 8, length=25, dt_min=0.02, rng=1, dtype=DOUBLE)
    twin.load_state_dict(layer.state_dict())
    with torch.no_grad():
        C = torch.view_as_complex(layer.C)
        P = torch.view_as_complex(layer.P)
        tilde = dplr_c_tilde(layer.Lambda, P, C, 25, dt=layer.dt)
        twin.C.copy_(torch.view_as_real(tilde))
        K = layer.kernel(length)
        torch.testing.assert_close(twin.kernel(length), K, rtol=0, atol=1e-10 * float(K.max()))


def test_s4_stays_stable_whatever_its_correction():
    layer = S4(4, 8, rng=0, dtype=DOUBLE)
    with torch.no_grad():
        layer.P.normal_(0, 5)
        layer.raw_real_part.normal_(0, 2)
        vectors = (torch.view_as_complex(x) for x in (layer.P, layer.B, layer.C))
        A, _, _ = dplr_to_dense(layer.Lambda, *vectors)
    assert (torch.linalg.eigvals(A).real < 0).all()

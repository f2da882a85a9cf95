"""Cauchy sums in Triton, compiled on CUDA or in the interpreter, against matrix products."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from numerics.arrays import as_arrays
from ssm import _cauchy_sums, cauchy_matvec, dplr_kernel, nplr
from ssm._cauchy_sums import _adjoint_on_device, _on_device, adjoint_values, sums_values

REAL = {False: torch.float64, True: torch.float32}


@pytest.fixture
def by_triton(monkeypatch, triton_device):
    """Let tensors of the host be taken for those of a device, and run in the interpreter."""

    def switch(used: bool) -> None:
        monkeypatch.setattr(_cauchy_sums, "on_host", lambda frame: frame.is_numpy)
        monkeypatch.setattr(_cauchy_sums, "triton_runs", lambda frame, *arrays: used)

    switch(True)
    return switch


def _system(rng, device, single, M=2, m=3, N=5, L=40):
    def draw(*shape):
        return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)

    dtype = torch.complex64 if single else torch.complex128
    v, w, a, sigma = draw(M, m, N), draw(M, m, L), draw(M, N), draw(1, L) + 3j
    kappa = rng.random(L)
    kappa[0] = 0  # the point at infinity
    frame, *_ = as_arrays(v=torch.zeros(1, dtype=dtype, device=device))
    return frame, *(torch.as_tensor(x, device=device) for x in (v, w, a, sigma, kappa))


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize(("power", "paired"), [(1, False), (3, False), (1, True)])
def test_both_sums_equal_matrix_products(by_triton, triton_device, rng, single, power, paired):
    frame, v, w, a, sigma, kappa = _system(rng, triton_device, single)
    # About the rounding of ten terms of either sign.
    bound = 1e-5 if single else 1e-13
    expected = _on_device(frame, v, a, sigma, kappa, power, paired)
    sums = sums_values(frame, v, a, sigma, kappa, power, paired)
    assert sums.dtype == expected.dtype
    torch.testing.assert_close(sums, expected, rtol=0, atol=bound * float(expected.abs().max()))
    if not paired:
        expected = _adjoint_on_device(frame, w, a, sigma, kappa, power)
        sums = adjoint_values(frame, w, a, sigma, kappa, power)
        torch.testing.assert_close(sums, expected, rtol=0, atol=bound * float(expected.abs().max()))


@pytest.mark.parametrize(("M", "m", "N", "L"), [(1, 1, 1, 1), (1, 9, 3, 33), (2, 1, 260, 2)])
def test_ragged_sizes(by_triton, triton_device, rng, M, m, N, L):
    frame, v, w, a, sigma, kappa = _system(rng, triton_device, False, M, m, N, L)
    sigma = sigma + torch.arange(M, device=triton_device)[:, None]
    for sums, expected in (
        (sums_values(frame, v, a, sigma, kappa, 1, False), v @ _matrix(a, sigma, kappa)),
        (adjoint_values(frame, w, a, sigma, kappa, 1), w @ _matrix(a, sigma, kappa).mT),
    ):
        torch.testing.assert_close(sums, expected, rtol=1e-11, atol=1e-11)


def _matrix(a, sigma, kappa):
    return 1 / (sigma[:, None, :] - kappa * a[:, :, None])


def test_nothing_to_sum(by_triton, triton_device, rng):
    frame, v, _, a, sigma, kappa = _system(rng, triton_device, True)
    assert sums_values(frame, v, a, sigma[:, :0], kappa[:0], 1, False).shape == (2, 3, 0)
    nothing = sums_values(frame, v[..., :0], a[:, :0], sigma, kappa, 1, True)
    assert nothing.shape == (2, 3, 40)
    assert not nothing.any()


def test_close_to_a_node_and_far_from_one(by_triton, triton_device):
    """Single precision, where differences cancel and where their squares overflow."""
    w = torch.tensor([1 + 1j, 2], dtype=torch.complex64, device=triton_device)
    z = torch.stack((w[0] * (1 + 1e-5), w[0] * 1e25))
    v = torch.tensor([0.3, -1j], dtype=torch.complex64, device=triton_device)
    y = cauchy_matvec(v, z, w).cpu().to(torch.complex128)
    exact = cauchy_matvec(*(x.cpu().to(torch.complex128).numpy() for x in (v, z, w)))
    np.testing.assert_allclose(y, exact, rtol=1e-6)


@pytest.mark.parametrize("single", [False, True])
def test_gradients_equal_those_of_matrix_products(by_triton, triton_device, rng, single):
    dtype = torch.complex64 if single else torch.complex128
    _, v, _, a, z, _ = _system(rng, triton_device, single, N=3, L=10)
    gradients = []
    for used in (True, False):
        by_triton(used)
        inputs = [x.to(dtype).detach().requires_grad_() for x in (v[:, 0], z, a)]
        y = cauchy_matvec(*inputs)
        first = torch.autograd.grad((y * y.conj()).real.sum(), inputs, create_graph=True)
        second = torch.autograd.grad(sum(x.abs().sum() for x in first), inputs)
        gradients.append((*first, *second))
    for ours, generic in zip(*gradients, strict=True):
        bound = (1e-4 if single else 1e-11) * float(generic.detach().abs().max())
        torch.testing.assert_close(ours, generic, rtol=0, atol=bound)


@pytest.mark.parametrize("single", [False, True])
def test_kernel_of_s4(by_triton, triton_device, rng, single):
    """The four sums of a system with rank one, of conjugate pairs, against NumPy."""
    system = nplr("legs", 12)[:3]
    C, dt = rng.standard_normal(6) + 1j * rng.standard_normal(6), np.array([0.05])
    exact = dplr_kernel(*system, C, 40, dt=dt)
    kind = torch.complex64 if single else torch.complex128
    tensors = [torch.as_tensor(x, device=triton_device).to(kind) for x in (*system, C)]
    K = dplr_kernel(*tensors, 40, dt=torch.as_tensor(dt, device=triton_device, dtype=REAL[single]))
    bound = (1e-5 if single else 1e-12) * np.abs(exact).max()
    np.testing.assert_allclose(K.cpu().numpy(), exact, atol=bound)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("single", [False, True])
def test_many_points_on_a_device(monkeypatch, rng, single):
    pytest.importorskip("triton")
    dtype = torch.complex64 if single else torch.complex128
    _, v, _, a, z, _ = _system(rng, "cuda", single, M=20, N=64, L=5000)
    inputs = [x.to(dtype).requires_grad_() for x in (v[:, 0], z, a)]
    results = []
    for used in (True, False):
        if not used:
            monkeypatch.setattr(_cauchy_sums, "triton_runs", lambda frame, *arrays: False)
        y = cauchy_matvec(*inputs)
        results.append((y, *torch.autograd.grad(y.abs().square().sum(), inputs)))
    for ours, generic in zip(*results, strict=True):
        bound = (1e-4 if single else 1e-11) * float(generic.detach().abs().max())
        torch.testing.assert_close(ours, generic, rtol=0, atol=bound)


COMPILE = """
import os
os.environ.pop("TRITON_INTERPRET", None)
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from ssm._triton_cauchy import _sums_kernel as kernel
sizes = ("M", "m", "nodes", "points", "blocks", "span", "sigma_step")
for real, over, paired, power in (("fp32", False, True, 1), ("fp64", True, False, 2)):
    fixed = dict(OVER_POINTS=over, PAIRED=paired, POWER=power, SINGLE=real == "fp32")
    fixed |= dict(ROWS=2, BLOCK=64)
    kinds = dict.fromkeys(("w", "out"), f"*{real}")
    kinds |= dict.fromkeys(("a", "sigma", "kappa"), "*fp64") | dict.fromkeys(sizes, "i32")
    kinds |= dict.fromkeys(fixed, "constexpr")
    source = ASTSource(kernel, {name: kinds[name] for name in kernel.arg_names}, fixed)
    print("cubin" in triton.compile(source, target=GPUTarget("cuda", 80, 32)).asm)
"""


def test_the_compiler_takes_the_kernel(run_python, monkeypatch, tmp_path):
    """The interpreter takes more than the compiler, which needs no device."""
    pytest.importorskip("triton.backends.nvidia")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    assert run_python(COMPILE).split() == 2 * ["True"]

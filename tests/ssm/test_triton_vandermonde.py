"""Kernels of Vandermonde sums: in Triton's interpreter on the host, and compiled where CUDA is."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from numerics.arrays import as_arrays
from ssm import _torch_vandermonde, vandermonde_kernel
from ssm._torch_vandermonde import VandermondeSum, expand_on_device
from ssm._vandermonde import expand


@pytest.fixture
def device(triton_device, monkeypatch):
    """Device, on which the sums and their gradients run in Triton."""
    monkeypatch.setattr(_torch_vandermonde, "triton_runs", lambda *_: True)
    return triton_device


def _modes(rng, shape, device, exponential=True):
    exponents = -0.01 * rng.random(shape) + 3j * rng.standard_normal(shape)
    nodes = exponents if exponential else np.exp(exponents)
    weights = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    return [torch.tensor(v, device=device, requires_grad=True) for v in (nodes, weights)]


def _frame(device, single):
    dtype = torch.float32 if single else torch.float64
    return as_arrays(a=torch.zeros(1, dtype=dtype, device=device))[0]


@pytest.mark.parametrize("L", [1, 2, 63, 65, 1025, 5000])
@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("exponential", [True, False])
def test_sums_and_gradients(device, rng, L, single, exponential):
    """Lengths that fill tiles and segments or not, against matrix products in double precision."""
    nodes, w = _modes(rng, (2, 17), device, exponential)
    K = VandermondeSum.apply(nodes, w, L, exponential, _frame(device, single))
    assert K.dtype == (torch.float32 if single else torch.float64)
    given = {"exponent" if exponential else "z": nodes}
    expected = expand(_frame(device, False), w, L, conj=True, **given)
    weights = torch.tensor(rng.standard_normal((2, L)), dtype=K.dtype, device=device)
    ours = (K, *torch.autograd.grad(K, (nodes, w), weights))
    theirs = torch.autograd.grad(expected, (nodes, w), weights.double(), materialize_grads=True)
    tolerance = 2e-6 if single else 1e-13
    for value, exact in zip(ours, (expected, *theirs), strict=True):
        scale = max(float(exact.detach().abs().max()), 1e-300)
        torch.testing.assert_close(value.to(exact.dtype), exact, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("exponential", [True, False])
def test_derivatives(device, rng, exponential):
    """To second order, which is that of the matrix products, and a node at zero."""
    nodes, w = _modes(rng, (1, 2), device, exponential)
    if not exponential:
        nodes.data[0, 0] = 0
    frame = _frame(device, False)

    def kernel(nodes, w):
        return VandermondeSum.apply(nodes, w, 4, exponential, frame)

    assert torch.autograd.gradcheck(kernel, (nodes, w))
    assert torch.autograd.gradgradcheck(kernel, (nodes, w))


def test_parameters_broadcast_and_share_their_gradients(device, rng):
    nodes, _ = _modes(rng, (3,), device)
    _, w = _modes(rng, (2, 1, 3), device)
    real = torch.tensor(rng.standard_normal((4, 3)), device=device, requires_grad=True)
    frame = _frame(device, False)
    for weights in (w, real):
        K = expand_on_device(frame, weights, 20, exponent=nodes)
        expected = expand(frame, weights, 20, conj=True, exponent=nodes)
        torch.testing.assert_close(K, expected, rtol=0, atol=1e-13)
        ours, theirs = (torch.autograd.grad(k.sin().sum(), (nodes, weights)) for k in (K, expected))
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-11)
    assert expand_on_device(frame, w[:0], 20, exponent=nodes).shape == (0, 1, 20)


def test_many_gradients_at_once(device, rng, monkeypatch):
    """The backward pass under vmap, where there is no memory to read, is one of products."""
    from ssm._device_kernels import triton_runs

    nodes, w = _modes(rng, (2, 3), device)
    frame = _frame(device, False)
    K = VandermondeSum.apply(nodes, w, 10, True, frame)
    weights = torch.tensor(rng.standard_normal((4, 2, 10)), device=device)
    one_by_one = [torch.autograd.grad(K, (nodes, w), v, retain_graph=True) for v in weights]
    monkeypatch.setattr(_torch_vandermonde, "triton_runs", triton_runs)
    mapped = torch.autograd.grad(K, (nodes, w), weights, is_grads_batched=True)
    for k, values in enumerate(zip(*one_by_one, strict=True)):
        torch.testing.assert_close(mapped[k], torch.stack(values))


def test_phases_are_formed_in_double_precision(device):
    """An undamped fast mode over 20000 steps in single precision, known to one rounding."""
    exponent = torch.tensor([[0.5j]], dtype=torch.complex128, device=device)
    w = torch.tensor([[0.5 + 0j]], dtype=torch.complex128, device=device)
    K = VandermondeSum.apply(exponent, w, 20_000, True, _frame(device, True))
    np.testing.assert_allclose(K[0].cpu(), np.cos(0.5 * np.arange(20_000)), atol=3e-7)


def test_arrays_of_the_host_are_refused(rng):
    Lambda = -rng.random(3) + 1j
    with pytest.raises(ValueError, match="algorithm='triton' takes CUDA tensors"):
        vandermonde_kernel(Lambda, np.ones(3), 8, dt=0.1, algorithm="triton")


@pytest.mark.cuda
@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("discretization", ["zoh", "bilinear"])
def test_on_cuda(rng, single, discretization):
    """The size of a layer through the front door, with gradients, against matrix products."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    pytest.importorskip("triton")
    Lambda, w = _modes(rng, (64, 32), "cuda")
    dt = torch.tensor(rng.uniform(1e-3, 1e-1, 64), device="cuda", requires_grad=True)
    doubles = (Lambda, w, dt)
    singles = [v.detach().to(torch.complex64 if v.is_complex() else torch.float32) for v in doubles]
    if single:
        doubles = [v.to(torch.complex128 if v.is_complex() else torch.float64) for v in singles]
    results = []
    for given, algorithm in ((singles if single else doubles, "auto"), (doubles, "matmul")):
        leaves = [v.detach().clone().requires_grad_() for v in given]
        options = {"dt": leaves[2], "discretization": discretization, "algorithm": algorithm}
        K = vandermonde_kernel(*leaves[:2], 4097, **options)
        weights = torch.linspace(-1, 1, 4097, device="cuda", dtype=K.dtype)
        results.append((K.detach(), *torch.autograd.grad((K * weights).sum(), leaves)))
    tolerance = 1e-5 if single else 1e-11
    for ours, exact in zip(*results, strict=True):
        error = float((ours.to(exact.dtype) - exact).abs().max() / exact.abs().max())
        assert error < tolerance

"""The chunked delta rule in Triton, compiled on CUDA or in the interpreter, against array code."""

from __future__ import annotations

import pytest
import torch

from ssm import _torch_delta, delta_rule


@pytest.fixture
def by_triton(monkeypatch, triton_device):
    """Switch between kernels, which the host runs in the interpreter, and array code."""

    def switch(used: bool) -> None:
        monkeypatch.setattr(_torch_delta, "triton_runs", lambda frame, *arrays: used)

    switch(True)
    return switch


def _inputs(rng, device, single, T, n_h, d_k, d_v, batch=(2,), gated=True, start=True):
    dtype = torch.float32 if single else torch.float64

    def leaf(values):
        return torch.as_tensor(values, dtype=dtype, device=device).requires_grad_()

    q, k = rng.standard_normal((*batch, T, d_k)), rng.standard_normal((*batch, T * n_h, d_k))
    arrays = {
        "q": q,
        "k": k / (k**2).sum(-1, keepdims=True) ** 0.5,
        "v": rng.standard_normal((*batch, T * n_h, d_v)),
        "beta": rng.uniform(0, 2, (*batch, T * n_h)),
    }
    if gated:
        arrays["g"] = -rng.exponential(0.2, (*batch, T))
    if start:
        arrays["initial_state"] = rng.standard_normal((*batch, d_k, d_v))
    return {name: leaf(values) for name, values in arrays.items()}


def _with_gradients(inputs, **options):
    o, state = delta_rule(**inputs, **options)
    loss = (o * torch.cos(torch.arange(o.numel(), device=o.device)).view(o.shape)).sum()
    loss = loss + (state * state).sum()
    return [o, state, *torch.autograd.grad(loss, list(inputs.values()))]


def _assert_alike(ours, generic, bound):
    for x, y in zip(ours, generic, strict=True):
        assert x.dtype == y.dtype
        torch.testing.assert_close(x, y, rtol=0, atol=bound * float(y.detach().abs().max()))


@pytest.mark.parametrize(
    ("T", "n_h", "d_k", "d_v", "chunk", "gated", "start"),
    [
        (1, 1, 1, 1, 64, False, False),
        (37, 1, 8, 5, 16, True, True),
        (20, 2, 33, 17, 8, False, True),
        (30, 3, 70, 4, 64, True, False),
    ],
)
def test_equals_array_code(
    by_triton, monkeypatch, triton_device, rng, T, n_h, d_k, d_v, chunk, gated, start
):
    from ssm import _triton_delta

    if not gated:
        monkeypatch.setattr(_triton_delta, "_FEW_PROGRAMS", 1)  # as if there were many sequences
    inputs = _inputs(rng, triton_device, False, T, n_h, d_k, d_v, gated=gated, start=start)
    ours = _with_gradients(inputs, n_h=n_h, chunk=chunk)
    by_triton(False)
    _assert_alike(ours, _with_gradients(inputs, n_h=n_h, chunk=chunk), 1e-12)


def test_one_key_over_and_over_in_single_precision(by_triton, triton_device, rng):
    """A Neumann series explodes here; substitution errs by a few roundings a step."""
    inputs = _inputs(rng, triton_device, True, 64, 1, 16, 16, batch=(), gated=False)
    with torch.no_grad():
        inputs["k"].fill_(0.25)
        inputs["beta"].fill_(2)
    ours = _with_gradients(inputs)
    by_triton(False)
    double = {name: x.detach().double().requires_grad_() for name, x in inputs.items()}
    exact = _with_gradients(double)
    _assert_alike([x.double() for x in ours], exact, 1e-5)


def test_second_derivatives(by_triton, triton_device, rng):
    """They are taken of array code, from the states that the kernels left."""
    inputs = _inputs(rng, triton_device, False, 5, 2, 3, 2, batch=())

    def second():
        o, state = delta_rule(**inputs, n_h=2, chunk=3)
        first = torch.autograd.grad(
            o.sum() + state.square().sum(), list(inputs.values()), create_graph=True
        )
        return torch.autograd.grad(sum(x.square().sum() for x in first), list(inputs.values()))

    ours = second()
    by_triton(False)
    _assert_alike(ours, second(), 1e-11)


def test_more_corrections_than_a_chunk_takes(by_triton, triton_device, rng):
    inputs = _inputs(rng, triton_device, False, 2, 65, 3, 2, batch=())
    assert _torch_delta.chunk_length(None, inputs["k"], 2, 65) == 2
    ours = delta_rule(**inputs, n_h=65)
    _assert_alike(ours, delta_rule(**inputs, n_h=65, mode="recurrent"), 1e-12)


def test_no_sequences(by_triton, triton_device, rng):
    inputs = _inputs(rng, triton_device, True, 5, 2, 3, 2, batch=(0, 2))
    o, state, grad_q, *_ = _with_gradients(inputs, n_h=2)
    assert o.shape == (0, 2, 5, 2)
    assert state.shape == (0, 2, 3, 2)
    assert grad_q.shape == (0, 2, 5, 3)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize(("n_h", "d_k", "d_v"), [(1, 64, 64), (2, 128, 48), (3, 256, 100)])
def test_long_sequences_on_a_device(monkeypatch, rng, single, n_h, d_k, d_v):
    pytest.importorskip("triton")
    inputs = _inputs(rng, "cuda", single, 500, n_h, d_k, d_v, batch=(3, 2))
    ours = _with_gradients(inputs, n_h=n_h)
    monkeypatch.setattr(_torch_delta, "triton_runs", lambda frame, *arrays: False)
    # Float32: 1500 corrections, each with a few roundings.
    _assert_alike(ours, _with_gradients(inputs, n_h=n_h), 1e-4 if single else 1e-11)


COMPILE = """
import os
os.environ.pop("TRITON_INTERPRET", None)
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from ssm import _triton_delta as kernels
square = dict(N_H=3, DECAYED=True, N=16, TOKENS=8)
tile = dict(ADDED=True, DECAYED=True, N=16, ROWS=16, SLICE=16, COLUMNS=16)
for real, kernel, fixed in (
    ("fp32", kernels._weigh_kernel, square),
    ("fp32", kernels._invert_kernel, dict(N=16)),
    ("fp32", kernels._finish_kernel, square),
    ("fp32", kernels._follow_kernel, dict(REVERSE=True) | tile),
    ("fp64", kernels._follow_kernel, dict(REVERSE=False) | tile),
):
    kinds = dict.fromkeys(kernel.arg_names, f"*{real}") | {"decay": "*fp64"}
    kinds |= dict.fromkeys(("n", "C", "m", "d_k", "d_v", "blocks"), "i32")
    kinds |= dict.fromkeys(fixed, "constexpr")
    source = ASTSource(kernel, {name: kinds[name] for name in kernel.arg_names}, fixed)
    target, options = GPUTarget("cuda", 80, 32), {"num_warps": 1}
    print("cubin" in triton.compile(source, target=target, options=options).asm)
"""


def test_the_compiler_takes_the_kernels(run_python, monkeypatch, tmp_path):
    """The interpreter takes more than the compiler, which needs no device."""
    pytest.importorskip("triton.backends.nvidia")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    assert run_python(COMPILE).split() == 5 * ["True"]

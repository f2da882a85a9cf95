"""Kernels of the linear scan: in Triton's interpreter on the host, and compiled where CUDA is."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from numerics.arrays import as_arrays
from ssm import _torch_scan, linear_scan
from ssm._linear_scan import result_shape, scan_compiled, scan_parallel

# a, b, axis of time, whether complex, reversed and lagged; with what is broadcast over time,
# channels or batch, and in turns.
CASES = [
    ((2, 7, 3), (2, 7, 3), -2, False, False, False),
    ((2, 7, 1), (1, 7, 3), -2, True, True, True),
    ((1, 1, 3), (2, 7, 1), -2, True, True, False),
    ((2, 9), (2, 9), -1, False, True, True),
    ((1, 1), (2, 9), -1, True, False, False),
    ((2, 1, 2, 1, 2), (1, 2, 1, 3, 1), -2, False, True, False),
]


@pytest.fixture(params=["whole", "chunks"])
def device_scan(request, triton_device, monkeypatch):
    """Module with tiles small enough for the interpreter; time is split or not."""
    from ssm import _device_scan

    if triton_device == "cpu":
        monkeypatch.setattr(_device_scan, "_TILE", 4)
        monkeypatch.setattr(_device_scan, "_LANES", 2)
    monkeypatch.setattr(_device_scan, "_FEWEST_TILES", 1)
    programs = 1 if request.param == "whole" else 10_000
    monkeypatch.setattr(_device_scan, "_HOST_PROGRAMS", programs)
    monkeypatch.setattr(_device_scan, "_WARPS_PER_PROCESSOR", programs)
    return _device_scan


def _inputs(rng, shape_a, shape_b, axis, complex_valued, device, dtype=None):
    step = list(result_shape(np.empty(shape_a), np.empty(shape_b), None))
    step[axis] = 1
    arrays = []
    for shape in (shape_a, shape_b, step):
        values = rng.uniform(-1, 1, shape)
        if complex_valued:
            values = values + 1j * rng.uniform(-1, 1, shape)
        arrays.append(torch.tensor(values, dtype=dtype, device=device))
    return arrays


@pytest.mark.parametrize(("shape_a", "shape_b", "axis", "kind", "reverse", "lagged"), CASES)
def test_states(device_scan, triton_device, rng, shape_a, shape_b, axis, kind, reverse, lagged):
    a, b, h0 = _inputs(rng, shape_a, shape_b, axis, kind, triton_device)
    h0 = None if lagged else h0
    h = device_scan.scan_states(a, b, h0, axis, reverse, lagged)
    host = (None if v is None else v.cpu().numpy() for v in (a, b, h0))
    expected = scan_compiled(*host, axis, reverse, lagged)
    np.testing.assert_allclose(h.cpu().numpy(), expected, rtol=0, atol=1e-13)


def test_late_coefficients_meet_the_initial_state(device_scan, triton_device, rng):
    a, b, h0 = _inputs(rng, (5, 2), (5, 2), -2, False, triton_device)
    for reverse in (False, True):
        h = device_scan.scan_states(a, b, h0, -2, reverse, True)
        expected = scan_compiled(*(v.cpu().numpy() for v in (a, b, h0)), -2, reverse, True)
        np.testing.assert_allclose(h.cpu().numpy(), expected, rtol=0, atol=1e-14)


def test_single_precision_rounds_results_and_not_states(device_scan, triton_device, rng):
    """Coefficients near one would pile up the roundings of states; each state is rounded once."""
    a = torch.tensor(rng.uniform(0.99, 1, (24, 2)), dtype=torch.float32, device=triton_device)
    b = torch.tensor(rng.standard_normal((24, 2)), dtype=torch.float32, device=triton_device)
    h = device_scan.scan_states(a, b, None, -2, False, False)
    assert h.dtype == torch.float32
    expected = device_scan.scan_states(a.double(), b.double(), None, -2, False, False)
    np.testing.assert_allclose(h.cpu(), expected.cpu(), rtol=2**-23.9)


def test_views_are_read_where_they_lie(device_scan, triton_device, rng):
    """Transposed, strided, expanded, conjugated and negated."""
    a, b, _ = _inputs(rng, (3, 3, 3), (3, 3, 3), -2, True, triton_device)
    views = [
        (a.transpose(0, 2), b[..., :1].expand(3, 3, 3)),
        (a[::2, :, ::2], b[1:3, :, 1:]),
        (a.conj(), b.conj()),
        (a.conj().imag, b.conj().imag),
    ]
    for u, v in views:
        h = device_scan.scan_states(u, v, None, -2, False, False)
        host = (x.resolve_conj().resolve_neg().cpu().numpy() for x in (u, v))
        expected = scan_compiled(*host, None, -2, False, False)
        np.testing.assert_allclose(h.cpu().numpy(), expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize(("shape_a", "shape_b", "axis", "kind", "reverse", "start"), CASES)
def test_gradients(
    device_scan, triton_device, rng, monkeypatch, shape_a, shape_b, axis, kind, reverse, start
):
    """Of coefficients, inputs and initial state, against those of the other paths."""
    a, b, h0 = _inputs(rng, shape_a, shape_b, axis, kind, triton_device)
    inputs = [v.requires_grad_() for v in ([a, b, h0] if start else [a, b])]
    frame = as_arrays(a=a)[0]
    weights = _inputs(rng, result_shape(a, b, h0), (1,), axis, kind, triton_device)[0]
    gradients = []
    for kernels in (True, False):
        monkeypatch.setattr(_torch_scan, "triton_runs", lambda *_, kernels=kernels: kernels)
        h = _torch_scan.LinearScan.apply(
            a, b, h0 if start else None, axis, reverse, False, None, frame
        )
        gradients.append(torch.autograd.grad(h, inputs, weights))
    for ours, others in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, others, rtol=0, atol=1e-12)


def test_second_derivatives(device_scan, triton_device, rng, monkeypatch):
    """The gradient of a gradient is made of scans, which are kernels again."""
    monkeypatch.setattr(_torch_scan, "triton_runs", lambda *_: True)
    a, b, h0 = _inputs(rng, (3, 1), (3, 1), -2, False, triton_device)
    frame = as_arrays(a=a)[0]
    inputs = [v.requires_grad_() for v in (a, b, h0)]
    assert torch.autograd.gradgradcheck(
        lambda *inputs: _torch_scan.LinearScan.apply(*inputs, -2, False, False, None, frame),
        inputs,
    )


def test_nothing_to_scan(device_scan, triton_device):
    a = torch.ones((2, 0, 3), device=triton_device)
    assert device_scan.scan_states(a, a, None, -2, False, False).shape == (2, 0, 3)
    a = torch.ones((0, 1, 3), device=triton_device)
    b = torch.ones((0, 4, 3), device=triton_device)
    adjoint, grad_a = device_scan.adjoint_states(a, b, b, None, -2, False)
    assert adjoint.shape == b.shape
    assert grad_a.shape == a.shape


def test_one_step(triton_device):
    """One row is more than Triton's compiler takes, so a tile of one step has another one."""
    from ssm import _device_scan

    a, b, h0 = (torch.full((1, 1), v, device=triton_device) for v in (2.0, 3.0, 5.0))
    assert _device_scan._tile(1, 1, False) == (2, 1)
    for reverse in (False, True):
        assert _device_scan.scan_states(a, b, h0, -2, reverse, False).item() == 13.0


def test_time_is_split_only_where_lanes_are_few(triton_device, monkeypatch):
    from ssm import _device_scan

    monkeypatch.setattr(_device_scan, "_HOST_PROGRAMS", 64)
    cpu = torch.device("cpu")
    assert _device_scan._chunks(10_000, 16, 64, cpu) == (1, 10_000)
    assert _device_scan._chunks(10_000, 16, 32, cpu) == (1, 10_000)
    assert _device_scan._chunks(100, 16, 1, cpu) == (1, 100)
    chunks, length = _device_scan._chunks(10_000, 16, 4, cpu)
    assert length % 16 == 0
    assert (chunks - 1) * length < 10_000 <= chunks * length
    assert chunks == 16


@pytest.mark.cuda
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64, torch.complex128])
@pytest.mark.parametrize(
    ("shape_a", "shape_b", "axis"),
    [
        ((8, 4097, 64), (8, 4097, 64), -2),
        ((1, 1, 64), (3, 1000, 64), -2),
        ((70, 5001), (70, 5001), -1),
        ((1, 64, 4096), (16, 64, 4096), -2),
    ],
)
def test_on_cuda(rng, dtype, shape_a, shape_b, axis):
    """Large sizes through the front door, against odd and even steps in double precision."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    pytest.importorskip("triton")
    a, b, _ = _inputs(rng, shape_a, shape_b, axis, dtype.is_complex, "cuda", dtype)
    a = (0.7 * a).requires_grad_()
    b.requires_grad_()
    h = linear_scan(a, b, axis=axis)
    wide = torch.complex128 if dtype.is_complex else torch.float64
    doubles = [v.detach().to(wide).requires_grad_() for v in (a, b)]
    frame = as_arrays(a=doubles[0])[0]
    expected = scan_parallel(frame, *doubles, None, axis, False, False, None)
    tolerance = 2e-6 if dtype in (torch.float32, torch.complex64) else 1e-13
    scale = float(expected.detach().abs().max())
    torch.testing.assert_close(h.to(wide), expected, rtol=0, atol=tolerance * scale)
    weights = torch.randn_like(h)
    ours = torch.autograd.grad(h, (a, b), weights)
    theirs = torch.autograd.grad(expected, doubles, weights.to(wide))
    for grad, exact in zip(ours, theirs, strict=True):
        error = float((grad.to(wide) - exact).abs().max() / exact.abs().max())
        assert error < 10 * tolerance

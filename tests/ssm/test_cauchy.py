"""Cauchy products against the matrix, high precision and their own symmetries."""

from __future__ import annotations

import tracemalloc

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from numerics.arrays import as_arrays
from ssm import _cauchy_sums, cauchy_matvec
from ssm._cauchy_sums import _adjoint_on_device, _on_device, adjoint_values, sums_values


def _data(rng, batch=(), N=7, L=70, is_complex=True):
    v, w = rng.standard_normal((2, *batch, N)) + 1j * rng.standard_normal((2, *batch, N))
    z = 3 * rng.standard_normal((*batch, L)) + 3j
    return (v, z, w) if is_complex else (v.real, z.real + 20, w.real)


def _matrix(v, z, w):
    return np.sum(v[..., None, :] / (z[..., None] - w[..., None, :]), axis=-1)


@pytest.mark.parametrize("is_complex", [True, False])
@pytest.mark.parametrize(("N", "L"), [(1, 1), (4, 64), (5, 65), (7, 1100)])
def test_against_the_matrix(xp, rng, is_complex, N, L):
    v, z, w = _data(rng, (3,), N, L, is_complex)
    y = cauchy_matvec(*(xp.asarray(a) for a in (v, z, w)))
    given_values = (xp.numpy(xp.asarray(a)).astype(complex) for a in (v, z, w))
    expected = _matrix(*given_values)
    assert np.iscomplexobj(xp.numpy(y)) == is_complex
    # Each difference is exact to a rounding, so the sum is as good as its terms.
    np.testing.assert_allclose(xp.numpy(y), expected, atol=xp.tol / 100 * np.abs(expected).max())


@pytest.mark.parametrize("single", [False, True])
def test_close_to_a_node_differences_keep_their_digits(single):
    """Points at 1e-5 of a node: against 40 digits, in the precision of the result."""
    kind = np.complex64 if single else np.complex128
    w = np.array([1.0 + 1j, 2.0]).astype(kind)
    z = (w[0] * np.array([1 + 1e-5, 1 - 2e-5])).astype(kind)
    v = np.array([0.3, -1j]).astype(kind)
    y = cauchy_matvec(v, z, w)
    with mpmath.workdps(40):
        exact = [
            complex(
                mpmath.fsum(
                    mpmath.mpc(complex(a)) / (mpmath.mpc(complex(point)) - mpmath.mpc(complex(b)))
                    for a, b in zip(v, w, strict=True)
                )
            )
            for point in z
        ]
    np.testing.assert_allclose(y, exact, rtol=4 * np.finfo(kind).eps)


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 40))
def test_swapping_points_and_nodes_transposes(seed, N, L):
    rng = np.random.default_rng(seed)
    v, z, w = _data(rng, N=N, L=L)
    u = rng.standard_normal(L)
    left, right = u @ cauchy_matvec(v, z, w), -v @ cauchy_matvec(u, w, z)
    np.testing.assert_allclose(left, right, atol=1e-12 * np.abs(v).sum() * np.abs(u).sum())


@given(st.integers(0, 2**32 - 1), st.complex_numbers(max_magnitude=10))
def test_moving_points_and_nodes_together_changes_nothing(seed, shift):
    v, z, w = _data(np.random.default_rng(seed))
    y = cauchy_matvec(v, z, w)
    moved = cauchy_matvec(v, z + shift, w + shift)
    np.testing.assert_allclose(moved, y, rtol=1e-9, atol=1e-9 * np.abs(y).max())


def test_batches_broadcast_and_equal_the_loop(xp, rng):
    v, z, w = _data(rng, (3,))
    v = rng.standard_normal((2, 1, 7))
    y = xp.numpy(cauchy_matvec(xp.asarray(v), xp.asarray(z), xp.asarray(w[0])))
    assert y.shape == (2, 3, 70)
    for i in range(2):
        for j in range(3):
            one = cauchy_matvec(xp.asarray(v[i, 0]), xp.asarray(z[j]), xp.asarray(w[0]))
            np.testing.assert_allclose(y[i, j], xp.numpy(one), rtol=xp.tol / 100)


def test_strided_and_expanded_input(rng):
    v, z, w = _data(rng, (4,))
    expected = cauchy_matvec(v, z, w)
    strided = cauchy_matvec(np.asfortranarray(v), z[:, ::-1], w[:, ::-1][:, ::-1])
    np.testing.assert_array_equal(strided[:, ::-1], expected)
    shared = np.broadcast_to(z[0], (4, 70))
    np.testing.assert_array_equal(cauchy_matvec(v, shared, w), cauchy_matvec(v, z[0], w))
    tensor = torch.as_tensor(z[:1]).expand(4, 70)
    y = cauchy_matvec(torch.as_tensor(v).conj(), tensor, torch.as_tensor(w))
    np.testing.assert_array_equal(y.numpy(), cauchy_matvec(v.conj(), z[0], w))


def test_no_nodes_no_points_no_systems():
    assert not cauchy_matvec(np.ones(0), np.ones(3), np.ones(0)).any()
    assert cauchy_matvec(np.ones(2), np.ones(0), np.ones(2)).shape == (0,)
    assert cauchy_matvec(np.ones((0, 2)), np.ones(5), np.ones(2)).shape == (0, 5)


def test_no_array_of_points_by_nodes(rng):
    v, z, w = (torch.tensor(a, requires_grad=True) for a in _data(rng, N=64, L=20_000))
    cauchy_matvec(v[:2], z[:2], w[:2]).abs().sum().backward()
    tracemalloc.start()
    cauchy_matvec(v, z, w).abs().sum().backward()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 * 20_000 * 16 / 6


@pytest.mark.parametrize(("power", "paired"), [(1, False), (2, False), (3, False), (1, True)])
def test_sums_by_matrix_products_equal_the_compiled_ones(xp, rng, monkeypatch, power, paired):
    """What runs on a device, a few points at a time."""
    monkeypatch.setattr(_cauchy_sums, "_BLOCK_ENTRIES", 100)
    v = rng.standard_normal((2, 3, 7)) + 1j * rng.standard_normal((2, 3, 7))
    _, z, w = _data(rng, (2,))
    u, kappa = rng.standard_normal((2, 3, 70)) + 0j, rng.random(70)
    single, as_kind = xp.single, xp.asarray
    frame, *_ = as_arrays(v=as_kind(v))
    assert frame.single == single
    v, z, w, u, kappa = (frame.asarray(a) for a in (v, z, w, u, kappa))
    by_products = frame.cast(_on_device(frame, v, w, z, kappa, power, paired))
    adjoint = frame.cast(_adjoint_on_device(frame, u, w, z, kappa, power))
    if xp.device == "cpu":
        compiled = xp.numpy(sums_values(frame, v, w, z, kappa, power, paired))
        transposed = xp.numpy(adjoint_values(frame, u, w, z, kappa, power))
        bound = xp.tol / 10
        np.testing.assert_allclose(
            xp.numpy(by_products), compiled, atol=bound * np.abs(compiled).max()
        )
        np.testing.assert_allclose(
            xp.numpy(adjoint), transposed, atol=bound * np.abs(transposed).max()
        )


def test_gradients_of_first_and_second_order(rng):
    inputs = [torch.tensor(a, requires_grad=True) for a in _data(rng, (2,), 3, 5)]
    assert torch.autograd.gradcheck(cauchy_matvec, inputs)
    assert torch.autograd.gradgradcheck(cauchy_matvec, inputs)
    shared = [inputs[0], inputs[1][0].detach().requires_grad_(), inputs[2].real.detach()]
    assert torch.autograd.gradcheck(cauchy_matvec, shared)


def test_gradients_in_single_precision(rng):
    double = [torch.tensor(a, requires_grad=True) for a in _data(rng)]
    single = [a.detach().to(torch.complex64).requires_grad_() for a in double]
    for inputs in (double, single):
        cauchy_matvec(*inputs).abs().sum().backward()
    for exact, rounded in zip(double, single, strict=True):
        assert rounded.grad.dtype == torch.complex64
        error = (rounded.grad - exact.grad).abs().max() / exact.grad.abs().max()
        assert error < 1e-4


def test_under_vmap(rng):
    v, z, w = (torch.as_tensor(a) for a in _data(rng, (3,)))
    expected = cauchy_matvec(v, z, w)
    torch.testing.assert_close(torch.func.vmap(cauchy_matvec)(v, z, w), expected)
    mapped = torch.func.vmap(cauchy_matvec, (0, None, 1))(v, z[0], w.T)
    torch.testing.assert_close(mapped, cauchy_matvec(v, z[0], w))


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"v": np.ones(3)}, ValueError, "v must have shape"),
        ({"v": np.float64(1.0)}, ValueError, "v must have shape"),
        ({"z": np.float64(1.0)}, ValueError, "z must have shape"),
        ({"w": np.float64(1.0)}, ValueError, "w must have shape"),
        ({"z": np.array([1.0, np.nan])}, ValueError, "z must be finite"),
        ({"z": np.array([5.0, 3.0])}, ValueError, "z must not meet a node"),
        ({"v": np.ones((2, 2)), "z": np.ones((3, 4))}, ValueError, r"v \(2,\), z \(3,\)"),
        ({"w": torch.ones(2)}, TypeError, "mix array libraries"),
        ({"v": np.array(["a", "b"])}, TypeError, "v must hold"),
    ],
)
def test_bad_input(change, error, words):
    arguments = {"v": np.ones(2), "z": np.ones(4), "w": np.array([2.0, 3.0])} | change
    with pytest.raises(error, match=words):
        cauchy_matvec(**arguments)

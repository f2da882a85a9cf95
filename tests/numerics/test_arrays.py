"""The front door: kinds, precisions and refusals."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from numerics.arrays import (
    as_arrays,
    as_float,
    as_generator,
    as_integer,
    broadcast_batch,
    check_choice,
    check_positive,
    check_real,
    check_shape,
    frame_like,
)


def test_arrays_keep_kind_device_and_precision(xp):
    frame, a = as_arrays(a=xp.asarray([1.0, 2.0]))
    assert frame.single == xp.single
    xp.numpy(a)
    xp.numpy(frame.cast(frame.double(a)))


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int64])
def test_integers_become_float64(dtype):
    _, a = as_arrays(a=np.arange(3, dtype=dtype))
    assert a.dtype == np.float64
    _, t = as_arrays(a=torch.arange(3))
    assert t.dtype == torch.float64


def test_the_widest_precision_wins_and_complex_stays_complex():
    frame, a, b = as_arrays(a=np.ones(2, np.float32), b=np.ones(2, np.complex128))
    assert not frame.single
    assert a.dtype == np.float64
    assert b.dtype == np.complex128
    frame, a, b = as_arrays(a=torch.ones(2), b=torch.ones(2, dtype=torch.complex64))
    assert frame.single
    assert a.dtype == torch.float32
    assert b.dtype == torch.complex64


@pytest.mark.parametrize("scalar", [0.02, np.float64(0.02), np.float32(0.02), 3])
def test_scalars_keep_double_precision_beside_single_precision_arrays(scalar):
    for u in (np.ones(2, np.float32), torch.ones(2)):
        frame, _, dt = as_arrays(u=u, dt=scalar)
        assert frame.single
        assert "float64" in str(dt.dtype)
        assert float(dt) == float(scalar)


def test_zero_dimensional_arrays_do_not_decide_the_precision():
    frame, u, dt = as_arrays(u=torch.ones(2), dt=torch.tensor(0.1, dtype=torch.float64))
    assert frame.single
    assert u.dtype == torch.float32
    assert dt.dtype == torch.float64
    assert as_arrays(dt=np.asarray(0.1, np.float32))[0].single


def test_none_passes_through_and_lists_are_numpy():
    frame, a, b = as_arrays(a=[1, 2], b=None)
    assert frame.is_numpy
    assert b is None
    assert a.dtype == np.float64


def test_gradients_flow_through():
    t = torch.ones(2, requires_grad=True)
    _, a = as_arrays(a=t)
    assert a.requires_grad


@pytest.mark.parametrize(
    "bad",
    [
        "text",
        True,
        np.array([True]),
        np.array(["a"]),
        np.array([None]),
        np.ones(2, "f2"),
        np.ones(2, np.longdouble),
        torch.ones(2, dtype=torch.bool),
        torch.ones(2, dtype=torch.float16),
        {1: 2},
        [[1.0], [1.0, 2.0]],
    ],
    ids=str,
)
def test_what_holds_no_numbers_is_a_type_error_naming_the_argument(bad):
    with pytest.raises(TypeError, match="signal"):
        as_arrays(signal=bad)


def test_mixed_libraries_are_refused_by_name():
    with pytest.raises(TypeError, match="A numpy, u torch"):
        as_arrays(A=np.ones(2), u=torch.ones(2))


def test_mixed_devices_are_refused_by_name():
    with pytest.raises(ValueError, match="A on cpu, u on meta"):
        as_arrays(A=torch.ones(2), u=torch.ones(2, device="meta"))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_non_finite_values_are_refused_unless_allowed(value):
    for bad in (np.array([0.0, value]), torch.tensor([0.0, value]), value, [1.0, value]):
        with pytest.raises(ValueError, match="signal must be finite"):
            as_arrays(signal=bad)
        as_arrays(finite=False, signal=bad)


@pytest.mark.parametrize("make", [np.asarray, torch.as_tensor], ids=["numpy", "torch"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
def test_values_are_finite_unless_one_is_not(rng, make, dtype):
    """Wherever it is and in either part, whatever the strides, and also when sums overflow."""
    largest = np.full((600, 60), np.finfo(dtype).max)
    parts = (np.real, np.imag) if np.issubdtype(dtype, np.complexfloating) else (np.real,)
    good = (largest * (1 + 1j)).astype(dtype) if len(parts) == 2 else largest.astype(dtype)
    frame, _ = as_arrays(good=make(good))
    for array in (make(good), make(good).T, make(good)[:, :0], make(good)[0, 0]):
        assert frame.all_finite(array)
    if frame.is_torch and len(parts) == 2:
        assert frame.all_finite(make(good).conj())
        assert frame.all_finite(make(good).conj().imag)
    for part in parts:
        for value in (np.inf, -np.inf, np.nan):
            broken = good.copy()
            part(broken)[tuple(rng.integers(broken.shape))] = value
            assert not frame.all_finite(make(broken))
            assert not frame.all_finite(make(broken).T)
            row = broken[~np.isfinite(broken).all(axis=1)]
            assert not frame.all_finite(make(row))


def test_inputs_are_not_changed():
    a = np.arange(3)
    as_arrays(a=a)
    assert a.dtype.kind == "i"
    assert a.tolist() == [0, 1, 2]


def test_frame_like():
    assert frame_like(None).is_numpy
    assert not frame_like(None).single
    frame = frame_like(torch.ones(1))
    assert frame.is_torch
    assert frame.cast(frame.asarray([1j])).dtype == torch.complex64


def test_host_code_is_kept_from_tensors_it_cannot_read():
    frame, t = as_arrays(t=torch.ones(3))
    assert frame.runs_on_host(t)
    assert not frame.runs_on_host(t.clone().requires_grad_())
    seen = []

    def look(row):
        seen.append(as_arrays(finite=False, row=row)[0].runs_on_host(row))
        return row

    torch.func.vmap(look)(torch.ones(2, 3))
    assert seen == [False]


def test_check_shape():
    check_shape("A", np.ones((5, 3, 3)), "N", "N")
    check_shape("A", np.ones((5, 3)), 3)
    for shape, trailing in (((3, 4), ("N", "N")), ((3,), ("N", "N")), ((2, 4), (3,)), ((), (1,))):
        with pytest.raises(ValueError, match=r"A must have shape \(\.\.\., .*got"):
            check_shape("A", np.ones(shape), *trailing)


def test_broadcast_batch():
    assert broadcast_batch(A=(2, 1), B=(3,)) == (2, 3)
    with pytest.raises(ValueError, match=r"A \(2,\), B \(3,\)"):
        broadcast_batch(A=(2,), B=(3,))


def test_checks_on_values():
    frame, a, z = as_arrays(a=np.array([1.0, 0.0]), z=np.array([1j]))
    with pytest.raises(ValueError, match="dt must be positive, got an array with minimum 0"):
        check_positive("dt", a, frame)
    with pytest.raises(ValueError, match=r"dt must be positive, got -1\.0"):
        check_positive("dt", np.asarray(-1.0), frame)
    with pytest.raises(TypeError, match="u must be real, got dtype complex128"):
        check_real("u", z, frame)
    with pytest.raises(ValueError, match="method must be one of a, b; got 'c'"):
        check_choice("method", "c", ("b", "a"))


@pytest.mark.parametrize("bad", [1.0, "3", None, True, 2 + 0j])
def test_as_integer_refuses_what_is_not_an_integer(bad):
    with pytest.raises(TypeError, match="N must be an integer"):
        as_integer("N", bad, minimum=1)


def test_as_integer_and_as_float():
    assert as_integer("N", np.int32(3), minimum=1) == 3
    with pytest.raises(ValueError, match="N must be at least 1, got 0"):
        as_integer("N", 0, minimum=1)
    assert as_float("alpha", np.float32(0.5)) == 0.5
    for bad in ("0.5", None, True, 1j):
        with pytest.raises(TypeError, match="alpha must be a real number"):
            as_float("alpha", bad)
    with pytest.raises(ValueError, match="alpha must be finite"):
        as_float("alpha", np.nan)
    with pytest.raises(ValueError, match="alpha must be positive"):
        as_float("alpha", 0, positive=True)


def test_as_generator():
    generator = np.random.default_rng(1)
    assert as_generator(generator) is generator
    assert as_generator(5).random() == as_generator(5).random()
    draws = [as_generator(torch.Generator().manual_seed(3)).random() for _ in range(2)]
    assert draws[0] == draws[1]
    for bad in ("seed", 0.5, True, -1):
        with pytest.raises((TypeError, ValueError), match="rng must be"):
            as_generator(bad)


def test_importing_the_packages_loads_nothing_heavy(run_python):
    heavy = ("torch", "numba", "sklearn", "sympy", "gpytorch", "pyriemann", "matplotlib", "pandas")
    code = (
        "import sys, numerics, ssm, geometry, solvers;"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    assert run_python(code).strip() == "[]"
    assert "torch" in sys.modules  # this process did import it, so the check above can fail

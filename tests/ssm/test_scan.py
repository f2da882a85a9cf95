"""Linear scans against the recurrence itself, filters, convolutions and each other."""

from __future__ import annotations

import tracemalloc

import mpmath
import numpy as np
import pytest
import scipy.signal
import torch
from hypothesis import given
from hypothesis import strategies as st

from numerics.arrays import as_arrays
from ssm import discretize, linear_scan, ssm_conv, ssm_recurrent, vandermonde_matvec
from ssm._linear_scan import scan_compiled, scan_parallel

STEP_SHAPES = [
    ((2, 9, 3), (2, 9, 3)),
    ((3,), (2, 9, 3)),
    ((9, 1), (2, 9, 3)),
    ((2, 9, 3), (9, 1)),
    ((2, 1, 9, 1), (4, 1, 3)),
    ((9, 3), ()),
    ((), (9, 3)),
    ((9, 10), (9, 10)),
    ((10,), (2, 9, 1)),
    ((2, 9, 1), (9, 10)),
    ((9, 1), (2, 9, 1)),
]


def _recurrence(a, b, h0=0.0, reverse=False):
    """One step after another along the last axis but one, in extended precision."""
    shape = np.broadcast_shapes(np.shape(a), np.shape(b))
    a, b = np.broadcast_to(a, shape), np.broadcast_to(b, shape)
    complex_valued = any(map(np.iscomplexobj, (a, b, h0)))
    h = np.asarray(h0, dtype=np.clongdouble if complex_valued else np.longdouble)
    states = []
    for t in range(shape[-2])[:: -1 if reverse else 1]:
        h = a[..., t, :] * h + b[..., t, :]
        states.append(h)
    return np.stack(states[:: -1 if reverse else 1], axis=-2)


def _sequences(rng, shape_a, shape_b, complex_valued=False):
    a, b = rng.uniform(-1, 1, shape_a), rng.standard_normal(shape_b)
    if complex_valued:
        a = a * np.exp(1j * rng.uniform(0, 6, shape_a))
    return a, b


@pytest.mark.parametrize(("shape_a", "shape_b"), STEP_SHAPES)
@pytest.mark.parametrize("complex_valued", [False, True])
def test_against_the_recurrence(xp, rng, shape_a, shape_b, complex_valued):
    a, b = (xp.asarray(v) for v in _sequences(rng, shape_a, shape_b, complex_valued))
    shape = np.broadcast_shapes(shape_a, shape_b)
    h0 = xp.asarray(rng.standard_normal((*shape[:-2], shape[-1])))
    for start in (None, h0):
        for reverse in (False, True):
            h = xp.numpy(linear_scan(a, b, start, reverse=reverse))
            assert h.shape == shape
            assert np.iscomplexobj(h) == complex_valued
            host = [0.0 if v is None else np.asarray(v) for v in (a, b, start)]
            expected = _recurrence(*host, reverse=reverse)
            np.testing.assert_allclose(h, expected, rtol=0, atol=xp.tol / 100)


@pytest.mark.parametrize("N", [1, 2, 7, 8, 9, 33, 1200])
def test_narrow_and_wide_rows(rng, N):
    """Fewer than eight channels run in registers, many in pieces, if there are several threads."""
    a, b = _sequences(rng, (1, 700, N), (1, 700, N))
    np.testing.assert_allclose(linear_scan(a, b), _recurrence(a, b), atol=1e-14)
    np.testing.assert_allclose(
        linear_scan(a[:, 0], b, reverse=True), _recurrence(a[:, :1], b, reverse=True), atol=1e-14
    )


@pytest.mark.parametrize("rows", [3, 4, 5, 11])
@pytest.mark.parametrize("L", [1, 2, 511, 512, 513, 1100])
@pytest.mark.parametrize("reverse", [False, True])
def test_rows_that_run_by_turns_are_as_if_alone(rng, rows, L, reverse):
    """Four at a time and what is left over, in tiles of steps, coefficients shared or not; the
    gradient of the coefficients comes from a scan that takes them late."""
    for shape in ((rows, L, 1), (L, 2), (rows, 1, 2)):
        a, b = _sequences(rng, shape, (rows, L, shape[-1]))
        h0 = rng.standard_normal((rows, shape[-1]))
        h = linear_scan(a, b, h0, reverse=reverse)
        np.testing.assert_allclose(h, _recurrence(a, b, h0, reverse), rtol=0, atol=1e-13)
        late = scan_compiled(np.broadcast_to(a, b.shape), b, None, -2, reverse, True)
        order = slice(None, None, -1 if reverse else 1)
        ahead = np.broadcast_to(a, b.shape)[:, order]
        ahead = np.concatenate((ahead[:, :1], ahead[:, :-1]), axis=1)[:, order]
        np.testing.assert_allclose(late, _recurrence(ahead, b, 0.0, reverse), rtol=0, atol=1e-13)


@pytest.mark.parametrize("axis", [0, 1, 2, 3, -1, -2, -3, -4])
def test_any_axis(xp, rng, axis):
    a, b = _sequences(rng, (2, 3, 4, 5), (2, 3, 4, 5))
    h0 = rng.standard_normal(np.delete(a.shape, axis))
    h = xp.numpy(linear_scan(*map(xp.asarray, (a, b, h0)), axis=axis))
    moved = (np.moveaxis(v, axis, 0).reshape(a.shape[axis], -1) for v in (a, b))
    expected = _recurrence(*moved, h0.ravel())
    flat = np.moveaxis(h, axis, 0).reshape(a.shape[axis], -1)
    np.testing.assert_allclose(flat, expected, atol=xp.tol / 100)


def test_axes_of_the_initial_state_are_batch_axes(xp, rng):
    a, b = _sequences(rng, (3,), (6, 3))
    h0 = rng.standard_normal((4, 2, 3))
    h = xp.numpy(linear_scan(*map(xp.asarray, (a, b, h0))))
    assert h.shape == (4, 2, 6, 3)
    one = xp.numpy(linear_scan(*map(xp.asarray, (a, b, h0[3, 1]))))
    np.testing.assert_array_equal(h[3, 1], one)


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(0, 40), st.booleans())
def test_pieces_superposition_and_reversal(seed, L, cut, complex_valued):
    """Bit for bit when real; compilers may round a complex product in either of two orders."""
    rng = np.random.default_rng(seed)
    a, b = _sequences(rng, (L, 3), (L, 3), complex_valued)
    slack = 1e-14 if complex_valued else 0
    h0, other = rng.standard_normal((2, 3)), rng.standard_normal((L, 3))
    h = linear_scan(a, b, h0[0])
    cut = min(cut, L)
    first = linear_scan(a[:cut], b[:cut], h0[0])
    second = linear_scan(a[cut:], b[cut:], first[-1] if cut else h0[0])
    np.testing.assert_allclose(np.concatenate((first, second)), h, rtol=0, atol=slack)
    flipped = linear_scan(a[::-1], b[::-1], h0[0])[::-1]
    np.testing.assert_allclose(linear_scan(a, b, h0[0], reverse=True), flipped, rtol=0, atol=slack)
    np.testing.assert_allclose(
        linear_scan(a, b - 2 * other, h0[0] - 2 * h0[1]),
        h - 2 * linear_scan(a, other, h0[1]),
        atol=1e-12,
    )


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 70),
    st.sampled_from([None, 1, 2, 3, 7, 64, 1000]),
    st.booleans(),
    st.booleans(),
    st.sampled_from([(1, 1), (1, 3), (0, 1), (0, 3)]),
)
def test_odd_and_even_steps_equal_single_steps(seed, L, chunk, reverse, lagged, shape):
    """Products of up to 70 coefficients at most 1 are exact to 70 roundings."""
    rng = np.random.default_rng(seed)
    steps, channels = shape
    a, b = _sequences(rng, (1, L if steps == 0 else 1, channels), (2, L, 3))
    h0 = None if lagged else rng.standard_normal((1, 1, 3))
    frame, a, b = as_arrays(a=a, b=b)
    result = scan_parallel(frame, a, b, h0, -2, reverse, lagged, chunk)
    np.testing.assert_allclose(
        result, scan_compiled(a, b, h0, -2, reverse, lagged), rtol=0, atol=1e-13
    )


@pytest.mark.parametrize("seed", range(3))
def test_equals_a_filter(xp, seed):
    rng = np.random.default_rng(seed)
    u, decay = rng.standard_normal((5, 1000)), rng.uniform(-1, 1)
    expected = scipy.signal.lfilter([1.0], [1.0, -decay], u)
    h = xp.numpy(linear_scan(decay, xp.asarray(u), axis=-1))
    np.testing.assert_allclose(h, expected, atol=xp.tol / 10)


def test_convolution_recurrence_scan_and_chunked_scan_agree(rng):
    N, L = 8, 300
    Lambda = -rng.random(N) + 3j * rng.standard_normal(N)
    C = rng.standard_normal(N) + 1j * rng.standard_normal(N)
    Ad, Bd = discretize(Lambda, np.ones(N), 0.05, diagonal=True)
    u = rng.standard_normal((2, L))
    convolved = ssm_conv(u, 2 * vandermonde_matvec(Ad, Bd * C, L).real)
    stepped, state = ssm_recurrent(u, Ad, Bd, C, diagonal=True, conj=True)
    inputs = Bd * u[..., None]
    h = linear_scan(Ad, inputs)
    frame, a, b = as_arrays(a=Ad[None, None], b=inputs)
    chunked = scan_parallel(frame, a, b, None, -2, False, False, 37)
    for states in (h, chunked):
        y = 2 * (states @ C).real
        np.testing.assert_allclose(y, convolved, atol=1e-12)
        np.testing.assert_allclose(y, stepped, atol=1e-12)
        np.testing.assert_allclose(states[:, -1], state, atol=1e-12)


def test_against_forty_digits():
    """Ten thousand steps of a slowly decaying mode; each rounds once, and errors decay like it."""
    a, b = 0.999, np.sin(np.arange(10_000.0))
    h = linear_scan(a, b, axis=-1)
    with mpmath.workdps(40):
        exact = mpmath.mpf(0)
        for value in b:
            exact = mpmath.mpf(a) * exact + mpmath.mpf(value)
    np.testing.assert_allclose(h[-1], float(exact), rtol=1e-13)


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_single_precision_rounds_results_and_not_states(rng, library):
    """Each state is the double one rounded once, half a unit in the last place of 2**-23."""
    a = rng.uniform(0.99, 1, (20_000, 2)).astype(np.float32)
    b = rng.standard_normal((20_000, 2)).astype(np.float32)
    expected = _recurrence(a, b)
    if library == "torch":
        a, b = torch.from_numpy(a), torch.from_numpy(b)
    np.testing.assert_allclose(linear_scan(a, b), expected.astype(float), rtol=2**-23.9)


def test_scalar_coefficients_keep_double_precision(xp):
    b = np.ones(5000)
    h = xp.numpy(linear_scan(0.999, xp.asarray(b), axis=-1))
    if xp.device == "cpu":
        np.testing.assert_allclose(h, scipy.signal.lfilter([1.0], [1.0, -0.999], b), rtol=6.1e-8)
    assert h.shape == (5000,)


@pytest.mark.parametrize("chunk", [None, 1, 16])
def test_vanishing_coefficients(rng, chunk):
    """Where products of coefficients underflow, a division by them would give NaN."""
    a = np.full((400, 2), 1e-200)
    a[::7] = 0.0
    b = rng.standard_normal((400, 2))
    np.testing.assert_allclose(linear_scan(a, b, chunk=chunk), b, rtol=1e-15)
    frame, A, B = as_arrays(a=a, b=b)
    np.testing.assert_allclose(
        scan_parallel(frame, A, B, None, -2, False, False, chunk), b, rtol=1e-15
    )


def test_expanded_and_strided_input(xp, rng):
    a, b = _sequences(rng, (4, 20, 12), (4, 20, 12))
    A, B = xp.asarray(a), xp.asarray(b)
    expected = xp.numpy(linear_scan(A, B))
    for view in (lambda v: v.swapaxes(0, 2), lambda v: v[::2, :, ::3], lambda v: v[:, 3:]):
        h = xp.numpy(linear_scan(view(A), view(B)))
        again = xp.numpy(linear_scan(*(xp.asarray(np.ascontiguousarray(view(v))) for v in (a, b))))
        np.testing.assert_array_equal(h, again)
    backwards = linear_scan(a[:, ::-1], b[:, ::-1], reverse=True)[:, ::-1]
    np.testing.assert_allclose(backwards, expected, atol=xp.tol / 100)
    for shape in ((4, 1, 1), (1, 20, 1), (1, 1, 12), (4, 20, 1), (1, 1, 1)):
        corner = a[tuple(slice(0, n) for n in shape)]
        expand = np.broadcast_to if xp.library == "numpy" else torch.Tensor.expand
        expanded = expand(xp.asarray(corner), a.shape)
        full = xp.asarray(np.broadcast_to(corner, a.shape).copy())
        for first, second in (((expanded, B), (full, B)), ((A, expanded), (A, full))):
            ours, copied = (xp.numpy(linear_scan(*pair)) for pair in (first, second))
            np.testing.assert_array_equal(ours, copied)


def test_what_is_broadcast_is_not_copied(rng):
    decay, u = rng.uniform(0, 1, 64), rng.standard_normal((3000, 1))
    linear_scan(decay, u[:2])
    tracemalloc.start()
    linear_scan(np.broadcast_to(decay, (8, 3000, 64)), np.broadcast_to(u, (8, 3000, 64)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.05 * 8 * 8 * 3000 * 64


def test_inputs_are_left_alone(rng):
    a, b = _sequences(rng, (5, 9), (5, 9))
    h0 = rng.standard_normal(9)
    copies = [v.copy() for v in (a, b, h0)]
    linear_scan(a, b, h0)
    for before, after in zip(copies, (a, b, h0), strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("L", [0, 1])
def test_short_sequences(xp, rng, L):
    a, b, h0 = (xp.asarray(rng.standard_normal(s)) for s in ((2, L, 3), (L, 3), (3,)))
    for reverse in (False, True):
        h = xp.numpy(linear_scan(a, b, h0, reverse=reverse, chunk=10))
        assert h.shape == (2, L, 3)
        if L:
            np.testing.assert_allclose(h, np.asarray(a) * np.asarray(h0) + np.asarray(b), rtol=1e-6)
    assert linear_scan(a[..., :0], b[..., :0]).shape == (2, L, 0)
    assert linear_scan(xp.asarray(rng.random(3)), b).shape == (L, 3)


def test_integers_and_lists():
    h = linear_scan([2, 2, 2], np.array([1, 1, 1]), axis=0)
    assert h.dtype == np.float64
    np.testing.assert_array_equal(h, [1, 3, 7])


def test_overflow_is_a_result():
    """Powers of ten past the largest number: infinite where they must be, and no error."""
    h = linear_scan(10.0, np.eye(400)[0], axis=-1)
    assert np.isfinite(h[:309]).all()
    assert np.isinf(h[309:]).all()
    single = linear_scan(
        np.array([1, 1e30, 1e-30], np.float32), np.array([1e30, 0, 0], np.float32), axis=0
    )
    np.testing.assert_allclose(single, np.float32([1e30, np.inf, 1e30]))


def _tracked(rng, complex_valued, *shapes):
    tensors = []
    for shape in shapes:
        values = rng.uniform(-1, 1, shape)
        if complex_valued:
            values = values + 1j * rng.uniform(-1, 1, shape)
        tensors.append(torch.tensor(values, requires_grad=True))
    return tensors


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    ("shapes", "complex_valued"),
    [
        (((2, 3, 2), (2, 3, 2), (2, 2)), False),
        (((2, 3, 2), (2, 3, 2)), True),
        (((2,), (2, 3, 1), (2,)), False),
        (((3, 1), (3, 2), (2, 1)), True),
        (((), (3, 2), ()), False),
        (((1, 2), (1, 2), (2,)), False),
    ],
)
def test_gradients_to_second_order(rng, shapes, complex_valued, reverse):
    inputs = _tracked(rng, complex_valued, *shapes)

    def scan(*inputs):
        return linear_scan(*inputs, reverse=reverse)

    assert torch.autograd.gradcheck(scan, inputs)
    assert torch.autograd.gradgradcheck(scan, inputs)


def test_real_and_complex_gradients_meet(rng):
    a, b = _tracked(rng, True, (2,))[0], _tracked(rng, False, (4, 2))[0]
    assert torch.autograd.gradcheck(linear_scan, (a, b))
    assert torch.autograd.gradcheck(linear_scan, (b, a))


def test_gradients_equal_those_of_the_loop(xp, rng):
    if xp.library != "torch":
        pytest.skip("gradients are torch's")
    values = [rng.uniform(-1, 1, s) for s in ((2, 50, 9), (2, 50, 9), (9,))]
    weights = xp.asarray(rng.standard_normal((2, 50, 9)))
    gradients = []
    for scan in (linear_scan, _torch_loop):
        inputs = [xp.asarray(v).requires_grad_() for v in values]
        gradients.append(torch.autograd.grad((weights * scan(*inputs)).sum(), inputs))
    for ours, looped in zip(*gradients, strict=True):
        np.testing.assert_allclose(xp.numpy(ours), xp.numpy(looped), atol=xp.tol / 10)


def _torch_loop(a, b, h0):
    states = []
    for t in range(b.shape[-2]):
        h0 = a[..., t, :] * h0 + b[..., t, :]
        states.append(h0)
    return torch.stack(states, dim=-2)


def test_gradient_of_an_expanded_parameter(rng):
    decay = torch.tensor(rng.uniform(0, 1, 3), requires_grad=True)
    b = torch.tensor(rng.standard_normal((2, 8, 3)))
    (expected,) = torch.autograd.grad(linear_scan(decay, b).square().sum(), decay)
    (gradient,) = torch.autograd.grad(linear_scan(decay.expand(2, 8, 3), b).square().sum(), decay)
    torch.testing.assert_close(gradient, expected)


def test_the_graph_does_not_grow_with_the_length(rng):
    counts = []
    for L in (3, 300):
        a, b = _tracked(rng, False, (L, 2), (L, 2))
        nodes, found = [linear_scan(a, b).grad_fn], set()
        while nodes:
            node = nodes.pop()
            if node is not None and node not in found:
                found.add(node)
                nodes += [following for following, _ in node.next_functions]
        counts.append(len(found))
    assert counts[0] == counts[1]


@pytest.mark.filterwarnings("ignore:Dynamo detected", "ignore:`torch.jit.script`")
def test_inside_torch_transforms(rng):
    a, b, h0 = (torch.tensor(rng.uniform(-1, 1, s)) for s in ((3, 11, 2), (3, 11, 2), (2,)))
    expected = linear_scan(a, b, h0)

    def scan(a, b, chunk=None):
        return linear_scan(a, b, h0, chunk=chunk)

    for chunk in (None, 4, 20):
        mapped = torch.func.vmap(lambda a, b, chunk=chunk: scan(a, b, chunk))(a, b)
        torch.testing.assert_close(mapped, expected)
    compiled = torch.compile(scan, backend="eager", fullgraph=True)(a, b)
    torch.testing.assert_close(compiled, expected)

    def loss(a, b):
        return scan(a, b).square().sum()

    by_transform = torch.func.grad(loss, argnums=(0, 1))(a, b)
    inputs = [v.clone().requires_grad_() for v in (a, b)]
    by_adjoint = torch.autograd.grad(loss(*inputs), inputs)
    torch.testing.assert_close(by_transform, by_adjoint)
    _, tangent = torch.func.jvp(lambda b: scan(a, b), (b,), (b,))
    torch.testing.assert_close(tangent, linear_scan(a, b))


def test_many_gradients_at_once(rng):
    """The backward pass under vmap."""
    a, b = _tracked(rng, False, (2,), (3, 2))
    h = linear_scan(a, b)
    weights = torch.tensor(rng.standard_normal((4, 3, 2)))

    def gradients(weight):
        return torch.autograd.grad(h, (a, b), weight, retain_graph=True)

    mapped = torch.func.vmap(gradients)(weights)
    for index, weight in enumerate(weights):
        torch.testing.assert_close(tuple(v[index] for v in mapped), gradients(weight))


def test_conjugated_views(rng):
    a, b = (torch.tensor(rng.standard_normal((2, 6, 3)) @ [1, 1j, 0.5]) for _ in range(2))
    h = linear_scan(a.conj(), b.conj(), axis=-1)
    torch.testing.assert_close(h, linear_scan(a, b, axis=-1).conj().resolve_conj())
    negative = a.conj().imag
    assert negative.is_neg()
    torch.testing.assert_close(linear_scan(0.5, negative), -linear_scan(0.5, a.imag))


STEPS = np.ones((4, 2))


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"a": np.ones((3, 2))}, ValueError, r"a and b must broadcast.*\(3, 2\) and \(4, 2\)"),
        ({"h0": np.ones(3)}, ValueError, r"h0 must broadcast with shape \(2,\).*got \(3,\)"),
        ({"axis": -3}, ValueError, "axis must be at least -2, got -3"),
        ({"axis": 2}, ValueError, "axis must be an axis of the shape"),
        ({"axis": 0.5}, TypeError, "axis must be an integer"),
        ({"a": 0.5, "b": np.ones(4)}, ValueError, "axis must be at least -1, got -2"),
        ({"a": 0.5, "b": 1.0}, ValueError, "axis must be"),
        ({"a": 0.5, "b": 1.0, "axis": 0}, ValueError, "axis must be an axis of the shape"),
        ({"chunk": 0}, ValueError, "chunk must be at least 1, got 0"),
        ({"chunk": 2.0}, TypeError, "chunk must be an integer"),
        ({"a": STEPS > 0}, TypeError, "a must hold float32"),
        ({"b": STEPS.astype(np.float16)}, TypeError, "b must hold float32"),
        ({"b": "steps"}, TypeError, "b must hold float32"),
        ({"h0": torch.ones(2)}, TypeError, "mix array libraries"),
        ({"h0": np.array([1.0, np.nan])}, ValueError, "h0 must be finite"),
        ({"a": np.nan}, ValueError, "a must be finite"),
        ({"a": np.empty((0, 2)), "b": np.array([np.inf, 1])}, ValueError, "b must be finite"),
    ],
)
def test_bad_input(change, error, words):
    arguments = {"a": STEPS, "b": STEPS} | change
    with pytest.raises(error, match=words):
        linear_scan(**arguments)


@pytest.mark.parametrize("name", ["a", "b"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_value_that_is_not_finite_is_found_anywhere(xp, name, value, reverse):
    """Also where a zero coefficient follows, or meets the zero before the first step."""
    for place in range(5):
        arrays = {"a": np.zeros((5, 2)), "b": np.zeros((5, 2))}
        arrays[name][place, 1] = value
        with pytest.raises(ValueError, match=f"{name} must be finite"):
            linear_scan(**{key: xp.asarray(v) for key, v in arrays.items()}, reverse=reverse)


def test_torch_keeps_its_threads(run_python):
    # A fresh process, since the setting is the calling thread's and others may have changed it.
    code = (
        "import numpy as np, torch, ssm\n"
        "torch.set_num_threads(1)\n"
        "ssm.linear_scan(0.5, np.ones((64, 4096, 16)))\n"
        "print(torch.get_num_threads())\n"
    )
    assert run_python(code).strip() == "1"

"""The delta rule against plain loops, by chunks and token by token."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from numerics.arrays import as_arrays
from ssm import _delta_chunks, delta_rule, householder_product

MODES = ["chunked", "recurrent"]


def _sequence(rng, batch=(), T=10, n_h=1, d_k=4, d_v=3, decay=True):
    k = rng.standard_normal((*batch, T * n_h, d_k))
    return {
        "q": rng.standard_normal((*batch, T, d_k)),
        "k": k / np.linalg.norm(k, axis=-1, keepdims=True),
        "v": rng.standard_normal((*batch, T * n_h, d_v)),
        "beta": rng.uniform(0, 2, (*batch, T * n_h)),
        "g": -rng.random((*batch, T)) if decay else None,
        "initial_state": rng.standard_normal((*batch, d_k, d_v)),
    }


def _run(xp, sequence, **options):
    arrays = {n: a if a is None else xp.asarray(a) for n, a in sequence.items()}
    o, state = delta_rule(**arrays, **options)
    return xp.numpy(o), xp.numpy(state)


def _loop(sequence, n_h):
    """One sequence by the definition, with matrices I - beta k k^T written out."""
    S, k, o = sequence["initial_state"], sequence["k"], []
    for t, query in enumerate(sequence["q"]):
        if sequence["g"] is not None:
            S = np.exp(sequence["g"][t]) * S
        for i in range(t * n_h, (t + 1) * n_h):
            gain = sequence["beta"][i]
            forget = np.eye(k.shape[1]) - gain * np.outer(k[i], k[i])
            S = forget @ S + gain * np.outer(k[i], sequence["v"][i])
        o.append(S.T @ query)
    return np.array(o).reshape(len(o), S.shape[1]), S


@pytest.mark.parametrize("decay", [False, True])
@pytest.mark.parametrize("n_h", [1, 2, 3])
@pytest.mark.parametrize("mode", MODES)
def test_both_modes_are_the_definition(xp, rng, mode, n_h, decay):
    sequence = _sequence(rng, T=23, n_h=n_h, decay=decay)
    o, state = _run(xp, sequence, n_h=n_h, mode=mode, chunk=8)
    expected_o, expected_state = _loop(sequence, n_h)
    np.testing.assert_allclose(o, expected_o, atol=xp.tol / 10)
    np.testing.assert_allclose(state, expected_state, atol=xp.tol / 10)


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 70),
    st.integers(1, 90),
    st.integers(1, 3),
    st.booleans(),
)
def test_the_size_of_chunks_does_not_matter(seed, T, chunk, n_h, decay):
    sequence = _sequence(np.random.default_rng(seed), T=T, n_h=n_h, decay=decay)
    one, last = delta_rule(**sequence, n_h=n_h, mode="recurrent")
    other, state = delta_rule(**sequence, n_h=n_h, chunk=chunk)
    # Every step of the recurrence rounds the state by a unit in the last place.
    np.testing.assert_allclose(other, one, atol=1e-13 * T)
    np.testing.assert_allclose(state, last, atol=1e-13 * T)


@given(st.integers(0, 2**32 - 1), st.integers(0, 60), st.integers(0, 60), st.sampled_from(MODES))
def test_a_sequence_fed_in_two_pieces(seed, T, cut, mode):
    sequence = _sequence(np.random.default_rng(seed), T=T)
    cut = min(cut, T)
    start = sequence.pop("initial_state")
    whole, last = delta_rule(**sequence, initial_state=start, mode=mode, chunk=16)
    first, state = delta_rule(
        **{n: a[:cut] for n, a in sequence.items()}, initial_state=start, mode=mode, chunk=16
    )
    second, state = delta_rule(
        **{n: a[cut:] for n, a in sequence.items()}, initial_state=state, mode=mode, chunk=16
    )
    np.testing.assert_allclose(np.concatenate((first, second)), whole, atol=1e-12)
    np.testing.assert_allclose(state, last, atol=1e-12)


@given(st.integers(0, 2**32 - 1), st.integers(1, 3))
def test_corrections_of_a_token_are_tokens_of_their_own(seed, n_h):
    """n_h corrections a token read like n_h tokens of which the last is read."""
    sequence = _sequence(np.random.default_rng(seed), T=12, n_h=n_h, decay=False)
    o, state = delta_rule(**sequence, n_h=n_h, chunk=5)
    q = np.repeat(sequence["q"], n_h, axis=0)
    single, last = delta_rule(**(sequence | {"q": q}), chunk=7)
    np.testing.assert_allclose(single[n_h - 1 :: n_h], o, atol=1e-12)
    np.testing.assert_allclose(last, state, atol=1e-12)


@given(st.integers(0, 2**32 - 1), st.sampled_from(MODES))
def test_without_values_the_state_is_multiplied_by_the_factors(seed, mode):
    """The map of the state is the product of factors, last one first, and nothing grows."""
    rng = np.random.default_rng(seed)
    sequence = _sequence(rng, T=9, n_h=2, d_v=4, decay=False)
    sequence["v"] = 0 * sequence["v"]
    sequence["initial_state"] = np.eye(4)
    _, state = delta_rule(**sequence, n_h=2, mode=mode, chunk=4)
    product = householder_product(sequence["k"][::-1], sequence["beta"][::-1])
    np.testing.assert_allclose(state, product, atol=1e-13)
    assert abs(np.linalg.det(state) - np.prod(1 - sequence["beta"])) < 1e-12
    assert np.linalg.norm(state, 2) < 1 + 1e-13


@pytest.mark.parametrize("decay", [False, True])
@pytest.mark.parametrize("n_h", [1, 3])
def test_compiled_chunks_equal_the_matrix_products(rng, n_h, decay):
    """The path that devices and traced tensors take, held to the compiled one."""
    m, C = 3, 8
    sequence = _sequence(rng, (2,), T=m * C, n_h=n_h, decay=decay)
    start = sequence.pop("initial_state")
    expected, states = _delta_chunks.run_compiled(*sequence.values(), start, C, all_states=True)
    _, last = _delta_chunks.run_compiled(*sequence.values(), start, C, all_states=False)
    np.testing.assert_array_equal(last[:, 0], states[:, -1])
    split = {n: a if a is None else torch.from_numpy(a) for n, a in sequence.items()}
    for name, array in split.items():
        if array is not None:
            split[name] = array.unflatten(1, (m, -1))
    frame, *_ = as_arrays(start=torch.from_numpy(start))
    o, history = _delta_chunks.run_chunks(frame, *split.values(), torch.from_numpy(start))
    np.testing.assert_allclose(o.flatten(1, 2), expected, atol=1e-13)
    np.testing.assert_allclose(history, states, atol=1e-13)


def test_linear_in_values_and_initial_state(rng):
    one, two = _sequence(rng, T=30), _sequence(rng, T=30)
    shared = {n: one[n] for n in ("q", "k", "beta", "g")}

    def run(v, state):
        return delta_rule(**shared, v=v, initial_state=state, chunk=8)[0]

    sum_of_both = run(one["v"] + 2 * two["v"], one["initial_state"] + 2 * two["initial_state"])
    separate = run(one["v"], one["initial_state"]) + 2 * run(two["v"], two["initial_state"])
    np.testing.assert_allclose(sum_of_both, separate, atol=1e-12)


@pytest.mark.parametrize("spread", [0.0, 1e-3])
def test_keys_that_are_alike_and_gains_near_two(xp, rng, spread):
    """Where the partial products of a Neumann series are of the order of 1e20.

    Every entry of the inverse is at most 4, so that a chunk of 128 loses some hundred units in the
    last place at worst.
    """
    T = 256
    sequence = _sequence(rng, T=T, d_k=8, decay=False)
    k = np.ones(8) + spread * rng.standard_normal((T, 8))
    sequence["k"] = k / np.linalg.norm(k, axis=-1, keepdims=True)
    sequence["beta"] = np.full(T, 1.999)
    expected_o, _ = _loop(sequence, 1)
    o, _ = _run(xp, sequence, chunk=128)
    scale = np.abs(expected_o).max()
    np.testing.assert_allclose(o, expected_o, atol=(3e-5 if xp.single else 1e-13) * scale)


def test_strong_decay_neither_overflows_nor_divides_by_zero(xp, rng):
    sequence = _sequence(rng, T=40)
    sequence["g"] = np.where(rng.random(40) < 0.3, -200.0, -20.0)
    expected_o, expected_state = _loop(sequence, 1)
    with np.errstate(all="raise", under="ignore"):
        o, state = _run(xp, sequence, chunk=16)
    np.testing.assert_allclose(o, expected_o, atol=xp.tol / 10)
    np.testing.assert_allclose(state, expected_state, atol=xp.tol / 10)


@pytest.mark.parametrize("mode", MODES)
def test_batches_broadcast_and_equal_the_loop(xp, rng, mode):
    sequence = _sequence(rng, (2, 3), T=11, n_h=2)
    # One head's keys for all, gains and decays for all of the batch, one initial state.
    sequence["k"] = sequence["k"][:, :1]
    sequence["beta"] = sequence["beta"][0]
    sequence["g"] = sequence["g"][0, 0]
    sequence["initial_state"] = sequence["initial_state"][0, 0]
    o, state = _run(xp, sequence, n_h=2, mode=mode, chunk=4)
    assert o.shape == (2, 3, 11, 3)
    assert state.shape == (2, 3, 4, 3)
    for i in range(2):
        for j in range(3):
            one = sequence | {
                "q": sequence["q"][i, j],
                "k": sequence["k"][i, 0],
                "v": sequence["v"][i, j],
                "beta": sequence["beta"][j],
            }
            expected_o, expected_state = _loop(one, 2)
            np.testing.assert_allclose(o[i, j], expected_o, atol=xp.tol / 10)
            np.testing.assert_allclose(state[i, j], expected_state, atol=xp.tol / 10)


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("mode", MODES)
def test_strided_and_expanded_input(rng, mode, library):
    """Heads behind time, as models hold them; keys and values that share memory."""
    sequence = _sequence(rng, (3,), T=20, n_h=2)
    sequence["v"] = np.broadcast_to(sequence["v"][:1, :1], sequence["v"].shape)
    expected = delta_rule(**{n: a.copy() for n, a in sequence.items()}, n_h=2, mode=mode, chunk=8)
    for name in ("q", "k"):
        sequence[name] = np.ascontiguousarray(sequence[name].swapaxes(0, 1)).swapaxes(0, 1)
    if library == "torch":
        sequence = {n: torch.from_numpy(a.copy()) for n, a in sequence.items()}
        sequence["v"] = sequence["v"][:1, :1].expand(3, 40, 3)
        sequence["q"] = sequence["q"].transpose(0, 1).contiguous().transpose(0, 1)
    before = {n: np.asarray(a).copy() for n, a in sequence.items()}
    result = delta_rule(**sequence, n_h=2, mode=mode, chunk=8)
    for got, wanted in zip(result, expected, strict=True):
        np.testing.assert_allclose(np.asarray(got), wanted, atol=1e-13)
    for name, array in sequence.items():
        np.testing.assert_array_equal(np.asarray(array), before[name])


@pytest.mark.parametrize("mode", MODES)
def test_empty_and_short_sequences(xp, rng, mode):
    sequence = _sequence(rng, (2,), T=0)
    o, state = _run(xp, sequence, mode=mode)
    assert o.shape == (2, 0, 3)
    np.testing.assert_allclose(state, sequence["initial_state"], rtol=1e-6)
    sequence = _sequence(rng, T=1)
    o, _ = _run(xp, sequence, mode=mode)
    np.testing.assert_allclose(o, _loop(sequence, 1)[0], atol=xp.tol / 10)


def test_scale_and_the_zero_initial_state(rng):
    sequence = _sequence(rng, T=9)
    sequence["initial_state"] = np.zeros((4, 3))
    expected, state = delta_rule(**sequence)
    del sequence["initial_state"]
    o, last = delta_rule(**sequence, scale=0.5)
    np.testing.assert_allclose(o, 0.5 * expected, rtol=1e-14)
    np.testing.assert_array_equal(last, state)


def _leaves(rng, n_h, decay, T=7):
    sequence = _sequence(rng, (2,), T=T, n_h=n_h, d_k=3, d_v=2, decay=decay)
    arrays = [a for a in sequence.values() if a is not None]
    names = [n for n, a in sequence.items() if a is not None]
    return names, [torch.tensor(a, requires_grad=True) for a in arrays]


@pytest.mark.parametrize("decay", [False, True])
@pytest.mark.parametrize("n_h", [1, 2])
def test_gradients(rng, n_h, decay):
    names, leaves = _leaves(rng, n_h, decay, T=5)

    def run(*arrays):
        return delta_rule(**dict(zip(names, arrays, strict=True)), n_h=n_h, chunk=3, scale=0.7)

    assert torch.autograd.gradcheck(run, leaves)
    if n_h == 2:
        assert torch.autograd.gradgradcheck(run, leaves, fast_mode=True)


@pytest.mark.parametrize("decay", [False, True])
def test_the_analytic_gradient_is_that_of_the_steps(rng, decay):
    names, leaves = _leaves(rng, 3, decay, T=50)
    gradients = []
    for mode in MODES:
        o, state = delta_rule(**dict(zip(names, leaves, strict=True)), n_h=3, mode=mode, chunk=16)
        loss = o.square().sum() + state.sum()
        gradients.append(torch.autograd.grad(loss, leaves))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-11, rtol=1e-11)


def test_gradients_of_broadcast_arguments(rng):
    sequence = _sequence(rng, (2, 3), T=6)
    q, v = (torch.tensor(sequence[n]) for n in ("q", "v"))
    k = torch.tensor(sequence["k"][0, :1], requires_grad=True)
    beta = torch.tensor(sequence["beta"][0, 0], requires_grad=True)
    assert torch.autograd.gradcheck(lambda k, beta: delta_rule(q, k, v, beta, chunk=4), (k, beta))


def test_no_graph_of_the_steps(rng):
    _, leaves = _leaves(rng, 1, False, T=64)
    seen, waiting = set(), [delta_rule(*leaves[:4], chunk=8)[0].grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            waiting += [parent for parent, _ in node.next_functions]
    assert len(seen) < 30


def test_under_vmap_and_functional_gradients(rng):
    sequence = _sequence(rng, (4,), T=10)
    q, k, v, beta, g = (torch.tensor(sequence[n]) for n in ("q", "k", "v", "beta", "g"))

    def run(q, k, v, beta, g):
        return delta_rule(q, k, v, beta, g=g, chunk=4)[0]

    expected = run(q, k, v, beta, g)
    torch.testing.assert_close(torch.func.vmap(run)(q, k, v, beta, g), expected)

    def loss(q, k, v, beta, g):
        return run(q, k, v, beta, g).square().sum()

    each = torch.func.vmap(torch.func.grad(loss, argnums=4))(q, k, v, beta, g)
    torch.testing.assert_close(each, torch.func.grad(loss, argnums=4)(q, k, v, beta, g))


GOOD = {"q": np.eye(2), "k": np.eye(2), "v": np.ones((2, 1)), "beta": np.ones(2)}


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"q": np.ones(2)}, ValueError, "q must have shape"),
        ({"q": np.ones((3, 2))}, ValueError, r"k must have shape \(..., 3, 2\)"),
        ({"k": np.ones((2, 3))}, ValueError, r"k must have shape \(..., 2, 2\)"),
        ({"n_h": 2}, ValueError, r"k must have shape \(..., 4, 2\)"),
        ({"v": np.ones((3, 1))}, ValueError, "v must have shape"),
        ({"v": np.ones((2, 0))}, ValueError, "v must have a last axis that is not empty"),
        ({"beta": np.ones(3)}, ValueError, "beta must have shape"),
        ({"beta": 1.0}, ValueError, "beta must have shape"),
        ({"g": np.zeros(3)}, ValueError, "g must have shape"),
        ({"g": np.array([0.0, 0.1])}, ValueError, "g must hold logarithms of decays"),
        ({"initial_state": np.ones((1, 2))}, ValueError, "initial_state must have shape"),
        ({"beta": np.ones((2, 2)), "v": np.ones((3, 2, 1))}, ValueError, r"v \(3,\), beta \(2,\)"),
        ({"v": np.full((2, 1), np.nan)}, ValueError, "v must be finite"),
        ({"q": np.eye(2) * 1j}, TypeError, "q must be real"),
        ({"beta": np.ones(2) * 1j}, TypeError, "beta must be real"),
        ({"v": torch.ones(2, 1)}, TypeError, "mix array libraries"),
        ({"mode": "parallel"}, ValueError, "mode must be one of chunked, recurrent"),
        ({"chunk": 0}, ValueError, "chunk must be at least 1"),
        ({"n_h": 0}, ValueError, "n_h must be at least 1"),
        ({"n_h": 1.0}, TypeError, "n_h must be an integer"),
        ({"scale": np.inf}, ValueError, "scale must be finite"),
        ({"beta": np.array([1.0, 2.1]), "check": True}, ValueError, r"beta must lie in \[0, 2\]"),
        ({"beta": np.array([1.0, -0.1]), "check": True}, ValueError, r"beta must lie in \[0, 2\]"),
        ({"k": 2 * np.eye(2), "check": True}, ValueError, "k must hold unit vectors"),
        ({"k": 0 * np.eye(2), "check": True}, ValueError, "got one of length 0"),
    ],
)
def test_bad_input(change, error, words):
    with pytest.raises(error, match=words):
        delta_rule(**(GOOD | change))


def test_what_check_lets_pass():
    keys, gains = np.array([[1.0, 0.0], [0.0, 0.0]]), np.array([2.0, 0.0])
    delta_rule(**(GOOD | {"k": keys, "beta": gains, "check": True}))
    delta_rule(**(GOOD | {"k": 2 * np.eye(2), "beta": np.full(2, 3.0)}))

"""The DeltaProduct layer: its formulas, its initial values, and the groups that it can follow."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from scipy.optimize import brentq  # noqa: E402
from scipy.special import expit  # noqa: E402

from ssm import group_representation, reflections  # noqa: E402
from ssm.nn import DeltaProduct  # noqa: E402

DOUBLE = torch.float64


def signal(*shape, dtype=DOUBLE):
    return torch.tensor(np.random.default_rng(2).standard_normal(shape)).to(dtype)


def silu(x):
    return x * expit(x)


def unit(x):
    return x / np.linalg.norm(x)


def written_out(layer, u):
    """The layer in loops over tokens, heads and keys."""
    W = {name: p.detach().numpy() for name, p in layer.named_parameters()}
    u, H, n_h, d, e = u.numpy(), layer.heads, layer.n_h, layer.head_size, layer.value_size
    x = u @ np.concatenate([W[f"{name}_proj.weight"] for name in "qkv"]).T
    reach = layer.conv_size or 1
    taps = W.get("conv", np.ones((x.shape[1], 1)))
    x = np.concatenate((np.zeros((reach - 1, x.shape[1])), x))
    S, outputs = np.zeros((H, d, e)), []
    for t in range(len(u)):
        features = silu(sum(taps[:, i] * x[t + i] for i in range(reach)))
        q = features[: H * d].reshape(H, d)
        k = features[H * d : H * d * (1 + n_h)].reshape(n_h, H, d)
        v = features[H * d * (1 + n_h) :].reshape(n_h, H, e)
        beta = expit(u[t] @ W["b_proj.weight"].T).reshape(n_h, H)
        beta = 2 * beta if layer.negative_eigenvalues else beta
        o = []
        for h in range(H):
            if layer.a_proj is not None:
                rate = np.logaddexp(0, W["a_proj.weight"][h] @ u[t] + W["dt_bias"][h])
                S[h] *= np.exp(-np.exp(W["A_log"][h]) * rate)
            for j in range(n_h):
                key = unit(k[j, h])
                S[h] += beta[j, h] * np.outer(key, v[j, h] - S[h].T @ key)
            read = S[h].T @ unit(q[h])
            o.append(read / np.sqrt(np.mean(read**2) + layer.eps) * W["norm"])
        o = np.concatenate(o)
        if layer.g_proj is not None:
            o = o * silu(W["g_proj.weight"] @ u[t])
        outputs.append(W["o_proj.weight"] @ o)
    return np.stack(outputs)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"n_h": 3, "gate": True, "conv_size": None},
        {"n_h": 1, "value_size": 5, "output_gate": True, "negative_eigenvalues": False},
    ],
)
def test_is_what_is_written_out(options):
    layer, u = DeltaProduct(3, 2, 4, rng=0, dtype=DOUBLE, **options), signal(11, 3)
    with torch.no_grad():
        layer.norm.copy_(signal(layer.value_size))
    y = layer(u).detach().numpy()
    np.testing.assert_allclose(y, written_out(layer, u), atol=1e-12)


@pytest.mark.parametrize("chunk", [1, 5, 200])
def test_chunks_do_not_matter(chunk):
    layer, u = DeltaProduct(3, 2, 4, rng=0, dtype=DOUBLE), signal(2, 40, 3)
    y = layer(u)
    layer.chunk = chunk
    torch.testing.assert_close(layer(u), y, rtol=1e-10, atol=1e-12)


def inverse_silu(y):
    """An argument of SiLU, which has values down to -0.278, on its increasing branch."""
    return brentq(lambda x: silu(x) - y, -1.27, 50.0, xtol=1e-15)


def follower(name, dim, n_h, **options):
    """Layer that multiplies its state by one matrix of a group for every one-hot letter."""
    elements, table = group_representation(name)
    order = len(elements)
    layer = DeltaProduct(
        order, heads=1, head_size=dim, n_h=n_h, conv_size=None, rng=0, dtype=DOUBLE, **options
    )
    K, gains = np.ones((n_h, dim, order)), np.full((n_h, order), -60.0)
    for letter, Q in enumerate(elements):
        keys, _ = reflections(Q)
        # The last factor of a product acts first.
        for j, key in enumerate(keys[::-1]):
            # A key and its negative reflect alike; SiLU has room for small negative values only.
            key = key if key[np.argmax(np.abs(key))] > 0 else -key
            K[j, :, letter] = [inverse_silu(0.2 * value) for value in key]
            gains[j, letter] = 60.0
    with torch.no_grad():
        layer.k_proj.weight.copy_(torch.tensor(K.reshape(-1, order)))
        layer.b_proj.weight.copy_(torch.tensor(gains))
        layer.v_proj.weight.zero_()
        layer.q_proj.weight.copy_(torch.arange(1.0, 1 + dim, dtype=DOUBLE)[:, None])
        layer.o_proj.weight.zero_()
        layer.o_proj.weight[:dim] = torch.eye(dim)
    return layer, elements, table


@pytest.mark.parametrize(("name", "dim", "n_h"), [("S3", 2, 2), ("A5", 3, 2)])
def test_a_layer_with_reflections_follows_a_group(name, dim, n_h):
    outcomes = {}
    for negative in (True, False):
        layer, elements, table = follower(name, dim, n_h, negative_eigenvalues=negative)
        q = unit(silu(np.arange(1.0, 1 + dim)))
        orbit = np.einsum("gji,j->gi", elements, q)
        orbit = np.sqrt(dim) * orbit / np.linalg.norm(orbit, axis=1, keepdims=True)
        word = np.random.default_rng(0).integers(len(elements), size=400)
        _, tail = layer.initial_state(())
        state, reached, hits = (torch.eye(dim, dtype=DOUBLE)[None], tail), 0, []
        step = layer.stepper()
        with torch.no_grad():
            for letter in word:
                y, state = step(torch.eye(len(elements), dtype=DOUBLE)[letter], state)
                reached = table[letter, reached]
                distances = np.linalg.norm(orbit - y[:dim].numpy(), axis=1)
                hits.append(distances.argmin() == reached)
        outcomes[negative] = np.mean(hits)
    assert outcomes[True] == 1.0
    # Guessing is right in one case of the group's order.
    assert outcomes[False] < 0.5


def test_published_initial_values():
    layer = DeltaProduct(64, 40, 4, gate=True, rng=0, dtype=DOUBLE)
    assert (
        0 < float(layer.A_log.detach().exp().min()) < float(layer.A_log.detach().exp().max()) <= 16
    )
    dt = torch.nn.functional.softplus(layer.dt_bias.detach())
    assert float(dt.min()) * (1 + 1e-12) >= 1e-3
    assert float(dt.max()) <= 0.1 * (1 + 1e-12)
    for linear in (layer.q_proj, layer.k_proj, layer.v_proj, layer.b_proj, layer.o_proj):
        bound = 2**-2.5 * (6 / sum(linear.weight.shape)) ** 0.5
        assert 0.98 * bound < float(linear.weight.detach().abs().max()) <= bound
    assert 0.49 < float(layer.conv.detach().abs().max()) <= 0.5
    assert (layer.norm == 1).all()


def test_silence_has_finite_gradients_and_no_output():
    """Keys of zeros are divided by 1e-3, not by their length."""
    layer = DeltaProduct(3, 2, 4, gate=True, rng=0)
    u = torch.zeros(2, 6, 3)
    u[0, 2] = 1.0
    u.requires_grad_()
    y = layer(u)
    assert not y[1].any()
    assert not y[0, :2].any()
    y.square().sum().backward()
    assert all(bool(torch.isfinite(p.grad).all()) for p in layer.parameters())
    assert u.grad.isfinite().all()
    assert u.grad.abs().max() < 1e6


def test_states_have_the_documented_shapes():
    S, tail = DeltaProduct(3, 2, 4, value_size=5, n_h=3).initial_state((6, 7))
    assert S.shape == (6, 7, 2, 4, 5)
    assert tail.shape == (6, 7, 3, 2 * 4 * (1 + 3) + 2 * 5 * 3)
    assert DeltaProduct(3, 2, 4, conv_size=None).initial_state(6)[1].shape == (6, 0, 40)


@pytest.mark.parametrize(
    ("state", "error", "message"),
    [
        (torch.zeros(2, 2, 4, 4), TypeError, "state must be 2 tensors"),
        ((torch.zeros(2, 2, 4, 4), None), TypeError, "state must be of torch tensors"),
        ((torch.zeros(2, 4, 2, 4), torch.zeros(2, 3, 40)), ValueError, "state must have shape"),
        ((torch.zeros(2, 2, 4, 4), torch.zeros(2, 2, 40)), ValueError, "state must have shape"),
    ],
)
def test_bad_states_are_refused(state, error, message):
    with pytest.raises(error, match=message):
        DeltaProduct(3, 2, 4).step(torch.zeros(2, 3), state)

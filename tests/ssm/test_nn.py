"""What holds for every layer: steps, states, gradients, transforms, and bad input."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.func import functional_call, stack_module_state, vmap  # noqa: E402
from torch.utils._pytree import tree_map  # noqa: E402

from ssm.nn import S4, S4D, CompanionSSM, DeltaProduct, optimizer_groups  # noqa: E402

DOUBLE = torch.float64
# One of each, and those that take another path.
LAYERS = {
    "DeltaProduct": lambda **kw: DeltaProduct(3, 2, 4, **kw),
    "DeltaProduct-gated": lambda **kw: DeltaProduct(
        3, 2, 4, value_size=3, n_h=1, gate=True, output_gate=True, conv_size=None, **kw
    ),
    "CompanionSSM": lambda **kw: CompanionSSM(3, 8, **kw),
    "S4": lambda **kw: S4(3, 8, **kw),
    "S4-length": lambda **kw: S4(3, 8, init="legt", length=20, dt_min=0.02, **kw),
    "S4D": lambda **kw: S4D(3, 8, **kw),
    "S4D-real": lambda **kw: S4D(3, 5, init="real", discretization="bilinear", **kw),
}
STEEP = {"dt_min": 0.05, "dt_max": 0.5}
SMALL = {
    "DeltaProduct": lambda **kw: DeltaProduct(2, 1, 2, conv_size=2, **kw),
    "DeltaProduct-gated": lambda **kw: DeltaProduct(
        2, 2, 1, n_h=3, gate=True, output_gate=True, negative_eigenvalues=False, chunk=3, **kw
    ),
    "CompanionSSM": lambda **kw: CompanionSSM(2, 3, **kw),
    "S4": lambda **kw: S4(2, 4, **STEEP, **kw),
    "S4-length": lambda **kw: S4(2, 2, init="legt", length=8, **STEEP, **kw),
    "S4D": lambda **kw: S4D(2, 4, init="inv", **STEEP, **kw),
    "S4D-real": lambda **kw: S4D(2, 2, init="real", real_part="softplus", **STEEP, **kw),
}


@pytest.fixture(params=LAYERS)
def make(request):
    """A layer of 3 channels from its keywords."""
    return LAYERS[request.param]


def signal(*shape, dtype=torch.float32, seed=1):
    return torch.tensor(np.random.default_rng(seed).standard_normal(shape)).to(dtype)


def stepped(layer, u):
    step, state, outputs = layer.stepper(), layer.initial_state(tuple(u.shape[:-2])), []
    for t in range(u.shape[-2]):
        y_t, state = step(u[..., t, :], state)
        outputs.append(y_t)
    return torch.stack(outputs, -2)


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
def test_steps_give_what_forward_gives(make, dtype):
    layer, u = make(rng=0, dtype=dtype), signal(2, 700, 3, dtype=dtype)
    with torch.no_grad():
        y, z = layer(u), stepped(layer, u)
    assert y.dtype == z.dtype == dtype
    # Of what the layer is asked to hold, 1e-5, and for double precision the rounding of the FFT.
    tol = (1e-5 if dtype == torch.float32 else 1e-12) * float(y.abs().max())
    torch.testing.assert_close(z, y, rtol=0, atol=tol)


def test_a_single_step_is_that_of_the_stepper(make):
    layer, u = make(rng=0), signal(4, 3)
    state = layer.initial_state(4)
    before = copy.deepcopy(state)
    y, after = layer.step(u, state)
    torch.testing.assert_close(y, layer(u[:, None])[:, 0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(layer.stepper()(u, state)[1], after)
    torch.testing.assert_close(state, before, rtol=0, atol=0)


@pytest.mark.parametrize("grad", [True, False])
def test_pieces_give_what_the_whole_gives(make, grad):
    layer, u = make(rng=0, dtype=DOUBLE), signal(2, 130, 3, dtype=DOUBLE)
    with torch.set_grad_enabled(grad):
        y, state, outputs = layer(u), None, []
        for start, stop in ((0, 3), (3, 3), (3, 100), (100, 101), (101, 130)):
            piece, state = layer.advance(u[:, start:stop], state)
            outputs.append(piece)
        torch.testing.assert_close(torch.cat(outputs, 1), y, rtol=1e-10, atol=1e-10)
        by_steps = layer.initial_state(2)
        for t in range(130):
            _, by_steps = layer.step(u[:, t], by_steps)
    torch.testing.assert_close(state, by_steps, rtol=1e-9, atol=1e-9)
    single = make(rng=0)
    with torch.no_grad():
        z, after = single.advance(u.float(), single.initial_state(2))
        torch.testing.assert_close(z, single(u.float()), rtol=1e-4, atol=1e-4)
        single.step(u[:, 0].float(), after)


def test_leading_axes_are_batch_axes(make):
    layer, u = make(rng=0, dtype=DOUBLE), signal(2, 4, 30, 3, dtype=DOUBLE)
    y = layer(u)
    torch.testing.assert_close(layer(u[1]), y[1], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(layer(u[1, 3]), y[1, 3], rtol=1e-12, atol=1e-12)
    # Time reversed twice, channels first: other strides, the same numbers.
    strided = u.flip(-2).transpose(-1, -2).contiguous().transpose(-1, -2).flip(-2)
    torch.testing.assert_close(layer(strided), y, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        layer(u[0, :1].expand(4, -1, -1)), y[0, :1].expand(4, -1, -1), rtol=1e-12, atol=1e-12
    )


def test_is_causal(make):
    layer, u = make(rng=0, dtype=DOUBLE), signal(1, 40, 3, dtype=DOUBLE)
    y, changed = layer(u), u.clone()
    changed[:, 25:] = 7.0
    z = layer(changed)
    torch.testing.assert_close(z[:, :25], y[:, :25], rtol=0, atol=1e-12)
    assert not torch.allclose(z[:, 25:], y[:, 25:])
    torch.testing.assert_close(layer(u[:, :1]), y[:, :1], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", [(2, 0, 3), (0, 5, 3), (0, 0, 3)])
def test_empty_signals_have_empty_answers(make, shape):
    u = torch.zeros(shape, requires_grad=True)
    y = make()(u)
    assert y.shape == shape
    y.sum().backward()


@pytest.mark.parametrize("name", SMALL)
def test_gradients_agree_with_finite_differences(name):
    layer = SMALL[name](rng=0).double()
    names = [n for n, _ in layer.named_parameters()]
    u = signal(1, 7, 2, dtype=DOUBLE).requires_grad_()

    def call(u, *parameters):
        return functional_call(layer, dict(zip(names, parameters, strict=True)), (u,))

    parameters = [p.detach().clone().requires_grad_() for p in layer.parameters()]
    assert torch.autograd.gradcheck(call, (u, *parameters))


@pytest.mark.parametrize("name", SMALL)
def test_steps_have_the_gradients_of_forward(name):
    layer, u = SMALL[name](rng=0, dtype=DOUBLE), signal(2, 9, 2, dtype=DOUBLE)
    weights = signal(2, 9, 2, dtype=DOUBLE, seed=5)
    parameters = list(layer.parameters())
    grads = [
        torch.autograd.grad((weights * y).sum(), parameters, allow_unused=True)
        for y in (layer(u), stepped(layer, u))
    ]
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_state_dict_copies_and_pickles(make):
    layer, other, u = make(rng=0), make(rng=1), signal(2, 20, 3)
    y = layer(u)
    assert not torch.allclose(other(u), y)
    other.load_state_dict(layer.state_dict())
    for twin in (other, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        torch.testing.assert_close(twin(u), y, rtol=0, atol=0)
    assert set(layer.state_dict()) == {name for name, _ in layer.named_parameters()}


def test_moves_between_precisions(make):
    layer, u = make(rng=0), signal(2, 20, 3)
    y = layer(u)
    z = layer.double()(u.double())
    assert z.dtype == DOUBLE
    torch.testing.assert_close(z.float(), y, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(layer.to(torch.float32)(u), y, rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings("ignore:Dynamo detected a call")
@pytest.mark.parametrize("name", [name for name in LAYERS if "-" not in name])
def test_compiles(name):
    layer, u = LAYERS[name](rng=0), signal(2, 20, 3)
    torch.compiler.reset()
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=isinstance(layer, S4D))
    y, z = layer(u), compiled(u)
    torch.testing.assert_close(z, y, rtol=1e-5, atol=1e-5)
    parameters = list(layer.parameters())
    grads = [torch.autograd.grad(x.square().sum(), parameters, allow_unused=True) for x in (y, z)]
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.cuda
def test_device_gives_what_the_host_gives(make):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    layer, u = make(rng=0), signal(2, 50, 3)
    y, twin = layer(u), copy.deepcopy(layer).cuda()
    assert make(rng=0, device="cuda")(u.cuda()).device.type == "cuda"
    z = twin(u.cuda())
    torch.testing.assert_close(z.cpu(), y, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(stepped(twin, u.cuda()).cpu(), y, rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_ensembles_by_vmap(make):
    layers, u = [make(rng=seed) for seed in range(3)], signal(2, 20, 3)
    parameters, _ = stack_module_state(layers)

    def call(parameters):
        return functional_call(layers[0], parameters, (u,))

    looped = torch.stack([layer(u) for layer in layers])
    torch.testing.assert_close(vmap(call)(parameters), looped, rtol=1e-4, atol=1e-4)
    grads = vmap(torch.func.grad(lambda p: call(p).square().mean()))(parameters)
    for name, p in layers[2].named_parameters():
        if grads[name][2].any():
            (wanted,) = torch.autograd.grad(layers[2](u).square().mean(), p)
            torch.testing.assert_close(grads[name][2], wanted, rtol=1e-3, atol=1e-4)


def test_seeds(make):
    def first(layer):
        return torch.cat([p.detach().flatten() for p in layer.parameters()])

    torch.testing.assert_close(first(make(rng=3)), first(make(rng=3)), rtol=0, atol=0)
    torch.manual_seed(4)
    one = first(make())
    torch.manual_seed(4)
    torch.testing.assert_close(first(make()), one, rtol=0, atol=0)
    assert not torch.equal(first(make()), one)


def test_repr_says_the_sizes(make):
    assert "3, " in repr(make())


def single(x):
    return x.to(torch.complex64 if x.is_complex() else torch.float32)


def bad_inputs():
    nan = torch.zeros(2, 5, 3)
    nan[0, 2, 1] = torch.nan
    return [
        pytest.param(torch.zeros(2, 5, 4), ValueError, r"u must have shape", id="channels"),
        pytest.param(torch.zeros(3), ValueError, r"u must have shape", id="axes"),
        pytest.param(np.zeros((2, 5, 3)), TypeError, r"u must be a torch tensor", id="numpy"),
        pytest.param(
            torch.zeros(2, 5, 3, dtype=DOUBLE), TypeError, r"u must have .* dtype", id="dtype"
        ),
        pytest.param(
            torch.zeros(2, 5, 3).long(), TypeError, r"u must have .* dtype", id="integers"
        ),
        pytest.param(nan, ValueError, r"u must be finite", id="nan"),
    ]


@pytest.mark.parametrize(("u", "error", "message"), bad_inputs())
def test_bad_signals_are_refused(make, u, error, message):
    with pytest.raises(error, match=message):
        make()(u)


def test_bad_steps_are_refused(make):
    layer = make()
    state = layer.initial_state(2)
    for u_t, error in ((torch.zeros(2, 4), ValueError), (np.zeros((2, 3)), TypeError)):
        with pytest.raises(error, match="u_t must"):
            layer.step(u_t, state)
    with pytest.raises(ValueError, match="u_t must be finite"):
        layer.step(torch.full((2, 3), torch.inf), state)
    with pytest.raises(TypeError, match="batch must be an integer"):
        layer.initial_state(2.0)
    for bad in (
        torch.zeros(2, 1),
        None,
        tree_map(single, layer.double().initial_state(2)),
    ):
        with pytest.raises((TypeError, ValueError), match="state must"):
            layer.step(torch.zeros(2, 3, dtype=DOUBLE), bad)
    with pytest.raises((TypeError, ValueError), match="state must"):
        layer.advance(torch.zeros(2, 5, 3, dtype=DOUBLE), torch.zeros(2, 1))


OPTIONS = [
    (CompanionSSM, {"channels": 0}, ValueError, "channels must be at least 1"),
    (CompanionSSM, {"state_size": -1}, ValueError, "state_size must be at least 1"),
    (CompanionSSM, {"init": "zero"}, ValueError, "init must be one of"),
    (DeltaProduct, {"channels": 0}, ValueError, "channels must be at least 1"),
    (DeltaProduct, {"heads": 0}, ValueError, "heads must be at least 1"),
    (DeltaProduct, {"head_size": 0}, ValueError, "head_size must be at least 1"),
    (DeltaProduct, {"value_size": 0}, ValueError, "value_size must be at least 1"),
    (DeltaProduct, {"n_h": 0}, ValueError, "n_h must be at least 1"),
    (DeltaProduct, {"conv_size": 0}, ValueError, "conv_size must be at least 1"),
    (DeltaProduct, {"chunk": 0}, ValueError, "chunk must be at least 1"),
    (DeltaProduct, {"eps": 0.0}, ValueError, "eps must be positive"),
    (S4D, {"channels": 0}, ValueError, "channels must be at least 1"),
    (S4D, {"channels": 2.0}, TypeError, "channels must be an integer"),
    (S4D, {"state_size": 0}, ValueError, "state_size must be at least 1"),
    (S4D, {"state_size": 7}, ValueError, "state_size must be even"),
    (S4D, {"init": "hippo"}, ValueError, "init must be one of"),
    (S4D, {"discretization": "euler"}, ValueError, "discretization must be one of"),
    (S4D, {"real_part": "square"}, ValueError, "real_part must be one of"),
    (S4D, {"real_part": "sigmoid", "init": "real"}, ValueError, "real_part must be in the range"),
    (S4D, {"dt_min": 0.0}, ValueError, "dt_min must be positive"),
    (S4D, {"dt_min": 0.1, "dt_max": 0.01}, ValueError, "dt_max must not be below"),
    (S4D, {"rng": "seed"}, TypeError, "rng must be"),
    (S4, {"init": "lmu"}, ValueError, "init must be one of"),
    (S4, {"state_size": 3}, ValueError, "state_size must be even"),
    (S4, {"length": 0}, ValueError, "length must be at least 1"),
]


@pytest.mark.parametrize(("kind", "options", "error", "message"), OPTIONS)
def test_bad_options_are_refused(kind, options, error, message):
    with pytest.raises(error, match=message):
        kind(**({"channels": 2} | options))


@pytest.mark.parametrize("name", [name for name in LAYERS if name != "DeltaProduct"])
def test_groups_hold_every_parameter_once(name):
    network = torch.nn.Sequential(torch.nn.Linear(3, 3), LAYERS[name](), torch.nn.Linear(3, 1))
    network[0].bias.requires_grad_(False)
    groups = optimizer_groups(network, lr=1e-2, state_lr=1e-4, weight_decay=0.1)
    rest, dynamics = groups
    named = {id(p): n.rpartition(".")[2] for n, p in network.named_parameters()}
    members = [{named[id(p)] for p in group["params"]} for group in groups]
    assert members[1] <= set(network[1].state_parameters)
    assert not members[0] & members[1]
    assert sum(len(g["params"]) for g in groups) == len(list(network.parameters())) - 1
    assert (rest["lr"], rest["weight_decay"]) == (1e-2, 0.1)
    assert (dynamics["lr"], dynamics["weight_decay"]) == (1e-4, 0.0)
    torch.optim.AdamW(groups).step()


def test_groups_of_networks_without_dynamics():
    (group,) = optimizer_groups(torch.nn.Linear(2, 2), lr=1e-4)
    assert group["weight_decay"] == 0
    rest, dynamics = optimizer_groups(S4D(2, 4), lr=1e-4)
    assert rest["lr"] == dynamics["lr"] == 1e-4


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"module": [], "lr": 0.1}, TypeError, "module must be a torch module"),
        ({"lr": 0.0}, ValueError, "lr must be positive"),
        ({"lr": 0.1, "state_lr": -1.0}, ValueError, "state_lr must be positive"),
        ({"lr": 0.1, "weight_decay": -1.0}, ValueError, "weight_decay must not be negative"),
    ],
)
def test_bad_groups_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        optimizer_groups(**({"module": S4D(2, 4)} | arguments))

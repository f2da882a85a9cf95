"""The companion layer: its closed loop, and what keeps it stable."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.func import functional_call, stack_module_state, vmap  # noqa: E402

from ssm import companion_matrix  # noqa: E402
from ssm.nn import CompanionSSM  # noqa: E402

DOUBLE = torch.float64


def closed_loop(channels=2, d=4, dtype=DOUBLE):
    layer = CompanionSSM(channels, d, rng=0, dtype=dtype)
    with torch.no_grad():
        layer.k.copy_(torch.tensor(np.random.default_rng(1).uniform(-0.5, 0.5, (channels, d))))
    return layer


def signal(*shape, dtype=DOUBLE):
    return torch.tensor(np.random.default_rng(2).standard_normal(shape)).to(dtype)


@pytest.mark.parametrize("L", [0, 1, 3, 4, 11])
def test_the_closed_loop_is_that_of_dense_matrices(L):
    layer, u = closed_loop(), signal(3, L, 2)
    y, u_next = (x.detach().numpy() for x in layer.forecast(u, 6))
    p, b, c, k, D = (x.detach().numpy() for x in (layer.p, layer.b, layer.c, layer.k, layer.D))
    for channel in range(2):
        A = companion_matrix(p[channel] / np.abs(p[channel]).sum())
        for row in range(3):
            x, last = np.zeros(4), 0.0
            for last in u[row, :, channel].numpy():
                x = A @ x + b[channel] * last
            for h in range(6):
                expected = c[channel] @ x + D[channel] * last
                np.testing.assert_allclose(y[row, h, channel], expected, atol=1e-12)
                last = k[channel] @ x
                np.testing.assert_allclose(u_next[row, h, channel], last, atol=1e-12)
                x = A @ x + b[channel] * last


@pytest.mark.parametrize("horizon", [1, 40])
def test_the_closed_loop_outputs_what_its_forecasts_would_give(horizon):
    layer, u = closed_loop(3, 8), signal(2, 50, 3)
    y, u_next = layer.forecast(u, horizon)
    again = layer(torch.cat((u, u_next), -2))[:, 49 : 49 + horizon]
    torch.testing.assert_close(again, y, rtol=1e-10, atol=1e-10)
    with torch.no_grad():
        y, _ = layer.forecast(u, horizon)
    torch.testing.assert_close(again, y, rtol=1e-10, atol=1e-10)
    single = closed_loop(3, 8, torch.float32)
    with torch.no_grad():
        z, _ = single.forecast(u.float(), horizon)
    assert z.dtype == torch.float32
    torch.testing.assert_close(z.double(), y, rtol=0, atol=1e-5 * float(y.abs().max()))


@pytest.mark.parametrize("horizon", [3, 12])
def test_gradients_of_forecasts_agree_with_finite_differences(horizon):
    layer, u = closed_loop(1, 3), signal(2, 5, 1).requires_grad_()
    names = [name for name, _ in layer.named_parameters()]

    class Forecast(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = layer

        def forward(self, u):
            return layer.forecast(u, horizon)

    module = Forecast()

    def call(u, *parameters):
        named = {f"inner.{name}": p for name, p in zip(names, parameters, strict=True)}
        return functional_call(module, named, (u,))

    parameters = [p.detach().clone().requires_grad_() for p in layer.parameters()]
    assert torch.autograd.gradcheck(call, (u, *parameters))


def test_forecasts_of_ensembles():
    class Forecast(CompanionSSM):
        def forward(self, u):
            return self.forecast(u, 7)[0]

    layers = [Forecast(2, 4, rng=seed, dtype=DOUBLE) for seed in range(3)]
    u = signal(2, 9, 2)
    parameters, _ = stack_module_state(layers)
    y = vmap(lambda p: functional_call(layers[0], p, (u,)))(parameters)
    torch.testing.assert_close(y, torch.stack([layer(u) for layer in layers]))


def test_no_eigenvalue_exceeds_one_and_small_columns_are_left_alone():
    layer = CompanionSSM(50, 6, rng=0, dtype=DOUBLE)
    column = layer._column().detach()
    torch.testing.assert_close(column.abs().sum(-1), torch.ones(50, dtype=DOUBLE))
    assert torch.linalg.eigvals(companion_matrix(column)).abs().max() < 1 + 1e-12
    with torch.no_grad():
        layer.p.mul_(1e-6)
    torch.testing.assert_close(layer._column(), layer.p)
    raw = CompanionSSM(2, 6, normalize=False, rng=0)
    torch.testing.assert_close(raw._column(), raw.p)


def test_initialisations():
    normal = CompanionSSM(100, 25, rng=0)
    # Of 2500 squares of unit variance the mean is 1 within five standard deviations.
    for parameter in (normal.p, normal.b, normal.c):
        assert abs(float(parameter.detach().square().mean()) - 1) < 0.15
    uniform = CompanionSSM(100, 25, init="xavier", rng=0)
    for parameter in (uniform.p, uniform.b, uniform.c):
        assert 0.19 < float(parameter.detach().abs().max()) <= 0.2
    for layer in (normal, uniform):
        assert not layer.k.any()


def test_a_random_walk_is_remembered_exactly():
    """The root on the circle: a running sum, of whole numbers."""
    layer = CompanionSSM(1, 1, normalize=False)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.fill_(1.0)
        layer.D.zero_()
    u = torch.ones(2000, 1)
    torch.testing.assert_close(layer(u)[-1], torch.tensor([2000.0]), rtol=1e-5, atol=0)
    step, state = layer.stepper(), layer.initial_state(())
    for t in range(2000):
        y_t, state = step(u[t], state)
    assert float(y_t.detach()) == 2000


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"horizon": 0}, ValueError, "horizon must be at least 1"),
        ({"horizon": 1.5}, TypeError, "horizon must be an integer"),
        ({"u": torch.zeros(2, 5, 2)}, TypeError, "u must have .* dtype"),
        ({"u": torch.zeros(5, 2, dtype=DOUBLE)[:, :1]}, ValueError, "u must have shape"),
        ({"u": torch.full((5, 2), torch.nan, dtype=DOUBLE)}, ValueError, "u must be finite"),
    ],
)
def test_bad_forecasts_are_refused(arguments, error, message):
    layer = closed_loop()
    with pytest.raises(error, match=message):
        layer.forecast(**({"u": torch.zeros(2, 5, 2, dtype=DOUBLE), "horizon": 3} | arguments))

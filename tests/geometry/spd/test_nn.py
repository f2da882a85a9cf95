"""The layers: statistics, the released code's values, parameters, state, domains."""

from __future__ import annotations

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.nn.utils import parametrize  # noqa: E402

from geometry import spd  # noqa: E402
from geometry.spd.batch_normalization import batch_normalize  # noqa: E402
from geometry.spd.frechet import frechet_mean, frechet_variance  # noqa: E402
from geometry.spd.nn import (  # noqa: E402
    DomainSPDBatchNorm,
    Positive,
    SPDBatchNorm,
    SPDParametrization,
)

METRICS = ("affine_invariant", "bures_wasserstein", "log_cholesky", "log_euclidean")
DOUBLE = torch.float64
W = torch.tensor([[2.0, 0.5], [0.5, 1.0]], dtype=DOUBLE)
M = torch.tensor([[1.0, -0.3], [-0.3, 1.5]], dtype=DOUBLE)


@pytest.fixture
def batch(with_condition, rng):
    """Matrices of condition 10, a function of the shape of the batch and the order."""
    return lambda shape, n=3: torch.tensor(with_condition(rng, n, 1, batch=shape))


def deterministic():
    k = np.arange(24).reshape(6, 2, 2)
    A = np.cos(0.7 * k * k + k)
    return torch.tensor(A @ np.swapaxes(A, -1, -2) + 0.1 * np.eye(2))


# By the layer released with arXiv 2504.00660 in training, and then in evaluation: the first of
# the matrices above, the sum of all, the running variance, and the first in evaluation.
RELEASED = [
    (
        1.0,
        0.8,
        [[1.5183699764900314, 0.271153527905188], [0.271153527905188, 1.003382713339988]],
        [[12.334880712294936, 2.508006420047672], [2.508006420047672, 7.877803707476778]],
        0.9367972893736517,
        [[2.1841488021677784, 0.8857166665068276], [0.8857166665068276, 0.880784711255028]],
    ),
    (
        0.5,
        0.8,
        [[1.6288355846749387, 0.3278468309729433], [0.3278468309729433, 1.0831935059545346]],
        [[12.484839844004872, 2.8238905773889], [2.8238905773889, 7.602363318301171]],
        0.9623875013234519,
        [[2.4357919926248863, 1.0713795765241694], [1.0713795765241694, 0.8113151446860726]],
    ),
    (
        1.0,
        3.0,
        [[0.5885744195108031, -0.224792126493738], [-0.224792126493738, 1.0881855125599649]],
        [[17.085227316844943, 0.8488558334365284], [0.8488558334365284, 28.25757734923916]],
        0.9367972893736517,
        [[2.9187076128125815, 1.8230554919058322], [1.8230554919058322, 1.1388443320264046]],
    ),
]


@pytest.mark.parametrize(("theta", "s", "first", "total", "var", "evaluated"), RELEASED)
def test_published_agrees_with_the_released_layer(theta, s, first, total, var, evaluated):
    layer = SPDBatchNorm.published(2, theta=theta, dtype=DOUBLE)
    layer.bias, layer.metric_matrix, layer.scale = W, M, s
    # Where that layer starts, the identity in the coordinates of M and theta.
    layer.running_mean.copy_(spd.powm(M, 1 / theta))
    near = {"rtol": 1e-11, "atol": 1e-11}
    X = deterministic()
    Y = layer(X[:, None])
    torch.testing.assert_close(Y[0, 0].detach(), torch.tensor(first, dtype=DOUBLE), **near)
    torch.testing.assert_close(Y.sum((0, 1)).detach(), torch.tensor(total, dtype=DOUBLE), **near)
    assert float(layer.running_var) == pytest.approx(var, rel=1e-12)
    layer.eval()
    torch.testing.assert_close(layer(X)[0].detach(), torch.tensor(evaluated, dtype=DOUBLE), **near)
    # Two of the three fold nothing.
    assert bool(layer.outside) == (s == 3.0)


@pytest.mark.parametrize("training_statistics", ["batch", "running"])
@pytest.mark.parametrize("metric", METRICS)
def test_output_has_the_mean_and_variance_of_the_parameters(metric, training_statistics, batch):
    options = {"momentum": 1.0} if training_statistics == "running" else {}
    layer = SPDBatchNorm(
        3,
        metric=metric,
        mean_steps=None,
        eps=0.0,
        training_statistics=training_statistics,
        domain="raise",
        dtype=DOUBLE,
        **options,
    )
    B, s = batch(()), 0.3
    layer.bias, layer.scale = B, s
    given = {"metric": metric}
    if metric == "bures_wasserstein":
        layer.metric_matrix = batch(())
        layer.theta = torch.tensor(0.5, dtype=DOUBLE)
        given |= {"M": layer.metric_matrix, "theta": 0.5}
    X = batch((10,))
    Y = layer(X).detach()
    torch.testing.assert_close(frechet_mean(Y, **given).detach(), B, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(
        frechet_variance(Y, mean=B, **given).detach(),
        torch.tensor(s * s, dtype=DOUBLE),
        rtol=1e-9,
        atol=0,
    )


def test_how_far_the_defaults_miss(with_condition, rng):
    """One step from the arithmetic mean, and the variance with eps added."""
    for digits, least, most in ((2, 1e-3, 0.1), (6, 0.02, 0.6)):
        X = torch.tensor(with_condition(rng, 8, digits, batch=(30,)))
        layer = SPDBatchNorm(8, dtype=DOUBLE, domain="raise")
        layer.scale = 0.1
        Y = layer(X).detach()
        mean = frechet_mean(Y, metric="bures_wasserstein")
        off = float(spd.distance(mean, torch.eye(8, dtype=DOUBLE), metric="bures_wasserstein"))
        assert least < off / 0.1 < most
        variance = frechet_variance(Y, mean=layer.bias.detach(), metric="bures_wasserstein")
        v = float(layer.running_var - 0.9) / 0.1
        assert float(variance) == pytest.approx(0.01 * v / (v + layer.eps), rel=1e-9)


@pytest.mark.parametrize("metric", METRICS)
def test_running_statistics(metric, batch):
    layer = SPDBatchNorm(3, metric=metric, momentum=0.25, dtype=DOUBLE)
    X = batch((7,))
    with torch.no_grad():
        mean, var = torch.eye(3, dtype=DOUBLE), torch.ones((), dtype=DOUBLE)
        for part in (X[:4], X[4:]):
            layer(part)
            other = SPDBatchNorm(3, metric=metric, momentum=None, dtype=DOUBLE)
            other(part)
            mean = spd.geodesic(mean, other.running_mean, 0.25, metric=metric)
            var = 0.75 * var + 0.25 * other.running_var
            torch.testing.assert_close(layer.running_mean, mean)
            torch.testing.assert_close(layer.running_var, var)
        assert int(layer.num_batches_tracked) == 2
        layer.eval()
        expected = batch_normalize(X, mean, var, layer.bias, layer.scale, metric=metric)
        torch.testing.assert_close(layer(X), expected)
        torch.testing.assert_close(layer(X[:1]), expected[:1])
        assert layer(X[:0]).shape == (0, 3, 3)
        torch.testing.assert_close(layer.running_mean, mean)


def test_momentum_none_is_the_average_of_batches(batch):
    layer = SPDBatchNorm(3, metric="log_euclidean", momentum=None, dtype=DOUBLE)
    parts = [batch((4,)) for _ in range(3)]
    for part in parts:
        layer(part)
    torch.testing.assert_close(
        layer.running_mean, frechet_mean(torch.cat(parts), metric="log_euclidean")
    )


@pytest.mark.parametrize("learned", [True, False])
@pytest.mark.parametrize("theta", [1.0, 0.5])
def test_training_gradients_are_those_with_constant_statistics(theta, learned, batch):
    layer = SPDBatchNorm.published(3, theta=theta, dtype=DOUBLE)
    if learned:
        layer = SPDBatchNorm(
            3, theta=theta, learn_theta=True, variance_about="identity", dtype=DOUBLE
        )
    layer.bias, layer.metric_matrix = batch(()), batch(())
    layer.scale = 0.7
    X, G = batch((5,)).requires_grad_(), batch((5,))
    state = copy.deepcopy(layer.state_dict())
    with parametrize.cached():
        values = [getattr(layer, name) for name in ("bias", "scale", "metric_matrix")]
        values += [layer.theta] if learned else []
        gradients = torch.autograd.grad((layer(X) * G).sum(), [X, *values])
    first = SPDBatchNorm.published(3, theta=theta, dtype=DOUBLE)
    first.load_state_dict(state, strict=not learned)
    first.momentum = 1.0
    first.theta = torch.tensor(theta, dtype=DOUBLE)
    first(X)
    inputs = [X.detach().requires_grad_()]
    inputs += [value.detach().requires_grad_() for value in values]

    def constant(X, bias, scale, M, exponent=theta):
        return batch_normalize(
            X, first.running_mean, first.running_var, bias, scale, M=M, theta=exponent, check=False
        )

    expected = torch.autograd.grad((constant(*inputs) * G).sum(), inputs)
    for a, b in zip(gradients, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)
    assert torch.autograd.gradcheck(constant, inputs, fast_mode=True)


def test_gradient_of_the_metric_at_the_identity_is_not_lost(batch):
    layer = SPDBatchNorm.published(3, theta=0.5, dtype=DOUBLE)
    (layer(batch((5,))) * batch((5,))).sum().backward()
    gradient = layer.parametrizations.metric_matrix.original.grad
    assert all(abs(gradient[i, j]) > 1e-6 for i in range(3) for j in range(i + 1))


@pytest.mark.parametrize("metric", METRICS)
def test_channels_share_or_have_their_own(metric, batch):
    X = batch((5, 2))
    shared = SPDBatchNorm(3, metric=metric, dtype=DOUBLE)
    together = SPDBatchNorm(3, metric=metric, dtype=DOUBLE)
    torch.testing.assert_close(shared(X), together(X.flatten(0, 1)).unflatten(0, (5, 2)))
    own = SPDBatchNorm(3, metric=metric, channels=2, dtype=DOUBLE)
    biases, scales = batch((2,)), torch.tensor([0.2, 0.4], dtype=DOUBLE)
    own.bias, own.scale = biases, scales
    single = []
    for k in range(2):
        layer = SPDBatchNorm(3, metric=metric, dtype=DOUBLE)
        layer.bias, layer.scale = biases[k], scales[k]
        single.append(layer)
    for training in (True, False):
        own.train(training)
        outputs = [layer.train(training)(X[:, k]) for k, layer in enumerate(single)]
        torch.testing.assert_close(own(X), torch.stack(outputs, 1))
    torch.testing.assert_close(own.running_mean[1], single[1].running_mean)
    own.train()
    own.mean_steps = None
    assert own(X).shape == X.shape


@pytest.mark.parametrize(("optimizer", "lr"), [(torch.optim.SGD, 2e-3), (torch.optim.Adam, 0.05)])
def test_parameters_stay_in_their_sets_under_any_optimizer(optimizer, lr, batch):
    layer = SPDBatchNorm(3, theta=0.5, learn_theta=True, dtype=DOUBLE)
    target, X = batch(()), batch((6,))
    steps = optimizer(layer.parameters(), lr=lr)
    losses = []
    for _ in range(15):
        steps.zero_grad()
        loss = (layer(X) - target).square().sum()
        loss.backward()
        steps.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    assert torch.linalg.eigvalsh(layer.bias.detach()).min() > 0
    assert torch.linalg.eigvalsh(layer.metric_matrix.detach()).min() > 0
    assert layer.scale > 0
    assert layer.theta > 0
    assert layer.theta != 0.5


@pytest.mark.parametrize("kind", ["cholesky", "exp"])
def test_parametrizations_are_set_by_value(kind, batch):
    module = torch.nn.Module()
    module.M = torch.nn.Parameter(batch((2,)))
    parametrize.register_parametrization(module, "M", SPDParametrization(kind))
    value = batch((2,))
    module.M = value
    torch.testing.assert_close(module.M.detach(), value)
    module.float()
    module.M = value
    torch.testing.assert_close(module.M.detach(), value.float())
    with pytest.raises(ValueError, match="value must have shape"):
        module.M = torch.eye(3)
    with pytest.raises(ValueError, match="value must be positive definite"):
        module.M = -value
    original = module.parametrizations.M.original
    with torch.no_grad():
        original.zero_()
    torch.testing.assert_close(module.M.detach(), torch.eye(3).expand(2, 3, 3))
    module = torch.nn.Module()
    module.s = torch.nn.Parameter(torch.ones(()))
    parametrize.register_parametrization(module, "s", Positive())
    module.s = 3
    torch.testing.assert_close(module.s.detach(), torch.tensor(3.0))
    with pytest.raises(ValueError, match="value must be positive"):
        module.s = 0.0
    with pytest.raises(ValueError, match="kind must be one of"):
        SPDParametrization("softplus")


def test_state_dict_round_trip(batch):
    layer = SPDBatchNorm(3, theta=0.5, learn_theta=True, dtype=DOUBLE)
    layer.bias, layer.metric_matrix, layer.scale, layer.theta = W3(batch), W3(batch), 0.5, 0.7
    X = batch((5,))
    layer(X)
    other = SPDBatchNorm(3, theta=0.5, learn_theta=True, dtype=DOUBLE)
    other.load_state_dict(layer.state_dict())
    torch.testing.assert_close(other.eval()(X), layer.eval()(X))
    again = copy.deepcopy(layer)
    torch.testing.assert_close(again(X), layer(X))
    again.bias = again.bias.detach() * 2
    assert not torch.equal(again.bias, layer.bias)


def W3(batch):
    return batch(())


def test_parameters_of_a_riemannian_library(batch):
    geoopt = pytest.importorskip("geoopt")
    layer = SPDBatchNorm(3, parametrized=False, dtype=DOUBLE)
    manifold = geoopt.SymmetricPositiveDefinite()
    for name in ("bias", "metric_matrix"):
        setattr(layer, name, geoopt.ManifoldParameter(getattr(layer, name).data, manifold=manifold))
    X = geoopt.ManifoldParameter(batch((6,)), manifold=manifold)
    steps = geoopt.optim.RiemannianAdam(layer.parameters(), lr=0.05)
    target, losses = batch(()), []
    for _ in range(5):
        steps.zero_grad()
        loss = (layer(X) - target).square().sum()
        loss.backward()
        steps.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    for name in ("bias", "metric_matrix"):
        value = getattr(layer, name)
        assert isinstance(value, geoopt.ManifoldParameter)
        assert torch.linalg.eigvalsh(value.detach()).min() > 0
        torch.testing.assert_close(value, value.mT)


def test_single_precision(batch):
    X = batch((5,))
    layer = SPDBatchNorm(3, theta=0.5)
    double = SPDBatchNorm(3, theta=0.5, dtype=DOUBLE)
    result = layer(X.float())
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, double(X).float(), rtol=1e-5, atol=1e-5)
    with pytest.raises(TypeError, match="X must have the layer's dtype"):
        layer(X)


@pytest.mark.parametrize("metric", METRICS)
def test_domains_are_normalised_apart(metric, batch):
    X, labels = batch((9, 2)), torch.tensor([0, 2, 0, 2, 2, 0, 0, 2, 0])
    layer = DomainSPDBatchNorm(3, 3, metric=metric, dtype=DOUBLE)
    layer.bias, layer.scale = batch(()), 0.3
    parts = {}
    for d in (0, 2):
        parts[d] = SPDBatchNorm(3, metric=metric, dtype=DOUBLE)
        parts[d].bias, parts[d].scale = layer.bias.detach(), 0.3
    for training in (True, False):
        layer.train(training)
        Y = layer(X, labels)
        for d, part in parts.items():
            torch.testing.assert_close(Y[labels == d], part.train(training)(X[labels == d]))
            torch.testing.assert_close(layer.running_mean[d], part.running_mean)
            torch.testing.assert_close(layer.running_var[d], part.running_var)
    assert layer.num_batches_tracked.tolist() == [1, 0, 1]
    torch.testing.assert_close(layer.running_mean[1], torch.eye(3, dtype=DOUBLE))
    torch.testing.assert_close(layer(X[:1], 2), layer(X[:1], torch.tensor([2])))
    assert layer(X[:0], 1).shape == (0, 2, 3, 3)
    # What a session that was never seen gets: its mean goes to the bias.
    layer.eps = 0.0
    layer.fit_domain(X, 1)
    mean = frechet_mean(layer(X, 1).detach().flatten(0, 1), metric=metric)
    torch.testing.assert_close(mean, layer.bias.detach(), rtol=1e-8, atol=1e-8)
    other = DomainSPDBatchNorm(3, 3, metric=metric, dtype=DOUBLE)
    other.load_state_dict(layer.state_dict())
    torch.testing.assert_close(other.running_mean, layer.running_mean)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"n": 0}, ValueError, "n must be at least 1"),
        ({"metric": "euclidean"}, ValueError, "metric must be one of"),
        ({"metric": "log_euclidean", "theta": 0.5}, ValueError, "theta must be left out"),
        ({"metric": "log_cholesky", "learn_theta": True}, ValueError, "learn_theta must be left"),
        ({"metric": "affine_invariant", "learn_metric": True}, ValueError, "learn_metric must be"),
        ({"theta": 0.0}, ValueError, "theta must be positive"),
        ({"eps": -1.0}, ValueError, "eps must not be negative"),
        ({"momentum": 0.0}, ValueError, "momentum must be positive"),
        ({"mean_steps": -1}, ValueError, "mean_steps must be at least 0"),
        ({"variance_about": "zero"}, ValueError, "variance_about must be one of"),
        ({"training_statistics": "none"}, ValueError, "training_statistics must be one of"),
        ({"domain": "wrap"}, ValueError, "domain must be one of"),
        ({"channels": 0}, ValueError, "channels must be at least 1"),
    ],
)
def test_bad_options(options, error, message):
    with pytest.raises(error, match=message):
        SPDBatchNorm(**({"n": 2} | options))


def test_bad_input(batch):
    layer = SPDBatchNorm(3, dtype=DOUBLE)
    for X in (batch((4,), 2), batch(()), batch((2, 2, 2)), torch.ones(2, 3, 4, dtype=DOUBLE)):
        with pytest.raises(ValueError, match="X must have shape"):
            layer(X)
    with pytest.raises(TypeError, match="X must be a torch tensor"):
        layer(np.eye(3)[None])
    with pytest.raises(ValueError, match=r"X must be positive definite.*X\[1\]"):
        layer(torch.stack([torch.eye(3, dtype=DOUBLE), -torch.eye(3, dtype=DOUBLE)]))
    with pytest.raises(ValueError, match="X must be finite"):
        layer(batch((2,)) * torch.nan)
    for count in (0, 1):
        with pytest.raises(ValueError, match=f"X must hold 2 or more matrices.*got {count}"):
            layer(batch((4,))[:count])
    with pytest.raises(ValueError, match="X must hold 1 or more"):
        SPDBatchNorm(3, dtype=DOUBLE, training_statistics="running")(batch((4,))[:0])
    assert int(layer.num_batches_tracked) == 0
    with pytest.raises(ValueError, match=r"X must have shape \(batch, 2, 3, 3\)"):
        SPDBatchNorm(3, channels=2, dtype=DOUBLE)(batch((4,)))
    with pytest.raises(ValueError, match="value must be positive"):
        layer.scale = -1.0
    with pytest.raises(ValueError, match="value must be positive definite"):
        layer.bias = -torch.eye(3, dtype=DOUBLE)
    strict = SPDBatchNorm(3, dtype=DOUBLE, domain="raise")
    strict.scale = 10.0
    with pytest.raises(ValueError, match="leaves the manifold"):
        strict(batch((6,)))
    domains = DomainSPDBatchNorm(3, 2, dtype=DOUBLE)
    X = batch((4,))
    for domain, error, message in [
        (2, ValueError, "domain must be from 0 to 1"),
        (torch.tensor([0, 1]), ValueError, r"domain must have shape \(4,\)"),
        (torch.ones(4), TypeError, "domain must hold integers"),
    ]:
        with pytest.raises(error, match=message):
            domains(X, domain)
    with pytest.raises(ValueError, match="domain must be below 2"):
        domains.fit_domain(X, 2)
    with pytest.raises(ValueError, match="domains must be at least 1"):
        DomainSPDBatchNorm(3, 0)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_compiles(batch):
    layer = SPDBatchNorm(3, dtype=DOUBLE, check=False).eval()
    X = batch((4,))
    compiled = torch.compile(layer, backend="eager")
    torch.testing.assert_close(compiled(X), layer(X))

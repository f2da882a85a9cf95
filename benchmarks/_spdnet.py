r"""SPDNet with a choice of batch normalisation, on electroencephalograms and on covariances.

The network of the code that is published with arXiv 2504.00660 for MAMEM: a spatial and a temporal
convolution, each with batch normalisation, the covariance of the 15 signals they give, BiMap to
12 x 12, batch normalisation on the manifold, ReEig, LogEig and a linear layer. BiMap, ReEig and
LogEig are spd-learn's.

Between the two convolutions there is nothing but an affine map, so that one convolution of the 8
channels does the work of both with 14 times fewer operations (:class:`SpatialTemporalFilter`); what
it computes, and its gradients, are those of the two.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

_FLOOR = 1e-5  # added to covariances, and the least eigenvalue that ReEig lets through
_BATCH = 30
_MOMENTUM = 0.9
_CLIP = 5.0  # largest norm of all gradients together: above it training ends in explosions


@dataclass(frozen=True)
class Data:
    """What a network is trained and scored on; ``parts`` are index arrays by name.

    Signals x (N, channels, samples) in single precision, or matrices (N, n, n) in double.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    train: np.ndarray
    parts: dict[str, np.ndarray]


@dataclass(frozen=True)
class Recipe:
    """What comes before BiMap, the orders of its matrices, epochs, learning rate, weight decay."""

    convolutions: bool
    order: int
    reduced: int
    epochs: int
    rate: float
    decay: float


@dataclass(frozen=True)
class Job:
    """One network to train."""

    data: Data
    recipe: Recipe
    layer: str
    seed: int


@dataclass(frozen=True)
class Trained:
    """Accuracies after the last epoch by part, the training loss by epoch, seconds an epoch.

    NaN where training came to gradients that are not finite, or to matrices that are not positive
    definite.
    """

    data: str
    rate: float
    layer: str
    seed: int
    accuracy: dict[str, float]
    loss: np.ndarray
    seconds: float


class SpatialTemporalFilter(nn.Module):
    """Conv2d(1, 125, (8, 1)), BatchNorm2d, Conv2d(125, 15, (1, 36)), BatchNorm2d as one filter.

    Takes (batch, channels, samples) and gives (batch, 15, samples + 1).
    """

    def __init__(
        self, channels: int = 8, hidden: int = 125, filters: int = 15, width: int = 36
    ) -> None:
        super().__init__()
        self.space = nn.Conv2d(1, hidden, (channels, 1))
        self.between = nn.BatchNorm2d(hidden)
        self.time = nn.Conv2d(hidden, filters, (1, width), padding=(0, width // 2))
        self.after = nn.BatchNorm2d(filters)

    def forward(self, x: Tensor) -> Tensor:
        W = self.space.weight[:, 0, :, 0]
        mean, var = self._moments(x, W)
        gain = self.between.weight / torch.sqrt(var + self.between.eps)
        # The padding is zero after the first normalisation: its offset is a channel of ones.
        offset = gain * (self.space.bias - mean) + self.between.bias
        affine = torch.cat([gain[:, None] * W, offset[:, None]], dim=1)
        kernel = torch.einsum("okt,kc->oct", self.time.weight[:, :, 0], affine)
        ones = x.new_ones(len(x), 1, x.shape[-1])
        z = nn.functional.conv1d(
            torch.cat([x, ones], dim=1), kernel, self.time.bias, padding=self.time.padding[1]
        )
        return self.after(z[:, :, None])[:, :, 0]

    def _moments(self, x: Tensor, W: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of the first convolution's outputs, from those of the channels."""
        norm = self.between
        if not self.training:
            return norm.running_mean, norm.running_var
        flat = x.transpose(0, 1).flatten(1)
        centre = flat.mean(dim=1, keepdim=True)
        flat = flat - centre
        count = flat.shape[1]
        mean = W @ centre[:, 0] + self.space.bias
        var = torch.einsum("kc,cd,kd->k", W, flat @ flat.T / count, W)
        with torch.no_grad():
            norm.running_mean.lerp_(mean, norm.momentum)
            norm.running_var.lerp_(var * (count / (count - 1)), norm.momentum)
            norm.num_batches_tracked += 1
        return mean, var


class Covariance(nn.Module):
    """Covariances of the signals (batch, d, samples) in double precision, plus 1e-5 times I."""

    def forward(self, x: Tensor) -> Tensor:
        x = x.double()
        x = x - x.mean(dim=-1, keepdim=True)
        identity = torch.eye(x.shape[-2], dtype=x.dtype)
        return x @ x.mT / (x.shape[-1] - 1) + _FLOOR * identity


def spd_network(recipe: Recipe, layer: str, classes: int) -> nn.Sequential:
    """The whole network; convolutions and covariance in single and double precision."""
    from spd_learn.modules import BiMap, LogEig, ReEig

    n = recipe.reduced
    parts = [
        *((SpatialTemporalFilter(), Covariance()) if recipe.convolutions else ()),
        BiMap(recipe.order, n, init_method="orthogonal", dtype=torch.float64),
        LAYERS[layer](n),
        ReEig(_FLOOR, dtype=torch.float64),
        LogEig(upper=True),
        nn.Linear(n * (n + 1) // 2, classes, dtype=torch.float64),
    ]
    return nn.Sequential(*(part for part in parts if part is not None))


def _ours(**options: Any) -> Callable[[int], nn.Module]:
    def make(n: int) -> nn.Module:
        from geometry.spd.nn import SPDBatchNorm

        return SPDBatchNorm(n, dtype=torch.float64, **options)

    return make


def _published(n: int) -> nn.Module:
    from geometry.spd.nn import SPDBatchNorm

    return SPDBatchNorm.published(n, dtype=torch.float64)


def _peer(name: str, **options: Any) -> Callable[[int], nn.Module]:
    def make(n: int) -> nn.Module:
        import spd_learn.modules

        return getattr(spd_learn.modules, name)(n, dtype=torch.float64, **options)

    return make


LAYERS: dict[str, Callable[[int], nn.Module | None]] = {
    "none": lambda n: None,
    "affine-invariant": _ours(metric="affine_invariant"),
    "log-Euclidean": _ours(metric="log_euclidean"),
    "BW": _ours(learn_metric=False),
    "GBW, M and θ learned": _ours(learn_metric=True, learn_theta=True),
    "GBW, as published": _published,
    "spd-learn SPDBatchNormMean": _peer("SPDBatchNormMean"),
    "spd-learn SPDBatchNormMeanVar": _peer("SPDBatchNormMeanVar"),
    "spd-learn SPDBatchNormLie, AIM": _peer("SPDBatchNormLie", metric="AIM"),
    "spd-learn SPDBatchNormLie, LEM": _peer("SPDBatchNormLie", metric="LEM"),
    "spd-learn SPDBatchNormLie, LCM": _peer("SPDBatchNormLie", metric="LCM"),
}


def train(job: Job) -> Trained:
    """Stochastic gradients with momentum and weight decay.

    Normalisations are parametrised such that decay pulls to the identity and to one.
    """
    torch.manual_seed(job.seed)
    data, recipe = job.data, job.recipe
    x, y = torch.as_tensor(data.x), torch.as_tensor(data.y)
    network = spd_network(recipe, job.layer, int(data.y.max()) + 1)
    optimiser = torch.optim.SGD(_groups(network, recipe.decay), lr=recipe.rate, momentum=_MOMENTUM)
    indices = torch.as_tensor(data.train)
    losses = np.full(recipe.epochs, np.nan)
    began = perf_counter()
    accuracy = dict.fromkeys(data.parts, np.nan)
    try:
        for epoch in range(recipe.epochs):
            order = indices[torch.randperm(len(indices))]
            losses[epoch] = _epoch(network, optimiser, x, y, order)
        seconds = (perf_counter() - began) / recipe.epochs
        network.eval()
        with torch.no_grad():
            for name, part in data.parts.items():
                right = network(x[part]).argmax(-1) == y[part]
                accuracy[name] = float(right.double().mean())
    except (FloatingPointError, ValueError, torch.linalg.LinAlgError):
        losses[-1], seconds = np.nan, np.nan
    return Trained(data.name, recipe.rate, job.layer, job.seed, accuracy, losses, seconds)


def _epoch(
    network: nn.Module, optimiser: torch.optim.Optimizer, x: Tensor, y: Tensor, order: Tensor
) -> float:
    """Mean loss of one pass; FloatingPointError when a gradient is not finite."""
    network.train()
    total = 0.0
    for batch in order.split(_BATCH):
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(network(x[batch]), y[batch])
        loss.backward()
        if not torch.isfinite(nn.utils.clip_grad_norm_(network.parameters(), _CLIP)):
            raise FloatingPointError("gradients are not finite")
        optimiser.step()
        total += loss.item() * len(batch)
    return total / len(order)


def train_all(jobs: list[Job], workers: int, tell: Callable[[str], None]) -> list[Trained]:
    """All of them, in ``workers`` processes of one thread each, in the order of the jobs."""
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_begin) as pool:
        running = {pool.submit(train, job): i for i, job in enumerate(jobs)}
        found: list[Any] = [None] * len(jobs)
        for done, future in enumerate(as_completed(running), 1):
            job = jobs[running[future]]
            found[running[future]] = future.result()
            tell(f"{done} of {len(jobs)}: {job.data.name}, {job.layer}, seed {job.seed}")
    return found


def _begin() -> None:
    torch.set_num_threads(1)
    # spd-learn says so at every step of a network whose matrices come near singular.
    warnings.filterwarnings("ignore", message="Eigenvalue clamping occurred")


def _groups(network: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Parameters with weight decay, and BiMap's: it has none of which zero is the least."""
    from spd_learn.modules import BiMap

    held = [p for m in network.modules() if isinstance(m, BiMap) for p in m.parameters()]
    inside = set(map(id, held))
    rest = [p for p in network.parameters() if id(p) not in inside]
    return [{"params": rest, "weight_decay": decay}, {"params": held, "weight_decay": 0.0}]

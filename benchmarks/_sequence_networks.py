r"""Networks that classify sequences: state-space modules in residual blocks, LSTMs of their size.

.. math:: h^0 = W x, \qquad
          h^{l+1} = h^l + \mathrm{drop}\,\mathrm{GLU}(\mathrm{GELU}(f_l(\mathrm{norm}\,h^l))),
          \qquad \hat y = V \bar h ,

with a module :math:`f_l` in each block and :math:`\bar h` the mean over the steps that a sequence
has. Sequences are padded behind their ends; causal modules and a norm of each step by itself do not
see that. All networks have the same number of parameters but for what a whole number of channels
leaves, and are trained alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks._sequence_collections import Sequences
from ssm import nn as modules

_DEPTH = 2
_STATE_SIZE = 32
_CORRECTIONS = 32  # in a chunk of the delta rule, which is fastest with as many here
_DROPOUT = 0.1
_CLIP = 1.0
_STATE_RATE = 1e-3


@dataclass(frozen=True)
class Recipe:
    """Parameters to have, epochs, sequences in a batch, largest learning rate, weight decay."""

    parameters: int
    epochs: int
    batch: int
    rate: float
    decay: float = 0.01


@dataclass(frozen=True)
class Job:
    """One network to train."""

    data: Sequences
    recipe: Recipe
    layer: str
    seed: int


@dataclass(frozen=True)
class Trained:
    """Accuracy on the test part after the last epoch, training loss by epoch, seconds in all."""

    data: str
    layer: str
    seed: int
    parameters: int
    width: int
    accuracy: float
    loss: np.ndarray
    seconds: float


class Block(nn.Module):
    """A module between a norm and a gated linear unit, around which the input goes as well."""

    def __init__(self, module: nn.Module, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.module = module
        self.mix = nn.Linear(channels, 2 * channels)
        self.drop = nn.Dropout(_DROPOUT)

    def forward(self, h: Tensor) -> Tensor:
        y = nn.functional.gelu(self.module(self.norm(h)))
        return h + self.drop(nn.functional.glu(self.mix(y)))


class Recurrent(nn.Module):
    """LSTM whose output has as many channels as its input, or ``width`` of them."""

    def __init__(self, channels: int, width: int, layers: int = 1) -> None:
        super().__init__()
        dropout = _DROPOUT if layers > 1 else 0.0
        self.lstm = nn.LSTM(channels, width, layers, batch_first=True, dropout=dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.lstm(x)[0]


class SequenceClassifier(nn.Module):
    """Body, mean over the steps of each sequence, linear layer.

    ``forward`` takes sequences (batch, length, channels) and their lengths (batch,) and gives
    logits (batch, classes).
    """

    def __init__(self, body: nn.Module, width: int, classes: int) -> None:
        super().__init__()
        self.body = body
        self.read = nn.Linear(width, classes)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        h = self.body(x)
        inside = torch.arange(x.shape[1]) < lengths[:, None]
        mean = torch.where(inside[..., None], h, 0.0).sum(dim=1) / lengths[:, None]
        return self.read(mean)


def _blocks(make: Callable[[int, int], nn.Module]) -> Callable[[int, int, int], nn.Module]:
    def body(channels: int, width: int, length: int) -> nn.Module:
        blocks = [Block(make(width, length), width) for _ in range(_DEPTH)]
        return nn.Sequential(nn.Linear(channels, width), *blocks)

    return body


def open_loop(width: int, state_size: int, init: str = "normal") -> nn.Module:
    """Companion layer without the feedback, which its convolution does not use."""
    layer = modules.CompanionSSM(width, state_size, init=init)
    layer.k.requires_grad_(False)
    return layer


def _delta_product(width: int, n_h: int) -> nn.Module:
    return modules.DeltaProduct(
        width, heads=2, head_size=width // 2, n_h=n_h, chunk=_CORRECTIONS // n_h
    )


LAYERS: dict[str, Callable[[int, int, int], nn.Module]] = {
    "S4": _blocks(lambda width, length: modules.S4(width, _STATE_SIZE, length=length)),
    "S4D": _blocks(lambda width, length: modules.S4D(width, _STATE_SIZE)),
    "CompanionSSM": _blocks(lambda width, length: open_loop(width, _STATE_SIZE)),
    "DeltaProduct, n_h = 1": _blocks(lambda width, length: _delta_product(width, 1)),
    "DeltaProduct, n_h = 2": _blocks(lambda width, length: _delta_product(width, 2)),
    "LSTM in the same blocks": _blocks(lambda width, length: Recurrent(width, width)),
    "LSTM": lambda channels, width, length: Recurrent(channels, width, layers=_DEPTH),
}


def network_of_size(layer: str, data: Sequences, parameters: int) -> tuple[SequenceClassifier, int]:
    """The network whose number of parameters comes nearest, and its width."""

    def make(width: int) -> SequenceClassifier:
        body = LAYERS[layer](data.channels, width, data.x.shape[1])
        return SequenceClassifier(body, width, data.classes)

    width = closest_width(make, parameters)
    return make(width), width


def closest_width(make: Callable[[int], nn.Module], parameters: int) -> int:
    """Even width for which the number of parameters comes nearest to the one asked for."""
    best, width, gap = 2, 2, math.inf
    with torch.random.fork_rng():
        while True:
            excess = count_parameters(make(width)) - parameters
            if abs(excess) < gap:
                best, gap = width, abs(excess)
            if excess >= 0:
                return best
            width += 2


def count_parameters(network: nn.Module) -> int:
    """Real numbers that training changes."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def train(job: Job) -> Trained:
    """AdamW with a warm-up of a tenth and a cosine decay; the state matrices at their own rate."""
    torch.manual_seed(job.seed)
    data, recipe = job.data, job.recipe
    network, width = network_of_size(job.layer, data, recipe.parameters)
    x, y = torch.as_tensor(data.x), torch.as_tensor(data.y)
    lengths = torch.as_tensor(data.lengths)
    groups = modules.optimizer_groups(
        network, lr=recipe.rate, state_lr=_STATE_RATE, weight_decay=recipe.decay
    )
    optimiser = torch.optim.AdamW(groups)
    steps = recipe.epochs * math.ceil(len(data.train) / recipe.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: warm_cosine(step / steps))
    indices = torch.as_tensor(data.train)
    losses = np.zeros(recipe.epochs)
    began = perf_counter()
    network.train()
    for epoch in range(recipe.epochs):
        for batch in indices[torch.randperm(len(indices))].split(recipe.batch):
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(network(x[batch], lengths[batch]), y[batch])
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), _CLIP)
            optimiser.step()
            schedule.step()
            losses[epoch] += loss.item() * len(batch) / len(indices)
    seconds = perf_counter() - began
    network.eval()
    test = torch.as_tensor(data.test)
    with torch.no_grad():
        right = network(x[test], lengths[test]).argmax(-1) == y[test]
    return Trained(
        data.name,
        job.layer,
        job.seed,
        count_parameters(network),
        width,
        float(right.double().mean()),
        losses,
        seconds,
    )


def warm_cosine(done: float) -> float:
    """Learning rate relative to its largest, by the share of the steps that are done."""
    return min(10.0 * done, 0.5 * (1.0 + math.cos(math.pi * done)))

r"""One layer of DeltaProduct that learns to follow a group: words in, products of prefixes out.

An embedding of the letters, the layer with the input beside it, a norm, and a network with one
hidden layer that names the product, at every position. Lengths beyond those of training ask whether
the state follows the group or only what is likely.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks._sequence_networks import warm_cosine
from ssm import group_representation
from ssm.nn import DeltaProduct

_WIDTH = 32
_HEADS, _HEAD_SIZE = 4, 8
_HIDDEN = 64
_CORRECTIONS = 32  # in a chunk of the delta rule, which is fastest with as many here
_BATCH = 64
_RATE = 1e-2
_CLIP = 1.0


@dataclass(frozen=True)
class Job:
    """One network to train, on fresh words of a length at every step."""

    group: str
    n_h: int
    negative: bool
    seed: int
    steps: int
    length: int
    test_length: int
    test_words: int


@dataclass(frozen=True)
class Trained:
    """Accuracy at every position of test words, training loss by step, seconds."""

    job: Job
    accuracy: np.ndarray
    loss: np.ndarray
    seconds: float

    def within(self, length: int) -> float:
        """Accuracy over the second half of the first ``length`` positions."""
        return float(self.accuracy[length // 2 : length].mean())


class WordNetwork(nn.Module):
    """Letters (batch, length) to logits of the products (batch, length, order)."""

    def __init__(self, order: int, n_h: int, negative: bool) -> None:
        super().__init__()
        self.embed = nn.Embedding(order, _WIDTH)
        self.follow = DeltaProduct(
            _WIDTH,
            heads=_HEADS,
            head_size=_HEAD_SIZE,
            n_h=n_h,
            negative_eigenvalues=negative,
            conv_size=None,
            chunk=_CORRECTIONS // n_h,
        )
        self.norm = nn.LayerNorm(_WIDTH)
        self.name = nn.Sequential(nn.Linear(_WIDTH, _HIDDEN), nn.GELU(), nn.Linear(_HIDDEN, order))

    def forward(self, words: Tensor) -> Tensor:
        h = self.embed(words)
        return self.name(self.norm(h + self.follow(h)))


def words_and_products(table: Tensor, count: int, length: int) -> tuple[Tensor, Tensor]:
    """Uniform words (count, length) and the products of their prefixes."""
    words = torch.randint(len(table), (count, length))
    products = [words[:, 0]]
    for t in range(1, length):
        products.append(table[products[-1], words[:, t]])
    return words, torch.stack(products, dim=1)


def train(job: Job) -> Trained:
    """Adam with a warm-up and a cosine decay; the words of the test have a seed of their own."""
    torch.manual_seed(job.seed)
    table = torch.as_tensor(group_representation(job.group)[1])
    network = WordNetwork(len(table), job.n_h, job.negative)
    optimiser = torch.optim.Adam(network.parameters(), lr=_RATE)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: warm_cosine(step / job.steps)
    )
    losses = np.zeros(job.steps)
    began = perf_counter()
    for step in range(job.steps):
        words, products = words_and_products(table, _BATCH, job.length)
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(network(words).flatten(0, 1), products.flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), _CLIP)
        optimiser.step()
        schedule.step()
        losses[step] = loss.item()
    seconds = perf_counter() - began
    torch.manual_seed(2**20)
    words, products = words_and_products(table, job.test_words, job.test_length)
    with torch.no_grad():
        right = network(words).argmax(-1) == products
    return Trained(job, right.double().mean(0).numpy(), losses, seconds)

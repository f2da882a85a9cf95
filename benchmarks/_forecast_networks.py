r"""Networks that continue a series: companion systems in closed loop, and an LSTM of their size.

Both get a window of the series, less its mean and divided by its spread, and nothing after its end:
the companion network ends in a system that feeds itself (:meth:`ssm.nn.CompanionSSM.forecast`), the
LSTM takes each forecast as its next input. Both learn by the squared error of the whole
continuation.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks._sequence_networks import (
    Block,
    closest_width,
    count_parameters,
    open_loop,
    warm_cosine,
)
from ssm.nn import CompanionSSM, optimizer_groups

_CLIP = 1.0
_BATCH = 32
_STATE_RATE = 1e-3
_LEAST_SPREAD = 1e-6


@dataclass(frozen=True)
class Series:
    """A series, its period, how far to look back and ahead, and where the part held back begins."""

    name: str
    y: np.ndarray
    period: int
    window: int
    horizon: int
    start: int

    @property
    def origins(self) -> np.ndarray:
        """Where forecasts of the part held back begin, one for every step in it."""
        return np.arange(self.start, len(self.y) - self.horizon + 1)


@dataclass(frozen=True)
class Job:
    """One network to train."""

    series: Series
    network: str
    parameters: int
    epochs: int
    rate: float
    seed: int


@dataclass(frozen=True)
class Trained:
    """Forecasts (origins, horizon) in units of the series, training loss by epoch, seconds."""

    series: str
    network: str
    seed: int
    parameters: int
    width: int
    forecasts: np.ndarray
    loss: np.ndarray
    seconds: float


class ClosedLoop(nn.Module):
    """Companion layer in a residual block, and a companion system that goes on by itself."""

    def __init__(self, width: int, state_size: int) -> None:
        super().__init__()
        self.encode = nn.Linear(1, width)
        self.block = Block(open_loop(width, state_size, "xavier"), width)
        self.decode = CompanionSSM(width, state_size, init="xavier")
        self.read = nn.Linear(width, 1)

    def forward(self, window: Tensor, horizon: int) -> Tensor:
        """Continue windows (batch, length) by (batch, horizon)."""
        h = self.block(self.encode(window[..., None]))
        ahead, _ = self.decode.forecast(h, horizon)
        return self.read(ahead)[..., 0]


class RolledOut(nn.Module):
    """LSTM that takes its own forecasts once the window has ended."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(1, width, batch_first=True)
        self.read = nn.Linear(width, 1)

    def forward(self, window: Tensor, horizon: int) -> Tensor:
        """Continue windows (batch, length) by (batch, horizon)."""
        h, state = self.lstm(window[..., None])
        found = [self.read(h[:, -1:])]
        for _ in range(horizon - 1):
            h, state = self.lstm(found[-1], state)
            found.append(self.read(h))
        return torch.cat(found, dim=1)[..., 0]


NETWORKS: dict[str, Callable[[int, int], nn.Module]] = {
    "CompanionSSM, closed loop": ClosedLoop,
    "LSTM, rolled out": lambda width, state_size: RolledOut(width),
}


def windows(series: Series, begin: int, end: int) -> tuple[np.ndarray, np.ndarray]:
    """Windows and their continuations for all origins from ``begin`` up to ``end``."""
    origins = np.arange(begin, end)[:, None]
    past = series.y[origins + np.arange(-series.window, 0)]
    return past, series.y[origins + np.arange(series.horizon)]


def train(job: Job) -> Trained:
    """AdamW on all windows that end and continue before the part held back."""
    torch.manual_seed(job.seed)
    series = job.series
    width = closest_width(lambda width: NETWORKS[job.network](width, series.window), job.parameters)
    network = NETWORKS[job.network](width, series.window)
    past, ahead = windows(series, series.window, series.start - series.horizon + 1)
    x, centre, spread = _scaled(past)
    target = torch.as_tensor((ahead - centre) / spread, dtype=torch.float32)
    optimiser = torch.optim.AdamW(
        optimizer_groups(network, lr=job.rate, state_lr=_STATE_RATE, weight_decay=0.01)
    )
    steps = job.epochs * math.ceil(len(x) / _BATCH)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: warm_cosine(step / steps))
    losses = np.zeros(job.epochs)
    began = perf_counter()
    for epoch in range(job.epochs):
        for batch in torch.randperm(len(x)).split(_BATCH):
            optimiser.zero_grad()
            loss = nn.functional.mse_loss(network(x[batch], series.horizon), target[batch])
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), _CLIP)
            optimiser.step()
            schedule.step()
            losses[epoch] += loss.item() * len(batch) / len(x)
    seconds = perf_counter() - began
    network.eval()
    past, _ = windows(series, series.start, series.origins[-1] + 1)
    x, centre, spread = _scaled(past)
    with torch.no_grad():
        found = network(x, series.horizon).double().numpy() * spread + centre
    return Trained(
        series.name,
        job.network,
        job.seed,
        count_parameters(network),
        width,
        found,
        losses,
        seconds,
    )


def _scaled(past: np.ndarray) -> tuple[Tensor, np.ndarray, np.ndarray]:
    """Windows in units of their spread about their mean, and both."""
    centre = past.mean(axis=1, keepdims=True)
    spread = np.maximum(past.std(axis=1, keepdims=True), _LEAST_SPREAD)
    return torch.as_tensor((past - centre) / spread, dtype=torch.float32), centre, spread

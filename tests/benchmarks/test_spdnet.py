"""The network of the SPDNet benchmark: its folded convolutions, and what is trained of it."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks._spdnet import LAYERS, Data, Job, Recipe, SpatialTemporalFilter, train


def test_the_filter_is_the_two_convolutions_with_their_normalisations():
    torch.manual_seed(0)
    folded = SpatialTemporalFilter(channels=3, hidden=7, filters=4, width=6).double()
    twin = copy.deepcopy(folded)
    literal = nn.Sequential(twin.space, twin.between, twin.time, twin.after)
    for _ in range(3):
        x = torch.randn(5, 3, 20, dtype=torch.float64) + 0.3
        ours, theirs = folded(x), literal(x[:, None])[:, :, 0]
        cotangent = torch.randn_like(ours)
        (ours * cotangent).sum().backward()
        (theirs * cotangent).sum().backward()
        # Sums of some hundred products, in another order.
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
        for p, q in zip(folded.parameters(), twin.parameters(), strict=True):
            torch.testing.assert_close(p.grad, q.grad, rtol=1e-10, atol=1e-10)
    for p, q in zip(folded.buffers(), twin.buffers(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-13, atol=1e-13)
    folded.eval()
    literal.eval()
    torch.testing.assert_close(folded(x), literal(x[:, None])[:, :, 0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("layer", list(LAYERS))
def test_networks_learn_to_tell_two_classes_apart(layer):
    rng = np.random.default_rng(0)
    roots = rng.standard_normal((40, 4, 9)) * np.where(np.arange(40)[:, None, None] < 20, 1.0, 2.0)
    y = np.repeat([0, 1], 20)
    data = Data("Wishart", roots @ roots.mT / 9, y, np.arange(40), {"test": np.arange(40)})
    trained = train(Job(data, Recipe(False, 4, 3, 30, 5e-2, 0.0), layer, seed=0))
    assert trained.loss[-1] < 0.5 * np.log(2)
    assert trained.accuracy["test"] > 0.9

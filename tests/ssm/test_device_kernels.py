"""Where kernels in Triton run: the conditions one by one, as no device may be there."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

import pytest
import torch

from numerics.arrays import as_arrays
from ssm import _device_kernels
from ssm._device_kernels import triton_runs

CUDA = torch.device("cuda", 0)


@dataclass(frozen=True)
class _OnDevice:
    """The part of a frame of CUDA tensors that is asked for."""

    device: torch.device = CUDA
    is_torch: bool = True
    values: bool = True

    def has_values(self, array):
        return self.values


@pytest.fixture
def device(monkeypatch):
    """Pretend that there is a device of some capability, with Triton or without."""

    def pretend(capability=(8, 0), has_triton=True):
        found = object() if has_triton else None
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: found)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
        _device_kernels._has_triton.cache_clear()

    yield pretend
    _device_kernels._has_triton.cache_clear()


def test_on_a_device_with_triton(device):
    device()
    assert triton_runs(_OnDevice(), torch.ones(1))


@pytest.mark.parametrize(
    ("frame", "options"),
    [
        (_OnDevice(values=False), {}),
        (_OnDevice(device=torch.device("cpu")), {}),
        (_OnDevice(is_torch=False), {}),
        (_OnDevice(), {"has_triton": False}),
        (_OnDevice(), {"capability": (6, 1)}),
    ],
)
def test_elsewhere(device, frame, options):
    device(**options)
    assert not triton_runs(frame, torch.ones(1))


def test_not_on_the_host(xp, rng):
    if xp.device == "cuda":
        pytest.skip("about the host")
    frame, x = as_arrays(x=xp.asarray(rng.random(3)))
    assert not triton_runs(frame, x)

"""Shared fixtures: the array kinds every function must take, and the hypothesis profile."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import settings

# Triton reads this when it is imported: without a device its kernels run in the interpreter.
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")

settings.register_profile("matrica", deadline=None, max_examples=25, derandomize=True)
settings.load_profile("matrica")


@dataclass(frozen=True)
class ArrayKind:
    """One library, device and precision. ``tol`` is the relative tolerance a well-scaled result
    must meet: about 1e4 units in the last place."""

    library: str
    single: bool
    device: str = "cpu"

    @property
    def tol(self) -> float:
        return 1e4 * float(np.finfo(np.float32 if self.single else np.float64).eps)

    def asarray(self, values: Any) -> Any:
        """``values`` in this library and precision; real stays real and complex complex."""
        host = np.asarray(values)
        if np.iscomplexobj(host):
            host = host.astype(np.complex64 if self.single else np.complex128)
        else:
            host = host.astype(np.float32 if self.single else np.float64)
        if self.library == "numpy":
            return host
        return torch.as_tensor(host, device=self.device)

    def numpy(self, array: Any) -> np.ndarray:
        """``array`` as NumPy, after checking that it is of this kind and precision."""
        if self.library == "numpy":
            assert isinstance(array, np.ndarray | np.generic), type(array)
            host = np.asarray(array)
        else:
            assert isinstance(array, torch.Tensor), type(array)
            assert array.device.type == self.device, array.device
            host = array.detach().cpu().numpy()
        expected = ("float32", "complex64") if self.single else ("float64", "complex128")
        assert host.dtype.name in expected, host.dtype
        return host


def _kinds() -> list[Any]:
    kinds = [
        pytest.param(
            ArrayKind(library, single), id=f"{library}-{'float32' if single else 'float64'}"
        )
        for library in ("numpy", "torch")
        for single in (False, True)
    ]
    kinds.append(
        pytest.param(ArrayKind("torch", False, "cuda"), id="torch-cuda", marks=pytest.mark.cuda)
    )
    return kinds


@pytest.fixture(params=_kinds())
def xp(request: pytest.FixtureRequest) -> ArrayKind:
    """NumPy and torch in both precisions, and CUDA where there is a device."""
    kind = request.param
    if kind.device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    return kind


@pytest.fixture
def triton_device() -> str:
    """Device on which Triton kernels run here: CUDA compiled, the host in the interpreter."""
    pytest.importorskip("triton")
    return "cuda" if torch.cuda.is_available() else "cpu"


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator with a fixed seed."""
    return np.random.default_rng(20260101)


@pytest.fixture
def run_python() -> Any:
    """Run code in a fresh interpreter and return what it prints."""

    def run(code: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        return done.stdout

    return run

"""What a benchmark was run on: processor, threads, graphics card and versions."""

from __future__ import annotations

import datetime
import importlib
import importlib.metadata
import importlib.util
import os
import platform
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_PACKAGES = (
    "matrica",
    "numpy",
    "scipy",
    "numba",
    "torch",
    "scikit-learn",
    "statsmodels",
    "PyWavelets",
    "differint",
    "differintP",
    "mpmath",
    "pyriemann",
    "mambapy",
    "s5-pytorch",
    "spd-learn",
    "geoopt",
    "POT",
    "aeon",
)


@dataclass(frozen=True)
class Environment:
    """The machine and the versions; the fields are those of the record's ``environment``."""

    date: str = ""
    platform: str = ""
    cpu: str = ""
    cores: int = 0
    memory: str = ""
    threads: dict[str, int] = field(default_factory=dict)
    gpu: str = ""
    versions: dict[str, str] = field(default_factory=dict)

    def sentence(self) -> str:
        """The environment in one line for a terminal or the foot of a page."""
        threads = ", ".join(f"{name} {count}" for name, count in self.threads.items())
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        parts = [
            f"{self.cpu}, {self.cores} cores, {self.memory}",
            f"threads: {threads}" if threads else "",
            f"GPU: {self.gpu or 'none'}",
            versions,
            self.platform,
            self.date,
        ]
        return "; ".join(part for part in parts if part)


def describe_environment() -> Environment:
    """Look at the machine this process runs on."""
    return Environment(
        date=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        platform=f"{platform.system()} {platform.machine()}",
        cpu=_cpu_model(),
        cores=_usable_cores(),
        memory=_memory(),
        threads=_threads(),
        gpu=_gpu(),
        versions={"python": platform.python_version()} | _versions(),
    )


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Model"):
                return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory() -> str:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return "memory unknown"
    return f"{total / 2**30:.0f} GiB"


def _threads() -> dict[str, int]:
    threads: dict[str, int] = {}
    if importlib.util.find_spec("threadpoolctl") is not None:
        threadpoolctl = importlib.import_module("threadpoolctl")
        for pool in threadpoolctl.threadpool_info():
            name = f"{pool['internal_api']} ({pool['user_api']})"
            threads[name] = max(threads.get(name, 0), pool["num_threads"])
    torch: Any = sys.modules.get("torch")
    if torch is not None:
        threads["torch"] = torch.get_num_threads()
    numba: Any = sys.modules.get("numba")
    if numba is not None:
        threads["numba"] = numba.get_num_threads()
    return threads


def _gpu() -> str:
    if importlib.util.find_spec("torch") is None:
        return ""
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else ""


def _versions() -> dict[str, str]:
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions

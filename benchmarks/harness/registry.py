"""The list of benchmarks: a decorator enters one, `discover` imports the files that hold them."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from benchmarks.harness.record import Record

_NOT_BENCHMARKS = frozenset({"harness", "published", "reproduce"})


@dataclass(frozen=True)
class Benchmark:
    """A registered benchmark: what it is called, what it shows, and the function that runs it."""

    name: str
    title: str
    paper: str
    summary: str
    run: Callable[[Any], Record]


_REGISTRY: dict[str, Benchmark] = {}


def benchmark(
    name: str,
    *,
    title: str,
    paper: str = "",
    summary: str = "",
    registry: dict[str, Benchmark] | None = None,
) -> Callable[[Callable[[Any], Record]], Callable[[Any], Record]]:
    """Register the decorated function ``run(context) -> Record`` under `name`.

    `summary` is the line in the listing; it is `title` when left out. The name is also that of the
    file, and a second function under the same name is a ValueError.
    """
    entries = _REGISTRY if registry is None else registry

    def register(run: Callable[[Any], Record]) -> Callable[[Any], Record]:
        known = entries.get(name)
        if known is not None and known.run.__module__ != run.__module__:
            raise ValueError(f"name must be new, got {name!r}, which {known.run.__module__} has")
        entries[name] = Benchmark(name, title, paper, summary or title, run)
        return run

    return register


def discover(package: ModuleType | None = None) -> dict[str, Benchmark]:
    """Import every benchmark file and return the registered benchmarks by name.

    A file that cannot be imported stands in the list under its own name, and running it raises the
    error that importing it raised.
    """
    if package is None:
        package = importlib.import_module("benchmarks")
    found = {}
    for module in pkgutil.iter_modules(package.__path__):
        if module.name.startswith("_") or module.name in _NOT_BENCHMARKS:
            continue
        try:
            importlib.import_module(f"{package.__name__}.{module.name}")
        except Exception as error:
            found[module.name] = _unimportable(module.name, error)
    prefix = package.__name__ + "."
    found |= {n: b for n, b in _REGISTRY.items() if b.run.__module__.startswith(prefix)}
    return dict(sorted(found.items()))


def _unimportable(name: str, error: Exception) -> Benchmark:
    def run(context: Any) -> Record:
        raise error

    reason = f"cannot be imported: {error}"
    return Benchmark(name, name, "", reason, run)

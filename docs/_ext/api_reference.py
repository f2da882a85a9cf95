"""Write the API reference from what the packages declare public.

A package's page lists the names of its ``__all__`` and of those of the packages inside that have
one, where they are not there already (``geometry.spd``), grouped by the module that defines them,
in the order of the modules' names, and then what the modules that are imported by name hold
(``ssm.estimators``). A new public name therefore appears here by itself.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from pathlib import Path
from types import ModuleType

from sphinx.application import Sphinx
from sphinx.config import Config

IMPORTED_BY_NAME = ("estimators", "gpytorch", "nn", "symbolic")


def _first_line(obj: object) -> str:
    return (inspect.getdoc(obj) or "").strip().partition("\n\n")[0].replace("\n", " ")


def _imported_by_name(package: ModuleType) -> list[ModuleType]:
    names = (info.name for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."))
    return [
        importlib.import_module(name)
        for name in sorted(names)
        if name.rpartition(".")[2] in IMPORTED_BY_NAME
    ]


def _rooms(package: ModuleType) -> list[ModuleType]:
    """The package, and the packages inside that say what is public in them."""
    inside = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    modules = [importlib.import_module(info.name) for info in inside if info.ispkg]
    return [package, *(module for module in modules if getattr(module, "__all__", None))]


def _defined(module: ModuleType) -> list[str]:
    """What it lists as public, or else what it defines without an underscore."""
    if hasattr(module, "__all__"):
        return sorted(module.__all__)
    return sorted(
        name
        for name, obj in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(obj) or inspect.isfunction(obj))
        and obj.__module__ == module.__name__
    )


def _section(title: str, line: str, scope: str, names: list[str]) -> str:
    entries = "\n".join(f"   {name}" for name in names)
    return (
        f"{title}\n{'-' * len(title)}\n\n{line}\n\n.. currentmodule:: {scope}\n\n"
        f".. autosummary::\n   :toctree: generated\n   :nosignatures:\n\n{entries}\n"
    )


def package_page(name: str) -> str:
    """Return the reStructuredText of one package's page."""
    package = importlib.import_module(name)
    sections, listed = [], set()
    for room in _rooms(package):
        by_module: dict[str, list[str]] = {}
        for public in sorted(set(room.__all__) - listed):
            home = getattr(getattr(room, public), "__module__", room.__name__)
            by_module.setdefault(home, []).append(public)
        listed |= set(room.__all__)
        for home in sorted(by_module):
            module = importlib.import_module(home)
            title = home.removeprefix(f"{name}.").replace("_", " ")
            sections.append(_section(title, _first_line(module), room.__name__, by_module[home]))
    for module in _imported_by_name(package):
        own = _defined(module)
        how = f"Import it by name: ``from {module.__name__} import {own[0]}``."
        line = f"{_first_line(module)} {how}"
        sections.append(_section(module.__name__, line, module.__name__, own))
    body = "\n\n".join(sections) or "Nothing is public here yet."
    return f"{name}\n{'=' * len(name)}\n\n{_first_line(package)}\n\n{body}\n"


def _write(path: Path, text: str) -> None:
    """Write only what changed, so that a second build reads nothing twice."""
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def write_reference(app: Sphinx, config: Config) -> None:
    """Write ``api/*.rst``."""
    folder = Path(app.srcdir, "api")
    folder.mkdir(exist_ok=True)
    packages = config.api_packages
    for name in packages:
        _write(folder / f"{name}.rst", package_page(name))
    entries = [
        f":doc:`{name} <{name}>`\n   {_first_line(importlib.import_module(name))}\n"
        for name in packages
    ]
    head = ["Reference", "=========", "", *entries]
    tree = [".. toctree::", "   :hidden:", "   :maxdepth: 1", "", *(f"   {n}" for n in packages)]
    _write(folder / "index.rst", "\n".join([*head, *tree, ""]))


def _skip(app: Sphinx, kind: str, name: str, *rest: object) -> bool | None:
    """Leave out the metadata-routing setters that scikit-learn attaches to every estimator."""
    return True if re.fullmatch(r"set_\w+_request", name) else None


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx, for the moment before it looks which pages there are."""
    app.add_config_value("api_packages", [], "env")
    app.connect("config-inited", write_reference)
    app.connect("autodoc-skip-member", _skip)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

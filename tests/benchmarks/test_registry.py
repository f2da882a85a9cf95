"""Entering benchmarks in the list and finding their files."""

from __future__ import annotations

import importlib
import sys

import pytest

from benchmarks.harness.registry import benchmark, discover


def test_the_decorator_registers_and_returns_the_function():
    registry = {}

    @benchmark("one", title="One", paper="arXiv 2008.07669", registry=registry)
    def run(context):
        return None

    entry = registry["one"]
    assert entry.run is run
    assert (entry.title, entry.paper, entry.summary) == ("One", "arXiv 2008.07669", "One")


def test_a_name_is_given_once():
    registry = {}

    def run(context):
        return None

    def other(context):
        return None

    other.__module__ = "elsewhere"
    benchmark("one", title="One", registry=registry)(run)
    with pytest.raises(ValueError, match="name must be new, got 'one'"):
        benchmark("one", title="Again", registry=registry)(other)


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "benchmarks_of_a_test"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "good.py").write_text(
        "from benchmarks.harness import benchmark\n"
        "@benchmark('good_of_a_test', title='Good')\n"
        "def run(context):\n"
        "    return context.record(asked='nothing')\n",
        encoding="utf-8",
    )
    (folder / "broken.py").write_text("import a_module_that_is_not_there\n", encoding="utf-8")
    (folder / "_private.py").write_text("raise RuntimeError('never read')\n", encoding="utf-8")
    (folder / "published.py").write_text("raise RuntimeError('never read')\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module(folder.name)
    for name in [name for name in sys.modules if name.startswith(folder.name)]:
        del sys.modules[name]


def test_files_are_found_and_one_that_cannot_be_imported_is_listed(package):
    found = discover(package)
    assert list(found) == ["broken", "good_of_a_test"]
    assert "cannot be imported" in found["broken"].summary
    with pytest.raises(ModuleNotFoundError, match="a_module_that_is_not_there"):
        found["broken"].run(None)


def test_every_benchmark_here_can_be_imported_and_bears_the_name_of_its_file():
    for name, entry in discover().items():
        assert "cannot be imported" not in entry.summary, entry.summary
        assert entry.run.__module__ == f"benchmarks.{name}"
        assert entry.title

"""What the README and the documentation's pages say in code is true."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted(path for folder in ("docs", "docs/papers") for path in (ROOT / folder).glob("*.rst"))


def readme_code() -> str:
    """The first Python block of the README."""
    found = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert found is not None
    return found.group(1).strip()


def test_readme_code_is_that_of_its_picture():
    script = (ROOT / "docs" / "first_result.py").read_text()
    assert readme_code() == script.partition("# begin\n")[2].partition("# end\n")[0].strip()


def test_readme_forecast_is_good():
    pytest.importorskip("statsmodels")
    names: dict[str, Any] = {}
    exec(readme_code(), names)
    held_back, forecast = names["spots"][-22:], names["forecast"]
    low, high = names["low"], names["high"]
    assert forecast.shape == low.shape == high.shape == held_back.shape
    assert np.all((low < forecast) & (forecast < high))
    # Twice as good as the mean of the past, and intervals that hold about what they promise.
    mean = names["spots"][:-22].mean()
    assert np.abs(held_back - forecast).mean() < 0.5 * np.abs(held_back - mean).mean()
    assert np.mean((held_back >= low) & (held_back <= high)) >= 0.85


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page_runs(page):
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    assert doctest.testfile(str(page), module_relative=False, optionflags=flags).failed == 0


def referred() -> set[str]:
    """Names of ours that the pages and the README refer to, dotted."""
    pages = "".join(page.read_text() for page in PAGES)
    roles = re.findall(
        r":(?:func|class|meth):`~?((?:numerics|ssm|geometry|solvers)\.[\w.]+)`", pages
    )
    words = re.findall(r"`((?:numerics|ssm|solvers)\.\w+)`", (ROOT / "README.md").read_text())
    return {*roles, *words}


@pytest.mark.parametrize("name", sorted(referred()))
def test_names_exist(name):
    home, _, last = name.rpartition(".")
    module = importlib.import_module(home)
    assert hasattr(module, last)
    assert "." in home or last in module.__all__


def test_benchmarks_exist():
    pages = "".join(page.read_text() for page in PAGES)
    names = set(re.findall(r"^\.\. benchmark:: (\w+)", pages, re.MULTILINE))
    assert names <= {path.stem for path in (ROOT / "benchmarks").glob("[a-z]*.py")}

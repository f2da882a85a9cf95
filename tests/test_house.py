"""Laws that hold in every package: what is public, and what importing costs."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from typing import Any

import pytest

PACKAGES = ("numerics", "ssm", "geometry", "geometry.spd", "solvers")
BY_NAME = ("geometry.spd.nn", "ssm.nn")
HEAVY = ("gpytorch", "matplotlib", "numba", "pandas", "pyriemann", "sklearn", "sympy", "torch")


def public() -> list[Any]:
    return [
        pytest.param(getattr(module, name), id=f"{package}.{name}")
        for package in PACKAGES + BY_NAME
        for module in [importlib.import_module(package)]
        for name in module.__all__
    ]


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_is_cheap(package):
    code = f"import sys, {package}; print(*sorted(set(sys.modules) & set({HEAVY!r})))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


@pytest.mark.parametrize("package", PACKAGES + BY_NAME)
def test_public_names_are_sorted_and_unique(package):
    names = importlib.import_module(package).__all__
    assert list(names) == sorted(set(names))


@pytest.mark.parametrize("obj", public())
def test_public_names_are_documented_and_typed(obj):
    doc = inspect.getdoc(obj) or ""
    assert "\nExamples\n--------\n" in doc
    assert obj.__name__ != obj.__module__.rpartition(".")[2]
    if inspect.isfunction(obj):
        parameters = inspect.signature(obj).parameters.values()
        assert all(p.annotation is not p.empty for p in parameters)
        assert inspect.signature(obj).return_annotation is not inspect.Signature.empty
        assert "\nReturns\n-------\n" in doc

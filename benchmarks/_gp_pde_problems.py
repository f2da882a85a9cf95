"""The test problems of arXiv 2311.04465, from manufactured solutions of many scales."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from solvers.gp_pde.equations import PDE, Advection, Laplacian

Function = Callable[..., np.ndarray]
SPEED = 200.0


@dataclass(frozen=True)
class Manufactured:
    """An equation whose solution is known.

    ``laplacian`` is that of ``u``; ``components`` and ``frequency`` are the published numbers of
    kernel components an axis and their largest initial frequency, ``weight`` that of the boundary.
    ``error`` and ``seconds`` are our bars.
    """

    name: str
    equation: str
    u: Function
    laplacian: Function
    ends: tuple[tuple[float, float], ...]
    points: tuple[int, ...]
    frequency: float
    weight: float = 200.0
    error: float | None = None
    seconds: float | None = None

    @property
    def dim(self) -> int:
        return len(self.points)

    @property
    def grids(self) -> list[np.ndarray]:
        return [np.linspace(*ends, n) for ends, n in zip(self.ends, self.points, strict=True)]

    @property
    def pde(self) -> PDE:
        if self.equation == "advection":
            return PDE(Advection(SPEED))
        if self.equation == "allen-cahn":
            return PDE(Laplacian(self.dim), lambda u: u * (u**2 - 1), lambda u: 3 * u**2 - 1)
        return PDE(Laplacian(self.dim))

    def source(self, *x: np.ndarray) -> np.ndarray:
        if self.equation == "advection":
            return np.zeros(np.broadcast_shapes(*(np.shape(part) for part in x)))
        if self.equation == "poisson":
            return self.laplacian(*x)
        return self.laplacian(*x) + self.u(*x) * (self.u(*x) ** 2 - 1)

    @property
    def boundary(self) -> Any:
        """As ``solve_pde`` takes it; of the advection only what comes in."""
        if self.dim == 1:
            return tuple(float(self.u(np.array(x))) for x in self.ends[0])
        if self.equation == "advection":
            return {"x0": self.u, "y0": self.u}
        return self.u

    def test_points(self) -> list[np.ndarray]:
        """Axes of the published test grid, 300 points each, hardly any of them a grid point."""
        return [np.linspace(*ends, 300) for ends in self.ends]

    def relative_error(self, values: np.ndarray) -> float:
        """Relative L2 error of values on the test grid."""
        exact = self.u(*np.meshgrid(*self.test_points(), indexing="ij"))
        return float(np.linalg.norm(values - exact) / np.linalg.norm(exact))


def _second(*terms: tuple[float, float]) -> Function:
    """Second derivative of a sum of amplitude sin(frequency x)."""
    return lambda x: -sum(a * k**2 * np.sin(k * x) for a, k in terms)


def _sines(*terms: tuple[float, float]) -> Function:
    return lambda x: sum(a * np.sin(k * x) for a, k in terms)


def _sine_cosine(x: np.ndarray) -> np.ndarray:
    return np.sin(6 * x) * np.cos(100 * x)


def _sine_cosine_second(x: np.ndarray) -> np.ndarray:
    """Of (sin 106 x - sin 94 x) / 2."""
    return -(106**2 * np.sin(106 * x) - 94**2 * np.sin(94 * x)) / 2


def _wave(x: np.ndarray) -> np.ndarray:
    return np.sin(x) + 0.1 * np.sin(20 * x) + np.cos(100 * x)


def _wave_second(x: np.ndarray) -> np.ndarray:
    return -np.sin(x) - 40 * np.sin(20 * x) - 1e4 * np.cos(100 * x)


def _plane_sum(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.sin(6 * x) * np.cos(20 * x) + np.sin(6 * y) * np.cos(20 * y)


def _plane_sum_laplacian(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    def second(t: np.ndarray) -> np.ndarray:
        return -(26**2 * np.sin(26 * t) - 14**2 * np.sin(14 * t)) / 2

    return second(x) + second(y)


_CIRCLE, _UNIT = (0.0, 2 * math.pi), (0.0, 1.0)
_MIX = ((1.0, 1.0), (0.1, 20.0), (0.05, 100.0))

PROBLEMS = (
    Manufactured(
        "sin 100x",
        "poisson",
        _sines((1, 100)),
        _second((1, 100)),
        (_CIRCLE,),
        (400,),
        20,
        error=2e-11,
        seconds=1,
    ),
    Manufactured(
        "sin x + 0.1 sin 20x + 0.05 sin 100x",
        "poisson",
        _sines(*_MIX),
        _second(*_MIX),
        (_UNIT,),
        (900,),
        30,
        error=1e-11,
        seconds=2,
    ),
    Manufactured(
        "sin 6x cos 100x",
        "poisson",
        _sine_cosine,
        _sine_cosine_second,
        (_CIRCLE,),
        (400,),
        20,
    ),
    Manufactured(
        "x sin 200x",
        "poisson",
        lambda x: x * np.sin(200 * x),
        lambda x: 400 * np.cos(200 * x) - 4e4 * x * np.sin(200 * x),
        (_CIRCLE,),
        (900,),
        50,
    ),
    Manufactured(
        "sin 500x - 2 (x - 1/2)^2",
        "poisson",
        lambda x: np.sin(500 * x) - 2 * (x - 0.5) ** 2,
        lambda x: -25e4 * np.sin(500 * x) - 4,
        (_UNIT,),
        (400,),
        100,
        error=1e-9,
        seconds=1,
    ),
    Manufactured(
        "sin 100x",
        "allen-cahn",
        _sines((1, 100)),
        _second((1, 100)),
        (_CIRCLE,),
        (400,),
        20,
        error=1e-10,
        seconds=5,
    ),
    Manufactured(
        "sin 6x cos 100x",
        "allen-cahn",
        _sine_cosine,
        _sine_cosine_second,
        (_CIRCLE,),
        (400,),
        20,
        error=1e-10,
        seconds=5,
    ),
    Manufactured(
        "sin 100x sin 100y",
        "poisson",
        lambda x, y: np.sin(100 * x) * np.sin(100 * y),
        lambda x, y: -2e4 * np.sin(100 * x) * np.sin(100 * y),
        (_CIRCLE, _CIRCLE),
        (400, 400),
        20,
        error=1e-10,
        seconds=10,
    ),
    Manufactured(
        "sin 6x cos 20x + sin 6y cos 20y",
        "poisson",
        _plane_sum,
        _plane_sum_laplacian,
        (_CIRCLE, _CIRCLE),
        (200, 200),
        20,
    ),
    Manufactured(
        "(sin x + 0.1 sin 20x + cos 100x) (the same of y)",
        "allen-cahn",
        lambda x, y: _wave(x) * _wave(y),
        lambda x, y: _wave_second(x) * _wave(y) + _wave(x) * _wave_second(y),
        (_UNIT, _UNIT),
        (400, 400),
        30,
        error=1e-7,
        seconds=60,
    ),
    Manufactured(
        "sin(x - 200 t)",
        "advection",
        lambda x, t: np.sin(x - SPEED * t),
        lambda x, t: -(1 + SPEED**2) * np.sin(x - SPEED * t),
        (_UNIT, _UNIT),
        (200, 200),
        40,
        weight=500.0,
        error=1e-6,
        seconds=10,
    ),
)

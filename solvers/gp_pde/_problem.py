r"""A boundary value problem on a box, with everything checked: what the solvers below work on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from solvers.gp_pde.equations import PDE
from solvers.gp_pde.spectral_mixture import SpectralMixture


@dataclass(frozen=True)
class Edge:
    r"""A condition on one face of the box.

    Attributes
    ----------
    axis, end : int
        The axis that ends there, and whether at its lower (0) or upper (1) end.
    order : int
        0 for a value of u, 1 for its derivative along the axis (not along the outward normal).
    values : array
        That value or derivative on the grid of the other axes; 0-d in one dimension.
    function : callable or None
        The same as a function of the coordinates along the edge (flat float64 arrays), if known.
    """

    axis: int
    end: int
    order: int
    values: np.ndarray
    function: Callable[..., np.ndarray] | None = None

    @property
    def name(self) -> str:
        """The key of the front door: "x0", "x1", "y0" or "y1"."""
        return f"{'xyz'[self.axis]}{self.end}"


@dataclass(frozen=True)
class Observations:
    """Values of u at points (m, dim) with the standard deviations of their noise (m,), positive."""

    points: np.ndarray
    values: np.ndarray
    noise_std: np.ndarray


@dataclass(frozen=True)
class Problem:
    r"""An equation on a box.

    Attributes
    ----------
    pde : PDE
    grids : tuple of array
        One increasing grid an axis, ends included (also where periodic).
    f : array
        Right-hand side on the product of the grids, indexed [x, y].
    source : callable or None
        f as a function of coordinates (arrays of one shape to an array of that shape), if known.
    edges : tuple of Edge
        The faces that carry data.
    periodic : tuple of bool
        One an axis.
    kernels : tuple of SpectralMixture or None
        The prior's factors, one an axis; None to read them from the data.
    noise : tuple of float
        Standard deviations (equation, boundary); 0 is exact.
    rtol : float
        Newton stops when u changes by less than this, relative to u.
    maxiter : int
        Of Newton.
    observations : Observations or None
        Values of u beside the equation.
    """

    pde: PDE
    grids: tuple[np.ndarray, ...]
    f: np.ndarray
    source: Callable[..., np.ndarray] | None
    edges: tuple[Edge, ...]
    periodic: tuple[bool, ...]
    kernels: tuple[SpectralMixture, ...] | None = None
    noise: tuple[float, float] = (0.0, 0.0)
    rtol: float = 1e-10
    maxiter: int = 20
    observations: Observations | None = None

    @property
    def dim(self) -> int:
        """Number of axes."""
        return len(self.grids)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the grid."""
        return tuple(len(grid) for grid in self.grids)

    @property
    def lengths(self) -> tuple[float, ...]:
        """Of the axes."""
        return tuple(float(grid[-1] - grid[0]) for grid in self.grids)

r"""Normal equations of all data about a box: the equation, its faces and observations.

Rows H on the weights :math:`\eta`, coefficients being :math:`C = (\Sigma_1 \otimes \cdots \otimes
\Sigma_d)\,\eta`, are divided by the standard deviations of the data's noise. For an equation with
constant coefficients

.. math:: H^T H = \sum_{t,t'} c_t c_{t'} \bigotimes_j \left(V_j^{(a_{tj})} \Sigma_j\right)^T
          V_j^{(a_{t'j})} \Sigma_j

is made of small matrices; coefficients that vary, and the slope of a nonlinear equation, take the
rows themselves, some at a time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce

import numpy as np

from numerics.kronecker import along
from solvers.gp_pde._plane_spread import row_products
from solvers.gp_pde._plane_system import PlaneSystem, edge_row, varying_coefficients

_MOST_WORK = 3e11
_CHUNK = 2**23


@dataclass(frozen=True)
class NormalEquations:
    """Sums over the data, in units of their noise.

    Attributes
    ----------
    gram : array, shape (K, K)
        H^T H.
    right : array, shape (K,)
        H^T y.
    square : float
        y^T y.
    constant : float
        Logarithm of the density of the noise at 0.
    """

    gram: np.ndarray
    right: np.ndarray
    square: float
    constant: float

    def __add__(self, other: NormalEquations) -> NormalEquations:
        return NormalEquations(
            self.gram + other.gram,
            self.right + other.right,
            self.square + other.square,
            self.constant + other.constant,
        )


def normal_equations(system: PlaneSystem, u: np.ndarray | None) -> NormalEquations:
    """The equation, linearised about the values ``u`` on the grid if given, and the faces."""
    return reduce(lambda total, part: total + part, _faces(system), _equation(system, u))


def observation_equations(system: PlaneSystem) -> NormalEquations | None:
    """The observations of the system's problem, if there are any."""
    seen = system.problem.observations
    if seen is None:
        return None
    H = row_products(
        [basis(seen.points[:, axis]) * basis.sd for axis, basis in enumerate(system.bases)]
    )
    H, y = H / seen.noise_std[:, None], seen.values / seen.noise_std
    constant = -float(np.sum(np.log(seen.noise_std))) - len(y) * math.log(2 * math.pi) / 2
    return NormalEquations(H.T @ H, H.T @ y, float(y @ y), constant)


def _equation(system: PlaneSystem, u: np.ndarray | None) -> NormalEquations:
    problem = system.problem
    f = problem.f
    terms = varying_coefficients(problem, problem.grids)
    if u is not None:
        value, slope = problem.pde.reaction(u)
        f = f - value + slope * u
        terms = [*terms, (slope, (0,) * problem.dim)]
    tables = [
        {a: matrix * basis.sd for a, matrix in G.items()}
        for G, basis in zip(system.grid_matrices, system.bases, strict=True)
    ]
    if any(np.ndim(c) for c, _ in terms):
        gram, right = _from_rows(terms, tables, f)
    else:
        gram, right = _from_factors(terms, tables, f)
    return _scaled(gram, right, f, problem.noise[0])


def _faces(system: PlaneSystem) -> list[NormalEquations]:
    parts = []
    for edge in system.problem.edges:
        rows = [
            (edge_row(system.bases, edge)[None] if axis == edge.axis else G[0]) * basis.sd
            for axis, (G, basis) in enumerate(zip(system.grid_matrices, system.bases, strict=True))
        ]
        y = np.expand_dims(edge.values, edge.axis)
        gram = reduce(np.kron, [A.T @ A for A in rows])
        right = along(y, [A.T for A in rows]).ravel()
        parts.append(_scaled(gram, right, y, system.problem.noise[1]))
    return parts


def _scaled(gram: np.ndarray, right: np.ndarray, y: np.ndarray, noise: float) -> NormalEquations:
    constant = -y.size * (math.log(noise) + math.log(2 * math.pi) / 2)
    square = float(np.sum(y**2)) / noise**2
    return NormalEquations(gram / noise**2, right / noise**2, square, constant)


def _from_factors(
    terms: list, tables: list[dict[int, np.ndarray]], y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    unknowns = math.prod(table[0].shape[1] for table in tables)
    gram, right = np.zeros((unknowns, unknowns)), np.zeros(unknowns)
    for c, orders in terms:
        rows = [table[a] for table, a in zip(tables, orders, strict=True)]
        right += c * along(y, [A.T for A in rows]).ravel()
        for other, partner in terms:
            factors = [A.T @ table[a] for A, table, a in zip(rows, tables, partner, strict=True)]
            gram += c * other * reduce(np.kron, factors)
    return gram, right


def _from_rows(
    terms: list, tables: list[dict[int, np.ndarray]], y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    unknowns = math.prod(table[0].shape[1] for table in tables)
    if y.size * unknowns**2 > _MOST_WORK:
        raise ValueError(
            f"noise with coefficients that vary or a nonlinear equation takes {y.size} rows of "
            f"{unknowns} unknowns, more than are worked off in minutes: give coarser grids"
        )
    gram, right = np.zeros((unknowns, unknowns)), np.zeros(unknowns)
    step = max(1, _CHUNK // unknowns)
    for at in range(0, y.size, step):
        flat = np.arange(at, min(at + step, y.size))
        places = np.unravel_index(flat, y.shape)
        H = np.zeros((len(flat), unknowns))
        for c, orders in terms:
            rows = [table[a][place] for table, a, place in zip(tables, orders, places, strict=True)]
            H += (c[places][:, None] if np.ndim(c) else c) * row_products(rows)
        gram += H.T @ H
        right += H.T @ y.ravel()[flat]
    return gram, right

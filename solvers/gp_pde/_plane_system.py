r"""An equation on a box in the bases of its axes: unknowns, conditions, residuals.

u is the tensor C of its coefficients in the products of the axes' bases. The conditions on the
faces fix a part of C, which :meth:`PlaneSystem.lifted` gives: Gordon and Coons' Boolean sum of what
each axis' conditions need. The rest, :math:`Y` in :math:`C = C_0 + Z Y`, solves the equation
projected on the same functions (Galerkin),

.. math:: Z^T\left(\hat F - L C - \hat N(C)\right) = 0,

where the hats are coefficients of fits to values on the grid.

References: Fang, Cooley, Long, Li, Kirby, Zhe, arXiv 2311.04465.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from numerics.kronecker import along
from solvers.gp_pde._axis_basis import AxisBasis, axis_basis
from solvers.gp_pde._features import axis_features
from solvers.gp_pde._problem import Edge, Problem
from solvers.gp_pde._sylvester import SeparableOperator, apply_terms
from solvers.gp_pde.spectral_mixture import SpectralMixture

Terms = list[tuple[float, tuple[int, ...]]]


@dataclass(frozen=True)
class PlaneSystem:
    """Discretisation of a problem.

    Attributes
    ----------
    problem : Problem
    kernels : tuple of SpectralMixture
    edges : tuple of Edge
        The faces whose data are met exactly; others of the problem are not looked at here.
    bases : tuple of AxisBasis
    terms : list
        Of the linear operator, coefficients that vary replaced by their means over the grid.
    """

    problem: Problem
    kernels: tuple[SpectralMixture, ...]
    edges: tuple[Edge, ...]
    bases: tuple[AxisBasis, ...]
    terms: Terms

    @cached_property
    def operator(self) -> SeparableOperator:
        """L on coefficients."""
        return SeparableOperator(
            self.terms,
            [basis.derivatives for basis in self.bases],
            tuple(basis.size for basis in self.bases),
            self.problem.lengths,
        )

    @cached_property
    def reduced(self) -> SeparableOperator:
        """L on the coefficients Y that the conditions leave free."""
        return SeparableOperator(
            self.terms,
            [
                {a: basis.free.T @ M @ basis.free for a, M in basis.derivatives.items()}
                for basis in self.bases
            ],
            tuple(basis.free.shape[1] for basis in self.bases),
            self.problem.lengths,
        )

    def extended(self, free: np.ndarray) -> np.ndarray:
        """Coefficients C of free ones Y."""
        return along(free, [basis.free for basis in self.bases])

    def restricted(self, full: np.ndarray) -> np.ndarray:
        """The part of coefficients that is tested."""
        return along(full, [basis.free.T for basis in self.bases])

    def fitted(self, values: np.ndarray) -> np.ndarray:
        """Coefficients of a fit to values on the grid."""
        return along(values, [basis.fit for basis in self.bases])

    def fitted_edge(self, edge: Edge) -> np.ndarray:
        """Coefficients of a fit to the data of a face."""
        others = [basis for axis, basis in enumerate(self.bases) if axis != edge.axis]
        return along(edge.values, [basis.fit for basis in others])

    def edge_of(self, edge: Edge, full: np.ndarray) -> np.ndarray:
        """What coefficients C say where a face has data, as coefficients along the face."""
        return np.tensordot(edge_row(self.bases, edge), full, axes=(0, edge.axis))

    def lifted(self) -> np.ndarray:
        """Coefficients of a function that meets the conditions."""
        full = np.zeros([basis.size for basis in self.bases])
        for axis, basis in enumerate(self.bases):
            own = ends_of(self.edges, axis)
            if own:
                gaps = np.stack([self.fitted_edge(edge) - self.edge_of(edge, full) for edge in own])
                step = np.tensordot(basis.lift, gaps, axes=(1, 0))
                full = full + np.moveaxis(step, 0, axis)
        return full

    def values(
        self, full: np.ndarray, points: tuple[np.ndarray, ...], order: tuple[int, ...]
    ) -> np.ndarray:
        """A derivative on a product of points."""
        matrices = [basis(x, a) for basis, x, a in zip(self.bases, points, order, strict=True)]
        return along(full, matrices)

    @cached_property
    def grid_matrices(self) -> list[dict[int, np.ndarray]]:
        """Values on the grid by order, one dict an axis."""
        return [
            {order: basis(basis.grid, order) for order in (0, *basis.derivatives)}
            for basis in self.bases
        ]

    def on_grid(self, full: np.ndarray) -> np.ndarray:
        """The values of u on the grid."""
        return along(full, [matrices[0] for matrices in self.grid_matrices])

    @cached_property
    def variations(self) -> list[tuple[np.ndarray, tuple[int, ...]]]:
        """On the grid, what coefficients differ from their means by."""
        given = varying_coefficients(self.problem, self.problem.grids)
        return [(np.asarray(c) - np.mean(c), orders) for c, orders in given if np.ndim(c) > 0]

    def varied(self, full: np.ndarray) -> np.ndarray:
        """On the grid, the part of Lu that the operator with mean coefficients leaves out."""
        return sum(
            (
                c * apply_terms([(1.0, orders)], self.grid_matrices, full)
                for c, orders in self.variations
            ),
            np.zeros(self.problem.shape),
        )

    def parts(self, full: np.ndarray, points: tuple[np.ndarray, ...]) -> list[np.ndarray]:
        """The terms of Lu, and N(u) if there is one, on a product of points."""
        parts = [
            c * self.values(full, points, orders)
            for c, orders in varying_coefficients(self.problem, points)
        ]
        if not self.problem.pde.is_linear:
            u = self.values(full, points, (0,) * len(points))
            parts.append(self.problem.pde.reaction(u)[0])
        return parts


def plane_system(
    problem: Problem,
    kernels: tuple[SpectralMixture, ...],
    edges: tuple[Edge, ...],
    terms: Terms,
    *,
    cutoff: float,
    noisy: bool = False,
) -> PlaneSystem:
    """Bases for a prior, with the conditions of ``edges`` as theirs."""
    bases = []
    for axis, (grid, kernel) in enumerate(zip(problem.grids, kernels, strict=True)):
        features = axis_features(
            grid,
            kernel,
            periodic=problem.periodic[axis],
            given=problem.kernels is not None,
        )
        ends = [(edge.end, edge.order) for edge in ends_of(edges, axis)]
        orders = {orders[axis] for _, orders in problem.pde.linear.terms}
        bases.append(axis_basis(features, grid, ends, orders, cutoff=cutoff, prior=noisy))
    return PlaneSystem(problem, kernels, edges, tuple(bases), terms)


def ends_of(edges: tuple[Edge, ...], axis: int) -> list[Edge]:
    """The conditions at the ends of an axis, in the order of the rows of its basis."""
    return sorted((e for e in edges if e.axis == axis), key=lambda e: (e.end, e.order))


def edge_row(bases: tuple[AxisBasis, ...], edge: Edge) -> np.ndarray:
    """The functional of a face's condition on the basis across it, shape (r,)."""
    basis = bases[edge.axis]
    return basis(basis.grid[[-1 if edge.end else 0]], edge.order)[0]


def varying_coefficients(problem: Problem, points: tuple[np.ndarray, ...]) -> list:
    """The linear operator's terms at a product of points; numbers stay numbers."""
    linear = problem.pde.linear
    if linear.is_constant:
        return list(linear.terms)
    mesh = np.meshgrid(*points, indexing="ij")
    flat = linear.coefficients(*[x.ravel() for x in mesh])
    return [
        (np.asarray(c).reshape(mesh[0].shape) if np.ndim(c) else c, orders) for c, orders in flat
    ]


def mean_terms(problem: Problem) -> Terms:
    """Terms with constant coefficients: means over the grid of those that vary."""
    given = varying_coefficients(problem, problem.grids)
    terms = [(float(np.mean(c)), orders) for c, orders in given]
    kept = [term for term in terms if term[0] != 0.0]
    if not kept:
        raise ValueError("pde must have a coefficient whose mean over the grid is not zero")
    return kept

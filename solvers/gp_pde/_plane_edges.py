r"""Which conditions on the faces of a box determine the solution, and what to do with the others.

An axis along which the equation has order m takes m conditions, a periodic axis none. Of the two
on an axis of first order, one is at the end where information enters: along the characteristics of
an advection :math:`\beta\,\partial_x + \partial_t`, and for diffusion where time begins. The other
one is data about what leaves. It is met in the sense of least squares: for the solution operator S
of the well-posed problem and the rows E of the other conditions,

.. math:: \min_y \lVert y \rVert^2 + w^2 \lVert E S (\hat F + y) - g \rVert^2,
          \qquad Y = S(\hat F + y),

by LSQR, whose matrix :math:`[I; w E S]` is well conditioned for :math:`w = 1/\lVert E S\rVert`.
Consistent data make y = 0.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse.linalg import LinearOperator as ScipyOperator
from scipy.sparse.linalg import lsqr

from numerics.kronecker import along
from solvers.gp_pde._plane_system import PlaneSystem, Terms, edge_row, ends_of
from solvers.gp_pde._problem import Edge, Problem

_RTOL = 1e-11
_CONSISTENT = 1e-10
_MAXITER = 200
_POWER_STEPS = 6


def split_edges(problem: Problem, terms: Terms) -> tuple[tuple[Edge, ...], tuple[Edge, ...]]:
    """The conditions that determine the solution, and the others."""
    needed, others = [], []
    for axis in range(problem.dim):
        own = ends_of(problem.edges, axis)
        order = _order(problem, axis)
        surplus = len(own) - order
        if surplus > 0 and order == 1:
            end = _entry(terms, axis)
            own = sorted(own, key=lambda edge: (edge.end != end, edge.order))
        needed.extend(own[: len(own) - max(0, surplus)])
        others.extend(own[len(own) - max(0, surplus) :])
    return tuple(needed), tuple(others)


def missing_edges(problem: Problem) -> list[tuple[int, int]]:
    """Axes that have fewer conditions than the equation's order there, with how many fewer."""
    missing = []
    for axis in range(problem.dim):
        lacking = _order(problem, axis) - len(ends_of(problem.edges, axis))
        if lacking > 0:
            missing.append((axis, lacking))
    return missing


def with_other_edges(
    system: PlaneSystem, full: np.ndarray, others: tuple[Edge, ...]
) -> tuple[np.ndarray, int, bool]:
    """Coefficients that meet other conditions too, LSQR's iterations, and whether it converged."""
    gaps = [system.fitted_edge(edge) - system.edge_of(edge, full) for edge in others]
    data = np.sqrt(sum(float(np.sum(system.fitted_edge(edge) ** 2)) for edge in others))
    misfit = np.sqrt(sum(float(np.sum(gap**2)) for gap in gaps))
    if misfit <= _CONSISTENT * max(data, float(np.linalg.norm(full))):
        return full, 0, True
    shape = system.reduced.sizes
    rows = [edge_row(system.bases, edge) @ system.bases[edge.axis].free for edge in others]

    def traces(free: np.ndarray) -> np.ndarray:
        return np.concatenate(
            [
                np.tensordot(row, free, axes=(0, edge.axis)).ravel()
                for row, edge in zip(rows, others, strict=True)
            ]
        )

    def from_traces(flat: np.ndarray) -> np.ndarray:
        total, at = np.zeros(shape), 0
        for row, edge in zip(rows, others, strict=True):
            across = shape[: edge.axis] + shape[edge.axis + 1 :]
            part = flat[at : at + int(np.prod(across))].reshape(across)
            at += part.size
            total += np.moveaxis(np.multiply.outer(row, part), 0, edge.axis)
        return total

    def forward(y: np.ndarray) -> np.ndarray:
        return traces(system.reduced.solve(y.reshape(shape))[0])

    def backward(flat: np.ndarray) -> np.ndarray:
        return system.reduced.solve_adjoint(from_traces(flat))[0].ravel()

    # Gaps along a face are tested with what the conditions of the other axes leave free.
    target = np.concatenate(
        [_tested(system, edge, gap).ravel() for edge, gap in zip(others, gaps, strict=True)]
    )
    probe = backward(target)
    norm = 0.0
    for _ in range(_POWER_STEPS):
        size = float(np.linalg.norm(probe))
        if size == 0.0:
            return full, 0, True
        probe = backward(forward(probe / size))
        norm = float(np.sqrt(np.linalg.norm(probe)))
    weight = 1.0 / norm
    operator = ScipyOperator(
        (target.size, int(np.prod(shape))),
        matvec=lambda y: weight * forward(y),
        rmatvec=lambda flat: weight * backward(flat),
        dtype=np.float64,
    )
    y, status, iterations = lsqr(
        operator, weight * target, damp=1.0, atol=_RTOL, btol=_RTOL, iter_lim=_MAXITER
    )[:3]
    free, _, _ = system.reduced.solve(y.reshape(shape))
    return full + system.extended(free), int(iterations), status != 7


def _order(problem: Problem, axis: int) -> int:
    """How many conditions an axis takes."""
    if problem.periodic[axis]:
        return 0
    return max(orders[axis] for c, orders in problem.pde.linear.terms if callable(c) or c != 0)


def _entry(terms: Terms, axis: int) -> int:
    """The end of an axis of first order where information enters, for time that runs upwards.

    Time is the last axis of first order. Its direction is that in which diffusion smooths.
    """
    alone = {orders: c for c, orders in terms if np.count_nonzero(orders) == 1}
    dim = len(terms[0][1])

    def pure(j: int, order: int) -> float:
        return alone.get(tuple(order if k == j else 0 for k in range(dim)), 0.0)

    diffusion = sum(pure(j, 2) for j in range(dim))
    first = [pure(j, 1) for j in range(dim) if all(orders[j] < 2 for _, orders in terms)]
    forward = -diffusion if diffusion else next((c for c in reversed(first) if c), 1.0)
    own = pure(axis, 1)
    return 0 if own * forward >= 0 else 1


def _tested(system: PlaneSystem, edge: Edge, gap: np.ndarray) -> np.ndarray:
    others = [basis for axis, basis in enumerate(system.bases) if axis != edge.axis]
    return along(gap, [basis.free.T for basis in others])

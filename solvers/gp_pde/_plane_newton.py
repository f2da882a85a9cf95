r"""Equations on a box whose operator is not diagonal: nonlinear ones, and coefficients that vary.

A Newton step for :math:`Lu + N(u) = f` solves :math:`L\,\delta + N'(u)\,\delta` = residual. Where
the conditions and the equation are met exactly it is the Gauss-Newton step of the Gaussian
process' most probable function (arXiv 2103.12959). The inner solver is GMRES; its preconditioner is
the fast inverse of L with the mean of :math:`N'(u)` added, so that a few iterations do where
coefficients vary little. Where they do not, up to 4000 unknowns are solved for densely. Newton's
steps stop on the change of u on the grid: coefficients are determined less well than u.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from solvers.gp_pde._plane_system import PlaneSystem
from solvers.gp_pde._sylvester import krylov

_INNER_RTOL = 1e-5
_LINEAR_RTOL = 1e-12
_HALVINGS = 6
_STAGNATED = 1e-7
_MOST_INNER = 240
_DENSE = 4000
_STACK = 256


@dataclass(frozen=True)
class PlaneIteration:
    """How coefficients were found.

    Attributes
    ----------
    coefficients : array
    history : tuple of float
        Relative changes of u by Newton step.
    iterations : int
    converged : bool
        Whether they met their tolerance.
    singular : bool
        Whether solutions of the homogeneous problem could be added.
    """

    coefficients: np.ndarray
    history: tuple[float, ...]
    iterations: int
    converged: bool
    singular: bool = False


def newton(system: PlaneSystem, starts: list[np.ndarray]) -> PlaneIteration:
    """Solve a nonlinear equation from that of several starts whose residual is smallest.

    The starts meet the conditions. A step that does not lessen the preconditioned residual is
    halved.
    """
    problem = system.problem
    source = system.fitted(problem.f)
    candidates = [(_size(system, source, start), start) for start in starts]
    size, full = min(candidates, key=lambda pair: pair[0])
    history: list[float] = []
    for _ in range(problem.maxiter):
        step, _, _ = _linearized(system, source, full, _INNER_RTOL)
        length = 1.0
        smaller = _size(system, source, full + step)
        # Rounding may raise a residual that is as small as it gets.
        while smaller > size and length > 0.5**_HALVINGS and _change(system, full, step) > 1e-6:
            length, step = length / 2, step / 2
            smaller = _size(system, source, full + step)
        full, size = full + step, smaller
        change = _change(system, full, step)
        stagnated = len(history) > 0 and history[-1] < _STAGNATED and change > history[-1] / 2
        history.append(change)
        if change <= problem.rtol or stagnated:
            break
    converged = bool(history[-1] <= problem.rtol) if history else False
    return PlaneIteration(full, tuple(history), len(history), converged)


def linear_by_gmres(system: PlaneSystem, start: np.ndarray) -> PlaneIteration:
    """Solve a linear equation with coefficients that vary, from a start that meets conditions."""
    source = system.fitted(system.problem.f)
    step, first, converged = _linearized(system, source, start, _LINEAR_RTOL)
    full, second = start + step, 0
    if first < _MOST_INNER:
        step, second, _ = _linearized(system, source, full, np.sqrt(_LINEAR_RTOL))
        full = full + step
    return PlaneIteration(full, (), first + second, converged)


def _residual(system: PlaneSystem, source: np.ndarray, full: np.ndarray) -> np.ndarray:
    values = system.varied(full) + system.problem.pde.reaction(system.on_grid(full))[0]
    return system.restricted(source - system.operator(full) - system.fitted(values))


def _shift(system: PlaneSystem, full: np.ndarray) -> float:
    return float(np.mean(system.problem.pde.reaction(system.on_grid(full))[1]))


def _size(system: PlaneSystem, source: np.ndarray, full: np.ndarray) -> float:
    """Size of the preconditioned residual, about that of the error; infinite where it overflows."""
    with np.errstate(over="ignore", invalid="ignore"):
        residual = _residual(system, source, full)
        if not np.isfinite(residual).all():
            return np.inf
        step = system.reduced.inverse.precondition(residual, _shift(system, full))
        return float(np.linalg.norm(step))


def _change(system: PlaneSystem, full: np.ndarray, step: np.ndarray) -> float:
    size = float(np.linalg.norm(system.on_grid(full)))
    return float(np.linalg.norm(system.on_grid(step))) / (size or 1.0)


def _linearized(
    system: PlaneSystem, source: np.ndarray, full: np.ndarray, rtol: float
) -> tuple[np.ndarray, int, bool]:
    """Coefficients of the Newton step, GMRES iterations, and whether they met ``rtol``."""
    right = _residual(system, source, full)
    slope = system.problem.pde.reaction(system.on_grid(full))[1]
    shift = float(np.mean(slope))
    # The fit of a multiple of u is u times it, once the mean is taken out of the slope.
    slope = slope - shift

    def product(free: np.ndarray) -> np.ndarray:
        step = system.extended(free)
        values = system.varied(step) + slope * system.on_grid(step)
        image = system.operator(step) + system.fitted(values)
        return system.restricted(image) + shift * free

    def precondition(free: np.ndarray) -> np.ndarray:
        return system.reduced.inverse.precondition(free, shift)

    if not np.any(right):
        return np.zeros_like(full), 0, True
    free, iterations, converged = krylov(product, precondition, right, rtol, _MOST_INNER)
    if not converged and right.size <= _DENSE:
        free, converged = _directly(product, right), True
    return system.extended(free), iterations, converged


def _directly(product: Callable[[np.ndarray], np.ndarray], right: np.ndarray) -> np.ndarray:
    """Solution by the matrix of a product that takes a stack of tensors."""
    columns = []
    for at in range(0, right.size, _STACK):
        stack = np.zeros((min(_STACK, right.size - at), right.size))
        stack[np.arange(len(stack)), at + np.arange(len(stack))] = 1.0
        columns.append(product(stack.reshape(-1, *right.shape)).reshape(len(stack), -1))
    return np.linalg.solve(np.concatenate(columns).T, right.ravel()).reshape(right.shape)

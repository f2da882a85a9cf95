r"""Newton's method on the values of u on the grid, whatever solves the linearised equation."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from numerics.convergence import ConvergenceWarning
from solvers.gp_pde._problem import Problem

_ROUNDING = 1e-5
_SMALLEST = 1e-3

State = TypeVar("State")


@dataclass(frozen=True)
class Linearised(Generic[State]):
    """Solution of an equation linearised: u and L u on the grid, and what else there is of it."""

    u: np.ndarray
    image: np.ndarray
    state: State


@dataclass(frozen=True)
class NewtonRun(Generic[State]):
    """The last linearisation's solution, and the relative changes of u on the way."""

    last: Linearised[State]
    history: tuple[float, ...]
    converged: bool


def newton(
    problem: Problem,
    solve: Callable[[np.ndarray | None], Linearised[State]],
    *,
    rounding: float = 0.0,
) -> NewtonRun[State]:
    """Iterate from u = 0, and if that fails from the solution without N.

    ``solve`` linearises about a u; None leaves N away. Steps are halved until the residual falls,
    unless f has noise, which the residual of the most probable u need not be below: then they are
    only if whole ones fail. The iteration stops when u changes by less than the problem's ``rtol``,
    or than ``rounding`` makes it change; if it does not, there is a ConvergenceWarning, meant for
    whoever called the front door that called the solver.
    """
    if problem.pde.is_linear:
        return NewtonRun(solve(None), (), True)
    nothing = np.zeros(problem.shape)
    noisy = problem.noise[0] > 0
    # Zero does not meet the boundary data: what the first step does to the residual says nothing.
    run = _from(problem, solve, Linearised(nothing, nothing, None), np.inf, rounding, noisy)
    if not run.converged:
        linear = solve(None)
        size = _residual(problem, linear)
        for whole in (True, False) if noisy else (False,):
            again = _from(problem, solve, linear, size, rounding, whole)
            run = min(run, again, key=lambda one: (not one.converged, _residual(problem, one.last)))
            if run.converged:
                break
    if not run.converged:
        warnings.warn(
            f"Newton's method stopped after {len(run.history)} steps with u still changing by "
            f"{run.history[-1]:.2g} of its size, rtol is {problem.rtol:.2g}",
            ConvergenceWarning,
            stacklevel=4,
        )
    return run


def _from(
    problem: Problem,
    solve: Callable[[np.ndarray | None], Linearised[State]],
    at: Linearised[Any],
    size: float,
    rounding: float,
    whole: bool,
) -> NewtonRun[State]:
    """Iterate from a u whose residual has a size, by ``whole`` steps or such that lower it."""
    history: list[float] = []
    while True:
        found = solve(at.u)
        if not history:
            problem.pde.check_jac(found.u)
        full = float(np.linalg.norm(found.u - at.u)) / (float(np.linalg.norm(found.u)) or 1.0)
        new, norm, fraction = found, _residual(problem, found), 1.0
        # Where steps are as small as rounding nothing falls any more.
        while not whole and full > _ROUNDING and norm >= size and fraction > _SMALLEST:
            fraction /= 2
            new = Linearised(
                at.u + fraction * (found.u - at.u),
                at.image + fraction * (found.image - at.image),
                found.state,
            )
            norm = _residual(problem, new)
        history.append(fraction * full)
        at, size = new, norm
        if full <= max(problem.rtol, rounding):
            return NewtonRun(found, tuple(history), True)
        if len(history) == problem.maxiter:
            return NewtonRun(found, tuple(history), False)


def _residual(problem: Problem, at: Linearised[State]) -> float:
    """Norm of L u + N(u) - f on the grid."""
    reaction, _ = problem.pde.reaction(at.u)
    return float(np.linalg.norm(at.image + reaction - problem.f))

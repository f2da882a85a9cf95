r"""Newton's method on the values of u on the grid, whatever solves the linearised equation."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from numerics.convergence import ConvergenceWarning
from solvers.gp_pde._problem import Problem

_GROWTH = 2.0
_HALVINGS = 6

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
    """Iterate from u = 0; ``solve`` linearises about a u, None for a linear equation.

    Steps are halved where they make the residual grow. The iteration stops when u changes by less
    than the problem's ``rtol``, or than ``rounding`` makes it change; if it does not, there is a
    ConvergenceWarning, meant for whoever called the front door that called the solver.
    """
    if problem.pde.is_linear:
        return NewtonRun(solve(None), (), True)
    u, image = np.zeros(problem.shape), np.zeros(problem.shape)
    size = np.inf
    history: list[float] = []
    while True:
        found = solve(u)
        if not history:
            problem.pde.check_jac(found.u)
        new, new_image = found.u, found.image
        norm = _residual(problem, new, new_image)
        # The first step meets the boundary data; what it does to the residual says nothing.
        for _ in range(_HALVINGS if history else 0):
            if norm <= _GROWTH * size:
                break
            new, new_image = (u + new) / 2, (image + new_image) / 2
            norm = _residual(problem, new, new_image)
        change = float(np.linalg.norm(new - u)) / (float(np.linalg.norm(new)) or 1.0)
        history.append(change)
        u, image, size = new, new_image, norm
        if change <= max(problem.rtol, rounding):
            return NewtonRun(found, tuple(history), True)
        if len(history) == problem.maxiter:
            break
    warnings.warn(
        f"Newton's method stopped after {problem.maxiter} steps with u still changing by "
        f"{change:.2g} of its size, rtol is {problem.rtol:.2g}",
        ConvergenceWarning,
        stacklevel=4,
    )
    return NewtonRun(found, tuple(history), False)


def _residual(problem: Problem, u: np.ndarray, image: np.ndarray) -> float:
    """Norm of L u + N(u) - f on the grid."""
    reaction, _ = problem.pde.reaction(u)
    return float(np.linalg.norm(image + reaction - problem.f))

r"""Steps in time for :math:`M c' = -\kappa A c + q`, over two forms of the same system.

A form multiplies a state by M and A, and solves :math:`(M + \gamma A) x = r`. The *bordered* form
holds coefficients, multiplies through the FFT and solves directly in O(N log N). The *diagonal*
form holds the coordinates :math:`z = W M c` of the pencil's eigenvectors, in which both matrices
are diagonal, exponentials are exact and torch sees elementwise operations only.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import scipy.sparse.linalg

from numerics.arrays import Array, Frame
from numerics.bsplines import bspline_collocation_matrix
from solvers.riesz._pencil import real_part, riesz_pencil
from solvers.riesz.bordered import BorderedSolver
from solvers.riesz.collocation import RieszCollocation

_KEPT = 4  # factored systems: those of the current step, of the first one and of a change of step
_STEP_DIGITS = 12  # steps that differ less are one step, as those of linspace
_LARGEST_RATIO = 2.0  # of steps; BDF2 is unstable beyond 1 + sqrt(2)
_SERIES = 18  # terms of the phi functions below 1/2 in size, to the last digit


class Form(Protocol):
    """What the stepping needs to know of a system; states and right-hand sides are (N,)."""

    def start(self, values: Array) -> Array:
        """The state with these values at the points."""

    def load(self, values: Array) -> Array:
        """The right-hand side of these values at the points."""

    def coefficients(self, states: Sequence[Array]) -> Array:
        """The coefficients (m, N) of states."""

    def mass(self, state: Array) -> Array:
        """Product with M."""

    def stiffness(self, state: Array) -> Array:
        """Product with A."""

    def solve(self, gamma: Any, right: Array) -> Array:
        """Solution of the system of M + gamma A."""


class BorderedForm:
    """NumPy, by products and direct solutions through the FFT; keeps the largest residual."""

    def __init__(self, A: RieszCollocation) -> None:
        self.A = A
        self.M = bspline_collocation_matrix(A.n, A.p)
        self.residual = 0.0
        self._solvers: OrderedDict[float, BorderedSolver] = OrderedDict()

    def start(self, values: np.ndarray) -> np.ndarray:
        """The state with these values at the points."""
        return np.asarray(scipy.sparse.linalg.spsolve(self.M.tocsc(), values)).reshape(-1)

    def load(self, values: np.ndarray) -> np.ndarray:
        """The right-hand side of these values at the points."""
        return values

    def coefficients(self, states: Sequence[np.ndarray]) -> np.ndarray:
        """The coefficients (m, N) of states."""
        return np.stack(states)

    def mass(self, state: np.ndarray) -> np.ndarray:
        """Product with M."""
        return np.asarray(self.M @ state)

    def stiffness(self, state: np.ndarray) -> np.ndarray:
        """Product with A."""
        return np.asarray(self.A.matvec(state))

    def solve(self, gamma: float, right: np.ndarray) -> np.ndarray:
        """Solution of the system of M + gamma A."""
        key = float(f"{gamma:.{_STEP_DIGITS}e}")
        solver = self._solvers.pop(key, None) or BorderedSolver(self.A, kappa=gamma, c=1.0)
        self._solvers[key] = solver
        if len(self._solvers) > _KEPT:
            self._solvers.popitem(last=False)
        state = solver.solve_double(right)
        residual = float(np.linalg.norm(right - solver.matvec(state)))
        self.residual = max(self.residual, residual / (float(np.linalg.norm(right)) or 1.0))
        return state


class DiagonalForm:
    """Any frame, in the eigenvectors of the pencil."""

    def __init__(self, frame: Frame, A: RieszCollocation) -> None:
        pencil = riesz_pencil(A)
        self.frame = frame
        self.mu, self.V, self.W = pencil.arrays(frame)
        defect = pencil.A @ pencil.V - pencil.M @ pencil.V * pencil.mu
        self.residual = float(np.linalg.norm(defect) / np.linalg.norm(pencil.A))

    def start(self, values: Array) -> Array:
        """The state with these values at the points."""
        W, values = self.frame.common_dtype(self.W, values)
        return W @ values

    load = start

    def coefficients(self, states: Sequence[Array]) -> Array:
        """The coefficients (m, N) of states."""
        return real_part(self.frame, self.frame.xp.stack(list(states)) @ self.V.T)

    def mass(self, state: Array) -> Array:
        """Product with M."""
        return state

    def stiffness(self, state: Array) -> Array:
        """Product with A."""
        return self.mu * state

    def solve(self, gamma: Any, right: Array) -> Array:
        """Solution of the system of M + gamma A."""
        return right / (1 + gamma * self.mu)


def crank_nicolson(
    form: Form, state: Array, steps: Sequence[Any], kappa: Any, loads: Sequence[Array] | None
) -> list[Array]:
    """States at all times, by the trapezoidal rule."""
    states = [state]
    for i, step in enumerate(steps):
        right = form.mass(state) - step * kappa / 2 * form.stiffness(state)
        if loads is not None:
            right = right + step / 2 * (loads[i] + loads[i + 1])
        state = form.solve(step * kappa / 2, right)
        states.append(state)
    return states


def bdf2(
    form: Form, state: Array, steps: Sequence[Any], kappa: Any, loads: Sequence[Array] | None
) -> list[Array]:
    """States at all times, by the two-step backward formula with variable steps.

    The first step, and one more than twice the step before it, is a backward Euler step.
    """
    states = [state]
    for i, step in enumerate(steps):
        ratio = step / steps[i - 1] if i else math.inf
        right = form.mass(states[-1])
        if ratio > _LARGEST_RATIO:
            weight = 1.0
        else:
            weight = (1 + ratio) / (1 + 2 * ratio)
            before = form.mass(states[-2])
            right = weight * ((1 + ratio) * right - ratio**2 / (1 + ratio) * before)
        if loads is not None:
            right = right + weight * step * loads[i + 1]
        states.append(form.solve(weight * step * kappa, right))
    return states


def exponential(
    form: DiagonalForm,
    state: Array,
    steps: Sequence[Any],
    kappa: Any,
    loads: Sequence[Array] | None,
) -> list[Array]:
    """States at all times, exact for loads that are linear between them."""
    states, xp = [state], form.frame.xp
    elapsed = 0.0
    for i, step in enumerate(steps):
        if loads is None:
            # From the start each time, so that no rounding is carried along.
            elapsed = elapsed + step
            states.append(xp.exp(-kappa * elapsed * form.mu) * state)
            continue
        x = -kappa * step * form.mu
        first, second = _phi(xp, x)
        load = (first - second) * loads[i] + second * loads[i + 1]
        states.append(xp.exp(x) * states[-1] + step * load)
    return states


def _phi(xp: Any, x: Array) -> tuple[Array, Array]:
    r""":math:`(e^x - 1)/x` and :math:`(e^x - 1 - x)/x^2`, by series where they would cancel."""
    small = xp.abs(x) < 0.5
    near, far = xp.where(small, x, 0 * x), xp.where(small, 0 * x - 1, x)
    first, second = 0 * x, 0 * x
    for k in range(_SERIES, -1, -1):
        first = near * first + 1 / math.factorial(k + 1)
        second = near * second + 1 / math.factorial(k + 2)
    growth = (xp.exp(far) - 1) / far
    return xp.where(small, first, growth), xp.where(small, second, (growth - 1) / far)

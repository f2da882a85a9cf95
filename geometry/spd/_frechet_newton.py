r"""Newton's method on the manifold for Frechet means, many at once.

A mean minimises :math:`f(S) = \tfrac12 \sum_i w_i d(S, X_i)^2`. At each point coordinates x of
tangent vectors are orthonormal, so that the gradient step :math:`x = -\nabla f` is the metric's
fixed-point iteration, and :math:`H x = -\nabla f` with the Riemannian Hessian H is Newton's. H
costs a few matrix products a sample where the point itself costs a decomposition a sample, so
the equation is solved by conjugate gradients, as far as the residual deserves (truncated where
the curvature is not positive, as by Steihaug). A step counts when it lowers the residual or the
objective; otherwise the fixed-point step is taken, which always lowers the objective.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from geometry.spd._linear_algebra import adjoint, hermitian_part, real_inner, square_root
from numerics.arrays import Array, Frame

_REDUCTION = 0.8  # of the residual, that a Newton step must achieve
_DECREASE = 0.1  # of the objective, to that of the linear model
_VISIBLE = 1e-8  # of the objective: smaller changes drown in rounding
_LOOSEST, _TIGHTEST = 0.1, 1e-6  # relative residuals of the Newton equation
_CURVATURE = 1e-3  # least of the Hessian that counts as positive
_HARMLESS, _UNSEEN = 1e-3, 0.3  # noise of a residual, to itself and to the tolerance
_INNER = 100  # conjugate gradient steps


class Point(Protocol):
    """Where an iteration is; all arrays have one leading axis, of B means."""

    frame: Frame
    root: Array  # square root of the iterate, (B, n, n)
    descent: Array  # minus the gradient in orthonormal coordinates, (B, n, n)
    residual: Array  # scale-free norm of the gradient, (B,)
    rounding: Array  # what rounding may leave of it, (B,)
    value: Array  # the objective, (B,)
    size: Array  # of the terms that it is the sum of, (B,)

    def hessian(self, x: Array) -> Array:
        """Apply the Riemannian Hessian."""

    def fixed_point_step(self) -> Array:
        """Coordinates of a step that lowers the objective, without a Hessian."""

    def moved(self, x: Array) -> Array:
        """Square root of the end of the step x."""


class Problem(Protocol):
    """The samples of B means."""

    def at(self, root: Array) -> Any:
        """Linearise at the point with the square root given."""

    def taken(self, index: Array) -> Any:
        """Keep some of the means."""


@dataclass(frozen=True)
class Minimum:
    """Square roots (B, n, n) of means, and how they were found, as host arrays (B,)."""

    root: Array
    converged: np.ndarray
    iterations: np.ndarray
    residual: np.ndarray


def minimize(
    problem: Problem, root: Array, *, rtol: float, maxiter: int, accelerate: bool
) -> Minimum:
    """Iterate all means until the residual of each meets ``rtol`` or cannot be lowered."""
    point = problem.at(root)
    frame, count = point.frame, root.shape[0]
    roots: dict[int, Array] = {}
    converged, residual = np.zeros(count, bool), np.zeros(count)
    iterations = np.zeros(count, int)
    active = np.arange(count)
    stalled = np.zeros(count, bool)
    while True:
        left = _host(point.residual)
        met = (left <= rtol) | (stalled & (left <= _host(point.rounding)))
        done = met | (iterations[active] >= maxiter)
        for k in np.flatnonzero(done):
            roots[active[k]] = point.root[int(k)]
        converged[active[done]], residual[active[done]] = met[done], left[done]
        active = active[~done]
        if not active.size:
            break
        if done.any():
            index = frame.xp.asarray(np.flatnonzero(~done), device=frame.device)
            problem, point = problem.taken(index), taken(point, index)
        point, steps, stalled = _advanced(problem, point, rtol, accelerate)
        iterations[active] += steps
    ordered = frame.xp.stack([roots[k] for k in range(count)])
    return Minimum(ordered, converged, iterations, residual)


def taken(point: Any, index: Array) -> Any:
    """Keep some entries of all arrays of a dataclass along their first axis."""
    return _mapped(lambda array: array[index], point)


def solve_newton_equation(point: Any, right: Array, tolerance: Array, limit: int) -> Array:
    """Conjugate gradients for H x = ``right``, to the relative residuals given, (B,)."""
    frame, xp = point.frame, point.frame.xp
    x, r, p = 0 * right, right, right
    rr = real_inner(frame, r, r)
    target = tolerance**2 * rr
    running = rr > 0
    for k in range(limit):
        q = point.hessian(p)
        curvature = real_inner(frame, p, q)
        step = running & (curvature > _CURVATURE * real_inner(frame, p, p))
        if k == 0:
            x = xp.where((running & ~step)[..., None, None], right, x)
        a = xp.where(step, rr / xp.where(step, curvature, 1.0), 0.0)[..., None, None]
        x, r = x + a * p, r - a * q
        before, rr = rr, real_inner(frame, r, r)
        running = step & (rr > target)
        if not bool(xp.any(running)):
            break
        p = r + xp.where(running, rr / xp.where(running, before, 1.0), 0.0)[..., None, None] * p
    return x


def averaged_products(frame: Frame, U: Array, F: Array, x: Array) -> Array:
    r""":math:`\sum_i U_i (F_i \circ U_i^H x U_i) U_i^H` for U, F (B, N, n, n) and x (B, n, n)."""
    Uh = adjoint(frame, U)
    return frame.xp.sum(U @ (F * (Uh @ x[:, None] @ U)) @ Uh, axis=1)


def averaged_compositions(frame: Frame, U: Array, values: Array) -> Array:
    r""":math:`\sum_i U_i \operatorname{diag}(v_i) U_i^H` for U (B, N, n, n), v (B, N, n)."""
    terms = (U * values[:, :, None, :]) @ adjoint(frame, U)
    return hermitian_part(frame, frame.xp.sum(terms, axis=1))


def fine_enough(frame: Frame, noise: Array, residual: Array, rtol: float) -> bool:
    """Whether eigenvalues of squares do, whose rounding puts ``noise`` in the residual.

    They cost about half of singular values.
    """
    return bool(frame.xp.all((noise < _HARMLESS * residual) | (noise < _UNSEEN * rtol)))


def _advanced(
    problem: Problem, point: Any, rtol: float, accelerate: bool
) -> tuple[Any, np.ndarray, np.ndarray]:
    """The next point, steps taken to it, and which means could not be improved."""
    frame, xp = point.frame, point.frame.xp
    count = int(point.residual.shape[0])
    if not accelerate:
        trial = problem.at(point.moved(point.fixed_point_step()))
        return trial, np.ones(count, int), _host(trial.residual >= point.residual)
    enough = xp.clip(_LOOSEST * rtol / point.residual, min=_TIGHTEST)
    tolerance = xp.clip(xp.maximum(point.residual, enough), max=_LOOSEST)
    x = solve_newton_equation(point, point.descent, tolerance, _INNER)
    trial = problem.at(point.moved(x))
    expected = real_inner(frame, point.descent, x)
    lower = trial.value < point.value - _DECREASE * expected
    good = lower & (expected > _VISIBLE * point.size)
    good = good | (trial.residual < _REDUCTION * point.residual)
    if bool(xp.all(good)):
        return trial, np.ones(count, int), np.zeros(count, bool)
    plain = problem.at(point.moved(point.fixed_point_step()))
    good_on_host = _host(good)
    # What cannot be improved any more stays where it was.
    worse = ~good & (plain.residual >= point.residual) & (point.residual <= point.rounding)
    chosen = _chosen(frame, good, trial, _chosen(frame, worse, point, plain))
    return chosen, 2 - good_on_host.astype(int), _host(worse)


def _chosen(frame: Frame, mask: Array, first: Any, second: Any) -> Any:
    def pick(a: Array, b: Array) -> Array:
        return frame.xp.where(mask[(...,) + (None,) * (a.ndim - 1)], a, b)

    return _mapped(pick, first, second)


def _mapped(function: Any, first: Any, *others: Any) -> Any:
    arrays = {
        field.name: function(*(getattr(point, field.name) for point in (first, *others)))
        for field in dataclasses.fields(first)
        if hasattr(getattr(first, field.name), "shape")
    }
    return dataclasses.replace(first, **arrays)


def residual_norm(frame: Frame, x: Array) -> Array:
    """Frobenius norms, shape (B,)."""
    return square_root(frame, real_inner(frame, x, x))


def _host(array: Array) -> np.ndarray:
    return np.asarray(array.cpu() if hasattr(array, "cpu") else array)

r"""Fractional diffusion on an interval, with the Riesz operator in space.

.. math:: \partial_t u = -\kappa R u + f(x, t), \qquad R = (-\Delta)^{\alpha/2},
          \quad u = 0 \text{ outside } (A, B), \quad u(\cdot, t_0) = u_0,

the equation of the density of a symmetric stable process of index alpha that is stopped where it
leaves the interval. Collocation in B-splines leaves :math:`M c' = -\kappa A c + q(t)` with the
pencil's eigenvalues positive. Three ways lead through time:

* Crank-Nicolson, of second order and neutral to the fastest modes: a rough start keeps ringing;
* BDF2, of second order and L-stable: they are damped;
* the exponential, exact in time for :math:`f = 0` and for data linear between the times given.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from numerics.arrays import (
    Array,
    Frame,
    as_arrays,
    check_choice,
    check_positive,
    check_real,
    frame_like,
)
from numerics.convergence import ConvergenceWarning
from solvers.riesz._arguments import as_interval, check_number, host_values
from solvers.riesz._ends import end_means, singular, two_grid_factor
from solvers.riesz._spline import (
    basis_product,
    carried,
    coarser_space,
    inner_points,
    spline_basis,
)
from solvers.riesz._time_stepping import (
    BorderedForm,
    DiagonalForm,
    bdf2,
    crank_nicolson,
    exponential,
)
from solvers.riesz.collocation import RieszCollocation

_METHODS = ("crank-nicolson", "bdf2", "expm")
_DENSE_LIMIT = 4096
_ROUNDING = 100 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class DiffusionSolution:
    r"""Solution of a fractional diffusion equation at some times, to be called at points.

    Attributes
    ----------
    t : array, shape (m,)
        The times.
    coefficients : array, shape (m, N)
        Of the inner B-splines, N = n + p - 2.
    n, p : int
        Cells and degree.
    domain : tuple of float
        The interval.
    method : str
        "crank-nicolson", "bdf2" or "expm".
    residual_norm : float
        Largest relative residual of the systems solved; that of the eigen-decomposition where one
        was used.
    converged : bool
        Whether it is that of rounding, 100 eps n^alpha.
    error_estimate : array, shape (m,)
        Largest difference at the Greville points from the solution on half the cells with half the
        steps, over :math:`2^{\alpha/2} - 1`: about the error where the ends are singular, and
        generous where they are not. Between the times of that solution the larger of the two
        neighbours stands. A single step is halved instead, and the exponential without a source
        keeps its times, being exact in them.
    singular_ends : bool
        Whether u behaves like :math:`\mathrm{dist}^{\alpha/2}` at an end at the last time, so that
        the order of high degrees cannot show. Without special data it does.

    Examples
    --------
    What leaves the interval does not come back: the largest value falls.

    >>> import numpy as np
    >>> t, x = np.linspace(0, 0.2, 5), np.linspace(0, 1, 101)
    >>> u = riesz_diffusion(lambda x: x * (1 - x), None, t, 32, 3, 1.5)
    >>> u(2, x).shape, bool(np.all(np.diff(u(slice(None), x).max(axis=1)) < 0))
    ((101,), True)
    """

    t: Array
    coefficients: Array
    n: int
    p: int
    domain: tuple[float, float]
    method: str
    residual_norm: float
    converged: bool
    error_estimate: np.ndarray
    singular_ends: bool

    def __call__(self, index: Any, x: Array) -> Array:
        """Values of u at the times ``t[index]`` and the points ``x``; zero outside the domain.

        The result has the shape of ``t[index]`` followed by that of ``x``. It is differentiable in
        the coefficients, not in the points.
        """
        frame, x, coefficients = as_arrays(x=x, coefficients=self.coefficients)
        check_real("x", x, frame)
        lower, upper = self.domain
        unit = (host_values(frame, x) - lower) / (upper - lower)
        basis = spline_basis(unit.ravel(), self.n, self.p)
        chosen = frame.double(coefficients)[index]
        rows = frame.xp.reshape(chosen, (-1, basis.shape[1]))
        values = basis_product(frame, basis, rows.T).T
        return frame.cast(frame.xp.reshape(values, (*tuple(chosen.shape)[:-1], *unit.shape)))


def riesz_diffusion(
    u0: Callable[[Array], Array] | Array,
    f: Callable[[Array, float], Array] | Array | None,
    t: Array,
    n: int,
    p: int,
    alpha: float,
    *,
    kappa: float | Array = 1.0,
    domain: tuple[float, float] = (0.0, 1.0),
    method: str = "crank-nicolson",
) -> DiffusionSolution:
    r"""Solve :math:`\partial_t u = -\kappa R u + f` from :math:`u_0`, with u = 0 outside.

    :math:`R = (-\Delta)^{\alpha/2}` is the positive operator, minus the Riesz derivative.

    Parameters
    ----------
    u0 : callable or array, shape (N,)
        Start: a function of an array of points, or its values at the inner Greville points,
        N = n + p - 2.
    f : callable, array, shape (N,) or (m, N), or None
        Source: a function of an array of points and a time, values at the points for all times or
        for each, or none.
    t : array, shape (m,)
        Times, increasing, the first that of ``u0``: the steps go from each to the next.
    n : int
        Number of cells, at least 1.
    p : int
        Degree, 2 to 10.
    alpha : float
        Order, in (1, 2).
    kappa : float or 0-d array
        Diffusion coefficient, positive.
    domain : tuple of float
        The interval.
    method : {"crank-nicolson", "bdf2", "expm"}
        Both formulas of second order take one direct solution of O(N log N) a step, and a setup for
        each length of step. BDF2 starts with backward Euler, and anew where a step is more than
        twice the one before. "expm" decomposes the pencil once, O(N^3), so that N may be at most
        4096, and is then exact at any time for data linear between the times.

    Returns
    -------
    DiffusionSolution
        To be called with an index of time and points. Torch results come by the decomposition for
        every method, with its limit, and are differentiable in ``u0``, ``f``, ``kappa`` and ``t``.

    Raises
    ------
    TypeError
        If an argument is complex or not a number.
    ValueError
        If an argument is out of range, of another shape or not finite, ``t`` not increasing, the
        domain empty or reversed, N above the limit of the decomposition where it is needed, or
        single precision asked for where nothing of it would be left.

    Warns
    -----
    ConvergenceWarning
        If the residual is larger than rounding explains.

    References
    ----------
    Mazza, Donatelli, Manni, Speleers, arXiv 2106.14834.

    Examples
    --------
    In the end the slowest mode is left, and it decays by its eigenvalue.

    >>> import numpy as np
    >>> from solvers import riesz_eigenvalues
    >>> u = riesz_diffusion(
    ...     lambda x: 1.0 * (x < 0.3), None, [0.0, 3.0, 3.1], 64, 3, 1.5, method="expm"
    ... )
    >>> rate = np.log(u(1, 0.5) / u(2, 0.5)) / 0.1
    >>> bool(np.isclose(rate, riesz_eigenvalues(64, 3, 1.5, 1).eigenvalues[0], rtol=1e-10))
    True
    """
    check_choice("method", method, _METHODS)
    A = RieszCollocation(n, p, alpha)
    lower, upper = as_interval("domain", domain)
    given = as_arrays(
        t=t, kappa=kappa, u0=None if callable(u0) else u0, f=None if callable(f) else f
    )
    frame = given[0]
    points = inner_points(A.n, A.p)
    at = frame.asarray(lower + (upper - lower) * points)
    frame, u0_values, t, kappa, f_values = as_arrays(
        u0=u0(at) if callable(u0) else u0, t=t, kappa=kappa, f=None if callable(f) else f
    )
    _check(frame, A, u0_values, t, kappa, f_values)
    if (method == "expm" or frame.is_torch) and A.shape[0] > _DENSE_LIMIT:
        raise ValueError(
            f"n + p - 2 must be at most {_DENSE_LIMIT} for method='expm' and for tensors, "
            f"got {A.shape[0]}"
        )
    t = frame.double(t)
    rate = kappa / (upper - lower) ** A.alpha
    times = host_values(frame, t)
    if callable(f):
        loads = [_source(frame, f, at, time) for time in times]
    elif f_values is None:
        loads = None
    else:
        loads = list(frame.xp.broadcast_to(frame.double(f_values), (len(times), A.shape[0])))
    form, states = _evolve(frame, A, frame.double(u0_values), loads, t, rate, method)
    coefficients = form.coefficients(states)
    converged = form.residual <= _ROUNDING * A.scale
    if not converged:
        warnings.warn(
            f"{method} left a relative residual of {form.residual:.1e}",
            ConvergenceWarning,
            stacklevel=2,
        )

    def start_on(there: np.ndarray) -> np.ndarray:
        if callable(u0):
            return host_values(frame, u0(frame.asarray(lower + (upper - lower) * there)))
        return carried(host_values(frame, u0_values), points, there, degree=7)

    def loads_on(there: np.ndarray, chosen: np.ndarray) -> list[np.ndarray] | None:
        if loads is None:
            return None
        if callable(f):
            where = frame.asarray(lower + (upper - lower) * there)
            return [host_values(frame, _source(frame, f, where, time)) for time in chosen]
        rows = np.stack([host_values(frame, load) for load in loads])
        between = carried(rows, times, chosen, degree=1) if len(times) > 1 else rows
        return list(carried(between, points, there, axis=1, degree=7))

    estimate, ends = _judged(
        A,
        host_values(frame, coefficients),
        times,
        float(host_values(frame, rate)),
        method,
        start_on,
        loads_on,
    )
    return DiffusionSolution(
        t=frame.cast(t),
        coefficients=frame.cast(coefficients),
        n=A.n,
        p=A.p,
        domain=(lower, upper),
        method=method,
        residual_norm=form.residual,
        converged=converged,
        error_estimate=estimate,
        singular_ends=ends,
    )


def _check(
    frame: Frame, A: RieszCollocation, u0: Array, t: Array, kappa: Array, f: Array | None
) -> None:
    N = A.shape[0]
    check_number("kappa", kappa, frame)
    check_positive("kappa", kappa, frame)
    for name, array in (("u0", u0), ("t", t)):
        check_real(name, array, frame)
    if tuple(u0.shape) != (N,):
        raise ValueError(f"u0 must have shape ({N},), got {tuple(u0.shape)}")
    if t.ndim != 1 or not t.shape[0]:
        raise ValueError(f"t must have shape (m,), got {tuple(t.shape)}")
    if not bool(frame.xp.all(t[1:] > t[:-1])):
        raise ValueError("t must be increasing, got times that are not")
    if f is not None:
        check_real("f", f, frame)
        m = t.shape[0]
        if tuple(f.shape) not in ((N,), (m, N)):
            raise ValueError(f"f must have shape ({N},) or ({m}, {N}), got {tuple(f.shape)}")
    A.check_single("u0", frame)


def _source(frame: Frame, f: Callable[[Array, float], Array], at: Array, time: float) -> Array:
    _, _, values = as_arrays(at=at, f=f(at, float(time)))
    check_real("f", values, frame)
    if tuple(values.shape) not in ((), tuple(at.shape)):
        raise ValueError(
            f"f must give values of shape {tuple(at.shape)}, got {tuple(values.shape)}"
        )
    return frame.double(frame.xp.broadcast_to(values, tuple(at.shape)))


def _evolve(
    frame: Frame,
    A: RieszCollocation,
    values: Array,
    loads: list[Array] | None,
    t: Array,
    rate: Array,
    method: str,
) -> tuple[BorderedForm | DiagonalForm, list[Array]]:
    """States at all times, and the form that they are in."""
    form: Any = BorderedForm(A)
    if method == "expm" or frame.is_torch:
        form = DiagonalForm(frame, A)
    steps = [t[i + 1] - t[i] for i in range(len(t) - 1)]
    if frame.is_numpy:
        steps, rate = [float(step) for step in steps], float(rate)
    step_by = {"crank-nicolson": crank_nicolson, "bdf2": bdf2, "expm": exponential}[method]
    right = None if loads is None else [form.load(load) for load in loads]
    return form, step_by(form, form.start(values), steps, rate, right)


def _judged(
    A: RieszCollocation,
    C: np.ndarray,
    times: np.ndarray,
    rate: float,
    method: str,
    start_on: Callable[[np.ndarray], np.ndarray],
    loads_on: Callable[[np.ndarray, np.ndarray], list[np.ndarray] | None],
) -> tuple[np.ndarray, bool]:
    """Error estimate at each time, and singularity of the ends at the last."""
    points, m = inner_points(A.n, A.p), len(times)

    def last(rows: np.ndarray) -> np.ndarray:
        # Modes that Crank-Nicolson leaves ringing change sign with every step.
        if method == "crank-nicolson" and len(rows) > 3:
            return np.asarray((rows[-1] + 2 * rows[-2] + rows[-3]) / 4)
        return np.asarray(rows[-1])

    means = end_means(points, A.matvec(last(C)), A.alpha)
    u = spline_basis(points, A.n, A.p) @ C.T
    space = coarser_space(A.n, A.p)
    if space is None:
        return np.abs(u).max(axis=0), singular(means, None)
    B = RieszCollocation(*space, A.alpha)
    there = inner_points(B.n, B.p)
    if method == "expm" and loads_on(there, times[:1]) is None:
        chosen, kept, shared = times, np.arange(m), np.arange(m)
    elif m == 2:
        chosen, kept = np.array([times[0], times.mean(), times[1]]), np.array([0, 2])
        shared = np.array([0, 1])
    else:
        shared = np.unique(np.append(np.arange(0, m, 2), m - 1))
        chosen, kept = times[shared], np.arange(len(shared))
    loads = loads_on(there, chosen)
    form, states = _evolve(frame_like(None), B, start_on(there), loads, chosen, rate, method)
    coarse = form.coefficients(states)
    difference = np.abs(u[:, shared] - spline_basis(points, B.n, B.p) @ coarse[kept].T).max(axis=0)
    estimate = np.zeros(m)
    estimate[shared] = difference * two_grid_factor(A.alpha)
    between = np.setdiff1d(np.arange(m), shared)
    estimate[between] = np.maximum(estimate[between - 1], estimate[between + 1])
    return estimate, singular(means, end_means(there, B.matvec(last(coarse)), A.alpha))

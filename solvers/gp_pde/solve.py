r"""The front door of the Gaussian-process solvers of partial differential equations.

A Gaussian process with a spectral-mixture kernel is conditioned on an equation, on its boundary
data and on observations. For a linear equation the posterior mean is the answer and its variance
the uncertainty; a nonlinear one is linearised by Newton's method. Three methods share the model:

* "features" works with the square root of the Gram matrix: sines and cosines with the prior's
  standard deviations in them. It loses the fewest digits.
* "collocation" solves with the Gram matrix of the data itself, scaled, with a nugget.
* "differentiation" replaces derivatives by those of the kernel interpolant on the grid, as the
  paper does, and solves exactly what it trains.

References: Fang, Cooley, Long, Li, Kirby, Zhe, arXiv 2311.04465.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from numerics.arrays import Array, check_choice
from solvers.gp_pde._arguments import as_problem
from solvers.gp_pde._box_collocation import solve_collocation
from solvers.gp_pde._differentiation import solve_differentiation
from solvers.gp_pde._interval import solve_interval
from solvers.gp_pde._plane import solve_plane
from solvers.gp_pde._problem import Problem
from solvers.gp_pde._resolution import warn_if_aliased
from solvers.gp_pde.equations import PDE, LinearOperator
from solvers.gp_pde.solution import PDESolution
from solvers.gp_pde.spectral_mixture import SpectralMixture

_METHODS = ("features", "collocation", "differentiation")
_RTOL = 1e-9

Kernel = str | SpectralMixture | tuple[SpectralMixture, ...]


def solve_pde(
    pde: PDE | LinearOperator,
    grids: Array | tuple[Array, ...],
    f: Callable[..., Array] | Array | float,
    boundary: Any,
    *,
    method: str = "features",
    kernel: Kernel = "auto",
    noise: tuple[float, float] | None = None,
    observations: tuple[Array, Array, Array | float] | None = None,
    rtol: float = _RTOL,
    maxiter: int = 20,
    allow_float32: bool = False,
) -> PDESolution:
    r"""Solve :math:`L u + N(u) = f` on a box by a Gaussian process.

    Data may be numbers, sampled values, or functions of the coordinates, one array an axis; these
    are called with NumPy arrays, and also between the points of the grid.

    Parameters
    ----------
    pde : PDE or LinearOperator
        The equation, on one axis or several; time is an axis like others.
    grids : array or tuple of array
        Increasing points of each axis, both ends included; a bare array for one axis.
    f : callable, array of the grid's shape, or float
        Right-hand side.
    boundary : pair, dict, float, callable, condition or Periodic
        One axis: ``(left, right)``. Several: a dict with some of the keys "x0", "x1" (the first
        axis' ends), "y0", "y1" (the second's), where a missing face carries no data, as the outflow
        of an advection problem. Each is a datum of u, a :class:`Dirichlet` or :class:`Neumann`
        condition, or ``Periodic()`` at both ends of an axis; on one axis also None (no data), or a
        list of conditions. A number, a callable or a condition alone stands for all faces,
        ``Periodic()`` for all axes.
    method : {"features", "collocation", "differentiation"}
        "collocation" takes up to 10000 points and conditions in all and no periodic axes;
        "differentiation" no noise, no observations and no periodic axes, and on two axes only
        linear equations with constant coefficients, without mixed derivatives, with values of u on
        faces.
    kernel : "auto", SpectralMixture, or tuple of SpectralMixture
        Prior, one factor an axis, taken as it is given. "auto" reads it from periodograms of f, of
        boundary data and of observations, and scales it so that the data are likely.
    noise : pair of float, optional
        Standard deviations of f and of the boundary data; exact by default.
    observations : tuple (points, values, noise_std), optional
        Values of u at points (m,) or (m, dim) with standard deviations, positive, of their noise.
    rtol : float
        Newton's method stops when u changes by less than this, relative to u ("collocation", which
        rounds more, by 1e-6 at least).
    maxiter : int
        Most Newton steps.
    allow_float32 : bool
        Take data in single precision, as data with noise of the size of their rounding. Work is in
        double precision always, and results are in that of the arguments.

    Returns
    -------
    PDESolution
        A Gaussian process: u on the grid, means and variances of u and its derivatives anywhere,
        draws, and what there is to judge them by. In the kind of the arguments, but without
        gradients.

    Raises
    ------
    TypeError
        For complex data, tensors that require gradients, and arguments of another kind.
    ValueError
        For data that are not finite, have a wrong shape or are in single precision, grids that do
        not increase, boundary values that differ at corners, a kernel that is not smooth enough,
        and a singular equation without solution.

    Warns
    -----
    ConvergenceWarning
        If Newton's method or an iterative solver stops before its tolerance.
    RuntimeWarning
        If f or boundary data that are functions have frequencies above the grid's limit, so that
        the answer is aliased; if an equation is singular but has solutions, of which the one
        orthogonal to the homogeneous ones is returned.

    Notes
    -----
    The features of an axis of length L have the period T = 1.5 L, 2 L where the kernel's
    frequencies come near the grid's limit, and L where the axis is periodic; the result's
    ``extension`` tells. A kernel that is given is the prior: T is then also as long as the kernel
    takes to die out over T - L, :math:`0.85/s` (Gaussian) or :math:`1.6/s` (Matern) for its least
    scale s, and frequencies reach 7 or 30 scales beyond those of its components. Two things bound
    the cost, and let the prior differ from the kernel where they bind: no frequency exceeds four
    times the grid's limit, and T is no longer than leaves three frequencies a point, or 256, in
    the components. On one axis, grids need not be uniform.

    References
    ----------
    Fang, Cooley, Long, Li, Kirby, Zhe, arXiv 2311.04465 (the model and the problems). Chen,
    Hosseini, Owhadi, Stuart, arXiv 2103.12959 (nonlinear equations).

    Examples
    --------
    A hundred periods on 400 points, where second-order finite differences have an error of 24 %.

    >>> import numpy as np
    >>> from solvers import Laplacian
    >>> x = np.linspace(0, 2 * np.pi, 400)
    >>> s = solve_pde(Laplacian(1), x, lambda x: -1e4 * np.sin(100 * x), (0.0, 0.0))
    >>> between = np.linspace(0, 2 * np.pi, 1000)
    >>> mean, variance = s.predict(between)
    >>> bool(np.abs(mean - np.sin(100 * between)).max() < 1e-10), s.extension
    (True, (1.5,))

    The derivative comes with it.

    >>> slope, _ = s.predict(between, order=1)
    >>> bool(np.abs(slope - 100 * np.cos(100 * between)).max() < 1e-8)
    True
    """
    problem, frame = as_problem(
        pde,
        grids,
        f,
        boundary,
        kernel=kernel,
        noise=noise,
        observations=observations,
        rtol=rtol,
        maxiter=maxiter,
        allow_float32=allow_float32,
    )
    check_choice("method", method, _METHODS)
    warn_if_aliased(problem, stacklevel=2)
    solution = _solver(method, problem.dim)(problem)
    return replace(solution, u=frame.cast(frame.asarray(solution.u)), frame=frame)


def _solver(method: str, dim: int) -> Callable[[Problem], PDESolution]:
    if method == "collocation":
        return solve_collocation
    if method == "differentiation":
        return solve_differentiation
    return solve_interval if dim == 1 else solve_plane

r"""Riesz equations on a rectangle, by tensor products of B-splines.

.. math:: \kappa_x R_x u + \kappa_y R_y u + c\,u = f, \qquad
          R_x = (-\partial_x^2)^{\alpha_x/2}, \; R_y = (-\partial_y^2)^{\alpha_y/2},

with the positive operator of one variable acting along each axis on u continued by zero. For the
matrix X of coefficients, F of values at the inner Greville points, and the matrices A and M of each
direction,

.. math:: \kappa_x A_x X M_y^T + \kappa_y M_x X A_y^T + c\,M_x X M_y^T = F.

The fast diagonalisation of Lynch, Rice and Thomas (1964) takes the pencil of each direction apart,
:math:`A V = M V \operatorname{diag}(\mu)` and :math:`W = (MV)^{-1}`:

.. math:: X = V_x\,\frac{W_x F W_y^T}{\kappa_x\mu_{x,i} + \kappa_y\mu_{y,j} + c}\,V_y^T,

four products of matrices. GMRES multiplies through the FFT instead, with the sine transform in both
variables and the symbols of the matrices for a preconditioner.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from numerics.arrays import (
    Array,
    as_arrays,
    as_float,
    broadcast_batch,
    check_choice,
    check_positive,
    check_real,
    frame_like,
)
from numerics.convergence import ConvergenceWarning
from solvers.riesz._arguments import as_interval, as_pair, check_number, host_values
from solvers.riesz._ends import end_means, singular, two_grid_factor
from solvers.riesz._spline import basis_product, carried, spline_basis
from solvers.riesz._tensor import TensorSystem
from solvers.riesz.collocation import RieszCollocation

_METHODS = ("diagonalization", "gmres")
_GMRES_RTOL = 1e-10
_ROUNDING = 100 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class RieszSolution2D:
    r"""Solution of a Riesz equation on a rectangle, to be called at points.

    Attributes
    ----------
    coefficients : array, shape (Nx, Ny)
        Of the tensor products of the inner B-splines; N = n + p - 2 in each direction.
    n, p : pair of int
        Cells and degree in each direction.
    domain : pair of pairs of float
        The rectangle.
    method : str
        "diagonalization" or "gmres".
    iterations : int
        Of GMRES; 0 for the direct method.
    residual_norm : float
        :math:`\lVert F - K X \rVert_2 / \lVert F \rVert_2` at the Greville points. Rounding X alone
        leaves :math:`\varepsilon n^\alpha` of it.
    converged : bool
        Whether GMRES met its tolerance, or the residual of the direct method is that of rounding.
    error_estimate : float
        Largest difference at the Greville points from the solution on half the cells, over
        :math:`2^{\alpha/2} - 1` with the smaller order: about the error where the edges are
        singular, and generous where they are not.
    singular_ends : bool
        Whether the data make the solution behave like :math:`\mathrm{dist}^{\alpha/2}` at an edge,
        so that the order of high degrees cannot show.

    Examples
    --------
    A symmetric solution, on a grid.

    >>> import numpy as np
    >>> u = solve_riesz_bvp_2d(np.ones((9, 9)), (8, 8), (3, 3), (1.5, 1.5))
    >>> x = np.linspace(0, 1, 5)
    >>> values = u(x[:, None], x[None, :])
    >>> bool(np.allclose(values, values.T, rtol=1e-12)), values.shape
    (True, (5, 5))
    """

    coefficients: Array
    n: tuple[int, int]
    p: tuple[int, int]
    domain: tuple[tuple[float, float], tuple[float, float]]
    method: str
    iterations: int
    residual_norm: float
    converged: bool
    error_estimate: float
    singular_ends: bool

    def __call__(self, x: Array, y: Array) -> Array:
        """Values of u at points whose coordinates broadcast; zero outside the rectangle.

        For a grid give ``x[:, None]`` and ``y[None, :]``: then the bases are multiplied, not the
        points. Torch results are differentiable in the coefficients, not in the points.
        """
        frame, x, y, coefficients = as_arrays(x=x, y=y, coefficients=self.coefficients)
        bases = []
        for name, points, n, p, (lower, upper) in zip(
            ("x", "y"), (x, y), self.n, self.p, self.domain, strict=True
        ):
            check_real(name, points, frame)
            unit = (host_values(frame, points) - lower) / (upper - lower)
            bases.append((unit.shape, spline_basis(unit.ravel(), n, p)))
        (x_shape, Bx), (y_shape, By) = bases
        coefficients = frame.double(coefficients)
        grid = len(x_shape) == len(y_shape) == 2 and x_shape[1] == y_shape[0] == 1
        if not grid:
            shape = broadcast_batch(x=x_shape, y=y_shape)
            pick = [
                np.broadcast_to(np.arange(basis.shape[0]).reshape(own), shape).ravel()
                for own, basis in bases
            ]
            Bx, By = Bx[pick[0]], By[pick[1]]
        product = basis_product(frame, Bx, coefficients)
        if grid:
            values = basis_product(frame, By, product.T).T
        elif frame.is_numpy:
            values = By.multiply(product).sum(axis=1)
        else:
            values = frame.xp.sum(product * frame.asarray(By.toarray()), axis=1)
        return frame.cast(values if grid else frame.xp.reshape(values, shape))


def solve_riesz_bvp_2d(
    f: Callable[[Array, Array], Array] | Array,
    n: tuple[int, int],
    p: tuple[int, int],
    alpha: tuple[float, float],
    *,
    kappa: tuple[float | Array, float | Array] = (1.0, 1.0),
    c: float | Array = 0.0,
    domain: tuple[tuple[float, float], tuple[float, float]] = ((0.0, 1.0), (0.0, 1.0)),
    method: str = "diagonalization",
    rtol: float | None = None,
) -> RieszSolution2D:
    r"""Solve :math:`\kappa_x R_x u + \kappa_y R_y u + c\,u = f` on a rectangle, u = 0 outside.

    :math:`R_x = (-\partial_x^2)^{\alpha_x/2}` and :math:`R_y` are positive operators, minus the
    Riesz derivatives along the axes.

    Parameters
    ----------
    f : callable or array, shape (Nx, Ny)
        Right-hand side: a function of x and y, which are both of shape (Nx, Ny), or its values at
        the inner Greville points, N = n + p - 2 in each direction.
    n, p : pair of int
        Cells and degree (2 to 10) in each direction.
    alpha : pair of float
        Orders, in (1, 2).
    kappa : pair of float or 0-d array
        Diffusion coefficients, positive.
    c : float or 0-d array
        Reaction coefficient, not negative.
    domain : pair of pairs of float
        The rectangle, ((x0, x1), (y0, y1)).
    method : {"diagonalization", "gmres"}
        Fast diagonalisation, dense in each direction: :math:`O(N_x^3 + N_y^3)`, direct, and
        differentiable for torch. Or GMRES with the sine-transform preconditioner,
        :math:`O(N_x N_y \log N_x N_y)` an iteration, NumPy only; its iterations grow with the
        degree (7 for p = 2, some 20 for p = 6, to 1e-8) and not with n.
    rtol : float, optional
        GMRES stops when the preconditioned residual is this small beside that of zero; 1e-10.

    Returns
    -------
    RieszSolution2D
        To be called at points. Its coefficients have the kind and precision of ``f`` and, for
        torch, are differentiable in ``f``, ``kappa`` and ``c``.

    Raises
    ------
    TypeError
        If an argument is complex or no number, or ``f`` a tensor with ``method="gmres"``.
    ValueError
        If an argument is out of range, ``f`` of another shape or not finite, a domain empty or
        reversed, or single precision asked for where nothing of it would be left.

    Warns
    -----
    ConvergenceWarning
        If GMRES does not meet ``rtol``.

    References
    ----------
    Mazza, Donatelli, Manni, Speleers, arXiv 2106.14834.

    Examples
    --------
    The equation of one variable, on each line: for :math:`\kappa_y \to 0` and :math:`f = f(x)` the
    middle line is what the first direction alone gives.

    >>> import math
    >>> u = solve_riesz_bvp_2d(
    ...     lambda x, y: 1 + 0 * x, (64, 8), (3, 3), (1.5, 1.5), kappa=(1, 1e-9)
    ... )
    >>> bool(abs(u(0.5, 0.5) - 0.25**0.75 / math.gamma(2.5)) < 1e-4)
    True
    >>> u.singular_ends
    True
    """
    check_choice("method", method, _METHODS)
    tolerance = _GMRES_RTOL if rtol is None else as_float("rtol", rtol, positive=True)
    (nx, ny), (px, py) = as_pair("n", n), as_pair("p", p)
    alpha_x, alpha_y = as_pair("alpha", alpha)
    system = TensorSystem(RieszCollocation(nx, px, alpha_x), RieszCollocation(ny, py, alpha_y))
    side_x, side_y = (as_interval("domain", side) for side in as_pair("domain", domain))
    kappa_x, kappa_y = as_pair("kappa", kappa)
    function = f if callable(f) else None
    if function is not None:
        frame = as_arrays(kappa_x=kappa_x, kappa_y=kappa_y, c=c)[0]
        f = function(*map(frame.asarray, _grid(system, side_x, side_y)))
    frame, f, kappa_x, kappa_y, c = as_arrays(f=f, kappa_x=kappa_x, kappa_y=kappa_y, c=c)
    check_real("f", f, frame)
    for name, value in (("kappa", kappa_x), ("kappa", kappa_y), ("c", c)):
        check_number(name, value, frame)
    check_positive("kappa", kappa_x, frame)
    check_positive("kappa", kappa_y, frame)
    if bool(c < 0):
        raise ValueError(f"c must not be negative, got {float(c)}")
    if tuple(f.shape) != system.shape:
        raise ValueError(f"f must have shape {system.shape}, got {tuple(f.shape)}")
    for matrix in (system.x, system.y):
        matrix.check_single("f", frame)
    if method == "gmres" and not frame.is_numpy:
        raise TypeError("f must be a NumPy array for method='gmres', got a tensor")

    factors = (
        kappa_x / (side_x[1] - side_x[0]) ** system.x.alpha,
        kappa_y / (side_y[1] - side_y[0]) ** system.y.alpha,
        c,
    )
    kx, ky, rate = (float(host_values(frame, factor)) for factor in factors)
    host_factors = (kx, ky, rate)
    F = host_values(frame, f)
    iterations = 0
    if method == "gmres":
        X, iterations, reached = system.gmres(F, host_factors, tolerance)
        coefficients = X
    else:
        coefficients = system.diagonalized(frame, frame.double(f), factors)
        X = host_values(frame, coefficients)
    residual = float(np.linalg.norm(F - system.apply(X, host_factors)))
    residual /= float(np.linalg.norm(F)) or 1.0
    if method == "gmres":
        converged = reached <= tolerance
    else:
        converged = residual <= _ROUNDING * max(system.x.scale, system.y.scale)
    if not converged:
        warnings.warn(
            f"{method} left a relative residual of {residual:.1e}", ConvergenceWarning, stacklevel=2
        )

    def values_on(other: TensorSystem) -> np.ndarray:
        if function is not None:
            return host_values(frame, function(*map(frame.asarray, _grid(other, side_x, side_y))))
        by_x = carried(F, system.points[0], other.points[0], degree=7)
        return carried(by_x, system.points[1], other.points[1], axis=1, degree=7)

    rtol = tolerance if method == "gmres" else None
    estimate, ends = _judged(system, X, values_on, host_factors, rtol)
    return RieszSolution2D(
        coefficients=frame.cast(coefficients),
        n=(system.x.n, system.y.n),
        p=(system.x.p, system.y.p),
        domain=(side_x, side_y),
        method=method,
        iterations=iterations,
        residual_norm=residual,
        converged=converged,
        error_estimate=estimate,
        singular_ends=ends,
    )


def _grid(system: TensorSystem, *sides: tuple[float, float]) -> list[np.ndarray]:
    axes = [
        lower + (upper - lower) * points
        for points, (lower, upper) in zip(system.points, sides, strict=True)
    ]
    return list(np.meshgrid(*axes, indexing="ij"))


def _judged(
    system: TensorSystem,
    X: np.ndarray,
    values_on: Callable[[TensorSystem], np.ndarray],
    factors: tuple[float, float, float],
    rtol: float | None,
) -> tuple[float, bool]:
    """Error estimate and singularity of the edges, from the system on half the cells."""
    along_x, along_y, u = system.images(X)
    means = [
        end_means(system.points[0], along_x, system.x.alpha),
        end_means(system.points[1], along_y.T, system.y.alpha),
    ]
    coarse = system.coarser()
    if coarse is None:
        return float(np.max(np.abs(u))), any(singular(mean, None) for mean in means)
    values = values_on(coarse)
    if rtol is None:
        X = coarse.diagonalized(frame_like(None), values, factors)
    else:
        X, _, _ = coarse.gmres(values, factors, rtol)
    Bx, By = (
        spline_basis(points, A.n, A.p)
        for points, A in zip(system.points, (coarse.x, coarse.y), strict=True)
    )
    difference = float(np.max(np.abs(u - (By @ (Bx @ X).T).T)))
    estimate = difference * two_grid_factor(min(system.x.alpha, system.y.alpha))
    along_x, along_y, _ = coarse.images(X)
    coarse_means = [
        end_means(coarse.points[0], along_x, coarse.x.alpha),
        end_means(coarse.points[1], along_y.T, coarse.y.alpha),
    ]
    return estimate, any(map(singular, means, coarse_means))

r"""The objective of GP-HM (arXiv 2311.04465), as its authors compute it.

The values U on a grid of :math:`n_1 \times \dots \times n_d` points, d = 1 or 2, are free
parameters beside those of the kernels. With the kernel matrices :math:`C_j` of each axis, a nugget
on their diagonals, derivatives on the grid are those of the conditional mean,
:math:`\partial_1^n U = C_1^{(n)} C_1^{-1} U`, and the quantity that is minimised is

.. math:: \sum_j \frac{M}{2 n_j} \log\lvert C_j\rvert
          + \frac12 \mathrm{vec}(U)^T (C_1 \otimes \cdots \otimes C_d)^{-1} \mathrm{vec}(U)
          + \frac{\lambda_b}{2} \left( e^{\tau} g_b - N_b \tau \right)
          + \frac12 \left( e^{v} g_e - M v \right),

where M is the number of points, :math:`g_b` the sum of squares of what U differs by from the
boundary data at :math:`N_b` points (corners counted once an edge) and :math:`g_e` that of the
equation's residual at all points. Since :math:`\tau` and v are free it is not bounded below. It
is here as the baseline that the published method is: :func:`solve_pde` poses no such search.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numerics.arrays import (
    Array,
    Frame,
    as_arrays,
    as_float,
    check_choice,
    check_real,
)
from numerics.kronecker import kronecker_logdet
from solvers.gp_pde.derivative_matrices import kernel_derivative_matrix
from solvers.gp_pde.spectral_mixture import SpectralMixture

EQUATIONS = ("advection", "allen-cahn", "poisson")
PER_AXIS = ("log_w", "log_ls", "freq")


def gphm_objective(
    U: Array,
    params: Mapping[str, Any],
    *,
    grids: Sequence[Array],
    source: Array,
    boundary: Sequence[Array],
    equation: str,
    envelope: str = "matern",
    lambda_b: float = 200.0,
    jitter: float = 1e-6,
    beta: float = 200.0,
) -> Array:
    r"""Quantity that the published method minimises over values on a grid and over the kernels.

    Parameters
    ----------
    U : array, shape (n_1,) or (n_1, n_2)
        Values of the solution on the grid.
    params : dict
        "log_w", "log_ls" and "freq": lists with an array of shape (Q,) for each axis, the logarithm
        of the weights, that of the published length parameter, and the frequencies in cycles.
        "log_tau" and "log_v": numbers, the logarithms of the precisions of boundary and equation.
        The length parameter is :math:`1/\ell` of the Matern envelope and
        :math:`b` of the Gaussian :math:`e^{-b r^2}`; in terms of the spectral scale,
        :math:`2\pi\rho` and :math:`2\pi^2\rho^2`.
    grids : sequence of arrays, shapes (n_j,)
        Points of each axis, ends included.
    source : array, shape of U
        Right-hand side of the equation.
    boundary : sequence of arrays
        Values at the first and last point of the first axis, then of the second: two numbers for
        one axis; arrays of shapes (n_2,), (n_2,), (n_1,), (n_1,) for two.
    equation : {"poisson", "allen-cahn", "advection"}
        :math:`\Delta u`, :math:`\Delta u + u(u^2 - 1)`, or :math:`\beta u_x + u_t` on the axes
        (x, t).
    envelope : {"matern", "gaussian"}
        Of the kernels: Matern 5/2 or Gaussian, times cosines.
    lambda_b : float
        Weight of the boundary.
    jitter : float
        Nugget of the kernel matrices, not of their derivatives.
    beta : float
        Speed of the advection.

    Returns
    -------
    array, 0-d
        Kind and precision of the arguments. Differentiable in torch in U and in all of params.

    Raises
    ------
    TypeError
        For complex values and mixed array libraries.
    ValueError
        For shapes that do not fit, missing parameters, and an unknown equation or envelope.

    See Also
    --------
    solve_pde : what to solve an equation with.

    References
    ----------
    Fang, Cooley, Long, Li, Kirby, Zhe, arXiv 2311.04465, and the code released with it.

    Examples
    --------
    The gradient in a logarithm of precision is what is left of the data: half their weighted
    number, when the values fit them exactly.

    >>> import torch
    >>> x = torch.linspace(0, 1, 9, dtype=torch.float64)
    >>> one = torch.zeros(1, dtype=torch.float64)
    >>> tau = torch.zeros((), dtype=torch.float64, requires_grad=True)
    >>> params = {"log_w": [one], "log_ls": [one], "freq": [one], "log_tau": tau, "log_v": 0.0}
    >>> value = gphm_objective(
    ...     x**2, params, grids=[x], source=2 + 0 * x, boundary=[0.0, 1.0], equation="poisson"
    ... )
    >>> value.backward()
    >>> tau.grad.item()
    -200.0
    """
    frame, problem, U, params = checked_problem(
        U,
        params,
        grids=grids,
        source=source,
        boundary=boundary,
        equation=equation,
        envelope=envelope,
        lambda_b=lambda_b,
        jitter=jitter,
        beta=beta,
    )
    return frame.cast(problem.evaluate(U, params).objective)


@dataclass(frozen=True)
class Terms:
    """The objective, and the mean squares of what it should bring to zero."""

    objective: Array
    boundary_gap: Array
    equation_gap: Array


@dataclass(frozen=True)
class GphmProblem:
    """Checked data of an objective, in double precision."""

    frame: Frame
    grids: tuple[Array, ...]
    source: Array
    boundary: tuple[Array, ...]
    equation: str
    envelope: str
    lambda_b: float
    jitter: float
    beta: float

    def evaluate(self, U: Array, params: Mapping[str, Any]) -> Terms:
        """The objective at checked values and parameters."""
        xp = self.frame.xp
        kernels = self.kernels(params)
        C = [self.covariance(j, kernel) for j, kernel in enumerate(kernels)]
        solved = [xp.linalg.solve(C[0], U if U.ndim == 2 else U[:, None])]
        if U.ndim == 2:
            solved.append(xp.linalg.solve(C[1], U.T))
        residual = self._residual(U, kernels, solved)
        edges = [side for j in range(U.ndim) for side in (_at(U, j, 0), _at(U, j, -1))]
        g_b = sum(
            xp.sum((edge - data) ** 2) for edge, data in zip(edges, self.boundary, strict=True)
        )
        g_e = xp.sum((residual - self.source) ** 2)
        N_b, M = sum(math.prod(edge.shape) for edge in edges), math.prod(U.shape)
        fit = xp.sum(U * solved[0][:, 0]) if U.ndim == 1 else xp.sum(solved[0] * solved[1].T)
        tau, v = params["log_tau"], params["log_v"]
        objective = (
            0.5 * kronecker_logdet(C)
            + 0.5 * fit
            + 0.5 * self.lambda_b * (xp.exp(tau) * g_b - N_b * tau)
            + 0.5 * (xp.exp(v) * g_e - M * v)
        )
        return Terms(objective, g_b / N_b, g_e / M)

    def kernels(self, params: Mapping[str, Any]) -> list[SpectralMixture]:
        """The spectral mixture of each axis."""
        xp = self.frame.xp
        kernels = []
        for log_w, log_ls, freq in zip(*(params[name] for name in PER_AXIS), strict=True):
            if self.envelope == "matern":
                scales = xp.exp(log_ls) / (2 * math.pi)
            else:
                scales = xp.exp(log_ls / 2) / (math.sqrt(2) * math.pi)
            mixture = SpectralMixture(xp.exp(log_w), freq, scales, envelope=self.envelope, nu=2.5)
            kernels.append(mixture)
        return kernels

    def covariance(self, axis: int, kernel: SpectralMixture) -> Array:
        """Kernel matrix of an axis, with the nugget."""
        xp, x = self.frame.xp, self.grids[axis]
        C = kernel_derivative_matrix(x, x, kernel)
        return C + self.jitter * xp.eye(x.shape[0], dtype=C.dtype, device=self.frame.device)

    def _residual(self, U: Array, kernels: list[SpectralMixture], solved: list[Array]) -> Array:
        order = 1 if self.equation == "advection" else 2
        parts = []
        for x, kernel, values in zip(self.grids, kernels, solved, strict=True):
            parts.append(kernel_derivative_matrix(x, x, kernel, order=(order, 0)) @ values)
        if U.ndim == 1:
            residual = parts[0][:, 0]
        elif self.equation == "advection":
            residual = self.beta * parts[0] + parts[1].T
        else:
            residual = parts[0] + parts[1].T
        return residual + U * (U**2 - 1) if self.equation == "allen-cahn" else residual


def checked_problem(
    U: Array,
    params: Mapping[str, Any],
    *,
    grids: Sequence[Array],
    source: Array,
    boundary: Sequence[Array],
    equation: str,
    envelope: str,
    lambda_b: float,
    jitter: float,
    beta: float,
) -> tuple[Frame, GphmProblem, Array, dict[str, Any]]:
    """Validate; everything in double precision and in one frame."""
    check_choice("equation", equation, EQUATIONS)
    check_choice("envelope", envelope, ("gaussian", "matern"))
    lambda_b, jitter = as_float("lambda_b", lambda_b), as_float("jitter", jitter)
    if lambda_b < 0 or jitter < 0:
        raise ValueError(f"lambda_b and jitter must not be negative, got {lambda_b} and {jitter}")
    beta = as_float("beta", beta)
    d = len(grids)
    if d not in ((2,) if equation == "advection" else (1, 2)):
        raise ValueError(f"grids must have an axis or two (two for advection), got {d}")
    if len(boundary) != 2 * d:
        raise ValueError(f"boundary must have {2 * d} sides, got {len(boundary)}")
    named = {"U": U, "source": source}
    named |= {f"grids[{j}]": grid for j, grid in enumerate(grids)}
    named |= {f"boundary[{j}]": data for j, data in enumerate(boundary)}
    named |= _named_parameters(params, d)
    frame, *values = as_arrays(**named)
    checked = dict(zip(named, map(frame.double, values), strict=True))
    for name, array in checked.items():
        check_real(name, array, frame)
    U = checked["U"]
    for j in range(d):
        _check_exactly(f"grids[{j}]", checked[f"grids[{j}]"], (U.shape[j] if U.ndim == d else -1,))
    _check_exactly("source", checked["source"], tuple(U.shape))
    for j in range(2 * d):
        side = tuple(size for axis, size in enumerate(U.shape) if axis != j // 2)
        _check_exactly(f"boundary[{j}]", checked[f"boundary[{j}]"], side)
    problem = GphmProblem(
        frame,
        tuple(checked[f"grids[{j}]"] for j in range(d)),
        checked["source"],
        tuple(checked[f"boundary[{j}]"] for j in range(2 * d)),
        equation,
        envelope,
        lambda_b,
        jitter,
        beta,
    )
    mixtures = {name: [checked[f"{name}[{j}]"] for j in range(d)] for name in PER_AXIS}
    precisions = {name: checked[name] for name in ("log_tau", "log_v")}
    return frame, problem, U, mixtures | precisions


def _named_parameters(params: Mapping[str, Any], d: int) -> dict[str, Any]:
    wanted = (*PER_AXIS, "log_tau", "log_v")
    if set(params) != set(wanted):
        raise ValueError(f"params must have the keys {', '.join(wanted)}; got {', '.join(params)}")
    named = {name: params[name] for name in ("log_tau", "log_v")}
    for name in PER_AXIS:
        if len(params[name]) != d:
            raise ValueError(f"{name} must have an array for each of {d} axes")
        named |= {f"{name}[{j}]": params[name][j] for j in range(d)}
    return named


def _check_exactly(name: str, array: Array, shape: tuple[int, ...]) -> None:
    if tuple(array.shape) != shape:
        raise ValueError(f"{name} must have shape {shape}, got {tuple(array.shape)}")


def _at(U: Array, axis: int, end: int) -> Array:
    return U[end] if axis == 0 else U[:, end]

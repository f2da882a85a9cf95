"""Classical solvers beside the Gaussian processes: Chebyshev points, and finite differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse
import scipy.sparse.linalg
from scipy.interpolate import BarycentricInterpolator, RegularGridInterpolator

from benchmarks._gp_pde_problems import SPEED, Manufactured

_NEWTON_STEPS = 20


def chebyshev_collocation(problem: Manufactured) -> np.ndarray:
    """Values on the test grid, by as many Chebyshev points an axis as the problem's grid has.

    By a dense solve on one axis, eigendecompositions of the second derivatives in the plane,
    within Newton's method for Allen-Cahn's equation, and one Bartels-Stewart solve for advection.
    """
    nodes, first, second = [], [], []
    for (low, high), n in zip(problem.ends, problem.points, strict=True):
        x, D = _differentiation(n)
        nodes.append((low + high) / 2 + (high - low) / 2 * x)
        first.append(2 / (high - low) * D)
        second.append(first[-1] @ first[-1])
    mesh = np.meshgrid(*nodes, indexing="ij")
    U = problem.u(*mesh)
    F = problem.source(*mesh)
    if problem.equation == "advection":
        # Points run downwards: the last one is where x and t begin.
        X, T = SPEED * first[0], first[1]
        right = F[:-1, :-1] - X[:-1, -1:] * U[-1:, :-1] - U[:-1, -1:] * T[:-1, -1]
        U[:-1, :-1] = scipy.linalg.solve_sylvester(X[:-1, :-1], T[:-1, :-1].T, right)
    else:
        inside = (slice(1, -1),) * problem.dim
        operator = _Laplacian([D[1:-1, 1:-1] for D in second])
        zero_inside = U.copy()
        zero_inside[inside] = 0
        right = F[inside] - _laplacian(second, zero_inside)[inside]
        U[inside] = (
            operator.solve(right) if problem.equation == "poisson" else _newton(operator, right)
        )
    for axis, (x, points) in enumerate(zip(nodes, problem.test_points(), strict=True)):
        U = np.moveaxis(_interpolated(x, np.moveaxis(U, axis, 0), points), 0, axis)
    return U


def finite_differences(problem: Manufactured) -> np.ndarray:
    """Values on the test grid, by second-order differences on the problem's grid and cubics.

    For Poisson's equation. Between grid points a spline of degree five loses nothing beside it.
    """
    grids = problem.grids
    mesh = np.meshgrid(*grids, indexing="ij")
    U, F = problem.u(*mesh), problem.source(*mesh)
    inside = (slice(1, -1),) * problem.dim
    operators = []
    right = F[inside].copy()
    for axis, x in enumerate(grids):
        n, h = len(x) - 2, x[1] - x[0]
        operators.append(
            scipy.sparse.diags_array([1.0, -2.0, 1.0], offsets=[-1, 0, 1], shape=(n, n)) / h**2
        )
        known, sides = np.moveaxis(right, axis, 0), np.moveaxis(U, axis, 0)
        across = (slice(1, -1),) * (problem.dim - 1)
        for end in (slice(0, 1), slice(-1, None)):
            known[end] -= sides[(end, *across)] / h**2
    if problem.dim == 1:
        A = operators[0]
    else:
        A = scipy.sparse.kronsum(operators[1], operators[0])
    U[inside] = scipy.sparse.linalg.spsolve(A.tocsc(), right.ravel()).reshape(right.shape)
    spline = RegularGridInterpolator(grids, U, method="quintic")
    points = np.stack(np.meshgrid(*problem.test_points(), indexing="ij"), axis=-1)
    return spline(points)


def _differentiation(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Chebyshev points from 1 down to -1, and the matrix of the derivative.

    Differences of points are products of sines, and diagonal entries minus the sum of their row.
    """
    k = np.arange(n)
    x = np.sin(np.pi * (n - 1 - 2 * k) / (2 * (n - 1)))
    c = np.where((k == 0) | (k == n - 1), 2.0, 1.0) * (-1.0) ** k
    angle = np.pi * k / (n - 1)
    difference = 2 * np.sin((angle[:, None] + angle) / 2) * np.sin((angle - angle[:, None]) / 2)
    D = c[:, None] / c / (difference + np.eye(n))
    D -= np.diag(D.sum(axis=1))
    return x, D


class _Laplacian:
    """Sum of second derivatives along the axes; in the plane inverted by their eigenvectors."""

    def __init__(self, second: list[np.ndarray]) -> None:
        self.second = second
        if len(second) == 2:
            self.spectra = [np.linalg.eig(D) for D in second]
            self.inverses = [np.linalg.inv(vectors) for _, vectors in self.spectra]
            self.values = sum(np.ix_(*(values for values, _ in self.spectra)))

    def solve(self, right: np.ndarray, shift: float = 0.0) -> np.ndarray:
        if len(self.second) == 1:
            return np.linalg.solve(self.second[0] + shift * np.eye(len(right)), right)
        coefficients = right
        for axis, inverse in enumerate(self.inverses):
            coefficients = _along(inverse, coefficients, axis)
        coefficients = coefficients / (self.values + shift)
        for axis, (_, vectors) in enumerate(self.spectra):
            coefficients = _along(vectors, coefficients, axis)
        return coefficients.real

    def newton_step(self, residual: np.ndarray, slope: np.ndarray) -> np.ndarray:
        """Solve with the slope of the reaction added; in the plane by GMRES, inverting its mean."""
        if len(self.second) == 1:
            return np.linalg.solve(self.second[0] + np.diag(slope), residual)

        def forward(x: np.ndarray) -> np.ndarray:
            x = x.reshape(slope.shape)
            return (_laplacian(self.second, x) + slope * x).ravel()

        def inverse(x: np.ndarray) -> np.ndarray:
            return self.solve(x.reshape(slope.shape), slope.mean()).ravel()

        shape = (slope.size, slope.size)
        A, M = (scipy.sparse.linalg.LinearOperator(shape, matvec=f) for f in (forward, inverse))
        step, _ = scipy.sparse.linalg.gmres(A, residual.ravel(), M=M, rtol=1e-10, maxiter=3)
        return step.reshape(slope.shape)


def _newton(operator: _Laplacian, right: np.ndarray) -> np.ndarray:
    """Solution of Allen-Cahn's equation, from zero."""
    u = np.zeros_like(right)
    for _ in range(_NEWTON_STEPS):
        residual = _laplacian(operator.second, u) + u * (u**2 - 1) - right
        step = operator.newton_step(residual, 3 * u**2 - 1)
        u = u - step
        if np.linalg.norm(step) <= 1e-11 * np.linalg.norm(u):
            break
    return u


def _laplacian(second: list[np.ndarray], U: np.ndarray) -> np.ndarray:
    return sum(_along(D, U, axis) for axis, D in enumerate(second))


def _along(D: np.ndarray, U: np.ndarray, axis: int) -> np.ndarray:
    return np.moveaxis(np.tensordot(D, U, axes=(1, axis)), 0, axis)


def _interpolated(x: np.ndarray, values: np.ndarray, points: np.ndarray) -> Any:
    k = np.arange(len(x))
    weights = (-1.0) ** k * np.where((k == 0) | (k == len(x) - 1), 0.5, 1.0)
    return BarycentricInterpolator(x, values, wi=weights)(points)

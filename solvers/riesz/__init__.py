"""Equations with the Riesz operator: B-spline collocation, and the schemes it is held against."""

from solvers.riesz.bvp import RieszSolution, solve_riesz_bvp
from solvers.riesz.centred import fractional_centred_coefficients
from solvers.riesz.collocation import RieszCollocation, riesz_collocation_matrix
from solvers.riesz.derivative import bspline_fractional_derivative
from solvers.riesz.diffusion import DiffusionSolution, riesz_diffusion
from solvers.riesz.eigenvalues import RieszEigenvalues, riesz_eigenvalues
from solvers.riesz.jacobi import JacobiSolution, jacobi_riesz_solve
from solvers.riesz.plane import RieszSolution2D, solve_riesz_bvp_2d
from solvers.riesz.symbol import (
    advection_symbol,
    mass_symbol,
    riesz_symbol,
    riesz_toeplitz_coefficients,
)

__all__ = [
    "DiffusionSolution",
    "JacobiSolution",
    "RieszCollocation",
    "RieszEigenvalues",
    "RieszSolution",
    "RieszSolution2D",
    "advection_symbol",
    "bspline_fractional_derivative",
    "fractional_centred_coefficients",
    "jacobi_riesz_solve",
    "mass_symbol",
    "riesz_collocation_matrix",
    "riesz_diffusion",
    "riesz_eigenvalues",
    "riesz_symbol",
    "riesz_toeplitz_coefficients",
    "solve_riesz_bvp",
    "solve_riesz_bvp_2d",
]

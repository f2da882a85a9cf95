"""Equations and estimates: relaxation, sketched regression, collocation, inverse problems."""

from solvers.riesz import (
    DiffusionSolution,
    JacobiSolution,
    RieszCollocation,
    RieszEigenvalues,
    RieszSolution2D,
    advection_symbol,
    bspline_fractional_derivative,
    fractional_centred_coefficients,
    jacobi_riesz_solve,
    mass_symbol,
    riesz_collocation_matrix,
    riesz_diffusion,
    riesz_eigenvalues,
    riesz_symbol,
    riesz_toeplitz_coefficients,
    solve_riesz_bvp_2d,
)

__all__ = [
    "DiffusionSolution",
    "JacobiSolution",
    "RieszCollocation",
    "RieszEigenvalues",
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
    "solve_riesz_bvp_2d",
]

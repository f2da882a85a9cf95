"""Equations and estimates: relaxation, sketched regression, collocation, inverse problems."""

from solvers.riesz import (
    JacobiSolution,
    RieszCollocation,
    advection_symbol,
    bspline_fractional_derivative,
    fractional_centred_coefficients,
    jacobi_riesz_solve,
    mass_symbol,
    riesz_collocation_matrix,
    riesz_symbol,
    riesz_toeplitz_coefficients,
)

__all__ = [
    "JacobiSolution",
    "RieszCollocation",
    "advection_symbol",
    "bspline_fractional_derivative",
    "fractional_centred_coefficients",
    "jacobi_riesz_solve",
    "mass_symbol",
    "riesz_collocation_matrix",
    "riesz_symbol",
    "riesz_toeplitz_coefficients",
]

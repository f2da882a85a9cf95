"""Equations and estimates: relaxation, sketched regression, collocation, inverse problems."""

from solvers.riesz import (
    JacobiSolution,
    fractional_centred_coefficients,
    jacobi_riesz_solve,
)

__all__ = [
    "JacobiSolution",
    "fractional_centred_coefficients",
    "jacobi_riesz_solve",
]

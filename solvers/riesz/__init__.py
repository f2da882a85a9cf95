"""Equations with the Riesz operator: B-spline collocation, and the schemes it is held against."""

from solvers.riesz.centred import fractional_centred_coefficients
from solvers.riesz.jacobi import JacobiSolution, jacobi_riesz_solve

__all__ = [
    "JacobiSolution",
    "fractional_centred_coefficients",
    "jacobi_riesz_solve",
]

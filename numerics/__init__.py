"""Matrices with structure, and the array plumbing that everything else stands on."""

from numerics.bsplines import bspline_collocation_matrix, greville_abscissae, open_uniform_knots
from numerics.matrix_functions import expm

__all__ = ["bspline_collocation_matrix", "expm", "greville_abscissae", "open_uniform_knots"]

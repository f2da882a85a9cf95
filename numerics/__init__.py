"""Matrices with structure, and the array plumbing that everything else stands on."""

from numerics.matrix_functions import expm

__all__ = ["expm"]

"""Regression with many more rows than columns: sketched with bounds, or to full accuracy."""

from solvers.regression.bounds import linf_ratio, linf_row_count
from solvers.regression.full_accuracy import LstsqSolution, lstsq
from solvers.regression.kronecker import kronecker_lstsq
from solvers.regression.refinement import refine
from solvers.regression.sketched import SketchedSolution, sketched_lstsq

__all__ = [
    "LstsqSolution",
    "SketchedSolution",
    "kronecker_lstsq",
    "linf_ratio",
    "linf_row_count",
    "lstsq",
    "refine",
    "sketched_lstsq",
]

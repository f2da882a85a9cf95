"""Gaussian processes that solve partial differential equations: spectral mixtures as kernels."""

from solvers.gp_pde.collocation import GPSolution, gp_collocation
from solvers.gp_pde.conditions import Dirichlet, Neumann, Periodic
from solvers.gp_pde.derivative_matrices import (
    kernel_derivative_matrix,
    kernel_differentiation_matrix,
)
from solvers.gp_pde.equations import PDE, Advection, Laplacian, LinearOperator, LinearOperator1D
from solvers.gp_pde.gphm import gphm_objective
from solvers.gp_pde.kronecker_gp import KroneckerGP, KroneckerPosterior
from solvers.gp_pde.parameters import ParameterFit, fit_pde_parameters
from solvers.gp_pde.periodogram import spectral_init
from solvers.gp_pde.solution import PDESolution
from solvers.gp_pde.solve import solve_pde
from solvers.gp_pde.spectral_mixture import (
    SpectralMixture,
    spectral_density,
    spectral_mixture_kernel,
    student_t_to_matern,
)
from solvers.gp_pde.spectrum_fit import SpectrumFit, fit_spectrum

__all__ = [  # noqa: RUF022 - PDE is a word, not a constant
    "Advection",
    "Dirichlet",
    "GPSolution",
    "KroneckerGP",
    "KroneckerPosterior",
    "Laplacian",
    "LinearOperator",
    "LinearOperator1D",
    "Neumann",
    "PDE",
    "PDESolution",
    "ParameterFit",
    "Periodic",
    "SpectralMixture",
    "SpectrumFit",
    "fit_pde_parameters",
    "fit_spectrum",
    "gp_collocation",
    "gphm_objective",
    "kernel_derivative_matrix",
    "kernel_differentiation_matrix",
    "solve_pde",
    "spectral_density",
    "spectral_init",
    "spectral_mixture_kernel",
    "student_t_to_matern",
]

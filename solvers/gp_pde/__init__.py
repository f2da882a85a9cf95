"""Gaussian processes that solve partial differential equations: spectral mixtures as kernels."""

from solvers.gp_pde.spectral_mixture import (
    SpectralMixture,
    spectral_density,
    spectral_mixture_kernel,
    student_t_to_matern,
)

__all__ = [
    "SpectralMixture",
    "spectral_density",
    "spectral_mixture_kernel",
    "student_t_to_matern",
]

r"""Spectral mixtures in GPyTorch, and product kernels on grids as linear operators.

* :class:`StudentTMixtureKernel`, the mixture with the Matern envelope, beside GPyTorch's
  ``SpectralMixtureKernel``;
* :func:`to_gpytorch` and :func:`from_gpytorch`, between both and :class:`solvers.SpectralMixture`;
* :func:`grid_covariance`, a :class:`KroneckerCovariance` with one factor an axis.
"""

from solvers.gp_pde._gpytorch_conversion import from_gpytorch, to_gpytorch
from solvers.gp_pde._grid_covariance import KroneckerCovariance, grid_covariance
from solvers.gp_pde._student_t_kernel import StudentTMixtureKernel

__all__ = [
    "KroneckerCovariance",
    "StudentTMixtureKernel",
    "from_gpytorch",
    "grid_covariance",
    "to_gpytorch",
]

"""Linear state-space models: bases, kernels, recurrences."""

from ssm.companion import (
    companion_c_tilde,
    companion_extend,
    companion_forecast,
    companion_kernel,
    companion_matrix,
    normalize_companion,
)
from ssm.convolution import delayed_form, ssm_conv, ssm_recurrent
from ssm.discretization import discretize, foh_gain, phi1
from ssm.hippo import hippo_low_rank, hippo_matrices
from ssm.kernels import dense_kernel, dss_kernel, vandermonde_kernel, vandermonde_matvec
from ssm.online_legs import legs_project_online
from ssm.projection import hippo_project
from ssm.reconstruction import hippo_reconstruct

__all__ = [
    "companion_c_tilde",
    "companion_extend",
    "companion_forecast",
    "companion_kernel",
    "companion_matrix",
    "delayed_form",
    "dense_kernel",
    "discretize",
    "dss_kernel",
    "foh_gain",
    "hippo_low_rank",
    "hippo_matrices",
    "hippo_project",
    "hippo_reconstruct",
    "legs_project_online",
    "normalize_companion",
    "phi1",
    "ssm_conv",
    "ssm_recurrent",
    "vandermonde_kernel",
    "vandermonde_matvec",
]

"""Linear state-space models: bases, kernels, recurrences."""

from ssm.basis import hippo_basis, hippo_measure
from ssm.cauchy import cauchy_matvec
from ssm.classical import (
    ar_to_companion,
    arima_to_companion,
    arma_to_companion,
    differencing_kernel,
    moving_average_residual_kernel,
)
from ssm.companion import (
    companion_c_tilde,
    companion_extend,
    companion_forecast,
    companion_kernel,
    companion_matrix,
    normalize_companion,
)
from ssm.convolution import delayed_form, ssm_conv, ssm_recurrent
from ssm.delta_product import delta_rule
from ssm.diagonal import s4d_init, stable_real_part, unconstrained_real_part
from ssm.discretization import discretize, foh_gain, phi1
from ssm.dplr import dplr_c_tilde, dplr_kernel, state_kernel
from ssm.dplr_dynamics import dplr_recurrence, dplr_to_dense
from ssm.exponential_smoothing import holt_to_ssm, holt_winters_to_ssm, ses_to_ssm
from ssm.groups import group_representation
from ssm.hippo import hippo_low_rank, hippo_matrices
from ssm.householder import householder_product, min_reflections, reflections
from ssm.kernels import dense_kernel, dss_kernel, vandermonde_kernel, vandermonde_matvec
from ssm.online_legs import legs_project_online
from ssm.projection import hippo_project
from ssm.reconstruction import hippo_reconstruct
from ssm.scan import linear_scan
from ssm.spectrum import legs_spectrum, nplr
from ssm.transfer import hippo_transfer
from ssm.word_problems import word_problem

__all__ = [
    "ar_to_companion",
    "arima_to_companion",
    "arma_to_companion",
    "cauchy_matvec",
    "companion_c_tilde",
    "companion_extend",
    "companion_forecast",
    "companion_kernel",
    "companion_matrix",
    "delayed_form",
    "delta_rule",
    "dense_kernel",
    "differencing_kernel",
    "discretize",
    "dplr_c_tilde",
    "dplr_kernel",
    "dplr_recurrence",
    "dplr_to_dense",
    "dss_kernel",
    "foh_gain",
    "group_representation",
    "hippo_basis",
    "hippo_low_rank",
    "hippo_matrices",
    "hippo_measure",
    "hippo_project",
    "hippo_reconstruct",
    "hippo_transfer",
    "holt_to_ssm",
    "holt_winters_to_ssm",
    "householder_product",
    "legs_project_online",
    "legs_spectrum",
    "linear_scan",
    "min_reflections",
    "moving_average_residual_kernel",
    "normalize_companion",
    "nplr",
    "phi1",
    "reflections",
    "s4d_init",
    "ses_to_ssm",
    "ssm_conv",
    "ssm_recurrent",
    "stable_real_part",
    "state_kernel",
    "unconstrained_real_part",
    "vandermonde_kernel",
    "vandermonde_matvec",
    "word_problem",
]

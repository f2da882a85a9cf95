"""Linear state-space models: bases, kernels, recurrences."""

from ssm.discretization import discretize, foh_gain, phi1

__all__ = [
    "discretize",
    "foh_gain",
    "phi1",
]

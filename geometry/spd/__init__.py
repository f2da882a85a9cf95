"""Positive definite matrices: their functions, metrics, distances, geodesics and transports."""

from geometry.spd.lyapunov_equation import lyapunov
from geometry.spd.spectral import expm, invsqrtm, logm, powm, sqrtm

__all__ = [
    "expm",
    "invsqrtm",
    "logm",
    "lyapunov",
    "powm",
    "sqrtm",
]

"""Positive definite matrices: their functions, metrics, distances, geodesics and transports."""

from geometry.spd.lyapunov_equation import lyapunov
from geometry.spd.manifold import (
    distance,
    exp,
    geodesic,
    inner,
    log,
    norm,
    parallel_transport,
)
from geometry.spd.spectral import expm, invsqrtm, logm, powm, sqrtm

__all__ = [
    "distance",
    "exp",
    "expm",
    "geodesic",
    "inner",
    "invsqrtm",
    "log",
    "logm",
    "lyapunov",
    "norm",
    "parallel_transport",
    "powm",
    "sqrtm",
]

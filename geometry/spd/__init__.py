"""Positive definite matrices: their functions, metrics, distances, geodesics and transports."""

from geometry.spd.augmented import augmented_covariance, delay_embedding, yule_walker
from geometry.spd.batch_normalization import NormalizedBatch, batch_normalize
from geometry.spd.bures_wasserstein import optimal_transport_map
from geometry.spd.embedding_selection import (
    average_mutual_information,
    cao_e1,
    select_embedding,
)
from geometry.spd.frechet import FrechetMean, frechet_mean, frechet_variance
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
from geometry.spd.mdop import MdopEmbedding, mdop_embedding
from geometry.spd.pairwise import pairwise_distance
from geometry.spd.spectral import expm, invsqrtm, logm, powm, sqrtm

__all__ = [
    "FrechetMean",
    "MdopEmbedding",
    "NormalizedBatch",
    "augmented_covariance",
    "average_mutual_information",
    "batch_normalize",
    "cao_e1",
    "delay_embedding",
    "distance",
    "exp",
    "expm",
    "frechet_mean",
    "frechet_variance",
    "geodesic",
    "inner",
    "invsqrtm",
    "log",
    "logm",
    "lyapunov",
    "mdop_embedding",
    "norm",
    "optimal_transport_map",
    "pairwise_distance",
    "parallel_transport",
    "powm",
    "select_embedding",
    "sqrtm",
    "yule_walker",
]

"""Random sketches of tall matrices: dense and sparse, streamed, with what is known of each."""

from numerics.sketching.kronecker_rows import tensor_srht
from numerics.sketching.linear_sketch import Guarantee, Sketch
from numerics.sketching.pooling import gaussian_pooled
from numerics.sketching.product_error import oce_beta
from numerics.sketching.random_entries import ams_sketch, gaussian_sketch
from numerics.sketching.sparse_columns import countsketch, osnap
from numerics.sketching.streaming import sketch
from numerics.sketching.subsampled_cosine import srct
from numerics.sketching.subsampled_hadamard import srht

__all__ = [
    "Guarantee",
    "Sketch",
    "ams_sketch",
    "countsketch",
    "gaussian_pooled",
    "gaussian_sketch",
    "oce_beta",
    "osnap",
    "sketch",
    "srct",
    "srht",
    "tensor_srht",
]

"""Random sketches of tall matrices: dense and sparse, streamed, with what is known of each."""

from numerics.sketching.linear_sketch import Guarantee, Sketch
from numerics.sketching.random_entries import ams_sketch, gaussian_sketch
from numerics.sketching.sparse_columns import countsketch, osnap
from numerics.sketching.streaming import sketch
from numerics.sketching.subsampled_hadamard import srht

__all__ = [
    "Guarantee",
    "Sketch",
    "ams_sketch",
    "countsketch",
    "gaussian_sketch",
    "osnap",
    "sketch",
    "srht",
]

"""Orthogonal operators that are applied, composed and transposed without being formed."""

from numerics.orthogonal.block_orthogonal import BlockOrthogonal
from numerics.orthogonal.butterfly import Butterfly
from numerics.orthogonal.cayley_transform import cayley, cayley_low_rank
from numerics.orthogonal.haar import haar_orthogonal
from numerics.orthogonal.householder import HouseholderProduct
from numerics.orthogonal.operator import OrthogonalOperator
from numerics.orthogonal.randomized_hadamard import RandomizedHadamard
from numerics.orthogonal.signed_permutation import SignedPermutation

__all__ = [
    "BlockOrthogonal",
    "Butterfly",
    "HouseholderProduct",
    "OrthogonalOperator",
    "RandomizedHadamard",
    "SignedPermutation",
    "cayley",
    "cayley_low_rank",
    "haar_orthogonal",
]

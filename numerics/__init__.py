"""Matrices with structure, and the array plumbing that everything else stands on."""

from numerics.bsplines import bspline_collocation_matrix, greville_abscissae, open_uniform_knots
from numerics.convergence import ConvergenceWarning
from numerics.hadamard import fwht, hadamard_entry, walsh_order
from numerics.kronecker import (
    kronecker_logdet,
    kronecker_matvec,
    kronecker_operator,
    kronecker_solve,
)
from numerics.matrix_functions import expm
from numerics.orthogonal import (
    BlockOrthogonal,
    Butterfly,
    HouseholderProduct,
    OrthogonalOperator,
    RandomizedHadamard,
    SignedPermutation,
    cayley,
    cayley_low_rank,
    haar_orthogonal,
)
from numerics.sketching import (
    Guarantee,
    Sketch,
    ams_sketch,
    countsketch,
    gaussian_pooled,
    gaussian_sketch,
    oce_beta,
    osnap,
    sketch,
    srct,
    srht,
    tensor_srht,
)
from numerics.toeplitz import (
    gohberg_semencul,
    toeplitz_matvec,
    toeplitz_operator,
    toeplitz_solve,
)
from numerics.toeplitz_preconditioners import (
    circulant_preconditioner,
    tau_eigenvalues,
    tau_preconditioner,
)

__all__ = [
    "BlockOrthogonal",
    "Butterfly",
    "ConvergenceWarning",
    "Guarantee",
    "HouseholderProduct",
    "OrthogonalOperator",
    "RandomizedHadamard",
    "SignedPermutation",
    "Sketch",
    "ams_sketch",
    "bspline_collocation_matrix",
    "cayley",
    "cayley_low_rank",
    "circulant_preconditioner",
    "countsketch",
    "expm",
    "fwht",
    "gaussian_pooled",
    "gaussian_sketch",
    "gohberg_semencul",
    "greville_abscissae",
    "haar_orthogonal",
    "hadamard_entry",
    "kronecker_logdet",
    "kronecker_matvec",
    "kronecker_operator",
    "kronecker_solve",
    "oce_beta",
    "open_uniform_knots",
    "osnap",
    "sketch",
    "srct",
    "srht",
    "tau_eigenvalues",
    "tau_preconditioner",
    "tensor_srht",
    "toeplitz_matvec",
    "toeplitz_operator",
    "toeplitz_solve",
    "walsh_order",
]

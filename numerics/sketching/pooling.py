r"""The Gaussian-pooled Hadamard sketch: random weights make the sums of blocks Gaussian.

:math:`S = B D_\gamma \Pi F_N D_\sigma`: random signs, the orthonormal Hadamard matrix
:math:`F_N = H_N/\sqrt N`, a random permutation, independent weights :math:`\gamma_i \sim N(0, 1)`
and sums B over m consecutive blocks. :math:`\mathbb{E}[S^T S \mid \Pi, \sigma] = I` exactly. All N
rows of the transform are needed, so that it costs more than sampling m of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from numerics.arrays import as_generator, as_integer
from numerics.sketching.linear_sketch import (
    Guarantee,
    Sketch,
    as_rows,
    as_signs,
    check_sizes,
    draw_signs,
)
from numerics.sketching.subsampled_hadamard import HadamardRows

_SOURCE = (
    "Song, Zhang, Hadamard Flattening and Gaussian Pooling Sketch for Least Squares with "
    "Coordinate-wise Guarantee, 7 August 2026; not peer reviewed"
)


def gaussian_pooled(
    n: int,
    m: int,
    *,
    block: int | None = None,
    rng: Any = None,
    signs: Any = None,
    permutation: Any = None,
    weights: Any = None,
) -> Sketch:
    r"""Sketch :math:`S = B D_\gamma \Pi F_N D_\sigma` that sums m blocks of weighted rows.

    Parameters
    ----------
    n, m : int
        Rows of what is sketched and of the sketch.
    block : int, optional
        Rows summed into one, at least; the order N is the power of two from max(n, m block) on,
        and blocks differ by at most one row when m does not divide it. n/m rounded up by default.
        The theorem asks for a block of the order of :math:`d^2 \log^2`, and m and N/m powers of
        two.
    rng : Generator, int or None
        Where signs, permutation and weights are drawn from.
    signs : array of int, shape (n,), optional
        The diagonal of :math:`D_\sigma`.
    permutation : array of int, shape (N,), optional
        Row of :math:`F_N` in each place.
    weights : array of float, shape (N,), optional
        The diagonal of :math:`D_\gamma`.

    Returns
    -------
    Sketch
        With ``signs``, ``permutation``, ``weights`` and ``block`` as attributes.

    Raises
    ------
    ValueError
        For n < 1, m < 1, block < 1, and draws that do not fit.

    References
    ----------
    Song, Zhang, Hadamard Flattening and Gaussian Pooling Sketch for Least Squares with
    Coordinate-wise Guarantee, 2026 (its authors' own, not peer reviewed).

    Examples
    --------
    With weights :math:`\pm 1` in blocks of one row nothing is lost.

    >>> import numpy as np
    >>> S = gaussian_pooled(8, 8, block=1, weights=np.ones(8), rng=0).to_dense()
    >>> np.allclose(S @ S.T, np.eye(8))
    True
    """
    return GaussianPooled(n, m, block, rng, signs, permutation, weights)


class GaussianPooled(HadamardRows):
    """See :func:`gaussian_pooled`."""

    kind = "gaussian_pooled"
    guarantee = Guarantee(
        "m = O(d log(d/delta) / epsilon^2) rows are claimed to suffice when blocks have at least "
        "the order of d^2 log^2 rows. Shorter blocks, as by default, work in experiments but have "
        "no theorem.",
        "claimed",
        _SOURCE,
    )
    _draw_names = ("block", "signs", "permutation", "weights")

    def __init__(
        self,
        n: int,
        m: int,
        block: int | None,
        rng: Any,
        signs: Any,
        permutation: Any,
        weights: Any,
    ) -> None:
        super().__init__(*check_sizes(n, m))
        least = -(-self.n // self.m) if block is None else as_integer("block", block, minimum=1)
        N = 1 << (max(self.n, self.m * least) - 1).bit_length()
        self.block = least
        generator = as_generator(rng)
        if signs is None:
            signs = draw_signs(generator, self.n)
        self.signs = as_signs("signs", signs, (self.n,))
        if permutation is None:
            permutation = generator.permutation(N)
        self.permutation = as_rows("permutation", permutation, (N,), N)
        if np.any(np.bincount(self.permutation, minlength=N) != 1):
            raise ValueError("permutation must hold every row once, got repeated ones")
        if weights is None:
            weights = generator.standard_normal(N)
        self.weights = np.array(weights, np.float64)
        if self.weights.shape != (N,) or not np.isfinite(self.weights).all():
            raise ValueError(
                f"weights must be finite in shape {(N,)}, got shape {self.weights.shape}"
            )
        targets = np.arange(N) * self.m // N
        self._set_samples(N, self.permutation, targets, self.weights, 1 / np.sqrt(N))

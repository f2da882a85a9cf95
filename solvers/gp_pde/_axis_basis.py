r"""An orthonormal basis of what one axis' features can say, with the conditions at its ends.

The features :math:`\varphi` of an axis are redundant: on the interval, combinations of them vanish
to rounding. From the singular value decomposition of their values at Gauss-Legendre points, with
the square roots of the quadrature's weights in the rows, come

.. math:: v = \varphi\, W \Sigma^{-1}, \qquad \langle v_i, v_j\rangle
          = \frac{1}{L}\int v_i v_j\,\mathrm{d}x = \delta_{ij},

with :math:`\Sigma` the standard deviations that the prior gives the coefficients. Directions below
a cutoff keep their prior: no data are represented there. Because the integrals are exact, the
matrices :math:`\langle v_i, \partial^a v_j\rangle` of symmetric operators are symmetric, with real
eigenvalues and orthonormal eigenvectors; sums over the points of the grid instead of the integrals
make their eigenvalues complex and cost two digits of the solution.

The conditions at the ends are rows b on the coefficients. Z is an orthonormal basis of their null
space, where the equation is solved, and :math:`b^+` a right inverse, which carries the data.

References: Fang, Cooley, Long, Li, Kirby, Zhe, arXiv 2311.04465 (the prior); Adcock, Huybrechs,
arXiv 1612.04464 (redundant features).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.special import roots_legendre

from solvers.gp_pde._features import AxisFeatures

CUTOFF = 1e-11

_NODES_PER_POINT = 1.5
_NODES_PER_WAVE = 1.6
_FEWEST_NODES = 24
_FIT_CUTOFF = 1e-12
_BLURRED = 1e-2


@dataclass(frozen=True)
class AxisBasis:
    r"""Basis of one axis.

    Attributes
    ----------
    features : AxisFeatures
        The p features.
    grid : array, shape (n,)
        Where data are given.
    mixing : array, shape (p, r)
        :math:`W \Sigma^{-1}`: the basis is the features times it.
    unseen : array, shape (p, p - r)
        Orthonormal combinations of the features that are left out.
    sd : array, shape (r,)
        :math:`\Sigma`, falling.
    rows : array, shape (k, r)
        b.
    free : array, shape (r, r - k)
        Z.
    lift : array, shape (r, k)
        :math:`b^+`, orthogonal to Z.
    fit : array, shape (r, n)
        Coefficients of the least-squares fit to values on the grid.
    derivatives : dict
        :math:`\langle v_i, \partial^a v_j\rangle` by order a, for a > 0.
    mean : array, shape (r,)
        The means of the basis functions over the interval.
    """

    features: AxisFeatures
    grid: np.ndarray
    mixing: np.ndarray
    unseen: np.ndarray
    sd: np.ndarray
    rows: np.ndarray
    free: np.ndarray
    lift: np.ndarray
    fit: np.ndarray
    derivatives: dict[int, np.ndarray]
    mean: np.ndarray

    @property
    def size(self) -> int:
        """Number of basis functions r."""
        return len(self.sd)

    def __call__(self, x: np.ndarray, order: int = 0) -> np.ndarray:
        """Derivatives of the basis functions at ``x`` (m,), shape (m, r)."""
        return self.features(x, order) @ self.mixing

    def unseen_variance(self, x: np.ndarray, order: int = 0) -> np.ndarray:
        """Prior variance of a derivative in the directions left out, at ``x``."""
        return np.sum((self.features(x, order) @ self.unseen) ** 2, axis=1)


def axis_basis(
    features: AxisFeatures,
    grid: np.ndarray,
    ends: Iterable[tuple[int, int]],
    orders: Iterable[int],
    *,
    cutoff: float = CUTOFF,
    prior: bool = False,
) -> AxisBasis:
    """Basis for the conditions ``ends``, pairs of (end, order), and derivatives of ``orders``.

    Singular values below ``cutoff`` times the largest are left out. So is what the grid does not
    tell apart, unless the ``prior`` is there to say what it is: then fits to values on the grid are
    the most probable ones.
    """
    nodes, weights = _quadrature(features, grid)
    root = np.sqrt(weights)[:, None]
    left, sd, right = np.linalg.svd(features(nodes) * root, full_matrices=False)
    rank = int(np.sum(sd > cutoff * sd[0]))
    if not prior:
        rank = _distinguished(features(grid) @ (right[:rank].T / sd[:rank]))
    basis, sd = left[:, :rank], sd[:rank]
    mixing = right[:rank].T / sd
    weight = sd if prior else np.ones(rank)
    rows = np.concatenate(
        [features(grid[[-1 if end else 0]], order) @ mixing for end, order in ends]
        or [np.zeros((0, rank))]
    )
    if len(rows) >= rank:
        raise ValueError(
            f"grids: an axis of {len(grid)} points leaves {rank} unknowns, "
            f"too few for {len(rows)} conditions at its ends"
        )
    complement, _ = np.linalg.qr(rows.T, mode="complete")
    return AxisBasis(
        features=features,
        grid=grid,
        mixing=mixing,
        unseen=_complement(right[:rank]),
        sd=sd,
        rows=rows,
        free=complement[:, len(rows) :],
        lift=np.linalg.pinv(rows),
        fit=weight[:, None] * np.linalg.pinv(features(grid) @ mixing * weight, rcond=_FIT_CUTOFF),
        derivatives={
            order: basis.T @ (features(nodes, order) * root @ mixing)
            for order in sorted(set(orders) - {0})
        },
        mean=basis.T @ root[:, 0],
    )


def _quadrature(features: AxisFeatures, grid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre points on the axis and weights of sum 1, exact for products of features."""
    length = float(grid[-1] - grid[0])
    # Half pi points a wave, for the product of the fastest two, of twice their frequency.
    waves = 2 * float(features.omega[-1]) / (2 * np.pi) * length
    count = max(int(_NODES_PER_POINT * len(grid)), int(_NODES_PER_WAVE * waves)) + _FEWEST_NODES
    nodes, weights = roots_legendre(count)
    return grid[0] + length * (nodes + 1) / 2, weights / 2


def _distinguished(values: np.ndarray) -> int:
    """How many leading functions the grid tells apart, of their values (n, r) on it."""
    left_over = np.abs(np.diagonal(np.linalg.qr(values, mode="r")))
    blurred = np.flatnonzero(left_over < _BLURRED * left_over[0])
    return int(blurred[0]) if len(blurred) else len(left_over)


def _complement(rows: np.ndarray) -> np.ndarray:
    """Orthonormal basis of what is orthogonal to orthonormal rows, as columns."""
    q, _ = np.linalg.qr(rows.T, mode="complete")
    return q[:, len(rows) :]

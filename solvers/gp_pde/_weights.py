r"""The Gaussian distribution of the features' weights, conditioned on linear data.

The prior is :math:`\xi \sim N(0, I)`. It is carried as a mean and a square root of the covariance,
and every update is a singular value decomposition of rows times that root, so that no matrix is
squared: with rows H (scaled to unit length) and :math:`H = U S V^T`,

* exact data y: the mean is the solution of least length, singular values below
  ``NUGGET`` times the largest being cut off; directions that the data do not see keep the prior,
  the others are left with :math:`\sigma^2/(s^2 + \sigma^2)`, :math:`\sigma` the value of the cut;
* data with noise of unit variance: :math:`s/(s^2 + 1)` and :math:`1/(s^2 + 1)`.

One step of iterative refinement brings the residual of the former down to rounding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import qr
from scipy.optimize import minimize_scalar

NUGGET = 1e-15

# Log evidence by which one standard deviation differs from the maximum.
_UNDECIDED = 0.5
# Steps of a factor 1.6: evidence as a function of the log of the amplitude has no finer features,
# but flat ends, and may have two minima.
_AMPLITUDES = np.linspace(-16.0, 16.0, 65)


@dataclass(frozen=True)
class Exact:
    """Conditioning on exact data.

    Attributes
    ----------
    mean : array, shape (K,)
    seen : array, shape (r, K)
        Directions that the data determine, orthonormal.
    left : array, shape (r,)
        Standard deviations left in them.
    misfit : float
        What of the data, relative to them, no weights explain.
    """

    mean: np.ndarray
    seen: np.ndarray
    left: np.ndarray
    misfit: float

    @property
    def energy(self) -> float:
        """Squared length of the mean: chi square of ``rank`` degrees of freedom under the prior."""
        return float(self.mean @ self.mean)

    @property
    def rank(self) -> int:
        """Number of directions determined."""
        return len(self.left)

    @cached_property
    def root(self) -> np.ndarray:
        """Square root of the covariance, shape (K, K)."""
        size = self.seen.shape[1]
        complement = qr(self.seen.T)[0][:, self.rank :] if self.rank < size else None
        inside = self.seen.T * self.left
        return inside if complement is None else np.concatenate([inside, complement], axis=1)


def no_data(size: int) -> Exact:
    """The prior."""
    return Exact(np.zeros(size), np.zeros((0, size)), np.zeros(0), 0.0)


def exact_data(H: np.ndarray, y: np.ndarray) -> Exact:
    """Condition the prior on H xi = y."""
    lengths = np.linalg.norm(H, axis=1)
    lengths[lengths == 0] = 1.0
    H, y = H / lengths[:, None], y / lengths
    U, s, Vt = np.linalg.svd(H, full_matrices=False)
    cut = NUGGET * s[0]
    kept = s > cut
    U, s, Vt = U[:, kept], s[kept], Vt[kept]
    mean = Vt.T @ ((U.T @ y) / s)
    rest = y - H @ mean
    mean = mean + Vt.T @ ((U.T @ rest) / s)
    size = float(np.linalg.norm(y))
    misfit = float(np.linalg.norm(y - H @ mean)) / size if size else 0.0
    return Exact(mean, Vt, cut / np.hypot(s, cut), misfit)


@dataclass(frozen=True)
class WeightGaussian:
    """Mean (K,) and square root (K, k) of the covariance of the weights."""

    mean: np.ndarray
    exact: Exact
    amplitude: float = 1.0
    updated: np.ndarray | None = None

    @cached_property
    def root(self) -> np.ndarray:
        """Square root of the covariance; made when first asked for."""
        return self.amplitude * self.exact.root if self.updated is None else self.updated

    def noisy(self, H: np.ndarray, y: np.ndarray, std: np.ndarray) -> tuple[WeightGaussian, float]:
        """Condition on H xi = y + noise; also the log density of y before."""
        rest = (y - H @ self.mean) / std
        U, s, Vt = np.linalg.svd((H / std[:, None]) @ self.root, full_matrices=True)
        n = len(s)
        seen = U[:, :n].T @ rest
        mean = self.mean + self.root @ (Vt[:n].T @ (s / (s**2 + 1) * seen))
        shrunk = np.ones(len(Vt))
        shrunk[:n] = 1 / np.hypot(s, 1)
        # The difference of squares would leave nothing of what lies outside.
        outside = rest - U[:, :n] @ seen if n < len(rest) else np.zeros(1)
        log_density = -0.5 * (
            np.sum(seen**2 / (s**2 + 1))
            + outside @ outside
            + np.sum(np.log1p(s**2))
            + 2 * np.sum(np.log(std))
            + len(y) * math.log(2 * math.pi)
        )
        root = (self.root @ Vt.T) * shrunk
        return WeightGaussian(mean, self.exact, self.amplitude, root), float(log_density)

    def moments(self, phi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of ``phi`` (m, K) times the weights."""
        return phi @ self.mean, np.sum((phi @ self.root) ** 2, axis=1)

    def draw(self, size: int, rng: np.random.Generator, phi: np.ndarray) -> np.ndarray:
        """Draws of ``phi`` times the weights, shape (size, m)."""
        root = phi @ self.root
        return phi @ self.mean + rng.standard_normal((size, root.shape[1])) @ root.T


def likely_amplitude(
    exact: Exact, H: np.ndarray | None, y: np.ndarray | None, std: np.ndarray | None
) -> float:
    r"""Factor on the prior's standard deviations under which the data are most likely.

    Without noise it is :math:`\sqrt{\lVert\xi\rVert^2/r}` for r directions determined. Data that
    noise alone explains are likeliest under no amplitude at all: then it is the largest under which
    they are about as likely.
    """
    if exact.rank == 0 and H is None:
        return 1.0
    if H is None or y is None or std is None:
        return math.sqrt(exact.energy / exact.rank) or 1.0
    rest = (y - H @ exact.mean) / std
    U, s, _ = np.linalg.svd((H / std[:, None]) @ exact.root, full_matrices=False)
    seen = (U.T @ rest) ** 2
    # Exact zeros, as of u at the ends, are likeliest under no amplitude and say nothing of it.
    rank = exact.rank if exact.energy else 0

    def cost(log_amplitude: float) -> float:
        square = math.exp(2 * log_amplitude)
        spread = square * s**2 + 1
        total = np.sum(np.log(spread)) + np.sum(seen / spread)
        return 0.5 * (total + exact.energy / square) + rank * log_amplitude

    costs = np.array([cost(at) for at in _AMPLITUDES])
    best = int(np.argmin(costs))
    if best == 0:
        return math.exp(_AMPLITUDES[costs <= costs[0] + _UNDECIDED].max())
    cell = _AMPLITUDES[max(best - 1, 0)], _AMPLITUDES[min(best + 1, len(_AMPLITUDES) - 1)]
    return math.exp(minimize_scalar(cost, bounds=cell, method="bounded", options={"xatol": 1e-9}).x)

r"""Maximal derivatives on projection (MDOP): an embedding built one delay at a time.

Nichkawde (2013) adds to the delay vectors y that value, h samples later, on which their nearest
neighbours :math:`n(i)` come apart most,

.. math:: \beta(h) = \left\langle \log_{10} \frac{|x_{i+h} - x_{n(i)+h}|}
          {\lVert y_i - y_{n(i)} \rVert_2} \right\rangle_i ,

until hardly any neighbour is shown to be a false one. Order and lag come out together, which
arXiv 2302.04508 calls the unified way to an augmented covariance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from geometry.spd._signals import host_signals
from numerics._threads import torch_threads_kept
from numerics.arrays import Array, as_arrays, as_float, as_integer

_FALSE = 10.0  # stretch of a distance from which on neighbours were false
_FEW_FALSE = 0.01


@dataclass(frozen=True)
class MdopEmbedding:
    r"""Delays that were chosen one after the other, and why.

    Attributes
    ----------
    delays : tuple of int
        0 and the delays, in the order of choice.
    beta : ndarray, shape (cycles, max_lag + 1)
        :math:`\beta(h)` of each cycle by lag; that of lag 0 is minus infinity.
    false_neighbors : ndarray, shape (cycles,)
        Fraction of nearest neighbours that the delay of the cycle shows to be false.

    Examples
    --------
    >>> import numpy as np
    >>> wave = np.sin(np.arange(600) / 10)
    >>> found = mdop_embedding(wave, 20, 3, window=5)
    >>> found.delays[1] == int(np.argmax(found.beta[0]))
    True
    """

    delays: tuple[int, ...]
    beta: np.ndarray
    false_neighbors: np.ndarray

    @property
    def order(self) -> int:
        """Number of values in a delay vector."""
        return len(self.delays)

    @property
    def lag(self) -> int:
        """Mean of the delays but 0, rounded; 1 where there is none."""
        return max(1, round(float(np.mean(self.delays[1:])))) if self.order > 1 else 1


def mdop_embedding(
    x: Array,
    max_lag: int,
    max_dim: int,
    *,
    window: int = 0,
    stretch: float = _FALSE,
    tol: float = _FEW_FALSE,
) -> MdopEmbedding:
    r"""Delays by which nearest neighbours come apart most (maximal derivatives on projection).

    .. math:: \beta(h) = \left\langle \log_{10} \frac{|x_{i+h} - x_{n(i)+h}|}
              {\lVert y_i - y_{n(i)} \rVert_2} \right\rangle_i

    with :math:`n(i)` the nearest neighbour of the delay vectors so far. The lag of the largest
    :math:`\beta` is added, until few neighbours are false: until the fraction of those whose
    :math:`|x_{i+h} - x_{n(i)+h}|` is more than ``stretch`` times their distance is below ``tol``,
    when that lag is not added any more.

    Parameters
    ----------
    x : array, shape (..., T)
        Real signals, NumPy or torch; one embedding for all, from means over all.
    max_lag : int
        Largest delay.
    max_dim : int
        Largest number of values, 0 delay included.
    window : int
        Neighbours are more than so many samples apart in time.
    stretch : float
        Quotient of distances from which on a neighbour is false.
    tol : float
        Fraction of false neighbours below which the embedding is complete.

    Returns
    -------
    MdopEmbedding
        ``delays``, ``beta``, ``false_neighbors``; ``order`` and ``lag`` of the equally spaced
        embedding that stands for it.

    Raises
    ------
    TypeError
        For complex signals.
    ValueError
        For signals that are too short, values that are not finite, and signals that have no two
        different values.

    References
    ----------
    Nichkawde, Phys. Rev. E 87 (2013) 022905; arXiv 2302.04508.

    Examples
    --------
    The Henon map needs two values, one step apart or more.

    >>> import numpy as np
    >>> x = np.zeros(2000)
    >>> for t in range(2, 2000):
    ...     x[t] = 1 - 1.4 * x[t - 1] ** 2 + 0.3 * x[t - 2]
    >>> mdop_embedding(x, 1, 4).order
    2
    """
    frame, x = as_arrays(x=x)
    max_lag = as_integer("max_lag", max_lag, minimum=1)
    max_dim = as_integer("max_dim", max_dim, minimum=1)
    window = as_integer("window", window, minimum=0)
    stretch = as_float("stretch", stretch, positive=True)
    tol = as_float("tol", tol)
    host, _ = host_signals(frame, x, shortest=max_lag + window + 2, why=f"max_lag {max_lag} and")
    delays, betas, fractions = [0], [], []
    while len(delays) < max_dim and len(delays) <= max_lag:
        beta, false = _stretches(host, delays, max_lag, window, stretch)
        beta[delays] = -np.inf
        best = int(np.argmax(beta))
        if not delays[1:] and not np.isfinite(beta[best]):
            raise ValueError("x must vary, got signals without two different values")
        betas.append(beta)
        fractions.append(false[best])
        if false[best] < tol or not np.isfinite(beta[best]):
            break
        delays.append(best)
    shape = (-1, max_lag + 1)
    return MdopEmbedding(tuple(delays), np.reshape(betas, shape), np.array(fractions, np.float64))


@torch_threads_kept()
def _stretches(
    x: np.ndarray, delays: list[int], max_lag: int, window: int, stretch: float
) -> tuple[np.ndarray, np.ndarray]:
    """Means of the logarithm of the stretch by lag, and fractions of false neighbours."""
    from geometry.spd._numba_neighbors import nearest_delay_vectors, stretches

    points = x.shape[-1] - max_lag
    nearest = np.empty((len(x), points), np.int64)
    distances = np.empty((len(x), points))
    nearest_delay_vectors(x, np.array(delays), window, nearest, distances)
    sums = np.zeros((3, len(x), max_lag + 1))
    stretches(x, nearest, distances, stretch, *sums)
    logs, moved, false = sums.sum(axis=1)
    beta = np.divide(logs, moved, out=np.full_like(logs, -np.inf), where=moved > 0)
    return beta, false / max(1, np.count_nonzero(nearest >= 0))

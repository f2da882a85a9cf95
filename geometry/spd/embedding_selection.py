r"""How many delayed values to put side by side, and how far apart, from the signals alone.

Two ways that arXiv 2302.04508 compares. The traditional one takes for the lag the first minimum of
the average mutual information between a signal and itself later, and for the order the dimension
from which on Cao's

.. math:: E_1(m) = \frac{E(m+1)}{E(m)}, \qquad
          E(m) = \left\langle \frac{\lVert y_i^{(m+1)} - y_{n(i)}^{(m+1)} \rVert_\infty}
                 {\lVert y_i^{(m)} - y_{n(i)}^{(m)} \rVert_\infty} \right\rangle_i

stays near 1, where :math:`y_i^{(m)}` are the delay vectors of m values and :math:`n(i)` the
nearest neighbour in this dimension. The unified one is :mod:`geometry.spd.mdop`.

All are means over times, and with ``pooled=True`` over several signals, too. What is found is an
integer at last, so that there are no gradients: torch tensors are looked at on the host.
"""

from __future__ import annotations

import math

import numpy as np

from geometry.spd._signals import host_signals, on_host
from geometry.spd.mdop import mdop_embedding
from numerics._threads import torch_threads_kept
from numerics.arrays import Array, Frame, as_arrays, as_integer, check_choice

METHODS = ("mdop", "traditional")
_BLOCK = 256  # times that one thread looks at
_SATURATED = 0.05  # distance of E1 from 1


def average_mutual_information(
    x: Array, max_lag: int, *, bins: int = 16, pooled: bool = False
) -> Array:
    r"""Mutual information of signals and themselves later, in nats.

    .. math:: I(h) = \sum_{a,b} p_{ab}(h) \log \frac{p_{ab}(h)}{p_a(h) \, p_b(h)}

    with :math:`p_{ab}(h)` the frequency of :math:`x_t` in bin a and :math:`x_{t+h}` in bin b. Bins
    hold equally many samples of a signal, so that only the order of its values counts, and every
    lag is seen through the same number of pairs, :math:`T - h_{max}`: the upward bias of such an
    estimate, about :math:`(b-1)^2 / 2N` for b bins and N pairs, is that of all lags.

    Parameters
    ----------
    x : array, shape (..., T)
        Real signals, NumPy or torch.
    max_lag : int
        Largest lag.
    bins : int
        Number of bins, at least 2 and at most T.
    pooled : bool
        Take all signals into one table of frequencies, in which short ones have enough pairs.

    Returns
    -------
    array, shape (..., max_lag + 1), or (max_lag + 1,) if pooled
        Information by lag, from 0 on; kind and precision of ``x``.

    Raises
    ------
    TypeError
        For complex signals.
    ValueError
        For signals that are too short, and values that are not finite.

    References
    ----------
    Fraser, Swinney, Phys. Rev. A 33 (1986) 1134-1140 (its first minimum as the lag).

    Examples
    --------
    A signal knows all about itself, half a period later as well, and white noise nothing.

    >>> import numpy as np
    >>> square = np.tile([0.0, 0.0, 1.0, 1.0], 501)[:-1]
    >>> np.allclose(average_mutual_information(square, 2, bins=2)[[0, 2]], np.log(2), atol=1e-3)
    True
    >>> noise = np.random.default_rng(0).standard_normal(20000)
    >>> bool(average_mutual_information(noise, 1)[1] < 0.01)
    True
    """
    frame, x = as_arrays(x=x)
    max_lag = as_integer("max_lag", max_lag, minimum=0)
    bins = as_integer("bins", bins, minimum=2)
    host, batch = host_signals(frame, x, shortest=max(max_lag + 2, bins), why=f"{bins} bins and")
    ranks = np.argsort(np.argsort(host, axis=-1, kind="stable"), axis=-1, kind="stable")
    symbols = ranks * bins // host.shape[-1]
    tables = 1 if pooled else len(host)
    pairs = host.shape[-1] - max_lag
    start = bins * symbols[:, :pairs]
    if not pooled:
        start = start + bins**2 * np.arange(tables)[:, None]
    result = np.empty((tables, max_lag + 1))
    for h in range(max_lag + 1):
        cells = (start + symbols[:, h : h + pairs]).ravel()
        counts = np.bincount(cells, minlength=tables * bins**2).reshape(tables, bins, bins)
        result[:, h] = _information(counts)
    return _returned(frame, result.reshape((*(() if pooled else batch), max_lag + 1)))


def cao_e1(x: Array, lag: int, max_dim: int, *, window: int = 0, pooled: bool = False) -> Array:
    r"""Cao's :math:`E_1(m) = E(m+1) / E(m)`, which is near 1 once m values unfold the dynamics.

    .. math:: E(m) = \left\langle \frac{\lVert y_i^{(m+1)} - y_{n(i)}^{(m+1)} \rVert_\infty}
              {\lVert y_i^{(m)} - y_{n(i)}^{(m)} \rVert_\infty} \right\rangle_i, \qquad
              y_i^{(m)} = (x_i, x_{i+\tau}, \dots, x_{i+(m-1)\tau})

    Parameters
    ----------
    x : array, shape (..., T)
        Real signals, NumPy or torch.
    lag : int
        Samples :math:`\tau` between values.
    max_dim : int
        Largest m.
    window : int
        Neighbours are more than so many samples apart in time; for densely sampled signals, whose
        nearest neighbours would be the samples before and after.
    pooled : bool
        Take the mean E(m) of all signals before the quotient.

    Returns
    -------
    array, shape (..., max_dim), or (max_dim,) if pooled
        :math:`E_1(1), \dots, E_1(m_{max})`; kind and precision of ``x``. NaN where no vector has a
        neighbour at a distance above 0.

    Raises
    ------
    TypeError
        For complex signals.
    ValueError
        For signals that are too short, and values that are not finite.

    References
    ----------
    Cao, Physica D 110 (1997) 43-50.

    Examples
    --------
    The Henon map needs two values.

    >>> import numpy as np
    >>> x = np.zeros(1000)
    >>> for t in range(2, 1000):
    ...     x[t] = 1 - 1.4 * x[t - 1] ** 2 + 0.3 * x[t - 2]
    >>> np.abs(1 - cao_e1(x, 1, 4)).round(1) > 0.2
    array([ True, False, False, False])
    """
    frame, x = as_arrays(x=x)
    lag = as_integer("lag", lag, minimum=1)
    max_dim = as_integer("max_dim", max_dim, minimum=1)
    window = as_integer("window", window, minimum=0)
    shortest = (max_dim + 1) * lag + window + 2
    host, batch = host_signals(frame, x, shortest=shortest, why=f"dimension {max_dim} and")
    from geometry.spd._numba_neighbors import neighbor_expansions

    blocks = math.ceil((host.shape[-1] - lag) / _BLOCK)
    sums, counts = np.zeros((2, len(host), blocks, max_dim + 1))
    with torch_threads_kept():
        neighbor_expansions(host, lag, window, _BLOCK, sums, counts)
    axes = (0, 1) if pooled else 1
    total, number = sums.sum(axis=axes), counts.sum(axis=axes)
    E = np.divide(total, number, out=np.full_like(total, np.nan), where=number > 0)
    result = E[..., 1:] / E[..., :-1]
    return _returned(frame, result.reshape((*(() if pooled else batch), max_dim)))


def select_embedding(
    x: Array,
    *,
    method: str = "traditional",
    max_order: int = 10,
    max_lag: int = 10,
    window: int = 0,
) -> tuple[int, int]:
    r"""Order and lag for :func:`augmented_covariance`, one pair for all signals.

    Parameters
    ----------
    x : array, shape (..., T)
        Real signals, NumPy or torch.
    method : {"traditional", "mdop"}
        "traditional": for the lag the first minimum of :func:`average_mutual_information`, and
        for the order the dimension from which on :func:`cao_e1` is within 0.05 of 1. "mdop": those
        of :func:`mdop_embedding`, the "unified" way of the paper.
    max_order, max_lag : int
        Largest values that are looked at; they are also taken where nothing is found. Signals may
        be too short for the order.
    window : int
        Neighbours are more than so many samples apart in time.

    Returns
    -------
    order, lag : int

    Raises
    ------
    TypeError
        For complex signals.
    ValueError
        For signals that are too short, and values that are not finite.

    References
    ----------
    arXiv 2302.04508.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.zeros(2000)
    >>> for t in range(2, 2000):
    ...     x[t] = 1 - 1.4 * x[t - 1] ** 2 + 0.3 * x[t - 2]
    >>> select_embedding(x, max_lag=1, method="mdop")
    (2, 1)
    """
    check_choice("method", method, METHODS)
    max_order = as_integer("max_order", max_order, minimum=1)
    if method == "mdop":
        found = mdop_embedding(x, max_lag, max_order, window=window)
        return found.order, found.lag
    lag = _first_minimum(on_host(average_mutual_information(x, max_lag, pooled=True)))
    room = (x.shape[-1] - window - 2) // lag - 1
    if room < 1:
        return 1, lag
    away = np.abs(on_host(cao_e1(x, lag, min(max_order, room), window=window, pooled=True)) - 1)
    far = np.flatnonzero(~(away < _SATURATED))
    return min(int(far[-1]) + 2 if len(far) else 1, max_order), lag


def _returned(frame: Frame, result: np.ndarray) -> Array:
    return frame.cast(frame.asarray(result))


def _information(counts: np.ndarray) -> np.ndarray:
    """Mutual information of tables (..., bins, bins) of frequencies, in nats."""
    total = counts.sum(axis=(-2, -1))
    joint = _sum_of_logs(counts, (-2, -1))
    rows, columns = (_sum_of_logs(counts.sum(axis=axis), -1) for axis in (-1, -2))
    return np.maximum((joint - rows - columns) / total + np.log(total), 0.0)


def _sum_of_logs(counts: np.ndarray, axis: int | tuple[int, ...]) -> np.ndarray:
    return (counts * np.log(np.maximum(counts, 1))).sum(axis=axis)


def _first_minimum(values: np.ndarray) -> int:
    """Lag of the first local minimum but lag 0, else that of the smallest value."""
    inner = values[1:-1]
    low = np.flatnonzero((inner < values[:-2]) & (inner <= values[2:]))
    return int(low[0]) + 1 if len(low) else int(np.argmin(values[1:])) + 1

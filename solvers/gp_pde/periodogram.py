r"""First guesses of a spectral mixture from equally spaced samples.

The power of the samples under a Hann window, padded with zeros to eight times their length, has a
local maximum at each frequency that stands out. The window's own side lobes are maxima too. At a
distance of d bins (one bin: a cycle per record) they are below

.. math:: \left\lvert \frac{W(d)}{W(0)} \right\rvert
          = \left\lvert \frac{\sin \pi d}{\pi d\,(1 - d^2)} \right\rvert
          \le \frac{1}{\pi d\,(d^2 - 1)}

of the line they belong to, and a maximum counts as a line if it stands above what all stronger
lines leak together. Samples of :math:`f = u^{(n)}` become weights of u by a division by
:math:`\omega^{2n}` after that, which before it would turn leakage at low frequencies into maxima.
"""

from __future__ import annotations

import math

import numpy as np

from numerics.arrays import Array, as_arrays, as_float, as_integer, check_real

PADDING = 8
_LOBE = 2.0  # half the width of the window's main lobe, in bins
_ABOVE_LEAKAGE = 10.0  # in power; a line whose amplitude varies leaks more than a steady one
_SMALLEST = 1e-13
_WIDTH = 12.0
_FEWEST = 4


def spectral_init(
    values: Array, spacing: float, n_components: int, *, order: int = 0
) -> tuple[Array, Array, Array]:
    r"""Frequencies, weights and scales of the strongest lines in samples of u or of its derivative.

    Weights are mean squares, :math:`A^2/2` for a wave of amplitude A, so that their sum
    approximates the mean square of u: in terms of the periodogram P of the samples,

    .. math:: w_q = \frac{P(\mu_q)}{(2\pi\mu_q)^{2n}}, \qquad n = \text{order}.

    Parameters
    ----------
    values : array, shape (..., n)
        Samples at equal distances along the last axis, at least 4. The power is averaged over the
        leading axes.
    spacing : float
        Distance of neighbours, positive.
    n_components : int
        Number of lines wanted, at least 1.
    order : int
        n where the samples are the n-th derivative of u: 2 for a source of Poisson's equation.
        Below one cycle per record :math:`\omega` is taken as that.

    Returns
    -------
    freqs, weights, scales : arrays, shape (Q,)
        By falling weight; in the kind and precision of ``values``, without gradient. Q may be less
        than ``n_components``: lines are two bins apart, stand above the leakage of stronger
        ones, and weigh at least 1e-13 of the heaviest. It is 0 if all samples are 0. Frequencies
        come by a parabola through the logarithm of the power. All scales are
        :math:`12/(2\pi L)`, with L the length of the record: wide enough for lines between those of
        a Fourier series on it.

    Raises
    ------
    TypeError
        For complex values, and integers that are none.
    ValueError
        For too few samples, values that are not finite, and numbers out of range.

    References
    ----------
    Harris, Proc. IEEE 66 (1978) 51-83 (the window). Fang, Cooley, Long, Li, Kirby, Zhe,
    arXiv 2311.04465 (the mixtures that it is to start).

    Examples
    --------
    The source of Poisson's equation for :math:`u = \sin 5x + \sin(20 x)/10 + \sin(100 x)/20` tells
    the three frequencies and mean squares of u, though it is itself almost all
    :math:`\sin(100 x)`.

    >>> import numpy as np
    >>> x = np.linspace(0, 2 * np.pi, 900)
    >>> f = -25 * np.sin(5 * x) - 40 * np.sin(20 * x) - 500 * np.sin(100 * x)
    >>> freqs, weights, scales = spectral_init(f, x[1], 3, order=2)
    >>> (2 * np.pi * freqs).round(1)
    array([  5.,  20., 100.])
    >>> np.allclose(weights, [0.5, 0.005, 0.00125], rtol=0.01)
    True
    """
    frame, values = as_arrays(values=values)
    check_real("values", values, frame)
    if values.ndim == 0 or values.shape[-1] < _FEWEST:
        raise ValueError(
            f"values must have shape (..., n) with n >= {_FEWEST}, got {tuple(values.shape)}"
        )
    spacing = as_float("spacing", spacing, positive=True)
    n_components = as_integer("n_components", n_components, minimum=1)
    order = as_integer("order", order, minimum=0)
    host = np.asarray(values if frame.is_numpy else values.detach().cpu(), dtype=np.float64)
    n = host.shape[-1]
    bins, power = _lines(host)
    freqs = bins / ((n + 1) * spacing)
    weights = power / (2 * math.pi * np.maximum(freqs, 1 / ((n + 1) * spacing))) ** (2 * order)
    best = np.argsort(-weights, kind="stable")[:n_components]
    best = best[weights[best] > _SMALLEST * weights.max(initial=0.0)]
    scales = np.full(len(best), _WIDTH / (2 * math.pi * (n - 1) * spacing))
    return (
        frame.cast(frame.asarray(freqs[best])),
        frame.cast(frame.asarray(weights[best])),
        frame.cast(frame.asarray(scales)),
    )


def _lines(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions, in bins, and mean squares of all lines that stand above the leakage."""
    largest = np.abs(values).max(initial=0.0)
    if largest == 0:
        return np.zeros(0), np.zeros(0)
    n = values.shape[-1]
    power = hann_periodogram(values / largest)
    left = np.concatenate(([-1.0], power[:-1]))
    right = np.concatenate((power[1:], [-1.0]))
    peaks = np.flatnonzero((power >= left) & (power > right))
    peaks = peaks[np.argsort(-power[peaks], kind="stable")]
    places, heights = _refined(power, peaks)
    bins = places * (n + 1) / (PADDING * n)
    leakage = np.zeros(len(bins))
    kept = []
    open_ = np.ones(len(bins), dtype=bool)
    for at in range(len(bins)):
        if not open_[at] or heights[at] <= _ABOVE_LEAKAGE * leakage[at] ** 2:
            continue
        kept.append(at)
        apart = np.abs(bins - bins[at])
        open_ &= apart > _LOBE
        # A line leaks from its negative frequency as well.
        leakage += math.sqrt(heights[at]) * (_leakage(apart) + _leakage(bins + bins[at]))
    return bins[kept], heights[kept] * largest**2


def hann_periodogram(values: np.ndarray) -> np.ndarray:
    """Power at the multiples of 1/8 of a bin; at a wave's frequency it is the mean square."""
    n = values.shape[-1]
    window = np.hanning(n + 2)[1:-1]
    spectrum = np.fft.rfft(values * window, PADDING * n, axis=-1)
    power = 2 * (np.abs(spectrum) / window.sum()) ** 2
    return np.mean(power.reshape(-1, power.shape[-1]), axis=0)


def _refined(power: np.ndarray, peaks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Summits of the parabolas through the logarithms about each maximum."""
    places, heights = peaks.astype(np.float64), power[peaks]
    inside = (peaks > 0) & (peaks < len(power) - 1)
    k = peaks[inside]
    a, b, c = (np.log(np.maximum(power[k + d], np.finfo(float).tiny)) for d in (-1, 0, 1))
    shift = 0.5 * (a - c) / (a - 2 * b + c)
    places[inside] += shift
    heights[inside] = np.exp(b - 0.25 * (a - c) * shift)
    # There the two frequencies of a wave are one.
    heights[~inside] /= 2
    return places, heights


def _leakage(bins: np.ndarray) -> np.ndarray:
    """Bound of the window's side lobes beside its main lobe."""
    d = np.maximum(bins, 1.5)
    return np.asarray(1 / (np.pi * d * (d * d - 1)))

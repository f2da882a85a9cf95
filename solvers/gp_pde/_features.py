r"""Sines and cosines along one axis, with the prior's standard deviations in them.

A stationary prior with spectral density S is, on an interval of length L and to the accuracy of a
sum over frequencies 1/T apart, that of

.. math:: u(x) = \sum_j \sigma_j \left(\xi_j \cos\omega_j (x - x_0)
          + \eta_j \sin\omega_j (x - x_0)\right), \qquad \omega_j = 2\pi j/T,

with independent standard normal weights. Working with the features
:math:`\sigma_j\cos`, :math:`\sigma_j\sin` is working with a square root of the Gram matrix, which
has half the digits of its condition number to lose. The period T exceeds L, since u is not
periodic, unless the axis is.

The sum repeats the kernel with period T. A kernel that was given is the prior, and has to have
died out over T - L, and its density beyond the last frequency: slow kernels take long periods and
rough ones high frequencies. At long periods frequencies without mass are thinned out. A kernel
that was read from data is a guess, for which 1.5 L does.

The density of a problem is read from its data: lines of the periodogram of f, divided by the
squared symbol of the operator, and of the boundary values; and the exponentials that solve the
homogeneous equation.

References: Fang, Cooley, Long, Li, Kirby, Zhe, arXiv 2311.04465 (spectral-mixture priors).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from solvers.gp_pde.equations import LinearOperator
from solvers.gp_pde.periodogram import PADDING, hann_periodogram
from solvers.gp_pde.spectral_mixture import SpectralMixture

FLOOR = 1e-16

LINE_WIDTH = 8.0
_LINES = 8
_SMALLEST_LINE = 1e-13
_BACKGROUND = 1e-3
# Period over length, and highest frequency over the Nyquist limit, by how near to the limit the
# kernel's lines come. Found on sin(kx): a longer period and all frequencies lose one or two digits
# where lines are low and are the only ones that work where they are high.
_PERIODS = ((0.62, 1.5, 0.8), (0.72, 2.0, 0.8), (np.inf, 2.0, 1.0))
_RELEVANT = 1e-8
_SPARE = 8
# Scale times the distance over which an envelope falls to 1e-6 (1e-4 for the Matern kernel with
# nu = 4.5), and scales from its middle to where its density has: what is beyond no longer shows in
# how often bands hold draws.
_FALLEN = {"gaussian": 0.85, "matern": 1.6}
_TAIL = {"gaussian": 7.0, "matern": 30.0}
_HIGHEST = 4.0
_MOST_PER_POINT = 3
_MOST = 256


@dataclass(frozen=True)
class AxisFeatures:
    """Features of one axis.

    Attributes
    ----------
    origin, period : float
        Where the phases are zero, and T.
    omega : array, shape (J,)
        Angular frequencies from 0 on.
    sd : array, shape (J,)
        Prior standard deviation of the cosine's and of the sine's weight.
    """

    origin: float
    period: float
    omega: np.ndarray
    sd: np.ndarray

    @property
    def size(self) -> int:
        """Number of features, 2J - 1: J cosines, then the sines from j = 1 on."""
        return 2 * len(self.omega) - 1

    def __call__(self, x: np.ndarray, order: int = 0) -> np.ndarray:
        """Derivatives of the features at ``x`` (m,), shape (m, 2J - 1)."""
        phase = np.multiply.outer(x - self.origin, self.omega)
        amplitude = self.sd * self.omega**order
        cosines, sines = np.cos(phase), np.sin(phase)
        turned = (
            (cosines, sines),
            (-sines, cosines),
            (-cosines, -sines),
            (sines, -cosines),
        )[order % 4]
        return np.concatenate([turned[0] * amplitude, turned[1][:, 1:] * amplitude[1:]], axis=1)

    def variance(self, order: int = 0) -> float:
        """Prior variance of a derivative of u, the same everywhere."""
        return float(np.sum((self.sd * self.omega**order) ** 2))


def axis_features(
    grid: np.ndarray,
    kernel: SpectralMixture,
    *,
    periodic: bool = False,
    given: bool = False,
    extension: float | None = None,
    reach: float | None = None,
    floor: float = FLOOR,
) -> AxisFeatures:
    """Features for a grid: period ``extension`` times its length, exactly that where periodic.

    Frequencies go up to ``reach`` times the Nyquist limit of the mean spacing. Both are chosen by
    the kernel's frequencies unless stated: 1.5 and 0.8, and up to 2 and 1 near the limit. A kernel
    that is ``given`` is stood for as it is, at longer periods and up to four times the limit where
    it takes them, within three frequencies a point (or 256) with mass. No variance is below
    ``floor`` times the largest, so that what the kernel rules out costs digits, not correctness.
    """
    length = float(grid[-1] - grid[0])
    limit = nyquist(grid)
    relevant = kernel.weights > _RELEVANT * kernel.weights.max()
    ratio = float(kernel.freqs[relevant].max(initial=0.0)) / limit
    chosen = next(entry for entry in _PERIODS if ratio <= entry[0])
    extension = chosen[1] if extension is None else extension
    reach = chosen[2] if reach is None else reach
    period = length if periodic else extension * length
    centres, tails = kernel.freqs[relevant], _TAIL[kernel.envelope] * kernel.scales[relevant]
    stride = 1
    if given:
        top = min(float(np.max(centres + tails)), _HIGHEST * limit)
        reach = max(reach, top / limit)
        if not periodic:
            most = max(_MOST_PER_POINT * len(grid), _MOST) / min(top, 2 * float(tails.sum()))
            wanted = length + _FALLEN[kernel.envelope] / float(kernel.scales[relevant].min())
            shortest, period = period, max(period, min(wanted, most))
            stride = int(period / shortest)
    # More features than points on small grids too, or there would be nothing left to doubt.
    j = np.arange(max(int(reach * limit * period + 1e-9) + 1, len(grid) // 2 + _SPARE))
    # The density is two-sided: a pair (cosine, sine) carries the mass of both signs.
    mass = kernel.density(j / period) / period
    mass[1:] *= 2.0
    mass = np.maximum(mass, floor * mass.max())
    if stride > 1:
        near = np.abs(np.subtract.outer(j / period, centres)) <= tails
        kept = near.any(axis=1) | (j % stride == 0)
        j, mass = j[kept], mass[kept]
    return AxisFeatures(float(grid[0]), period, 2 * np.pi * j / period, np.sqrt(mass))


def nyquist(grid: np.ndarray) -> float:
    """The highest frequency, in cycles, that the mean spacing resolves."""
    return float((len(grid) - 1) / (2 * (grid[-1] - grid[0])))


@dataclass(frozen=True)
class Curves:
    """Samples that show the spectrum of u: values (..., n) at points (n,) along the last axis.

    Attributes
    ----------
    values, points : array
    symbol : callable or None
        What the operator multiplies a wave of a given angular frequency by; None for u itself.
    noise_std : float
        Standard deviation of what the samples are off by.
    """

    values: np.ndarray
    points: np.ndarray
    symbol: Callable[[np.ndarray], np.ndarray] | None = None
    noise_std: float = 0.0


def spectrum_of(
    curves: Sequence[Curves],
    length: float,
    *,
    limit: float,
    roots: Sequence[complex] = (0.0,),
    background: float = 0.0,
    share: float = _BACKGROUND,
    width: float = LINE_WIDTH,
    nu: float | None = None,
) -> SpectralMixture:
    r"""The prior that data suggest: lines of the periodograms, and the homogeneous solutions.

    Parameters
    ----------
    curves : sequence of Curves
        Samples of f along the axis, with its symbol, and of u, without.
    length : float
        Length of the axis.
    limit : float
        Largest frequency that the grid resolves, in cycles; lines above it are left out.
    roots : sequence of complex
        Exponents r of solutions :math:`e^{rx}` of the homogeneous equation; 0 stands for the
        polynomials.
    background : float
        Mean square of what the homogeneous solutions have to carry, at least.
    share : float
        The least weight of theirs over that of the strongest line.
    width : float
        Angular width of a line times the length.
    nu : float, optional
        Smoothness of a Matern envelope, whose tails spectra with few clear lines need; Gaussian
        without.

    Returns
    -------
    SpectralMixture
        Its weights are mean squares of u.
    """
    lines = [spectral_lines(curve, length) for curve in curves]
    freqs = np.concatenate([np.zeros(0), *(line[0] for line in lines)])
    weights = np.concatenate([np.zeros(0), *(line[1] for line in lines)])
    kept = freqs <= limit
    freqs, weights = _strongest(freqs[kept], weights[kept], 2.0 / length)
    carried = max(background, share * weights.max(initial=0.0)) or 1.0
    scale = width / (2 * np.pi * length)
    exponents = np.asarray(roots, dtype=complex)
    grown = np.minimum(np.abs(exponents.real) / (2 * np.pi), limit)
    turned = np.minimum(np.abs(exponents.imag) / (2 * np.pi), limit)
    return SpectralMixture(
        weights=np.concatenate([weights, np.full(len(exponents), carried)]),
        freqs=np.concatenate([freqs, turned]),
        scales=np.concatenate([np.full(len(freqs), scale), np.maximum(grown, scale)]),
        envelope="gaussian" if nu is None else "matern",
        nu=2.5 if nu is None else nu,
    )


def spectral_lines(curve: Curves, length: float) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies (cycles) and mean squares of u at the strongest lines of a periodogram.

    Local maxima are sought before the division by the symbol, which would turn leakage at low
    frequencies into maxima, and ranked after it.
    """
    freqs, power = power_spectrum(curve.values, curve.points)
    left, right = np.concatenate([[-1.0], power[:-1]]), np.concatenate([power[1:], [-1.0]])
    n = len(curve.points)
    # Power of white noise under the window is exponential about 3 s^2/n; the maximum of n of them.
    noise = 3 * curve.noise_std**2 / n * (np.log(n) + 3)
    peaks = np.flatnonzero((power >= left) & (power > right))
    peaks = peaks[power[peaks] > max(_SMALLEST_LINE * power.max(), noise)]
    weights = power[peaks]
    if curve.symbol is not None:
        # The line may lie a bin aside: at a zero of the symbol it says little of u.
        omega, bin_ = 2 * np.pi * freqs[peaks], 2 * np.pi / length
        gain = np.max([np.abs(curve.symbol(omega + d)) for d in (-bin_, 0.0, bin_)], axis=0) ** 2
        weights = np.divide(weights, gain, out=np.zeros_like(weights), where=gain > 0)
    return _strongest(freqs[peaks], weights, 2.0 / length)


def power_spectrum(values: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    r"""Frequencies in cycles and Hann-windowed power, a sinusoid's peak being its mean square.

    Leading axes are averaged over. Points need not be at equal distances.
    """
    n = values.shape[-1]
    length = float(points[-1] - points[0])
    spacing = length / (n - 1)
    freqs = np.fft.rfftfreq(PADDING * n, spacing)
    if is_uniform(points):
        power = hann_periodogram(values)
    else:
        t = (points - points[0]) / length
        window = np.gradient(t) * np.sin(np.pi * (t * (n - 1) + 1) / (n + 1)) ** 2
        freqs = freqs[:: PADDING // 2]
        waves = np.exp(np.multiply.outer(points - points[0], -2j * np.pi * freqs))
        power = 2 * (np.abs((values * window) @ waves) / window.sum()) ** 2
        power = power.reshape(-1, power.shape[-1]).mean(axis=0)
    power[0] /= 2
    return freqs, power


def is_uniform(points: np.ndarray) -> bool:
    """Whether the points are at equal distances, to rounding."""
    steps = np.diff(points)
    slack = 1e-9 * steps.mean() + 8 * np.finfo(float).eps * np.abs(points).max()
    return bool(np.abs(steps - steps.mean()).max() <= slack)


def symbol_of(linear: LinearOperator, axis: int) -> Callable[[np.ndarray], np.ndarray]:
    r"""Symbol :math:`\sum_t c_t (i\omega)^{a_t}` of the terms along one axis alone.

    The operator has constant coefficients.
    """
    coefficients = axis_coefficients(linear, axis)

    def symbol(omega: np.ndarray) -> np.ndarray:
        return np.polynomial.polynomial.polyval(1j * np.asarray(omega), coefficients)

    return symbol


def axis_coefficients(linear: LinearOperator, axis: int) -> np.ndarray:
    """Coefficients of the derivatives along one axis alone, from order 0 on."""
    coefficients = np.zeros(linear.orders[axis] + 1)
    for c, orders in linear.terms:
        if sum(orders) == orders[axis] and not callable(c):
            coefficients[orders[axis]] += c
    return coefficients


def characteristic_roots(coefficients: np.ndarray) -> np.ndarray:
    r"""Roots r of :math:`\sum_k c_k r^k`, ``coefficients`` from :math:`c_0` on."""
    trimmed = np.trim_zeros(coefficients, "b")
    return np.roots(trimmed[::-1]) if len(trimmed) > 1 else np.zeros(0)


def _strongest(
    freqs: np.ndarray, weights: np.ndarray, apart: float
) -> tuple[np.ndarray, np.ndarray]:
    """The largest few weights whose frequencies lie ``apart``."""
    chosen: list[int] = []
    for at in np.argsort(-weights, kind="stable"):
        if len(chosen) == _LINES or weights[at] <= _SMALLEST_LINE * weights.max():
            break
        if all(abs(freqs[at] - freqs[other]) > apart for other in chosen):
            chosen.append(int(at))
    return freqs[chosen], weights[chosen]

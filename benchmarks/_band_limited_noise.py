"""The test signal of the HiPPO papers' function-approximation demonstration."""

from __future__ import annotations

import numpy as np


def band_limited_noise(duration: float, dt: float, cutoff: float, *, seed: int = 0) -> np.ndarray:
    """White noise below `cutoff`, shifted to start at zero.

    The draws follow the legacy generator ``numpy.random.RandomState(seed)`` in the order in which
    the demonstration makes them: all imaginary parts, then all real parts. Deviation 0.5 before
    the shift, in the mean over seeds.
    """
    half = int(np.ceil(duration / dt / 2))
    draw = np.random.RandomState(seed)
    imaginary = draw.normal(0.0, 0.5 * np.sqrt(0.5), half + 1)
    real = draw.normal(0.0, 0.5 * np.sqrt(0.5), half + 1)
    imaginary[-1] = 0.0
    spectrum = real + 1j * imaginary
    above = np.fft.rfftfreq(2 * half, d=dt) > cutoff
    spectrum[above] = 0.0
    spectrum[0] = 0.0
    spectrum *= np.sqrt(2 * half / (1 - above.sum() / half))
    signal = np.fft.irfft(spectrum)
    return signal - signal[0]

r"""How a companion kernel is computed: the two recurrences, and what guards their error.

Every path here returns, beside the kernel, an estimate of its largest rounding error.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from numerics.arrays import Array, Frame
from ssm import _all_pole
from ssm._all_pole import convolve, correlate

_UNIT = 2.0**-53


def kernel_double(frame: Frame, p: Array, b: Array, c: Array, L: int, algorithm: str) -> Array:
    """Kernels of trusted arguments in double precision, all of one shape (..., d) and one dtype."""
    return _values(frame, p, b, c, L, algorithm)


def resolvent_double(frame: Frame, p: Array, b: Array, tilde: Array, L: int) -> Array:
    r"""Kernels from the resolvent at the roots of unity, given :math:`\tilde c`.

    With :math:`q_{uv}` the transform of the correlation :math:`\sum_j u_{l+j} v_j`, folded modulo L,

    .. math:: \hat K = q_{\tilde c b} + \omega \frac{q_{\tilde c p}\, q_{e b}}{1 - \omega q_{e p}} .
    """
    xp = frame.xp
    d = p.shape[-1]
    angle = frame.asarray(-2 * np.pi * np.arange(L) / L)
    omega = xp.astype(xp.cos(angle), xp.complex128) + 1j * xp.astype(xp.sin(angle), xp.complex128)

    def folded(u: Array) -> Array:
        rows = -(-d // L)
        u = xp.reshape(_all_pole.pad(frame, u, 0, rows * L), (*u.shape[:-1], rows, L))
        return xp.fft.fft(xp.astype(xp.sum(u, axis=-2), xp.complex128))

    q_cb = folded(correlate(frame, tilde, b, d))
    q_cp = folded(correlate(frame, tilde, p, d))
    q_eb = folded(xp.flip(b, axis=-1))
    q_ep = folded(xp.flip(p, axis=-1))
    with np.errstate(divide="ignore", invalid="ignore"):
        spectrum = q_cb + omega * q_cp * q_eb / (1 - omega * q_ep)
        K = xp.fft.ifft(spectrum)
    return K if frame.is_complex(p) else xp.real(K)


def _values(frame: Frame, p: Array, b: Array, c: Array, L: int, algorithm: str) -> Array:
    batch, d = p.shape[:-1], p.shape[-1]
    p, b, c = (frame.xp.reshape(v, (-1, d)) for v in (p, b, c))
    if frame.is_numpy and algorithm != "fft":
        K = _filter(p, b, c, L)[0]
    else:
        K = _blocks(frame, p, b, c, L, _all_pole.all_pole_fft)
    return frame.xp.reshape(K, (*batch, L))


def _filter(p: np.ndarray, b: np.ndarray, c: np.ndarray, L: int) -> tuple[np.ndarray, np.ndarray]:
    from ssm import _numba_companion

    K = np.empty((p.shape[0], L), p.dtype)
    error = np.empty(p.shape[0])
    _numba_companion.kernel(*(np.ascontiguousarray(v) for v in (p, b, c)), K, error)
    return K, error


def _blocks(frame: Frame, p: Array, b: Array, c: Array, L: int, all_pole: Any) -> Array:
    xp = frame.xp
    d = p.shape[-1]
    K = _all_pole.pad(frame, correlate(frame, c, b, d), 0, L)[..., :L]
    if L == 1:
        return K
    h = correlate(frame, c, p, d)
    x = _all_pole.pad(frame, convolve(frame, h, xp.flip(b, axis=-1), L - 1), 0, L - 1)
    y = all_pole(frame, p, x)
    return xp.concat([K[..., :1], K[..., 1:] + y], axis=-1)

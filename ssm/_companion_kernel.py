r"""How a companion kernel is computed, and what guards its error.

The kernel comes from one of two recurrences: the compiled filter, O(dL), or the blocks of
:mod:`ssm._all_pole`, O((d + L) log (d + L)). Each returns an estimate of its largest rounding error
with the kernel. Where that is more than the tolerance times the largest entry, the next costlier
arithmetic takes over: the filter in double precision, the filter in double-double, integers. What
amplifies an error in one of them amplifies it in all, so the estimate is made once, in double
precision, and scaled.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from numerics._threads import threads
from numerics.arrays import Array, Frame, as_arrays
from ssm import _all_pole
from ssm._all_pole import convolve, correlate

_UNIT = 2.0**-53
_TOLERANCE = {False: 1e-12, True: 1e-7}
# A double-double product and sum are good to 2^-104; against 2^-53, and a factor 4 to spare.
_DOUBLE_DOUBLE_GAIN = 2.0**-49
# Orders and lengths from which transforms overtake the compiled loop, as measured.
_FFT_ORDER = 2048
_FFT_PRODUCT = 2**24


def kernel_double(frame: Frame, p: Array, b: Array, c: Array, L: int, algorithm: str) -> Array:
    """Kernels of trusted arguments in double precision, all of one shape (..., d) and one dtype."""
    batch, d = tuple(p.shape[:-1]), p.shape[-1]
    p, b, c = (frame.xp.reshape(v, (-1, d)) for v in (p, b, c))
    if frame.is_torch:
        from ssm._torch_companion import CompanionKernel

        K = CompanionKernel.apply(p, b, c, L, algorithm, frame)
    else:
        K = kernel_values(frame, p, b, c, L, algorithm)
    return frame.xp.reshape(K, (*batch, L))


def kernel_values(frame: Frame, p: Array, b: Array, c: Array, L: int, algorithm: str) -> Array:
    """Kernels (S, L) of rows (S, d), without a graph."""
    if _on_host(frame):
        host, p, b, c = as_arrays(finite=False, **_host(p=p, b=b, c=c))
        if algorithm == "filter":
            K = _filter(p, b, c, L, np.inf)[0]
        elif algorithm == "fft":
            K = _blocks(host, p, b, c, L)[0]
        else:
            K = _guarded(host, p, b, c, L, _TOLERANCE[frame.single])
        return frame.xp.asarray(K)
    if algorithm == "filter":
        return _blocks(frame, p, b, c, L, _all_pole.all_pole_matrix, refine=False)[0]
    K, error = _blocks(frame, p, b, c, L, refine=algorithm == "auto")
    if algorithm == "auto":
        xp = frame.xp
        trusted = error <= _TOLERANCE[frame.single] * xp.max(xp.abs(K), axis=-1)
        rows = xp.nonzero(~trusted)[0]
        if rows.shape[0]:
            host, p, b, c = as_arrays(finite=False, **_host(p=p[rows], b=b[rows], c=c[rows]))
            better = _guarded(host, p, b, c, L, _TOLERANCE[frame.single])
            K[rows] = xp.asarray(better, device=frame.device)
    return K


def resolvent_double(frame: Frame, p: Array, b: Array, tilde: Array, L: int) -> Array:
    r"""Kernels from the resolvent at the roots of unity, given :math:`\tilde c`.

    With :math:`q_{uv}` the transform of the correlation :math:`\sum_j u_{l+j} v_j` folded modulo L,

    .. math:: \hat K = q_{\tilde c b} + \omega \frac{q_{\tilde c p}\, q_{e b}}{1 - \omega q_{e p}} .
    """
    xp = frame.xp
    d = p.shape[-1]
    omega = frame.asarray(np.exp(-2j * np.pi * np.arange(L) / L))

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


def _on_host(frame: Frame) -> bool:
    return frame.is_numpy or str(frame.device) == "cpu"


def _host(**arguments: Array) -> dict[str, np.ndarray]:
    return {
        name: np.ascontiguousarray(v if isinstance(v, np.ndarray) else v.detach().cpu().numpy())
        for name, v in arguments.items()
    }


def _guarded(
    frame: Frame, p: np.ndarray, b: np.ndarray, c: np.ndarray, L: int, tolerance: float
) -> np.ndarray:
    """Kernels whose estimated error is at most ``tolerance`` times their largest entry."""
    d = p.shape[-1]
    if d >= _FFT_ORDER and d * L >= _FFT_PRODUCT:
        with np.errstate(over="ignore", invalid="ignore"):
            K, error = _blocks(frame, p, b, c, L)
        rows = _untrusted(K, error, tolerance)
        if not rows.size:
            return K
        K[rows], error[rows] = _filter(p[rows], b[rows], c[rows], L, tolerance)
    else:
        K, error = _filter(p, b, c, L, tolerance)
    rows = _untrusted(K, error, tolerance)
    if not rows.size:
        return K
    _check_range(K[rows], error[rows])
    if not np.iscomplexobj(K):
        from ssm import _numba_companion

        better = np.empty((rows.size, L))
        with threads(rows.size, d * (d + L)):
            _numba_companion.kernel_double_double(p[rows], b[rows], c[rows], better)
        K[rows], error[rows] = better, _DOUBLE_DOUBLE_GAIN * error[rows]
        rows = _untrusted(K, error, tolerance)
    if rows.size:
        from ssm._companion_integers import kernel_by_integers

        for row in rows:
            K[row] = kernel_by_integers(p[row], b[row], c[row], L, tolerance)
    return K


def _untrusted(K: np.ndarray, error: np.ndarray, tolerance: float) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        trusted = np.isfinite(K).all(axis=-1) & (error <= tolerance * np.abs(K).max(axis=-1))
    return np.flatnonzero(~trusted)


def _check_range(K: np.ndarray, error: np.ndarray) -> None:
    """Tell a kernel that outgrows its arithmetic from one whose rounding errors do."""
    finite = np.isfinite(K)
    largest = np.abs(np.where(finite, K, 0)).max(axis=-1)
    if np.any(~finite.all(axis=-1) & (error <= 1e-3 * largest)):
        raise OverflowError(
            "the kernel exceeds the range of double precision: p has roots outside the unit circle "
            "and L is too long for their growth; shorten L or normalise p"
        )


def _filter(
    p: np.ndarray, b: np.ndarray, c: np.ndarray, L: int, tolerance: float
) -> tuple[np.ndarray, np.ndarray]:
    from ssm import _numba_companion

    K = np.empty((p.shape[0], L), p.dtype)
    error = np.empty(p.shape[0])
    with threads(p.shape[0], p.shape[1] * (p.shape[1] + L)):
        _numba_companion.kernel(p, b, c, tolerance, K, error)
    return K, error


def _blocks(
    frame: Frame,
    p: Array,
    b: Array,
    c: Array,
    L: int,
    all_pole: Any = _all_pole.all_pole_fft,
    *,
    refine: bool = True,
) -> tuple[Array, Array]:
    """Kernel and error estimate by blocks; one step of refinement gives both.

    The correction that the residual asks for is as large as the error that it removes, and what is
    left is about as large as the rounding of the residual makes it. Noise of the size of the
    rounding in the recurrence's input goes in with the residual, so that the estimate sees it
    amplified too. Against the double-double kernel the largest correction was seen to fall short of
    the error by a factor of 17 (a root at 1, d = 5, 64 blocks), hence the 32.
    """
    xp = frame.xp
    d, n = p.shape[-1], L - 1
    K = _all_pole.pad(frame, correlate(frame, c, b, d), 0, L)[..., :L]
    size_b, size_c, size_p = (xp.linalg.vector_norm(v, axis=-1, keepdims=True) for v in (b, c, p))
    transform_error = 4 * _UNIT * size_b * size_c
    if n == 0:
        return K, transform_error[..., 0]
    h = correlate(frame, c, p, d)
    x = _all_pole.pad(frame, convolve(frame, h, xp.flip(b, axis=-1), n), 0, n)
    y = all_pole(frame, p, x)
    if refine:
        signs = np.random.default_rng(0).choice([-1.0, 1.0], min(2 * d - 1, n))
        noise = transform_error * size_p * frame.asarray(signs)
        left = _all_pole.residual(frame, p, x, y) + _all_pole.pad(frame, noise, 0, n)
        correction = all_pole(frame, p, left)
        y = y + correction
        error = 32 * xp.max(xp.abs(correction), axis=-1) + transform_error[..., 0]
    else:
        error = transform_error[..., 0]
    return xp.concat([K[..., :1], K[..., 1:] + y], axis=-1), error

r"""Sums over Cauchy-like terms, for many outputs at once.

.. math:: T_i(\sigma, \kappa) = \sum_n \frac{v_{in}}{(\sigma - \kappa a_n)^p}, \qquad \kappa \ge 0,

is the Cauchy product of nodes :math:`a` with the point :math:`\sigma/\kappa` in homogeneous
coordinates, in which the point at infinity is :math:`\kappa = 0`. The derivatives in v and in a are
sums of the same kind over the points instead of the nodes. With ``paired`` every term stands for a
conjugate pair,

.. math:: \frac{v}{\sigma - \kappa a} + \frac{\bar v}{\sigma - \kappa \bar a}
          = \frac{2\,\mathrm{Re}(v)\,\sigma - 2\,\mathrm{Re}(v \bar a)\,\kappa}
                 {\sigma^2 - 2\,\mathrm{Re}(a)\,\sigma\kappa + |a|^2 \kappa^2},

so that one reciprocal serves two modes and all outputs. Sums are compiled on the host and on CUDA
devices; elsewhere, and without Triton, they are matrix products, some points at a time.
Denominators are formed in double precision whatever the precision of the sums: near a node they
cancel.
"""

from __future__ import annotations

import numpy as np

from numerics._threads import threads
from numerics.arrays import Array, Frame
from ssm._device_kernels import triton_runs

_TERMS = 4
_BLOCK_ENTRIES = 2**22


def cauchy_sums(
    frame: Frame, v: Array, a: Array, sigma: Array, kappa: Array, *, paired: bool = False
) -> Array:
    """Sums (M, m, L) of complex v (M, m, N), a (M, N), sigma (M or 1, L), and real kappa (L,)."""
    if frame.is_torch:
        from ssm._torch_cauchy import CauchySums

        return CauchySums.apply(v, a, sigma, kappa, 1, paired, frame)
    return sums_values(frame, v, a, sigma, kappa, 1, paired)


def sums_values(
    frame: Frame, v: Array, a: Array, sigma: Array, kappa: Array, power: int, paired: bool
) -> Array:
    """Sums over the nodes, without a graph."""
    if not on_host(frame):
        if triton_runs(frame, v, a, sigma, kappa):
            from ssm._triton_cauchy import device_sums

            w = frame.cast(v)
            return device_sums(w, a, sigma, kappa, power, over_points=False, paired=paired)
        return _on_device(frame, v, a, sigma, kappa, power, paired)
    v, a, sigma, kappa = (_host(array) for array in (v, a, sigma, kappa))
    forms = np.empty((sigma.shape[0], 3, sigma.shape[1]), dtype=np.complex128)
    ends = np.empty((sigma.shape[0], 2, sigma.shape[1]), dtype=_complex(frame))
    if paired:
        forms[:, 0], forms[:, 1], forms[:, 2] = sigma * sigma, sigma * kappa, kappa * kappa
        ends[:, 0], ends[:, 1] = sigma, kappa
        scalars = (np.ones(a.shape), -2 * a.real, a.real**2 + a.imag**2)
        rows = (2 * v.real, -2 * (v.real * a.real[:, None] + v.imag * a.imag[:, None]))
    else:
        forms[:, 0], forms[:, 1], forms[:, 2] = sigma, -kappa, -1j * kappa
        ends[:, 0], ends[:, 1] = 1, 1j
        scalars = (np.ones(a.shape), a.real, a.imag)
        rows = (v.real, v.imag)
    return _compiled(frame, forms, ends, scalars, rows, power)


def adjoint_values(
    frame: Frame, w: Array, a: Array, sigma: Array, kappa: Array, power: int
) -> Array:
    """Sums over the points: w (M, m, L) over (sigma - kappa a)^p, shape (M, m, N)."""
    if not on_host(frame):
        if triton_runs(frame, w, a, sigma, kappa):
            from ssm._triton_cauchy import device_sums

            w = frame.cast(w)
            return device_sums(w, a, sigma, kappa, power, over_points=True, paired=False)
        return _adjoint_on_device(frame, w, a, sigma, kappa, power)
    w, a, sigma, kappa = (_host(array) for array in (w, a, sigma, kappa))
    forms = np.empty((a.shape[0], 3, a.shape[1]), dtype=np.complex128)
    forms[:, 0], forms[:, 1], forms[:, 2] = 1, 1j, -a
    ends = np.empty((1, 2, a.shape[1]), dtype=_complex(frame))
    ends[:, 0], ends[:, 1] = 1, 1j
    sigma = np.broadcast_to(sigma, (a.shape[0], sigma.shape[1]))
    scalars = (sigma.real, sigma.imag, np.broadcast_to(kappa, sigma.shape))
    return _compiled(frame, forms, ends, scalars, (w.real, w.imag), power)


def on_host(frame: Frame) -> bool:
    """Whether the arrays of this frame lie in the memory that compiled code reads."""
    return frame.is_numpy or frame.device.type == "cpu"


def _host(array: Array) -> np.ndarray:
    return array if isinstance(array, np.ndarray) else array.detach().resolve_conj().numpy()


def _complex(frame: Frame) -> type:
    return np.complex64 if frame.single else np.complex128


def _compiled(
    frame: Frame,
    forms: np.ndarray,
    ends: np.ndarray,
    scalars: tuple[np.ndarray, ...],
    rows: tuple[np.ndarray, ...],
    power: int,
) -> Array:
    """Lay the terms out in fours, the last node repeated with weight zero, and sum."""
    from ssm._numba_cauchy import reciprocal_sums

    M, m, terms = rows[0].shape
    out: np.ndarray = np.zeros((M, m, forms.shape[-1]), dtype=_complex(frame))
    if out.size and terms:
        whole = -(-terms // _TERMS) * _TERMS
        laid = np.empty((M, 3, whole))
        weights = np.zeros((M, m, 2, whole), dtype=np.float32 if frame.single else np.float64)
        for k in range(3):
            laid[:, k, :terms] = scalars[k]
            laid[:, k, terms:] = scalars[k][..., -1:]
        for k in range(2):
            weights[:, :, k, :terms] = rows[k]
        with threads(M * -(-forms.shape[-1] // 1024), terms * 1024 * (4 * m + 4)):
            reciprocal_sums(forms, ends, laid, weights, power, out)
    return frame.from_host(out)


def _on_device(
    frame: Frame, v: Array, a: Array, sigma: Array, kappa: Array, power: int, paired: bool
) -> Array:
    """As matrix products, some points at a time."""
    xp = frame.xp
    if paired:
        v, a = xp.concat((v, xp.conj(v)), axis=-1), xp.concat((a, xp.conj(a)), axis=-1)
    M, N = a.shape
    step = max(1, _BLOCK_ENTRIES // max(1, M * N))
    parts = []
    for start in range(0, sigma.shape[-1], step):
        here = slice(start, start + step)
        terms = _terms(frame, a, sigma[:, here], kappa[here], power)
        parts.append(frame.cast(v) @ terms)
    return xp.concat(parts, axis=-1)


def _adjoint_on_device(
    frame: Frame, w: Array, a: Array, sigma: Array, kappa: Array, power: int
) -> Array:
    xp = frame.xp
    M, N = a.shape
    step = max(1, _BLOCK_ENTRIES // max(1, M * N))
    total = xp.zeros((M, w.shape[1], N), dtype=frame.complex, device=frame.device)
    for start in range(0, sigma.shape[-1], step):
        here = slice(start, start + step)
        terms = _terms(frame, a, sigma[:, here], kappa[here], power)
        total = total + frame.cast(w[..., here]) @ xp.matrix_transpose(terms)
    return total


def _terms(frame: Frame, a: Array, sigma: Array, kappa: Array, power: int) -> Array:
    """Reciprocal powers (M, N, points)."""
    return frame.cast((sigma[:, None, :] - kappa * a[..., None]) ** -power)

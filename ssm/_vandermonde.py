r"""Vandermonde products as matrix products.

.. math:: K_l = \sum_n w_n z_n^l, \qquad l = qT + r:\quad
          K_{qT+r} = \sum_n \bigl(w_n z_n^{qT}\bigr) z_n^r.

The second form is one product of :math:`L/T \times N` and :math:`N \times T` factors, real when
only the real part is asked for. The powers are built digit by digit in base 8, so a system costs
:math:`O(N(T + L/T))` powers instead of :math:`N L`. When the exponent :math:`x = \log z` is known,
each digit gets its own exponential :math:`e^{8^k x}` and phases do not accumulate rounding.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from numerics.arrays import Array, Frame, check_choice
from ssm._device_kernels import triton_runs

_RADIX = 8
_SQUARINGS = 3
_BLOCK_BYTES = 2**22
_TAKEN = {
    "numba": "NumPy arrays and CPU tensors that need no gradient",
    "triton": "CUDA tensors, where Triton is installed",
}


def chosen_algorithm(frame: Frame, algorithm: str, conj: bool, *arrays: Array) -> str:
    """What does the sum over these modes: ``matmul``, or compiled code that may and shall."""
    check_choice("algorithm", algorithm, ("auto", "matmul", "numba", "triton"))
    able = {"numba": conj and frame.runs_on_host(*arrays), "triton": False}
    if conj and triton_runs(frame, *arrays):
        from ssm._device_vandermonde import multiplies_doubles

        able["triton"] = frame.single or multiplies_doubles()
    if not able.get(algorithm, True):
        raise ValueError(
            f"algorithm={algorithm!r} takes {_TAKEN[algorithm]}, with conj=True; got"
            f" {'torch' if frame.is_torch else 'NumPy'} arrays on {frame.device}, conj={conj}"
        )
    if algorithm != "auto":
        return algorithm
    return next((name for name in able if able[name]), "matmul")


def expand(
    frame: Frame,
    w: Array,
    L: int,
    *,
    conj: bool,
    z: Array | None = None,
    exponent: Array | None = None,
) -> Array:
    """Sum of w z**l over the modes of double-precision arrays, from z or its logarithm."""
    fine, coarse = _factors(frame, z, exponent, w, L)
    is_real = not (frame.is_complex(fine) or frame.is_complex(coarse))
    result = _product(frame, coarse, fine, conj or is_real)
    result = result.reshape((*result.shape[:-2], -1))[..., :L]
    return 2 * result if conj else result


def _level_counts(L: int) -> list[int]:
    """Digits each level of the base-8 ladder takes to count to L - 1."""
    counts = [min(_RADIX, L)]
    reach = _RADIX
    while reach < L:
        counts.append(min(_RADIX, -(-L // reach)))
        reach *= _RADIX
    return counts


def _factors(
    frame: Frame, z: Array | None, exponent: Array | None, w: Array, L: int
) -> tuple[Array, Array]:
    """Fine powers (..., N, T) and weighted coarse powers (..., N, Q) with T Q >= L."""
    xp = frame.xp
    counts = _level_counts(L)
    split = (len(counts) + 1) // 2
    digits = []
    for level, count in enumerate(counts):
        if exponent is not None:
            base = xp.exp(exponent * _RADIX**level)
        elif level == 0:
            base = z
        else:
            for _ in range(_SQUARINGS):
                base = base * base
        powers = [xp.ones_like(base)]
        for _ in range(count - 1):
            powers.append(powers[-1] * base)
        digits.append(xp.stack(powers, axis=-1))
    fine = _outer_powers(frame, [frame.cast(d) for d in digits[:split]])
    first, *rest = digits[split:] or [xp.ones_like(digits[0][..., :1])]
    coarse = _outer_powers(frame, [frame.cast(d) for d in (w[..., None] * first, *rest)])
    return fine, coarse[..., : -(-L // fine.shape[-1])]


def _outer_powers(frame: Frame, digits: list[Array]) -> Array:
    """Products over all digits, the first running fastest."""
    table = digits[0]
    for digit in digits[1:]:
        product = digit[..., :, None] * table[..., None, :]
        table = product.reshape((*product.shape[:-2], -1))
    return table


def _product(frame: Frame, coarse: Array, fine: Array, real_part: bool) -> Array:
    """Sum over modes of coarse times fine, (..., Q, T); by a real product for the real part."""
    xp = frame.xp
    if real_part and frame.is_complex(fine):
        coarse = xp.concat((xp.real(coarse), -xp.imag(coarse)), axis=-2)
        fine = xp.concat((xp.real(fine), xp.imag(fine)), axis=-2)
    coarse, fine = frame.common_dtype(coarse, fine)
    return xp.matmul(xp.matrix_transpose(coarse), fine)


def expand_compiled(
    frame: Frame,
    w: np.ndarray,
    L: int,
    *,
    z: np.ndarray | None = None,
    exponent: np.ndarray | None = None,
) -> Array:
    """Twice the real part of the sum, from factors filled in cache a few systems at a time.

    Each library multiplies its own: the threads of two would wait for each other. NumPy fills the
    factors in plain threads besides, for which torch's have no room.
    """
    from numba import get_num_threads

    from ssm._numba_vandermonde import real_factors

    nodes = z if exponent is None else exponent
    assert nodes is not None
    batch = np.broadcast_shapes(nodes.shape, w.shape)
    N = batch[-1]
    nodes, weights = (
        np.ascontiguousarray(np.broadcast_to(array, batch).reshape(-1, N), dtype=np.complex128)
        for array in (nodes, 2 * w)
    )
    counts = _level_counts(L)
    split = (len(counts) + 1) // 2
    T = math.prod(counts[:split])
    Q = -(-L // T)
    M = weights.shape[0]
    out = np.empty((M, Q, T), dtype=np.float32 if frame.single else np.float64)
    block = max(1, min(M, _BLOCK_BYTES // (2 * N * (T + Q) * out.itemsize)))
    starts = range(0, M, block)

    def fill(starts: range) -> None:
        coarse_rows = np.empty((block, Q, 2 * N), dtype=out.dtype)
        fine_rows = np.empty((block, T, 2 * N), dtype=out.dtype)
        for start in starts:
            these = slice(start, min(M, start + block))
            ladder = _real_ladder(frame, nodes[these], len(counts), exponent is not None)
            coarse, fine = (rows[: these.stop - start] for rows in (coarse_rows, fine_rows))
            real_factors(*ladder, weights[these], split, _RADIX, coarse, fine)
            operands = map(frame.from_host, (coarse, fine.transpose(0, 2, 1)))
            frame.xp.matmul(*operands, out=frame.from_host(out[these]))

    threads = min(len(starts), get_num_threads()) if frame.is_numpy else 1
    if threads > 1:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(fill, (starts[first::threads] for first in range(threads))))
    else:
        fill(starts)
    return frame.from_host(out.reshape(*batch[:-1], Q * T)[..., :L])


def _real_ladder(
    frame: Frame, nodes: np.ndarray, levels: int, exponential: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Real and imaginary parts of z**(8**k), shape (M, levels, N), from log z or from z."""
    if exponential:
        xp = frame.xp
        scales = float(_RADIX) ** np.arange(levels)[:, None]
        exponent, angle = (
            frame.from_host(np.ascontiguousarray(part)[:, None, :] * scales)
            for part in (nodes.real, nodes.imag)
        )
        magnitude = xp.exp(exponent)
        return np.asarray(magnitude * xp.cos(angle)), np.asarray(magnitude * xp.sin(angle))
    powers = [nodes]
    for _ in range(levels - 1):
        powers.append(powers[-1])
        for _ in range(_SQUARINGS):
            powers[-1] = powers[-1] * powers[-1]
    stacked = np.stack(powers, axis=1)
    return np.ascontiguousarray(stacked.real), np.ascontiguousarray(stacked.imag)

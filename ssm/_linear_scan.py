r"""The two ways through a linear scan: step by step in compiled code, and by odd and even steps.

The second is for accelerators and for torch's transforms. Two steps of
:math:`h_t = a_t h_{t-1} + b_t` are one step of the same kind,

.. math:: h_{2k+1} = (a_{2k+1} a_{2k})\, h_{2k-1} + (a_{2k+1} b_{2k} + b_{2k+1}),

so the states at odd times are a scan of half the length, and each even time is one step from the
odd one before it: :math:`O(L)` operations in :math:`2 \log_2 L` rounds, without a division.

Both take arrays of equal rank that broadcast against each other, with time on ``axis`` < 0.
"""

from __future__ import annotations

import math

import numpy as np

from numerics._threads import threads, torch_threads_kept
from numerics.arrays import Array, Frame

_NARROWEST = 512
_SHARE = 8


def result_shape(a: Array, b: Array, h0: Array | None) -> tuple[int, ...]:
    """Shape of the states; the one step of ``h0`` broadcasts with any number of steps but none."""
    first = (1,) * b.ndim if h0 is None else tuple(h0.shape)
    return np.broadcast_shapes(tuple(a.shape), tuple(b.shape), first)


@torch_threads_kept()
def scan_compiled(
    a: np.ndarray, b: np.ndarray, h0: np.ndarray | None, axis: int, reverse: bool, lagged: bool
) -> np.ndarray:
    """Run the steps one after the other; the state keeps double precision between them."""
    import numba

    from ssm import _numba_scan

    shape = result_shape(a, b, h0)
    out = np.empty(shape, dtype=b.dtype)
    if out.size == 0:
        return out
    place = len(shape) + axis
    outer, L, inner = shape[:place], shape[place], shape[place + 1 :]
    rows, N = math.prod(outer), math.prod(inner)
    state = np.zeros((*outer, 1, *inner), dtype=np.result_type(b.dtype, np.float64))
    if h0 is not None:
        state[...] = h0
    pieces = max(1, min(numba.get_num_threads() // rows, N // _NARROWEST))
    # A multiplication comes with three numbers moved, and memory serves few threads at once.
    with threads(rows * pieces, L * N // pieces // _SHARE):
        _numba_scan.scan(
            *_compact(a, shape, place),
            *_compact(b, shape, place),
            state.reshape(rows, N),
            -(-N // pieces),
            reverse,
            int(lagged),
            out.reshape(rows, L, N),
        )
    return out


def _compact(
    array: np.ndarray, shape: tuple[int, ...], place: int
) -> tuple[np.ndarray, np.ndarray]:
    """Contiguous (rows, steps, channels) of what is not broadcast, and the row of each result."""
    array = array[tuple(slice(0, 1 if stride == 0 else None) for stride in array.strides)]
    outer, steps, inner = array.shape[:place], array.shape[place], array.shape[place + 1 :]
    if math.prod(inner) > 1 and inner != shape[place + 1 :]:
        inner = shape[place + 1 :]
        array = np.broadcast_to(array, (*outer, steps, *inner))
    rows = np.arange(math.prod(outer)).reshape(outer)
    flat = np.ascontiguousarray(array).reshape(rows.size, steps, math.prod(inner))
    # Numba would compile the loop again for an array that is marked read-only.
    flat = flat if flat.flags.writeable else flat.copy()
    return flat, np.broadcast_to(rows, shape[:place]).flatten()


def scan_parallel(
    frame: Frame,
    a: Array,
    b: Array,
    h0: Array | None,
    axis: int,
    reverse: bool,
    lagged: bool,
    chunk: int | None,
) -> Array:
    """Scan ``chunk`` steps at a time by odd and even steps, each from the last state before it."""
    xp = frame.xp
    shape = result_shape(a, b, h0)
    L = shape[axis]
    if 0 in shape:
        return xp.zeros(shape, dtype=b.dtype, device=frame.device)
    place = len(shape) + axis
    b = xp.broadcast_to(b, shape)
    if h0 is None:
        h0 = xp.zeros((1,) * len(shape), dtype=b.dtype, device=frame.device)
    state = xp.broadcast_to(h0, (*shape[:place], 1, *shape[place + 1 :]))
    to_front = (place, *(k for k in range(len(shape)) if k != place))
    a, b, state = (xp.permute_dims(frame.cast(array), to_front) for array in (a, b, state))
    if reverse:
        a, b = xp.flip(a, axis=0), xp.flip(b, axis=0)
    if lagged and a.shape[0] > 1:
        a = xp.concat((a[:1], a[:-1]), axis=0)
    chunk = L if chunk is None else chunk
    parts = []
    for start in range(0, L, chunk):
        coefficients = a if a.shape[0] == 1 else a[start : start + chunk]
        parts.append(_odd_even(frame, coefficients, b[start : start + chunk], state))
        state = parts[-1][-1:]
    h = parts[0] if len(parts) == 1 else xp.concat(parts, axis=0)
    h = xp.flip(h, axis=0) if reverse else h
    return xp.permute_dims(h, (*range(1, place + 1), 0, *range(place + 1, len(shape))))


def _odd_even(frame: Frame, a: Array, b: Array, state: Array) -> Array:
    """States of all steps, which are on the first axis; ``a`` has one step or as many as ``b``."""
    xp = frame.xp
    L = b.shape[0]
    if L == 1:
        return a * state + b
    half = L // 2
    even, odd = (a, a) if a.shape[0] == 1 else (a[0::2], a[1::2])
    at_odd = _odd_even(frame, odd * even[:half], odd * b[0::2][:half] + b[1::2], state)
    before = xp.concat((state, at_odd), axis=0)[: L - half]
    at_even = even * before + b[0::2]
    pairs = xp.stack((at_even[:half], at_odd), axis=1)
    h = xp.reshape(pairs, (2 * half, *pairs.shape[2:]))
    return h if L % 2 == 0 else xp.concat((h, at_even[half:]), axis=0)

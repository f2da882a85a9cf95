r"""The Walsh-Hadamard transform, and the orders of its rows.

The Hadamard matrix of order N, a power of two, in natural (Sylvester's) order is

.. math:: H_{ij} = (-1)^{\operatorname{popcount}(i \mathbin{\&} j)},
          \qquad H_{ab} = H_a \otimes H_b, \qquad H = H^T, \qquad H H = N I .

Its rows in order of sequency (number of sign changes) or of dyadic index (Paley's order) are those
whose natural index is the reversal of the bits of the Gray code of k, or of k; in these orders it
is symmetric too. The transform takes N log N additions instead of N N.
"""

from __future__ import annotations

import itertools
import math
import operator
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import array_api_compat
import numpy as np

from numerics.arrays import (
    Array,
    Frame,
    as_arrays,
    as_integer,
    check_choice,
    check_finite,
    frame_like,
)

_ORDERS = ("natural", "sequency", "dyadic")
_LINE = 64  # bytes
_THREADED = 2**23  # bytes from which threads are worth their start


def fwht(
    x: Array,
    axis: int = -1,
    *,
    norm: str | None = None,
    order: str = "natural",
    pad: bool = False,
) -> Array:
    r"""Walsh-Hadamard transform along an axis.

    .. math:: y_k = \sum_{j < N} (-1)^{\operatorname{popcount}(k \mathbin{\&} j)} x_j

    in natural order. In every order the transform is symmetric and, up to the factor N, its own
    inverse.

    Parameters
    ----------
    x : array
        Real, complex or integer, NumPy or torch; N entries along ``axis``.
    axis : int
        Axis of the transform.
    norm : {None, "ortho"}
        ``None`` for the sum above, "ortho" for its multiple :math:`1/\sqrt N`, which is orthogonal.
    order : {"natural", "sequency", "dyadic"}
        Order of the result, see :func:`walsh_order`.
    pad : bool
        Add zeros up to the next power of two; without it N must be one.

    Returns
    -------
    array
        Shape of ``x``, with the padded N along ``axis``; kind and precision of ``x``. Integers give
        int64, exact, where nothing is scaled. Torch results are differentiable.

    Raises
    ------
    TypeError
        For arrays of another kind.
    ValueError
        If N is no power of two (and ``pad`` is false) or 0, for values that are not finite, for an
        axis that ``x`` does not have, for an unknown ``norm`` or ``order``, and for integers whose
        sums do not fit int64.

    See Also
    --------
    hadamard_entry : a single entry of the matrix.

    References
    ----------
    Fino, Algazi, IEEE Trans. Comput. 25 (1976) 1142-1146.

    Examples
    --------
    The transform takes the dyadic convolution :math:`\sum_j u_j v_{k \oplus j}` to a product.

    >>> import numpy as np
    >>> u, v = np.array([1, 2, 0, -1]), np.array([3, 0, 1, 0])
    >>> fwht(fwht(u) * fwht(v)) // 4
    array([ 3,  5,  1, -1])
    >>> [sum(u[j] * v[k ^ j] for j in range(4)).item() for k in range(4)]
    [3, 5, 1, -1]

    In order of sequency, slow variation is in the first coefficients.

    >>> fwht(np.array([1.0, 1, 1, 1, -1, -1, -1, -1]), order="sequency")
    array([0., 8., 0., 0., 0., 0., 0., 0.])
    """
    if norm is not None:
        check_choice("norm", norm, ("ortho",))
    check_choice("order", order, _ORDERS)
    frame, x = _as_summands(x, exact=norm is None)
    axis = _as_axis(x, axis)
    n = x.shape[axis]
    N = 1 << max(n - 1, 0).bit_length()
    if n == 0:
        raise ValueError(f"x must have entries along axis {axis}, got shape {tuple(x.shape)}")
    if n != N and not pad:
        raise ValueError(
            f"x must have a power of two of entries along axis {axis}, got {n};"
            f" pad=True adds zeros up to {N}"
        )
    if frame.xp.isdtype(x.dtype, "integral"):
        _check_sums_fit(frame, x, axis)
    scale = 1 if norm is None else 1 / math.sqrt(N)
    if frame.is_numpy:
        y = _transform_numpy(x, axis, N, scale)
    else:
        y = _transform_torch(frame, x, axis, N, scale)
    _check_finite(frame, x, y, axis)
    if order != "natural":
        places = frame.xp.asarray(walsh_order(N, order), device=frame.device)
        y = frame.xp.take(y, places, axis=axis)
    return y


def hadamard_entry(i: Array, j: Array) -> Array:
    r"""Entries :math:`(-1)^{\operatorname{popcount}(i \mathbin{\&} j)}` of the Hadamard matrix.

    Parameters
    ----------
    i, j : array of integers
        Row and column in natural order, counted from 0; they broadcast.

    Returns
    -------
    array of int64
        1 and -1. The order of the matrix does not enter.

    Raises
    ------
    TypeError
        For indices that are no integers.
    ValueError
        For negative indices.

    Examples
    --------
    >>> import numpy as np
    >>> k = np.arange(4)
    >>> hadamard_entry(k[:, None], k)
    array([[ 1,  1,  1,  1],
           [ 1, -1,  1, -1],
           [ 1,  1, -1, -1],
           [ 1, -1, -1,  1]])
    """
    frame, i = _as_indices("i", i)
    other, j = _as_indices("j", j)
    if frame.is_numpy != other.is_numpy:
        raise TypeError("arguments mix array libraries: i and j must be of one kind")
    bits = i & j
    for shift in (32, 16, 8, 4, 2, 1):
        bits = bits ^ (bits >> shift)
    return 1 - 2 * (bits & 1)


def walsh_order(N: int, order: str = "sequency") -> np.ndarray:
    """Natural index of each row of the Hadamard matrix in another order.

    Parameters
    ----------
    N : int
        A power of two.
    order : {"natural", "sequency", "dyadic"}
        By the number of sign changes in a row, or as the product of those Rademacher functions
        whose numbers are the bits of the index (Paley).

    Returns
    -------
    ndarray of intp, shape (N,)
        ``H[walsh_order(N, order)]`` is the matrix in that order.

    Raises
    ------
    ValueError
        If N is no power of two, and for an unknown ``order``.

    Examples
    --------
    >>> import numpy as np
    >>> rows = walsh_order(8)
    >>> rows
    array([0, 4, 6, 2, 3, 7, 5, 1])
    >>> H = hadamard_entry(rows[:, None], np.arange(8))
    >>> (np.diff(H) != 0).sum(axis=1)
    array([0, 1, 2, 3, 4, 5, 6, 7])
    """
    N = as_integer("N", N, minimum=1)
    check_choice("order", order, _ORDERS)
    if N & (N - 1):
        raise ValueError(f"N must be a power of two, got {N}")
    k = np.arange(N)
    if order == "natural":
        return k
    code = k ^ (k >> 1) if order == "sequency" else k
    rows = np.zeros_like(k)
    for _ in range(N.bit_length() - 1):
        rows = (rows << 1) | (code & 1)
        code = code >> 1
    return rows


def transform_host(data: np.ndarray, scale: float = 1) -> None:
    """Transform C-contiguous (outer, N, inner) times ``scale`` in place, on all threads."""
    from numba import get_num_threads

    from numerics._numba_hadamard import block_pass, block_rows, chunk_pass, chunk_rows, chunks

    outer, N, inner = data.shape
    flat, item = data.reshape(-1), data.itemsize
    factor = 1 if data.dtype.kind == "i" else float(scale)
    threads = get_num_threads() if data.nbytes >= _THREADED else 1
    with ThreadPoolExecutor(threads) if threads > 1 else nullcontext() as pool:

        def share(work: Callable[..., None], count: int, *arguments: Any) -> None:
            if pool is None:
                work(flat, *arguments, 0, count)
                return
            # More parts than threads, since a busy machine holds some of them up.
            parts = min(count, 8 * threads)
            bounds = [count * part // parts for part in range(parts + 1)]
            calls = [
                pool.submit(work, flat, *arguments, first, last)
                for first, last in itertools.pairwise(bounds)
            ]
            for call in calls:
                call.result()

        rows = int(block_rows(N, inner, item))
        share(block_pass, outer * (N // rows), rows, inner, factor)
        while rows < N:
            more, unit = int(chunk_rows(N // rows)), rows * inner
            rows *= more
            share(chunk_pass, outer * (N // rows) * int(chunks(more, unit, item)), unit, more)


def _as_summands(x: Any, exact: bool) -> tuple[Frame, Array]:
    """Frame and array; integers become int64 where the result shall be exact."""
    if not hasattr(x, "dtype"):
        as_arrays(finite=False, x=x)
        x = np.asarray(x)
    is_torch = array_api_compat.is_torch_array(x)
    frame = frame_like(x) if is_torch or x.dtype.kind in "iu" else None
    if not exact or frame is None or not frame.xp.isdtype(x.dtype, "integral"):
        return as_arrays(finite=False, x=x)
    wide = frame.xp.astype(x, frame.xp.int64, copy=False)
    if frame.xp.isdtype(x.dtype, "unsigned integer") and bool(frame.xp.any(wide < 0)):
        raise ValueError("x must have sums that fit int64, got entries beyond it")
    return frame, wide


def _as_axis(x: Array, axis: int) -> int:
    try:
        place = operator.index(axis)
    except TypeError:
        raise TypeError(f"axis must be an integer, got {axis!r}") from None
    if not -x.ndim <= place < x.ndim:
        raise ValueError(
            f"axis must be one of the {x.ndim} axes of x, got {axis} for shape {tuple(x.shape)}"
        )
    return place % x.ndim


def _check_sums_fit(frame: Frame, x: Array, axis: int) -> None:
    """Refuse integers of which a signed sum may not fit int64."""
    if 0 in x.shape:
        return
    largest = max(-int(x.min()), int(x.max()))
    if largest * x.shape[axis] < 2**63:
        return
    size, xp = abs(x), frame.xp
    low = xp.sum(size & (2**32 - 1), axis=axis)
    high = xp.sum(size >> 32, axis=axis) + (low >> 32)
    if largest == 2**63 or int(high.max()) >= 2**31:
        raise ValueError(f"x must have sums of absolute values below 2**63 along axis {axis}")


def _check_finite(frame: Frame, x: Array, y: Array, axis: int) -> None:
    """Refuse what is not finite: it shows in the plain sums, which are the first coefficients."""
    if frame.xp.isdtype(x.dtype, "integral"):
        return
    try:
        check_finite("x", y[(slice(None),) * axis + (0,)], frame)
    except ValueError:
        check_finite("x", x, frame)


def _transform_numpy(x: np.ndarray, axis: int, N: int, scale: float) -> np.ndarray:
    """Transform a copy that has its axes in the order in which those of ``x`` lie in memory."""
    axes = sorted(range(x.ndim), key=lambda a: (-abs(x.strides[a]), a))
    place = axes.index(axis)
    source = x.transpose(axes)
    n, shape = x.shape[axis], list(source.shape)
    shape[place] = N
    out = aligned_empty(tuple(shape), x.dtype)
    before = (slice(None),) * place
    copy_threaded(source, out[(*before, slice(n))])
    out[(*before, slice(n, None))] = 0
    if out.size:
        transform_host(_real(out).reshape(math.prod(shape[:place]), N, -1), scale)
    return out.transpose(np.argsort(axes))


def copy_threaded(source: np.ndarray, out: np.ndarray) -> None:
    """Copy on all threads: new memory is handed out page by page."""
    from numba import get_num_threads

    threads = get_num_threads() if out.nbytes >= _THREADED else 1
    if threads == 1:
        out[...] = source
        return
    axis = int(np.argmax(out.shape))
    parts = [np.array_split(array, threads, axis) for array in (out, source)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(np.copyto, *parts))


def aligned_empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Array without values that starts where a line of the cache does."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    room = np.empty(size + _LINE, np.uint8)
    start = -room.ctypes.data % _LINE
    return room[start : start + size].view(dtype).reshape(shape)


def _real(array: np.ndarray) -> np.ndarray:
    """View with real and imaginary parts along the last axis of complex values."""
    if array.dtype.kind != "c":
        return array
    return array[..., None].view(array.real.dtype)


def _transform_torch(frame: Frame, x: Array, axis: int, N: int, scale: float) -> Array:
    from numerics import _torch_hadamard

    torch = sys.modules["torch"]
    if x.is_complex():
        parts = _transform_torch(frame, torch.view_as_real(x), axis, N, scale)
        return torch.view_as_complex(parts)
    before, n, after = x.shape[:axis], x.shape[axis], x.shape[axis + 1 :]
    if n != N:
        x = torch.cat((x, x.new_zeros((*before, N - n, *after))), dim=axis)
    rows = x.reshape(math.prod(before), N, math.prod(after))
    return _torch_hadamard.transform(frame, rows, scale).reshape(*before, N, *after)


def _as_indices(name: str, value: Any) -> tuple[Frame, Array]:
    array = value if array_api_compat.is_torch_array(value) else np.asarray(value)
    frame = frame_like(array)
    if not frame.xp.isdtype(array.dtype, "integral"):
        raise TypeError(f"{name} must hold integers, got dtype {array.dtype}")
    array = frame.xp.astype(array, frame.xp.int64, copy=False)
    if bool((array < 0).any()):
        raise ValueError(f"{name} must not be negative, got {int(array.min())}")
    return frame, array

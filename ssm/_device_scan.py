r"""The linear scan on a device: every number is read once and written once.

A program takes some lanes, which are all axes but time made one, through time tile by tile and
keeps their states in registers, in double precision. Where the lanes do not fill the device, time
is split into chunks, the k-th of which maps the state before it to

.. math:: h \mapsto A_k h + B_k, \qquad A_k = \prod_t a_t,

in three passes: one finds the maps, one scans them, which is the same recurrence over chunks, and
one runs the chunks from the states before them. That reads a and b twice, so five numbers are moved
for one state and not three, where the second reading is served by the cache of the device as far as
they fit there.

The adjoint is a scan the other way. While its states are at hand they are multiplied by those of
the scan before them, which is the gradient of the coefficients.
"""

from __future__ import annotations

from typing import Any

import torch
import triton

from numerics.arrays import Array
from ssm._linear_scan import result_shape
from ssm._triton_scan import MAPS, SCAN

_LANES = 32
_TILE = 512  # numbers of one array that a warp holds
_FEWEST_TILES = 4
_WARPS_PER_PROCESSOR = 16
_HOST_PROGRAMS = 64


def scan_states(
    a: Array, b: Array, h0: Array | None, axis: int, reverse: bool, lagged: bool
) -> Array:
    """States of coefficients, inputs and initial state as `_linear_scan` takes them."""
    shape = result_shape(a, b, h0)
    if lagged and h0 is not None:
        h0 = a.narrow(axis, a.shape[axis] - 1 if reverse else 0, 1) * h0
    return _run(a, b, h0, None, shape, axis, reverse, lagged)[0]


def adjoint_states(
    a: Array, grad: Array, h: Array, h0: Array | None, axis: int, reverse: bool
) -> tuple[Array, Array]:
    """Adjoint of the states h, scanned in the direction ``reverse``, and the gradient of a."""
    shape = tuple(h.shape)
    adjoint, product = _run(a.conj(), grad, h0, h, shape, axis, not reverse, lagged=True)
    return adjoint, product.sum_to_size(a.shape).to(a.dtype)


def _run(
    a: Array,
    b: Array,
    h0: Array | None,
    before: Array | None,
    shape: tuple[int, ...],
    axis: int,
    reverse: bool,
    lagged: bool,
) -> tuple[Array, Array]:
    """Scan; with states ``before``, also multiply the result by the conjugates of their neighbours.

    The scan then starts from zero, ``h0`` is the neighbour of the last step, and the products are
    summed over time if a has one step.
    """
    out = torch.empty(shape, dtype=b.dtype, device=b.device)
    L, place = shape[axis], len(shape) + axis
    one_step = (*shape[:place], 1, *shape[place + 1 :])
    summed = before is not None and a.shape[axis] == 1
    if out.numel() == 0:
        return out, out.new_zeros(one_step if summed else shape)
    conj = a.is_conj()
    a = (a.conj() if conj else a).resolve_neg()
    product = out if before is None or summed else torch.empty_like(out)
    given = [x.resolve_conj().resolve_neg() for x in (b, h0, before) if x is not None]
    reals, sizes, steps = _laid_out((a, *given, out), shape, place)
    # Where there is no such array the kernel gets another one and does not look at it.
    of_h0 = -1 if h0 is None else 2
    of_before = -1 if before is None else -2
    pair = reals[-1].shape[out.ndim :]
    width = pair.numel()

    lanes = sizes[0] * sizes[1] * sizes[2]
    along = steps[-1][0] == width
    T, C = _tile(L, lanes, along)
    blocks = triton.cdiv(lanes, C)
    chunks, length = _chunks(L, T, blocks, b.device)
    extent = (lanes, *sizes[1:])
    way = (conj, reverse, (1 if reverse else -1) if lagged else 0)
    tile: dict[str, Any] = {"COMPLEX": width == 2, "T": T, "C": C, "num_warps": 1}
    tile_of_input = tile | {"ALONG": along}
    sums = torch.empty((chunks, lanes, *pair), dtype=torch.float64, device=b.device)
    starts = sums
    with torch.cuda.device_of(b):
        if chunks > 1:
            maps = sums.new_empty((2, chunks - 1, lanes, *pair))
            MAPS[along][blocks, chunks - 1](
                *(*reals[:2], *maps, *extent, L, length, *steps[0], *steps[1], *way),
                **tile_of_input,
            )
            starts = torch.empty_like(maps[0])
            flat = (lanes * width, sizes[1] * sizes[2] * width, sizes[2] * width, width)
            SCAN[False][blocks, 1](
                *(*maps, reals[of_h0], *(starts,) * 5, *extent, chunks - 1, chunks - 1),
                *(*flat, *flat, *steps[of_h0][1:], *flat, *flat),
                *(False, False, 0, h0 is not None and before is None, 0),
                **tile,
                ALONG=False,
            )
        SCAN[along][blocks, chunks](
            *(*reals[:2], reals[of_h0], starts, reals[of_before], reals[-1]),
            *(torch.view_as_real(product) if pair else product, sums, *extent, L, length),
            *(*steps[0], *steps[1], *steps[of_h0][1:], *steps[of_before], *steps[-1]),
            *(*way, h0 is not None, 0 if before is None else 2 if summed else 1),
            **tile_of_input,
        )
    if not summed:
        return out, product
    total = sums.sum(0)
    return out, (torch.view_as_complex(total) if pair else total).reshape(one_step)


def _laid_out(
    arrays: tuple[Array, ...], shape: tuple[int, ...], place: int
) -> tuple[list[Array], tuple[int, ...], list[tuple[int, ...]]]:
    """Real arrays, the sizes of three axes of lanes, and strides of (time, lanes) in each array.

    Neighbouring axes that all arrays can count as one become one. Where more than three are left,
    which takes several batch axes broadcast in turns, arrays are copied.
    """
    wholes = [x.expand(*shape[:place], x.shape[place], *shape[place + 1 :]) for x in arrays]
    reals = [torch.view_as_real(x) if x.is_complex() else x for x in wholes]
    sizes: list[int] = []
    strides: list[tuple[int, ...]] = []
    for k, size in enumerate(shape):
        if size == 1 or k == place:
            continue
        here = tuple(real.stride(k) for real in reals)
        if sizes and strides[-1] == tuple(stride * size for stride in here):
            sizes[-1] *= size
            strides[-1] = here
        else:
            sizes.append(size)
            strides.append(here)
    if len(sizes) > 3:
        return _laid_out(tuple(x.contiguous() for x in wholes), shape, place)
    missing = 3 - len(sizes)
    strides = [(0,) * len(reals)] * missing + strides
    times = (real.stride(place) if real.shape[place] > 1 else 0 for real in reals)
    steps = [(time, *lanes) for time, *lanes in zip(times, *strides, strict=True)]
    return reals, (*(1,) * missing, *sizes), steps


def _tile(L: int, lanes: int, along: bool) -> tuple[int, int]:
    """Steps and lanes of a tile: a warp reads along time where that is contiguous."""
    # A scan of one row is more than Triton's compiler takes.
    T, C = max(2, triton.next_power_of_2(L)), triton.next_power_of_2(lanes)
    if along:
        T = min(T, _TILE)
        return T, min(C, _TILE // T)
    C = min(C, _LANES)
    return min(T, _TILE // C), C


def _chunks(L: int, T: int, blocks: int, device: Any) -> tuple[int, int]:
    """Number and length of the chunks; two would not make up for the second reading."""
    if device.type == "cuda":
        processors = torch.cuda.get_device_properties(device).multi_processor_count
        wanted = _WARPS_PER_PROCESSOR * processors
    else:
        wanted = _HOST_PROGRAMS
    chunks = min(wanted // blocks, triton.cdiv(L, _FEWEST_TILES * T))
    if chunks < 3:
        return 1, L
    length = triton.cdiv(triton.cdiv(L, chunks), T) * T
    return triton.cdiv(L, length), length

r"""Vandermonde sums on a device, factors and product in one kernel, and their gradients.

.. math:: K_l = 2\,\mathrm{Re} \sum_n w_n z_n^l

is computed tile by tile, from powers formed in the registers of the program that multiplies them:
neither a table of powers nor an array of modes by steps is written. Phases lose no digits in single
precision, since powers are rounded when they are complete. With the gradient g of K,

.. math:: S_n = \sum_l g_l z_n^l, \qquad D_n = \sum_l (l + 1)\, g_{l+1} z_n^l,

the gradients of :math:`w_n`, :math:`z_n` and :math:`\log z_n` are the conjugates of
:math:`2 S_n`, :math:`2 w_n D_n` and :math:`2 w_n z_n D_n`.
"""

from __future__ import annotations

from functools import cache

import torch
import triton

from numerics.arrays import Array
from ssm._triton_vandermonde import sum_over_modes, sum_over_steps

_LOG_T = 6
_LOG_R_OF_SUM = 6
_LOG_R_OF_GRADIENT = 4  # which holds more at once
_MODES = 16
_FIRST_WITH_DOUBLE_PRODUCTS = (3, 5)


@cache
def multiplies_doubles() -> bool:
    """Whether this release of Triton multiplies matrices of double precision."""
    release = tuple(int(part) for part in triton.__version__.split(".")[:2])
    return release >= _FIRST_WITH_DOUBLE_PRODUCTS


def sum_modes(nodes: Array, w: Array, L: int, exponential: bool, dtype: torch.dtype) -> Array:
    """Kernels (M, L) in the real ``dtype`` of complex128 (M, N) nodes or exponents and weights."""
    M, N = w.shape
    out = torch.empty((M, L), dtype=dtype, device=w.device)
    if out.numel() == 0:
        return out
    ladder, segments, tile = _plan(nodes, L, exponential, _LOG_R_OF_SUM)
    weights = torch.view_as_real((2 * w).resolve_conj().contiguous())
    with torch.cuda.device_of(w):
        sum_over_modes[(M * segments,)](
            ladder, weights, out, N, L, segments, **tile, num_warps=8 if tile["LOG_R"] > 4 else 4
        )
    return out


def sum_steps(nodes: Array, w: Array, grad: Array, exponential: bool) -> tuple[Array, Array]:
    """Gradients (M, N) of the nodes or exponents and of the weights, from that of the kernels."""
    (M, N), L = w.shape, grad.shape[-1]
    if grad.numel() == 0:
        return torch.zeros_like(nodes), torch.zeros_like(w)
    ladder, segments, tile = _plan(nodes, L, exponential, _LOG_R_OF_GRADIENT)
    sums = torch.empty((segments, M, N, 2, 2), dtype=torch.float64, device=w.device)
    grad = grad.resolve_neg().contiguous()
    with torch.cuda.device_of(w):
        sum_over_steps[(M * segments,)](ladder, grad, sums, N, L, segments, **tile, num_warps=4)
    powers, slopes = torch.view_as_complex(2 * sums.sum(0)).unbind(-1)
    by_nodes = w * slopes
    if exponential:
        by_nodes = by_nodes * torch.view_as_complex(ladder[0])
    return by_nodes.conj().resolve_conj(), powers.conj().resolve_conj()


def _plan(nodes: Array, L: int, exponential: bool, log_r: int) -> tuple[Array, int, dict[str, int]]:
    """Ladder (levels, M, N, 2) of z^(2^k), number of segments, and the shape of their tiles."""
    log_r = min(log_r, max(4, (triton.cdiv(L, 2**_LOG_T) - 1).bit_length()))
    segments = triton.cdiv(L, 2 ** (log_r + _LOG_T))
    digits = (segments - 1).bit_length()
    levels = log_r + _LOG_T + digits
    if exponential:
        scales = 2.0 ** torch.arange(levels, dtype=torch.float64, device=nodes.device)
        ladder = torch.exp(nodes * scales[:, None, None])
    else:
        powers = [nodes]
        for _ in range(levels - 1):
            powers.append(powers[-1] * powers[-1])
        ladder = torch.stack(powers)
    real = torch.view_as_real(ladder.resolve_conj().contiguous())
    tile = {"digits": digits, "LOG_R": log_r, "LOG_T": _LOG_T, "MODES": _MODES}
    return real, segments, tile

r"""The orbit :math:`e^{tA}B` of a dissipative system at many times.

With :math:`\delta = 2^{-j} \le 1/(8\lVert A\rVert_1)` and :math:`t = k\delta + r`, the vector
:math:`e^{rA}B` is a short Taylor sum and the powers of :math:`e^{\delta A}` named by the binary
digits of k are applied to the columns that need them. The powers are held as their differences F
from the identity, doubled by :math:`F \mapsto 2F + F^2`, since a small step would round F away.
The times need no order and no grid; all work is matrix products. For :math:`A + A^T \le 0` no
power has norm above 1.
"""

from __future__ import annotations

import math
from typing import Any

from numerics.arrays import Array, Frame

_TAYLOR_ORDER = 11


def orbit(frame: Frame, A: Array, B: Array, t: Array) -> Array:
    r"""Columns :math:`e^{tA}B`, shape (N, T), of trusted double-precision arrays.

    On torch, differentiable in ``t`` to any order through :math:`dK/dt = AK`; ``A`` and ``B`` are
    constants.
    """
    if frame.is_torch:
        return _torch_orbit()(A, B, t, frame)
    return _orbit(frame, A, B, t)


def _orbit(frame: Frame, A: Array, B: Array, t: Array) -> Array:
    xp = frame.xp
    if t.shape[0] == 0:
        return xp.zeros((B.shape[0], 0), dtype=B.dtype, device=frame.device)
    norm = float(xp.max(xp.sum(xp.abs(A), axis=0)))
    step = 2.0 ** -math.ceil(math.log2(8 * norm))
    count = xp.floor(t / step)
    rest = t - count * step
    columns = B[:, None] + xp.zeros_like(t)
    factor = A * (step / _TAYLOR_ORDER)
    for j in range(_TAYLOR_ORDER, 0, -1):
        columns = B[:, None] + (A @ columns) * (rest / j)
    for j in range(_TAYLOR_ORDER - 1, 0, -1):
        factor = (A + A @ factor) * (step / j)
    while True:
        odd = count % 2 == 1
        if bool(xp.any(odd)):
            columns[:, odd] += factor @ columns[:, odd]
        count = xp.floor(count / 2)
        if not bool(xp.any(count > 0)):
            return columns
        factor = 2 * factor + factor @ factor


def _torch_orbit() -> Any:
    import torch

    class Orbit(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, A: Any, B: Any, t: Any, frame: Frame) -> Any:
            columns = _orbit(frame, A, B, t)
            ctx.save_for_backward(A, columns)
            return columns

        @staticmethod
        def backward(ctx: Any, gradient: Any) -> Any:
            A, columns = ctx.saved_tensors
            return None, None, (gradient * (A @ columns)).sum(0), None

    return Orbit.apply

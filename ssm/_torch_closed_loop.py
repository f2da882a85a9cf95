r"""The closed loop of a companion system in torch, where a gradient is wanted or on a device.

The row vectors :math:`c^T M^h` and :math:`k^T M^h` of the closed matrix :math:`M = A + b k^T` are
made for a block of steps by doubling. They do not depend on the state: a block of outputs is one
matrix product for all states, and a graph keeps one state a block instead of several a step.
"""

from __future__ import annotations

import torch
from torch.nn.functional import pad

from numerics.arrays import Array

_BLOCK = 32
_FEW_STEPS = 8
# Beyond, the squares of M cost more than steps do.
_LARGEST_ORDER = 128


def closed_loop(p: Array, b: Array, c: Array, k: Array, x: Array, H: int) -> tuple[Array, Array]:
    """Outputs and next inputs (..., H) of systems (..., d) in double precision and of one dtype."""
    if H <= _FEW_STEPS or p.shape[-1] > _LARGEST_ORDER:
        return _by_steps(p, b, c, k, x, H)
    return _by_blocks(p, b, c, k, x, H)


def _by_steps(p: Array, b: Array, c: Array, k: Array, x: Array, H: int) -> tuple[Array, Array]:
    outputs, inputs = [], []
    for _ in range(H):
        outputs.append((c * x).sum(-1))
        inputs.append((k * x).sum(-1))
        x = pad(x[..., :-1], (1, 0)) + p * x[..., -1:] + b * inputs[-1][..., None]
    shapes = torch.broadcast_shapes(outputs[-1].shape, inputs[-1].shape)
    y, u = (torch.stack([v.expand(shapes) for v in values], -1) for values in (outputs, inputs))
    return y, u


def _by_blocks(p: Array, b: Array, c: Array, k: Array, x: Array, H: int) -> tuple[Array, Array]:
    d = p.shape[-1]
    shift = torch.eye(d, dtype=p.dtype, device=p.device).roll(1, 0)[:, : d - 1]
    A = torch.cat((shift.expand(*p.shape, d - 1), p[..., None]), -1)
    power = A + b[..., :, None] * k[..., None, :]
    rows = torch.stack(torch.broadcast_tensors(c, k), -2)
    steps = 1
    while steps < min(H, _BLOCK):
        rows = torch.cat(torch.broadcast_tensors(rows, rows @ power), -2)
        power = power @ power
        steps *= 2
    blocks = []
    for start in range(0, H, steps):
        blocks.append(torch.einsum("...d,...rd->...r", x, rows))
        if start + steps < H:
            x = torch.einsum("...d,...ed->...e", x, power)
    y = torch.stack(torch.broadcast_tensors(*blocks), -2)
    y = y.unflatten(-1, (steps, 2)).flatten(-3, -2)[..., :H, :]
    return y[..., 0], y[..., 1]

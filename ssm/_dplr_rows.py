r"""Kernels of diagonal plus low-rank systems by the rows :math:`C \bar A^l`, on the host.

Systems are laid out by :meth:`ssm._dplr_system.Dplr.discrete_rows`. Several steps are taken at
once; their number balances the work that is done once a step of a block against that done once a
block.
"""

from __future__ import annotations

import math

import numpy as np

from numerics._threads import threads

_LARGEST = 32


def kernel_rows(systems: np.ndarray, conj: bool, L: int) -> np.ndarray:
    """Kernels (M, L) in double precision: real for conjugate pairs, else complex."""
    from ssm._numba_dplr_kernel import kernels

    M, rank, block, work = _sizes(systems, conj, L)
    K: np.ndarray = np.empty((M, -(-L // block), block if conj else 2 * block))
    with threads(M, work):
        kernels(np.ascontiguousarray(systems), rank, not conj, block, K)
    K = (K if conj else K.view(np.complex128)).reshape(M, -(-L // block) * block)
    return np.ascontiguousarray(K[:, :L])


def kernel_rows_gradient(systems: np.ndarray, conj: bool, grad: np.ndarray) -> np.ndarray:
    """Gradient of all that ``systems`` hold, from that of the kernels (M, L)."""
    from ssm._numba_dplr_gradient import gradients

    L = grad.shape[-1]
    M, rank, block, work = _sizes(systems, conj, L)
    whole = np.zeros((M, -(-L // block) * block), np.float64 if conj else np.complex128)
    whole[:, :L] = grad
    whole = whole.view(np.float64).reshape(M, -(-L // block), block if conj else 2 * block)
    out: np.ndarray = np.empty(systems.shape, np.complex128)
    with threads(M, 3 * work):
        gradients(np.ascontiguousarray(systems), rank, not conj, block, whole, out)
    return out


def _sizes(systems: np.ndarray, conj: bool, L: int) -> tuple[int, int, int, int]:
    """Systems, rank, steps of a block, and multiplications of a system."""
    M, rows, N = systems.shape
    rank = (rows - 3) // 2
    block = min(_LARGEST, 2 ** max(2, round(math.log2(L) / 2 - 1)))
    return M, rank, block, (2 + 4 * rank) * (1 if conj else 2) * N * L

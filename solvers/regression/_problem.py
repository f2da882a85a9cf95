r"""A least-squares problem whose rows are read block by block.

With a ridge :math:`\lambda` the problem is that of :math:`\sqrt\lambda I` below A and zeros below
b. Those d rows are a last block of the problem, so that nothing is squared and no copy is made.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from array_api_compat import is_torch_array

from numerics.arrays import Array, Frame, as_arrays, as_float, check_real
from numerics.sketching import Sketch, sketch
from numerics.sketching.row_blocks import RowSource, check_finite_rows, open_rows
from solvers.regression._algebra import Algebra, DeviceAlgebra, HostAlgebra

_CACHED_BYTES = 1 << 21
_QR_BYTES = 5 << 19


@dataclass(frozen=True)
class Problem:
    """Rows of A with right-hand sides b (n, k) in float64, and the frame of the answer."""

    frame: Frame
    algebra: Algebra
    source: RowSource
    b: Array
    ridge: float
    vector: bool

    @property
    def n(self) -> int:
        """Rows of A."""
        return int(self.b.shape[0])

    @property
    def d(self) -> int:
        """Columns of A."""
        return self.source.columns

    @property
    def k(self) -> int:
        """Right-hand sides."""
        return int(self.b.shape[1])

    @property
    def on_disk(self) -> bool:
        """Whether reading A again may cost more than computing with it."""
        return self.source.kind in ("blocks", "dask") or isinstance(self.source.data, np.memmap)

    def require_repeatable(self, method: str) -> None:
        """Refuse an iterator where rows are read again."""
        if not self.source.repeatable:
            raise ValueError(
                f"A must be readable more than once for method {method!r}, got an iterator that "
                "ends: pass an array, a list of blocks, or an object whose __iter__ starts anew, "
                "or take method 'qr', which reads A once"
            )

    def blocks(self, *, for_qr: bool = False) -> Iterator[tuple[int, Any, Array]]:
        """First row, block of A and block of b, sized to stay in cache."""
        bytes_ = _QR_BYTES if for_qr else _CACHED_BYTES
        step = max(128, bytes_ // (8 * self.d))
        if self.source.kind in ("sparse", "blocks", "dask"):
            step = max(step, self.source.default_block_rows()) if not for_qr else step
        for start, given in self.source.blocks(step, expected=self.n):
            for first in range(0, int(given.shape[0]), step):
                block = self.algebra.block(given[first : first + step])
                at = start + first
                yield at, block, self.b[at : at + int(block.shape[0])]

    def checked_blocks(self, *, for_qr: bool = False) -> Iterator[tuple[int, Any, Array]]:
        """The same, refusing NaN and infinity: for the first reading."""
        for start, block, right in self.blocks(for_qr=for_qr):
            # A sum is the cheapest look at a block; only a suspicious one is searched.
            if not math.isfinite(float(block.sum())):
                check_finite_rows("A", block, start)
            yield start, block, right

    def residual(self, x: Array) -> tuple[Array, np.ndarray]:
        r"""Half the descent direction, :math:`A^T(b - Ax) - \lambda x`, and the norms of b - Ax.

        One reading of A.
        """
        gradient = -self.ridge * x
        squares = np.zeros(self.k)
        for _, block, right in self.blocks():
            rest = right - block @ x
            gradient = gradient + block.T @ rest
            squares += self.algebra.norms(rest) ** 2
        return gradient, np.sqrt(squares)

    def normal_product(self, x: Array) -> Array:
        r"""The product :math:`(A^T A + \lambda I)x` in one reading of A."""
        product = self.ridge * x
        for _, block, _ in self.blocks():
            product = product + block.T @ (block @ x)
        return product

    def sketch(self, op: Sketch, A: Any = None, *, double: bool = False) -> Array:
        """Sketch of A in one reading; a tensor ``A`` brings its gradient."""
        source = self.source
        if source.kind != "blocks" and not (double and source.single):
            return sketch(source.data if A is None else A, op)
        total: Any = 0
        for start, block in source.blocks(expected=self.n):
            rows = self.algebra.block(block) if double else block
            total = total + op.apply_rows(start, rows)
        return total

    def sketched(self, Y: Array, z: Array) -> Problem:
        """The problem of a sketch, with the ridge as it is."""
        return replace(self, source=open_rows(Y), b=z)

    def answer(self, x: Array) -> Array:
        """Bring x (d, k) to the shape, kind and precision of b."""
        x = self.frame.asarray(x) if isinstance(x, np.ndarray) else x
        return self.frame.cast(x[:, 0] if self.vector else x)

    def per_column(self, values: np.ndarray) -> float | np.ndarray:
        """A number for one right-hand side, an array for several."""
        return float(values[0]) if self.vector else values


def open_problem(A: Any, b: Array, ridge: float = 0.0) -> Problem:
    """Check the arguments and find out where the work is to be done."""
    ridge = as_float("ridge", ridge)
    if ridge < 0:
        raise ValueError(f"ridge must be at least 0, got {ridge}")
    frame, b = as_arrays(b=b)
    check_real("b", b, frame)
    if is_torch_array(A):
        if A.ndim == 2:
            frame, A, b = as_arrays(finite=False, A=A, b=b)
        values = A.detach()
        if A.device.type == "cpu":
            values = values.resolve_conj().numpy()
        source = open_rows(values)
    else:
        source = open_rows(A)
        if frame.is_torch and source.kind != "blocks":
            raise TypeError("arguments mix array libraries: A numpy, b torch")
        if frame.is_torch and b.requires_grad:
            raise TypeError("b may require gradients only where A is a tensor")
        frame = Frame(frame.xp, frame.device, frame.single and source.single)
    _check_shapes(source, b)
    on_host = frame.is_numpy or frame.device.type == "cpu"
    algebra: Algebra = HostAlgebra() if on_host else DeviceAlgebra(frame.device)
    right = algebra.block(b.detach().numpy() if frame.is_torch and on_host else _detached(b))
    return Problem(frame, algebra, source, right.reshape(len(b), -1), ridge, b.ndim == 1)


def _check_shapes(source: RowSource, b: Array) -> None:
    if len(source.trailing) != 1:
        shape = (source.rows if source.rows is not None else "n", *source.trailing)
        raise ValueError(f"A must have shape (n, d), got {shape}")
    if b.ndim not in (1, 2) or 0 in b.shape:
        raise ValueError(f"b must have shape (n,) or (n, k), got {tuple(b.shape)}")
    n, d = int(b.shape[0]), source.columns
    if source.rows is not None and source.rows != n:
        raise ValueError(
            f"b must have shape ({source.rows},) or ({source.rows}, k), got {tuple(b.shape)}"
        )
    if d < 1 or n < d:
        raise ValueError(f"A must have at least as many rows as columns, got shape {(n, d)}")


def _detached(b: Array) -> Array:
    return b.detach() if is_torch_array(b) else b

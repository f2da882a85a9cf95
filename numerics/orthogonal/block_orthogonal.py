r"""Block-diagonal orthogonal operators, and with a single block the dense ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from numerics.arrays import (
    Array,
    Frame,
    as_arrays,
    as_integer,
    check_real,
)
from numerics.orthogonal.haar import haar_orthogonal
from numerics.orthogonal.operator import OrthogonalOperator

_LARGEST_DEFAULT = 32


class BlockOrthogonal(OrthogonalOperator):
    r"""Block-diagonal operator :math:`Q = \operatorname{diag}(B_1, \dots, B_m)` of orthogonal
    blocks of order b, n = m b.

    Applied in O(nb); products, adjoints and powers act block by block and stay in the family. A
    single block is a dense orthogonal matrix. It mixes only within a block: the image of a one-hot
    vector has b entries, and cosines between images of one-hot vectors are of the order of
    :math:`1/\sqrt b`. Compose it with a :class:`SignedPermutation` to move vectors between blocks.

    Parameters
    ----------
    blocks : array, shape (m, b, b)
        The blocks; NumPy or torch. They are checked to be orthogonal to half the digits of their
        precision, on the CPU.

    Attributes
    ----------
    blocks : array, shape (m, b, b)

    Raises
    ------
    TypeError
        For complex blocks.
    ValueError
        For blocks that are not orthogonal, other shapes, values that are not finite.

    Examples
    --------
    Rotations of planes by one angle make a full turn together.

    >>> import numpy as np
    >>> c, s = np.cos(np.pi / 3), np.sin(np.pi / 3)
    >>> Q = BlockOrthogonal(np.stack([[[c, -s], [s, c]], [[c, s], [-s, c]]]))
    >>> np.allclose(Q.power(6).to_dense(), np.eye(4))
    True
    """

    def __init__(self, blocks: Array) -> None:
        frame, blocks = as_arrays(blocks=blocks)
        check_real("blocks", blocks, frame)
        shape = tuple(blocks.shape)
        if blocks.ndim != 3 or shape[1] != shape[2] or 0 in shape:
            raise ValueError(f"blocks must have shape (m, b, b) with m, b > 0, got {shape}")
        _check_orthogonal(frame, blocks)
        super().__init__(shape[0] * shape[1])
        self.blocks = blocks

    @classmethod
    def random(
        cls, n: int, *, block: int | None = None, rng: Any = None, like: Array | None = None
    ) -> BlockOrthogonal:
        """Independent blocks from the Haar measure.

        Parameters
        ----------
        n : int
            Order.
        block : int, optional
            Order b of the blocks, a divisor of n; the largest one up to 32 without it.
        rng : Generator, int, torch.Generator or None
            Source of randomness.
        like : array, optional
            An array of the kind and precision of the blocks.

        Returns
        -------
        BlockOrthogonal

        Examples
        --------
        >>> BlockOrthogonal.random(24, block=8, rng=0).blocks.shape
        (3, 8, 8)
        """
        n = as_integer("n", n, minimum=1)
        if block is None:
            block = next(b for b in range(min(n, _LARGEST_DEFAULT), 0, -1) if n % b == 0)
        block = as_integer("block", block, minimum=1)
        if n % block:
            raise ValueError(f"block must divide n = {n}, got {block}")
        return cls(haar_orthogonal(block, size=n // block, rng=rng, like=like))

    def adjoint(self) -> BlockOrthogonal:
        """The transposed blocks.

        Returns
        -------
        BlockOrthogonal
        """
        return self._trusted(self._own_frame().xp.matrix_transpose(self.blocks))

    @classmethod
    def _trusted(cls, blocks: Array) -> BlockOrthogonal:
        self = cls.__new__(cls)
        OrthogonalOperator.__init__(self, blocks.shape[0] * blocks.shape[1])
        self.blocks = blocks
        return self

    def _parameters(self) -> dict[str, Array]:
        return {"blocks": self.blocks}

    def _rebuilt(self, parameters: Sequence[Array]) -> BlockOrthogonal:
        return self._trusted(parameters[0])

    def _composed(self, other: OrthogonalOperator) -> BlockOrthogonal | None:
        if not isinstance(other, BlockOrthogonal) or other.blocks.shape != self.blocks.shape:
            return None
        _, first, second = as_arrays(finite=False, blocks=self.blocks, other=other.blocks)
        return self._trusted(first @ second)

    def _identity(self) -> BlockOrthogonal:
        frame = self._own_frame()
        eye = frame.xp.eye(self.blocks.shape[1], dtype=frame.real, device=frame.device)
        return self._trusted(frame.xp.zeros_like(self.blocks) + eye)

    def _power(self, k: int) -> BlockOrthogonal:
        frame = self._own_frame()
        square, result = frame.double(self.blocks), None
        while True:
            if k & 1:
                result = square if result is None else result @ square
            k >>= 1
            if not k:
                return self._trusted(frame.cast(result))
            square = square @ square

    def _forward(self, frame: Frame, x: Array, axis: int) -> Array:
        return _block_product(frame, self.blocks, x, axis)

    def _backward(self, frame: Frame, x: Array, axis: int) -> Array:
        return _block_product(frame, frame.xp.matrix_transpose(self.blocks), x, axis)


def _block_product(frame: Frame, blocks: Array, x: Array, axis: int) -> Array:
    xp = frame.xp
    blocks, x = frame.common_dtype(frame.cast(blocks), x)
    m, b, _ = blocks.shape
    shape = tuple(x.shape)
    if axis == -2:
        y = blocks @ xp.reshape(x, (*shape[:-2], m, b, shape[-1]))
        return xp.reshape(y, shape)
    # Blocks in front, vectors as rows: m products of (rows, b) by (b, b).
    rows = xp.permute_dims(xp.reshape(x, (-1, m, b)), (1, 0, 2))
    transposed = xp.matrix_transpose(blocks)
    if frame.is_numpy:
        out = np.empty((rows.shape[1], m, b), dtype=x.dtype)
        np.matmul(rows, transposed, out=out.transpose(1, 0, 2))
        return out.reshape(shape)
    return xp.reshape(xp.permute_dims(rows @ transposed, (1, 0, 2)), shape)


def _check_orthogonal(frame: Frame, blocks: Array) -> None:
    values = blocks.detach() if frame.is_torch else blocks
    if not frame.runs_on_host(values):
        return
    host = np.asarray(values)
    defect = np.max(np.abs(np.swapaxes(host, 1, 2) @ host - np.eye(host.shape[1])))
    if not defect <= float(np.sqrt(np.finfo(host.dtype).eps)):
        raise ValueError(f"blocks must be orthogonal, got max |B^T B - I| = {defect:.1e}")

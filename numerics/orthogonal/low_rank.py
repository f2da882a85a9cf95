r"""Orthogonal matrices that differ from the identity by few directions, :math:`I + A C B^T`."""

from __future__ import annotations

from collections.abc import Sequence

from numerics.arrays import Array, Frame
from numerics.orthogonal.operator import OrthogonalOperator


class IdentityPlusLowRank(OrthogonalOperator):
    r"""Operator :math:`Q = I + A C B` for trusted factors (n, r), (r, r), (r, n) that make it
    orthogonal.

    Powers are of the same form: those of C under :math:`C \circ C' = C + C' + C (BA) C'`.
    """

    def __init__(self, left: Array, core: Array, right: Array) -> None:
        super().__init__(left.shape[0])
        self._left, self._core, self._right = left, core, right

    def adjoint(self) -> IdentityPlusLowRank:
        """The operator :math:`I + B^T C^T A^T`."""
        transpose = self._own_frame().xp.matrix_transpose
        return IdentityPlusLowRank(*map(transpose, (self._right, self._core, self._left)))

    def _parameters(self) -> dict[str, Array]:
        return {"left": self._left, "core": self._core, "right": self._right}

    def _rebuilt(self, parameters: Sequence[Array]) -> IdentityPlusLowRank:
        return IdentityPlusLowRank(*parameters)

    def _power(self, k: int) -> IdentityPlusLowRank:
        frame = self._own_frame()
        gram = frame.double(self._right) @ frame.double(self._left)
        square = frame.double(self._core)
        core = None
        while True:
            if k & 1:
                core = square if core is None else core + square + core @ gram @ square
            k >>= 1
            if not k:
                return IdentityPlusLowRank(self._left, frame.cast(core), self._right)
            square = 2 * square + square @ gram @ square

    def _forward(self, frame: Frame, x: Array, axis: int) -> Array:
        return _add(frame, self._left, self._core, self._right, x, axis)

    def _backward(self, frame: Frame, x: Array, axis: int) -> Array:
        transpose = frame.xp.matrix_transpose
        left, core, right = map(transpose, (self._right, self._core, self._left))
        return _add(frame, left, core, right, x, axis)


def _add(frame: Frame, left: Array, core: Array, right: Array, x: Array, axis: int) -> Array:
    transpose = frame.xp.matrix_transpose
    left, core, right, x = frame.common_dtype(*map(frame.cast, (left, core, right)), x)
    if axis == -1:
        return x + ((x @ transpose(right)) @ transpose(core)) @ transpose(left)
    return x + left @ (core @ (right @ x))

r"""Products of Householder reflections, applied in blocks without forming the matrix.

With the vectors :math:`v_1, \dots, v_r` in the rows of V,

.. math::
    H_1 H_2 \cdots H_r = I - V^T T V, \qquad H_i = I - 2 \frac{v_i v_i^T}{v_i^T v_i}, \qquad
    (T^{-1})_{ij} = \begin{cases} v_i^T v_j & i < j \\ v_i^T v_i / 2 & i = j \end{cases}

and T upper triangular (the compact WY form of Schreiber and Van Loan, 1989, with T as Puglisi,
1992, has it). Blocks of reflections in this form are applied by matrix products.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from numerics.arrays import (
    Array,
    Frame,
    as_arrays,
    as_generator,
    as_integer,
    check_positive,
    check_real,
    frame_like,
)
from numerics.orthogonal.low_rank import IdentityPlusLowRank
from numerics.orthogonal.operator import OrthogonalOperator, is_trained

_BLOCK = 64  # reflections that are applied at once: enough for the rate of a matrix product


class HouseholderProduct(OrthogonalOperator):
    r"""Product of reflections :math:`Q = H_1 H_2 \cdots H_r`, with
    :math:`H_i = I - 2 v_i v_i^T / v_i^T v_i`.

    Applied in O(nr) a vector, by matrix products where there are several; nothing of size
    :math:`n^2` is made. Every orthogonal matrix of determinant :math:`(-1)^r` is such a product
    with r = n, and gradients flow to V, which makes it a good family to train.

    As a random operator it is a poor one unless r is of the order of n log n: for unit x the
    expected :math:`x^T Q x` is :math:`(1 - 2/n)^r`, which takes :math:`\tfrac{n}{4} \ln n`
    reflections to come down to :math:`1/\sqrt n`.

    Parameters
    ----------
    V : array, shape (r, n)
        The vectors, not zero; their lengths do not matter. NumPy or torch.

    Attributes
    ----------
    V : array, shape (r, n)

    Raises
    ------
    TypeError
        For complex vectors.
    ValueError
        For a zero vector, other shapes, values that are not finite.

    References
    ----------
    Schreiber, Van Loan, SIAM J. Sci. Stat. Comput. 10 (1989) 53-57.

    Examples
    --------
    A reflection takes its vector to the opposite, and two of them rotate.

    >>> import numpy as np
    >>> HouseholderProduct([[3.0, 4.0]]) @ np.array([3.0, 4.0])
    array([-3., -4.])
    >>> Q = HouseholderProduct([[1.0, -1.0], [1.0, 0.0]])
    >>> Q.to_dense().round(15)
    array([[ 0.,  1.],
           [-1.,  0.]])
    """

    def __init__(self, V: Array) -> None:
        frame, V = as_arrays(V=V)
        check_real("V", V, frame)
        if V.ndim != 2 or 0 in V.shape:
            raise ValueError(f"V must have shape (r, n) with r, n > 0, got {tuple(V.shape)}")
        # By the largest entry first, since squares of entries may leave the range of numbers.
        largest = frame.xp.max(frame.xp.abs(V), axis=-1)
        check_positive("the largest entry of every row of V", largest, frame)
        super().__init__(V.shape[1])
        self.V = V
        self._held: list[tuple[Array, Array]] | None = None
        if not is_trained(frame, V):
            self.V = frame.xp.asarray(V, copy=True)
            self._held = _blocks(frame, self.V)

    @classmethod
    def random(
        cls, n: int, *, reflections: int | None = None, rng: Any = None, like: Array | None = None
    ) -> HouseholderProduct:
        """Product of reflections along independent uniformly distributed directions.

        Parameters
        ----------
        n : int
            Order.
        reflections : int, optional
            Number r of reflections; n without it.
        rng : Generator, int, torch.Generator or None
            Source of randomness.
        like : array, optional
            An array of the kind and precision of V.

        Returns
        -------
        HouseholderProduct

        Examples
        --------
        >>> Q = HouseholderProduct.random(6, reflections=3, rng=0)
        >>> round(float(np.linalg.det(Q.to_dense())), 12)
        -1.0
        """
        n = as_integer("n", n, minimum=1)
        r = n if reflections is None else as_integer("reflections", reflections, minimum=1)
        frame = frame_like(like)
        return cls(frame.cast(frame.asarray(as_generator(rng).standard_normal((r, n)))))

    def adjoint(self) -> HouseholderProduct:
        """The product in the other order.

        Returns
        -------
        HouseholderProduct
        """
        return HouseholderProduct(self._own_frame().xp.flip(self.V, axis=0))

    def _parameters(self) -> dict[str, Array]:
        return {"V": self.V}

    def _rebuilt(self, parameters: Sequence[Array]) -> HouseholderProduct:
        return HouseholderProduct(parameters[0])

    def _composed(self, other: OrthogonalOperator) -> HouseholderProduct | None:
        if not isinstance(other, HouseholderProduct):
            return None
        frame, first, second = as_arrays(V=self.V, other=other.V)
        return HouseholderProduct(frame.xp.concat((first, second)))

    def _power(self, k: int) -> OrthogonalOperator:
        r, n = self.V.shape
        if k == 1:
            return self
        if 2 * r > n:
            return super()._power(k)
        frame = self._own_frame()
        V = _normalised(frame, self.V)
        T = _triangle(frame, V)
        return IdentityPlusLowRank(frame.xp.matrix_transpose(V), -T, V)._power(k)

    def _forward(self, frame: Frame, x: Array, axis: int) -> Array:
        for V, T in reversed(self._factored()):
            x = _reflect(frame, V, T, x, axis)
        return x

    def _backward(self, frame: Frame, x: Array, axis: int) -> Array:
        for V, T in self._factored():
            x = _reflect(frame, V, frame.xp.matrix_transpose(T), x, axis)
        return x

    def _factored(self) -> list[tuple[Array, Array]]:
        # Of a trained V they are made anew each time: it may have changed, and its graph is gone
        # with the backward pass.
        return _blocks(self._own_frame(), self.V) if self._held is None else self._held


def _blocks(frame: Frame, V: Array) -> list[tuple[Array, Array]]:
    V = _normalised(frame, V)
    parts = [V[start : start + _BLOCK, :] for start in range(0, V.shape[0], _BLOCK)]
    return [(part, _triangle(frame, part)) for part in parts]


def _normalised(frame: Frame, V: Array) -> Array:
    xp = frame.xp
    wide = frame.double(V)
    wide = wide / xp.max(xp.abs(wide), axis=-1, keepdims=True)
    return frame.cast(wide / xp.sqrt(xp.sum(wide * wide, axis=-1, keepdims=True)))


def _triangle(frame: Frame, V: Array) -> Array:
    """The matrix T, in double precision on the way: it belongs to the rows of V as rounded."""
    xp = frame.xp
    wide = frame.double(V)
    gram = wide @ xp.matrix_transpose(wide)
    eye = xp.eye(V.shape[0], dtype=gram.dtype, device=frame.device)
    return frame.cast(xp.linalg.inv(xp.triu(gram, k=1) + 0.5 * eye * gram))


def _reflect(frame: Frame, V: Array, T: Array, x: Array, axis: int) -> Array:
    xp = frame.xp
    V, T, x = frame.common_dtype(frame.cast(V), frame.cast(T), x)
    if axis == -1:
        update = ((x @ xp.matrix_transpose(V)) @ xp.matrix_transpose(T)) @ V
    else:
        update = xp.matrix_transpose(V) @ (T @ (V @ x))
    return np.subtract(x, update, out=update) if frame.is_numpy else x - update

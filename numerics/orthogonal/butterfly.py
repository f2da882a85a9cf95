r"""Butterfly operators: layers of rotations of pairs whose distance doubles from layer to layer.

Layer l turns the pairs :math:`(x_i, x_{i+h})` with :math:`h = 2^{l \bmod \log_2 n}` by an angle
each,

.. math:: (a, b) \mapsto (a \cos\theta - b \sin\theta,\; a \sin\theta + b \cos\theta),

as a fast Fourier or Hadamard transform does by fixed angles. After :math:`\log_2 n` layers every
entry has met every other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from numerics.arrays import (
    Array,
    Frame,
    as_arrays,
    as_generator,
    as_integer,
    check_real,
    frame_like,
)
from numerics.orthogonal.operator import OrthogonalOperator, is_trained


class Butterfly(OrthogonalOperator):
    r"""Layers of Givens rotations in the pattern of a fast transform.

    Applied in O(n L) for L layers; gradients flow to the angles, of which there are n L / 2 for a
    matrix that is full from :math:`L = \log_2 n` on. The determinant is 1. Powers and
    products apply one operator after the other. With uniformly random angles the images of any
    vector have cosines of root mean square :math:`1/\sqrt n`, as those of Haar matrices, but one
    cycle of layers takes a one-hot vector to products of cosines and sines, of uneven sizes.

    Parameters
    ----------
    angles : array, shape (L, n / 2)
        Radians; row l belongs to layer l, of which layer 0 acts first, and its entry
        :math:`g h + j` to the pair :math:`(2 g h + j,\, 2 g h + j + h)`, j < h. NumPy or torch.
        n is a power of two, at least 2.

    Attributes
    ----------
    angles : array, shape (L, n / 2)

    Raises
    ------
    TypeError
        For complex angles.
    ValueError
        For an n that is not a power of two, other shapes, values that are not finite.

    References
    ----------
    Dao, Gu, Eichhorn, Rudra, Ré, arXiv 1903.05895: butterfly factorisations.

    Examples
    --------
    Quarter turns of all pairs take the Hadamard transform of the constant to one entry.

    >>> import numpy as np
    >>> Q = Butterfly(np.full((2, 2), np.pi / 4))
    >>> (Q @ np.ones(4)).round(12)
    array([0., 0., 0., 2.])
    """

    def __init__(self, angles: Array) -> None:
        frame, angles = as_arrays(angles=angles)
        check_real("angles", angles, frame)
        if angles.ndim != 2 or 0 in angles.shape or angles.shape[1] & (angles.shape[1] - 1):
            raise ValueError(
                "angles must have shape (layers, n / 2) with n a power of two, got "
                f"{tuple(angles.shape)}"
            )
        super().__init__(2 * angles.shape[1])
        self.angles = angles
        self._held: tuple[Array, Array] | None = None
        if not is_trained(frame, angles):
            self.angles = frame.xp.asarray(angles, copy=True)
            self._held = _cosines_sines(frame, self.angles)

    @classmethod
    def random(
        cls, n: int, *, layers: int | None = None, rng: Any = None, like: Array | None = None
    ) -> Butterfly:
        r"""Independent angles, uniform on the circle.

        Parameters
        ----------
        n : int
            Order, a power of two, at least 2.
        layers : int, optional
            Number of layers; :math:`\log_2 n` without it.
        rng : Generator, int, torch.Generator or None
            Source of randomness.
        like : array, optional
            An array of the kind and precision of the angles.

        Returns
        -------
        Butterfly

        Examples
        --------
        >>> Butterfly.random(8, rng=0).angles.shape
        (3, 4)
        """
        n = as_integer("n", n, minimum=2)
        if n & (n - 1):
            raise ValueError(f"n must be a power of two, got {n}")
        if layers is None:
            layers = n.bit_length() - 1
        layers = as_integer("layers", layers, minimum=1)
        frame = frame_like(like)
        angles = as_generator(rng).uniform(0, 2 * math.pi, (layers, n // 2))
        return cls(frame.cast(frame.asarray(angles)))

    def _parameters(self) -> dict[str, Array]:
        return {"angles": self.angles}

    def _rebuilt(self, parameters: Sequence[Array]) -> Butterfly:
        return Butterfly(parameters[0])

    def _forward(self, frame: Frame, x: Array, axis: int) -> Array:
        return self._rotated(frame, x, axis, adjoint=False)

    def _backward(self, frame: Frame, x: Array, axis: int) -> Array:
        return self._rotated(frame, x, axis, adjoint=True)

    def _rotated(self, frame: Frame, x: Array, axis: int, *, adjoint: bool) -> Array:
        xp = frame.xp
        held = self._held or _cosines_sines(self._own_frame(), self.angles)
        cosines, sines = map(frame.cast, held)
        if axis == -2:
            x = xp.moveaxis(x, -2, -1)
        if frame.runs_on_host(x, cosines):
            x = _rotated_on_host(frame, x, cosines, sines, adjoint)
            return xp.moveaxis(x, -1, -2) if axis == -2 else x
        if adjoint:
            sines = -sines
        order = range(self.angles.shape[0])
        for layer in reversed(order) if adjoint else order:
            x = _turn(frame, x, cosines[layer, :], sines[layer, :], self._distance(layer))
        return xp.moveaxis(x, -1, -2) if axis == -2 else x

    def _distance(self, layer: int) -> int:
        return 1 << layer % (self.shape[0].bit_length() - 1)


def _cosines_sines(frame: Frame, angles: Array) -> tuple[Array, Array]:
    wide = frame.double(angles)
    return frame.cast(frame.xp.cos(wide)), frame.cast(frame.xp.sin(wide))


def _rotated_on_host(frame: Frame, x: Array, cosines: Array, sines: Array, adjoint: bool) -> Array:
    from numerics.orthogonal._numba_butterfly import rotate_rows

    _, (host, c, s) = frame.to_host(x, cosines, sines)
    rows = np.array(host, order="C").reshape(-1, host.shape[-1])
    rotate_rows(rows, c, s, adjoint)
    return frame.from_host(rows.reshape(host.shape))


def _turn(frame: Frame, x: Array, cosine: Array, sine: Array, h: int) -> Array:
    xp = frame.xp
    pairs = xp.reshape(x, (*x.shape[:-1], -1, 2, h))
    a, b = pairs[..., 0, :], pairs[..., 1, :]
    c, s = (xp.reshape(v, (-1, h)) for v in (cosine, sine))
    return xp.reshape(xp.stack((a * c - b * s, a * s + b * c), axis=-2), x.shape)

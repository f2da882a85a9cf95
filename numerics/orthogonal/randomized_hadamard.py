r"""Randomised Hadamard operators, :math:`H D_R \cdots H D_1` with diagonal random signs.

H is the Walsh-Hadamard matrix in Sylvester's order over :math:`\sqrt n`, so that a product costs R
fast transforms and the operator is R n signs.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from numerics.arrays import Array, Frame, as_generator, as_integer
from numerics.hadamard import fwht
from numerics.orthogonal.operator import OrthogonalOperator
from numerics.orthogonal.signed_permutation import host_signs, random_signs


class RandomizedHadamard(OrthogonalOperator):
    r"""Rounds of random signs and a Hadamard transform, :math:`Q = H D_R \cdots H D_2\, H D_1`.

    Applied in O(R n log n). One round spreads a one-hot vector over all entries, but for two
    operators of one round :math:`Q_a^T Q_b` is diagonal: the images of a one-hot vector x are
    equal up to sign, and in general their cosine has the root mean square
    :math:`\lVert x \rVert_4^2 / \lVert x \rVert_2^2`. Two rounds, the default, bring it to that of
    Haar matrices, :math:`1/\sqrt n`, for vectors of every kind.

    Parameters
    ----------
    signs : array, shape (R, n)
        Row r holds the diagonal of :math:`D_{r+1}`, 1 or -1; row 0 acts first. NumPy or torch,
        kept on the host. n is a power of two.

    Attributes
    ----------
    signs : ndarray of int8, shape (R, n)

    Raises
    ------
    ValueError
        For an n that is not a power of two, other signs than 1 and -1, shapes that do not fit.

    References
    ----------
    Ailon, Chazelle, SIAM J. Comput. 39 (2009) 302-322: one round before sampling.

    Examples
    --------
    One round takes a unit vector to entries of one size; :math:`Q_a^T Q_b` is diagonal.

    >>> import numpy as np
    >>> Qa, Qb = (RandomizedHadamard.random(4, rounds=1, rng=seed) for seed in (0, 1))
    >>> np.abs(Qa @ np.array([0.0, 1, 0, 0]))
    array([0.5, 0.5, 0.5, 0.5])
    >>> Q = (Qa.adjoint() @ Qb).to_dense()
    >>> np.allclose(Q, np.diag(np.diag(Q)))
    True
    """

    def __init__(self, signs: Array) -> None:
        self.signs = host_signs(signs, ("rounds", "n"))
        n = self.signs.shape[1]
        if n & (n - 1):
            raise ValueError(
                f"signs must have shape (rounds, n) with n a power of two, got n = {n}; "
                "SignedPermutation and BlockOrthogonal take any n"
            )
        super().__init__(n)
        self._on_device: dict[Any, Array] = {}

    @classmethod
    def random(cls, n: int, *, rounds: int = 2, rng: Any = None) -> RandomizedHadamard:
        """Operator of fair signs.

        Parameters
        ----------
        n : int
            Order, a power of two.
        rounds : int
            Number of rounds.
        rng : Generator, int, torch.Generator or None
            Source of randomness.

        Returns
        -------
        RandomizedHadamard

        Examples
        --------
        >>> RandomizedHadamard.random(8, rounds=3, rng=0).signs.shape
        (3, 8)
        """
        n = as_integer("n", n, minimum=1)
        if n & (n - 1):
            raise ValueError(
                f"n must be a power of two, got {n}; SignedPermutation and BlockOrthogonal "
                "take any n"
            )
        rounds = as_integer("rounds", rounds, minimum=1)
        return cls(random_signs(as_generator(rng), (rounds, n)))

    @property
    def nbytes(self) -> int:
        """Bytes of the signs."""
        return self.signs.nbytes

    def _composed(self, other: OrthogonalOperator) -> RandomizedHadamard | None:
        if not isinstance(other, RandomizedHadamard):
            return None
        return RandomizedHadamard(np.concatenate((other.signs, self.signs)))

    def _power(self, k: int) -> RandomizedHadamard:
        return RandomizedHadamard(np.tile(self.signs, (k, 1)))

    def _forward(self, frame: Frame, x: Array, axis: int) -> Array:
        first, *others = self._diagonals(frame, axis)
        x = _transformed(frame, x * first, axis)
        for s in others:
            x = _transformed(frame, _times(frame, x, s), axis)
        return x

    def _backward(self, frame: Frame, x: Array, axis: int) -> Array:
        if frame.is_numpy:
            x = x.copy()  # everything after this is done in place
        for s in reversed(self._diagonals(frame, axis)):
            x = _times(frame, _transformed(frame, x, axis), s)
        return x

    def _diagonals(self, frame: Frame, axis: int) -> list[Array]:
        """Signs over sqrt(n), the factor that makes the transform orthogonal."""
        signs = self.signs
        if frame.is_torch:
            if frame.device not in self._on_device:
                self._on_device[frame.device] = frame.xp.asarray(signs, device=frame.device)
            signs = self._on_device[frame.device]
        scaled = frame.xp.astype(signs, frame.real) / math.sqrt(self.shape[0])
        return [s[:, None] if axis == -2 else s for s in scaled]


def _times(frame: Frame, x: Array, s: Array) -> Array:
    return np.multiply(x, s, out=x) if frame.is_numpy else x * s


def _transformed(frame: Frame, x: Array, axis: int) -> Array:
    """Unnormalised transform, in place where NumPy's memory order allows."""
    if not (frame.is_numpy and x.flags.c_contiguous and x.size) or frame.is_complex(x):
        return fwht(x, axis)
    from numerics._numba_hadamard import fwht_inplace

    fwht_inplace(x.reshape(-1, x.shape[axis], x.shape[-1] if axis == -2 else 1))
    return x

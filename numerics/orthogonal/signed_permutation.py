r"""Signed permutations, :math:`y_i = s_i x_{p_i}`: the cheapest operators that bind vectors.

They need one gather and no arithmetic but a change of sign, are closed under products and powers,
and on integers they are exact.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from numerics.arrays import Array, Frame, as_arrays, as_generator, as_integer, check_real
from numerics.orthogonal.operator import OrthogonalOperator


class SignedPermutation(OrthogonalOperator):
    r"""Permutation with signs, :math:`(Qx)_i = s_i x_{p_i}`.

    Applied in O(n) by a gather; products, adjoints and powers are again signed permutations, in
    O(n), powers by repeated squaring. Entries only change place and sign, so nothing is rounded.

    Under random ones the images of any vector have cosines of root mean square :math:`1/\sqrt n`.
    But they do not mix: a sparse vector stays sparse, and two images of a one-hot vector are equal
    up to sign with probability 1/n and orthogonal else. Without signs they keep the mean: for
    entries of mean :math:`\mu` and variance :math:`\sigma^2` the cosines are
    :math:`\mu^2 / (\mu^2 + \sigma^2)`.

    Parameters
    ----------
    permutation : array of int, shape (n,)
        The indices p, each of 0, ..., n - 1 once; NumPy or torch. Kept on the host.
    signs : array, shape (n,)
        The signs s, 1 or -1.

    Attributes
    ----------
    permutation : ndarray of intp, shape (n,)
    signs : ndarray of int8, shape (n,)

    Raises
    ------
    TypeError
        For indices that are no integers.
    ValueError
        For indices that are no permutation, other signs than 1 and -1, shapes that do not fit.

    References
    ----------
    Schlegel, Neubert, Protzel, Artif. Intell. Rev. 55 (2022) 4523-4555: permutations and orthogonal
    matrices as binding operators.

    Examples
    --------
    A cyclic shift whose last step changes the sign has twice the order of the shift.

    >>> import numpy as np
    >>> Q = SignedPermutation([1, 2, 3, 0], [1, 1, 1, -1])
    >>> Q @ np.array([1.0, 2, 3, 4])
    array([ 2.,  3.,  4., -1.])
    >>> Q.power(4).signs, Q.power(8).signs
    (array([-1, -1, -1, -1], dtype=int8), array([1, 1, 1, 1], dtype=int8))
    """

    _spreads = False

    def __init__(self, permutation: Array, signs: Array) -> None:
        p = _host(permutation)
        if p.dtype.kind not in "iu":
            raise TypeError(f"permutation must hold integers, got dtype {p.dtype}")
        if p.ndim != 1 or p.size == 0:
            raise ValueError(f"permutation must have shape (n,) with n > 0, got {p.shape}")
        n = len(p)
        if p.min() < 0 or p.max() >= n or np.bincount(p.astype(np.intp), minlength=n).max() > 1:
            raise ValueError(f"permutation must hold each of 0, ..., {n - 1} once")
        super().__init__(n)
        self.permutation = p.astype(np.intp)
        self.signs = host_signs(signs, (n,))
        self._on_device: dict[Any, tuple[Array, Array]] = {}

    @classmethod
    def random(cls, n: int, *, signed: bool = True, rng: Any = None) -> SignedPermutation:
        """Uniformly random permutation and signs.

        Parameters
        ----------
        n : int
            Order.
        signed : bool
            Whether signs are drawn; all are 1 otherwise.
        rng : Generator, int, torch.Generator or None
            Source of randomness.

        Returns
        -------
        SignedPermutation

        Examples
        --------
        >>> Q = SignedPermutation.random(5, rng=0)
        >>> np.sort(Q.permutation), np.abs(Q.signs)
        (array([0, 1, 2, 3, 4]), array([1, 1, 1, 1, 1], dtype=int8))
        """
        n = as_integer("n", n, minimum=1)
        generator = as_generator(rng)
        permutation = generator.permutation(n)
        signs = random_signs(generator, (n,)) if signed else np.ones(n, np.int8)
        return cls._trusted(permutation, signs)

    def adjoint(self) -> SignedPermutation:
        """The inverse, in O(n).

        Returns
        -------
        SignedPermutation
        """
        inverse = np.empty_like(self.permutation)
        inverse[self.permutation] = np.arange(self.shape[0])
        return self._trusted(inverse, self.signs[inverse])

    @property
    def nbytes(self) -> int:
        """Bytes of the indices and signs."""
        return self.permutation.nbytes + self.signs.nbytes

    @classmethod
    def _trusted(cls, permutation: np.ndarray, signs: np.ndarray) -> SignedPermutation:
        self = cls.__new__(cls)
        OrthogonalOperator.__init__(self, len(permutation))
        self.permutation, self.signs = permutation, signs
        self._on_device = {}
        return self

    def _composed(self, other: OrthogonalOperator) -> SignedPermutation | None:
        if not isinstance(other, SignedPermutation):
            return None
        p = self.permutation
        return self._trusted(other.permutation[p], self.signs * other.signs[p])

    def _identity(self) -> SignedPermutation:
        n = self.shape[0]
        return self._trusted(np.arange(n), np.ones(n, np.int8))

    def _power(self, k: int) -> SignedPermutation:
        result, square = None, self
        while True:
            if k & 1:
                result = square if result is None else result._composed(square)
            k >>= 1
            if not k:
                assert result is not None
                return result
            square = square._composed(square)  # type: ignore[assignment]

    def _forward(self, frame: Frame, x: Array, axis: int) -> Array:
        p, s = self._arrays(frame)
        if axis == -2:
            s = s[:, None]
        y = frame.xp.take(x, p, axis=axis)
        if frame.is_numpy:
            return np.multiply(y, s, out=y)
        return y * s

    def _backward(self, frame: Frame, x: Array, axis: int) -> Array:
        return self.adjoint()._forward(frame, x, axis)

    def _arrays(self, frame: Frame) -> tuple[Array, Array]:
        if frame.is_numpy:
            return self.permutation, self.signs
        if frame.device not in self._on_device:
            asarray = frame.xp.asarray
            self._on_device[frame.device] = (
                asarray(self.permutation, device=frame.device),
                asarray(self.signs, device=frame.device),
            )
        return self._on_device[frame.device]


def host_signs(signs: Array, shape: tuple[int | str, ...]) -> np.ndarray:
    """Signs as int8 on the host; ``shape`` may leave sizes open by naming them."""
    frame, values = as_arrays(signs=_host(signs))
    check_real("signs", values, frame)
    fits = values.ndim == len(shape) and all(
        isinstance(wanted, str) or size == wanted
        for size, wanted in zip(values.shape, shape, strict=True)
    )
    if not fits or values.size == 0:
        listing = ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "")
        raise ValueError(f"signs must have shape ({listing}), got {values.shape}")
    if not np.all(np.abs(values) == 1):
        raise ValueError("signs must be 1 or -1")
    return values.astype(np.int8)


def random_signs(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Fair signs as int8."""
    return 2 * generator.integers(0, 2, shape, dtype=np.int8) - 1


def _host(values: Array) -> np.ndarray:
    detach = getattr(values, "detach", None)
    return np.asarray(values if detach is None else detach().cpu())

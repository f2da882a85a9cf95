r"""Diagonal plus low-rank systems in the coordinates that their callers need.

Conjugate pairs :math:`(x, \bar x)` are real in the orthonormal coordinates
:math:`\sqrt2\,(\mathrm{Re}\,x, \mathrm{Im}\,x)`: there :math:`\mathrm{diag}(\Lambda)` has the
blocks :math:`\mathrm{Re}\,\Lambda` and :math:`\pm\mathrm{Im}\,\Lambda`, and :math:`P Q^*` is
:math:`p q^T` with p and q the real columns of P and Q.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from numerics.arrays import Array, Frame, as_arrays, broadcast_batch, check_positive, check_shape

_ROOT = math.sqrt(2)


@dataclass(frozen=True)
class Dplr:
    """Trusted double-precision system: Lambda (..., N), P and Q (..., r, N), dt (...)."""

    frame: Frame
    Lambda: Array
    P: Array
    Q: Array
    dt: Array
    conj: bool
    is_real: bool
    batch: tuple[int, ...]

    @property
    def order(self) -> int:
        """Number of modes that are stored."""
        return int(self.Lambda.shape[-1])

    @property
    def rank(self) -> int:
        """Number of columns of the correction."""
        return int(self.P.shape[-2])

    def conjugate(self, array: Array) -> Array:
        """Complex conjugate; real arrays as they are."""
        return self.frame.xp.conj(array) if self.frame.is_complex(array) else array

    def real_part(self, array: Array) -> Array:
        """Sum over pairs: twice the real part when only halves are stored."""
        return 2 * self.frame.xp.real(array) if self.conj else array

    def apply(self, x: Array) -> Array:
        """A x for vectors (..., N)."""
        xp = self.frame.xp
        read = self.real_part(xp.sum(self.conjugate(self.Q) * x[..., None, :], axis=-1))
        return self.Lambda * x - xp.sum(self.P * read[..., None], axis=-2)

    def bilinear(self) -> tuple[Array, Array, Array]:
        r"""Factors of :math:`\bar A = \mathrm{diag}(\delta) - E^T G`: (..., N), twice (..., r, N).

        With :math:`d = (I - h\Lambda)^{-1}`, G is :math:`2 Q^* d` and E is
        :math:`h d P (I + h Q^* d P)^{-1}`.
        """
        xp = self.frame.xp
        h = self.dt[..., None] / 2
        x = h * self.Lambda
        d = 1 / (1 - x)
        left = (h * d)[..., None, :] * self.P
        right = self.conjugate(self.Q)
        inner = self.real_part(left @ xp.matrix_transpose(right))
        identity = xp.eye(self.rank, dtype=inner.dtype, device=self.frame.device)
        if self.rank:
            capacitance, left = self.frame.common_dtype(identity + inner, left)
            left = xp.linalg.solve(capacitance, left)
        return (1 + x) * d, left, 2 * right * d[..., None, :]

    def bilinear_input(self, B: Array, discrete: tuple[Array, Array, Array] | None = None) -> Array:
        r""":math:`\bar B = (I - hA)^{-1} \Delta B`, which is :math:`h(\bar A + I) B`."""
        xp = self.frame.xp
        delta, E, G = self.bilinear() if discrete is None else discrete
        read = self.real_part(xp.sum(G * B[..., None, :], axis=-1))
        moved = delta * B - xp.sum(E * read[..., None], axis=-2)
        return self.dt[..., None] / 2 * (moved + B)

    def discrete_rows(self, B: Array, C: Array) -> Array:
        r"""For compiled code, complex (M, 3 + 2r, N): :math:`\delta, \bar B, C`, then E, then G."""
        xp = self.frame.xp
        delta, E, G = discrete = self.bilinear()
        vectors = (delta, self.bilinear_input(B, discrete), C)
        parts = [
            xp.broadcast_to(xp.astype(part, xp.complex128), (*self.batch, *part.shape[-2:]))
            for part in (*(vector[..., None, :] for vector in vectors), E, G)
        ]
        rows = xp.concat(parts, axis=-2)
        return xp.reshape(rows, (math.prod(self.batch), *rows.shape[-2:]))

    def dense(self) -> Array:
        """Matrix of the whole system, real for pairs."""
        return self._assemble(self.Lambda, self.P, self.conjugate(self.Q))

    def dense_bilinear(self) -> Array:
        """Discrete matrix of the whole system, real for pairs."""
        return self._assemble(*self.bilinear())

    def dense_column(self, x: Array) -> Array:
        """Input vector or state in the coordinates of the dense form."""
        xp = self.frame.xp
        return _ROOT * xp.concat((xp.real(x), xp.imag(x)), axis=-1) if self.conj else x

    def dense_row(self, x: Array) -> Array:
        """Output vector in the coordinates of the dense form."""
        xp = self.frame.xp
        return _ROOT * xp.concat((xp.real(x), -xp.imag(x)), axis=-1) if self.conj else x

    def half_column(self, x: Array) -> Array:
        """Inverse of :meth:`dense_column`."""
        N = self.order
        return (x[..., :N] + 1j * x[..., N:]) / _ROOT if self.conj else x

    def half_row(self, x: Array) -> Array:
        """Inverse of :meth:`dense_row`."""
        N = self.order
        return (x[..., :N] - 1j * x[..., N:]) / _ROOT if self.conj else x

    def cauchy_rows(self, B: Array, C: Array) -> tuple[Array, Array]:
        """Scaled modes (M, N) and the products of C and Q* with B and P, (M, (1 + r)^2, N)."""
        xp = self.frame.xp
        N, r, M = self.order, self.rank, math.prod(self.batch)
        h = self.dt[..., None] / 2
        a, left, right = (
            xp.broadcast_to(array, (*self.batch, *array.shape[len(array.shape) - trailing :]))
            for array, trailing in (
                (h * self.Lambda, 1),
                (xp.concat(self._stacked(C, self.conjugate(self.Q)), axis=-2), 2),
                (h[..., None] * xp.concat(self._stacked(B, self.P), axis=-2), 2),
            )
        )
        rows = left[..., :, None, :] * right[..., None, :, :]
        rows = xp.reshape(rows, (M, (1 + r) ** 2, N))
        return tuple(xp.astype(x, xp.complex128) for x in (xp.reshape(a, (M, N)), rows))

    def _stacked(self, vector: Array, factors: Array) -> tuple[Array, Array]:
        xp = self.frame.xp
        batch = broadcast_batch(v=tuple(vector.shape[:-1]), f=tuple(factors.shape[:-2]))
        vector, factors = self.frame.common_dtype(vector, factors)
        return (
            xp.broadcast_to(vector[..., None, :], (*batch, 1, self.order)),
            xp.broadcast_to(factors, (*batch, self.rank, self.order)),
        )

    def _assemble(self, diagonal: Array, left: Array, right: Array) -> Array:
        xp = self.frame.xp
        N = self.order
        identity = xp.eye(N, dtype=xp.float64, device=self.frame.device)
        if not self.conj:
            return diagonal[..., None] * identity - xp.matrix_transpose(left) @ right
        re, im = (part(diagonal)[..., None] * identity for part in (xp.real, xp.imag))
        blocks = xp.concat((xp.concat((re, -im), axis=-1), xp.concat((im, re), axis=-1)), axis=-2)
        columns, rows = (
            xp.concat((xp.real(factor), sign * xp.imag(factor)), axis=-1)
            for factor, sign in ((left, 1), (right, -1))
        )
        return blocks - 2 * (xp.matrix_transpose(columns) @ rows)


def checked_system(
    Lambda: Array,
    P: Array,
    Q: Array | None,
    dt: Array,
    conj: bool,
    *,
    signals: dict[str, Array] | None = None,
    **vectors: Array | None,
) -> tuple[Any, ...]:
    """Validate a system and its vectors (..., N); double precision, complex if one of them is."""
    arguments: dict[str, Any] = {"Lambda": Lambda, "P": P, "Q": Q, "dt": dt}
    frame, Lambda, P, Q, dt, *rest = as_arrays(**(arguments | vectors | (signals or {})))
    given, extra = dict(zip(vectors, rest, strict=False)), rest[len(vectors) :]
    check_shape("Lambda", Lambda, "N")
    N = Lambda.shape[-1]
    if N == 0:
        raise ValueError(f"Lambda must hold at least one mode, got shape {tuple(Lambda.shape)}")
    if conj and not frame.is_complex(Lambda):
        raise ValueError(
            f"Lambda must be complex when conj=True, got dtype {Lambda.dtype}: a real mode is"
            " its own conjugate, pass conj=False"
        )
    check_positive("dt", dt, frame)
    P = _with_rank("P", P, Lambda)
    Q = P if Q is None else _with_rank("Q", Q, Lambda)
    if Q.shape[-2] != P.shape[-2]:
        raise ValueError(f"Q must have the rank of P, got {tuple(Q.shape)} for {tuple(P.shape)}")
    shapes = {name: tuple(x.shape[:-2]) for name, x in (("P", P), ("Q", Q))}
    for name, vector in given.items():
        if vector is not None:
            check_shape(name, vector, N)
            shapes[name] = tuple(vector.shape[:-1])
    if signals is not None:
        for name, signal in zip(signals, extra, strict=True):
            if signal is not None:
                shapes[name] = tuple(signal.shape if name == "D" else signal.shape[:-1])
    batch = broadcast_batch(Lambda=tuple(Lambda.shape[:-1]), dt=tuple(dt.shape), **shapes)
    present = [x for x in given.values() if x is not None]
    typed = iter(frame.common_dtype(*(frame.double(x) for x in (Lambda, P, Q, *present))))
    Lambda, P, Q = next(typed), next(typed), next(typed)
    out = [None if x is None else next(typed) for x in given.values()]
    is_real = not frame.is_complex(Lambda)
    system = Dplr(frame, Lambda, P, Q, frame.double(dt), conj, is_real, batch)
    return (system, *out, *extra)


def _with_rank(name: str, factor: Array, Lambda: Array) -> Array:
    if factor.ndim <= Lambda.ndim:
        check_shape(name, factor, Lambda.shape[-1])
        return factor[..., None, :]
    check_shape(name, factor, "r", Lambda.shape[-1])
    return factor

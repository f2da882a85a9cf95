"""Companion kernels in fixed-point integers: the last resort, for one system at a time.

Some kernels cannot be had from double-double arithmetic: an eigenvalue far outside the unit circle
that b or c does not excite leaves no trace in the kernel, but every rounding error excites it.
Python's integers hold as many digits as that takes. The number of digits is doubled until two
results agree.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import mul

import numpy as np

_FIRST_BITS = 256
# Twice the exponent range of double precision: what still differs is below the smallest number.
_MOST_BITS = 2**13

Parts = Sequence[Sequence[int]]


def kernel_by_integers(
    p: np.ndarray, b: np.ndarray, c: np.ndarray, L: int, tolerance: float
) -> np.ndarray:
    """Kernel (L,) of one trusted system with arrays (d,), to ``tolerance`` of its largest entry."""
    bits = _FIRST_BITS
    K = _kernel(p, b, c, L, bits)
    while bits < _MOST_BITS:
        bits *= 2
        previous, K = K, _kernel(p, b, c, L, bits)
        if np.abs(K - previous).max() <= 0.1 * tolerance * np.abs(K).max():
            break
    return K


def _kernel(p: np.ndarray, b: np.ndarray, c: np.ndarray, L: int, bits: int) -> np.ndarray:
    d, n = p.shape[0], L - 1
    scale_b, scale_c = _exponent(b), _exponent(c)
    P, B, C = _fixed(p, bits), _fixed(b, bits - scale_b), _fixed(c, bits - scale_c)
    K = [_dot(B, _window(C, k, d), bits) for k in range(min(d, L))]
    K += [(0,) * len(P)] * (L - len(K))
    h = [_dot(P, _window(C, k, d), bits) for k in range(min(d, n))]
    H = [list(part) for part in zip(*h, strict=True)]
    y: list[list[int]] = [[0] * d for _ in P]
    for k in range(n):
        entry = _dot(P, _window(y, k, k + d), bits)
        if k < 2 * d - 1:
            first = max(0, k - d + 1)
            taps = _window(B, max(0, d - 1 - k), d)
            add = _dot(_window(H, first, k + 1), taps, bits)
            entry = tuple(e + a for e, a in zip(entry, add, strict=True))
        for part, value in zip(y, entry, strict=True):
            part.append(value)
        K[k + 1] = tuple(head + value for head, value in zip(K[k + 1], entry, strict=True))
    scale = scale_b + scale_c
    parts = [[_float(value, bits, scale) for value in part] for part in zip(*K, strict=True)]
    return np.array(parts[0]) if len(parts) == 1 else np.array(parts[0]) + 1j * np.array(parts[1])


def _exponent(v: np.ndarray) -> int:
    """The power of two that the parts of ``v`` do not exceed."""
    return math.frexp(max(np.abs(v.real).max(), np.abs(v.imag).max()))[1]


def _fixed(v: np.ndarray, bits: int) -> Parts:
    parts = (v.real, v.imag) if np.iscomplexobj(v) else (v,)
    return [[_integer(float(value), bits) for value in part] for part in parts]


def _integer(value: float, bits: int) -> int:
    numerator, denominator = value.as_integer_ratio()
    if bits >= 0:
        return (numerator << bits) // denominator
    return numerator // (denominator << -bits)


def _window(u: Parts, start: int, stop: int) -> Parts:
    return [part[start:stop] for part in u]


def _dot(u: Parts, v: Parts, bits: int) -> tuple[int, ...]:
    """Sum of products over the shorter length, rounded down once."""
    if len(u) == 1:
        return (sum(map(mul, u[0], v[0])) >> bits,)
    real = sum(map(mul, u[0], v[0])) - sum(map(mul, u[1], v[1]))
    imaginary = sum(map(mul, u[0], v[1])) + sum(map(mul, u[1], v[0]))
    return real >> bits, imaginary >> bits


def _float(value: int, bits: int, scale: int) -> float:
    try:
        return math.ldexp(value / (1 << bits), scale)
    except OverflowError:
        raise OverflowError("the kernel exceeds the range of double precision") from None

r"""Values of spectral mixtures and of their densities, for arguments in one frame.

Leibniz's rule on envelope times cosine, for some components at a time.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

from numerics.arrays import (
    Array,
    Frame,
    as_integer,
    broadcast_batch,
    check_positive,
    check_real,
)
from solvers.gp_pde._envelopes import check_envelope, derivative_polynomial, envelope_at, rate

MAX_ORDER = 4
# Values that are taken together, so that they stay in the cache (or the memory of a device).
_TOGETHER = 2**14
_TOGETHER_ON_DEVICE = 2**26


def warn_single(frame: Frame, order: int, *, stacklevel: int) -> None:
    """Say what single precision does to second and higher derivatives."""
    if frame.single and order >= 2:
        warnings.warn(
            f"derivatives of order {order} in single precision leave no positive definite "
            "covariance matrix; give float64",
            RuntimeWarning,
            stacklevel=stacklevel,
        )


def mixture_kernel(
    frame: Frame,
    r: Array,
    weights: Array,
    freqs: Array,
    scales: Array,
    *,
    envelope: str,
    nu: float,
    order: int,
) -> Array:
    p = check_envelope(envelope, nu)
    order = as_integer("order", order, minimum=0)
    if p is not None and order > 2 * p:
        raise ValueError(
            f"order must be at most {2 * p} for the Matern envelope with nu = {p + 0.5}, "
            f"got {order}"
        )
    if order > MAX_ORDER:
        raise ValueError(f"order must be at most {MAX_ORDER}, got {order}")
    warn_single(frame, order, stacklevel=4)
    r, weights, freqs, scales = map(frame.double, (r, weights, freqs, scales))
    a, m = rate(p) * scales, (2 * math.pi) * freqs
    even, odd = _polynomials(weights, a, m, p, order)
    xp = frame.xp
    if a.ndim > 1 or weights.ndim > 1 or m.ndim > 1:
        return frame.cast(_sum(xp, r[..., None], a, m, even, odd, p, order))
    points = xp.reshape(r, (-1,))
    limit = _TOGETHER if str(frame.device).startswith("cpu") else _TOGETHER_ON_DEVICE
    step = max(1, limit // weights.shape[0])
    parts = [
        _sum(xp, points[first : first + step, None], a, m, even, odd, p, order)
        for first in range(0, max(points.shape[0], 1), step)
    ]
    return frame.cast(xp.reshape(parts[0] if len(parts) == 1 else xp.concat(parts), r.shape))


def _polynomials(
    weights: Array, a: Array, m: Array, p: int | None, order: int
) -> tuple[list[Array], list[Array]]:
    """Coefficients of what the cosine and the sine are multiplied by, for each component."""
    factors: tuple[list[Array], list[Array]] = ([], [])
    for j in range(order + 1):
        # cos(x + j pi/2) is cos, -sin, -cos, sin.
        sign = -1.0 if j % 4 in (1, 2) else 1.0
        scale = sign * math.comb(order, j) * weights * a ** (order - j) * m**j
        terms = [c * scale for c in derivative_polynomial(p, order - j)]
        other = factors[j % 2]
        shared = min(len(terms), len(other))
        longer = terms if len(terms) > len(other) else other
        factors[j % 2][:] = [x + y for x, y in zip(terms, other, strict=False)] + longer[shared:]
    return factors


def _sum(
    xp: Any,
    r: Array,
    a: Array,
    m: Array,
    even: list[Array],
    odd: list[Array],
    p: int | None,
    order: int,
) -> Array:
    """Sum over the last axis of the derivatives of the components."""
    t, phase = a * r, m * r
    x, decay = envelope_at(xp, t, p)
    by_cosine, by_sine = _horner(even, x), _horner(odd, x) if odd else None
    if order % 2:
        by_cosine = t * by_cosine
    elif odd:
        by_sine = t * by_sine
    value = by_cosine * xp.cos(phase)
    if odd:
        value = value + by_sine * xp.sin(phase)
    return xp.sum(value * decay, axis=-1)


def _horner(coefficients: list[Array], x: Array) -> Array:
    value = coefficients[-1]
    for c in coefficients[-2::-1]:
        value = value * x + c
    return value


def mixture_density(
    frame: Frame,
    s: Array,
    weights: Array,
    freqs: Array,
    scales: Array,
    *,
    envelope: str,
    nu: float,
) -> Array:
    p = check_envelope(envelope, nu)
    xp = frame.xp
    s, weights, freqs, scales = map(frame.double, (s, weights, freqs, scales))
    values = []
    for shift in (-freqs, freqs):
        x = (s[..., None] + shift) / scales
        if p is None:
            values.append(xp.exp(-0.5 * x * x) / math.sqrt(2 * math.pi))
        else:
            dof = 2 * p + 1
            height = math.exp(math.lgamma(p + 1) - math.lgamma(p + 0.5)) / math.sqrt(dof * math.pi)
            values.append(height * (1 + x * x / dof) ** -(p + 1))
    total = xp.sum(0.5 * weights / scales * (values[0] + values[1]), axis=-1)
    return frame.cast(total)


def check_mixture(
    frame: Frame, name: str, value: Array, weights: Array, freqs: Array, scales: Array
) -> None:
    check_real(name, value, frame)
    parameters = {"weights": weights, "freqs": freqs, "scales": scales}
    for key, parameter in parameters.items():
        if parameter.ndim == 0 or parameter.shape[-1] != weights.shape[-1]:
            raise ValueError(
                f"{key} must have shape (..., Q) with the same Q as weights, "
                f"got {tuple(parameter.shape)} beside weights {tuple(weights.shape)}"
            )
    if weights.shape[-1] == 0:
        raise ValueError("weights must hold at least one component, got none")
    shapes = {key: tuple(parameter.shape[:-1]) for key, parameter in parameters.items()}
    broadcast_batch(**{name: tuple(value.shape)}, **shapes)
    check_parameters(frame, weights, freqs, scales)


def check_parameters(frame: Frame, weights: Array, freqs: Array, scales: Array) -> None:
    check_real("weights", weights, frame)
    check_real("freqs", freqs, frame)
    check_positive("scales", scales, frame)
    if frame.has_values(weights) and bool(frame.xp.any(weights < 0)):
        raise ValueError(f"weights must not be negative, got minimum {float(weights.min())}")

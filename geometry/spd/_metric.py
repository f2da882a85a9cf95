"""From the name of a metric to the object with its formulas."""

from __future__ import annotations

from typing import Any

from geometry.spd.affine_invariant import AffineInvariant
from geometry.spd.log_cholesky import LogCholesky
from geometry.spd.log_euclidean import LogEuclidean
from numerics.arrays import Array, Frame, check_choice

METRICS = ("affine_invariant", "bures_wasserstein", "log_cholesky", "log_euclidean")
DOMAINS = ("clip", "fold", "raise")


def resolve_metric(
    frame: Frame, metric: str, M: Array | None = None, theta: Array | None = None
) -> Any:
    """Metric object for trusted ``M`` and ``theta``.

    Its verbs are ``inner(P, V, W)``, ``squared_distance(A, B)``, ``exp(P, V, domain)``,
    ``log(P, Q)``, ``geodesic(A, B, t)`` and ``transport(V, P, Q, rtol)``.
    """
    check_choice("metric", metric, METRICS)
    if metric == "bures_wasserstein":
        from geometry.spd.bures_wasserstein import BuresWasserstein

        base = BuresWasserstein(frame, M)
        if theta is None:
            return base
        if frame.has_values(theta) and bool(frame.xp.any(theta == 0)):
            raise ValueError("theta must not be zero")
        from geometry.spd.power_deformed import PowerDeformed

        return PowerDeformed(theta, base)
    for name, value in (("M", M), ("theta", theta)):
        if value is not None:
            raise ValueError(
                f"{name} must be None unless metric is 'bures_wasserstein', got metric {metric!r}"
            )
    kinds = {
        "affine_invariant": AffineInvariant,
        "log_cholesky": LogCholesky,
        "log_euclidean": LogEuclidean,
    }
    return kinds[metric](frame)

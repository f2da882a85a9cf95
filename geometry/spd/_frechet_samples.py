r"""Samples of Frechet means: the arguments behind one door, and ways to their means.

Under the Bures-Wasserstein metric of M, and of powers, means are those of the plain metric in
other coordinates: with :math:`M = C C^H`, :math:`\bar X^\theta = C \bar Y C^H` for the mean of
:math:`Y_i = C^{-1} X_i^\theta C^{-H}`. The iterations take square roots of Y, which never come
from Y itself: triangular solutions and powers of eigenvalues keep more digits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from geometry.spd._arguments import as_spd
from geometry.spd._frechet_affine_invariant import InvariantProblem
from geometry.spd._frechet_bures_wasserstein import WassersteinProblem
from geometry.spd._frechet_newton import Minimum, minimize
from geometry.spd._linear_algebra import (
    cholesky,
    congruence,
    diagonal,
    diagonal_matrix,
    gram,
    solve_lower,
    whiten,
)
from geometry.spd._metric import resolve_metric
from geometry.spd.spectral import eigen, gram_function, spectral_functions
from numerics.arrays import (
    Array,
    Frame,
    as_arrays,
    broadcast_batch,
    check_finite,
    check_real,
    check_shape,
)

_FLAT = ("log_cholesky", "log_euclidean")


@dataclass(frozen=True)
class Samples:
    """Validated arguments in double precision, batch axes broadcast and flattened to one."""

    frame: Frame
    batch: tuple[int, ...]
    metric: str
    X: Array  # (B, N, n, n)
    weights: Array  # (B, N), of sum one
    M: Array | None  # (B, n, n)
    theta: Array | None  # (B,)
    init: Array | None  # (B, n, n)

    @property
    def count(self) -> int:
        """Samples of each mean."""
        return int(self.X.shape[1])

    def detached(self) -> Samples:
        """The same outside of any gradient."""
        if not self.frame.is_torch:
            return self
        arrays = (self.X, self.weights, self.M, self.theta, self.init)
        constants = (None if array is None else array.detach() for array in arrays)
        return Samples(self.frame, self.batch, self.metric, *constants)

    def metric_object(self, *, with_samples: bool = False) -> Any:
        """The metric, with an axis of samples in its parameters when asked."""
        M, theta = self.M, self.theta
        if with_samples:
            M = None if M is None else M[:, None]
            theta = None if theta is None else theta[:, None]
        return resolve_metric(self.frame, self.metric, M, theta)

    def closed_form(self) -> Array:
        """Means of flat metrics, of none to two samples, or of an empty batch."""
        frame, xp = self.frame, self.frame.xp
        w = self.weights[:, :, None, None]
        if self.metric == "log_euclidean":
            logs = spectral_functions(frame, self.X, "log")[0]
            return spectral_functions(frame, xp.sum(w * logs, axis=1), "exp")[0]
        if self.metric == "log_cholesky":
            L = cholesky(frame, self.X)
            logs = xp.sum(self.weights[:, :, None] * xp.log(diagonal(frame, L)), axis=1)
            lower = xp.tril(xp.sum(w * L, axis=1), k=-1)
            return gram(frame, lower + diagonal_matrix(frame, xp.exp(logs)))
        if self.count == 1 or self.X.shape[0] == 0:
            return self.X[:, 0]
        pair = self.X[:, 0], self.X[:, 1]
        return self.metric_object().geodesic(*pair, self.weights[:, 1])

    def has_closed_form(self) -> bool:
        """Whether no iteration is needed."""
        return self.X.shape[0] == 0 or self.count <= 2 or self.metric in _FLAT

    def iterated(self, rtol: float, maxiter: int, accelerate: bool) -> tuple[Array, Minimum]:
        """Means by iteration, and how they were found."""
        frame = self.frame
        constant = self.detached()._on_host() if frame.is_torch else self
        problem, root, unit = constant._problem(rtol)
        found = minimize(problem, root, rtol=rtol, maxiter=maxiter, accelerate=accelerate)
        arrays = (self.X, self.weights, self.M, self.theta)
        if frame.is_torch and any(a is not None and a.requires_grad for a in arrays):
            return self._within_graph(problem, found, unit), found
        root = found.root * unit[:, None, None]
        if constant.M is not None:
            root = cholesky(constant.frame, constant.M) @ root
        if constant.theta is None:
            mean = gram(constant.frame, root)
        else:
            mean = gram_function(constant.frame, root, "power", theta=1 / constant.theta)
        return (frame.from_host(mean) if constant.frame is not frame else mean), found

    def _problem(self, rtol: float) -> tuple[Any, Array, Array]:
        """Problem in whitened, deformed coordinates, where to start, and the unit (B,) of roots.

        Means are homogeneous: in a unit of their own size nothing over- or underflows, and a power
        of two does not round.
        """
        frame, xp = self.frame, self.frame.xp
        C = None if self.M is None else cholesky(frame, self.M)

        def factors(A: Array, theta: Array | None) -> Array:
            if theta is None:
                return cholesky(frame, A)
            w, U = eigen(frame, A)
            return U * (w ** (theta[..., None] / 2))[..., None, :]

        K = factors(self.X, None if self.theta is None else self.theta[:, None])
        if C is not None:
            K = solve_lower(frame, C[:, None], K)
        largest = xp.max(xp.abs(K), axis=(1, 2, 3))
        unit = 2.0 ** xp.round(xp.log2(largest))
        K = K / unit[:, None, None, None]
        if self.init is None:
            squares = self.weights[:, :, None, None] * gram(frame, K)
            root = cholesky(frame, xp.sum(squares, axis=1))
        else:
            root = factors(self.init, self.theta)
            root = root if C is None else solve_lower(frame, C, root)
            root = root / unit[:, None, None]
        kind = InvariantProblem if self.metric == "affine_invariant" else WassersteinProblem
        return kind(frame, K, self.weights, rtol), root, unit

    def _within_graph(self, problem: Any, found: Minimum, unit: Array) -> Array:
        """The mean as a differentiable function of the samples, weights, M and theta."""
        from geometry.spd._torch_frechet import ImplicitMean

        frame, X = self.frame, self.X
        if self.theta is not None:
            X = spectral_functions(frame, X, "power", theta=self.theta[:, None])[0]
        C = None if self.M is None else cholesky(frame, self.M)
        if C is not None:
            X = whiten(frame, frame.xp.broadcast_to(C[:, None], X.shape), X)
        S = gram(problem.frame, found.root)
        if problem.frame is not frame:
            S, unit = frame.from_host(S), frame.from_host(unit)
        # By halves, since the square of the unit need not be a normal number.
        X = X / unit[:, None, None, None] / unit[:, None, None, None]
        S = ImplicitMean.apply(X, self.weights, S, problem, found.root)
        S = S * unit[:, None, None] * unit[:, None, None]
        if C is not None:
            S = congruence(frame, C, S)
        if self.theta is not None:
            S = spectral_functions(frame, S, "power", theta=1 / self.theta)[0]
        return S

    def _on_host(self) -> Samples:
        """The same as NumPy arrays where the tensors are on the host anyway."""
        given = (self.X, self.weights, self.M, self.theta, self.init)
        arrays = [array for array in given if array is not None]
        if not self.frame.runs_on_host(*arrays):
            return self
        frame, hosts = self.frame.to_host(*(array.resolve_conj() for array in arrays))
        rest = iter(hosts)
        moved = (None if array is None else next(rest) for array in given)
        return Samples(frame, self.batch, self.metric, *moved)


def as_samples(
    X: Array,
    weights: Array | None,
    metric: str,
    M: Array | None,
    theta: Any,
    init: Array | None,
    check: bool,
    *,
    guess: str = "init",
) -> Samples:
    """Validate arguments; ``guess`` is what the caller names the last matrix."""
    frame, X, weights, M, theta, init = as_arrays(
        finite=False, X=X, weights=weights, M=M, theta=theta, **{guess: init}
    )
    _, X = as_spd(X=X, check=check)
    check_shape("X", X, "N", "n", "n")
    count, n = int(X.shape[-3]), int(X.shape[-1])
    if count == 0:
        raise ValueError(f"X must hold 1 or more samples, got {tuple(X.shape)}")
    given: dict[str, Array] = {}
    for key, value in (("M", M), (guess, init)):
        if value is not None:
            check_shape(key, value, n, n)
            _, given[key] = as_spd(check=check, **{key: value})
    X, *rest = frame.common_dtype(X, *given.values())
    given = dict(zip(given, rest, strict=True))
    shapes = {key: tuple(value.shape[:-2]) for key, value in given.items()}
    if theta is not None:
        check_real("theta", theta, frame)
        if check:
            check_finite("theta", theta, frame)
        theta = frame.double(theta)
        shapes["theta"] = tuple(theta.shape)
    resolve_metric(frame, metric, given.get("M"), theta)
    w = _normalised(frame, weights, count, check)
    batch = broadcast_batch(X=tuple(X.shape[:-3]), weights=tuple(w.shape[:-1]), **shapes)

    def flat(array: Array | None, axes: int) -> Array | None:
        if array is None:
            return None
        trailing = tuple(array.shape[array.ndim - axes :])
        whole = frame.xp.broadcast_to(array, (*batch, *trailing))
        return frame.xp.reshape(whole, (math.prod(batch), *trailing))

    return Samples(
        frame,
        batch,
        metric,
        flat(X, 3),
        flat(w, 1),
        flat(given.get("M"), 2),
        flat(theta, 0),
        flat(given.get(guess), 2),
    )


def _normalised(frame: Frame, weights: Array | None, count: int, check: bool) -> Array:
    """Weights (..., N) of sum one, in double precision."""
    xp = frame.xp
    if weights is None:
        return xp.full((count,), 1 / count, dtype=xp.float64, device=frame.device)
    check_real("weights", weights, frame)
    check_shape("weights", weights, count)
    w = frame.double(weights)
    total = xp.sum(w, axis=-1, keepdims=True)
    if check:
        check_finite("weights", w, frame)
        if bool(xp.any(w < 0) | xp.any(total <= 0)):
            raise ValueError(
                "weights must not be negative and have a positive sum, got smallest weight "
                f"{float(xp.min(w)):.3g} and smallest sum {float(xp.min(total)):.3g}"
            )
    return w / total

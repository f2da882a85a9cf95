r"""Distances of all pairs of positive definite matrices.

Each matrix is factored once. Under the Bures-Wasserstein metric compiled code takes the distance
from traces, :math:`d^2 = \operatorname{tr} A + \operatorname{tr} B - 2 \lVert K^H L \rVert_*` for
Cholesky factors K and L, where few digits cancel, and from aligned factors for the pairs where
they would.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from geometry.spd._arguments import as_spd
from geometry.spd._linear_algebra import cholesky, real_inner, square_root
from geometry.spd._metric import resolve_metric
from geometry.spd._rational_square_root import square_root_fractions
from geometry.spd.bures_wasserstein import BuresWasserstein, whitened_factor
from geometry.spd.spectral import spectral_functions
from numerics._threads import torch_threads_kept
from numerics.arrays import Array, Frame, as_arrays, broadcast_batch, check_shape

_ENTRIES = 2**22  # matrix entries of the pairs that are computed at once
_CANCELLED = 2e-3  # squared distance to the sum of the traces below which factors are aligned


def pairwise_distance(
    X: Array,
    Y: Array | None = None,
    *,
    metric: str = "affine_invariant",
    M: Array | None = None,
    theta: Any = None,
    squared: bool = False,
    check: bool = True,
) -> Array:
    r"""Distances :math:`d(X_i, Y_j)` of all pairs of positive definite matrices.

    Parameters
    ----------
    X : array, shape (..., N, n, n)
        Positive definite, NumPy or torch.
    Y : array, shape (..., K, n, n), optional
        Positive definite. Without it the pairs are those of ``X`` with itself, and half of them
        are computed.
    metric : {"affine_invariant", "log_euclidean", "log_cholesky", "bures_wasserstein"}
        Metric.
    M : array, shape (..., n, n), optional
        Positive definite matrix of the generalised Bures-Wasserstein metric.
    theta : float or array, shape (...), optional
        Exponent of the power-deformed Bures-Wasserstein metric, not zero.
    squared : bool
        Return :math:`d^2`.
    check : bool
        Refuse values that are not finite, not Hermitian or not positive definite.

    Returns
    -------
    array, shape (..., N, K)
        Real, K = N without ``Y``. Torch results are differentiable in all arguments; the gradient
        of a distance is zero where the two are equal.

    Raises
    ------
    ValueError
        For matrices that are not positive definite, with their batch index; for ``M`` or ``theta``
        with a metric that has none.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([np.diag([1.0, 4.0]), np.diag([4.0, 9.0]), np.diag([16.0, 1.0])])
    >>> pairwise_distance(X, metric="bures_wasserstein", squared=True)
    array([[ 0.,  2., 10.],
           [ 2.,  0.,  8.],
           [10.,  8.,  0.]])
    """
    frame, X, Y, M, theta = _validated(X, Y, M, theta, check)
    resolved = resolve_metric(frame, metric, M, theta)
    given = tuple(array for array in (X, Y, M, theta) if array is not None)
    real = not any(frame.is_complex(array) for array in given)
    if metric == "bures_wasserstein" and real and frame.runs_on_host(*given):
        result = _on_host(frame, X, Y, M, theta)
        return frame.cast(result if squared else square_root(frame, result))
    if metric == "log_euclidean":
        logs = (spectral_functions(frame, A, "log")[0] for A in (X, X if Y is None else Y))
        X, other = logs
        Y = None if Y is None else other
        return frame.cast(_by_pairs(frame, X, Y, _Flat(frame), squared))
    return frame.cast(_by_pairs(frame, X, Y, resolved, squared))


def _validated(X: Any, Y: Any, M: Any, theta: Any, check: bool) -> tuple[Any, ...]:
    """Trusted arguments of one frame, M and theta with an axis for the matrices."""
    frame, X, Y, M, theta = as_arrays(X=X, Y=Y, M=M, theta=theta, finite=check)
    check_shape("X", X, "N", "n", "n")
    shapes = {"X": tuple(X.shape[:-3])}
    if Y is not None:
        check_shape("Y", Y, "K", X.shape[-1], X.shape[-1])
        shapes["Y"] = tuple(Y.shape[:-3])
    if M is not None:
        check_shape("M", M, X.shape[-1], X.shape[-1])
        shapes["M"] = tuple(M.shape[:-2])
        M = M[..., None, :, :]
    if theta is not None:
        shapes["theta"] = tuple(theta.shape)
        theta = theta[..., None]
    batch = broadcast_batch(**shapes)
    _, X, M, theta = as_spd(X=X, M=M, theta=theta, scalars=("theta",), check=check)
    if Y is not None:
        _, Y = as_spd(Y=Y, check=check)
    matrices = [array for array in (X, Y, M) if array is not None]
    X, *rest = frame.common_dtype(*matrices)
    X = frame.xp.broadcast_to(X, (*batch, *X.shape[-3:]))
    if Y is not None:
        Y = frame.xp.broadcast_to(rest.pop(0), (*batch, *matrices[1].shape[-3:]))
    return frame, X, Y, rest[0] if rest else None, theta


@dataclass(frozen=True)
class _Flat:
    """The metric of a vector space."""

    frame: Frame

    def squared_distance(self, A: Array, B: Array) -> Array:
        """Squared norm of the difference, shape (...)."""
        return real_inner(self.frame, A - B, A - B)


def _by_pairs(frame: Frame, X: Array, Y: Array | None, metric: Any, squared: bool) -> Array:
    """Distances under any metric, lists of pairs at a time."""
    xp = frame.xp
    N, K = X.shape[-3], (X if Y is None else Y).shape[-3]
    if Y is None:
        rows, columns = np.triu_indices(N, k=1)
    else:
        rows, columns = (index.ravel() for index in np.indices((N, K)))
    other = X if Y is None else Y
    flat = _listed_pairs(frame, X, other, rows, columns, metric)
    flat = flat if squared else square_root(frame, flat)
    if Y is not None:
        return xp.reshape(flat, (*X.shape[:-3], N, K))
    # Each entry of the symmetric matrix by its place in the list, after one zero for the diagonal.
    place = np.zeros((N, N), dtype=np.int64)
    place[rows, columns] = np.arange(1, len(rows) + 1)
    place += place.T
    zero = xp.zeros((*X.shape[:-3], 1), dtype=xp.float64, device=frame.device)
    return xp.concat((zero, flat), axis=-1)[..., xp.asarray(place, device=frame.device)]


def _listed_pairs(
    frame: Frame, X: Array, Y: Array, rows: np.ndarray, columns: np.ndarray, metric: Any
) -> Array:
    """Squared distances (..., P) of pairs of X and Y, as many at a time as fit in memory."""
    xp, batch = frame.xp, tuple(X.shape[:-3])
    count = max(1, _ENTRIES // max(1, math.prod(batch) * X.shape[-1] ** 2))
    values = [xp.zeros((*batch, 0), dtype=xp.float64, device=frame.device)]
    for start in range(0, len(rows), count):
        part = slice(start, start + count)
        i, j = (xp.asarray(index[part], device=frame.device) for index in (rows, columns))
        values.append(metric.squared_distance(X[..., i, :, :], Y[..., j, :, :]))
    return xp.concat(values, axis=-1)


def _on_host(
    frame: Frame, X: Array, Y: Array | None, M: Array | None, theta: Array | None
) -> Array:
    """Squared Bures-Wasserstein distances of real matrices by compiled code."""
    host, _ = frame.to_host(X)
    X, Y, M, theta = (None if a is None else frame.to_host(a)[1][0] for a in (X, Y, M, theta))
    if theta is not None:
        X = spectral_functions(host, X, "power", theta=theta)[0]
        Y = None if Y is None else spectral_functions(host, Y, "power", theta=theta)[0]
    metric = BuresWasserstein(host, M)
    C = metric.metric_factor()
    roots = whitened_factor(host, C, cholesky(host, X))
    others = None if Y is None else whitened_factor(host, C, cholesky(host, Y))
    other = X if Y is None else Y
    batch, K = X.shape[:-3], other.shape[-3]
    result = np.empty((*batch, X.shape[-3], K))
    for index in np.ndindex(batch):
        chosen = None if others is None else others[index]
        rows, columns = _factored_pairs(roots[index], chosen, result[index])
        # What is left is so near that its digits are in the matrices' difference.
        M_here = None if M is None else np.broadcast_to(M, (*batch, 1, *M.shape[-2:]))[index]
        result[index][rows, columns] = _listed_pairs(
            host, X[index], other[index], rows, columns, BuresWasserstein(host, M_here)
        )
        if Y is None:
            np.fill_diagonal(result[index], 0.0)
            lower = np.tril_indices(K, k=-1)
            result[index][lower] = result[index].T[lower]
    if theta is not None:
        result /= theta[..., None] ** 2
    return frame.from_host(result)


@torch_threads_kept()
def _factored_pairs(
    roots: np.ndarray, others: np.ndarray | None, out: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Fill in squared distances of pairs that factors resolve, and return the others' places."""
    from geometry.spd._numba_pairwise import LANES, aligned_pairs, all_pairs

    triangle = others is None
    roots = np.ascontiguousarray(roots)
    others = roots if others is None else np.ascontiguousarray(others)
    n, K = roots.shape[-1], others.shape[0]
    if 0 in out.shape:
        return np.empty(0, np.intp), np.empty(0, np.intp)
    lanes = np.zeros((-(-K // LANES), LANES, n, n))
    lanes.reshape(-1, n, n)[:K] = others
    traces, other_traces = np.sum(roots**2, axis=(1, 2)), np.sum(lanes**2, axis=(2, 3)).ravel()
    if triangle:
        out[np.tril_indices(K)] = 0.0
    all_pairs(
        roots,
        np.ascontiguousarray(lanes.transpose(0, 2, 3, 1)),
        traces,
        other_traces,
        triangle,
        _CANCELLED,
        *square_root_fractions(),
        out,
    )
    rows, columns = np.nonzero(out < 0)
    aligned = np.empty(len(rows))
    aligned_pairs(roots, others, rows, columns, aligned)
    out[rows, columns] = aligned
    near = aligned < traces[rows] / n
    return rows[near], columns[near]

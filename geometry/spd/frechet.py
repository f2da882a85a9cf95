r"""Frechet means and variances of positive definite matrices.

.. math:: \bar X = \operatorname*{arg\,min}_S \sum_i w_i d(S, X_i)^2, \qquad
          \operatorname{var} = \sum_i w_i d(\bar X, X_i)^2, \qquad \sum_i w_i = 1 .

Flat metrics have the closed forms :math:`\exp \sum_i w_i \log X_i` and its like for Cholesky
factors. The mean of two matrices is a point of their geodesic. For the others, the fixed-point
iterations of the literature converge linearly, slower the worse the matrices are conditioned:
hundreds of steps for eigenvalues over ten orders of magnitude. Newton's method on the manifold
takes ten or less.

References: arXiv 1511.05355 (the Bures-Wasserstein iteration), arXiv 2110.10464 (its
generalisation by M), arXiv 2504.00660 (means of powers).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from geometry.spd._frechet_newton import Minimum
from geometry.spd._frechet_samples import as_samples
from numerics.arrays import Array, as_float, as_integer
from numerics.convergence import ConvergenceWarning

_RTOL, _MAXITER = 1e-12, 500


@dataclass(frozen=True)
class FrechetMean:
    r"""Frechet mean, and how it was found.

    Attributes
    ----------
    mean : array, shape (..., n, n)
        The mean.
    converged : bool
        Whether every mean of the batch met the tolerance, or what rounding allows.
    iterations : int
        Steps, each with a decomposition a sample; the most of the batch, 0 for closed forms.
    residual_norm : array, shape (...)
        Length of the gradient :math:`\sum_i w_i \operatorname{Log}_{\bar X} X_i` in the metric:
        for the affine-invariant one a relative change of the mean, for the Bures-Wasserstein one
        (in its whitened, deformed coordinates) divided by the distance of the mean from zero. Zero
        for closed forms.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[[2.0, 1.0], [1.0, 2.0]], np.eye(2), np.diag([1.0, 4.0])])
    >>> result = frechet_mean(X, full_output=True)
    >>> result.converged, result.iterations < 6, bool(result.residual_norm < 1e-12)
    (True, True, True)
    """

    mean: Array
    converged: bool
    iterations: int
    residual_norm: Array


def frechet_mean(
    X: Array,
    *,
    weights: Array | None = None,
    metric: str = "affine_invariant",
    M: Array | None = None,
    theta: Any = None,
    init: Array | None = None,
    rtol: float = _RTOL,
    maxiter: int = _MAXITER,
    accelerate: bool = True,
    full_output: bool = False,
    check: bool = True,
) -> Any:
    r"""Weighted Frechet mean :math:`\arg\min_S \sum_i w_i d(S, X_i)^2` along the axis of samples.

    Parameters
    ----------
    X : array, shape (..., N, n, n)
        Positive definite samples, NumPy or torch, N at least 1.
    weights : array, shape (..., N), optional
        Not negative, not all zero; they are divided by their sum. Equal ones by default.
    metric : {"affine_invariant", "log_euclidean", "log_cholesky", "bures_wasserstein"}
        Metric.
    M : array, shape (..., n, n), optional
        Positive definite matrix of the generalised Bures-Wasserstein metric.
    theta : float or array, shape (...), optional
        Exponent of the power-deformed Bures-Wasserstein metric, not zero.
    init : array, shape (..., n, n), optional
        Positive definite guess where the mean is iterated; the arithmetic mean by default.
    rtol : float
        Tolerance for ``residual_norm`` of :class:`FrechetMean`, which knows no units.
    maxiter : int
        Most steps.
    accelerate : bool
        Newton's method. Without it, fixed-point steps: for the affine-invariant metric gradient
        steps of a safe length, for the Bures-Wasserstein one the barycentre's own iteration.
    full_output : bool
        Return a :class:`FrechetMean`.
    check : bool
        Refuse values that are not finite, not Hermitian or not positive definite.

    Returns
    -------
    array, shape (..., n, n), or FrechetMean
        Kind and precision of the arguments. Torch results are differentiable once, in the samples,
        ``weights``, ``M`` and ``theta``, by the implicit function theorem.

    Raises
    ------
    ValueError
        For matrices that are not positive definite, with their batch index; for no samples,
        weights that are negative or sum to zero, and ``M`` or ``theta`` with another metric.

    Warns
    -----
    ConvergenceWarning
        If a mean did not meet the tolerance.

    References
    ----------
    P. Alvarez-Esteban, E. del Barrio, J. Cuesta-Albertos, C. Matran, arXiv 1511.05355.
    A. Han, B. Mishra, P. Jawanpuria, J. Gao, arXiv 2110.10464.

    Examples
    --------
    Under the affine-invariant metric the mean of inverses is the inverse of the mean, and for
    matrices that commute the mean is geometric.

    >>> import numpy as np
    >>> X = np.array([[[2.0, 1.0], [1.0, 2.0]], np.eye(2), np.diag([1.0, 4.0])])
    >>> np.allclose(frechet_mean(np.linalg.inv(X)), np.linalg.inv(frechet_mean(X)))
    True
    >>> np.round(
    ...     frechet_mean([np.diag([1.0, 2.0]), np.diag([2.0, 4.0]), np.diag([4.0, 1.0])]), 12
    ... )
    array([[2., 0.],
           [0., 2.]])
    """
    rtol = as_float("rtol", rtol, positive=True)
    maxiter = as_integer("maxiter", maxiter, minimum=1)
    samples = as_samples(X, weights, metric, M, theta, init, check)
    frame, batch = samples.frame, samples.batch
    if samples.has_closed_form():
        mean, found = samples.closed_form(), None
    else:
        mean, found = samples.iterated(rtol, maxiter, accelerate)
    mean = frame.cast(frame.xp.reshape(mean, (*batch, *mean.shape[-2:])))
    converged = found is None or bool(found.converged.all())
    if found is not None and not converged:
        warnings.warn(_unconverged(found, rtol, batch), ConvergenceWarning, stacklevel=2)
    if not full_output:
        return mean
    if found is None:
        residual = frame.xp.zeros(batch, dtype=frame.xp.float64, device=frame.device)
        return FrechetMean(mean, True, 0, residual)
    residual = frame.asarray(found.residual.reshape(batch))
    return FrechetMean(mean, converged, int(found.iterations.max()), residual)


def frechet_variance(
    X: Array,
    *,
    mean: Array | None = None,
    weights: Array | None = None,
    metric: str = "affine_invariant",
    M: Array | None = None,
    theta: Any = None,
    check: bool = True,
) -> Array:
    r"""Frechet variance :math:`\sum_i w_i d(\bar X, X_i)^2` along the axis of samples.

    Parameters
    ----------
    X : array, shape (..., N, n, n)
        Positive definite samples, NumPy or torch, N at least 1.
    mean : array, shape (..., n, n), optional
        Positive definite point about which to take it; the Frechet mean by default.
    weights : array, shape (..., N), optional
        Not negative, not all zero; they are divided by their sum. Equal ones by default.
    metric : {"affine_invariant", "log_euclidean", "log_cholesky", "bures_wasserstein"}
        Metric.
    M : array, shape (..., n, n), optional
        Positive definite matrix of the generalised Bures-Wasserstein metric.
    theta : float or array, shape (...), optional
        Exponent of the power-deformed Bures-Wasserstein metric, not zero.
    check : bool
        Refuse values that are not finite, not Hermitian or not positive definite.

    Returns
    -------
    array, shape (...)
        Torch results are differentiable. The mean, being a minimum, contributes nothing to the
        first derivative unless it is given.

    Raises
    ------
    ValueError
        As for :func:`frechet_mean`.

    Examples
    --------
    The variance of two matrices is a quarter of their squared distance.

    >>> import numpy as np
    >>> X = np.array([[[2.0, 1.0], [1.0, 2.0]], [[3.0, 0.0], [0.0, 5.0]]])
    >>> variance = frechet_variance(X, metric="bures_wasserstein")
    >>> from geometry.spd import distance
    >>> np.isclose(variance, distance(X[0], X[1], metric="bures_wasserstein") ** 2 / 4)
    np.True_
    """
    samples = as_samples(X, weights, metric, M, theta, mean, check, guess="mean")
    frame = samples.frame
    center = samples.init
    if center is None:
        constant = samples.detached()
        if constant.has_closed_form():
            center = constant.closed_form()
        else:
            center, found = constant.iterated(_RTOL, _MAXITER, True)
            if not found.converged.all():
                message = _unconverged(found, _RTOL, samples.batch)
                warnings.warn(message, ConvergenceWarning, stacklevel=2)
    per_sample = samples.metric_object(with_samples=True)
    squared = per_sample.squared_distance(center[:, None], samples.X)
    variance = frame.xp.sum(samples.weights * squared, axis=-1)
    return frame.cast(frame.xp.reshape(variance, samples.batch))


def _unconverged(found: Minimum, rtol: float, batch: tuple[int, ...]) -> str:
    worst = int(np.argmax(np.where(found.converged, -1.0, found.residual)))
    index = ", ".join(str(int(i)) for i in np.unravel_index(worst, batch)) if batch else ""
    where = f"mean [{index}]" if index else "the mean"
    return (
        f"{where} has residual {found.residual[worst]:.2g} after {found.iterations[worst]} "
        f"iterations, above rtol {rtol:.2g}"
    )

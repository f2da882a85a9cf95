r"""Riemannian batch normalisation of positive definite matrices (arXiv 2504.00660).

.. math:: X' = \operatorname{Exp}_W \Bigl( \frac{s}{\sqrt{v + \varepsilon}} \,
          \Gamma_{I \to W} \Gamma_{B \to I} \operatorname{Log}_B X \Bigr)

takes a batch with Frechet mean B and variance v to one with mean W and variance
:math:`s^2 v / (v + \varepsilon)`. The parallel transports meet in the identity, from where they
have closed forms under every metric.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from geometry.spd._arguments import as_spd
from geometry.spd._metric import DOMAINS, resolve_metric
from geometry.spd._normalizers import resolve_normalizer
from numerics.arrays import Array, Frame, as_float, check_choice, check_positive


@dataclass(frozen=True)
class NormalizedBatch:
    r"""Normalised matrices, and which of them left the manifold on the way.

    Attributes
    ----------
    X : array, shape (..., n, n)
        Normalised matrices.
    outside : array of bool, shape (...)
        Where a geodesic left the manifold, so that ``domain`` decided. Their number is
        ``outside.sum()``.

    Examples
    --------
    >>> import numpy as np
    >>> from geometry.spd import batch_normalize
    >>> X, mean = np.diag([0.01, 9.0]), np.diag([1.0, 4.0])
    >>> for s in (1.0, 2.0):
    ...     print(batch_normalize(X, mean, 1, mean, s, full_output=True).outside)
    False
    True
    """

    X: Array
    outside: Array


def batch_normalize(
    X: Array,
    mean: Array,
    var: Any,
    bias: Array,
    scale: Any,
    *,
    metric: str = "bures_wasserstein",
    M: Array | None = None,
    theta: Any = None,
    eps: float = 1e-5,
    domain: str = "fold",
    full_output: bool = False,
    check: bool = True,
) -> Any:
    r"""Take matrices of mean ``mean`` and variance ``var`` to the mean ``bias``, times ``scale``.

    .. math:: X' = \operatorname{Exp}_W \Bigl( \frac{s}{\sqrt{v + \varepsilon}} \,
              \Gamma_{I \to W} \Gamma_{B \to I} \operatorname{Log}_B X \Bigr)

    Under the affine-invariant metric this is
    :math:`W^{1/2} (B^{-1/2} X B^{-1/2})^{s / \sqrt{v + \varepsilon}} W^{1/2}`.

    Parameters
    ----------
    X : array, shape (..., n, n)
        Positive definite, NumPy or torch. Batch axes of all arguments broadcast.
    mean : array, shape (..., n, n)
        Their mean B.
    var : float or array, shape (...)
        Their variance v about the mean, at least zero.
    bias : array, shape (..., n, n)
        The mean W that they get.
    scale : float or array, shape (...)
        The standard deviation s that they get, positive.
    metric : {"affine_invariant", "log_euclidean", "log_cholesky", "bures_wasserstein"}
        Metric.
    M : array, shape (..., n, n), optional
        Positive definite matrix of the generalised Bures-Wasserstein metric.
    theta : float or array, shape (...), optional
        Exponent of the power-deformed Bures-Wasserstein metric, not zero; 1 by default.
    eps : float
        Added to the variance, not negative.
    domain : {"fold", "clip", "raise"}
        What to do where a Bures-Wasserstein geodesic leaves the manifold. "fold" takes the
        exponentials and logarithms at the identity literally, as the paper's layer does, where
        results may come near singular; "clip" stops short of the boundary; "raise" is an error.
    full_output : bool
        Return a :class:`NormalizedBatch`, which says where that happened.
    check : bool
        Refuse values that are not finite, not Hermitian or not positive definite.

    Returns
    -------
    array, shape (..., n, n), or NormalizedBatch
        Kind and precision of the arguments. Torch results are differentiable in all of them.

    Raises
    ------
    ValueError
        For matrices that are not positive definite, with their batch index; for a scale that is not
        positive, a negative variance, ``M`` or ``theta`` with another metric, and for leaving the
        manifold when ``domain`` is "raise".

    References
    ----------
    arXiv 2504.00660 (Bures-Wasserstein), arXiv 2403.11261 (flat metrics).

    Examples
    --------
    The mean and the variance of a batch become those that were asked for.

    >>> import numpy as np
    >>> from geometry.spd import batch_normalize, frechet_mean, frechet_variance
    >>> metric = {"metric": "bures_wasserstein", "theta": 0.5}
    >>> X = np.array([[[2.0, 1.0], [1.0, 2.0]], np.eye(2), np.diag([1.0, 4.0])])
    >>> mean, var = frechet_mean(X, **metric), frechet_variance(X, **metric)
    >>> W = np.array([[3.0, 1.0], [1.0, 2.0]])
    >>> Y = batch_normalize(X, mean, var, W, 0.5, eps=0.0, **metric)
    >>> (
    ...     np.allclose(frechet_mean(Y, **metric), W),
    ...     np.isclose(frechet_variance(Y, **metric), 0.25),
    ... )
    (True, np.True_)
    """
    check_choice("domain", domain, DOMAINS)
    eps = as_float("eps", eps)
    if eps < 0:
        raise ValueError(f"eps must not be negative, got {eps}")
    frame, X, mean, bias, M, var, scale, theta = as_spd(
        X=X, mean=mean, bias=bias, M=M, var=var, scale=scale, theta=theta,
        scalars=("var", "scale", "theta"), check=check,
    )  # fmt: skip
    resolve_metric(frame, metric, M, theta)
    if check:
        check_positive("scale", scale, frame)
        _check_variance(var, eps, frame)
    normalizer = resolve_normalizer(frame, metric, M, theta)
    centered, _ = normalizer.centered(normalizer.coordinates(X), normalizer.coordinates(mean))
    factor = scale / frame.xp.sqrt(var + eps)
    result, outside = normalizer.placed(centered, factor, normalizer.coordinates(bias), domain)
    result = frame.cast(result)
    return NormalizedBatch(result, outside) if full_output else result


def _check_variance(var: Array, eps: float, frame: Frame) -> None:
    if eps == 0:
        check_positive("var", var, frame)
    elif frame.has_values(var) and bool(frame.xp.any(var < 0)):
        raise ValueError(f"var must not be negative, got {float(frame.xp.min(var)):.3g}")

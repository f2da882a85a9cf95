r"""Augmented covariance matrices: covariances of delay-embedded signals (arXiv 2302.04508).

A signal :math:`x_t \in \mathbb R^d` is embedded by its values at p times a lag of :math:`\tau`
samples apart, :math:`y_t = (x_t, x_{t+\tau}, \dots, x_{t+(p-1)\tau})`. The covariance of y, of
order pd, is the block-Toeplitz matrix

.. math:: \begin{pmatrix} \Gamma(0) & \Gamma(\tau)^T & \cdots \\
                          \Gamma(\tau) & \Gamma(0) & \cdots \\
                          \vdots & \vdots & \ddots \end{pmatrix}, \qquad
          \Gamma(h) = \operatorname{E} x_{t+h} x_t^T, \quad \Gamma(-h) = \Gamma(h)^T,

which holds the dynamics of the signal beside its covariance: it is the matrix of the Yule-Walker
equations of the autoregression :math:`x_t = \sum_{k=1}^{p} A_k x_{t-k\tau} + \varepsilon_t`.

Signals have channels first and time last, as in pyRiemann, MNE and MOABB.
"""

from __future__ import annotations

import warnings

import numpy as np
from scipy.linalg import LinAlgWarning

from geometry.spd._linear_algebra import (
    adjoint,
    cholesky,
    diagonal,
    hermitian_part,
    solve_lower,
    solve_lower_adjoint,
)
from geometry.spd._shrinkage import ledoit_wolf_shrinkage, oracle_shrinkage, shrunk
from numerics.arrays import (
    Array,
    Frame,
    as_arrays,
    as_integer,
    check_choice,
    check_real,
    check_shape,
)

ESTIMATORS = ("cov", "ledoit_wolf", "oas", "scm", "toeplitz")
TRIMS = ("full", "moabb")
_REAL_ONLY = ("ledoit_wolf", "oas")
_SHORTEST = 2  # samples of which a covariance can be made


def delay_embedding(x: Array, order: int, lag: int = 1, *, trim: str = "full") -> Array:
    r"""Signals beside their own values up to ``order - 1`` lags later.

    .. math:: y_t = (x_t, x_{t+\tau}, \dots, x_{t+(p-1)\tau})

    Parameters
    ----------
    x : array, shape (..., d, T)
        Real or complex signals, channels first; NumPy or torch.
    order : int
        Number p of values side by side; 1 gives the signal itself.
    lag : int
        Samples :math:`\tau` between them.
    trim : {"full", "moabb"}
        Keep every sample that has all its later values, :math:`T - (p-1)\tau` of them; or one lag
        less, :math:`T - p\tau` for p > 1, as MOABB's ``AugmentedDataset`` does.

    Returns
    -------
    array, shape (..., p d, T')
        Kind and precision of ``x``; rows kd to (k+1)d are the channels k lags later. Torch results
        are differentiable.

    Raises
    ------
    ValueError
        For signals that are too short, and values that are not finite.

    References
    ----------
    Takens, Lecture Notes in Mathematics 898 (1981) 366-381; arXiv 2302.04508.

    Examples
    --------
    >>> import numpy as np
    >>> delay_embedding(np.arange(7)[None], 3, 2)
    array([[0., 1., 2.], [2., 3., 4.], [4., 5., 6.]])
    """
    frame, x = as_arrays(x=x)
    order, lag = check_embedding(x, order, lag, trim)
    return _embedded(frame, x, order, lag, trim)


def augmented_covariance(
    x: Array, order: int, lag: int = 1, *, estimator: str = "cov", trim: str = "full"
) -> Array:
    r"""Covariance matrices of delay-embedded signals.

    Parameters
    ----------
    x : array, shape (..., d, T)
        Signals, channels first; NumPy or torch.
    order : int
        Number p of delayed values; 1 gives the ordinary covariance.
    lag : int
        Samples :math:`\tau` between them.
    estimator : {"cov", "scm", "ledoit_wolf", "oas", "toeplitz"}
        With the :math:`T'` embedded samples :math:`y_t`:

        "cov"
            :math:`\frac{1}{T'-1} \sum_t (y_t - \bar y)(y_t - \bar y)^H`.
        "scm"
            The same over :math:`T'`, as in pyRiemann.
        "ledoit_wolf", "oas"
            :math:`(1-\rho) S + \rho \frac{\operatorname{tr} S}{pd} I` with S that of "scm" and the
            shrinkage :math:`\rho` of Ledoit and Wolf, or the oracle approximating one. Positive
            definite for any signal that varies, however short, with ever more shrinkage.
        "toeplitz"
            Blocks :math:`\Gamma((i-j)\tau)` of the whole signal's autocovariances,
            :math:`\Gamma(h) = \frac1T \sum_t (x_{t+h} - \bar x)(x_t - \bar x)^H`, which is block
            Toeplitz exactly, and never indefinite.
    trim : {"full", "moabb"}
        As for :func:`delay_embedding`; "toeplitz" has nothing to trim.

    Returns
    -------
    array, shape (..., p d, p d)
        Symmetric or Hermitian, kind and precision of ``x``. Torch results are differentiable.

    Raises
    ------
    TypeError
        For complex signals with "ledoit_wolf" or "oas".
    ValueError
        For signals that are too short, values that are not finite and unknown choices.

    Warns
    -----
    LinAlgWarning
        If there are too few samples for "cov" or "scm" to be positive definite.

    See Also
    --------
    geometry.spd.estimators.AugmentedCovariances : the same as a scikit-learn transformer.

    References
    ----------
    arXiv 2302.04508. Ledoit, Wolf, J. Multivariate Anal. 88 (2004) 365-411; Chen, Wiesel, Eldar,
    Hero, IEEE Trans. Signal Process. 58 (2010) 5016-5029, equation 23.

    Examples
    --------
    White and alternating signals of one variance have the same covariance and different dynamics.

    >>> import numpy as np
    >>> alternating = np.tile([1.0, -1.0], 5000)[None]
    >>> white = np.random.default_rng(0).choice([1.0, -1.0], (1, 10000))
    >>> np.round(augmented_covariance(alternating, 2, estimator="scm"), 1)
    array([[ 1., -1.], [-1.,  1.]])
    >>> np.abs(np.round(augmented_covariance(white, 2, estimator="scm"), 1))
    array([[1., 0.], [0., 1.]])
    """
    frame, x = as_arrays(x=x)
    order, lag = check_embedding(x, order, lag, trim)
    check_choice("estimator", estimator, ESTIMATORS)
    if estimator in _REAL_ONLY:
        check_real("x", x, frame)
    if estimator == "toeplitz":
        return block_toeplitz(frame, autocovariances(frame, x, order - 1, lag))
    y = _embedded(frame, x, order, lag, trim)
    size, samples = y.shape[-2:]
    if estimator not in _REAL_ONLY and samples <= size:
        warnings.warn(
            f"the covariances of order {size} are singular, as estimator {estimator!r} has "
            f"{samples} samples and needs {size + 1}; 'ledoit_wolf' and 'oas' take fewer",
            LinAlgWarning,
            stacklevel=2,
        )
    y = _centred(frame, y)
    S = hermitian_part(frame, y @ adjoint(frame, y)) / (samples - (estimator == "cov"))
    if estimator not in _REAL_ONLY:
        return S
    shrinkage = ledoit_wolf_shrinkage if estimator == "ledoit_wolf" else oracle_shrinkage
    return shrunk(frame, S, shrinkage(frame, S, y))


def yule_walker(x: Array, order: int, lag: int = 1) -> tuple[Array, Array]:
    r"""Vector autoregression of which the sample has the autocovariances.

    The coefficients of :math:`x_t = \sum_{k=1}^{p} A_k x_{t-k\tau} + \varepsilon_t` and the
    covariance of :math:`\varepsilon`, from

    .. math:: \Gamma(j\tau) = \sum_{k=1}^{p} A_k \Gamma((j-k)\tau), \quad j = 1, \dots, p,
              \qquad U = \Gamma(0) - \sum_{k=1}^{p} A_k \Gamma(k\tau)^H,

    with :math:`\Gamma(h) = \frac1T \sum_t (x_{t+h} - \bar x)(x_t - \bar x)^H`. Of these estimates
    the autoregression is always stable.

    Parameters
    ----------
    x : array, shape (..., d, T)
        Signals, channels first; NumPy or torch.
    order : int
        Number p of coefficients.
    lag : int
        Samples :math:`\tau` from one term to the next.

    Returns
    -------
    A : array, shape (..., p, d, d)
        Coefficients; kind and precision of ``x``. Torch results are differentiable.
    U : array, shape (..., d, d)
        Covariance of what is not predicted.

    Raises
    ------
    ValueError
        For signals that are too short or do not vary, or of which one channel follows from the
        others, and values that are not finite.

    References
    ----------
    Whittle, Biometrika 50 (1963) 129-134; arXiv 2302.04508.

    Examples
    --------
    A damped rotation and noise.

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> A = 0.9 * np.array([[0.8, -0.6], [0.6, 0.8]])
    >>> x = np.zeros((2, 20000))
    >>> for t in range(1, 20000):
    ...     x[:, t] = A @ x[:, t - 1] + rng.standard_normal(2)
    >>> found, U = yule_walker(x, 1)
    >>> bool(np.abs(found[0] - A).max() < 0.02 and np.abs(U - np.eye(2)).max() < 0.04)
    True
    """
    frame, x = as_arrays(x=x)
    order, lag = check_embedding(x, order, lag, "full", after=1)
    xp, d = frame.xp, x.shape[-2]
    gammas = autocovariances(frame, frame.double(x), order, lag)
    rows = xp.concat(gammas[:0:-1], axis=-1)
    # Of channels of one size: volts beside microvolts must not look like a channel that is missing.
    correlation, scale = _correlation(frame, block_toeplitz(frame, gammas[:-1]))
    L = cholesky(frame, correlation)
    half = solve_lower(frame, L, adjoint(frame, rows / scale[..., None, :]))
    solution = adjoint(frame, solve_lower_adjoint(frame, L, half)) / scale[..., None, :]
    U = hermitian_part(frame, gammas[0] - adjoint(frame, half) @ half)
    blocks = [solution[..., k * d : (k + 1) * d] for k in reversed(range(order))]
    return frame.cast(xp.stack(blocks, axis=-3)), frame.cast(U)


def check_embedding(
    x: Array, order: int, lag: int, trim: str, *, after: int = 0
) -> tuple[int, int]:
    """Order and lag as integers, for signals that are long enough for them."""
    order = as_integer("order", order, minimum=1)
    lag = as_integer("lag", lag, minimum=1)
    check_choice("trim", trim, TRIMS)
    check_shape("x", x, "d", "T")
    if x.shape[-2] == 0:
        raise ValueError(f"x must have at least one channel, got shape {tuple(x.shape)}")
    shortest = x.shape[-1] - _embedded_length(x.shape[-1], order + after, lag, trim) + _SHORTEST
    if x.shape[-1] < shortest:
        raise ValueError(
            f"x must have at least {shortest} samples for order {order} and lag {lag}, "
            f"got {x.shape[-1]}"
        )
    return order, lag


def autocovariances(frame: Frame, x: Array, order: int, lag: int) -> list[Array]:
    r"""The trusted signals' :math:`\Gamma(k \tau)`, k = 0, ..., order, over the whole length."""
    x, length = _centred(frame, x), x.shape[-1]
    found = [
        (x[..., k * lag :] @ adjoint(frame, x[..., : length - k * lag])) / length
        for k in range(order + 1)
    ]
    return [hermitian_part(frame, found[0]), *found[1:]]


def block_toeplitz(frame: Frame, gammas: list[Array]) -> Array:
    r"""Matrix of blocks :math:`\Gamma((i - j) \tau)` from those of :math:`i \ge j`."""
    above = [adjoint(frame, gamma) for gamma in gammas]
    order = range(len(gammas))
    blocks = [[gammas[i - j] if i >= j else above[j - i] for j in order] for i in order]
    return frame.xp.concat([frame.xp.concat(row, axis=-1) for row in blocks], axis=-2)


def _embedded(frame: Frame, x: Array, order: int, lag: int, trim: str) -> Array:
    if order == 1:
        return x
    length = _embedded_length(x.shape[-1], order, lag, trim)
    return frame.xp.concat([x[..., k * lag : k * lag + length] for k in range(order)], axis=-2)


def _embedded_length(length: int, order: int, lag: int, trim: str) -> int:
    if order == 1:
        return length
    return length - (order - (trim == "full")) * lag


def _centred(frame: Frame, x: Array) -> Array:
    return x - frame.xp.mean(x, axis=-1, keepdims=True)


def _correlation(frame: Frame, R: Array) -> tuple[Array, Array]:
    """Matrix with a diagonal of ones and the square roots of the diagonal; refused if singular."""
    variance = diagonal(frame, R)
    look = frame.has_values(R)
    if look and not bool(frame.xp.all(variance > 0)):
        raise ValueError("x must vary in every channel, got a constant one")
    scale = frame.xp.sqrt(variance)
    correlation = R / (scale[..., :, None] * scale[..., None, :])
    if look:
        rounding = R.shape[-1] * 1e2 * float(np.finfo(np.float64).eps)
        if not bool(frame.xp.all(frame.xp.linalg.eigvalsh(correlation)[..., 0] > rounding)):
            raise ValueError("x must have no channel that follows from the others, got one")
    return correlation, scale

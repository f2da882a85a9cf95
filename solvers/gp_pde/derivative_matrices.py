r"""Matrices of covariances between derivatives of a stationary Gaussian process.

For the kernel :math:`k(x, x') = \kappa(x - x')`,

.. math:: \operatorname{cov}\left(u^{(a)}(x_i), u^{(b)}(y_j)\right)
          = \partial_x^a \partial_{x'}^b k(x_i, y_j) = (-1)^b \kappa^{(a+b)}(x_i - y_j),

and given the values of u at points x, the mean of its n-th derivative there is that vector times
the differentiation matrix :math:`D^{(n)} = K^{(n)} K^{-1}` (arXiv 2311.04465). It is exact on the
span of the functions :math:`\kappa(\cdot - x_i)`; :math:`D^{(2)}` is not the square of
:math:`D^{(1)}`.

On uniform grids the matrices are Toeplitz, and the kernel is evaluated once a diagonal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.linalg

from numerics.arrays import Array, Frame, as_arrays, as_float, as_integer, check_real
from solvers.gp_pde._mixture import warn_single

_EPS = float(np.finfo(np.float64).eps)


def kernel_derivative_matrix(
    x: Array, y: Array, kernel: Callable[..., Array], order: tuple[int, int] = (0, 0)
) -> Array:
    r"""Covariances of the a-th derivative at x and the b-th derivative at y.

    .. math:: K^{(a,b)}_{ij} = \partial_x^a \partial_{x'}^b k(x_i, y_j)
              = (-1)^b \kappa^{(a+b)}(x_i - y_j)

    Parameters
    ----------
    x : array, shape (..., n)
        Points.
    y : array, shape (..., m)
        Points; leading axes broadcast with those of ``x``.
    kernel : callable
        ``kernel(r, order=n)`` gives :math:`\kappa^{(n)}(r)` for an array of differences in double
        precision, such as a :class:`SpectralMixture`.
    order : pair of int
        (a, b); the kernel has to have a + b derivatives.

    Returns
    -------
    array, shape (..., n, m)
        Kind and precision of ``x`` and ``y``. torch results are differentiable in the points and in
        what the kernel is differentiable in.

    Raises
    ------
    TypeError
        For complex points, mixed array libraries, and a kernel that cannot be called.
    ValueError
        For points that are not finite, an ``order`` that is not a pair of non-negative integers,
        and what the kernel refuses.

    Warns
    -----
    RuntimeWarning
        For a + b >= 2 in single precision.

    Notes
    -----
    Two uniform grids with the same spacing, up to rounding, cost n + m - 1 evaluations, at the
    multiples of the spacing; other points cost n m.

    References
    ----------
    Fang, Cooley, Long, Li, Kirby, Zhe, arXiv 2311.04465.

    Examples
    --------
    The slope at a point is independent of the value there, and has the variance
    :math:`-\kappa''(0)`.

    >>> import numpy as np
    >>> from solvers import SpectralMixture
    >>> kernel = SpectralMixture([1.0], [0.5], [0.2])
    >>> x = np.linspace(0, 1, 4)
    >>> between = kernel_derivative_matrix(x, x, kernel, order=(0, 1))
    >>> slopes = kernel_derivative_matrix(x, x, kernel, order=(1, 1))
    >>> bool(np.all(np.diag(between) == 0)), np.allclose(np.diag(slopes), -kernel(0.0, order=2))
    (True, True)
    """
    frame, x, y = as_arrays(x=x, y=y)
    for name, points in (("x", x), ("y", y)):
        check_real(name, points, frame)
        if points.ndim == 0:
            raise ValueError(f"{name} must have shape (..., n), got a number")
    a, b = _as_orders(order)
    _check_kernel(kernel)
    warn_single(frame, a + b, stacklevel=3)
    return frame.cast(_derivative_matrix(frame, frame.double(x), frame.double(y), kernel, a, b))


def kernel_differentiation_matrix(
    x: Array, kernel: Callable[..., Array], order: int, jitter: float = 0.0
) -> Array:
    r"""Matrix that takes values at x to the mean of the derivative at x,
    :math:`D^{(n)} = K^{(n)} (K + \eta I)^{-1}`.

    A Cholesky factorisation of K gives it, backward stable. As points are added K soon is
    singular to rounding, and a jitter :math:`\eta` makes up for that. It costs digits of the
    derivatives, so that the smallest with which K factorises is the best: 1e-14 to 1e-12 times
    :math:`\kappa(0)` for hundreds of points.

    Parameters
    ----------
    x : array, shape (n,)
        Points, no two alike.
    kernel : callable
        As for :func:`kernel_derivative_matrix`.
    order : int
        n, at least 0.
    jitter : float
        :math:`\eta \ge 0`, added to the diagonal of K and not to that of :math:`K^{(n)}`.

    Returns
    -------
    array, shape (n, n)
        Kind and precision of ``x``, computed in double precision. Differentiable in torch.

    Raises
    ------
    TypeError
        For complex points and a kernel that cannot be called.
    ValueError
        For points that are not finite, a negative ``jitter`` or ``order``, and what the kernel
        refuses.
    numpy.linalg.LinAlgError
        If K is not positive definite in double precision.

    Warns
    -----
    RuntimeWarning
        For a second or higher derivative in single precision.

    References
    ----------
    Fang, Cooley, Long, Li, Kirby, Zhe, arXiv 2311.04465.

    Examples
    --------
    Exact for the kernel about any of the points, and close for other smooth functions.

    >>> import numpy as np
    >>> from solvers import SpectralMixture
    >>> kernel = SpectralMixture([1.0], [0.0], [0.8])
    >>> x = np.linspace(0, 1, 15)
    >>> D = kernel_differentiation_matrix(x, kernel, 2)
    >>> np.allclose(D @ kernel(x - x[3]), kernel(x - x[3], order=2), rtol=1e-9)
    True
    >>> bool(np.max(np.abs(D @ np.sin(6 * x) + 36 * np.sin(6 * x))[2:-2]) < 0.01)
    True
    """
    frame, x = as_arrays(x=x)
    check_real("x", x, frame)
    if x.ndim != 1 or x.shape[0] == 0:
        raise ValueError(f"x must have shape (n,) with n >= 1, got {tuple(x.shape)}")
    order = as_integer("order", order, minimum=0)
    jitter = as_float("jitter", jitter)
    if jitter < 0:
        raise ValueError(f"jitter must not be negative, got {jitter}")
    _check_kernel(kernel)
    warn_single(frame, order, stacklevel=3)
    points = frame.double(x)
    xp = frame.xp
    K = _derivative_matrix(frame, points, points, kernel, 0, 0)
    K = K + jitter * xp.eye(points.shape[0], dtype=K.dtype, device=frame.device)
    # The transpose of the matrix of derivatives is that of derivatives on the other side.
    other = _derivative_matrix(frame, points, points, kernel, 0, order)
    return frame.cast(_positive_solve(frame, K, other).T)


def uniform_step(frame: Frame, x: Array) -> float | None:
    """Spacing of a grid that is uniform to rounding and not to be differentiated, else None."""
    if x.ndim != 1 or x.shape[0] < 2 or not frame.has_values(x):
        return None
    if frame.is_torch and x.requires_grad:
        return None
    points = np.asarray(x if frame.is_numpy else x.detach().cpu(), dtype=np.float64)
    step = (points[-1] - points[0]) / (len(points) - 1)
    rounding = 4 * _EPS * max(abs(points[0]), abs(points[-1]))
    off = np.abs(points - (points[0] + step * np.arange(len(points))))
    return float(step) if off.max() <= rounding else None


def _derivative_matrix(
    frame: Frame, x: Array, y: Array, kernel: Callable[..., Array], a: int, b: int
) -> Array:
    sign = -1.0 if b % 2 else 1.0
    diagonals = _diagonals(frame, x, y)
    if diagonals is None:
        return sign * kernel(x[..., :, None] - y[..., None, :], order=a + b)
    return _toeplitz(frame, sign * kernel(diagonals, order=a + b), y.shape[0])


def _diagonals(frame: Frame, x: Array, y: Array) -> Array | None:
    """Differences of two uniform grids, last row's first, if that is all there are."""
    step = uniform_step(frame, x)
    other = step if x is y else uniform_step(frame, y)
    if step is None or other is None:
        return None
    n, m = x.shape[0], y.shape[0]
    largest = float(frame.xp.max(frame.xp.abs(y)))
    if abs(other - step) * (m - 1) > 4 * _EPS * largest:
        return None
    steps = frame.xp.arange(1 - m, n, dtype=x.dtype, device=frame.device)
    return (x[0] - y[0]) + step * steps


def _toeplitz(frame: Frame, values: Array, columns: int) -> Array:
    """Matrix of entries values[i - j + columns - 1]."""
    if frame.is_torch:
        return values.unfold(0, columns, 1).flip(-1)
    windows = np.lib.stride_tricks.sliding_window_view(values, columns)
    return np.ascontiguousarray(windows[:, ::-1])


def _positive_solve(frame: Frame, K: Array, B: Array) -> Array:
    """Solve K X = B, or say that K is singular."""
    if frame.is_numpy:
        try:
            lower = np.linalg.cholesky(K)
        except np.linalg.LinAlgError:
            lower = None
    else:
        import torch

        lower, failed = torch.linalg.cholesky_ex(K)
        if frame.has_values(K) and int(failed):
            lower = None
    if lower is None:
        raise np.linalg.LinAlgError(
            f"the kernel matrix of {K.shape[0]} points is not positive definite in double "
            f"precision; a jitter makes it so, from about {1e-13 * float(K[0, 0]):.0e} on"
        )
    if frame.is_numpy:
        return scipy.linalg.cho_solve((lower, True), B)
    return torch.cholesky_solve(B, lower)


def _as_orders(order: Any) -> tuple[int, int]:
    try:
        a, b = order
    except (TypeError, ValueError):
        raise ValueError(f"order must be a pair (a, b), got {order!r}") from None
    return as_integer("order[0]", a, minimum=0), as_integer("order[1]", b, minimum=0)


def _check_kernel(kernel: Any) -> None:
    if not callable(kernel):
        raise TypeError(f"kernel must be callable as kernel(r, order=n), got {kernel!r}")

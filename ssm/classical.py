r"""Autoregressive, moving-average and integrated models as state-space models, exactly.

They are companion systems (arXiv 2303.09489): with :math:`A` the shift down plus last column
:math:`p`, the kernel :math:`K_l = c^\top A^l b` is

* the one-step predictor of an AR model when :math:`p = 0, b = e_0, c = \phi`, for then
  :math:`K = (\phi_1, \dots, \phi_p, 0, \dots)`;
* the impulse response :math:`\psi_l` of any ARMA or ARIMA model when :math:`p` holds the
  autoregressive coefficients in reverse, :math:`b = e_0` and :math:`c` is the first :math:`d` of
  the :math:`\psi_l`.

Outputs follow the convention :math:`x_k = A x_{k-1} + b u_k,\ y_k = c^\top x_k`: output :math:`k`
has seen input :math:`k`, and a predictor's output :math:`k` is its forecast of :math:`u_{k+1}`.

Differencing and the residual from a moving average are kernels too, of finite length.
"""

from __future__ import annotations

import math

from numerics.arrays import (
    Array,
    Frame,
    as_arrays,
    as_integer,
    broadcast_batch,
    check_shape,
    frame_like,
)


def ar_to_companion(phi: Array) -> tuple[Array, Array, Array]:
    r"""One-step predictor of an autoregressive model, as a companion system.

    For :math:`y_t = \sum_{i=1}^{p} \phi_i y_{t-i} + e_t` the system with a nilpotent shift,

    .. math:: p = 0, \qquad b = e_0, \qquad c = \phi,

    has the kernel :math:`(\phi_1, \dots, \phi_p, 0, 0, \dots)`: driven by :math:`y`, its output
    at time :math:`t` is the forecast of :math:`y_{t+1}`, and its state is
    :math:`(y_t, y_{t-1}, \dots, y_{t-p+1})`. Feeding the forecast back as the next input
    (feedback row :math:`k = \phi`) gives the forecasts of all later values.

    This is not the impulse response of the model, which is ``arma_to_companion(phi, None)``.

    Parameters
    ----------
    phi : array, shape (..., p)
        Coefficients of lags 1 to p, p >= 1.

    Returns
    -------
    p, b, c : arrays, shape (..., p)
        Last column of the companion matrix, input vector and output vector.

    Raises
    ------
    ValueError
        If ``phi`` is empty, a scalar or not finite.

    References
    ----------
    arXiv 2303.09489 (autoregressive models as companion state-space models).

    Examples
    --------
    The output after the last observation is the model's forecast of the next one.

    >>> import numpy as np
    >>> p, b, c = ar_to_companion([0.5, 0.25])
    >>> lags = np.array([4.0, 8.0])  # the last value first
    >>> float(c @ lags) == 0.5 * 4.0 + 0.25 * 8.0
    True
    >>> p.tolist(), b.tolist()
    ([0.0, 0.0], [1.0, 0.0])
    """
    frame, phi = as_arrays(phi=phi)
    check_shape("phi", phi, "p")
    if phi.shape[-1] == 0:
        raise ValueError("phi must hold at least one coefficient, got none")
    # Fresh arrays, so that writing to a result never writes to the argument.
    return frame.xp.zeros_like(phi), _first_unit_vector(frame, phi), phi + 0


def arma_to_companion(phi: Array | None, theta: Array | None) -> tuple[Array, Array, Array]:
    r"""Impulse response of an ARMA model, as a companion system.

    For :math:`y_t = \sum_{i=1}^{p} \phi_i y_{t-i} + e_t + \sum_{j=1}^{q} \theta_j e_{t-j}` and
    :math:`d = \max(p, q + 1)`,

    .. math:: p_i = \phi_{d-i}, \qquad b = e_0, \qquad c_k = \psi_k \quad (0 \le k < d),
              \qquad \psi_k = \theta_k + \sum_i \phi_i \psi_{k-i}, \quad \psi_0 = 1,

    with coefficients of missing lags zero. The kernel is :math:`\psi_0, \psi_1, \dots` to any
    length: driven by the innovations :math:`e`, the system's output is :math:`y`.

    Parameters
    ----------
    phi : array, shape (..., p), or None
        Autoregressive coefficients of lags 1 to p; None or empty for none.
    theta : array, shape (..., q), or None
        Moving-average coefficients of lags 1 to q; None or empty for none.

    Returns
    -------
    p, b, c : arrays, shape (..., d)
        Last column of the companion matrix, input vector and output vector; batch axes broadcast.

    Raises
    ------
    ValueError
        If a coefficient array is a scalar or not finite, or batch axes do not broadcast.

    References
    ----------
    arXiv 2303.09489 (ARMA models as companion state-space models).

    Examples
    --------
    A moving average responds to an impulse with its own coefficients, then falls silent.

    >>> p, b, c = arma_to_companion(None, [0.5, 0.25])
    >>> p.tolist(), c.tolist()
    ([0.0, 0.0, 0.0], [1.0, 0.5, 0.25])
    """
    return arima_to_companion(phi, 0, theta)


def arima_to_companion(
    phi: Array | None, d: int, theta: Array | None
) -> tuple[Array, Array, Array]:
    r"""Impulse response of an ARIMA model, as a companion system.

    The model says that the differences :math:`(1 - L)^d y` follow the ARMA model of
    :func:`arma_to_companion`. Its impulse response is that of the ARMA model whose autoregressive
    polynomial is

    .. math:: \Bigl(1 - \sum_i \phi_i z^{i}\Bigr) (1 - z)^d.

    The companion matrix then has the eigenvalue 1, ``d`` times over.

    Parameters
    ----------
    phi : array, shape (..., p), or None
        Autoregressive coefficients of the differenced series; None or empty for none.
    d : int
        Number of differences, at least 0.
    theta : array, shape (..., q), or None
        Moving-average coefficients of lags 1 to q; None or empty for none.

    Returns
    -------
    p, b, c : arrays, shape (..., max(p + d, q + 1))
        Last column of the companion matrix, input vector and output vector; batch axes broadcast.

    Raises
    ------
    TypeError
        If ``d`` is not an integer.
    ValueError
        If ``d`` is negative, a coefficient array is a scalar or not finite, or batch axes do not
        broadcast.

    References
    ----------
    arXiv 2303.09489 (ARIMA models as companion state-space models).

    Examples
    --------
    A random walk keeps every shock for ever; summed twice, shocks grow linearly.

    >>> p, b, c = arima_to_companion(None, 1, None)
    >>> p.tolist(), c.tolist()
    ([1.0], [1.0])
    >>> p, b, c = arima_to_companion(None, 2, None)
    >>> p.tolist(), c.tolist()
    ([-1.0, 2.0], [1.0, 2.0])
    """
    order = as_integer("d", d, minimum=0)
    frame, phi, theta = as_arrays(phi=phi, theta=theta)
    for name, value in (("phi", phi), ("theta", theta)):
        if value is not None:
            check_shape(name, value, "p" if name == "phi" else "q")
    xp = frame.xp
    empty = xp.zeros((0,), dtype=xp.float64, device=frame.device)
    phi = empty if phi is None else frame.double(phi)
    theta = empty if theta is None else frame.double(theta)
    batch = broadcast_batch(phi=tuple(phi.shape[:-1]), theta=tuple(theta.shape[:-1]))
    dtype = xp.result_type(phi, theta)
    phi = xp.broadcast_to(xp.astype(phi, dtype), (*batch, phi.shape[-1]))
    theta = xp.broadcast_to(xp.astype(theta, dtype), (*batch, theta.shape[-1]))

    phi = _with_unit_roots(frame, phi, order)
    size = max(phi.shape[-1], theta.shape[-1] + 1)
    padding = xp.zeros((*batch, size - phi.shape[-1]), dtype=dtype, device=frame.device)
    p = xp.concat([padding, xp.flip(phi, axis=-1)], axis=-1)
    c = _impulse_response(frame, phi, theta, size)
    return frame.cast(p), _first_unit_vector(frame, frame.cast(p)), frame.cast(c)


def differencing_kernel(order: int, *, like: Array | None = None) -> Array:
    r"""Convolution kernel of repeated differencing, the signed binomials.

    .. math:: (1 - L)^d = \sum_{k=0}^{d} (-1)^k \binom{d}{k} L^k.

    Parameters
    ----------
    order : int
        Number of differences d, at least 0.
    like : array, optional
        Array whose kind, device and precision the result takes; NumPy float64 without it.

    Returns
    -------
    array, shape (order + 1,)

    Raises
    ------
    TypeError
        If ``order`` is not an integer.
    ValueError
        If ``order`` is negative.

    Examples
    --------
    The second difference of squares is 2.

    >>> import numpy as np
    >>> kernel = differencing_kernel(2)
    >>> np.convolve(np.arange(6) ** 2, kernel, mode="valid")
    array([2., 2., 2., 2.])
    """
    d = as_integer("order", order, minimum=0)
    frame = frame_like(like)
    return _real(frame, [(-1.0) ** k * math.comb(d, k) for k in range(d + 1)])


def moving_average_residual_kernel(width: int, *, like: Array | None = None) -> Array:
    r"""Convolution kernel of the residual from a trailing moving average.

    .. math:: K_l = \delta_{l0} - \frac{1}{w}, \qquad 0 \le l < w.

    Parameters
    ----------
    width : int
        Number of samples w in the average, the current one included; at least 1.
    like : array, optional
        Array whose kind, device and precision the result takes; NumPy float64 without it.

    Returns
    -------
    array, shape (width,)

    Raises
    ------
    TypeError
        If ``width`` is not an integer.
    ValueError
        If ``width`` is below 1.

    Examples
    --------
    A straight line lies above its trailing average of width w by half of w - 1 steps.

    >>> import numpy as np
    >>> kernel = moving_average_residual_kernel(5)
    >>> np.convolve(3.0 * np.arange(8), kernel, mode="valid")
    array([6., 6., 6., 6.])
    """
    w = as_integer("width", width, minimum=1)
    frame = frame_like(like)
    return _real(frame, [float(lag == 0) - 1.0 / w for lag in range(w)])


def _real(frame: Frame, values: list[float]) -> Array:
    return frame.xp.astype(frame.asarray(values), frame.real)


def _first_unit_vector(frame: Frame, like: Array) -> Array:
    unit = frame.xp.zeros(like.shape, dtype=like.dtype, device=frame.device)
    unit[..., 0] = 1
    return unit


def _with_unit_roots(frame: Frame, phi: Array, order: int) -> Array:
    """Coefficients of (1 - sum phi_i z^i) (1 - z)^order in the same form."""
    xp = frame.xp
    one = xp.ones((*phi.shape[:-1], 1), dtype=phi.dtype, device=frame.device)
    polynomial = xp.concat([one, -phi], axis=-1)
    for _ in range(order):
        zero = xp.zeros_like(one)
        polynomial = xp.concat([polynomial, zero], axis=-1) - xp.concat([zero, polynomial], axis=-1)
    return -polynomial[..., 1:]


def _impulse_response(frame: Frame, phi: Array, theta: Array, size: int) -> Array:
    xp = frame.xp
    psi = [xp.ones(phi.shape[:-1], dtype=phi.dtype, device=frame.device)]
    for k in range(1, size):
        lags = min(k, phi.shape[-1])
        term = xp.zeros_like(psi[0])
        if lags:
            newest_first = xp.stack(psi[-lags:][::-1], axis=-1)
            term = xp.sum(phi[..., :lags] * newest_first, axis=-1)
        if k <= theta.shape[-1]:
            term = term + theta[..., k - 1]
        psi.append(term)
    return xp.stack(psi, axis=-1)

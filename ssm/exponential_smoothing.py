r"""Exponential smoothing as state-space models, in their natural states (level, trend, seasons).

With the error :math:`e_k = u_k - w^\top x_{k-1}` of the forecast made one step before, the update

.. math:: x_k = F x_{k-1} + g e_k = A x_{k-1} + B u_k, \qquad A = F - g w^\top, \quad B = g,
          \quad C = w^\top,

is a linear time-invariant system (arXiv 2303.09489 lists it among the models that its companion
systems hold). Outputs follow the convention :math:`y_k = C x_k`: output :math:`k` has seen input
:math:`k` and is the forecast of :math:`u_{k+1}`. Feeding forecasts back as inputs makes the
transition :math:`A + B C = F`, so :math:`C F^{h-1} x_k` is the forecast of :math:`u_{k+h}`.
"""

from __future__ import annotations

from typing import Any

from numerics.arrays import Array, Frame, as_arrays, as_integer, broadcast_batch, check_real


def ses_to_ssm(alpha: Array) -> tuple[Array, Array, Array]:
    r"""State-space model of simple exponential smoothing.

    The level :math:`\ell_k = (1 - \alpha) \ell_{k-1} + \alpha u_k` is the state and the forecast of
    every later value:

    .. math:: A = 1 - \alpha, \qquad B = \alpha, \qquad C = 1.

    Parameters
    ----------
    alpha : float or array, shape (...)
        Gain of the level, in [0, 1].

    Returns
    -------
    A, B, C : arrays, shapes (..., 1, 1), (..., 1), (..., 1)

    Raises
    ------
    ValueError
        If ``alpha`` is outside [0, 1].

    Examples
    --------
    The weights of past values add up to one.

    >>> import numpy as np
    >>> A, B, C = ses_to_ssm(0.3)
    >>> gain = C @ np.linalg.solve(np.eye(1) - A, B)
    >>> round(float(gain), 12)
    1.0
    """
    frame, gains = _gains(alpha=alpha)
    return _innovations_form(frame, [gains[0]], transition=[[1.0]], output=[1.0])


def holt_to_ssm(alpha: Array, beta: Array) -> tuple[Array, Array, Array]:
    r"""Holt's linear-trend exponential smoothing as a state-space model.

    The states are the level and the trend, :math:`x_k = (\ell_k, s_k)`, with
    :math:`\ell_k = \ell_{k-1} + s_{k-1} + \alpha e_k`, :math:`s_k = s_{k-1} + \alpha\beta e_k` and
    :math:`e_k = u_k - \ell_{k-1} - s_{k-1}`, so that

    .. math:: A = \begin{pmatrix} 1 - \alpha & 1 - \alpha \\ -\alpha\beta & 1 - \alpha\beta
              \end{pmatrix}, \qquad B = \begin{pmatrix} \alpha \\ \alpha\beta \end{pmatrix},
              \qquad C = (1, 1).

    The output :math:`C x_k` is the forecast of :math:`u_{k+1}`. Feeding it back as the next input
    makes the transition :math:`A + B C = \begin{pmatrix} 1 & 1 \\ 0 & 1 \end{pmatrix}`, the
    straight line of the later forecasts. The kernel is that of the filter
    :math:`\frac{\alpha + \alpha\beta - \alpha z^{-1}}
    {1 - (2 - \alpha - \alpha\beta) z^{-1} + (1 - \alpha) z^{-2}}`.

    Parameters
    ----------
    alpha : float or array, shape (...)
        Gain of the level, in [0, 1].
    beta : float or array, shape (...)
        Gain of the trend relative to the level's, in [0, 1]:
        :math:`s_k = \beta (\ell_k - \ell_{k-1}) + (1 - \beta) s_{k-1}`.

    Returns
    -------
    A, B, C : arrays, shapes (..., 2, 2), (..., 2), (..., 2)

    Raises
    ------
    ValueError
        If a gain is outside [0, 1], or batch axes do not broadcast.

    Examples
    --------
    >>> import numpy as np
    >>> A, B, C = holt_to_ssm(0.5, 0.2)
    >>> np.allclose(A + np.outer(B, C), [[1, 1], [0, 1]])
    True
    """
    frame, (alpha, beta) = _gains(alpha=alpha, beta=beta)
    return _innovations_form(
        frame, [alpha, alpha * beta], transition=[[1.0, 1.0], [0.0, 1.0]], output=[1.0, 1.0]
    )


def holt_winters_to_ssm(
    alpha: Array, beta: Array, gamma: Array, period: int
) -> tuple[Array, Array, Array]:
    r"""Additive Holt-Winters exponential smoothing as a state-space model.

    The states are the level, the trend and the last ``m = period`` seasonal terms, the newest
    first: :math:`x_k = (\ell_k, s_k, q_k, q_{k-1}, \dots, q_{k-m+1})`. With
    :math:`e_k = u_k - \ell_{k-1} - s_{k-1} - q_{k-m}`,

    .. math:: \ell_k = \ell_{k-1} + s_{k-1} + \alpha e_k, \qquad s_k = s_{k-1} + \alpha\beta e_k,
              \qquad q_k = q_{k-m} + \gamma e_k.

    The output :math:`C x_k = \ell_k + s_k + q_{k-m+1}` is the forecast of :math:`u_{k+1}`.

    Parameters
    ----------
    alpha, beta, gamma : float or array, shape (...)
        Gains of the level, of the trend relative to the level's, and of the season; in [0, 1].
    period : int
        Number of samples in a season, at least 2.

    Returns
    -------
    A, B, C : arrays, shapes (..., m + 2, m + 2), (..., m + 2), (..., m + 2)

    Raises
    ------
    TypeError
        If ``period`` is not an integer.
    ValueError
        If a gain is outside [0, 1], ``period`` is below 2, or batch axes do not broadcast.

    Examples
    --------
    With its forecasts fed back, a pure season repeats for ever.

    >>> import numpy as np
    >>> A, B, C = holt_winters_to_ssm(0.3, 0.1, 0.2, period=4)
    >>> season = np.array([0.0, 0.0, 3.0, 1.0, -4.0, 0.0])
    >>> closed = A + np.outer(B, C)
    >>> np.allclose(np.linalg.matrix_power(closed, 4) @ season, season)
    True
    """
    m = as_integer("period", period, minimum=2)
    frame, (alpha, beta, gamma) = _gains(alpha=alpha, beta=beta, gamma=gamma)
    transition = [[0.0] * (m + 2) for _ in range(m + 2)]
    transition[0][0] = transition[0][1] = transition[1][1] = 1.0
    transition[2][m + 1] = 1.0
    for row in range(3, m + 2):
        transition[row][row - 1] = 1.0
    silent = frame.xp.zeros_like(alpha)
    return _innovations_form(
        frame,
        [alpha, alpha * beta, gamma] + [silent] * (m - 1),
        transition=transition,
        output=[1.0, 1.0] + [0.0] * (m - 1) + [1.0],
    )


def _gains(**gains: Any) -> tuple[Frame, list[Array]]:
    frame, *arrays = as_arrays(**gains)
    for name, array in zip(gains, arrays, strict=True):
        check_real(name, array, frame)
        if not bool(frame.xp.all((array >= 0) & (array <= 1))):
            raise ValueError(f"{name} must lie in [0, 1], got {gains[name]}")
    batch = broadcast_batch(
        **{name: tuple(array.shape) for name, array in zip(gains, arrays, strict=True)}
    )
    return frame, [frame.xp.broadcast_to(frame.double(array), batch) for array in arrays]


def _innovations_form(
    frame: Frame, gain: list[Array], *, transition: list[list[float]], output: list[float]
) -> tuple[Array, Array, Array]:
    """(F - g w^T, g, w) in the caller's precision."""
    xp = frame.xp
    B = xp.stack(gain, axis=-1)
    C = frame.asarray(output)
    A = frame.asarray(transition) - B[..., :, None] * C
    return frame.cast(A), frame.cast(B), frame.cast(xp.broadcast_to(C, B.shape) + 0)

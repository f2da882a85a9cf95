r"""From HiPPO coefficients back to the signal (arXiv 2008.07669, 2206.12037).

If the basis kernels are :math:`K_n = p_n w` with :math:`p_n` orthonormal under the weight
:math:`w` on the past, the state :math:`x_n(t) = \int_0^\infty u(t-s)\,K_n(s)\,ds` holds the
coefficients of the best approximation in that weight,

.. math:: u(t - s) \approx \sum_n x_n(t)\, p_n(s).
"""

from __future__ import annotations

import math

import numpy as np

from numerics.arrays import (
    Array,
    Frame,
    as_arrays,
    check_choice,
    check_positive,
    check_real,
    check_shape,
)

_SLIDING = ("legt", "lmu", "fout", "legs_scaled")
_FADING = ("legs", "lagt", "tlagt", "glagt", "fourier_decay")
RECONSTRUCTIBLE = (*_SLIDING, *_FADING)


def hippo_reconstruct(
    c: Array, measure: str, age: float | Array, *, window: float | Array = 1.0
) -> Array:
    r"""Approximated signal ``age`` time units into the past.

    .. math:: u(t - s) \approx \sum_{n=0}^{N-1} c_n\, p_n(s/\theta)

    with the window :math:`\theta`, :math:`R_n = \sqrt{2n+1}` and

    ==================== ========================================= ==============================
    measure              :math:`p_n(s)`                            orthonormal under
    ==================== ========================================= ==============================
    ``legs_scaled``      :math:`R_n P_n(1-2s)`                     1 on [0, 1]
    ``legs``             :math:`R_n P_n(2e^{-s}-1)`                :math:`e^{-s}`
    ``legt``             :math:`R_n P_n(1-2s)`                     1 on [0, 1]
    ``lmu``              :math:`P_n(2s-1)`                         1 on [0, 1], up to a factor
    ``lagt``             :math:`L_n(s)\,e^{-s/2}`                  1 on :math:`[0, \infty)`
    ``tlagt``, ``glagt`` :math:`L_n(s)`                            :math:`e^{-s}`
    ``fout``             :math:`1, 0, \sqrt2\cos 2\pi ms,          1 on [0, 1]
                         \sqrt2\sin 2\pi ms, \ldots`
    ``fourier_decay``    those of ``fout`` at :math:`s/2`          :math:`3^{-1-\lfloor s/2\rfloor}`
    ==================== ========================================= ==============================

    ``legs_scaled`` takes the coefficients of :func:`ssm.legs_project_online`, the others those of
    :func:`ssm.hippo_project`. The Laguerre measures are those of :math:`\alpha = 0, \beta = 1`. For
    ``legt``, ``lmu`` and the Fourier measures the kernels are :math:`p_n w` only in the limit of
    large N. Those of ``fourier_decay`` make the best approximation by a periodic function. The
    state of ``foud`` holds the Fourier coefficients of the past folded to one period, and its
    functions are not orthogonal under its weight: it has no reconstruction.

    Parameters
    ----------
    c : array, shape (..., N)
        Real coefficients.
    measure : str
        One of the table.
    age : float or array, any shape
        How far back to look: 0 is now. At most ``window`` for ``legs_scaled``, ``legt``, ``lmu``
        and ``fout``.
    window : float or 0-d array
        The window of the projection. For ``legs_scaled`` it is the time elapsed since the first
        sample began, the number of samples if ages are counted in samples. Under a warp
        :math:`a(t)` the relative age :math:`s/\theta` is :math:`1 - a(t-s)/a(t)`.

    Returns
    -------
    array, shape (..., \*age.shape)
        In the kind and precision of the input, differentiable in ``c``, ``age`` and ``window``.

    Raises
    ------
    TypeError
        For complex arguments, arrays that hold no numbers, or mixed array libraries.
    ValueError
        For a measure without a reconstruction (the message lists those that have one), ``age``
        negative or beyond the window, ``window`` not positive, an order that the measure does not
        have, and values that are not finite.

    References
    ----------
    Gu, Dao, Ermon, Rudra, Re, arXiv 2008.07669; Gu, Johnson, Timalsina, Rudra, Re,
    arXiv 2206.12037.

    Examples
    --------
    The scale-invariant LegS keeps a constant exactly, however old.

    >>> import numpy as np
    >>> from ssm import hippo_reconstruct, legs_project_online
    >>> c = legs_project_online(np.full(1000, 0.7), 8, final=True)
    >>> hippo_reconstruct(c, "legs_scaled", np.array([0.0, 500.0, 1000.0]), window=1000)
    array([0.7, 0.7, 0.7])
    """
    check_choice("measure", measure, RECONSTRUCTIBLE)
    frame, c, age, window = as_arrays(c=c, age=age, window=window)
    for name, value in (("c", c), ("age", age)):
        check_real(name, value, frame)
    check_shape("c", c, "N")
    N = c.shape[-1]
    if N == 0:
        raise ValueError(f"c must have order N of at least 1, got shape {tuple(c.shape)}")
    if measure in ("fout", "fourier_decay") and N % 2:
        raise ValueError(f"c must have even order N for measure {measure!r}, got {N}")
    if window.ndim:
        raise ValueError(f"window must be a single number, got shape {tuple(window.shape)}")
    check_positive("window", window, frame)
    relative = _relative_age(frame, measure, age, window)
    shape = tuple(relative.shape)
    relative = frame.xp.reshape(relative, (-1,))
    basis = frame.cast(_functions(frame, measure, N, relative))
    return frame.xp.reshape(c @ basis, (*c.shape[:-1], *shape))


def _relative_age(frame: Frame, measure: str, age: Array, window: Array) -> Array:
    xp = frame.xp
    rounding = 8 * float(xp.finfo(age.dtype).eps)
    relative = frame.double(age) / frame.double(window)
    if math.prod(relative.shape) == 0:
        return relative
    values = relative.detach() if frame.is_torch else relative
    youngest, oldest = float(xp.min(values)), float(xp.max(values))
    if youngest < 0:
        raise ValueError(f"age must not be negative, got {youngest * float(window):.6g}")
    if measure in _SLIDING and oldest > 1 + rounding:
        raise ValueError(
            f"age must be at most the window {float(window):.6g} for measure {measure!r}, "
            f"got {oldest * float(window):.6g}"
        )
    return relative


def _functions(frame: Frame, measure: str, N: int, s: Array) -> Array:
    """The table's functions at double-precision relative ages (M,), as rows (N, M)."""
    xp = frame.xp
    n = frame.asarray(np.arange(N))[:, None]
    if measure in ("legs_scaled", "legt"):
        return xp.sqrt(2 * n + 1) * _legendre(frame, N, 1 - 2 * s)
    if measure == "legs":
        return xp.sqrt(2 * n + 1) * _legendre(frame, N, 2 * xp.exp(-s) - 1)
    if measure == "lmu":
        return _legendre(frame, N, 2 * s - 1)
    if measure == "lagt":
        return _laguerre(frame, N, s, xp.exp(-s / 2))
    if measure in ("tlagt", "glagt"):
        return _laguerre(frame, N, s, xp.ones_like(s))
    turn = 2 * math.pi * s if measure == "fout" else math.pi * s
    rows = [xp.ones_like(s), xp.zeros_like(s)]
    for m in range(1, N // 2):
        angle = m * turn
        rows += [math.sqrt(2) * xp.cos(angle), math.sqrt(2) * xp.sin(angle)]
    return xp.stack(rows)


def _legendre(frame: Frame, N: int, z: Array) -> Array:
    rows = [frame.xp.ones_like(z), z]
    for n in range(1, N - 1):
        rows.append(((2 * n + 1) * z * rows[n] - n * rows[n - 1]) / (n + 1))
    return frame.xp.stack(rows[:N])


def _laguerre(frame: Frame, N: int, s: Array, start: Array) -> Array:
    rows = [start, (1 - s) * start]
    for n in range(1, N - 1):
        rows.append(((2 * n + 1 - s) * rows[n] - n * rows[n - 1]) / (n + 1))
    return frame.xp.stack(rows[:N])

r"""Basis kernels and weights of the HiPPO systems.

The basis kernels of :math:`x' = Ax + Bu` are the N functions :math:`K(t) = e^{tA}B`: the state is
:math:`x_n(t) = \int_0^\infty u(t-s)\,K_n(s)\,ds`. For HiPPO systems (arXiv 2008.07669, 2206.12037)
:math:`K_n = p_n w` with a weight :math:`w` on the past, exactly or in the limit of large N:

================= ==================================== ===========================================
measure           weight at window 1                   :math:`p_n`
================= ==================================== ===========================================
``legs``          :math:`e^{-t}`                       :math:`R_n P_n(2e^{-t}-1)`
``legt``          1 on [0, 1]                          :math:`R_n P_n(1-2t)`, in the limit
``lmu``           1 on [0, 1]                          :math:`(2n+1) P_n(2t-1)`, in the limit
``lagt``          1                                    :math:`L_n(t) e^{-t/2}`
``tlagt``         :math:`\beta e^{-\beta t}`           :math:`L_n(t) e^{-(1-\beta)t/2}`
``glagt``         :math:`\beta^{1-\alpha} t^{-\alpha}  :math:`c\,\ell_n^{-1} t^\alpha
                  e^{-\beta t}/\Gamma(1-\alpha)`       L_n^{(\alpha)}(t) e^{-(1-\beta)t/2}`
``fout``          1 on [0, 1]                          :math:`f_n`, in the limit
``foud``          :math:`e^{-t/2}`                     :math:`f_n`
``fourier_decay`` :math:`3^{-1-\lfloor t/2\rfloor}`    :math:`f_n(t/2)`, in the limit
================= ==================================== ===========================================

with :math:`R_n = \sqrt{2n+1}`,
:math:`f = (1, 0, \sqrt2\cos 2\pi t, \sqrt2\sin 2\pi t, \sqrt2\cos 4\pi t, \ldots)`. The
:math:`p_n` are orthonormal under :math:`w` except those of ``lmu`` (:math:`\lVert p_n\rVert =
R_n`), ``tlagt`` (:math:`\sqrt\beta`) and ``foud``. The limits hold in the mean, with a Gibbs
overshoot at the jumps of :math:`w`.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import gamma

from numerics.arrays import Array, Frame, check_real
from ssm._flow import orbit
from ssm.hippo import number, resolve_measure, unit_matrices

_RESCALE_EVERY = 8


def hippo_basis(
    measure: str,
    N: int,
    t: Array,
    *,
    window: float | Array = 1.0,
    alpha: float | Array = 0.0,
    beta: float | Array = 1.0,
) -> Array:
    r"""Basis kernels :math:`K(t) = e^{tA} B` of a HiPPO system.

    For ``legs``, the Laguerre measures and ``foud`` these are closed forms, evaluated by a
    recurrence for the differences of successive polynomials that keeps all digits near
    :math:`t = 0` and does not underflow. For ``legt``, ``lmu``, ``fout`` and ``fourier_decay`` the
    kernels of finite order are given, not their limits: matrix exponentials, propagated by
    products of contractions.

    Parameters
    ----------
    measure : str
        As in :func:`ssm.hippo_matrices`.
    N : int
        Order, at least 1; even for the Fourier measures.
    t : array, any shape
        Times, not negative: how long ago the input was.
    window, alpha, beta : float or 0-d array
        As in :func:`ssm.hippo_matrices`.

    Returns
    -------
    array, shape (N, \*t.shape)
        In the kind and precision of ``t``; computed in double precision. Differentiable in every
        argument but ``N`` on torch.

    Raises
    ------
    TypeError
        If ``t`` is complex or holds no numbers.
    ValueError
        If ``t`` is negative or not finite, or as :func:`ssm.hippo_matrices`.

    References
    ----------
    Gu, Johnson, Timalsina, Rudra, Re, arXiv 2206.12037 (LegS and FouT as basis kernels); Gu, Dao,
    Ermon, Rudra, Re, arXiv 2008.07669 (Laguerre measures).

    Examples
    --------
    The basis of LegS is orthonormal: kernels divided by the weight :math:`e^{-t}` integrate to the
    identity.

    >>> import numpy as np
    >>> nodes, weights = np.polynomial.legendre.leggauss(20)
    >>> t = -np.log((nodes + 1) / 2)
    >>> K = hippo_basis("legs", 8, t) / np.exp(-t)
    >>> np.allclose((weights / 2 * K) @ K.T, np.eye(8), atol=1e-13)
    True
    """
    frame, N, window, alpha, beta, (t,) = resolve_measure(
        measure, N, window=window, alpha=alpha, beta=beta, t=t
    )
    _check_times(frame, t)
    xp = frame.xp
    shape = tuple(t.shape)
    s = xp.reshape(frame.double(t), (-1,)) / window
    if measure == "legs":
        kernels = _legs(frame, N, s)
    elif measure in ("lagt", "tlagt", "glagt"):
        rate = (1 + beta) / 2 if measure != "lagt" else 0.5 + 0 * beta
        # Beyond 8N + 3000 all functions are below the smallest double; the recurrence overflows.
        within = xp.where(s < 8 * N + 3000, s, xp.full_like(s, 8.0 * N + 3000))
        values = _polynomials(frame, N, within, np.ones(N), alpha, rate * within)
        B = unit_matrices(frame, measure, N, alpha, beta)[1]
        kernels = B[:, None] * values
    elif measure == "foud":
        kernels = _fourier(frame, N, s) * xp.exp(-s / 2)
    else:
        # The coordinates of LMU are LegT's, in which the system contracts, up to a scaling.
        contracting = "legt" if measure == "lmu" else measure
        kernels = orbit(frame, *unit_matrices(frame, contracting, N, alpha, beta), s)
        if measure == "lmu":
            n = np.arange(N)
            kernels = frame.asarray((-1.0) ** n * np.sqrt(2 * n + 1))[:, None] * kernels
    return frame.cast(xp.reshape(kernels / window, (N, *shape)))


def hippo_measure(
    measure: str,
    t: Array,
    *,
    window: float | Array = 1.0,
    alpha: float | Array = 0.0,
    beta: float | Array = 1.0,
) -> Array:
    r"""Weight that a HiPPO system gives to the past.

    ================== ===========================================================================
    measure            :math:`\theta\,w(\theta t)` for :math:`t \ge 0`; 0 for t < 0
    ================== ===========================================================================
    ``legs``           :math:`e^{-t}`
    ``legt``           1 for t in [0, 1]
    ``lmu``            1 for t in [0, 1]
    ``fout``           1 for t in [0, 1]
    ``lagt``           1
    ``tlagt``          :math:`\beta e^{-\beta t}`
    ``glagt``          :math:`\beta^{1-\alpha}\,t^{-\alpha} e^{-\beta t}/\Gamma(1-\alpha)`,
                       infinite at 0 for :math:`\alpha > 0`
    ``foud``           :math:`e^{-t/2}`
    ``fourier_decay``  :math:`3^{-1-\lfloor t/2\rfloor}`
    ================== ===========================================================================

    All have mass 1 except ``lagt``, which does not forget, and ``foud``, an envelope of mass 2
    under which the Fourier functions are not orthogonal.

    Parameters
    ----------
    measure : str
        As in :func:`ssm.hippo_matrices`.
    t : array, any shape
        Times into the past.
    window, alpha, beta : float or 0-d array
        As in :func:`ssm.hippo_matrices`.

    Returns
    -------
    array, shape of ``t``
        In the kind and precision of ``t``.

    Raises
    ------
    TypeError
        If ``t`` is complex or holds no numbers.
    ValueError
        If ``t`` is not finite, or as :func:`ssm.hippo_matrices`.

    References
    ----------
    Gu, Dao, Ermon, Rudra, Re, arXiv 2008.07669 (LegS, LegT, Laguerre measures with tilting). The
    staircase of ``fourier_decay`` is the limit of its exact transfer function,
    :math:`\int_0^\infty e^{-st} w(t)\,dt = s^{-1}/(2 + \coth s)`.

    Examples
    --------
    >>> import numpy as np
    >>> hippo_measure("legt", np.array([-1.0, 0.0, 2.0, 5.0]), window=4.0)
    array([0.  , 0.25, 0.25, 0.  ])
    """
    frame, _, window, alpha, beta, (t,) = resolve_measure(
        measure, None, window=window, alpha=alpha, beta=beta, t=t
    )
    check_real("t", t, frame)
    xp = frame.xp
    s = frame.double(t) / window
    past = s >= 0
    s = xp.where(past, s, xp.zeros_like(s))
    if measure in ("legt", "lmu", "fout"):
        weight = xp.astype(s <= 1, xp.float64)
    elif measure in ("legs", "foud"):
        weight = xp.exp(-s if measure == "legs" else -s / 2)
    elif measure == "lagt":
        weight = xp.ones_like(s)
    elif measure == "fourier_decay":
        weight = xp.exp(-math.log(3) * (1 + xp.floor(s / 2)))
    else:
        weight = beta * xp.exp(-beta * s)
        if number(frame, alpha):
            with np.errstate(divide="ignore"):
                power = (beta * s) ** -alpha
            weight = weight * power / _gamma(frame, 1 - alpha)
    return frame.cast(xp.where(past, weight, xp.zeros_like(weight)) / window)


def _check_times(frame: Frame, t: Array) -> None:
    check_real("t", t, frame)
    if not bool(frame.xp.all(t >= 0)):
        raise ValueError(f"t must not be negative, got {float(frame.xp.min(t))}")


def _legs(frame: Frame, N: int, s: Array) -> Array:
    r"""Evaluate from the end of [-1, 1] that :math:`2e^{-s}-1` is nearer to, by symmetry."""
    xp = frame.xp
    recent = s < math.log(2)
    distance = 2 * xp.where(recent, -xp.expm1(-s), xp.exp(-s))
    n = np.arange(N)
    values = _polynomials(frame, N, distance, 2.0 * n + 1, frame.asarray(0.0), s)
    flipped = frame.asarray((-1.0) ** n)[:, None] * values
    return frame.asarray(np.sqrt(2 * n + 1))[:, None] * xp.where(recent, values, flipped)


def _polynomials(
    frame: Frame, N: int, y: Array, slopes: np.ndarray, alpha: Array, decay: Array
) -> Array:
    r"""Return :math:`p_n(y) e^{-decay}` for orthogonal polynomials with :math:`p_n(0) = 1`.

    .. math:: p_{n+1} - p_n = \frac{n (p_n - p_{n-1}) - g_n\,y\,p_n}{n + 1 + \alpha}

    gives :math:`P_n(1-y)` for slopes :math:`g_n = 2n+1` and the normalised
    :math:`L_n^{(\alpha)}(y)` for :math:`g_n = 1`. Large values are brought down by powers of 2,
    made up for in the exponential, which alone would underflow.
    """
    xp = frame.xp
    p = xp.ones_like(y)
    difference = xp.zeros_like(y)
    exponent = xp.zeros_like(y)
    weight = xp.exp(-decay)
    rows = [weight]
    for n in range(N - 1):
        difference = (n * difference - float(slopes[n]) * y * p) / (n + 1 + alpha)
        p = p + difference
        if n % _RESCALE_EVERY == 0:
            large = xp.abs(p) + xp.abs(difference) > 2.0**200
            if bool(xp.any(large)):
                scale = xp.where(large, xp.full_like(y, 2.0**-200), xp.ones_like(y))
                p, difference = p * scale, difference * scale
                exponent = exponent + xp.where(large, xp.full_like(y, 200.0), xp.zeros_like(y))
                weight = xp.exp(exponent * math.log(2) - decay)
        rows.append(p * weight)
    return xp.stack(rows)


def _fourier(frame: Frame, N: int, s: Array) -> Array:
    r"""Return :math:`1, 0, \sqrt2\cos 2\pi m s, \sqrt2\sin 2\pi m s`."""
    xp = frame.xp
    m = frame.asarray(np.arange(N // 2))[:, None]
    turns = m * (s - xp.floor(s))
    angle = 2 * math.pi * (turns - xp.floor(turns))
    amplitude = xp.where(m > 0, math.sqrt(2) * xp.ones_like(m), xp.ones_like(m))
    pair = xp.stack((amplitude * xp.cos(angle), amplitude * xp.sin(angle)), axis=1)
    return xp.reshape(pair, (N, s.shape[0]))


def _gamma(frame: Frame, x: Array) -> Array:
    if frame.is_torch:
        return frame.xp.exp(frame.xp.lgamma(x))
    return gamma(x)

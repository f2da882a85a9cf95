r"""HiPPO systems: state matrices whose state is an online projection onto a function basis.

The state of :math:`x' = A x + B u` is :math:`x_n(t) = \int_0^\infty u(t - s) K_n(s)\,ds` with the
basis kernels :math:`K(s) = e^{sA} B`. HiPPO (arXiv 2008.07669) picks :math:`(A, B)` such that
:math:`K_n = p_n w` for functions :math:`p_n` orthonormal under a weight :math:`w` on the past, so
that :math:`x` holds the coefficients of the best approximation of the past in that weight.

========================= ===================================================================
measure                   basis kernels at window 1, with :math:`R_n = \sqrt{2n+1}`
========================= ===================================================================
``legs``                  :math:`R_n P_n(2e^{-t}-1)\,e^{-t}`, exact: exponentially fading past
``legt``                  :math:`R_n P_n(1-2t)` on [0, 1] as N grows: sliding window
``lmu``                   :math:`(2n+1) P_n(2t-1)` on [0, 1] as N grows: LegT in the
                          coordinates of the Legendre memory unit
``lagt``                  :math:`L_n(t)\,e^{-t/2}`, exact
``tlagt``                 :math:`\beta L_n(t)\,e^{-(1+\beta)t/2}`, exact: tilted Laguerre
``glagt``                 :math:`c\,\ell_n^{-1} L_n^{(\alpha)}(t)\,e^{-(1+\beta)t/2}`, exact:
                          generalised Laguerre
``fout``                  :math:`1, \sqrt2\cos 2\pi m t, \sqrt2\sin 2\pi m t` on [0, 1] as N
                          grows: sliding window, Fourier
``foud``                  the same functions times :math:`e^{-t/2}`, exact
``fourier_decay``         Fourier functions of period 2 times the staircase
                          :math:`3^{-1-\lfloor t/2\rfloor}` as N grows
========================= ===================================================================

For every measure the window :math:`\theta` is the unit of time: the system is
:math:`(A_1/\theta, B_1/\theta)` and its kernels are :math:`K_1(t/\theta)/\theta`.
"""

from __future__ import annotations

import math

import numpy as np

from numerics.arrays import (
    Array,
    Frame,
    as_arrays,
    as_integer,
    check_choice,
    check_finite,
    check_positive,
    check_real,
)

MEASURES = ("legs", "legt", "lmu", "lagt", "tlagt", "glagt", "fout", "foud", "fourier_decay")
_FOURIER = ("fout", "foud", "fourier_decay")
_LOW_RANK = tuple(name for name in MEASURES if name not in ("lmu", "glagt"))


def hippo_matrices(
    measure: str,
    N: int,
    *,
    window: float | Array = 1.0,
    alpha: float | Array = 0.0,
    beta: float | Array = 1.0,
    like: Array | None = None,
) -> tuple[Array, Array]:
    r"""State matrix and input vector of a HiPPO measure.

    With :math:`R_n = \sqrt{2n+1}`, indices from 0 and :math:`\theta` the window,

    ================= ================================================ ==========================
    measure           :math:`\theta A_{nk}`                            :math:`\theta B_n`
    ================= ================================================ ==========================
    ``legs``          :math:`-R_n R_k` (n > k), :math:`-(n+1)` (n = k) :math:`R_n`
    ``legt``          :math:`-R_n R_k\,[1\ (n \ge k);\                 :math:`R_n`
                      (-1)^{n-k}\ (n < k)]`
    ``lmu``           :math:`(2n+1)\,[(-1)^{n-k+1}\ (n \ge k);\        :math:`(2n+1)(-1)^n`
                      -1\ (n < k)]`
    ``lagt``          :math:`-1` (n > k), :math:`-1/2` (n = k)         1
    ``tlagt``         :math:`-1` (n > k), :math:`-(1+\beta)/2` (n = k) :math:`\beta`
    ``glagt``         :math:`-\ell_k/\ell_n` (n > k),                  see below
                      :math:`-(1+\beta)/2` (n = k)
    ``fout``          :math:`\Omega_{2\pi} - 2 p p^T`                  :math:`2 p_n`
    ``foud``          :math:`\Omega_{2\pi} - I/2`                      :math:`p_n`
    ``fourier_decay`` :math:`\Omega_{\pi} - p p^T/2`                   :math:`p_n/2`
    ================= ================================================ ==========================

    Here :math:`\ell_n^2 = \Gamma(n+\alpha+1)/n!` and the input vector of ``glagt`` is
    :math:`\binom{n+\alpha}{n}\,\beta^{(1-\alpha)/2} / (\ell_n \sqrt{\Gamma(1-\alpha)})`;
    :math:`p = (1, 0, \sqrt2, 0, \sqrt2, \ldots)`, and :math:`\Omega_f` has the blocks
    :math:`\begin{pmatrix}0 & -f m\\ f m & 0\end{pmatrix}`, m = 0, ..., N/2 - 1. The second
    coordinate of the Fourier systems, the sine of frequency 0, stays 0.

    Parameters
    ----------
    measure : str
        One of the table. :math:`A` is stable: its eigenvalues have negative real parts (the dead
        coordinate of ``fout`` and ``fourier_decay`` excepted).
    N : int
        Order, at least 1; even for the Fourier measures.
    window : float or 0-d array
        Unit of time, positive: the length of the sliding window of ``legt``, ``lmu`` and ``fout``,
        the time constant of ``legs`` and the Laguerre measures, the period of ``foud``, half the
        period of ``fourier_decay``.
    alpha : float or 0-d array
        Exponent of ``glagt``, in (-1, 1).
    beta : float or 0-d array
        Decay of the weight of ``tlagt`` and ``glagt``, positive.
    like : array, optional
        Array whose kind, device and precision the result takes; NumPy float64 without it.

    Returns
    -------
    A : array, shape (N, N)
    B : array, shape (N,)
        Differentiable in ``window``, ``alpha`` and ``beta`` when these are torch tensors.

    Raises
    ------
    TypeError
        If ``N`` is no integer, or a parameter no real number.
    ValueError
        For an unknown ``measure``, ``N`` < 1 or odd for a Fourier measure, ``window`` or ``beta``
        not positive, ``alpha`` outside (-1, 1), or ``alpha`` or ``beta`` given for a measure that
        has none.

    References
    ----------
    Gu, Dao, Ermon, Rudra, Re, arXiv 2008.07669 (LegS, LegT, LagT); Gu, Johnson, Timalsina, Rudra,
    Re, arXiv 2206.12037 (LegS as a time-invariant system, FouT); Voelker, Kajic, Eliasmith,
    NeurIPS 2019 (LMU).

    Examples
    --------
    The state of LegT under a constant input settles at the projection of a constant: its first
    coefficient is 1 and the others vanish.

    >>> import numpy as np
    >>> A, B = hippo_matrices("legt", 4, window=3.0)
    >>> np.allclose(np.linalg.solve(-A, B), [1, 0, 0, 0], atol=1e-14)
    True
    """
    frame, N, window, alpha, beta, _ = resolve_measure(
        measure, N, window=window, alpha=alpha, beta=beta, like=like
    )
    A, B = unit_matrices(frame, measure, N, alpha, beta)
    return frame.cast(A / window), frame.cast(B / window)


def hippo_low_rank(
    measure: str,
    N: int,
    *,
    window: float | Array = 1.0,
    alpha: float | Array = 0.0,
    beta: float | Array = 1.0,
    like: Array | None = None,
) -> tuple[Array, Array]:
    r"""Low-rank correction that makes a HiPPO matrix normal.

    .. math:: A + \sum_r P_r P_r^T = -\sigma I + S, \qquad S^T = -S.

    ================= ============================== ============================================
    measure           :math:`\theta\sigma`           rows of :math:`\sqrt\theta P`
    ================= ============================== ============================================
    ``legs``          1/2                            :math:`\sqrt{n + 1/2}`
    ``legt``          0                              :math:`R_n` on odd n; :math:`R_n` on even n
    ``lagt``          0                              :math:`\sqrt{1/2}`
    ``tlagt``         :math:`\beta/2`                :math:`\sqrt{1/2}`
    ``glagt``         :math:`\beta/2`                :math:`\sqrt{1/2}`, for ``alpha`` = 0 only
    ``fout``          0                              :math:`\sqrt2\,p`
    ``foud``          1/2                            none
    ``fourier_decay`` 0                              :math:`p/\sqrt2`
    ================= ============================== ============================================

    ``lmu`` and ``glagt`` with ``alpha`` other than 0 have no such form in their own coordinates:
    the eigenvalues of the symmetric parts of their matrices are distinct, so adding a multiple of
    the identity leaves rank N - 1 or more. They are ``legt`` and ``tlagt`` after the diagonal
    changes of coordinates :math:`x_{legt} = \mathrm{diag}((-1)^n/R_n)\,x_{lmu}` and
    :math:`x_{tlagt} \propto \mathrm{diag}(\ell_n)\,x_{glagt}`, up to the input vector.

    Parameters
    ----------
    measure, N, window, alpha, beta, like
        As in :func:`hippo_matrices`.

    Returns
    -------
    P : array, shape (r, N)
        r is 0, 1 or 2.
    sigma : array, shape ()
        Real part of the eigenvalues of the normal part, with the sign changed.

    Raises
    ------
    TypeError, ValueError
        As :func:`hippo_matrices`; and a ValueError for measures without this form.

    References
    ----------
    Gu, Goel, Re, arXiv 2111.00396, "Normal Plus Low-Rank" (LegS, LegT, LagT).

    Examples
    --------
    >>> import numpy as np
    >>> A, B = hippo_matrices("legs", 5)
    >>> P, sigma = hippo_low_rank("legs", 5)
    >>> S = A + P.T @ P + sigma * np.eye(5)
    >>> np.allclose(S, -S.T, atol=1e-14)
    True
    """
    frame, N, window, alpha, beta, _ = resolve_measure(
        measure, N, window=window, alpha=alpha, beta=beta, like=like
    )
    P, sigma = unit_low_rank(frame, measure, N, alpha, beta)
    return frame.cast(P / frame.xp.sqrt(window)), frame.cast(sigma / window)


def resolve_measure(
    measure: str,
    N: int | None,
    *,
    window: float | Array,
    alpha: float | Array,
    beta: float | Array,
    like: Array | None = None,
    **arrays: Array,
) -> tuple[Frame, int, Array, Array, Array, tuple[Array, ...]]:
    """Check the arguments that all functions of a measure share.

    Returns the frame, the order, the scalars in double precision and ``arrays``. The scalars decide
    the frame only together with ``like`` and ``arrays``. No order is checked when ``N`` is None.
    """
    check_choice("measure", measure, MEASURES)
    order = 0
    if N is not None:
        order = as_integer("N", N, minimum=1)
        if measure in _FOURIER and order % 2:
            raise ValueError(f"N must be even for measure {measure!r}, got {order}")
    frame, window, alpha, beta, _, *resolved = as_arrays(
        finite=False, window=window, alpha=alpha, beta=beta, like=like, **arrays
    )
    for name, value in (("window", window), ("alpha", alpha), ("beta", beta)):
        if value.ndim:
            raise ValueError(f"{name} must be a single number, got shape {tuple(value.shape)}")
        check_real(name, value, frame)
        check_finite(name, value, frame)
    check_positive("window", window, frame)
    check_positive("beta", beta, frame)
    exponent, decay = number(frame, alpha), number(frame, beta)
    if not -1 < exponent < 1:
        raise ValueError(f"alpha must be in (-1, 1), got {exponent}")
    if measure != "glagt" and exponent != 0:
        raise ValueError(f"alpha is for measure 'glagt' only, got {exponent} for {measure!r}")
    if measure not in ("tlagt", "glagt") and decay != 1:
        raise ValueError(
            f"beta is for measures 'tlagt' and 'glagt' only, got {decay} for {measure!r}"
        )
    for name, value in zip(arrays, resolved, strict=True):
        check_finite(name, value, frame)
    window, alpha, beta = (frame.double(value) for value in (window, alpha, beta))
    return frame, order, window, alpha, beta, tuple(resolved)


def number(frame: Frame, scalar: Array) -> float:
    """Value of a 0-d array, whether or not it carries a gradient."""
    return float(scalar.detach() if frame.is_torch else scalar)


def unit_matrices(
    frame: Frame, measure: str, N: int, alpha: Array, beta: Array
) -> tuple[Array, Array]:
    """Trusted double-precision system of window 1."""
    n = np.arange(N)
    if measure in ("tlagt", "glagt"):
        xp = frame.xp
        diagonal = frame.asarray(np.eye(N)) * ((1 + beta) / 2)
        below = frame.asarray(np.tri(N, k=-1))
        if measure == "tlagt":
            return -diagonal - below, beta * frame.asarray(np.ones(N))
        norms = xp.exp(laguerre_log_growth(frame, N, alpha) / 2)
        return -diagonal - below * (norms / norms[:, None]), norms * laguerre_mass(
            frame, alpha, beta
        )
    if measure == "lagt":
        return frame.asarray(-np.tri(N) + np.eye(N) / 2), frame.asarray(np.ones(N))
    if measure in _FOURIER:
        p = fourier_input(N)
        frequency, low_rank, shift, gain = {
            "fout": (2 * math.pi, 2.0, 0.0, 2.0),
            "foud": (2 * math.pi, 0.0, 0.5, 1.0),
            "fourier_decay": (math.pi, 0.5, 0.0, 0.5),
        }[measure]
        A = -low_rank * np.outer(p, p) - shift * np.eye(N)
        even = np.arange(0, N, 2)
        A[even, even + 1] -= frequency * (even // 2)
        A[even + 1, even] += frequency * (even // 2)
        return frame.asarray(A), frame.asarray(gain * p)
    sign = np.where((n[:, None] - n) % 2 == 0, 1.0, -1.0)
    if measure == "lmu":
        width = 2.0 * n + 1
        A = width[:, None] * np.where(n[:, None] >= n, -sign, -1.0)
        return frame.asarray(A), frame.asarray(width * sign[0])
    R = np.sqrt(2.0 * n + 1)
    upper = sign if measure == "legt" else 0.0
    A = -np.outer(R, R) * np.where(n[:, None] > n, 1.0, upper)
    A[n, n] = -(2.0 * n + 1) if measure == "legt" else -(n + 1.0)
    return frame.asarray(A), frame.asarray(R)


def unit_low_rank(
    frame: Frame, measure: str, N: int, alpha: Array, beta: Array
) -> tuple[Array, Array]:
    """Trusted double-precision correction of window 1."""
    if measure == "lmu" or (measure == "glagt" and number(frame, alpha) != 0):
        own = "lmu" if measure == "lmu" else "glagt with alpha other than 0"
        raise ValueError(
            f"measure {own} has no normal plus low-rank form in its own coordinates; "
            f"those that have one are {', '.join(sorted(_LOW_RANK))} and glagt with alpha = 0"
        )
    n = np.arange(N)
    half = frame.asarray(0.5)
    if measure in ("lagt", "tlagt", "glagt"):
        sigma = 0 * half if measure == "lagt" else beta / 2
        return frame.asarray(np.full((1, N), math.sqrt(0.5))), sigma
    if measure == "legs":
        return frame.asarray(np.sqrt(n + 0.5)[None]), half
    if measure == "legt":
        R = np.sqrt(2.0 * n + 1)
        return frame.asarray(np.stack((R * (n % 2), R * ((n + 1) % 2)))), 0 * half
    if measure == "foud":
        return frame.asarray(np.empty((0, N))), half
    scale = math.sqrt(2) if measure == "fout" else math.sqrt(0.5)
    return frame.asarray(scale * fourier_input(N)[None]), 0 * half


def fourier_input(N: int) -> np.ndarray:
    r"""Return :math:`p = (1, 0, \sqrt2, 0, \sqrt2, \ldots)`."""
    p = np.where(np.arange(N) % 2 == 0, math.sqrt(2), 0.0)
    p[0] = 1.0
    return p


def laguerre_log_growth(frame: Frame, N: int, alpha: Array) -> Array:
    r"""Logarithms of :math:`\binom{n+\alpha}{n} = \ell_n^2/\Gamma(1+\alpha)`, n = 0, ..., N - 1."""
    xp = frame.xp
    steps = xp.log1p(alpha / frame.asarray(np.arange(1, N)))
    return xp.concat((0 * alpha[None], xp.cumulative_sum(steps)))


def laguerre_mass(frame: Frame, alpha: Array, beta: Array) -> Array:
    r"""Return :math:`\sqrt{\beta^{1-\alpha} / (\Gamma(1+\alpha)\,\Gamma(1-\alpha))}`.

    By the reflection formula the product of Gammas is :math:`\pi\alpha/\sin\pi\alpha`.
    """
    xp = frame.xp
    angle = math.pi * alpha
    near = xp.abs(angle) < 1e-3
    outside = xp.where(near, xp.ones_like(angle), angle)
    sinc = xp.where(near, 1 - angle**2 / 6 + angle**4 / 120, xp.sin(outside) / outside)
    return xp.exp((1 - alpha) / 2 * xp.log(beta)) * xp.sqrt(sinc)

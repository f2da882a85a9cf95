r"""Diagonal state-space models: initial spectra, and maps that keep them stable.

A real system of order N with complex modes keeps one of each conjugate pair, N/2 modes
:math:`\lambda_n`, and its kernel is :math:`2\,\mathrm{Re}\sum_n C_n B_n e^{\lambda_n t}`
(S4D, arXiv 2206.11893). The initialisations below imitate the spectrum of the normal part of LegS
(``legs`` is that spectrum) or that of Fourier functions (``lin``).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from numerics.arrays import (
    Array,
    Frame,
    as_arrays,
    as_generator,
    as_integer,
    check_choice,
    check_real,
    frame_like,
)
from ssm.spectrum import legs_spectrum

INITIALISATIONS = ("lin", "inv", "inv2", "quad", "real", "legs", "rand")
TRANSFORMS = ("exp", "relu", "softplus", "sigmoid", "none")
_RELU_FLOOR = 1e-4


def s4d_init(
    name: str, N: int, *, rng: Any = None, like: Array | None = None
) -> tuple[Array, Array]:
    r"""Initial eigenvalues and input vector of a diagonal state-space model.

    ======== ==========================================================================
    name     :math:`\lambda_n`
    ======== ==========================================================================
    ``lin``  :math:`-\frac12 + i\pi n`
    ``inv``  :math:`-\frac12 + i\frac N\pi\bigl(\frac{N}{2n+1} - 1\bigr)`
    ``inv2`` :math:`-\frac12 + i\frac N\pi\bigl(\frac{N}{n+1} - 1\bigr)`
    ``quad`` :math:`-\frac12 + \frac i\pi(1+2n)^2`
    ``legs`` :math:`-\frac12 + i\omega_n`, the spectrum of :func:`ssm.legs_spectrum`
    ``rand`` :math:`-\frac12 + i e^{g_n}` with standard normal :math:`g_n`
    ``real`` :math:`-(n+1)`, the eigenvalues of LegS itself
    ======== ==========================================================================

    The input vector is all ones, but for ``legs`` it is LegS's in the coordinates of the
    eigenvectors, :math:`\tilde B > 0`. With :math:`\tilde B/2` in its place the responses of the
    diagonal system to any fixed input tend to those of LegS as N grows; published code keeps
    :math:`\tilde B`.

    Parameters
    ----------
    name : str
        One of the table.
    N : int
        Order of the real system, even; at least 1 and of any parity for ``real``.
    rng : numpy.random.Generator, int, torch.Generator or None
        Source of the frequencies of ``rand``; the others are not random.
    like : array, optional
        Array whose kind, device and precision the result takes; NumPy without it.

    Returns
    -------
    Lambda : array, shape (N/2,), complex; for ``real`` shape (N,), real
        In the order of n. Frequencies are positive, but for the first of ``lin``, which is 0.
    B : array, shape and dtype of ``Lambda``
        The N modes of ``real`` have no conjugates: their kernel is the plain sum, ``conj=False`` in
        :func:`ssm.vandermonde_kernel`.

    Raises
    ------
    TypeError
        If ``N`` is no integer.
    ValueError
        For an unknown ``name``, ``N`` < 1, or ``N`` odd except for ``real``.

    References
    ----------
    Gu, Gupta, Goel, Re, arXiv 2206.11893 (Lin, Inv, LegS, Real); ``inv2`` and ``quad`` are from the
    authors' code.

    Examples
    --------
    S4D-Inv is close to the exact spectrum at the highest frequency only.

    >>> inv, exact = s4d_init("inv", 64)[0].imag, s4d_init("legs", 64)[0].imag
    >>> bool(abs(inv[0] / exact[-1] - 1) < 0.02), bool(abs(inv[-1] / exact[0] - 1) > 0.2)
    (True, True)
    """
    check_choice("name", name, INITIALISATIONS)
    N = as_integer("N", N, minimum=1)
    frame = frame_like(like)
    if name == "real":
        eigenvalues = -(np.arange(N) + 1.0)
        return _framed(frame, eigenvalues), _framed(frame, np.ones(N))
    if N % 2:
        raise ValueError(f"N must be even, since modes come in conjugate pairs, got {N}")
    n = np.arange(N // 2)
    B = np.ones(N // 2)
    if name == "legs":
        omega, B = legs_spectrum(N)
    elif name == "rand":
        omega = np.exp(as_generator(rng).standard_normal(N // 2))
    else:
        omega = {
            "lin": math.pi * n,
            "inv": N / math.pi * (N / (2 * n + 1) - 1),
            "inv2": N / math.pi * (N / (n + 1) - 1),
            "quad": (1 + 2 * n) ** 2 / math.pi,
        }[name]
    return _framed(frame, -0.5 + 1j * omega), _framed(frame, B.astype(np.complex128))


def stable_real_part(raw: Array, *, transform: str = "exp") -> Array:
    r"""Real parts of eigenvalues from unconstrained parameters, :math:`-f(raw)`.

    ============ ================================ =====================
    transform    :math:`f(x)`                     range of the real part
    ============ ================================ =====================
    ``exp``      :math:`e^x`                      negative
    ``relu``     :math:`\max(x, 0) + 10^{-4}`     at most -1e-4
    ``softplus`` :math:`\log(1 + e^x)`            negative
    ``sigmoid``  :math:`1/(1 + e^{-x})`           (-1, 0)
    ``none``     :math:`x`                        any
    ============ ================================ =====================

    Parameters
    ----------
    raw : array, any shape
        Real parameters.
    transform : str
        One of the table.

    Returns
    -------
    array, shape of ``raw``
        In its kind and precision; differentiable on torch.

    Raises
    ------
    TypeError
        If ``raw`` is complex or holds no numbers.
    ValueError
        For an unknown ``transform``, or values that are not finite.

    References
    ----------
    Gu, Gupta, Goel, Re, arXiv 2206.11893 (constraining the real part).

    Examples
    --------
    >>> import numpy as np
    >>> stable_real_part(np.array([-4.0, 0.0, 800.0]), transform="softplus").round(4)
    array([-1.8100e-02, -6.9310e-01, -8.0000e+02])
    """
    frame, raw = as_arrays(raw=raw)
    check_real("raw", raw, frame)
    check_choice("transform", transform, TRANSFORMS)
    xp = frame.xp
    x = frame.double(raw)
    zero = xp.zeros_like(x)
    if transform == "exp":
        decay = xp.exp(x)
    elif transform == "relu":
        decay = xp.where(x > 0, x, zero) + _RELU_FLOOR
    elif transform == "softplus":
        decay = xp.logaddexp(x, zero)
    elif transform == "sigmoid":
        decay = xp.exp(-xp.logaddexp(-x, zero))
    else:
        decay = x
    return frame.cast(-decay)


def unconstrained_real_part(real_part: Array, *, transform: str = "exp") -> Array:
    r"""Parameters that :func:`stable_real_part` maps to given real parts.

    Parameters
    ----------
    real_part : array, any shape
        Real parts of eigenvalues, in the range of the transform; for ``relu`` the parameter of
        :math:`-10^{-4}` is 0.
    transform : str
        As in :func:`stable_real_part`.

    Returns
    -------
    array, shape of ``real_part``
        In its kind and precision; differentiable on torch.

    Raises
    ------
    TypeError
        If ``real_part`` is complex or holds no numbers.
    ValueError
        For an unknown ``transform``, values out of its range, or values that are not finite.

    Examples
    --------
    >>> import numpy as np
    >>> raw = unconstrained_real_part(np.array([-0.5]), transform="softplus")
    >>> stable_real_part(raw, transform="softplus")
    array([-0.5])
    """
    frame, real_part = as_arrays(real_part=real_part)
    check_real("real_part", real_part, frame)
    check_choice("transform", transform, TRANSFORMS)
    xp = frame.xp
    decay = -frame.double(real_part)
    lowest, highest = {
        "relu": (_RELU_FLOOR * (1 - 1e-6), math.inf),  # the floor itself, rounded to float32
        "sigmoid": (0.0, 1.0),
        "none": (-math.inf, math.inf),
    }.get(transform, (0.0, math.inf))
    if not bool(xp.all((decay > lowest) & (decay < highest))):
        raise ValueError(
            f"real_part must be in the range of transform {transform!r}, between {-highest} and "
            f"{0.0 - lowest}; got values from {float(-xp.max(decay))} to {float(-xp.min(decay))}"
        )
    if transform == "exp":
        raw = xp.log(decay)
    elif transform == "relu":
        raw = xp.where(decay > _RELU_FLOOR, decay - _RELU_FLOOR, xp.zeros_like(decay))
    elif transform == "softplus":
        raw = decay + xp.log(-xp.expm1(-decay))
    elif transform == "sigmoid":
        raw = xp.log(decay) - xp.log1p(-decay)
    else:
        raw = decay
    return frame.cast(raw)


def _framed(frame: Frame, values: np.ndarray) -> Array:
    return frame.cast(frame.asarray(values))

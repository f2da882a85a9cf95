r"""Transfer functions of the HiPPO systems, in closed form.

:math:`X(s) = (sI - A)^{-1} B` is the Laplace transform of the basis kernels
:math:`e^{tA} B`. For every HiPPO measure (arXiv 2008.07669, 2206.12037) it takes O(N) operations a
point and no matrix: products for LegS, a first-order recurrence for the Laguerre measures, a
continued fraction for LegT and LMU, a rank-one update of 2 x 2 blocks for the Fourier measures.
"""

from __future__ import annotations

import math

import numpy as np

from numerics.arrays import Array, Frame
from ssm.hippo import laguerre_log_growth, laguerre_mass, resolve_measure


def hippo_transfer(
    measure: str,
    N: int,
    s: Array,
    *,
    window: float | Array = 1.0,
    alpha: float | Array = 0.0,
    beta: float | Array = 1.0,
) -> Array:
    r"""Transfer function :math:`X(s) = (sI - A)^{-1} B` of a HiPPO system.

    With :math:`R_n = \sqrt{2n+1}`, at window 1 (X of window :math:`\theta` is :math:`X(\theta s)`),

    * ``legs``: :math:`X_n = R_n \prod_{j=1}^{n}(s-j+1) \big/ \prod_{j=1}^{n+1}(s+j)`;
    * ``lagt``, ``tlagt``, ``glagt``: :math:`X_n = x_n/\ell_n` with
      :math:`x_n = q\,x_{n-1} + (b_n - b_{n-1})/(s+c)`, where :math:`q = (s+c-1)/(s+c)`,
      :math:`c = (1+\beta)/2` and :math:`b_n = \ell_n B_n`; for :math:`\alpha = 0` that is
      :math:`B_n (s+c-1)^n/(s+c)^{n+1}`;
    * ``legt``: :math:`X_n = R_n z_n` with
      :math:`z_n/z_{n-1} = \rho_n = s/(4n+2+s\rho_{n+1})`, :math:`\rho_N = 1` and
      :math:`z_0 = 2/(2+s+s\rho_1)`, the continued fraction that comes from the tridiagonal
      inverse of A; ``lmu``: :math:`X_n = (2n+1)(-1)^n z_n`;
    * ``fout``, ``fourier_decay``: :math:`X = g\,X^0/(1 + g\,p^T X^0)`,
      :math:`X^0 = (sI - \Omega)^{-1} p`, g = 2 or 1/2; ``foud``: :math:`X = X^0(s + 1/2)`.

    Parameters
    ----------
    measure : str
        As in :func:`ssm.hippo_matrices`.
    N : int
        Order, at least 1; even for the Fourier measures.
    s : array, any shape
        Points of the complex plane; real ones are allowed. Errors are a few units in the last
        place for :math:`\mathrm{Re}\,s \ge 0`; to the left of it, where the Laplace integral of
        the window grows, those of ``legt`` and ``lmu`` grow like
        :math:`e^{-\theta\,\mathrm{Re}\,s}`.
    window, alpha, beta : float or 0-d array
        As in :func:`ssm.hippo_matrices`.

    Returns
    -------
    array, shape (N, \*s.shape), complex
        In the kind and precision of ``s``; computed in double precision. Differentiable in every
        argument but ``N`` on torch. At the eigenvalue 0 of ``fout`` and ``fourier_decay``, whose
        mode the input does not reach, and at the frequencies of :math:`\Omega`, the finite limit.

    Raises
    ------
    TypeError
        If ``s`` holds no numbers.
    ValueError
        If ``s`` is a pole or not finite, or as :func:`ssm.hippo_matrices`.

    References
    ----------
    Gu, Johnson, Timalsina, Rudra, Re, arXiv 2206.12037 (the systems). That LegT read out at the end
    of its window is the [N-1/N] Pade approximant of a delay: Voelker, Kajic, Eliasmith, NeurIPS
    2019.

    Examples
    --------
    What LegS of order N misses of its input is all-pass:
    :math:`1 - B^T X(s) = \prod_{j=1}^{N} (s-j+1)/(s+j)`.

    >>> import numpy as np
    >>> from ssm import hippo_matrices
    >>> X = hippo_transfer("legs", 64, np.array([1j, 10j, 100j]))
    >>> missed = 1 - hippo_matrices("legs", 64)[1] @ X
    >>> np.allclose(abs(missed), [1 / 4097**0.5, 10 / 4196**0.5, 100 / 14096**0.5], rtol=1e-12)
    True
    """
    frame, N, window, alpha, beta, (s,) = resolve_measure(
        measure, N, window=window, alpha=alpha, beta=beta, s=s
    )
    xp = frame.xp
    shape = tuple(s.shape)
    points = xp.astype(xp.reshape(s, (-1,)), xp.complex128, copy=False)
    scaled = points * window
    if measure == "legs":
        X, pole = _legs(frame, N, scaled)
    elif measure in ("lagt", "tlagt", "glagt"):
        decay = 0 * beta if measure == "lagt" else beta
        X, pole = _laguerre(frame, N, scaled, measure, alpha, decay)
    elif measure in ("legt", "lmu"):
        X, pole = _legt(frame, N, scaled, measure)
    elif measure == "foud":
        X, pole = _undamped_blocks(frame, N, scaled + 0.5)
    else:
        X, pole = _damped_blocks(frame, N, scaled, measure)
    if bool(xp.any(pole)):
        place = complex(points[pole][0])
        raise ValueError(f"s must not be a pole of {measure!r} of order {N}, got s = {place}")
    return xp.astype(xp.reshape(X, (N, *shape)), frame.complex, copy=False)


def _legs(frame: Frame, N: int, s: Array) -> tuple[Array, Array]:
    xp = frame.xp
    pole = xp.zeros(s.shape, dtype=xp.bool, device=frame.device)
    product = xp.ones_like(s)
    rows = []
    for n in range(N):
        divisor = s + (n + 1)
        at_pole = divisor == 0
        pole = pole | at_pole
        divisor = xp.where(at_pole, xp.ones_like(s), divisor)
        rows.append(math.sqrt(2 * n + 1) * product / divisor)
        product = product * ((s - n) / divisor)
    return xp.stack(rows), pole


def _laguerre(
    frame: Frame, N: int, s: Array, measure: str, alpha: Array, beta: Array
) -> tuple[Array, Array]:
    xp = frame.xp
    shifted = s + (1 + beta) / 2
    pole = shifted == 0
    inverse = 1 / xp.where(pole, xp.ones_like(s), shifted)
    q = 1 - inverse
    if measure == "glagt":
        gain = laguerre_mass(frame, alpha, beta)
        log_growth = laguerre_log_growth(frame, N, alpha)
        growth, inverse_norms = xp.exp(log_growth), xp.exp(-log_growth / 2)
    else:
        gain = beta if measure == "tlagt" else 1.0
        growth = inverse_norms = frame.asarray(np.ones(N))
    x = inverse
    rows = [x]
    for n in range(1, N):
        x = q * x + growth[n - 1] * (alpha / n) * inverse
        rows.append(x * inverse_norms[n])
    return gain * xp.stack(rows), pole


def _legt(frame: Frame, N: int, s: Array, measure: str) -> tuple[Array, Array]:
    r"""Solve :math:`(\mathrm{diag}(2n+1) + sT) z = e_0` from the last row up.

    T has 1/2 above, -1/2 below the diagonal and 1/2 at both its ends. The ratios
    :math:`\rho_n` have positive real part where s has.
    """
    xp = frame.xp
    half = s / 2
    divisor = (2 * N - 1) + half
    ratios = []
    for n in range(N - 1, 0, -1):
        tiny = xp.full_like(divisor, float(np.finfo(np.float64).eps))
        ratio = half / xp.where(divisor == 0, tiny, divisor)
        ratios.append(ratio)
        divisor = (2 * n - 1) + half * ratio
    divisor = divisor + half
    pole = divisor == 0
    z = 1 / xp.where(pole, xp.ones_like(s), divisor)
    rows = [z]
    for ratio in reversed(ratios):
        z = z * ratio
        rows.append(z)
    k = np.arange(N)
    scale = np.sqrt(2 * k + 1) if measure == "legt" else (2 * k + 1) * (-1.0) ** k
    return frame.asarray(scale)[:, None] * xp.stack(rows), pole


def _undamped_blocks(frame: Frame, N: int, s: Array) -> tuple[Array, Array]:
    r"""Return :math:`(sI - \Omega)^{-1} p` and where it is infinite."""
    xp = frame.xp
    determinants, columns = _blocks(frame, N, s, 2 * math.pi)
    zero = determinants == 0
    X = columns / xp.where(zero, xp.ones_like(determinants), determinants)[:, None, :]
    return xp.reshape(X, (N, s.shape[0])), xp.any(zero, axis=0)


def _damped_blocks(frame: Frame, N: int, s: Array, measure: str) -> tuple[Array, Array]:
    """Rank-one update, with the smallest determinant multiplied through: it may vanish."""
    xp = frame.xp
    gain, spacing = (2.0, 2 * math.pi) if measure == "fout" else (0.5, math.pi)
    determinants, columns = _blocks(frame, N, s, spacing)
    smallest = xp.argmin(xp.abs(determinants), axis=0)
    chosen = xp.asarray(np.arange(N // 2), device=frame.device)[:, None] == smallest
    one = xp.ones_like(determinants)
    multiplier = xp.sum(xp.where(chosen, determinants, 0 * one), axis=0)
    weights = xp.where(chosen, one, multiplier / xp.where(chosen, one, determinants))
    X = columns * weights[:, None, :]
    p = frame.asarray(np.where(np.arange(N // 2) > 0, math.sqrt(2), 1.0))
    divisor = multiplier + gain * xp.sum(p[:, None] * X[:, 0, :], axis=0)
    pole = divisor == 0
    X = gain * X / xp.where(pole, xp.ones_like(divisor), divisor)
    return xp.reshape(X, (N, s.shape[0])), pole


def _blocks(frame: Frame, N: int, s: Array, spacing: float) -> tuple[Array, Array]:
    r"""Determinants of :math:`\begin{pmatrix}s & w\\ -w & s\end{pmatrix}`, and ``p`` times the
    first columns of the inverses times the determinants; s is divided out at frequency 0.
    """
    xp = frame.xp
    m = np.arange(N // 2)
    w = frame.asarray(spacing * m)[:, None]
    first = frame.asarray((m == 0).astype(float))[:, None]
    amplitude = frame.asarray(np.where(m > 0, math.sqrt(2), 1.0))[:, None]
    determinants = (s - 1j * w) * (first + (1 - first) * (s + 1j * w))
    cosine = amplitude * (first + (1 - first) * s)
    sine = amplitude * w + 0 * s
    return determinants, xp.stack((cosine, sine), axis=1)

r"""Normal plus low-rank form of the HiPPO systems, and the LegS spectrum without a matrix.

With :math:`A + \sum_r P_r P_r^T = -\sigma I + S` (:func:`ssm.hippo_low_rank`) and the unitary
eigenvectors of the skew part, :math:`S = V \mathrm{diag}(i\omega) V^*`,

.. math:: A = V \Bigl(\Lambda - \sum_r \tilde P_r \tilde P_r^*\Bigr) V^*, \qquad
          \Lambda = -\sigma + i\omega, \quad \tilde P = V^* P, \quad \tilde B = V^* B.

The phase of each column of :math:`V` is free; here it makes :math:`\tilde B` positive. No general
eigenvalue routine is called: the Laguerre systems are skew-circulant and the Fourier systems are
made of 2 x 2 blocks, LegT needs the singular values of a real matrix of half the order, and the
LegS frequencies solve a scalar equation each. That equation says that the all-pass
:math:`r_N(s) = \prod_{j=1}^N (s-j+1)/(s+j) = 1 - B^T(sI - A)^{-1}B` equals -1 at
:math:`s = -1/2 + i\omega`; with :math:`a_j = j - 1/2` it reads

.. math:: \Phi(\omega) = \sum_{j=1}^N \arctan\frac{\omega}{a_j}
          \in \Bigl\{\tfrac{\pi}{2}(N + 1 - 2k) : k = 1, \ldots, N\Bigr\}, \qquad
          \tilde B^2 = \frac{2}{\Phi'(\omega)}.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import bernoulli

from numerics.arrays import Array, as_integer, frame_like
from ssm.hippo import resolve_measure, unit_low_rank, unit_matrices

_DIRECT_TERMS = 16
_BLOCK = 4096  # frequencies at a time: the direct terms then stay in the cache
_MIDPOINT = [
    (2.0 ** (1 - 2 * p) - 1) * bernoulli(2 * p)[-1] / math.factorial(2 * p) for p in range(1, 8)
]
_EPS = float(np.finfo(np.float64).eps)


def nplr(
    measure: str,
    N: int,
    *,
    window: float | Array = 1.0,
    alpha: float | Array = 0.0,
    beta: float | Array = 1.0,
    conj: bool = True,
    like: Array | None = None,
) -> tuple[Array, Array, Array, Array]:
    r"""Diagonal plus low-rank form of a HiPPO system under a unitary change of coordinates.

    .. math:: A = V \Bigl(\mathrm{diag}(\Lambda) - \sum_r P_r P_r^*\Bigr) V^*, \qquad
              V B = B_{hippo},

    and a read-out C becomes :math:`C V`. With ``conj=True`` only one of each conjugate pair is
    kept, and sums over the modes are twice the real part of the sum over the half, as in
    :math:`B_{hippo} = 2\,\mathrm{Re}(V B)`.

    Parameters
    ----------
    measure, N, window, alpha, beta, like
        As in :func:`ssm.hippo_matrices`.
    conj : bool
        Keep the modes of positive frequency only; N must be even. The Fourier measures have
        frequency 0 twice, of which one is kept as half of a pair.

    Returns
    -------
    Lambda : array, shape (M,), complex
        Eigenvalues of the normal part by ascending frequency; M is N/2 with ``conj``, else N.
    P : array, shape (r, M), complex
    B : array, shape (M,), complex
        Real and positive in value. The zero frequency of the Fourier measures is split into the
        pair :math:`(e_0 \mp i e_1)/\sqrt2`, so that this holds for them too.
    V : array, shape (N, M), complex
        Orthonormal columns.

    Raises
    ------
    TypeError, ValueError
        As :func:`ssm.hippo_low_rank`; and a ValueError for ``conj=True`` with odd ``N``.

    References
    ----------
    Gu, Goel, Re, arXiv 2111.00396 (NPLR and DPLR).

    Examples
    --------
    >>> import numpy as np
    >>> from ssm import hippo_matrices
    >>> Lambda, P, B, V = nplr("legt", 5, conj=False)
    >>> A = V @ (np.diag(Lambda) - P.T @ P.conj()) @ V.conj().T
    >>> np.allclose(A, hippo_matrices("legt", 5)[0], atol=1e-13)
    True
    """
    frame, N, window, alpha, beta, _ = resolve_measure(
        measure, N, window=window, alpha=alpha, beta=beta, like=like
    )
    _check_conj(conj, N)
    P, sigma = unit_low_rank(frame, measure, N, alpha, beta)
    B = unit_matrices(frame, measure, N, alpha, beta)[1]
    if measure == "legs":
        omega, V = _legs_modes(N)
    elif measure == "legt":
        omega, V = _legt_modes(N)
    elif measure in ("lagt", "tlagt", "glagt"):
        omega, V = _laguerre_modes(N)
    else:
        omega, V = _fourier_modes(N, math.pi if measure == "fourier_decay" else 2 * math.pi)
    if conj:
        omega, V = omega[N // 2 :], V[:, N // 2 :]
    xp = frame.xp
    V = frame.asarray(V)
    adjoint = xp.conj(V.T)
    Lambda = frame.asarray(1j * omega) - sigma
    P = (adjoint @ xp.astype(P.T, xp.complex128)).T
    B = adjoint @ xp.astype(B, xp.complex128)
    B = xp.astype(xp.real(B), xp.complex128)
    return (
        frame.cast(Lambda / window),
        frame.cast(P / xp.sqrt(window)),
        frame.cast(B / window),
        frame.cast(V),
    )


def legs_spectrum(N: int, *, conj: bool = True, like: Array | None = None) -> tuple[Array, Array]:
    r"""Frequencies and input gains of the normal part of LegS, from scalar equations.

    The eigenvalues of :math:`A + P P^T` are :math:`-1/2 + i\omega_k` with
    :math:`\Phi(\omega_k) = \frac{\pi}{2}(N + 1 - 2k)` and the input vector in the coordinates of
    the eigenvectors has :math:`|\tilde B_k|^2 = 2/\Phi'(\omega_k)`, where
    :math:`\Phi(\omega) = \sum_{j=1}^N \arctan(\omega/(j - 1/2))`.

    Each :math:`\omega_k` below N is found from this equation and each one above from its
    complement in :math:`1/\omega`. Both left-hand sides are concave, so that Newton's
    method from a lower bound increases to the root without safeguards. The sums are
    evaluated in a fixed number of operations by the Euler-Maclaurin formula, in which nothing
    cancels: O(N) operations and memory in all, relative errors of a few units in the last place.

    Parameters
    ----------
    N : int
        Order, at least 1.
    conj : bool
        Give positive frequencies only; N must be even.
    like : array, optional
        Array whose kind, device and precision the result takes; NumPy float64 without it.

    Returns
    -------
    omega : array, shape (M,)
        Ascending; M is N/2 with ``conj``, else N.
    absB : array, shape (M,)

    Raises
    ------
    TypeError
        If ``N`` is no integer.
    ValueError
        If ``N`` < 1, or odd with ``conj=True``.

    References
    ----------
    Gu, Gupta, Goel, Re, arXiv 2206.11893 (S4D-LegS, where the spectrum is computed numerically).

    Examples
    --------
    For N = 2 the equation is quadratic: :math:`\omega^2 = 3/4`.

    >>> omega, absB = legs_spectrum(2)
    >>> bool(abs(omega[0] - 0.75**0.5) < 1e-15), bool(abs(absB[0] ** 2 - 2) < 1e-14)
    (True, True)
    """
    frame = frame_like(like)
    N = as_integer("N", N, minimum=1)
    _check_conj(conj, N)
    omega, slope = _legs_frequencies(N)
    if not conj:
        omega, slope = _mirrored(N, omega, slope)
    return frame.cast(frame.asarray(omega)), frame.cast(frame.asarray(np.sqrt(2 / slope)))


def _check_conj(conj: bool, N: int) -> None:
    if conj and N % 2:
        raise ValueError(
            f"N must be even to keep one of each conjugate pair, got {N}; pass conj=False"
        )


def _legs_frequencies(N: int) -> tuple[np.ndarray, np.ndarray]:
    r"""Positive frequencies, ascending, and :math:`\Phi'` there."""
    high = int(0.4388 * N / math.pi + 0.5)
    low = N // 2 - high
    first = 0.5 if N % 2 == 0 else 1.0
    target = math.pi * (first + np.arange(low))
    omega = target / _phase(N, np.zeros(1))[1]
    for _ in range(60):
        phase, slope = _phase(N, omega)
        step = (target - phase) / slope
        omega = omega + step
        if np.all(np.abs(step) <= 4 * _EPS * omega):
            break
    target = math.pi * (0.5 + np.arange(high))
    inverse = 2 * target / float(N) ** 2
    for _ in range(60):
        phase, slope = _phase(N, 1 / inverse, complement=True)
        step = (target - phase) * inverse**2 / slope
        inverse = inverse + step
        if np.all(np.abs(step) <= 4 * _EPS * inverse):
            break
    omega = np.concatenate((omega, 1 / inverse[::-1]))
    return omega, _phase(N, omega)[1]


def _phase(N: int, omega: np.ndarray, *, complement: bool = False) -> tuple[np.ndarray, np.ndarray]:
    r""":math:`\Phi`, or :math:`\pi N/2 - \Phi`, and :math:`\Phi'`.

    The first terms are summed, the others replaced by their integral from M to N and the
    midpoint corrections, which are derivatives at both ends of :math:`1/(x - i\omega)`.
    """
    if len(omega) > _BLOCK:
        parts = [
            _phase(N, omega[start : start + _BLOCK], complement=complement)
            for start in range(0, len(omega), _BLOCK)
        ]
        return np.concatenate([p for p, _ in parts]), np.concatenate([s for _, s in parts])
    M = min(N, _DIRECT_TERMS)
    a = np.arange(M)[:, None] + 0.5
    if complement:
        phase = np.sum(np.arctan2(a, omega), axis=0)
    else:
        phase = np.sum(np.arctan2(omega, a), axis=0)
    slope = np.sum(a / (a * a + omega * omega), axis=0)
    if N == M:
        return phase, slope
    logarithm = np.log1p((N - M) * (N + M) / (M * M + omega * omega)) / 2
    slope = slope + logarithm
    if complement:
        phase = phase + N * np.arctan2(N, omega) - M * np.arctan2(M, omega) - omega * logarithm
    else:
        phase = phase + N * np.arctan2(omega, N) - M * np.arctan2(omega, M) + omega * logarithm
    sign = -1.0 if complement else 1.0
    for x, side in ((float(N), 1.0), (float(M), -1.0)):
        z = 1 / (x - 1j * omega)
        power = z
        for p, weight in enumerate(_MIDPOINT, start=1):
            phase = phase - sign * side * weight * math.factorial(2 * p - 2) * power.imag
            power = power * z
            slope = slope - side * weight * math.factorial(2 * p - 1) * power.real
            power = power * z
    return phase, slope


def _mirrored(N: int, omega: np.ndarray, slope: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both signs of the frequencies, and 0 for odd N."""
    middle = np.zeros(N % 2)
    at_zero = _phase(N, middle)[1]
    return (
        np.concatenate((-omega[::-1], middle, omega)),
        np.concatenate((slope[::-1], at_zero, slope)),
    )


def _legs_modes(N: int) -> tuple[np.ndarray, np.ndarray]:
    r"""Frequencies and eigenvectors of LegS.

    The eigenvectors are :math:`(sI - A)^{-1}B` at :math:`s = -1/2 + i\omega`; there
    :math:`B^T(sI - A)^{-1}B = 2` and the squared norm is :math:`2\Phi'`.
    """
    omega, slope = _mirrored(N, *_legs_frequencies(N))
    a = np.arange(N)[:, None] + 0.5
    rotation = (1j * omega - a) / (1j * omega + a)
    rotation = np.concatenate((np.ones((1, N)), np.cumprod(rotation[:-1], axis=0)))
    return omega, np.sqrt(2 * a) * rotation / ((1j * omega + a) * np.sqrt(2 * slope))


def _legt_modes(N: int) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies and eigenvectors of LegT.

    The skew part couples even with odd coefficients only, through the matrix M: its singular
    triplets (u, s, w) give the eigenvectors (u, iw)/sqrt 2 of frequency s.
    """
    n = np.arange(N)
    R = np.sqrt(2.0 * n + 1)
    even, odd = n[::2], n[1::2]
    M = np.outer(R[even], R[odd]) * np.where(even[:, None] < odd, 1.0, -1.0)
    U, s, Wt = np.linalg.svd(M)
    U, s, W = U[:, : len(s)][:, ::-1], s[::-1], Wt.T[:, ::-1]
    half = np.zeros((N, len(s)), dtype=np.complex128)
    half[even], half[odd] = U / math.sqrt(2), 1j * W / math.sqrt(2)
    middle = np.zeros((N, N % 2), dtype=np.complex128)
    if N % 2:
        middle[even, 0] = np.linalg.svd(M)[0][:, -1]
    V = np.concatenate((half.conj()[:, ::-1], middle, half), axis=1)
    gain = V.conj().T @ R
    return np.concatenate((-s[::-1], np.zeros(N % 2), s)), V * (gain / np.abs(gain))


def _laguerre_modes(N: int) -> tuple[np.ndarray, np.ndarray]:
    r"""Frequencies and eigenvectors of the Laguerre measures.

    The skew part, 1/2 above and -1/2 below the diagonal, is skew-circulant: its eigenvectors are
    :math:`-i e^{i\phi(n + 1/2)}/\sqrt N` with :math:`e^{i\phi N} = -1`, of frequency
    :math:`\cot(\phi/2)/2`, and their inner products with the constant vector are positive.
    """
    n = np.arange(N)
    omega = np.tan(math.pi * (2 * n + 1 - N) / (2 * N)) / 2
    # The angle is reduced while it is still an integer multiple of pi/(2N).
    steps = (np.outer(2 * n + 1, 2 * N - 2 * n - 1) - N) % (4 * N)
    return omega, np.exp(0.5j * math.pi / N * steps) / math.sqrt(N)


def _fourier_modes(N: int, spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies and eigenvectors of the blocks [[0, -w], [w, 0]]."""
    m = np.arange(N // 2)
    half = np.zeros((N, N // 2), dtype=np.complex128)
    half[2 * m, m] = math.sqrt(0.5)
    half[2 * m + 1, m] = -1j * math.sqrt(0.5)
    omega = spacing * m
    return np.concatenate((-omega[::-1], omega)), np.concatenate((half.conj()[:, ::-1], half), 1)

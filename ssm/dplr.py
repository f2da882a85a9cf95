r"""Convolution kernels of S4: systems with a diagonal plus low-rank state matrix.

With :math:`A = \Lambda - \sum_r P_r Q_r^*`, discretised by the bilinear rule with step
:math:`\Delta`, the discrete matrix is diagonal plus low-rank as well, so that compiled code can run
the rows :math:`C \bar A^l` in O(r N L) operations, several steps at a time as matrix products.
Everywhere else the generating function of the kernel cut off after L entries,

.. math:: \hat K(z) = \sum_{l<L} C \bar A^l \bar B z^l = \tilde C (I - z\bar A)^{-1} \bar B,
          \qquad \tilde C = C (I - z^L \bar A^L),

is sampled, and K is its inverse transform at :math:`z = \rho e^{-2\pi i j/L}`. With
:math:`1 - z = 2\sqrt z\,\sigma` and :math:`1 + z = 2\sqrt z\,\kappa`, hyperbolic sine and cosine of
:math:`-\frac12 \log z`, and :math:`h = \Delta/2`,

.. math:: \hat K = \frac{h}{\sqrt z} \bigl[T_{CB} - \kappa h\, T_{CP}
          (I + \kappa h\, T_{QP})^{-1} T_{QB}\bigr], \qquad
          T_{xy} = \sum_n \frac{x_n y_n}{\sigma - \kappa h \lambda_n},

by Woodbury's identity. Nothing is singular at the Nyquist frequency, :math:`\kappa = 0`, where the
published form in :math:`2(1 - z)/(\Delta(1 + z))` has a node at infinity. The radius is
:math:`\rho = e^{-1/L}`: no entry is amplified by more than e, and systems with modes on the unit
circle, or a normal part :math:`\Lambda` with undamped modes, are sampled away from them. With a
:math:`\tilde C` that is given instead of C the radius is 1, as its definition wants.

References: S4 (arXiv 2111.00396).
"""

from __future__ import annotations

import math

import numpy as np
import scipy.fft

from numerics.arrays import Array, Frame, as_integer
from ssm._cauchy_sums import cauchy_sums, on_host, sums_values
from ssm._dplr_rows import kernel_rows
from ssm._dplr_system import Dplr, checked_system

_DAMPING = 1.0


def dplr_kernel(
    Lambda: Array,
    P: Array,
    B: Array,
    C: Array,
    L: int,
    *,
    dt: Array,
    Q: Array | None = None,
    C_is_tilde: bool = False,
    conj: bool = True,
) -> Array:
    r"""Kernel of diagonal plus low-rank systems (S4) under the bilinear rule.

    .. math:: K_l = C \bar A^l \bar B, \qquad A = \mathrm{diag}(\Lambda) - \sum_r P_r Q_r^*,

    with :math:`\bar A = (I - \tfrac\Delta2 A)^{-1}(I + \tfrac\Delta2 A)` and
    :math:`\bar B = (I - \tfrac\Delta2 A)^{-1} \Delta B`. When ``conj``, the arrays hold one of each
    conjugate pair of modes of a real system, and the kernel is that of the whole system.

    Parameters
    ----------
    Lambda : array, shape (..., N)
        Diagonal part.
    P : array, shape (..., r, N) or (..., N)
        Left factor. It has an axis for the rank if it has more axes than ``Lambda``; without one
        the rank is 1.
    B, C : array, shape (..., N)
        Input and output vectors of the continuous system.
    L : int
        Length, at least 1.
    dt : float or array, shape (...)
        Step; a scalar or one value a system, shaped like the batch axes.
    Q : array, shape of P, optional
        Right factor, which enters conjugated; ``P`` by default.
    C_is_tilde : bool
        ``C`` holds :math:`\tilde C = C(I - \bar A^L)` (:func:`dplr_c_tilde`), which S4 learns in
        place of C: this leaves out the powers of :math:`\bar A`.
    conj : bool
        Whether the arrays hold halves of conjugate pairs. Needs complex ``Lambda``.

    Returns
    -------
    array, shape (..., L)
        Real when ``conj`` or when all input is real; else complex. For single precision the sums
        of the generating function are single, and their denominators double.

    Raises
    ------
    TypeError
        For arrays that hold no numbers or mix libraries, and for ``L`` not an integer.
    ValueError
        For wrong shapes, ``L < 1``, ``dt`` not positive, real ``Lambda`` with ``conj``, and, with
        ``C_is_tilde``, for a mode of ``Lambda`` at one of the L-th roots of unity.

    Notes
    -----
    O(r N L) operations and O(L) memory for each system. NumPy arrays and CPU tensors go through
    compiled code: with C by the rows :math:`C \bar A^l`, in double precision throughout, with
    :math:`\tilde C` by the generating function. On a device and inside torch's transforms it is
    always the generating function, and :math:`\tilde C` takes :math:`O(N^3 \log L)` operations
    more unless it is given. Gradients are analytic, of the order of the kernel's own work. With
    ``C_is_tilde`` a mode of ``Lambda`` whose image lies at a distance :math:`\epsilon` of an L-th
    root of unity amplifies rounding by :math:`1/\epsilon`; without it none lies that close.

    References
    ----------
    Gu, Goel, Re, arXiv 2111.00396 (S4: Cauchy kernel and Woodbury's identity).

    Examples
    --------
    The normal plus low-rank form of a HiPPO system has the kernel of its dense matrix.

    >>> import numpy as np
    >>> from ssm import dense_kernel, discretize, hippo_matrices, nplr
    >>> Lambda, P, B, V = nplr("legt", 8)
    >>> C = np.linspace(-1, 1, 8)
    >>> K = dplr_kernel(Lambda, P, B, C @ V, 100, dt=0.02)
    >>> A_dense, B_dense = discretize(*hippo_matrices("legt", 8), 0.02, method="bilinear")
    >>> np.allclose(K, dense_kernel(A_dense, B_dense, C, 100), atol=1e-12)
    True
    """
    L = as_integer("L", L, minimum=1)
    system, B, C = checked_system(Lambda, P, Q, dt, conj, B=B, C=C)
    return _kernel(system, B, C, L, C_is_tilde)


def state_kernel(
    Lambda: Array,
    P: Array,
    C: Array,
    x0: Array,
    L: int,
    *,
    dt: Array,
    Q: Array | None = None,
    C_is_tilde: bool = False,
    conj: bool = True,
) -> Array:
    r"""Response of diagonal plus low-rank systems to their initial state, without input.

    .. math:: y_k = C \bar A^{k+1} x_{-1}, \qquad k = 0, \ldots, L - 1,

    the term that :func:`ssm_conv` adds for ``state_kernel``. It is the kernel of the continuous
    input vector :math:`(\Delta^{-1} I + \tfrac12 A)\, x_{-1}`.

    Parameters
    ----------
    Lambda, P, C, L, dt, Q, C_is_tilde, conj
        As in :func:`dplr_kernel`.
    x0 : array, shape (..., N)
        State before the first sample, in the coordinates of the modes.

    Returns
    -------
    array, shape (..., L)

    Raises
    ------
    TypeError, ValueError
        As :func:`dplr_kernel`.

    Examples
    --------
    Started from the state that another signal left behind, the system goes on as if it had seen
    both in one.

    >>> import numpy as np
    >>> from ssm import dplr_recurrence, nplr, ssm_conv
    >>> Lambda, P, B, V = nplr("legs", 8)
    >>> C, u = np.ones(4), np.sin(np.arange(60.0))
    >>> y, _ = dplr_recurrence(u, Lambda, P, B, C, dt=0.1)
    >>> _, x = dplr_recurrence(u[:20], Lambda, P, B, C, dt=0.1)
    >>> K = dplr_kernel(Lambda, P, B, C, 40, dt=0.1)
    >>> rest = ssm_conv(u[20:], K, state_kernel=state_kernel(Lambda, P, C, x, 40, dt=0.1))
    >>> np.allclose(rest, y[20:], atol=1e-12)
    True
    """
    L = as_integer("L", L, minimum=1)
    system, C, x0 = checked_system(Lambda, P, Q, dt, conj, C=C, x0=x0)
    start = x0 / system.dt[..., None] + system.apply(x0) / 2
    return _kernel(system, start, C, L, C_is_tilde)


def dplr_c_tilde(
    Lambda: Array,
    P: Array,
    C: Array,
    L: int,
    *,
    dt: Array,
    Q: Array | None = None,
    conj: bool = True,
    inverse: bool = False,
) -> Array:
    r"""Output vector of the kernel cut off at L, :math:`\tilde C = C(I - \bar A^L)`, or back.

    The kernel of :math:`(\bar A, \bar B, \tilde C)` summed over all its length at the L-th roots
    of unity is that of :math:`(\bar A, \bar B, C)` cut off after L entries.

    Parameters
    ----------
    Lambda, P, L, dt, Q, conj
        As in :func:`dplr_kernel`.
    C : array, shape (..., N)
        C, or :math:`\tilde C` if ``inverse``.
    inverse : bool
        Return C, to step with, from the :math:`\tilde C` that was learnt.

    Returns
    -------
    array, shape (..., N)
        Complex when ``conj`` or when one of the arguments is. Differentiable in torch.

    Raises
    ------
    TypeError, ValueError
        As :func:`dplr_kernel`; also for ``inverse`` when :math:`\bar A^L` has the eigenvalue 1.

    References
    ----------
    Gu, Goel, Re, arXiv 2111.00396 (S4).

    Examples
    --------
    A mode of eigenvalue z is read by :math:`1 - z^L` of its weight.

    >>> import numpy as np
    >>> A, none = np.array([-2.0]), np.zeros((0, 1))
    >>> z = (1 - 0.1) / (1 + 0.1)
    >>> C_tilde = dplr_c_tilde(A, none, np.ones(1), 5, dt=0.1, conj=False)
    >>> bool(np.isclose(C_tilde[0], 1 - z**5, rtol=1e-15))
    True
    """
    L = as_integer("L", L, minimum=1)
    system, C = checked_system(Lambda, P, Q, dt, conj, C=C)
    return system.frame.cast(_c_tilde(system, C, L, 0.0, inverse))


def _c_tilde(system: Dplr, C: Array, L: int, damping: float, inverse: bool = False) -> Array:
    r""":math:`C (I - e^{-damping} \bar A^L)` by squaring in the dense, for pairs real, form."""
    frame = system.frame
    xp = frame.xp
    row = system.dense_row(C)
    power = system.dense_bilinear() * math.exp(-damping / L)
    if inverse:
        identity = xp.eye(power.shape[-1], dtype=power.dtype, device=frame.device)
        matrix = xp.matrix_transpose(identity - xp.linalg.matrix_power(power, L))
        row = xp.broadcast_to(row, (*matrix.shape[:-2], row.shape[-1]))
        try:
            solved = xp.linalg.solve(matrix, row[..., None])[..., 0]
        except (np.linalg.LinAlgError, RuntimeError):
            solved = row * math.nan
        if frame.has_values(solved) and not frame.all_finite(solved):
            raise ValueError(
                f"C has no inverse image: the power L = {L} of the discrete matrix has eigenvalue 1"
            )
        return system.half_row(solved)
    moved, rest = row[..., None, :], L
    while rest:
        if rest % 2:
            moved = moved @ power
        rest //= 2
        if rest:
            power = power @ power
    return system.half_row(row - moved[..., 0, :])


def _kernel(system: Dplr, B: Array, C: Array, L: int, is_tilde: bool) -> Array:
    frame = system.frame
    arrays = (system.Lambda, system.P, system.Q, system.dt, B, C)
    if not is_tilde and on_host(frame) and all(map(frame.has_values, arrays)):
        return _by_rows(system, B, C, L)
    damping = 0.0 if is_tilde else _DAMPING
    if not is_tilde:
        C = _c_tilde(system, C, L, damping)
    half = system.conj or system.is_real
    spectrum = _spectrum(system, B, C, L, damping, half)
    _check_values(frame, spectrum, L, is_tilde)
    if frame.is_numpy:
        K = (
            scipy.fft.irfft(spectrum, n=L, overwrite_x=True)
            if half
            else scipy.fft.ifft(spectrum, overwrite_x=True)
        )
    else:
        K = frame.xp.fft.irfft(spectrum, n=L) if half else frame.xp.fft.ifft(spectrum)
    if damping:
        growth = frame.asarray(np.exp(damping / L * np.arange(L)))
        K = K * frame.cast(growth)
    return K.reshape((*system.batch, L))


def _by_rows(system: Dplr, B: Array, C: Array, L: int) -> Array:
    """The row recurrence in compiled code, in double precision."""
    frame, rows = system.frame, system.discrete_rows(B, C)
    if frame.runs_on_host(rows):
        _, (rows,) = frame.to_host(rows)
        K = frame.from_host(kernel_rows(rows, system.conj, L))
    else:
        from ssm._torch_dplr import DplrKernel

        K = DplrKernel.apply(rows, L, system.conj, frame)
    _check_values(frame, K, L, is_tilde=False)
    K = frame.xp.real(K) if system.is_real else K
    return frame.xp.reshape(frame.cast(K), (*system.batch, L))


def _check_values(frame: Frame, values: Array, L: int, is_tilde: bool) -> None:
    if frame.has_values(values) and not frame.all_finite(values):
        if is_tilde:
            raise ValueError(
                "Lambda must have no mode whose bilinear image is an L-th root of unity when"
                f" C_is_tilde=True, got one for L = {L}"
            )
        raise ValueError(
            f"L is too large for these systems, got {L}: they are unstable, and the powers of their"
            " discrete matrices are not finite"
        )


def _spectrum(system: Dplr, B: Array, C: Array, L: int, damping: float, half: bool) -> Array:
    """Samples of the generating function, (systems, points)."""
    frame, r = system.frame, system.rank
    xp = frame.xp
    a, rows = system.cauchy_rows(B, C)
    points = _points(L, damping, L // 2 + 1 if half else L)
    sigma, kappa, phase = (frame.asarray(values) for values in points)
    if frame.runs_on_host(a, rows):
        from ssm._numba_cauchy import woodbury

        sums = np.asarray(sums_values(frame, rows, a, sigma[None], kappa, 1, system.conj))
        out = np.empty((sums.shape[0], sums.shape[2]), sums.dtype)
        woodbury(sums, *(np.asarray(frame.cast(values)) for values in (kappa, phase)), out)
        return frame.from_host(out)
    T = cauchy_sums(frame, rows, a, sigma[None], kappa, paired=system.conj)
    T = xp.permute_dims(T, (0, 2, 1)).reshape((T.shape[0], -1, 1 + r, 1 + r))
    kappa, phase = frame.cast(kappa), frame.cast(phase)
    value = T[..., 0, 0]
    if r:
        identity = xp.eye(r, dtype=T.dtype, device=frame.device)
        capacitance = identity + kappa[:, None, None] * T[..., 1:, 1:]
        solved = xp.linalg.solve(capacitance, T[..., 1:, :1])
        value = value - kappa * (T[..., :1, 1:] @ solved)[..., 0, 0]
    return phase * value


def _points(L: int, damping: float, count: int) -> tuple[np.ndarray, ...]:
    r"""Homogeneous coordinates with :math:`\kappa \ge 0`, and the factor that makes up for it.

    Sines and cosines are taken of exact integer multiples of :math:`\pi/(2L)`, so that
    :math:`\kappa` is 0 at the Nyquist frequency and :math:`\sigma` at 0.
    """
    j = np.arange(count)
    sine, cosine = np.sin(math.pi * j / L), np.sin(math.pi * (L - 2 * j) / (2 * L))
    e = damping / (2 * L)
    sigma = math.sinh(e) * cosine + 1j * (math.cosh(e) * sine)
    kappa = math.cosh(e) * cosine + 1j * (math.sinh(e) * sine)
    size = np.abs(kappa)
    turn = np.where(size > 0, kappa.conj(), 1) / np.where(size > 0, size, 1)
    root = math.exp(e) * (cosine + 1j * sine)
    return sigma * turn, size, root * turn

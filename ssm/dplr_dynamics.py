r"""Diagonal plus low-rank systems in time: their dense form, and their recurrence step by step.

Under the bilinear rule with step :math:`\Delta = 2h` Woodbury's identity keeps the structure of
:math:`A = \Lambda - \sum_r P_r Q_r^*`:

.. math:: \bar A = (I - hA)^{-1}(I + hA) = \mathrm{diag}(\delta) - E G, \quad
          \delta = \frac{1 + h\lambda}{1 - h\lambda}, \quad G = 2 Q^* d, \quad
          E = h d P (I + h Q^* d P)^{-1}, \quad d = (I - h\Lambda)^{-1},

so that a step costs O(N r) operations (S4, arXiv 2111.00396).
"""

from __future__ import annotations

import math

import numpy as np

from numerics._threads import threads
from numerics.arrays import Array, check_real, check_shape
from ssm._dplr_system import Dplr, checked_system
from ssm.convolution import ssm_recurrent

_FEW_STEPS = 16


def dplr_to_dense(
    Lambda: Array,
    P: Array,
    B: Array,
    C: Array,
    *,
    Q: Array | None = None,
    conj: bool = True,
) -> tuple[Array, Array, Array]:
    r"""Dense matrices of diagonal plus low-rank systems, to look at and to compare with.

    .. math:: A = \mathrm{diag}(\Lambda) - \sum_r P_r Q_r^*

    Halves of conjugate pairs give the whole system in the orthonormal real coordinates
    :math:`\sqrt2\,(\mathrm{Re}\,x, \mathrm{Im}\,x)`.

    Parameters
    ----------
    Lambda, P, B, C, Q, conj
        As in :func:`dplr_kernel`.

    Returns
    -------
    A : array, shape (..., M, M)
    B, C : array, shape (..., M)
        M is 2N and all are real when ``conj``; else M is N.

    Raises
    ------
    TypeError, ValueError
        As :func:`dplr_kernel`.

    Examples
    --------
    A HiPPO matrix and its normal plus low-rank form are orthogonally similar: they have the same
    characteristic polynomial, that of LegS being :math:`(s + 1)(s + 2)(s + 3)(s + 4)`.

    >>> import numpy as np
    >>> from ssm import nplr
    >>> Lambda, P, B, _ = nplr("legs", 4)
    >>> A, _, _ = dplr_to_dense(Lambda, P, B, np.ones(2))
    >>> np.poly(A).round(9)
    array([ 1., 10., 35., 50., 24.])
    """
    system, B, C = checked_system(Lambda, P, Q, 1.0, conj, B=B, C=C)
    cast = system.frame.cast
    return cast(system.dense()), cast(system.dense_column(B)), cast(system.dense_row(C))


def dplr_recurrence(
    u: Array,
    Lambda: Array,
    P: Array,
    B: Array,
    C: Array,
    D: Array | None = None,
    x0: Array | None = None,
    *,
    dt: Array,
    Q: Array | None = None,
    conj: bool = True,
) -> tuple[Array, Array]:
    r"""Run diagonal plus low-rank systems over signals and hand back the last state.

    .. math:: x_k = \bar A x_{k-1} + \bar B u_k, \qquad y_k = C x_k + D u_k,

    discretised by the bilinear rule, in O(N r) operations a step. Feeding a signal piece by piece,
    down to single samples, each call starting from the state of the one before, gives the same as
    one call, and the same as convolution with :func:`dplr_kernel`.

    Parameters
    ----------
    u : array, shape (..., L)
        Real signals.
    Lambda, P, B, C, dt, Q, conj
        As in :func:`dplr_kernel`. A learnt :math:`\tilde C` is brought back to C by
        :func:`dplr_c_tilde`.
    D : float or array, shape (...), optional
        Direct term.
    x0 : array, shape (..., N), optional
        State before the first sample, in the coordinates of the modes; zero by default.

    Returns
    -------
    y : array, shape (..., L)
        Real when ``conj`` or when all input is real; else complex.
    x : array, shape (..., N)
        State after the last sample.

    Raises
    ------
    TypeError, ValueError
        As :func:`dplr_kernel`; also for complex ``u``.

    Notes
    -----
    The loop is compiled for NumPy arrays and for CPU tensors that need no gradient. Where a
    gradient is needed, and on a device, more than a few steps run in blocks of the dense form.

    References
    ----------
    Gu, Goel, Re, arXiv 2111.00396 (S4: the recurrence has O(N) cost).

    Examples
    --------
    The step response of LegS, started from rest, tends to :math:`-C A^{-1} B`, here the value of
    the constant input in its first coefficient.

    >>> import numpy as np
    >>> from ssm import nplr
    >>> Lambda, P, B, V = nplr("legs", 8)
    >>> y, _ = dplr_recurrence(np.ones(400), Lambda, P, B, V[0], dt=0.1)
    >>> bool(np.isclose(y[-1], 1.0, rtol=1e-12))
    True
    """
    system, B, C, x0, u, D = checked_system(
        Lambda, P, Q, dt, conj, B=B, C=C, x0=x0, signals={"u": u, "D": D}
    )
    frame = system.frame
    xp = frame.xp
    check_shape("u", u, "L")
    check_real("u", u, frame)
    x = xp.zeros_like(C) if x0 is None else x0
    arrays = (system.Lambda, system.P, system.Q, system.dt, B, C, x, u)
    if frame.runs_on_host(*arrays):
        y, x = _compiled(system, u, B, C, x)
    elif u.shape[-1] <= _FEW_STEPS:
        y, x = _few_steps(system, u, B, C, x)
    else:
        y, x = ssm_recurrent(
            frame.double(u),
            system.dense_bilinear(),
            system.dense_column(system.bilinear_input(B)),
            system.dense_row(C),
            x0=system.dense_column(x),
        )
        x = system.half_column(x)
    if D is not None:
        y = y + D[..., None] * u
    return frame.cast(y), frame.cast(x)


def _few_steps(system: Dplr, u: Array, B: Array, C: Array, x: Array) -> tuple[Array, Array]:
    xp = system.frame.xp
    delta, E, G = discrete = system.bilinear()
    Bd = system.bilinear_input(B, discrete)
    x = xp.broadcast_to(x, (*system.batch, system.order))
    outputs = []
    for k in range(u.shape[-1]):
        read = system.real_part(xp.sum(G * x[..., None, :], axis=-1))
        x = delta * x + Bd * u[..., k, None] - xp.sum(E * read[..., None], axis=-2)
        outputs.append(system.real_part(xp.sum(C * x, axis=-1)))
    if outputs:
        return xp.stack(outputs, axis=-1), x
    empty = xp.zeros((*system.batch, 0), dtype=xp.float64, device=system.frame.device)
    return (empty if system.conj else xp.astype(empty, x.dtype)), x


def _compiled(system: Dplr, u: Array, B: Array, C: Array, x: Array) -> tuple[Array, Array]:
    from ssm._numba_dplr import recurrence

    frame, N, r = system.frame, system.order, system.rank
    M, L = math.prod(system.batch), u.shape[-1]
    kind = np.complex64 if frame.single else np.complex128
    systems = np.ascontiguousarray(system.discrete_rows(B, C), dtype=kind)
    state = np.array(np.broadcast_to(np.asarray(x), (*system.batch, N)).reshape(M, N), kind)
    signals = np.ascontiguousarray(np.broadcast_to(np.asarray(u), (*system.batch, L)))
    y = np.empty((M, L if system.conj else 2 * L), signals.dtype)
    with threads(M, 8 * N * (1 + r) * L):
        recurrence(signals.reshape(M, L), systems, r, system.conj, state, y)
    y, state = (y if system.conj else y.view(kind)), state.reshape(*system.batch, N)
    if system.is_real:
        y, state = np.ascontiguousarray(y.real), np.ascontiguousarray(state.real)
    return frame.from_host(y.reshape(*system.batch, L)), frame.from_host(state)

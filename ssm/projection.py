r"""Online projection of a signal onto the basis of a HiPPO measure (arXiv 2008.07669, 2206.12037).

The state of :math:`x' = A x + B u` holds the coefficients of the best approximation of the past of
``u`` in the measure that made :math:`(A, B)`. Sampled with step :math:`\Delta` it obeys
:math:`x_k = \bar A x_{k-1} + \bar B u_k`, and T steps at once are one matrix product,

.. math:: x_{k+j} = \bar A^{\,j} x_k + \sum_{i=1}^{j} \bar A^{\,j-i} \bar B\, u_{k+i},
          \qquad j = 1, \ldots, T,

so that only every T-th state has to wait for the one before it.
"""

from __future__ import annotations

import math

from numerics.arrays import (
    Array,
    Frame,
    broadcast_batch,
    check_choice,
    check_positive,
    check_real,
    check_shape,
)
from ssm.discretization import discretize
from ssm.hippo import resolve_measure, unit_matrices

_METHODS = ("zoh", "bilinear", "backward", "euler")
_ELEMENTS_A_SYSTEM = 2**21
_ELEMENTS = 2**24


def hippo_project(
    u: Array,
    measure: str,
    N: int,
    dt: float | Array,
    *,
    method: str = "zoh",
    window: float | Array = 1.0,
    final: bool = False,
) -> Array:
    r"""Coefficients of the past of ``u`` in the basis of a HiPPO measure, at every sample.

    .. math:: x_k = \bar A x_{k-1} + \bar B u_k, \qquad x_0 = 0, \quad k = 1, \ldots, L,

    with the system of :func:`ssm.hippo_matrices` discretised by :func:`ssm.discretize`. Sample
    :math:`u_k` lasts from :math:`(k-1)\Delta` to :math:`k\Delta` and :math:`x_k` is the state at
    its end; with zero-order hold it is the exact response to the signal so held. Before the first
    sample the signal is zero.

    Parameters
    ----------
    u : array, shape (..., L)
        Real signals, time last.
    measure : str
        A measure of :func:`ssm.hippo_matrices`. The scale-invariant LegS, whose past starts at a
        fixed moment, is :func:`ssm.legs_project_online`.
    N : int
        Order, at least 1; even for the Fourier measures.
    dt : float or array, shape (...)
        Sampling step in the unit of ``window``: a scalar, or one value a system, shaped like the
        batch axes of ``u``.
    method : {"zoh", "bilinear", "backward", "euler"}
        Rule of discretisation.
    window : float or 0-d array
        Unit of time of the measure: the length of a sliding window, the time constant of a fading
        one.
    final : bool
        Return the state after the last sample only, without storing the others.

    Returns
    -------
    array, shape (..., L, N), or (..., N) when ``final``
        Coefficients in the kind and precision of the input, differentiable in ``u``, ``dt`` and
        ``window``. An empty signal gives an empty result, or the zero state when ``final``.

    Raises
    ------
    TypeError
        For complex ``u`` or ``dt``, arrays that hold no numbers, or mixed array libraries.
    ValueError
        For an unknown ``measure`` or ``method``, ``N`` < 1 or odd for a Fourier measure, ``dt`` or
        ``window`` not positive, ``dt`` that does not broadcast with the batch axes of ``u``, and
        values that are not finite.

    Warns
    -----
    RuntimeWarning
        When the Euler rule is unstable at this step.

    Notes
    -----
    The parameters are computed in double precision. With blocks of T steps the cost is
    :math:`2 N (N + T)` operations a step, all of it in matrix products, and the memory beside the
    result is bounded.

    References
    ----------
    Gu, Dao, Ermon, Rudra, Re, arXiv 2008.07669; Gu, Johnson, Timalsina, Rudra, Re,
    arXiv 2206.12037.

    Examples
    --------
    A line that has filled the window of LegT is a polynomial of degree 1, and only two
    coefficients remain.

    >>> import numpy as np
    >>> from ssm import hippo_project
    >>> t = np.linspace(0, 4, 4001)[1:]
    >>> x = hippo_project(t - 0.0005, "legt", 16, dt=0.001, final=True)
    >>> np.allclose(x, [3.5, 1 / np.sqrt(12)] + 14 * [0], atol=1e-5)
    True
    """
    frame, N, window, alpha, beta, (u, dt) = resolve_measure(
        measure, N, window=window, alpha=0.0, beta=1.0, u=u, dt=dt
    )
    check_real("u", u, frame)
    check_shape("u", u, "L")
    check_choice("method", method, _METHODS)
    check_positive("dt", dt, frame)
    batch = broadcast_batch(u=tuple(u.shape[:-1]), dt=tuple(dt.shape))
    L = u.shape[-1]
    if L == 0 or 0 in batch:
        shape = (*batch, N) if final else (*batch, L, N)
        return frame.xp.zeros(shape, dtype=frame.real, device=frame.device)
    A, B = unit_matrices(frame, measure, N, alpha, beta)
    Ad, Bd = discretize(A, B, frame.double(dt) / window, method=method)
    if Ad.ndim == 2:
        u = frame.xp.reshape(u, (math.prod(batch), L))
    project = _final_state if final else _all_states
    T = _block_length(frame, N, u, systems=math.prod(dt.shape), final=final)
    states = project(frame, u, Ad, Bd, T)
    return frame.xp.reshape(states, (*batch, N) if final else (*batch, L, N))


def _block_length(frame: Frame, N: int, u: Array, *, systems: int, final: bool) -> int:
    """A power of two at which the matrices of a block stay within the memory allowed.

    A longer block takes more operations and fewer steps that wait for each other, which weigh less
    the more signals take them together, and most on an accelerator.
    """
    limit = min(_ELEMENTS_A_SYSTEM, _ELEMENTS // systems)
    *batch, L = u.shape
    if final:
        most = max(N, 512)
    elif frame.is_numpy or (frame.is_torch and frame.device.type == "cpu"):
        most = 32 if math.prod(batch) < 16 else 16
    else:
        most = 256
    most = min(L, most)
    T = 1
    while most > T:
        size = 2 * T * N if final else 2 * T * (2 * T + N) * N
        if size > limit:
            break
        T *= 2
    return T


def _all_states(frame: Frame, u: Array, Ad: Array, Bd: Array, T: int) -> Array:
    xp = frame.xp
    L, N = u.shape[-1], Bd.shape[-1]
    blocks = _in_blocks(frame, u, T, behind=True)
    impulses, jump = _krylov(frame, Ad, Bd, T)
    ends = _product(frame, blocks, frame.cast(xp.flip(impulses, axis=-2)))
    batch = tuple(ends.shape[:-2])
    jump = frame.cast(xp.matrix_transpose(jump))
    state = xp.zeros((*batch, N), dtype=ends.dtype, device=frame.device)
    carried = [state]
    for block in range(blocks.shape[-2] - 1):
        state = _moved(state, jump) + ends[..., block, :]
        carried.append(state)
    before = xp.stack(carried, axis=-2)
    known = xp.concat((xp.broadcast_to(blocks, (*batch, *blocks.shape[-2:])), before), axis=-1)
    states = _product(frame, known, frame.cast(_block_matrix(frame, impulses, Ad)))
    return xp.reshape(states, (*batch, -1, N))[..., :L, :]


def _final_state(frame: Frame, u: Array, Ad: Array, Bd: Array, T: int) -> Array:
    xp = frame.xp
    blocks = _in_blocks(frame, u, T, behind=False)
    impulses, jump = _krylov(frame, Ad, Bd, T)
    ends = _product(frame, blocks, frame.cast(xp.flip(impulses, axis=-2)))
    jump = frame.cast(xp.matrix_transpose(jump))
    state = ends[..., 0, :]
    for block in range(1, blocks.shape[-2]):
        state = _moved(state, jump) + ends[..., block, :]
    return state


def _in_blocks(frame: Frame, u: Array, T: int, *, behind: bool) -> Array:
    """Signals cut into blocks, (..., blocks, T), with zeros behind or in front to fill them up."""
    xp = frame.xp
    missing = -u.shape[-1] % T
    if missing:
        zeros = xp.zeros((*u.shape[:-1], missing), dtype=u.dtype, device=frame.device)
        u = xp.concat((u, zeros) if behind else (zeros, u), axis=-1)
    return xp.reshape(u, (*u.shape[:-1], u.shape[-1] // T, T))


def _krylov(frame: Frame, Ad: Array, Bd: Array, T: int) -> tuple[Array, Array]:
    r"""Impulse responses :math:`\bar A^{\,l} \bar B`, l < T, as rows, and :math:`\bar A^{\,T}`."""
    xp = frame.xp
    rows, power = Bd[..., None, :], Ad
    while rows.shape[-2] < T:
        rows = xp.concat((rows, rows @ xp.matrix_transpose(power)), axis=-2)
        power = power @ power
    return rows, power


def _block_matrix(frame: Frame, impulses: Array, Ad: Array) -> Array:
    """Matrix (T + N, T N) from the samples of a block and the state before it to its states."""
    xp = frame.xp
    T, N = impulses.shape[-2:]
    batch = tuple(impulses.shape[:-2])
    powers = xp.matrix_transpose(Ad)[..., None, :]
    while powers.shape[-2] < T:
        rows = xp.reshape(powers, (*batch, -1, N)) @ powers[..., -1, :]
        powers = xp.concat((powers, xp.reshape(rows, tuple(powers.shape))), axis=-2)
    zeros = xp.zeros((*batch, T - 1, N), dtype=impulses.dtype, device=frame.device)
    padded = xp.concat((zeros, impulses), axis=-2)
    rows = [
        xp.reshape(padded[..., T - 1 - i : 2 * T - 1 - i, :], (*batch, 1, T * N)) for i in range(T)
    ]
    return xp.concat((*rows, xp.reshape(powers, (*batch, N, T * N))), axis=-2)


def _moved(state: Array, jump: Array) -> Array:
    """States (..., N) as rows times one matrix, or times the matrix of their own system."""
    return state @ jump if jump.ndim == 2 else (state[..., None, :] @ jump)[..., 0, :]


def _product(frame: Frame, rows: Array, matrix: Array) -> Array:
    """``rows @ matrix``; one product for all batch axes when they share the matrix."""
    xp = frame.xp
    if matrix.ndim == 2:
        flat = xp.reshape(rows, (-1, rows.shape[-1])) @ matrix
        return xp.reshape(flat, (*rows.shape[:-1], matrix.shape[-1]))
    return rows @ matrix

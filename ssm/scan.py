r"""First-order linear recurrences with coefficients that change from step to step.

.. math:: h_t = a_t h_{t-1} + b_t

is the recurrence of diagonal and of selective state-space models, and what both need of a sequence.
It is associative in its steps (arXiv 1709.04057), so it can be run in any grouping; here it runs in
one pass over the data on a CPU and on CUDA, and in logarithmically many rounds elsewhere.
"""

from __future__ import annotations

import numpy as np

from numerics.arrays import Array, Frame, as_arrays, as_integer, check_finite
from ssm._linear_scan import scan_compiled, scan_parallel


def linear_scan(
    a: Array,
    b: Array,
    h0: Array | None = None,
    *,
    axis: int = -2,
    reverse: bool = False,
    chunk: int | None = None,
) -> Array:
    r"""All states of a linear recurrence with diagonal coefficients.

    .. math:: h_t = a_t h_{t-1} + b_t, \qquad t = 1, \ldots, L, \qquad
              \text{or, when reversed,}\quad h_t = a_t h_{t+1} + b_t, \qquad t = L, \ldots, 1.

    Nothing is divided by products of coefficients, so decays may be as strong as they like, zero
    included.

    Parameters
    ----------
    a : array, shape (..., L, N)
        Coefficients, real or complex.
    b : array, shape (..., L, N)
        Inputs, real or complex. ``a`` and ``b`` broadcast against each other in all axes: one
        coefficient a channel, shape (N,), is a system that does not change with time. What is
        broadcast, here or by the caller, is not copied.
    h0 : array, shape (..., N), optional
        State before the first step (after the last one when reversed); zero by default.
    axis : int
        Axis of time in the broadcast shape of ``a`` and ``b``; -1 for scalar signals (..., L).
    reverse : bool
        Run from the last step to the first: flip both, scan, and flip the result.
    chunk : int, optional
        Where there is no compiled kernel (on accelerators without Triton, inside
        ``torch.compile`` and ``torch.func`` transforms): the number of steps taken at once, in
        about twice the logarithm of ``chunk`` rounds; each chunk starts from the last state before
        it. The default is all; fewer need less memory. Elsewhere it has no effect.

    Returns
    -------
    array, shape (..., L, N)
        The states, complex if an argument is. Differentiable in torch, any number of times, by
        scans in the other direction that keep no graph of the steps.

    Raises
    ------
    TypeError
        For arrays that hold no numbers, mixed array libraries and a ``chunk`` or ``axis`` that is
        no integer.
    ValueError
        For shapes that do not broadcast, an ``axis`` out of range, ``chunk`` < 1, and values that
        are not finite.

    Notes
    -----
    On the host and in CUDA kernels a state is carried from step to step in double precision, also
    for single precision arrays, whose result is then as good as their values. On accelerators, and
    with several steps taken at once, products of up to ``chunk`` coefficients are formed, which
    overflow for strongly growing systems even where the states do not.

    References
    ----------
    Martin, Cundy, arXiv 1709.04057 (linear recurrences as parallel scans, and their gradient).
    Smith, Warrington, Linderman, arXiv 2208.04933 (S5: scans in state-space models).

    Examples
    --------
    With coefficients one it is a running sum; a coefficient of zero starts anew.

    >>> import numpy as np
    >>> linear_scan(1.0, np.array([1.0, 2.0, 3.0, 4.0]), axis=-1)
    array([ 1.,  3.,  6., 10.])
    >>> linear_scan(np.array([1.0, 1.0, 0.0, 1.0]), np.arange(1.0, 5.0), axis=-1)
    array([1., 3., 3., 7.])

    Run in reverse it discounts what is still to come, and a scan in two pieces is one scan.

    >>> linear_scan(0.5, np.array([0.0, 0.0, 8.0]), axis=-1, reverse=True)
    array([2., 4., 8.])
    >>> a, b = np.array([0.5, -0.9]), np.ones((6, 2))
    >>> h = linear_scan(a, b[:4])
    >>> bool(np.allclose(linear_scan(a, b[4:], h[-1]), linear_scan(a, b)[4:]))
    True
    """
    frame, a, b, h0 = as_arrays(finite=False, a=a, b=b, h0=h0)
    if chunk is not None:
        chunk = as_integer("chunk", chunk, minimum=1)
    given = {"a": a, "b": b} if h0 is None else {"a": a, "b": b, "h0": h0}
    a, b, h0, axis = _aligned(frame, a, b, h0, axis)
    a, b = frame.common_dtype(a, frame.cast(b))
    if h0 is not None:
        a, b, h0 = frame.common_dtype(a, b, h0)
    if not all(map(frame.has_values, given.values())):
        return scan_parallel(frame, a, b, h0, axis, reverse, False, chunk)
    if frame.is_numpy:
        h = scan_compiled(a, b, h0, axis, reverse, False)
    else:
        from ssm._torch_scan import LinearScan

        h = LinearScan.apply(a, b, h0, axis, reverse, False, chunk, frame)
    # What is not finite stays so to the last step, whatever it is multiplied by, zero included.
    end = (..., slice(0, 1) if reverse else slice(-1, None), *(slice(None),) * (-axis - 1))
    if 0 in h.shape or not frame.all_finite(h[end]):
        for name, array in given.items():
            check_finite(name, array, frame)
    return h


def _aligned(
    frame: Frame, a: Array, b: Array, h0: Array | None, axis: int
) -> tuple[Array, Array, Array | None, int]:
    """Bring the arrays to equal rank, ``h0`` with one step, and ``axis`` to its negative form."""
    try:
        shape = np.broadcast_shapes(tuple(a.shape), tuple(b.shape))
    except ValueError:
        raise ValueError(
            f"a and b must broadcast against each other, got shapes {tuple(a.shape)} and"
            f" {tuple(b.shape)}"
        ) from None
    rank = len(shape)
    axis = as_integer("axis", axis, minimum=-rank)
    if axis >= rank or rank == 0:
        raise ValueError(f"axis must be an axis of the shape {shape} of a and b, got {axis}")
    axis = axis - rank if axis >= 0 else axis
    if h0 is None:
        return *(_with_rank(frame, array, rank) for array in (a, b)), None, axis
    rest = shape[:axis] + shape[rank + axis + 1 :]
    try:
        np.broadcast_shapes(rest, tuple(h0.shape))
    except ValueError:
        raise ValueError(
            f"h0 must broadcast with shape {rest}, that of one step, got {tuple(h0.shape)}"
        ) from None
    rank = max(rank, h0.ndim + 1)
    h0 = frame.xp.expand_dims(_with_rank(frame, h0, rank - 1), axis=axis)
    return _with_rank(frame, a, rank), _with_rank(frame, b, rank), h0, axis


def _with_rank(frame: Frame, array: Array, rank: int) -> Array:
    return frame.xp.reshape(array, (1,) * (rank - array.ndim) + tuple(array.shape))

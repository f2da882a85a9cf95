r"""State spaces whose matrix is a companion matrix: shift, with one column of coefficients.

With :math:`p \in \mathbb{C}^d` the matrix is :math:`A = S + p\, e_{d-1}^T`, where S shifts the
state down by one. It is multiplication by x modulo :math:`x^d - \sum_i p_i x^i`, and so the
sequence :math:`s_k = c^T A^k e_0` begins with c and goes on by the recurrence
:math:`s_{k+d} = \sum_i p_i s_{k+i}`. Every autoregressive model is such a system (SpaceTime,
arXiv:2303.09489).

The kernel :math:`K_l = c^T A^l b` needs neither A nor a resolvent. Expanding :math:`(I - zA)^{-1}`
about the shift gives

.. math:: \sum_l K_l z^l = R_{cb}(z) + z\, \frac{R_{cp}(z)\, R_{eb}(z)}{1 - \sum_i p_i z^{d-i}},
          \qquad R_{uv}(z) = \sum_{l<d} z^l \sum_j u_{l+j} v_j ,

three polynomials and one all-pole recurrence, which is as good at a root on the unit circle as
anywhere: where the resolvent at the roots of unity, the published route, divides by zero, nothing
is divided here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from numerics._threads import threads
from numerics.arrays import (
    Array,
    Frame,
    as_arrays,
    as_integer,
    broadcast_batch,
    check_choice,
    check_shape,
)
from ssm._companion_kernel import kernel_double, resolvent_double

_ALGORITHMS = ("auto", "fft", "filter", "resolvent")
_SMALLEST_NORM = 1e-4


def companion_matrix(p: Array) -> Array:
    r"""Dense companion matrix :math:`A = S + p\, e_{d-1}^T`, ones below the diagonal and p last.

    Nothing else in this module forms it; it is here to look at and to compare with.

    Parameters
    ----------
    p : array, shape (..., d)
        Last column, real or complex; NumPy or torch.

    Returns
    -------
    array, shape (..., d, d)
        The matrices, in the kind and precision of ``p``.

    Raises
    ------
    ValueError
        If ``p`` has no entries or is not finite.

    References
    ----------
    arXiv:2303.09489 (SpaceTime).

    Examples
    --------
    The characteristic polynomial is :math:`x^d - \sum_i p_i x^i`.

    >>> import numpy as np
    >>> A = companion_matrix(np.array([6.0, -11.0, 6.0]))
    >>> A
    array([[  0.,   0.,   6.],
           [  1.,   0., -11.],
           [  0.,   1.,   6.]])
    >>> np.sort(np.linalg.eigvals(A)).round(9)
    array([1., 2., 3.])
    """
    frame, p = as_arrays(p=p)
    d = _order(p=p)
    xp = frame.xp
    shift = xp.eye(d, k=-1, dtype=p.dtype, device=frame.device)[:, : d - 1]
    shift = xp.broadcast_to(shift, (*p.shape[:-1], d, d - 1))
    return xp.concat([shift, p[..., None]], axis=-1)


def companion_extend(p: Array, c: Array, M: int) -> Array:
    r"""Extend c by the recurrence of p: :math:`s_k = c^T A^k e_0`, k = 0..M-1.

    .. math:: s_k = c_k \quad (k < d), \qquad s_{k+d} = \sum_{i=0}^{d-1} p_i s_{k+i}.

    The row vector :math:`c^T A^l` is :math:`(s_l, \ldots, s_{l+d-1})`.

    Parameters
    ----------
    p, c : array, shape (..., d)
        Coefficients and first values, real or complex; batch axes broadcast.
    M : int
        Number of entries in all, those of ``c`` included; at least 1.

    Returns
    -------
    array, shape (..., M)
        The sequence, with the accuracy that :func:`companion_kernel` states.

    Raises
    ------
    ValueError
        If the last axes of ``p`` and ``c`` differ or are empty, or ``M`` is below 1.
    TypeError
        If ``p`` and ``c`` are of different array libraries, or ``M`` is not an integer.
    OverflowError
        If the sequence exceeds the range of double precision.

    Examples
    --------
    With p = (1, 1) the recurrence is that of the Fibonacci numbers.

    >>> import numpy as np
    >>> companion_extend(np.array([1.0, 1.0]), np.array([0.0, 1.0]), 10)
    array([ 0.,  1.,  1.,  2.,  3.,  5.,  8., 13., 21., 34.])
    """
    frame, p, c = as_arrays(p=p, c=c)
    _order(p=p, c=c)
    M = as_integer("M", M, minimum=1)
    p, c = _double(frame, p=p, c=c)
    return frame.cast(_extend_double(frame, p, c, M))


def companion_kernel(p: Array, b: Array, c: Array, L: int, *, algorithm: str = "auto") -> Array:
    r"""Convolution kernel :math:`K_l = c^T A^l b`, l = 0..L-1, of a companion state space.

    Memory is O(d + L) for each system. Time is O(dL) for short systems, where that is less, and
    :math:`O((d + L) \log (d + L))` for long ones. With ``algorithm="auto"`` the error is at most
    1e-12 of the largest :math:`|K_l|` in double precision, roots on the unit circle and repeated
    ones included: each result comes with an estimate of its rounding error, and one that fails is
    computed again in O(dL), with double-double arithmetic and at last with integers of as many
    digits as it takes.

    Parameters
    ----------
    p, b, c : array, shape (..., d)
        Last column of the companion matrix, input and output vectors, real or complex; batch axes
        broadcast.
    L : int
        Length of the kernel, at least 1.
    algorithm : {"auto", "filter", "fft", "resolvent"}
        ``"filter"`` runs the recurrence itself in O(dL), ``"fft"`` runs it by blocks with fast
        Fourier transforms, ``"auto"`` takes the faster of these and guards the error. The named
        ones do what they say in plain double precision. ``"resolvent"`` is the published route
        through the values at the roots of unity; an eigenvalue that is an L-th root of unity makes
        it NaN, infinite or plainly wrong, and it is here for comparison.

    Returns
    -------
    array, shape (..., L)
        The kernels, in the kind and precision of the input. Single-precision input is computed in
        double precision and rounded once. Torch results are differentiable in p, b and c, twice.

    Raises
    ------
    ValueError
        If the last axes of ``p``, ``b`` and ``c`` differ or are empty, batch axes do not broadcast,
        a value is not finite, ``L`` is below 1 or ``algorithm`` is unknown.
    TypeError
        If the arguments are of different array libraries, or ``L`` is not an integer.
    OverflowError
        If the kernel exceeds the range of double precision, with ``"auto"``.

    References
    ----------
    arXiv:2303.09489 (SpaceTime) for the system and the resolvent form.

    Examples
    --------
    A random walk has its root on the unit circle: the kernel of the recurrence is 1 for ever, while
    the resolvent divides by zero.

    >>> import numpy as np
    >>> p, b, c = np.array([0.0, 1.0]), np.array([1.0, 0.0]), np.array([1.0, 1.0])
    >>> companion_kernel(p, b, c, 5)
    array([1., 1., 1., 1., 1.])
    >>> bool(np.isfinite(companion_kernel(p, b, c, 5, algorithm="resolvent")).all())
    False
    """
    frame, p, b, c = as_arrays(p=p, b=b, c=c)
    _order(p=p, b=b, c=c)
    L = as_integer("L", L, minimum=1)
    check_choice("algorithm", algorithm, _ALGORITHMS)
    p, b, c = _double(frame, p=p, b=b, c=c)
    if algorithm == "resolvent":
        tilde = c - _extend_double(frame, p, c, L + p.shape[-1])[..., L:]
        return frame.cast(resolvent_double(frame, p, b, tilde, L))
    return frame.cast(kernel_double(frame, p, b, c, L, algorithm))


def companion_c_tilde(p: Array, c: Array, L: int) -> Array:
    r"""Output vector of the kernel cut off at L: :math:`\tilde c = (I - A^L)^T c`.

    The kernel of :math:`(A, b, \tilde c)` summed over all its length at the L-th roots of unity is
    that of (A, b, c) cut off after L entries, which is what the resolvent form uses.

    Parameters
    ----------
    p, c : array, shape (..., d)
        Last column of the companion matrix and output vector; batch axes broadcast.
    L : int
        Length, at least 1.

    Returns
    -------
    array, shape (..., d)
        :math:`\tilde c`, differentiable in torch.

    Raises
    ------
    ValueError
        If the last axes of ``p`` and ``c`` differ or are empty, or ``L`` is below 1.
    TypeError
        If ``p`` and ``c`` are of different array libraries, or ``L`` is not an integer.

    References
    ----------
    arXiv:2303.09489 (SpaceTime).

    Examples
    --------
    The powers of a cyclic shift repeat, so nothing is left after a whole number of periods.

    >>> import numpy as np
    >>> companion_c_tilde(np.array([1.0, 0.0, 0.0]), np.array([1.0, 2.0, 3.0]), 6)
    array([0., 0., 0.])
    """
    frame, p, c = as_arrays(p=p, c=c)
    d = _order(p=p, c=c)
    L = as_integer("L", L, minimum=1)
    p, c = _double(frame, p=p, c=c)
    return frame.cast(c - _extend_double(frame, p, c, L + d)[..., L:])


def companion_forecast(
    p: Array, b: Array, c: Array, k: Array, x_lag: Array, H: int
) -> tuple[Array, Array]:
    r"""Run a companion state space on its own predictions, from a given state.

    The next input is read from the state by k, so that for h = 0..H-1

    .. math:: y_h = c^T (A + b k^T)^h x_{lag}, \qquad u_h = k^T (A + b k^T)^h x_{lag}.

    The first entries read ``x_lag`` itself, with no further input. Each step costs O(d): A is a
    shift and a column, and :math:`b k^T` an inner product.

    Parameters
    ----------
    p, b, c, k : array, shape (..., d)
        Last column of the companion matrix, input, output and feedback vectors.
    x_lag : array, shape (..., d)
        State after the last observed input. Batch axes of all five broadcast.
    H : int
        Number of steps, at least 1.

    Returns
    -------
    y : array, shape (..., H)
        Outputs.
    u_next : array, shape (..., H)
        Inputs that the system gives itself.

    Raises
    ------
    ValueError
        If the last axes differ or are empty, batch axes do not broadcast, or ``H`` is below 1.
    TypeError
        If the arguments are of different array libraries, or ``H`` is not an integer.

    References
    ----------
    arXiv:2303.09489 (SpaceTime), the closed-loop decoder.

    Examples
    --------
    A shift register (p = 0) that feeds itself the sum of its last two values.

    >>> import numpy as np
    >>> zero, first, both = np.array([0.0, 0]), np.array([1.0, 0]), np.array([1.0, 1])
    >>> y, u = companion_forecast(zero, first, first, both, np.array([1.0, 0]), 8)
    >>> u
    array([ 1.,  2.,  3.,  5.,  8., 13., 21., 34.])
    """
    frame, p, b, c, k, x_lag = as_arrays(p=p, b=b, c=c, k=k, x_lag=x_lag)
    _order(p=p, b=b, c=c, k=k, x_lag=x_lag)
    H = as_integer("H", H, minimum=1)
    xp = frame.xp
    if frame.runs_on_host(p, b, c, k, x_lag):
        from ssm import _numba_companion

        p, b, c, k, x = _double(frame, p=p, b=b, c=c, k=k, x_lag=x_lag)
        batch, d = _shape(p)[:-1], p.shape[-1]
        p, b, c, k, x = (np.ascontiguousarray(v).reshape(-1, d) for v in (p, b, c, k, x))
        y, u = np.empty((2, p.shape[0], H), p.dtype)
        with threads(p.shape[0], 4 * d * H):
            _numba_companion.forecast(p, b, c, k, x.copy(), y, u)
        return tuple(frame.cast(xp.asarray(v.reshape(*batch, H))) for v in (y, u))
    from ssm._torch_closed_loop import closed_loop

    systems = {"p": p, "b": b, "c": c, "k": k, "x_lag": x_lag}
    batch = broadcast_batch(**{name: _shape(v)[:-1] for name, v in systems.items()})
    p, b, c, k, x = (frame.double(v) for v in frame.common_dtype(*systems.values()))
    y, u = closed_loop(p, b, c, k, x, H)
    return tuple(frame.cast(xp.broadcast_to(v, (*batch, H))) for v in (y, u))


def normalize_companion(p: Array) -> Array:
    r"""Divide p by the sum of its absolute values, so that no eigenvalue of A exceeds 1.

    .. math:: p / \lVert p \rVert_1, \qquad \text{or p itself where } \lVert p \rVert_1 < 10^{-4}.

    Parameters
    ----------
    p : array, shape (..., d)
        Last column of the companion matrix, real or complex.

    Returns
    -------
    array, shape (..., d)
        The normalised column, differentiable in torch.

    Raises
    ------
    ValueError
        If ``p`` has no entries or is not finite.

    References
    ----------
    arXiv:2303.09489 (SpaceTime).

    Examples
    --------
    >>> import numpy as np
    >>> p = normalize_companion(np.array([3.0, -1.0, 4.0]))
    >>> p
    array([ 0.375, -0.125,  0.5  ])
    >>> bool(np.abs(np.linalg.eigvals(companion_matrix(p))).max() <= 1 + 1e-15)
    True
    """
    frame, p = as_arrays(p=p)
    _order(p=p)
    xp = frame.xp
    norm = xp.sum(xp.abs(p), axis=-1, keepdims=True)
    return p / xp.where(norm < _SMALLEST_NORM, xp.ones_like(norm), norm)


def _order(**arguments: Array) -> int:
    """The common length of the last axes, at least 1."""
    first, *_ = arguments
    check_shape(first, arguments[first], "d")
    d = int(arguments[first].shape[-1])
    if d == 0:
        shape = _shape(arguments[first])
        raise ValueError(
            f"{first} must have at least one entry on its last axis, got shape {shape}"
        )
    for name, array in arguments.items():
        check_shape(name, array, d)
    return d


def _shape(array: Array) -> tuple[int, ...]:
    return tuple(array.shape)


def _double(frame: Frame, **arguments: Array) -> tuple[Any, ...]:
    """The arguments broadcast to one shape, in one dtype of double precision."""
    batch = broadcast_batch(**{name: _shape(v)[:-1] for name, v in arguments.items()})
    arrays = frame.common_dtype(*arguments.values())
    shape = (*batch, arrays[0].shape[-1])
    return tuple(frame.xp.broadcast_to(frame.double(v), shape) for v in arrays)


def _extend_double(frame: Frame, p: Array, c: Array, M: int) -> Array:
    first = frame.xp.zeros(p.shape, dtype=p.dtype, device=frame.device)
    first[..., 0] = 1
    return kernel_double(frame, p, first, c, M, "auto")

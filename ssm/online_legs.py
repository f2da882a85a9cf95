r"""The scale-invariant LegS projection: all of the past, equally weighted (arXiv 2008.07669).

At time t the coefficients are those of the signal on [0, t] in the Legendre polynomials stretched
over it, and more generally, for an increasing warp :math:`a(t) \ge 0`,

.. math:: c_n(t) = \int_0^t u(s)\, R_n P_n\!\left(2\tfrac{a(s)}{a(t)} - 1\right)
                   \frac{a'(s)}{a(t)}\, ds, \qquad R_n = \sqrt{2n+1},

which solves :math:`c' = (a'/a)(A c + B u)` with the LegS system. The warp :math:`a = t` is the
original method; :math:`a = e^{\gamma t}` gives the time-invariant system
:math:`(\gamma A, \gamma B)`.

For a signal that is constant over each sample the step from one sample edge to the next is exact,

.. math:: c_k = u_k e_0 + D(r_k)\,(c_{k-1} - u_k e_0), \qquad r_k = a_{k-1}/a_k,

because only the part of the signal that differs from :math:`u_k` has to be dilated. The dilation
:math:`D(r) = e^{A \log(1/r)}` has the rows :math:`r\,q_n`, where :math:`q_n` holds the coefficients
of :math:`R_n P_n(2rx-1)` in the polynomials :math:`R_m P_m(2x-1)`. They follow from the three-term
recurrence of the Legendre polynomials with multiplication by x as a tridiagonal matrix: stable,
O(N^2) a step, and without a matrix exponential.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from numerics._threads import torch_threads_kept
from numerics.arrays import (
    Array,
    Frame,
    as_arrays,
    as_integer,
    check_choice,
    check_real,
    check_shape,
)
from ssm.hippo import unit_matrices

_ALPHA = {"exact": None, "bilinear": 0.5, "backward": 1.0, "euler": 0.0}
_CHUNK_ELEMENTS = 2**19


def legs_project_online(
    u: Array,
    N: int,
    *,
    method: str = "exact",
    warp: Array | Callable[[Array], Array] | None = None,
    final: bool = False,
) -> Array:
    r"""Legendre coefficients of all of ``u`` so far, at every sample, by a recurrence.

    .. math:: c_k = u_k e_0 + M_k\,(c_{k-1} - u_k e_0), \qquad c_0 = 0, \quad k = 1, \ldots, L,

    with the relative step :math:`h_k = (a_k - a_{k-1})/a_k`, which is :math:`1/k` without a warp,
    and

    ============ ===============================================================================
    method       :math:`M_k`
    ============ ===============================================================================
    ``exact``    :math:`e^{-A\log(1 - h_k)}`: the true projection of the signal held over each
                 sample
    ``bilinear`` :math:`(I - h_k A/2)^{-1}(I + h_k A/2)`
    ``backward`` :math:`(I - h_k A)^{-1}`
    ``euler``    :math:`I + h_k A`
    ============ ===============================================================================

    Parameters
    ----------
    u : array, shape (..., L)
        Real signals, time last; sample k lasts from edge k - 1 to edge k.
    N : int
        Number of coefficients, at least 1.
    method : {"exact", "bilinear", "backward", "euler"}
        Step. ``euler`` is unstable while :math:`h_k N > 2`, which the first N/2 samples always are
        without a warp.
    warp : callable or array, shape (L + 1,), optional
        The warp a at the sample edges 0, ..., L: its values, or a function of the array of edges,
        counted in samples. Increasing, not negative, positive from edge 1 on. The default is
        :math:`a(t) = t`. With a(0) > 0 there is a past of zeros before the first sample.
    final : bool
        Return the coefficients after the last sample only, without storing the others. The exact
        ones are then computed by one direct projection in O(L N).

    Returns
    -------
    array, shape (..., L, N), or (..., N) when ``final``
        Coefficients in the kind and precision of ``u``, differentiable in ``u`` and in the values
        of ``warp``. An empty signal gives an empty result, or zeros when ``final``.

    Raises
    ------
    TypeError
        For complex ``u`` or ``warp``, arrays that hold no numbers, or mixed array libraries.
    ValueError
        For ``N`` < 1, an unknown ``method``, a warp of the wrong shape or not increasing, and
        values that are not finite.

    Warns
    -----
    RuntimeWarning
        When the Euler rule is unstable at some step.

    See Also
    --------
    hippo_reconstruct : with measure ``"legs_scaled"``, from coefficients to the signal.

    Notes
    -----
    Operations a step: about 4 N^2 for ``exact``, O(N) for the others, which use that the lower
    triangle of A is of rank 1. NumPy arrays and torch tensors on the CPU take compiled loops with
    analytic gradients; other devices, and a warp that requires a gradient, a path of matrix
    products.

    References
    ----------
    Gu, Dao, Ermon, Rudra, Re, arXiv 2008.07669 (LegS and its discretisations).

    Examples
    --------
    The first coefficient is the mean of the signal so far, and a change of the time scale changes
    nothing.

    >>> import numpy as np
    >>> from ssm import legs_project_online
    >>> u = np.array([3.0, 1.0, 2.0, 6.0])
    >>> c = legs_project_online(u, 3)
    >>> c[:, 0]
    array([3., 2., 2., 3.])
    >>> np.allclose(c, legs_project_online(u, 3, warp=lambda t: 5.0 * t))
    True
    """
    frame, u = as_arrays(u=u)
    check_real("u", u, frame)
    check_shape("u", u, "L")
    N = as_integer("N", N, minimum=1)
    check_choice("method", method, _ALPHA)
    alpha = _ALPHA[method]
    edges = _edges(frame, u, warp)
    *batch, L = u.shape
    if L == 0 or 0 in batch:
        shape = (*batch, N) if final else (*batch, L, N)
        return frame.xp.zeros(shape, dtype=frame.real, device=frame.device)
    if alpha is None and final:
        return _direct_projection(frame, u, N, edges)
    ratio = edges[:-1] / edges[1:]
    step = (edges[1:] - edges[:-1]) / edges[1:]
    if method == "euler":
        _warn_if_unstable(N, float(frame.xp.max(step)))
    on_host = frame.is_numpy or (
        frame.is_torch and frame.device.type == "cpu" and not edges.requires_grad
    )
    if not on_host:
        return _stepped(frame, u, N, ratio, step, alpha, final)
    signals = frame.xp.reshape(u, (math.prod(batch), L))
    compiled = _CompiledSteps(np.asarray(ratio), np.asarray(step), alpha, N, keep=not final)
    if frame.is_numpy:
        states = compiled.forward(signals)
    else:
        from ssm._torch_projection import apply_linear

        states = apply_linear(signals, compiled.forward, compiled.adjoint)
    return frame.xp.reshape(states, (*batch, N) if final else (*batch, L, N))


@dataclass(frozen=True)
class _CompiledSteps:
    """The recurrence as a linear map of NumPy arrays (signals, L) -> (signals, L or 1, N)."""

    ratio: np.ndarray
    step: np.ndarray
    alpha: float | None
    order: int
    keep: bool

    @torch_threads_kept()
    def forward(self, u: np.ndarray) -> np.ndarray:
        from ssm._numba_projection import dilate_forward, gbt_forward

        signals, length = u.shape
        out = np.empty((signals, length if self.keep else 1, self.order), u.dtype)
        u = np.ascontiguousarray(u, np.float64)
        if self.alpha is None:
            dilate_forward(u, self.ratio, self.step, int(self.keep), out)
        else:
            gbt_forward(u, self.step, self.alpha, int(self.keep), out)
        return out

    @torch_threads_kept()
    def adjoint(self, grad: np.ndarray) -> np.ndarray:
        from ssm._numba_projection import dilate_adjoint, gbt_adjoint

        grad = np.ascontiguousarray(grad)
        out = np.empty((grad.shape[0], self.step.shape[0]), np.float64)
        if self.alpha is None:
            dilate_adjoint(grad, self.ratio, self.step, int(self.keep), out)
        else:
            gbt_adjoint(grad, self.step, self.alpha, int(self.keep), out)
        return out.astype(grad.dtype, copy=False)


def _edges(frame: Frame, u: Array, warp: Array | Callable[[Array], Array] | None) -> Array:
    """Values of the warp at the L + 1 sample edges, checked, in double precision."""
    xp = frame.xp
    L = u.shape[-1]
    counted = frame.asarray(np.arange(L + 1))
    if warp is None:
        return counted
    given = warp(counted) if callable(warp) else warp
    other, _, edges = as_arrays(u=u, warp=given)
    check_real("warp", edges, other)
    if tuple(edges.shape) != (L + 1,):
        raise ValueError(
            f"warp must have one value at each of the L + 1 sample edges, shape ({L + 1},), "
            f"got shape {tuple(edges.shape)}"
        )
    edges = frame.double(edges)
    values = edges.detach() if frame.is_torch else edges
    if float(values[0]) < 0:
        raise ValueError(f"warp must not be negative, got {float(values[0]):.6g} at edge 0")
    stuck = values[1:] <= values[:-1]
    if L and bool(xp.any(stuck)):
        place = int(xp.argmax(xp.astype(stuck, xp.int64)))
        raise ValueError(
            f"warp must be increasing, got {float(values[place]):.6g} and then "
            f"{float(values[place + 1]):.6g} at edges {place} and {place + 1}"
        )
    return edges


def _warn_if_unstable(N: int, largest: float) -> None:
    if largest * N > 2:
        warnings.warn(
            f"method 'euler' is unstable for N = {N} at relative steps up to {largest:.3g} "
            f"(the limit is 2/N); use 'exact' or 'bilinear'",
            RuntimeWarning,
            stacklevel=3,
        )


def _direct_projection(frame: Frame, u: Array, N: int, edges: Array) -> Array:
    r"""Coefficients at the last edge, by parts over the jumps of the signal.

    With :math:`x_i = a_i/a_L` and :math:`F_n(x) = \int_0^x R_n P_n(2y-1)\,dy`,

    .. math:: c_n = u_L \delta_{n0} + \sum_{i=0}^{L-1} F_n(x_i)\,(u_i - u_{i+1}), \qquad u_0 = 0.

    Differences are taken of samples only: :math:`F_n(x) = -R_n x (1-x) g_n(2x-1)`, with
    :math:`g_n = 2 P_n'/(n(n+1))` from its own recurrence, has no cancellation at the ends.
    """
    xp = frame.xp
    L = u.shape[-1]
    jumps = xp.concat((-u[..., :1], u[..., :-1] - u[..., 1:]), axis=-1)
    zeros = xp.zeros((*u.shape[:-1], N - 1), dtype=u.dtype, device=frame.device)
    total = xp.concat((u[..., -1:], zeros), axis=-1)
    width = max(1, _CHUNK_ELEMENTS // N)
    for first in range(0, L, width):
        part = slice(first, min(first + width, L))
        x = edges[part] / edges[-1]
        above = (edges[-1] - edges[part]) / edges[-1]
        z, hump = x - above, x * above
        rows = [x]
        before, now = xp.zeros_like(x), xp.ones_like(x)
        for n in range(1, N):
            rows.append(-math.sqrt(2 * n + 1) * hump * now)
            before, now = now, ((2 * n + 1) * z * now - (n - 1) * before) / (n + 2)
        antiderivatives = frame.cast(xp.stack(rows, axis=-1))
        total = total + jumps[..., part] @ antiderivatives
    return total


def _stepped(
    frame: Frame, u: Array, N: int, ratio: Array, step: Array, alpha: float | None, final: bool
) -> Array:
    """The recurrence with dense matrices, formed for many steps at once."""
    xp = frame.xp
    *batch, L = u.shape
    first = frame.cast(frame.asarray(np.eye(1, N)[0]))
    state = xp.zeros((*batch, N), dtype=u.dtype, device=frame.device)
    states = []
    width = max(1, _CHUNK_ELEMENTS // N**2)
    for start in range(0, L, width):
        part = slice(start, min(start + width, L))
        if alpha is None:
            matrices = _dilations(frame, N, ratio[part], step[part])
        else:
            matrices = _gbt_matrices(frame, N, step[part], alpha)
        matrices = frame.cast(xp.matrix_transpose(matrices))
        for k in range(part.stop - start):
            held = u[..., start + k, None] * first
            state = (state - held)[..., None, :] @ matrices[k, ...]
            state = state[..., 0, :] + held
            if not final:
                states.append(state)
    return state if final else xp.stack(states, axis=-2)


def _dilations(frame: Frame, N: int, ratio: Array, step: Array) -> Array:
    """The matrices D(r), (steps, N, N)."""
    xp = frame.xp
    n = np.arange(1, N)
    coupling = n / np.sqrt(4.0 * n * n - 1)
    multiply = frame.asarray(np.diag(coupling, 1) + np.diag(coupling, -1))
    r, h = ratio[:, None], step[:, None]
    row = frame.asarray(np.eye(1, N)) + 0 * r
    before, back = xp.zeros_like(row), 0.0
    rows = [row]
    for next_coupling in coupling.tolist():
        image = r * (row @ multiply) - h * row
        before, row, back = row, (image - back * before) / next_coupling, next_coupling
        rows.append(row)
    return r[..., None] * xp.stack(rows, axis=-2)


def _gbt_matrices(frame: Frame, N: int, step: Array, alpha: float) -> Array:
    one = frame.asarray(1.0)
    A, _ = unit_matrices(frame, "legs", N, 0 * one, one)
    identity = frame.asarray(np.eye(N))
    h = step[:, None, None]
    return frame.xp.linalg.solve(identity - alpha * h * A, identity + (1 - alpha) * h * A)

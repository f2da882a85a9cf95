r"""The delta rule and DeltaProduct: a matrix state that is corrected along one key after the other.

Token t has :math:`n_h` keys :math:`k_j`, values :math:`v_j` and gains :math:`\beta_j`, and

.. math:: S \leftarrow e^{g_t} S, \qquad
          S \leftarrow (I - \beta_j k_j k_j^T) S + \beta_j k_j v_j^T \quad (j = 1, \dots, n_h),
          \qquad o_t = S^T q_t .

A factor with a unit key has the eigenvalues 1 and :math:`1 - \beta`: with :math:`\beta = 1` it
forgets the key, with :math:`\beta = 2` it is a reflection, and in between nothing grows. Products
of :math:`n_h` of them reach every orthogonal matrix that differs from the identity by rank
:math:`n_h`, which is what following a group takes; see :func:`ssm.min_reflections`.

References: DeltaProduct (arXiv 2502.10297).
"""

from __future__ import annotations

from typing import Any

from numerics.arrays import (
    Array,
    Frame,
    as_arrays,
    as_float,
    as_integer,
    broadcast_batch,
    check_choice,
    check_real,
    check_shape,
)
from ssm._delta_chunks import run_compiled
from ssm.householder import check_gains, check_unit

_COMPILED_STEPS = 16  # corrections at once, where solving for them costs least beside the products


def delta_rule(
    q: Array,
    k: Array,
    v: Array,
    beta: Array,
    *,
    g: Array | None = None,
    n_h: int = 1,
    initial_state: Array | None = None,
    scale: float = 1.0,
    mode: str = "chunked",
    chunk: int = 64,
    check: bool = False,
) -> tuple[Array, Array]:
    r"""Run the delta rule over sequences, with one or several corrections a token.

    .. math:: S \leftarrow e^{g_t} S, \qquad
              S \leftarrow S + \beta_{tj}\, k_{tj} (v_{tj} - S^T k_{tj})^T
              \quad (j = 1, \dots, n_h), \qquad o_t = s\, S^T q_t

    Time is the last axis but one and batch axes (heads, too) are in front, where they broadcast.
    The corrections of a token follow one another in time: row :math:`t n_h + j` of ``k`` belongs to
    correction j of token t. Feeding a sequence piece by piece, each call starting from the state
    of the one before, gives the same as one call.

    Parameters
    ----------
    q : array, shape (..., T, d_k)
        Queries; they read the state after the last correction of their token.
    k : array, shape (..., T * n_h, d_k)
        Keys, taken as they are. The rule is made for unit vectors: longer ones let the state grow.
    v : array, shape (..., T * n_h, d_v)
        Values.
    beta : array, shape (..., T * n_h)
        Gains: 0 leaves the state alone, 1 replaces what is stored under the key, 2 reflects.
    g : array, shape (..., T), optional
        Logarithms of the decay of each token, not positive.
    n_h : int
        Corrections a token.
    initial_state : array, shape (..., d_k, d_v), optional
        State before the first token; zero by default.
    scale : float
        Factor s of the read-outs. Attention has :math:`1/\sqrt{d_k}` here.
    mode : {"chunked", "recurrent"}
        ``chunked`` turns ``chunk`` tokens at a time into matrix products; its gradient in torch is
        analytic and keeps one state a chunk. ``recurrent`` goes token by token, which is what a
        call with few tokens needs, and records every step when gradients are wanted.
    chunk : int
        Tokens in a chunk; the result does not depend on it but for rounding. Compiled code, which
        runs NumPy arrays, CPU tensors without gradient, and CUDA tensors where Triton is there,
        cuts chunks of its own if they are shorter.
    check : bool
        Refuse gains outside of [0, 2], and keys with a gain that are not unit vectors.

    Returns
    -------
    o : array, shape (..., T, d_v)
        Read-outs.
    state : array, shape (..., d_k, d_v)
        State after the last token.

    Raises
    ------
    TypeError
        For complex arrays, arrays that hold no numbers, or mixed array libraries.
    ValueError
        For wrong shapes, positive ``g``, an unknown ``mode``, ``n_h`` or ``chunk`` below 1, values
        that are not finite, and what ``check`` looks for.

    References
    ----------
    Siems, Carstensen, Zela, Hutter, Pontil, Grazzi, arXiv 2502.10297 (DeltaProduct); Yang, Wang,
    Zhang, Shen, Kim, arXiv 2406.06484 (the form by chunks).

    Examples
    --------
    Store two values, replace the first, and read it.

    >>> import numpy as np
    >>> first, second = np.eye(2)
    >>> k = np.stack((first, second, first))
    >>> v = np.array([[5.0], [6.0], [7.0]])
    >>> o, state = delta_rule(k, k, v, np.ones(3))
    >>> o[:, 0], state[:, 0]
    (array([5., 6., 7.]), array([7., 6.]))

    Two reflections a token turn the plane: four quarter turns are the identity.

    >>> half = np.sqrt(0.5)
    >>> k = np.tile([[1.0, 0.0], [half, half]], (4, 1))
    >>> zero, gains = np.zeros((8, 2)), np.full(8, 2.0)
    >>> _, state = delta_rule(k[::2], k, zero, gains, n_h=2, initial_state=np.eye(2))
    >>> np.allclose(state, np.eye(2))
    True
    """
    frame, q, k, v, beta, g, initial_state = as_arrays(
        q=q, k=k, v=v, beta=beta, g=g, initial_state=initial_state
    )
    n_h = as_integer("n_h", n_h, minimum=1)
    chunk = as_integer("chunk", chunk, minimum=1)
    scale = as_float("scale", scale)
    check_choice("mode", mode, ("chunked", "recurrent"))
    batch = _check_arguments(frame, q, k, v, beta, g, initial_state, n_h)
    if check:
        check_gains(frame, beta)
        check_unit(frame, "k", k, beta)
    xp = frame.xp
    d_k, d_v, T = k.shape[-1], v.shape[-1], q.shape[-2]
    if initial_state is None:
        initial_state = xp.zeros((d_k, d_v), dtype=frame.real, device=frame.device)
    state = xp.broadcast_to(initial_state, (*batch, d_k, d_v))
    if T == 0:
        return xp.zeros((*batch, 0, d_v), dtype=frame.real, device=frame.device), state
    if scale != 1:
        q = q * scale
    q, k, v = (xp.broadcast_to(x, (*batch, *x.shape[-2:])) for x in (q, k, v))
    beta = xp.broadcast_to(beta, (*batch, T * n_h))
    g = None if g is None else xp.broadcast_to(g, (*batch, T))
    if mode == "recurrent":
        return _token_by_token(frame, q, k, v, beta, g, state, n_h)
    arrays = (q, k, v, beta, state) if g is None else (q, k, v, beta, state, g)
    if not frame.runs_on_host(*arrays):
        return _by_chunks(frame, q, k, v, beta, g, state, min(chunk, T))
    _, (q, k, v, beta, state, *rest) = frame.to_host(*arrays)
    C = min(chunk, T, max(1, _COMPILED_STEPS // n_h))
    decay = rest[0] if rest else None
    o, states = run_compiled(q, k, v, beta, decay, state, C, all_states=False)
    return frame.from_host(o), frame.from_host(states[..., 0, :, :])


def _by_chunks(
    frame: Frame,
    q: Array,
    k: Array,
    v: Array,
    beta: Array,
    g: Array | None,
    state: Array,
    C: int,
) -> tuple[Array, Array]:
    from ssm._torch_delta import ChunkedDelta, chunk_length

    xp = frame.xp
    batch, T = q.shape[:-2], q.shape[-2]
    n_h = k.shape[-2] // T
    C = chunk_length(frame, k, C, n_h)
    # A token without gain changes nothing, so that the last chunk is filled up with such tokens.
    missing = -T % C
    q = _split(frame, q, missing, C)
    k, v = (_split(frame, x, missing * n_h, C * n_h) for x in (k, v))
    beta = _split(frame, beta[..., None], missing * n_h, C * n_h)[..., 0]
    g = None if g is None else _split(frame, g[..., None], missing, C)[..., 0]
    o, states = ChunkedDelta.apply(q, k, v, beta, g, state, frame)
    o = xp.reshape(o, (*batch, T + missing, v.shape[-1]))[..., :T, :]
    return o, states[..., -1, :, :]


def _token_by_token(
    frame: Frame,
    q: Array,
    k: Array,
    v: Array,
    beta: Array,
    g: Array | None,
    state: Array,
    n_h: int,
) -> tuple[Array, Array]:
    xp = frame.xp
    decay = None if g is None else xp.exp(g)[..., None, None]
    gain = beta[..., None, None]
    outputs = []
    for t in range(q.shape[-2]):
        if decay is not None:
            state = decay[..., t, :, :] * state
        for i in range(t * n_h, (t + 1) * n_h):
            key = k[..., i : i + 1, :]
            correction = gain[..., i, :, :] * (v[..., i : i + 1, :] - key @ state)
            state = state + xp.matrix_transpose(key) * correction
        outputs.append(q[..., t : t + 1, :] @ state)
    return xp.concat(outputs, axis=-2), state


def _split(frame: Frame, x: Array, missing: int, size: int) -> Array:
    """Rows of ``x`` in chunks of ``size``, after ``missing`` rows of zeros."""
    xp = frame.xp
    if missing:
        shape = (*x.shape[:-2], missing, x.shape[-1])
        x = xp.concat((x, xp.zeros(shape, dtype=x.dtype, device=frame.device)), axis=-2)
    return xp.reshape(x, (*x.shape[:-2], x.shape[-2] // size, size, x.shape[-1]))


def _check_arguments(
    frame: Frame,
    q: Array,
    k: Array,
    v: Array,
    beta: Array,
    g: Array | None,
    initial_state: Array | None,
    n_h: int,
) -> tuple[int, ...]:
    given: dict[str, Any] = {"q": q, "k": k, "v": v, "beta": beta}
    given |= {} if g is None else {"g": g}
    given |= {} if initial_state is None else {"initial_state": initial_state}
    for name, array in given.items():
        check_real(name, array, frame)
    check_shape("q", q, "T", "d_k")
    T, d_k = q.shape[-2:]
    check_shape("k", k, T * n_h, d_k)
    check_shape("v", v, T * n_h, "d_v")
    for name, size in (("q", d_k), ("v", v.shape[-1])):
        if size == 0:
            raise ValueError(f"{name} must have a last axis that is not empty, got shape (..., 0)")
    check_shape("beta", beta, T * n_h)
    if g is not None:
        check_shape("g", g, T)
        if frame.has_values(g) and bool(frame.xp.any(g > 0)):
            raise ValueError(
                "g must hold logarithms of decays, none positive, got a maximum of"
                f" {float(frame.xp.max(g))}"
            )
    if initial_state is not None:
        check_shape("initial_state", initial_state, d_k, v.shape[-1])
    axes = {"q": 2, "k": 2, "v": 2, "beta": 1, "g": 1, "initial_state": 2}
    return broadcast_batch(**{name: tuple(x.shape[: -axes[name]]) for name, x in given.items()})

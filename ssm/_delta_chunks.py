r"""The delta rule by chunks: matrix products within a chunk, and one state from chunk to chunk.

Of a chunk with sub-steps i = 1, ..., n, keys and values in the rows of K and V, gains
:math:`\beta_i`, and :math:`c_i` the logarithm of the decay from the chunk's start through the token
of sub-step i, the corrections :math:`r_i = \beta_i (v_i - S^T k_i)` that the recurrence adds as
:math:`k_i r_i^T` solve a unit lower triangular system,

.. math:: (I + M) R = \operatorname{diag}(\beta) (V - \tilde K S), \qquad
          M_{ij} = \beta_i e^{c_i - c_j} k_i^T k_j \ (j < i), \qquad \tilde k_i = e^{c_i} k_i,

with S the state at the start, and the read-outs and the next state are

.. math:: o_a = e^{c_a} S^T q_a + \sum_{i \preceq a} e^{c_a - c_i} (q_a^T k_i)\, r_i, \qquad
          S' = e^{c} S + \sum_i e^{c - c_i} k_i r_i^T .

The inverse of I + M is made by substitution. With unit keys and gains in [0, 2] its entries stay
below 4, while the partial products of a Neumann series reach :math:`10^{20}` for keys that are
alike. Exponents are formed in double precision and none is positive. Compiled code on the host
makes no inverse: it substitutes row by row, and multiplies decays instead of exponentials.

References: DeltaProduct (arXiv 2502.10297); Yang, Wang, Zhang, Shen, Kim, arXiv 2406.06484.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from numerics._threads import threads
from numerics.arrays import Array, Frame


@dataclass(frozen=True)
class _Decay:
    """Decays of the chunks (..., m), in the frame's precision."""

    whole: Array  # (..., m, 1, 1): over the chunk
    read: Array  # (..., m, C, 1): from the start to a token
    entered: Array  # (..., m, n, 1): from the start to a sub-step
    left: Array  # (..., m, n, 1): from a sub-step to the end
    between: Array  # (..., m, n, n): from a sub-step to a later one
    seen: Array  # (..., m, C, n): from a sub-step to a token that reads it


@dataclass(frozen=True)
class _Chunk:
    """What does not depend on the state, for all chunks at once."""

    decay: _Decay | None
    gain: Array  # (..., m, n, 1)
    inverse: Array  # (..., m, n, n): of I + M
    scores: Array  # (..., m, C, n): weights of the corrections in the read-outs
    queries: Array  # q with its decay
    entering: Array  # k with the decay from the start
    leaving: Array  # k with the decay to the end


def run_chunks(
    frame: Frame, q: Array, k: Array, v: Array, beta: Array, g: Array | None, state: Array
) -> tuple[Array, Array]:
    """Read-outs (..., m, C, d_v), and the states (..., m + 1, d_k, d_v) around the chunks.

    q is (..., m, C, d_k), k and v are (..., m, n, d_k) and (..., m, n, d_v), beta (..., m, n), g
    (..., m, C), with n a multiple of C and batch axes that are equal.
    """
    xp = frame.xp
    chunk = _prepare(frame, q, k, beta, g)
    states, corrections = [state], []
    outward = xp.matrix_transpose(chunk.leaving)
    for index in range(k.shape[-3]):
        here = (..., index, slice(None), slice(None))
        error = chunk.gain[here] * (v[here] - chunk.entering[here] @ state)
        correction = chunk.inverse[here] @ error
        corrections.append(correction)
        kept = state if chunk.decay is None else chunk.decay.whole[here] * state
        state = kept + outward[here] @ correction
        states.append(state)
    history = xp.stack(states, axis=-3)
    o = chunk.queries @ history[..., :-1, :, :] + chunk.scores @ xp.stack(corrections, axis=-3)
    return o, history


def run_compiled(
    q: np.ndarray,
    k: np.ndarray,
    v: np.ndarray,
    beta: np.ndarray,
    g: np.ndarray | None,
    state: np.ndarray,
    C: int,
    *,
    all_states: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """The same by compiled code, chunks of C tokens one after the other, sequences in parallel.

    q is (..., T, d_k) and the others alike, with T at least 1. Read-outs are (..., T, d_v); states
    are (..., m + 1, d_k, d_v), or the last one alone as (..., 1, d_k, d_v).
    """
    from ssm import _numba_delta

    batch, (T, d_k), (n, d_v) = q.shape[:-2], q.shape[-2:], v.shape[-2:]
    rows = math.prod(batch)
    decay = np.empty((rows, 0))
    if g is not None:
        decay = np.exp(np.ascontiguousarray(g), dtype=np.float64).reshape(rows, T)
    kept = -(-T // C) + 1 if all_states else 1
    states = np.empty((rows, kept, d_k, d_v), q.dtype)
    states[:, 0] = state.reshape(rows, d_k, d_v)
    o = np.empty((rows, T, d_v), q.dtype)
    given = [
        np.ascontiguousarray(x).reshape(rows, *x.shape[len(batch) :]).view()
        for x in (q, k, v, beta)
    ]
    for view in given:
        view.flags.writeable = False  # one kind of array to compile for, whoever may write to it
    with threads(rows, 3 * n * d_k * d_v):
        _numba_delta.run(*given, decay, C, states, o)
    return o.reshape(*batch, T, d_v), states.reshape(*batch, kept, d_k, d_v)


def chunk_gradients(
    frame: Frame,
    q: Array,
    k: Array,
    v: Array,
    beta: Array,
    g: Array | None,
    states: Array,
    grad_o: Array,
    grad_states: Array,
) -> tuple[Any, ...]:
    """Gradients of q, k, v, beta, g and the first state, by the transposed recurrence.

    Only the gradient of the state is carried from chunk to chunk, last to first; the rest is done
    for all chunks at once.
    """
    xp = frame.xp
    transposed = xp.matrix_transpose
    chunk = _prepare(frame, q, k, beta, g)
    decay, before = chunk.decay, states[..., :-1, :, :]
    error = v - chunk.entering @ before
    correction = chunk.inverse @ (chunk.gain * error)

    from_read = transposed(chunk.scores) @ grad_o
    to_state = transposed(chunk.queries) @ grad_o
    inward, backward = transposed(chunk.entering), transposed(chunk.inverse)
    count = k.shape[-3]
    carried = grad_states[..., count, :, :]
    solved, after = [], []
    for index in reversed(range(count)):
        here = (..., index, slice(None), slice(None))
        after.append(carried)
        grad_scaled = backward[here] @ (from_read[here] + chunk.leaving[here] @ carried)
        solved.append(grad_scaled)
        kept = carried if decay is None else decay.whole[here] * carried
        into = to_state[here] - inward[here] @ (chunk.gain[here] * grad_scaled)
        carried = kept + into + grad_states[here]
    grad_scaled = xp.stack(solved[::-1], axis=-3)
    grad_after = xp.stack(after[::-1], axis=-3)

    grad_v = chunk.gain * grad_scaled
    grad_entering = -grad_v @ transposed(before)
    grad_leaving = correction @ transposed(grad_after)
    grad_M = -xp.tril(grad_scaled @ transposed(correction), k=-1)
    grad_scores = _read_mask(frame, k.shape[-2], q.shape[-2]) * (grad_o @ transposed(correction))
    grad_queries = grad_o @ transposed(before)
    products = k @ transposed(k)
    if decay is None:
        grad_products, grad_qk = chunk.gain * grad_M, grad_scores
    else:
        products = decay.between * products
        grad_products = chunk.gain * decay.between * grad_M
        grad_qk = decay.seen * grad_scores
    grad_beta = xp.sum(grad_scaled * error, axis=-1) + xp.sum(grad_M * products, axis=-1)
    grad_k = (grad_products + transposed(grad_products)) @ k + transposed(grad_qk) @ q
    if decay is None:
        grad_q = grad_qk @ k + grad_queries
        return grad_q, grad_k + grad_entering + grad_leaving, grad_v, grad_beta, None, carried

    grad_q = grad_qk @ k + decay.read * grad_queries
    grad_k = grad_k + decay.entered * grad_entering + decay.left * grad_leaving
    # The derivative with respect to the logarithm of a factor is the derivative times the factor.
    paired = grad_M * chunk.gain * products
    weighted = grad_scores * chunk.scores
    outgoing = xp.sum(grad_leaving * chunk.leaving, axis=-1)
    steps = (
        xp.sum(paired, axis=-1)
        - xp.sum(paired, axis=-2)
        - xp.sum(weighted, axis=-2)
        + xp.sum(grad_entering * chunk.entering, axis=-1)
        - outgoing
    )
    C = q.shape[-2]
    tokens = xp.sum(weighted, axis=-1) + xp.sum(grad_queries * chunk.queries, axis=-1)
    tokens = tokens + xp.sum(xp.reshape(steps, (*steps.shape[:-1], C, -1)), axis=-1)
    end = xp.sum(decay.whole * grad_after * before, axis=(-2, -1)) + xp.sum(outgoing, axis=-1)
    later = xp.flip(xp.cumulative_sum(xp.flip(tokens, axis=-1), axis=-1), axis=-1)
    return grad_q, grad_k, grad_v, grad_beta, later + end[..., None], carried


def _prepare(frame: Frame, q: Array, k: Array, beta: Array, g: Array | None) -> _Chunk:
    xp = frame.xp
    n, C = k.shape[-2], q.shape[-2]
    gain = beta[..., None]
    turned = xp.matrix_transpose(k)
    M = gain * (k @ turned)
    scores = _read_mask(frame, n, C) * (q @ turned)
    if g is None:
        return _Chunk(None, gain, _unit_lower_inverse(frame, M), scores, q, k, k)
    decay = _decays(frame, g, n // C)
    inverse = _unit_lower_inverse(frame, M * decay.between)
    return _Chunk(
        decay,
        gain,
        inverse,
        scores * decay.seen,
        q * decay.read,
        k * decay.entered,
        k * decay.left,
    )


def _decays(frame: Frame, g: Array, n_h: int) -> _Decay:
    xp = frame.xp
    token = xp.cumulative_sum(frame.double(g), axis=-1)
    C = token.shape[-1]
    wide = xp.broadcast_to(token[..., None], (*token.shape, n_h))
    step = xp.reshape(wide, (*token.shape[:-1], C * n_h))
    end = token[..., -1:]
    order = xp.arange(C * n_h, device=frame.device)
    earlier = order[:, None] > order[None, :]
    between = step[..., :, None] - step[..., None, :]
    seen = token[..., :, None] - step[..., None, :]
    nothing = xp.zeros_like(end)[..., None]

    def decayed(exponent: Array) -> Array:
        return xp.exp(frame.cast(exponent))

    return _Decay(
        whole=decayed(end)[..., None],
        read=decayed(token)[..., None],
        entered=decayed(step)[..., None],
        left=decayed(end - step)[..., None],
        between=decayed(xp.where(earlier, between, nothing)),
        seen=decayed(xp.where(_read_mask(frame, C * n_h, C) > 0, seen, nothing)),
    )


def _read_mask(frame: Frame, n: int, C: int) -> Array:
    """1 where a token (row) comes with or after a sub-step (column), else 0."""
    xp = frame.xp
    token = xp.arange(C, device=frame.device)
    step = xp.arange(n, device=frame.device) // (n // C)
    return xp.astype(token[:, None] >= step[None, :], frame.real)


def _unit_lower_inverse(frame: Frame, M: Array) -> Array:
    """Inverse of I + M by substitution; of M only what is below the diagonal is read."""
    xp = frame.xp
    eye = xp.eye(M.shape[-1], dtype=M.dtype, device=frame.device)
    return xp.linalg.solve_triangular(M, eye, upper=False, unitriangular=True)

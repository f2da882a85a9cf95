r"""The chunked delta rule where Triton runs: matrix products of all chunks at once, and kernels.

In the notation of :mod:`ssm._delta_chunks`, with :math:`X = (I + M)^{-1}`, the recurrence from
chunk to chunk takes the corrections with it,

.. math:: R = X \beta V - (X \beta \tilde K)\, S, \qquad S' = e^c S + \hat K^T R,

and that of the gradients is its transpose, :math:`Z` being the gradient of :math:`(I + M) R`,

.. math:: Z = X^T P^T \dot O + (X^T \hat K)\, \dot S', \qquad
          \dot S = e^c \dot S' + \tilde Q^T \dot O - (\beta \tilde K)^T Z .

Everything but the two recurrences, the inverse, and what is entry by entry in between, are products
that the library of the device multiplies out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from numerics.arrays import Array
from ssm._triton_delta import finish, follow, prepare


@dataclass(frozen=True)
class _Chunk:
    """What does not depend on the state, for all chunks; rows are sequences times chunks."""

    q: Array  # (rows, C, d_k)
    k: Array  # (rows, n, d_k)
    v: Array  # (rows, n, d_v)
    beta: Array  # (rows, n)
    through: Array | None  # (rows, C): logarithms of decays from the start, in double precision
    products: Array  # (rows, n, n): of keys with keys
    inverse: Array  # (rows, n, n): of I + M
    scores: Array  # (rows, C, n)

    @property
    def n_h(self) -> int:
        return int(self.k.shape[1] // self.q.shape[1])

    def decays(self) -> tuple[Array, Array, Array]:
        """From the start to tokens, to sub-steps, and from these to the end; exponents ahead."""
        assert self.through is not None
        steps = self.through.repeat_interleave(self.n_h, dim=-1)
        exponents = self.through, steps, self.through[..., -1:] - steps
        read, entered, left = (x.to(self.k.dtype).exp()[..., None] for x in exponents)
        return read, entered, left

    def moved(self) -> tuple[Array, Array, Array]:
        """Queries and keys with decay from the start, and keys with decay to the end."""
        if self.through is None:
            return self.q, self.k, self.k
        read, entered, left = self.decays()
        return self.q * read, self.k * entered, self.k * left

    def whole(self) -> Array | None:
        """Decay over chunks (rows,)."""
        return None if self.through is None else self.through[:, -1].to(self.k.dtype).exp()


def run_on_device(
    q: Array, k: Array, v: Array, beta: Array, g: Array | None, state: Array
) -> tuple[Array, Array]:
    """Read-outs and states, as :func:`ssm._delta_chunks.run_chunks` has them."""
    batch, m = q.shape[:-3], q.shape[-3]
    chunk = _prepare(q, k, v, beta, g)
    queries, entering, leaving = chunk.moved()
    gain = chunk.beta[..., None]
    states = _states(state.reshape(-1, *state.shape[-2:]), m, 0)
    R = follow(
        _chunks(m, chunk.inverse @ (-gain * entering)),
        _chunks(m, leaving),
        _chunks(m, chunk.inverse @ (gain * chunk.v)),
        None,
        chunk.whole(),
        states,
        reverse=False,
    ).flatten(0, 1)
    o = torch.baddbmm(chunk.scores @ R, queries, states[:, :-1].flatten(0, 1))
    return o.reshape(*batch, m, *o.shape[1:]), states.reshape(*batch, *states.shape[1:])


def gradients_on_device(
    q: Array,
    k: Array,
    v: Array,
    beta: Array,
    g: Array | None,
    states: Array,
    grad_o: Array,
    grad_states: Array,
) -> tuple[Any, ...]:
    """Gradients, as :func:`ssm._delta_chunks.chunk_gradients` has them."""
    m = q.shape[-3]
    chunk = _prepare(q, k, v, beta, g)
    queries, entering, leaving = chunk.moved()
    gain = chunk.beta[..., None]
    grad_o = _rows(grad_o, 2)
    states = states.reshape(-1, *states.shape[-3:])
    grad_states = grad_states.reshape(states.shape)
    before = states[:, :-1].flatten(0, 1)
    error = torch.baddbmm(chunk.v, entering, before, alpha=-1)
    R = chunk.inverse @ (gain * error)

    backward = chunk.inverse.mT
    into = torch.baddbmm(grad_states[:, :-1].flatten(0, 1), queries.mT, grad_o)
    carried = _states(grad_states[:, -1], m, m)
    Z = follow(
        _chunks(m, backward @ leaving),
        _chunks(m, -gain * entering),
        _chunks(m, backward @ (chunk.scores.mT @ grad_o)),
        _chunks(m, into),
        chunk.whole(),
        carried,
        reverse=True,
    ).flatten(0, 1)
    after = carried[:, 1:].flatten(0, 1)

    grad_v = gain * Z
    grad_entering = -grad_v @ before.mT
    grad_leaving = R @ after.mT
    grad_queries = grad_o @ before.mT
    paired, grad_qk, by_gain, by_step, by_token = finish(
        chunk.products, chunk.scores, Z @ R.mT, grad_o @ R.mT, chunk.beta, chunk.through, chunk.n_h
    )
    grad_beta = by_gain + (Z * error).sum(-1)
    grad_k = torch.baddbmm(paired @ chunk.k, grad_qk.mT, chunk.q)
    grad_q = grad_qk @ chunk.k
    grad_g = None
    if g is None:
        grad_k += grad_entering + grad_leaving
        grad_q += grad_queries
    else:
        read, entered, left = chunk.decays()
        grad_k += entered * grad_entering + left * grad_leaving
        grad_q += read * grad_queries
        outgoing = (grad_leaving * leaving).sum(-1)
        steps = by_step + (grad_entering * entering).sum(-1) - outgoing
        tokens = by_token + (grad_queries * queries).sum(-1)
        tokens = tokens + steps.unflatten(-1, (-1, chunk.n_h)).sum(-1)
        end = chunk.whole() * (after * before).sum((-2, -1)) + outgoing.sum(-1)
        grad_g = (tokens.flip(-1).cumsum(-1).flip(-1) + end[:, None]).reshape(g.shape)
    return (
        grad_q.reshape(q.shape),
        grad_k.reshape(k.shape),
        grad_v.reshape(v.shape),
        grad_beta.reshape(beta.shape),
        grad_g,
        carried[:, 0].reshape(*q.shape[:-3], *states.shape[-2:]),
    )


def _prepare(q: Array, k: Array, v: Array, beta: Array, g: Array | None) -> _Chunk:
    through = None if g is None else _rows(g, 1).double().cumsum(-1)
    q, k, v, beta = _rows(q, 2), _rows(k, 2), _rows(v, 2), _rows(beta, 1)
    products = k @ k.mT
    inverse, scores = prepare(products, q @ k.mT, beta, through, k.shape[1] // q.shape[1])
    return _Chunk(q, k, v, beta, through, products, inverse, scores)


def _rows(x: Array, axes: int) -> Array:
    """All axes but the last ones as one."""
    return x.reshape(-1, *x.shape[x.ndim - axes :]).contiguous()


def _chunks(m: int, x: Array) -> Array:
    """Sequences and chunks as axes of their own."""
    return x.contiguous().unflatten(0, (-1, m))


def _states(given: Array, m: int, index: int) -> Array:
    """Room for the states around m chunks, with the one given in its place."""
    states = given.new_empty((given.shape[0], m + 1, *given.shape[1:]))
    states[:, index] = given
    return states

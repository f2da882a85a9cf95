r"""DeltaProduct as a torch module: heads with matrix states and several keys a token.

References: DeltaProduct (arXiv 2502.10297), gated delta networks (arXiv 2412.06464).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.nn.functional import normalize, sigmoid, silu, softplus

from numerics.arrays import Array, as_float, as_integer
from ssm._sequence_layer import SequenceLayer, Step, batch_shape, generator, log_steps
from ssm.delta_product import delta_rule

_SHORTEST_KEY = 1e-3
_GAIN = 2**-2.5
_STEPS = (1e-3, 1e-1)
_FASTEST_DECAY = 16.0

State = tuple[Array, Array]


class DeltaProduct(SequenceLayer):
    r"""Heads that correct a matrix state along several keys a token: DeltaProduct, gated or not.

    From a sample :math:`u_t` each head takes a query, a decay :math:`\alpha_t` if it is gated, and
    :math:`n_h` keys, values and gains. Its state S and read-out are

    .. math:: S \leftarrow \alpha_t S, \qquad
              S \leftarrow (I - \beta_j k_j k_j^T) S + \beta_j k_j v_j^T \quad
              (j = 1, \dots, n_h), \qquad o_t = S^T q_t .

    Queries, keys and values are linear in u, then convolved over the last ``conv_size`` samples
    each for itself, and passed through SiLU; queries and keys are made unit vectors. Gains are
    :math:`2\sigma` of a linear map of u, or :math:`\sigma` without negative eigenvalues. Read-outs
    are divided by their root mean square, head by head, scaled, and mapped linearly to the
    channels.

    Parameters
    ----------
    channels : int
        Number of channels of input and output.
    heads : int
        Number of heads.
    head_size : int
        Length of keys and queries.
    value_size : int, optional
        Length of values; that of keys by default.
    n_h : int
        Keys a token. Which groups of states a layer can follow depends on it:
        :func:`ssm.min_reflections`.
    negative_eigenvalues : bool
        Let gains reach 2, at which a factor is a reflection, instead of 1, at which it is a
        projection. Nothing that alternates can be followed for long without it.
    gate : bool
        Let heads forget: :math:`\alpha_t = \exp(-e^a\, \mathrm{softplus}(w^T u_t + b))`.
    output_gate : bool
        Multiply the scaled read-outs by SiLU of a linear map of u.
    conv_size : int or None
        Samples that the short convolutions reach over, this one included; None for none.
    chunk : int
        As in :func:`ssm.delta_rule`, for speed.
    eps : float
        Added to mean squares of read-outs.
    rng : torch.Generator, numpy.random.Generator, int or None
        Source of the parameters at first; by default torch's own.
    device, dtype : optional
        Of the parameters.

    Attributes
    ----------
    q_proj, k_proj, v_proj, b_proj, o_proj : torch.nn.Linear
        Maps to queries, keys, values and gains, and from read-outs. Those that give several vectors
        hold the first key's for all heads, then the second key's, and so on.
    a_proj, g_proj : torch.nn.Linear or None
        Maps to the gates.
    conv : Tensor, shape (features, conv_size), or None
        Weights of the short convolutions of all queries, keys and values, oldest sample first.
    A_log, dt_bias : Tensor, shape (heads,), or None
        a and b of the gate.
    norm : Tensor, shape (value_size,)
        Scale of the normalised read-outs.

    Notes
    -----
    A step costs :math:`O(n_h d_k d_v)` a head. The state is the pair of S, (..., heads, head_size,
    value_size), and of the last inputs of the convolutions, (..., conv_size - 1, features). Keys
    shorter than 1e-3 are divided by that instead of by their length, which bounds the gradient at
    an input of zeros.

    References
    ----------
    Siems, Carstensen, Zela, Hutter, Pontil, Grazzi, arXiv 2502.10297 (DeltaProduct); Yang, Kautz,
    Hatamizadeh, arXiv 2412.06464 (the gate); initial values are those of the authors' code.

    Examples
    --------
    The parity of a stream of bits, by hand: a one turns the state from 0 to a number and back, a
    zero leaves it alone. The second channel is constant, since the maps have no bias.

    >>> import torch
    >>> layer = DeltaProduct(2, heads=1, head_size=1, n_h=1, conv_size=None)
    >>> with torch.no_grad():
    ...     for linear in (layer.q_proj, layer.k_proj, layer.v_proj):
    ...         _ = linear.weight.copy_(torch.tensor([[0.0, 1.0]]))
    ...     _ = layer.b_proj.weight.copy_(torch.tensor([[60.0, -30.0]]))
    ...     _ = layer.o_proj.weight.copy_(torch.tensor([[1.0], [0.0]]))
    >>> bits = (torch.rand(5000) < 0.5).float()
    >>> parity = layer(torch.stack((bits, torch.ones(5000)), -1))[:, 0]
    >>> torch.equal(parity.round(), bits.cumsum(0) % 2)
    True
    """

    state_parameters = ("A_log", "dt_bias")

    def __init__(
        self,
        channels: int,
        heads: int = 4,
        head_size: int = 32,
        *,
        value_size: int | None = None,
        n_h: int = 2,
        negative_eigenvalues: bool = True,
        gate: bool = False,
        output_gate: bool = False,
        conv_size: int | None = 4,
        chunk: int = 64,
        eps: float = 1e-5,
        rng: Any = None,
        device: Any = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(channels)
        self.heads = as_integer("heads", heads, minimum=1)
        self.head_size = as_integer("head_size", head_size, minimum=1)
        value_size = head_size if value_size is None else value_size
        self.value_size = as_integer("value_size", value_size, minimum=1)
        self.n_h = as_integer("n_h", n_h, minimum=1)
        self.conv_size = (
            None if conv_size is None else as_integer("conv_size", conv_size, minimum=1)
        )
        self.chunk = as_integer("chunk", chunk, minimum=1)
        self.eps = as_float("eps", eps, positive=True)
        self.negative_eigenvalues = bool(negative_eigenvalues)
        self._kind = {"device": device, "dtype": dtype or torch.get_default_dtype()}
        rng = generator(rng)
        keys, values = self.heads * self.head_size, self.heads * self.value_size
        self.sizes = (keys, self.n_h * keys, self.n_h * values)
        self.q_proj, self.k_proj, self.v_proj = (
            self._linear(rng, self.channels, size) for size in self.sizes
        )
        self.b_proj = self._linear(rng, self.channels, self.n_h * self.heads)
        self.o_proj = self._linear(rng, values, self.channels)
        self.a_proj = self._linear(rng, self.channels, self.heads) if gate else None
        self.g_proj = self._linear(rng, self.channels, values) if output_gate else None
        for name in ("A_log", "dt_bias", "conv"):
            self.register_parameter(name, None)
        if gate:
            # In (0, 16], so that no logarithm is infinite.
            rates = _FASTEST_DECAY * (1 - rng.random(self.heads))
            dt = torch.as_tensor(log_steps(rng, self.heads, *_STEPS)).exp()
            self.A_log = nn.Parameter(torch.as_tensor(rates).log().to(**self._kind))
            self.dt_bias = nn.Parameter((dt + torch.log(-torch.expm1(-dt))).to(**self._kind))
        if self.conv_size is not None:
            bound = 1 / math.sqrt(self.conv_size)
            weights = rng.uniform(-bound, bound, (sum(self.sizes), self.conv_size))
            self.conv = nn.Parameter(torch.as_tensor(weights, **self._kind))
        self.norm = nn.Parameter(torch.ones(self.value_size, **self._kind))

    def _linear(self, rng: Any, inputs: int, outputs: int) -> nn.Linear:
        linear = nn.utils.skip_init(nn.Linear, inputs, outputs, bias=False, **self._kind)
        bound = _GAIN * math.sqrt(6 / (inputs + outputs))
        weights = torch.as_tensor(rng.uniform(-bound, bound, (outputs, inputs)), **self._kind)
        linear.weight = nn.Parameter(weights)
        return linear

    def extra_repr(self) -> str:
        """Sizes."""
        return (
            f"{self.channels}, heads={self.heads}, head_size={self.head_size}, "
            f"value_size={self.value_size}, n_h={self.n_h}, "
            f"negative_eigenvalues={self.negative_eigenvalues}"
        )

    def _like(self) -> Array:
        return self.norm

    def forward(self, u: Array) -> Array:
        """Map signals (..., length, channels) to signals of that shape."""
        self._check_signal("u", u, "length")
        if 0 in u.shape:
            return self.o_proj(u.new_zeros(*u.shape[:-1], self.heads * self.value_size))
        return self._run(u, self.initial_state(tuple(u.shape[:-2])), "chunked")[0]

    def initial_state(self, batch: int | tuple[int, ...]) -> State:
        """State before the first sample: zero.

        Parameters
        ----------
        batch : int or tuple of int
            Size of the batch, or sizes of its axes.

        Returns
        -------
        S : Tensor, shape (batch, heads, head_size, value_size)
        tail : Tensor, shape (batch, conv_size - 1, features)
            Inputs of the short convolutions before the first; no rows without convolutions.
        """
        shape = batch_shape(batch)
        S = self.norm.new_zeros(*shape, self.heads, self.head_size, self.value_size)
        return S, self.norm.new_zeros(*shape, (self.conv_size or 1) - 1, sum(self.sizes))

    def stepper(self) -> Step:
        """Function that does what :meth:`step` does.

        Nothing depends on parameters only, so it is not faster than :meth:`step` here.

        Returns
        -------
        callable
            Takes ``u_t`` and ``state``, and gives ``y_t`` and the next state.
        """
        one = self.initial_state(())

        def step(u_t: Array, state: State) -> tuple[Array, State]:
            self._check_signal("u_t", u_t)
            self._check_state(state, one)
            y, state = self._run(u_t[..., None, :], state, "recurrent")
            return y[..., 0, :], state

        return step

    def _advance(self, u: Array, state: State) -> tuple[Array, State]:
        return self._run(u, state, "chunked")

    def _run(self, u: Array, state: State, mode: str) -> tuple[Array, State]:
        S, tail = state
        features = torch.cat((self.q_proj(u), self.k_proj(u), self.v_proj(u)), -1)
        if self.conv is not None:
            features, tail = _short_convolution(features, tail, self.conv)
        q, k, v = silu(features).split(self.sizes, -1)
        q = normalize(self._by_heads(q, self.head_size), dim=-1, eps=_SHORTEST_KEY)
        k = normalize(self._by_heads(k, self.head_size), dim=-1, eps=_SHORTEST_KEY)
        v = self._by_heads(v, self.value_size)
        beta = self._by_heads(sigmoid(self.b_proj(u)), 1)[..., 0]
        beta = 2 * beta if self.negative_eigenvalues else beta
        g = None
        if self.a_proj is not None:
            g = -self.A_log.exp() * softplus(self.a_proj(u) + self.dt_bias)
            g = g.mT
        o, S = _rule(q, k, v, beta, g=g, n_h=self.n_h, initial_state=S, mode=mode, chunk=self.chunk)
        o = o * torch.rsqrt(o.square().mean(-1, keepdim=True) + self.eps) * self.norm
        o = o.transpose(-2, -3).flatten(-2)
        if self.g_proj is not None:
            o = o * silu(self.g_proj(u))
        return self.o_proj(o), (S, tail)

    def _by_heads(self, x: Array, size: int) -> Array:
        """Vectors (..., length * keys a token, heads * size), time before heads, as the rule's."""
        return x.unflatten(-1, (-1, self.heads, size)).flatten(-4, -3).transpose(-2, -3)


# The rule is compiled already, and is no graph of torch's.
_rule = torch.compiler.disable(delta_rule)


def _short_convolution(x: Array, tail: Array, weights: Array) -> tuple[Array, Array]:
    """Convolve every feature of x (..., length, features) with its weights; and the next tail."""
    before = tail.shape[-2]
    extended = torch.cat((tail.expand(*x.shape[:-2], -1, -1), x), -2)
    length = x.shape[-2]
    y = sum(extended[..., i : i + length, :] * weights[:, i] for i in range(before + 1))
    return y, extended[..., length:, :]

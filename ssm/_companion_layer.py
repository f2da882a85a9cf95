"""The companion state space of SpaceTime as a torch module (arXiv 2303.09489)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from numerics.arrays import Array, as_integer, check_choice
from ssm._sequence_layer import SequenceLayer, Step, batch_shape, generator
from ssm.companion import companion_forecast, companion_kernel, normalize_companion
from ssm.convolution import ssm_conv

_INITIALISATIONS = ("normal", "xavier")


class CompanionSSM(SequenceLayer):
    r"""Companion state spaces, one for every channel, that can forecast in closed loop.

    .. math:: x_t = A x_{t-1} + b\,u_t, \qquad y_t = c^T x_t + D u_t, \qquad
              A = S + \frac{p}{\lVert p \rVert_1}\, e_{d-1}^T,

    with S the shift, and p, b, c, D learnt: any autoregressive model is of this form. With a
    feedback k the state gives itself its next input, :math:`u_{t+1} = k^T x_t`, which is how
    :meth:`forecast` runs past the end of a signal. This is the linear system and nothing else:
    mixing of channels, activations and normalisation are the network's.

    Parameters
    ----------
    channels : int
        Number of channels, each with a system of its own.
    state_size : int
        Order d.
    init : {"normal", "xavier"}
        p, b and c at first: standard normal, or uniform in :math:`\pm 1/\sqrt d`.
    normalize : bool
        Divide p by its sum of absolute values, unless that is below 1e-4, so that no eigenvalue of
        A exceeds 1. Without it p is taken as it is: a unit root that is learnt or set stays one,
        and an unstable one unstable.
    rng : torch.Generator, numpy.random.Generator, int or None
        Source of the parameters at first; by default torch's own.
    device, dtype : optional
        Of the parameters.

    Attributes
    ----------
    p, b, c : Tensor, shape (channels, state_size)
        Last column of A before it is normalised, input and output vectors.
    k : Tensor, shape (channels, state_size)
        Feedback, 0 at first: :math:`A + b k^T` is as stable as A then. :meth:`forward` is free of
        it.
    D : Tensor, shape (channels,)
        Direct term.

    Notes
    -----
    :meth:`forward` costs O(d L) or :math:`O((d + L)\log(d + L))` for a channel's kernel, whatever
    is less, and O(L log L) for a signal; :meth:`step` costs O(d). States are in double precision,
    as is the closed loop: near the unit circle a rounding comes back as often as the system
    remembers samples. A kernel that is not to be learnt is set, and kept from training by
    ``requires_grad_(False)``.

    References
    ----------
    Zhang, Saab, Poli, Dao, Goel, Re, arXiv 2303.09489 (SpaceTime).

    Examples
    --------
    An autoregression of order 2 in this form: a register of past values, read by its coefficients.

    >>> import torch
    >>> layer = CompanionSSM(1, 2)
    >>> phi = torch.tensor([[1.2, -0.5]])
    >>> with torch.no_grad():
    ...     _ = layer.p.zero_(), layer.D.zero_(), layer.b.copy_(torch.eye(2)[:1])
    ...     _ = layer.c.copy_(phi), layer.k.copy_(phi)
    >>> u = torch.tensor([1.0, 2.0])[:, None]
    >>> y, u_next = layer.forecast(u, 4)
    >>> u_next[:, 0].detach().numpy().round(4)
    array([1.9   , 1.28  , 0.586 , 0.0632], dtype=float32)

    What it outputs in closed loop is what it would output had it seen its own forecasts.

    >>> torch.allclose(layer(torch.cat((u, u_next)))[1:5], y)
    True
    """

    state_parameters = ("p", "b")

    def __init__(
        self,
        channels: int,
        state_size: int = 64,
        *,
        init: str = "normal",
        normalize: bool = True,
        rng: Any = None,
        device: Any = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(channels)
        self.state_size = as_integer("state_size", state_size, minimum=1)
        check_choice("init", init, _INITIALISATIONS)
        self.normalize = bool(normalize)
        kind = {"device": device, "dtype": dtype or torch.get_default_dtype()}
        rng = generator(rng)
        shape = (self.channels, self.state_size)
        bound = 1 / math.sqrt(self.state_size)
        for name in ("p", "b", "c"):
            values = (
                rng.standard_normal(shape)
                if init == "normal"
                else rng.uniform(-bound, bound, shape)
            )
            setattr(self, name, nn.Parameter(torch.as_tensor(values, **kind)))
        self.k = nn.Parameter(torch.zeros(shape, **kind))
        self.D = nn.Parameter(torch.as_tensor(rng.standard_normal(self.channels), **kind))

    def extra_repr(self) -> str:
        """Sizes."""
        return f"{self.channels}, state_size={self.state_size}, normalize={self.normalize}"

    def _like(self) -> Array:
        return self.D

    def _column(self) -> Array:
        return normalize_companion(self.p) if self.normalize else self.p

    # Its recurrences are compiled already, and are no graph of torch's.
    @torch.compiler.disable
    def kernel(self, length: int) -> Array:
        """Convolution kernels of the channels, without D.

        Parameters
        ----------
        length : int
            Number of entries, at least 1.

        Returns
        -------
        Tensor, shape (channels, length)
        """
        return companion_kernel(self._column(), self.b, self.c, length)

    def forward(self, u: Array) -> Array:
        """Convolve signals (..., length, channels) with the kernels."""
        self._check_signal("u", u, "length", finite=False)
        if 0 in u.shape:
            return u * self.D
        return ssm_conv(u.mT, self.kernel(u.shape[-2]), self.D).mT

    def initial_state(self, batch: int | tuple[int, ...]) -> Array:
        """State before the first sample: zero.

        Parameters
        ----------
        batch : int or tuple of int
            Size of the batch, or sizes of its axes.

        Returns
        -------
        Tensor, shape (batch, channels, state_size)
            In double precision.
        """
        shape = (*batch_shape(batch), self.channels, self.state_size)
        return torch.zeros(shape, dtype=torch.float64, device=self.D.device)

    def stepper(self) -> Step:
        """Function that does what :meth:`step` does, with the parameters as they are now.

        What depends on parameters only is computed here, once, which is most of the work of a
        single step. Gradients pass through to the parameters.

        Returns
        -------
        callable
            Takes ``u_t`` and ``state``, and gives ``y_t`` and the next state.
        """
        p, b, c = (x.double() for x in (self._column(), self.b, self.c))
        D, one = self.D, self.initial_state(())

        def step(u_t: Array, state: Array) -> tuple[Array, Array]:
            self._check_signal("u_t", u_t)
            self._check_state(state, one)
            shifted = nn.functional.pad(state[..., :-1], (1, 0))
            state = shifted + p * state[..., -1:] + b * u_t[..., None]
            return (c * state).sum(-1).to(u_t.dtype) + D * u_t, state

        return step

    @torch.compiler.disable
    def _advance(self, u: Array, state: Array) -> tuple[Array, Array]:
        p, b, c = (x.double() for x in (self._column(), self.b, self.c))
        L, signal = u.shape[-2], u.mT.double()
        response = companion_kernel(p, state, c, L + 1)[..., 1:]
        y = ssm_conv(signal, companion_kernel(p, b, c, L), self.D, state_kernel=response)
        return y.mT.to(u.dtype), _state_after(signal, p, b, state)

    @torch.compiler.disable
    def forecast(self, u: Array, horizon: int) -> tuple[Array, Array]:
        r"""Go on past the end of a signal, in closed loop.

        From the state x after the last sample of u, for h = 0, ..., horizon - 1,

        .. math:: y_h = c^T (A + b k^T)^h x + D u_{h-1}, \qquad u_h = k^T (A + b k^T)^h x,

        with :math:`u_{-1}` the last sample of u. So :math:`y_0` is the last output of
        :meth:`forward`, and in a layer that is trained to say the next sample the first forecast.

        Parameters
        ----------
        u : Tensor, shape (..., length, channels)
            Signal so far.
        horizon : int
            Number of steps, at least 1.

        Returns
        -------
        y : Tensor, shape (..., horizon, channels)
            Outputs.
        u_next : Tensor, shape (..., horizon, channels)
            The inputs that the system gives itself: its forecast of u.
        """
        self._check_signal("u", u, "length")
        horizon = as_integer("horizon", horizon, minimum=1)
        p, b = self._column().double(), self.b.double()
        u = u.mT.double()
        x = _state_after(u, p, b, self.initial_state(tuple(u.shape[:-2])))
        y, u_next = companion_forecast(p, b, self.c.double(), self.k.double(), x, horizon)
        last = u[..., -1:] if u.shape[-1] else u_next.new_zeros(*u_next.shape[:-1], 1)
        y = y + self.D[:, None] * torch.cat((last, u_next[..., :-1]), -1)
        return y.to(self.D.dtype).mT, u_next.to(self.D.dtype).mT


def _state_after(u: Array, p: Array, b: Array, x: Array) -> Array:
    r"""State (..., channels, d) after signals (..., channels, L) in double precision, from x on.

    The last coordinate :math:`m_t` of the state is a convolution, and a response to x. What the
    register holds besides has been shifted there from x, from the inputs and from the last
    coordinates before the last d steps:
    :math:`(x_t)_j = \sum_{i \le j} (b_{j-i} u_{t-i} + p_{j-i} m_{t-1-i})`, and :math:`x_{j-L}`.
    """
    d, L = p.shape[-1], u.shape[-1]
    if 0 in u.shape:
        return x
    last = torch.eye(d, dtype=p.dtype, device=p.device)[-1]
    m = ssm_conv(u, companion_kernel(p, b, last, L))
    m = nn.functional.pad(m[..., :-1], (1, 0)) + companion_kernel(p, x, last, L)
    recent_u, recent_m = (
        nn.functional.pad(v[..., -d:].flip(-1), (0, d - min(d, L))) for v in (u, m)
    )
    shifted = nn.functional.pad(x, (min(d, L), 0))[..., :d]
    return shifted + ssm_conv(recent_u, b) + ssm_conv(recent_m, p)

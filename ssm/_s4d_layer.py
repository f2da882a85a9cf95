"""S4D as a torch module: a diagonal state-space system for every channel (arXiv 2206.11893)."""

from __future__ import annotations

from typing import Any

import torch

from numerics.arrays import Array, check_choice
from ssm._modal_layer import ModalLayer
from ssm._sequence_layer import Step
from ssm.convolution import ssm_recurrent
from ssm.diagonal import INITIALISATIONS, s4d_init
from ssm.discretization import discretize
from ssm.kernels import vandermonde_kernel

_RULES = ("bilinear", "zoh")


class S4D(ModalLayer):
    r"""Diagonal state-space systems, one for every channel.

    .. math:: y_k = D u_k + \sum_l K_l u_{k-l}, \qquad
              K_l = 2\,\mathrm{Re} \sum_n C_n \bar B_n e^{l\Delta\lambda_n},

    with all of :math:`\Delta, \lambda, B, C, D` learnt. This is the linear system and nothing else:
    mixing of channels, activations and normalisation are the network's.

    Parameters
    ----------
    channels : int
        Number of channels, each with a system of its own.
    state_size : int
        Order of a real system, even; half as many modes are kept. For ``init="real"`` all are, and
        any order goes.
    init : {"legs", "lin", "inv", "inv2", "quad", "rand", "real"}
        Modes and input vector at first, see :func:`ssm.s4d_init`.
    dt_min, dt_max : float
        Steps at first are log-uniform between these. A step of dt has the system remember about
        1/dt samples.
    discretization : {"zoh", "bilinear"}
        Rule; see :func:`ssm.discretize`.
    real_part : {"exp", "relu", "softplus", "sigmoid", "none"}
        Map from the parameter to the real part of the modes, which it keeps negative; see
        :func:`ssm.stable_real_part`.
    rng : torch.Generator, numpy.random.Generator, int or None
        Source of the parameters that start at random; by default torch's own.
    device, dtype : optional
        Of the parameters.

    Attributes
    ----------
    log_dt : Tensor, shape (channels,)
        Logarithms of the steps.
    raw_real_part, imag_part : Tensor, shape (channels, state_size / 2)
        Modes.
    B, C : Tensor, shape (channels, state_size / 2, 2)
        Input and output vectors, real and imaginary parts on the last axis.
    D : Tensor, shape (channels,)
        Direct term.

    Notes
    -----
    :meth:`forward` costs O(N L) for a channel's kernel and O(L log L) for a signal, :meth:`step`
    costs O(N). States are in double precision, since a rounding of the discrete modes comes back as
    often as the system remembers samples.

    References
    ----------
    Gu, Gupta, Goel, Re, arXiv 2206.11893 (S4D).

    Examples
    --------
    >>> import torch
    >>> from ssm import vandermonde_kernel
    >>> layer = S4D(3, 8, rng=0)
    >>> u = torch.randn(2, 50, 3)
    >>> y = layer(u)

    Step by step it does the same.

    >>> step, state = layer.stepper(), layer.initial_state(2)
    >>> for t in range(50):
    ...     y_t, state = step(u[:, t], state)
    >>> torch.allclose(y_t, y[:, -1], atol=1e-5)
    True

    The response to an impulse is the kernel of the parameters, and D.

    >>> impulse = torch.zeros(50, 3).index_fill_(0, torch.tensor(0), 1.0)
    >>> w = torch.view_as_complex(layer.B) * torch.view_as_complex(layer.C)
    >>> K = vandermonde_kernel(layer.Lambda, w, 50, dt=layer.dt)
    >>> torch.allclose(layer(impulse)[1:], K.mT[1:], atol=1e-5)
    True
    """

    def __init__(
        self,
        channels: int,
        state_size: int = 64,
        *,
        init: str = "legs",
        dt_min: float = 1e-3,
        dt_max: float = 1e-1,
        discretization: str = "zoh",
        real_part: str = "exp",
        rng: Any = None,
        device: Any = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(
            channels,
            state_size,
            dt_min=dt_min,
            dt_max=dt_max,
            real_part=real_part,
            rng=rng,
            device=device,
            dtype=dtype,
        )
        check_choice("init", init, INITIALISATIONS)
        check_choice("discretization", discretization, _RULES)
        if self.state_size % 2 and init != "real":
            raise ValueError(f"state_size must be even for init {init!r}, got {state_size}")
        self.discretization = discretization
        self._set_modes(*s4d_init(init, self.state_size, rng=self._rng))

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
        return vandermonde_kernel(
            self.Lambda,
            self._vector(self.B) * self._vector(self.C),
            length,
            dt=self.dt,
            discretization=self.discretization,
            conj=self.conj,
        )

    def stepper(self) -> Step:
        """Function that does what :meth:`step` does, with the parameters as they are now.

        What depends on parameters only is computed here, once, which is most of the work of a
        single step. Gradients pass through to the parameters.

        Returns
        -------
        callable
            Takes ``u_t`` and ``state``, and gives ``y_t`` and the next state.
        """
        A, B, C = self._discrete()
        D, one = self.D, self.initial_state(())

        def step(u_t: Array, state: Array) -> tuple[Array, Array]:
            self._check_signal("u_t", u_t)
            self._check_state(state, one)
            state = A * state + B * u_t[..., None]
            return self._read(C, state).to(u_t.dtype) + D * u_t, state

        return step

    def _discrete(self) -> tuple[Array, Array, Array]:
        """Discrete modes and vectors, in double precision."""
        Lambda, B, C = self.Lambda, self._vector(self.B), self._vector(self.C)
        kind = torch.complex128 if self.conj else torch.float64
        A, B = discretize(
            Lambda.to(kind), B.to(kind), self.dt, method=self.discretization, diagonal=True
        )
        return A, B, C.to(kind)

    def _advance(self, u: Array, state: Array) -> tuple[Array, Array]:
        system = self._discrete()
        y, state = ssm_recurrent(
            u.mT.double(), *system, self.D, state, diagonal=True, conj=self.conj
        )
        return y.mT.to(u.dtype), state

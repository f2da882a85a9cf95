"""S4 as a torch module: diagonal plus low-rank systems, one a channel (arXiv 2111.00396)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from numerics.arrays import Array, as_integer, check_choice
from ssm._dplr_system import checked_system
from ssm._modal_layer import ModalLayer
from ssm._sequence_layer import Step
from ssm.dplr import dplr_c_tilde, dplr_kernel
from ssm.dplr_dynamics import dplr_recurrence
from ssm.spectrum import nplr

_MEASURES = ("fourier_decay", "fout", "lagt", "legs", "legt")


class S4(ModalLayer):
    r"""Diagonal plus low-rank systems, one for every channel.

    .. math:: y_k = D u_k + \sum_l C \bar A^l \bar B\, u_{k-l}, \qquad
              A = \mathrm{diag}(\Lambda) - P P^*,

    under the bilinear rule with step :math:`\Delta`, all of
    :math:`\Delta, \Lambda, P, B, C, D` learnt. The correction has the sign that keeps A stable
    whatever P. This is the linear system and nothing else: mixing of channels, activations and
    normalisation are the network's.

    Parameters
    ----------
    channels : int
        Number of channels, each with a system of its own.
    state_size : int
        Order of a real system, even; half as many modes are kept.
    init : {"legs", "legt", "lagt", "fout", "fourier_decay"}
        HiPPO system at first, see :func:`ssm.nplr`; but with modes that decay at a rate of 1e-4
        at least, where its normal part has undamped ones, unless ``real_part`` is "none".
    length : int, optional
        Learn :math:`\tilde C = C(I - \bar A^L)` for this length L in place of C, as published. On a
        device and inside transforms of torch that spares kernels of up to L entries the powers of
        :math:`\bar A`, :math:`O(N^3 \log L)` operations; on the host there are none to spare.
        Steps, and signals longer than L, go by the C that belongs to :math:`\tilde C`: it solves a
        system with :math:`I - \bar A^L`, nearly singular where the system remembers more than L
        samples, and it changes when :math:`\bar A` is trained.
    dt_min, dt_max : float
        Steps at first are log-uniform between these. A step of dt has the system remember about
        1/dt samples.
    real_part : {"exp", "relu", "softplus", "sigmoid", "none"}
        Map from the parameter to the real part of :math:`\Lambda`, which it keeps negative; see
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
        Diagonal part.
    P : Tensor, shape (channels, rank, state_size / 2, 2)
        Factor of the correction, real and imaginary parts on the last axis.
    B, C : Tensor, shape (channels, state_size / 2, 2)
        Input and output vectors, likewise; ``C`` holds :math:`\tilde C` if there is a ``length``.
    D : Tensor, shape (channels,)
        Direct term.

    Notes
    -----
    :meth:`forward` costs O(N L) for a channel's kernel (on a device without ``length`` also the
    powers of :math:`\bar A`) and O(L log L) for a signal; :meth:`step` costs O(N). States are in
    double precision, since a rounding of the discrete system comes back as often as it remembers
    samples.

    References
    ----------
    Gu, Goel, Re, arXiv 2111.00396 (S4); Gu, Johnson, Timalsina, Rudra, Re, arXiv 2206.12037
    (initialisations).

    Examples
    --------
    >>> import torch
    >>> layer = S4(3, 8, rng=0, dtype=torch.float64)
    >>> u = torch.randn(2, 50, 3, dtype=torch.float64)
    >>> y = layer(u)

    Step by step it does the same.

    >>> step, state = layer.stepper(), layer.initial_state(2)
    >>> for t in range(50):
    ...     y_t, state = step(u[:, t], state)
    >>> torch.allclose(y_t, y[:, -1])
    True

    At first every channel is LegS, the eigenvalues of which are -1, -2, ..., -8.

    >>> from ssm import dplr_to_dense
    >>> B, C, P = (torch.view_as_complex(x) for x in (layer.B, layer.C, layer.P))
    >>> A, _, _ = dplr_to_dense(layer.Lambda, P, B, C)
    >>> torch.linalg.eigvals(A[0]).real.sort().values.detach().numpy().round(6)
    array([-8., -7., -6., -5., -4., -3., -2., -1.])
    """

    state_parameters = (*ModalLayer.state_parameters, "P")

    def __init__(
        self,
        channels: int,
        state_size: int = 64,
        *,
        init: str = "legs",
        length: int | None = None,
        dt_min: float = 1e-3,
        dt_max: float = 1e-1,
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
        check_choice("init", init, _MEASURES)
        if self.state_size % 2:
            raise ValueError(f"state_size must be even, got {state_size}")
        self.length = None if length is None else as_integer("length", length, minimum=1)
        Lambda, P, B, _ = nplr(init, self.state_size)
        self._set_modes(Lambda, B)
        self.P = self._parameter(np.tile(P, (self.channels, 1, 1)))

    def extra_repr(self) -> str:
        """Sizes."""
        return f"{super().extra_repr()}, length={self.length}"

    # Its sums are compiled already, and are no graph of torch's.
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
        length = as_integer("length", length, minimum=1)
        system = self.Lambda, self._vector(self.P), self._vector(self.B)
        if self.length is None or length > self.length:
            return dplr_kernel(*system, self._output(), length, dt=self.dt)
        C = self._vector(self.C)
        return dplr_kernel(*system, C, self.length, dt=self.dt, C_is_tilde=True)[..., :length]

    def _output(self) -> Array:
        """The output vector C, also if another is learnt."""
        C = self._vector(self.C)
        if self.length is None:
            return C
        system = self.Lambda, self._vector(self.P)
        return dplr_c_tilde(*system, C, self.length, dt=self.dt, inverse=True)

    @torch.compiler.disable
    def stepper(self) -> Step:
        """Function that does what :meth:`step` does, with the parameters as they are now.

        What depends on parameters only is computed here, once, which is most of the work of a
        single step. Gradients pass through to the parameters.

        Returns
        -------
        callable
            Takes ``u_t`` and ``state``, and gives ``y_t`` and the next state.
        """
        system, B, C = checked_system(
            self.Lambda,
            self._vector(self.P),
            None,
            self.dt,
            True,
            B=self._vector(self.B),
            C=self._output(),
        )
        diagonal, E, G = system.bilinear()
        B, D, one = system.bilinear_input(B), self.D, self.initial_state(())

        def step(u_t: Array, state: Array) -> tuple[Array, Array]:
            self._check_signal("u_t", u_t)
            self._check_state(state, one)
            read = self._read(G, state[..., None, :])
            correction = (E * read[..., None]).sum(-2)
            state = diagonal * state - correction + B * u_t[..., None]
            return self._read(C, state).to(u_t.dtype) + D * u_t, state

        return step

    @torch.compiler.disable
    def _advance(self, u: Array, state: Array) -> tuple[Array, Array]:
        y, state = dplr_recurrence(
            u.mT.double(),
            self.Lambda,
            self._vector(self.P),
            self._vector(self.B),
            self._output(),
            self.D,
            state,
            dt=self.dt,
        )
        return y.mT.to(u.dtype), state

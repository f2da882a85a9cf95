"""Parameters of state-space layers that are written in modes, one system a channel.

Complex numbers are kept as pairs of reals on a last axis, so that a layer moves between single and
double precision as every other does.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from numerics.arrays import Array, as_integer, check_choice
from ssm._sequence_layer import SequenceLayer, batch_shape, generator, log_steps
from ssm.convolution import ssm_conv
from ssm.diagonal import TRANSFORMS, stable_real_part, unconstrained_real_part

_LEAST_DECAY = 1e-4


class ModalLayer(SequenceLayer):
    """Layer of single-input single-output systems with modes Lambda, and vectors B and C."""

    state_parameters: ClassVar[tuple[str, ...]] = ("log_dt", "raw_real_part", "imag_part", "B")

    def __init__(
        self,
        channels: int,
        state_size: int,
        *,
        dt_min: float,
        dt_max: float,
        real_part: str,
        rng: Any,
        device: Any,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__(channels)
        self.state_size = as_integer("state_size", state_size, minimum=1)
        check_choice("real_part", real_part, TRANSFORMS)
        self.real_part = real_part
        self._kind = {"device": device, "dtype": dtype or torch.get_default_dtype()}
        self._rng = generator(rng)
        self.log_dt = self._parameter(log_steps(self._rng, self.channels, dt_min, dt_max))

    def _parameter(self, values: Any) -> nn.Parameter:
        """Parameter of host values; complex ones as pairs."""
        if np.iscomplexobj(values):
            values = np.stack((values.real, values.imag), axis=-1)
        return nn.Parameter(torch.as_tensor(np.array(values), **self._kind))

    def _set_modes(self, Lambda: Any, B: Any) -> None:
        """Start every channel at the same modes, with C and D normal."""
        H = self.channels
        self.conj = np.iscomplexobj(Lambda)
        real = Lambda.real
        if self.real_part != "none":
            real = np.minimum(real, -_LEAST_DECAY)
        raw = unconstrained_real_part(real, transform=self.real_part)
        self.raw_real_part = self._parameter(np.tile(raw, (H, 1)))
        self.register_parameter("imag_part", None)
        if self.conj:
            self.imag_part = self._parameter(np.tile(Lambda.imag, (H, 1)))
        self.B = self._parameter(np.tile(B, (H, 1)))
        normal = self._rng.standard_normal((H, Lambda.shape[0], 2))
        C = (normal[..., 0] + 1j * normal[..., 1]) / np.sqrt(2) if self.conj else normal[..., 0]
        self.C = self._parameter(C)
        self.D = self._parameter(self._rng.standard_normal(H))
        del self._rng

    def _like(self) -> Array:
        return self.D

    def extra_repr(self) -> str:
        """Sizes."""
        return f"{self.channels}, state_size={self.state_size}, real_part={self.real_part!r}"

    @property
    def dt(self) -> Array:
        """Steps, shape (channels,)."""
        return torch.exp(self.log_dt)

    @property
    def Lambda(self) -> Array:
        """Modes, shape (channels, modes); of conjugate pairs one."""
        real = stable_real_part(self.raw_real_part, transform=self.real_part)
        return torch.complex(real, self.imag_part) if self.conj else real

    def _vector(self, parameter: Array) -> Array:
        """Complex form of a parameter that is kept in pairs."""
        return torch.complex(*parameter.unbind(-1)) if self.conj else parameter

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
        raise NotImplementedError

    def forward(self, u: Array) -> Array:
        """Convolve signals (..., length, channels) with the kernels."""
        self._check_signal("u", u, "length", finite=False)
        if 0 in u.shape:
            return u * self.D
        K = self.kernel(u.shape[-2])
        return ssm_conv(u.mT, K, self.D).mT

    def initial_state(self, batch: int | tuple[int, ...]) -> Array:
        """State before the first sample: zero.

        Parameters
        ----------
        batch : int or tuple of int
            Size of the batch, or sizes of its axes.

        Returns
        -------
        Tensor, shape (batch, channels, modes)
            In double precision, complex for conjugate pairs.
        """
        dtype = torch.complex128 if self.conj else torch.float64
        shape = (*batch_shape(batch), *self.raw_real_part.shape)
        return torch.zeros(shape, dtype=dtype, device=self.D.device)

    def _read(self, C: Array, x: Array) -> Array:
        """Output of a state, in double precision."""
        if self.conj:
            return 2 * (C.real * x.real - C.imag * x.imag).sum(-1)
        return (C * x).sum(-1)

"""What the layers of this package have in common: checked signals, states, and steps.

A layer maps signals (..., length, channels) to signals, and can do the same one sample at a time
with a state that it hands out and takes back.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import nn

from numerics.arrays import Array, as_arrays, as_float, as_generator, as_integer, check_shape

Step = Callable[[Array, Any], tuple[Array, Any]]


class SequenceLayer(nn.Module):
    """Layer over signals whose last axis is of a fixed number of channels.

    ``state_parameters`` names the parameters of the dynamics, which are trained apart from the
    others; see :func:`ssm.nn.optimizer_groups`.
    """

    state_parameters: ClassVar[tuple[str, ...]] = ()

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = as_integer("channels", channels, minimum=1)

    def step(self, u_t: Array, state: Any) -> tuple[Array, Any]:
        """Take one sample; what :meth:`forward` gives, sample by sample.

        Parameters
        ----------
        u_t : Tensor, shape (..., channels)
            Sample.
        state : object
            State before it, of :meth:`initial_state` or of the step before.

        Returns
        -------
        y_t : Tensor, shape (..., channels)
            Output.
        state : object
            State after it. The one that was given is not changed.
        """
        return self.stepper()(u_t, state)

    def stepper(self) -> Step:
        """Function that does what :meth:`step` does, with the parameters as they are now.

        What depends on parameters only is computed here, once, which is most of the work of a
        single step. Gradients pass through to the parameters.

        Returns
        -------
        callable
            Takes ``u_t`` and ``state``, and gives ``y_t`` and the next state.
        """
        raise NotImplementedError

    def advance(self, u: Array, state: Any = None) -> tuple[Array, Any]:
        """Take a piece of a signal: as many steps at once.

        Pieces that follow one another, down to single samples by :meth:`step`, give what
        :meth:`forward` gives for the whole.

        Parameters
        ----------
        u : Tensor, shape (..., length, channels)
            Samples.
        state : object, optional
            State before them, of :meth:`initial_state` or of what came before; by default that of
            the beginning.

        Returns
        -------
        y : Tensor, shape (..., length, channels)
            Outputs.
        state : object
            State after them. The one that was given is not changed.
        """
        self._check_signal("u", u, "length")
        if state is None:
            state = self.initial_state(tuple(u.shape[:-2]))
        self._check_state(state, self.initial_state(()))
        if 0 in u.shape:
            return self(u), state
        return self._advance(u, state)

    def _advance(self, u: Array, state: Any) -> tuple[Array, Any]:
        raise NotImplementedError

    def _check_state(self, state: Any, one: Any) -> None:
        """Refuse what is not of the trailing shapes and dtypes of the state ``one``."""
        parts, wanted = ((x if isinstance(x, tuple) else (x,)) for x in (state, one))
        if len(parts) != len(wanted):
            raise TypeError(f"state must be {len(wanted)} tensors, got {len(parts)}")
        for part, like in zip(parts, wanted, strict=True):
            if not isinstance(part, torch.Tensor):
                raise TypeError(f"state must be of torch tensors, got {type(part).__name__}")
            check_shape("state", part, *like.shape)
            if part.dtype != like.dtype:
                raise TypeError(f"state must have dtype {like.dtype}, got {part.dtype}")

    def _like(self) -> Array:
        """Tensor of the layer's device and precision."""
        return next(self.parameters())

    def _check_signal(self, name: str, u: Array, *axes: str, finite: bool = True) -> None:
        if not isinstance(u, torch.Tensor):
            raise TypeError(f"{name} must be a torch tensor, got {type(u).__name__}")
        check_shape(name, u, *axes, self.channels)
        dtype = self._like().dtype
        if u.dtype != dtype:
            raise TypeError(f"{name} must have the layer's dtype {dtype}, got {u.dtype}")
        if finite:
            as_arrays(**{name: u})


def batch_shape(batch: int | tuple[int, ...]) -> tuple[int, ...]:
    """Read one batch size, or several."""
    sizes = batch if isinstance(batch, tuple) else (batch,)
    return tuple(as_integer("batch", size, minimum=0) for size in sizes)


def generator(rng: Any) -> Any:
    """Make a generator of ``rng``; by default of torch's seed, as for any layer of torch."""
    return as_generator(torch.default_generator if rng is None else rng)


def log_steps(rng: Any, channels: int, dt_min: float, dt_max: float) -> Any:
    """Logarithms of steps, uniform between those of the bounds."""
    dt_min = as_float("dt_min", dt_min, positive=True)
    if as_float("dt_max", dt_max, positive=True) < dt_min:
        raise ValueError(f"dt_max must not be below dt_min = {dt_min}, got {dt_max}")
    return rng.uniform(math.log(dt_min), math.log(dt_max), channels)

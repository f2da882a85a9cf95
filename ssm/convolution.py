r"""Linear state-space models applied to signals: by convolution and by recurrence.

Both evaluate the same map from u to y,

.. math:: x_k = \bar A x_{k-1} + \bar B u_k, \quad y_k = C x_k + D u_k
          \qquad\Longleftrightarrow\qquad
          y_k = \sum_{l=0}^{k} K_l u_{k-l} + C \bar A^{k+1} x_{-1} + D u_k,

with :math:`K_l = C \bar A^l \bar B`. The recurrence runs in blocks: within a block everything is a
matrix product, and only one state a block is carried on.

References: S4 (arXiv 2111.00396), S4D (arXiv 2206.11893).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from numerics.arrays import (
    Array,
    Frame,
    as_arrays,
    broadcast_batch,
    check_choice,
    check_real,
    check_shape,
)
from ssm.kernels import krylov

_BLOCK = 64


def ssm_conv(
    u: Array, K: Array, D: Array | None = None, *, state_kernel: Array | None = None
) -> Array:
    r"""Causal convolution of signals with kernels, by FFT.

    .. math:: y_k = \sum_{l=0}^{k} K_l\, u_{k-l} + D u_k + (\text{state\_kernel})_k

    Parameters
    ----------
    u : array, shape (..., L)
        Real signals.
    K : array, shape (..., M)
        Kernels, real or complex; entries past L have no effect.
    D : float or array, shape (...), optional
        Direct term.
    state_kernel : array, shape (..., L), optional
        Response to the initial state, :math:`C \bar A^{k+1} x_{-1}`, added to y.

    Returns
    -------
    array, shape (..., L)
        Batch axes broadcast; complex if ``K`` or ``state_kernel`` is. Errors are relative to the
        largest value of y, as of any FFT.

    Raises
    ------
    TypeError
        For complex ``u``, arrays that hold no numbers, or mixed array libraries.
    ValueError
        For wrong shapes, an empty kernel, or values that are not finite.

    Examples
    --------
    A running sum is the convolution with ones.

    >>> import numpy as np
    >>> ssm_conv(np.array([1.0, 2.0, 3.0]), np.ones(3)).round(12)
    array([1., 3., 6.])
    """
    frame, u, K, D, state_kernel = as_arrays(u=u, K=K, D=D, state_kernel=state_kernel)
    xp = frame.xp
    check_shape("u", u, "L")
    check_real("u", u, frame)
    check_shape("K", K, "M")
    if K.shape[-1] == 0:
        raise ValueError(f"K must hold at least one value, got shape {tuple(K.shape)}")
    L = u.shape[-1]
    shapes = {"u": tuple(u.shape[:-1]), "K": tuple(K.shape[:-1])}
    if D is not None:
        shapes["D"] = tuple(D.shape)
    if state_kernel is not None:
        check_shape("state_kernel", state_kernel, L)
        shapes["state_kernel"] = tuple(state_kernel.shape[:-1])
    batch = broadcast_batch(**shapes)
    if L == 0:
        return xp.zeros((*batch, 0), dtype=u.dtype, device=frame.device)
    K = K[..., :L]
    n = _fast_length(L + K.shape[-1] - 1)
    if frame.is_complex(K):
        spectrum = xp.fft.fft(frame.common_dtype(u, K)[0], n=n) * xp.fft.fft(K, n=n)
        y = xp.fft.ifft(spectrum, n=n)[..., :L]
    else:
        y = xp.fft.irfft(xp.fft.rfft(u, n=n) * xp.fft.rfft(K, n=n), n=n)[..., :L]
    if D is not None:
        y = y + D[..., None] * u
    if state_kernel is not None:
        y = y + state_kernel
    return frame.cast(y)


def ssm_recurrent(
    u: Array,
    Ad: Array,
    Bd: Array,
    C: Array,
    D: Array | None = None,
    x0: Array | None = None,
    *,
    diagonal: bool = False,
    conj: bool = False,
    convention: str = "current",
) -> tuple[Array, Array]:
    r"""Run discrete state-space models over signals and hand back the last state.

    .. math:: \text{current:}\quad x_k = \bar A x_{k-1} + \bar B u_k,\ y_k = C x_k + D u_k
              \qquad
              \text{delayed:}\quad y_k = C x_k + D u_k,\ x_{k+1} = \bar A x_k + \bar B u_k

    Feeding a signal piece by piece, each call starting from the state of the one before, gives the
    same as one call.

    Parameters
    ----------
    u : array, shape (..., L)
        Real signals.
    Ad : array, shape (..., N, N), or (..., N) when ``diagonal``
        Discrete state matrices.
    Bd, C : array, shape (..., N)
        Input and output vectors.
    D : float or array, shape (...), optional
        Direct term.
    x0 : array, shape (..., N), optional
        State before the first sample; zero by default.
    diagonal : bool
        Whether ``Ad`` holds diagonals.
    conj : bool
        The arrays hold one of each conjugate pair: y is twice the real part of C x.
    convention : {"current", "delayed"}
        Whether the output sees the newest input through the state. SciPy's ``dlti`` is delayed.

    Returns
    -------
    y : array, shape (..., L)
        Real when ``conj`` or when the system is real.
    x : array, shape (..., N)
        State after the last sample.

    Raises
    ------
    TypeError
        For complex ``u``, arrays that hold no numbers, or mixed array libraries.
    ValueError
        For wrong shapes, an unknown ``convention``, or values that are not finite.

    Examples
    --------
    A leaky integrator, run in two pieces.

    >>> import numpy as np
    >>> leak, gain, read = np.array([[0.5]]), np.array([1.0]), np.array([1.0])
    >>> y, x = ssm_recurrent(np.array([1.0, 0.0]), leak, gain, read)
    >>> y
    array([1. , 0.5])
    >>> ssm_recurrent(np.array([0.0]), leak, gain, read, x0=x)[0]
    array([0.25])
    """
    frame, u, Ad, Bd, C, D, x0 = as_arrays(u=u, Ad=Ad, Bd=Bd, C=C, D=D, x0=x0)
    check_choice("convention", convention, ("current", "delayed"))
    check_shape("u", u, "L")
    check_real("u", u, frame)
    batch = _check_system(Ad, Bd, C, D, diagonal, u=tuple(u.shape[:-1]), x0=x0)
    N, L = Bd.shape[-1], u.shape[-1]
    xp = frame.xp
    if x0 is None:
        x0 = xp.zeros((N,), dtype=frame.real, device=frame.device)
    parts = frame.common_dtype(Ad, Bd, C, x0)
    Ad, Bd, C, x = (frame.double(part) for part in parts)
    x = xp.broadcast_to(frame.cast(x), (*batch, N))
    whole = L - L % _BLOCK
    outputs = []
    for start, stop in ((0, whole), (whole, L)):
        if start < stop:
            width = _BLOCK if stop == whole else stop - start
            block = _Block(frame, Ad, Bd, C, width, diagonal, conj, convention)
            y, x = block.run(xp.broadcast_to(u[..., start:stop], (*batch, stop - start)), x)
            outputs.append(y)
    if not outputs:
        dtype = frame.real if conj else x.dtype
        outputs.append(xp.zeros((*batch, 0), dtype=dtype, device=frame.device))
    y = xp.concat(outputs, axis=-1) if len(outputs) > 1 else outputs[0]
    if D is not None:
        y = y + D[..., None] * u
    return frame.cast(y), x


def delayed_form(
    Ad: Array, Bd: Array, C: Array, D: Array | None = None, *, diagonal: bool = False
) -> tuple[Array, Array, Array, Array]:
    r"""Rewrite a system of the current convention in SciPy's delayed one.

    .. math:: (\bar A, \bar B, C, D) \mapsto (\bar A, \bar B, C\bar A, D + C\bar B),

    the same map from u to y with :math:`x_{k+1} = \bar A x_k + \bar B u_k`,
    :math:`y_k = C x_k + D u_k`.

    Parameters
    ----------
    Ad, Bd, C, D, diagonal
        As in :func:`ssm_recurrent`.

    Returns
    -------
    Ad, Bd, C, D : array
        Shapes as given; ``D`` has the batch shape.

    Raises
    ------
    TypeError, ValueError
        For wrong types and shapes.

    Examples
    --------
    >>> import numpy as np, scipy.signal
    >>> Ad, Bd, C = np.array([[0.5]]), np.array([2.0]), np.array([3.0])
    >>> A, B, Cs, D = delayed_form(Ad, Bd, C)
    >>> scipy.signal.dimpulse((A, B[:, None], Cs[None], D[None, None], 1), n=3)[1][0].ravel()
    array([6. , 3. , 1.5])
    """
    frame, Ad, Bd, C, D = as_arrays(Ad=Ad, Bd=Bd, C=C, D=D)
    _check_system(Ad, Bd, C, D, diagonal)
    Ad, Bd, C = frame.common_dtype(Ad, Bd, C)
    through = frame.xp.sum(C * Bd, axis=-1)
    advanced = C * Ad if diagonal else (C[..., None, :] @ Ad)[..., 0, :]
    return Ad, Bd, advanced, frame.cast(through if D is None else through + D)


def _fast_length(n: int) -> int:
    """Least number from n on without a prime factor above 5, in steps that a compiler can trace."""
    best = 1 << (n - 1).bit_length()
    fives = 1
    while fives < best:
        odd = fives
        while odd < best:
            best = min(best, odd << (-(-n // odd) - 1).bit_length())
            odd *= 3
        fives *= 5
    return best


class _Block:
    """What a block of ``width`` samples needs, computed once in double precision."""

    def __init__(
        self,
        frame: Frame,
        Ad: Array,
        Bd: Array,
        C: Array,
        width: int,
        diagonal: bool,
        conj: bool,
        convention: str,
    ) -> None:
        xp = frame.xp
        self.frame, self.width, self.diagonal, self.conj = frame, width, diagonal, conj
        if diagonal:
            powers = _powers(frame, Ad, width + 1)
            inputs = powers[..., :-1] * Bd[..., None]
            outputs = powers[..., :-1] * C[..., None]
            self.carry = frame.cast(powers[..., -1])
            later = outputs * Ad[..., None]
        else:
            inputs = krylov(frame, Ad, Bd, width)
            outputs = krylov(frame, xp.matrix_transpose(Ad), C, width)
            self.carry = frame.cast(xp.linalg.matrix_power(Ad, width))
            later = xp.matrix_transpose(Ad) @ outputs
        kernel = (C[..., None, :] @ inputs)[..., 0, :]
        if convention == "delayed":
            kernel = xp.concat((xp.zeros_like(kernel[..., :1]), kernel[..., :-1]), axis=-1)
        else:
            outputs = later
        kernel = 2 * xp.real(kernel) if conj else kernel
        self.outputs = frame.cast(outputs)
        self.inputs = frame.cast(xp.matrix_transpose(xp.flip(inputs, axis=-1)))
        self.kernel = frame.cast(_upper_toeplitz(frame, kernel))

    def run(self, u: Array, x: Array) -> tuple[Array, Array]:
        """Run a whole number of blocks of ``u``: outputs and last state."""
        xp = self.frame.xp
        blocks = u.reshape((*u.shape[:-1], -1, self.width))
        typed, inputs = self.frame.common_dtype(blocks, self.inputs)
        entering = typed @ inputs
        states = []
        for index in range(blocks.shape[-2]):
            states.append(x)
            moved = self.carry * x if self.diagonal else (self.carry @ x[..., None])[..., 0]
            x = moved + entering[..., index, :]
        free = xp.stack(states, axis=-2) @ self.outputs
        if self.conj:
            free = 2 * xp.real(free)
        typed, kernel = self.frame.common_dtype(blocks, self.kernel)
        y = typed @ kernel + free
        return y.reshape((*y.shape[:-2], -1)), x


def _powers(frame: Frame, z: Array, count: int) -> Array:
    """Powers z**0 to z**(count - 1) on a new last axis, by doubling."""
    xp = frame.xp
    powers, step = xp.ones_like(z)[..., None], z[..., None]
    while powers.shape[-1] < count:
        powers = xp.concat((powers, powers[..., : count - powers.shape[-1]] * step), axis=-1)
        step = step * step
    return powers


def _upper_toeplitz(frame: Frame, kernel: Array) -> Array:
    """Matrices with entry (i, j) equal to kernel[j - i] for j >= i and zero below."""
    xp = frame.xp
    width = kernel.shape[-1]
    lag = np.arange(width)[None, :] - np.arange(width)[:, None]
    index = xp.asarray(np.maximum(lag, 0).ravel(), device=frame.device)
    gathered = xp.take(kernel, index, axis=-1).reshape((*kernel.shape[:-1], width, width))
    return xp.triu(gathered)


def _check_system(
    Ad: Array,
    Bd: Array,
    C: Array,
    D: Array | None,
    diagonal: bool,
    *,
    x0: Array | None = None,
    **batches: tuple[int, ...],
) -> tuple[int, ...]:
    trailing: tuple[Any, ...] = ("N",) if diagonal else ("N", "N")
    check_shape("Ad", Ad, *trailing)
    N = Ad.shape[-1]
    if N == 0:
        raise ValueError(f"Ad must have order N of at least 1, got shape {tuple(Ad.shape)}")
    vectors = {"Bd": Bd, "C": C} if x0 is None else {"Bd": Bd, "C": C, "x0": x0}
    for name, vector in vectors.items():
        check_shape(name, vector, N)
        batches[name] = tuple(vector.shape[:-1])
    if D is not None:
        batches["D"] = tuple(D.shape)
    return broadcast_batch(Ad=tuple(Ad.shape[: -len(trailing)]), **batches)

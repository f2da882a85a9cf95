"""Spectral mixtures handed to GPyTorch and taken back from it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from gpytorch.kernels import Kernel, SpectralMixtureKernel

from solvers.gp_pde._student_t_kernel import StudentTMixtureKernel
from solvers.gp_pde.spectral_mixture import SpectralMixture

_SAME = "and the same envelope in all dimensions; others are a product of kernels with active_dims"


def to_gpytorch(mixture: SpectralMixture | Sequence[SpectralMixture]) -> Kernel:
    r"""Kernel of GPyTorch that has the parameters of a spectral mixture, to be trained from there.

    Parameters
    ----------
    mixture : SpectralMixture or sequence of SpectralMixture
        One a dimension; those of several dimensions have the same weights, as GPyTorch's kernel
        has, and the same envelope.

    Returns
    -------
    gpytorch.kernels.SpectralMixtureKernel or StudentTMixtureKernel
        In the precision and on the device of the parameters, which are copied. GPyTorch keeps them
        positive: a weight or a frequency of 0 becomes the smallest positive number there is, and
        a negative frequency its absolute value, which is the same kernel.

    Raises
    ------
    TypeError
        For anything but spectral mixtures.
    ValueError
        For mixtures whose weights or envelopes differ: a product of kernels, each with its
        ``active_dims``, takes those.

    Examples
    --------
    What the periodogram says of a series is a start for its kernel.

    >>> import numpy as np, torch
    >>> from solvers import SpectralMixture, spectral_init
    >>> t = np.linspace(0, 1, 200)
    >>> freqs, weights, scales = spectral_init(np.sin(40 * t) + np.cos(150 * t), t[1], 2)
    >>> kernel = to_gpytorch(SpectralMixture(weights, freqs, scales))
    >>> (2 * np.pi * kernel.mixture_means.flatten()).sort().values.round().tolist()
    [40.0, 150.0]
    """
    mixtures = [mixture] if isinstance(mixture, SpectralMixture) else list(mixture)
    for one in mixtures:
        if not isinstance(one, SpectralMixture):
            raise TypeError(f"mixture must hold spectral mixtures, got {one!r}")
    if not mixtures:
        raise ValueError("mixture must hold at least one spectral mixture, got none")
    first = mixtures[0]
    if len({(len(one.weights), one.envelope, _smoothness(one)) for one in mixtures}) > 1:
        raise ValueError(f"mixture must hold as many components {_SAME}")
    weights, freqs, scales = (
        torch.stack([_copied(getattr(one, name)) for one in mixtures], dim=-1)
        for name in ("weights", "freqs", "scales")
    )
    if bool((weights != weights[:, :1]).any()):
        raise ValueError(f"mixture must hold the same weights {_SAME}")
    if first.envelope == "gaussian":
        kernel = SpectralMixtureKernel(len(weights), ard_num_dims=len(mixtures))
    else:
        kernel = StudentTMixtureKernel(len(weights), first.nu, ard_num_dims=len(mixtures))
    kernel = kernel.to(dtype=weights.dtype, device=weights.device)
    tiny = torch.finfo(weights.dtype).tiny
    kernel.mixture_weights = weights[:, 0].clamp(min=tiny)
    kernel.mixture_means = freqs.abs().clamp(min=tiny).unsqueeze(-2)
    kernel.mixture_scales = scales.unsqueeze(-2)
    return kernel


def from_gpytorch(kernel: Kernel) -> SpectralMixture | tuple[SpectralMixture, ...]:
    r"""Spectral mixture of a kernel of GPyTorch.

    Parameters
    ----------
    kernel : gpytorch.kernels.SpectralMixtureKernel or StudentTMixtureKernel
        Without batch axes.

    Returns
    -------
    SpectralMixture or tuple of SpectralMixture
        One for ``ard_num_dims=1``, one a dimension otherwise. The parameters are torch tensors, and
        gradients go through them to those of ``kernel``.

    Raises
    ------
    TypeError
        For other kernels.
    ValueError
        For kernels with a batch shape.

    Examples
    --------
    The mixture has the derivatives that the kernel lacks.

    >>> import torch
    >>> from gpytorch.kernels import SpectralMixtureKernel
    >>> kernel = SpectralMixtureKernel(num_mixtures=3).double()
    >>> mixture = from_gpytorch(kernel)
    >>> x = torch.linspace(0, 1, 5, dtype=torch.float64)
    >>> bool(torch.allclose(mixture(x - x[0]), kernel(x[:, None]).to_dense()[0]))
    True
    >>> mixture(x, order=4).requires_grad
    True
    """
    if not isinstance(kernel, SpectralMixtureKernel):
        raise TypeError(
            "kernel must be a SpectralMixtureKernel or a StudentTMixtureKernel, "
            f"got {type(kernel).__name__}"
        )
    if len(kernel.batch_shape):
        raise ValueError(f"kernel must have no batch axes, got {tuple(kernel.batch_shape)}")
    envelope, nu = "gaussian", 2.5
    if isinstance(kernel, StudentTMixtureKernel):
        envelope, nu = "matern", kernel.nu
    mixtures = tuple(
        SpectralMixture(
            kernel.mixture_weights,
            kernel.mixture_means[:, 0, j],
            kernel.mixture_scales[:, 0, j],
            envelope=envelope,
            nu=nu,
        )
        for j in range(kernel.ard_num_dims)
    )
    return mixtures[0] if len(mixtures) == 1 else mixtures


def _smoothness(mixture: SpectralMixture) -> float:
    return math.inf if mixture.envelope == "gaussian" else mixture.nu


def _copied(values: np.ndarray | torch.Tensor) -> torch.Tensor:
    if isinstance(values, torch.Tensor):
        return values.detach().clone()
    return torch.tensor(values)

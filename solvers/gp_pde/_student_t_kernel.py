r"""The spectral mixture of Student's t densities as a kernel of GPyTorch.

In each dimension :math:`\kappa(r) = \sum_q w_q M_\nu(r; \ell_q) \cos(2\pi\mu_q r)`, with
:math:`\ell_q = 1/(2\pi\rho_q)` (arXiv 2311.04465).
"""

from __future__ import annotations

from typing import Any

import torch
from gpytorch.kernels import SpectralMixtureKernel

from solvers.gp_pde._envelopes import check_envelope
from solvers.gp_pde.spectral_mixture import spectral_mixture_kernel


class StudentTMixtureKernel(SpectralMixtureKernel):
    r"""Sum of Matern functions times cosines, whose spectrum is a mixture of Student's t densities.

    .. math:: k(x, x') = \prod_{j=1}^{d} \sum_{q=1}^{Q} w_q\,
              M_\nu\!\left(x_j - x'_j; \tfrac{1}{2\pi\rho_{qj}}\right)
              \cos\left(2\pi\mu_{qj} (x_j - x'_j)\right)

    It takes the place of ``gpytorch.kernels.SpectralMixtureKernel``, of which it has the parameters
    and the product over dimensions, where spectra have heavier tails than a Gaussian's. Derivatives
    by autograd are right where two points coincide, to the order :math:`2\nu - 1`, which those of
    ``gpytorch.kernels.MaternKernel`` are not.

    Parameters
    ----------
    num_mixtures : int
        Q.
    nu : float
        Smoothness 1/2, 3/2, ..., half the degrees of freedom of the densities.
    **kwargs
        ``ard_num_dims`` (d, the dimension of the input, by default 1), ``batch_shape``,
        ``active_dims``, and ``mixture_weights_constraint``, ``mixture_means_constraint`` and
        ``mixture_scales_constraint``, by default ``Positive()``, as ``SpectralMixtureKernel`` takes
        them.

    Attributes
    ----------
    mixture_weights : tensor, shape (..., Q)
        :math:`w_q`.
    mixture_means : tensor, shape (..., Q, 1, d)
        :math:`\mu_{qj}`, in cycles per unit of length.
    mixture_scales : tensor, shape (..., Q, 1, d)
        Scales :math:`\rho_{qj}` of the densities, in cycles per unit of length.

    Raises
    ------
    ValueError
        For an unknown ``nu``.

    See Also
    --------
    to_gpytorch : one with given parameters.

    References
    ----------
    Fang, Cooley, Long, Li, Kirby, Zhe, arXiv 2311.04465.

    Examples
    --------
    One component is a Matern kernel times a cosine.

    >>> import gpytorch, torch
    >>> kernel = StudentTMixtureKernel(1, nu=2.5)
    >>> kernel.mixture_weights, kernel.mixture_means, kernel.mixture_scales = 1.0, 3.0, 0.5
    >>> matern, cosine = gpytorch.kernels.MaternKernel(2.5), gpytorch.kernels.CosineKernel()
    >>> matern.lengthscale, cosine.period_length = 1 / torch.pi, 1 / (2 * 3.0)
    >>> x = torch.linspace(0, 1, 6).unsqueeze(-1)
    >>> bool(torch.allclose(kernel(x).to_dense(), (matern * cosine)(x).to_dense(), atol=1e-5))
    True
    """

    def __init__(self, num_mixtures: int, nu: float = 2.5, **kwargs: Any) -> None:
        check_envelope("matern", nu)
        super().__init__(num_mixtures=num_mixtures, **kwargs)
        self.nu = float(nu)

    def forward(
        self,
        x1: torch.Tensor,
        x2: torch.Tensor,
        diag: bool = False,
        last_dim_is_batch: bool = False,
        **params: Any,
    ) -> torch.Tensor:
        """Covariances of shape (..., n, m), or (..., n) of pairs if ``diag``."""
        d = x1.shape[-1]
        if d != self.ard_num_dims:
            raise ValueError(
                f"points must have shape (..., n, d) with d = ard_num_dims = {self.ard_num_dims}, "
                f"got {tuple(x1.shape)}"
            )
        r = x1 - x2 if diag else x1.unsqueeze(-2) - x2.unsqueeze(-3)
        weights = self.mixture_weights
        # Beside batch axes, parameters have one of length one for each axis of points.
        ones = (1,) * (weights.ndim > 1) * (1 if diag else 2)
        weights = weights.reshape(*weights.shape[:-1], *ones, weights.shape[-1])
        factors = []
        for j in range(d):
            freqs, scales = (
                value[..., 0, j].reshape(weights.shape)
                for value in (self.mixture_means, self.mixture_scales)
            )
            factors.append(
                spectral_mixture_kernel(
                    r[..., j], weights, freqs, scales, envelope="matern", nu=self.nu
                )
            )
        if last_dim_is_batch:
            return torch.stack(factors, dim=-2 if diag else -3)
        return torch.stack(factors, dim=-1).prod(dim=-1)

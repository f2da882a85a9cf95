r"""Positive definite matrices and positive numbers by unconstrained parameters, for torch modules.

``torch.nn.utils.parametrize.register_parametrization(module, "M", SPDParametrization())`` makes
``module.M`` positive definite whatever an optimiser does to its parameter, and ``module.M = B``
sets a value. Zero stands for the identity and for one, so that weight decay pulls there.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from geometry.spd._arguments import as_spd
from geometry.spd.spectral import expm, logm
from numerics.arrays import Array, as_arrays, check_choice, check_positive


class SPDParametrization(nn.Module):
    r"""Positive definite matrices by a Cholesky factor, or by a symmetric logarithm.

    .. math:: P = L L^T, \; L = \lfloor S \rfloor + \operatorname{diag}(e^{S_{ii}})
              \qquad \text{or} \qquad P = \exp \tfrac12 (S + S^T)

    Parameters
    ----------
    kind : {"cholesky", "exp"}
        Which of the two. The first costs no eigendecomposition and reads the lower triangle of S.

    Examples
    --------
    >>> import torch
    >>> from torch.nn.utils.parametrize import register_parametrization
    >>> module = torch.nn.Module()
    >>> module.M = torch.nn.Parameter(torch.eye(2))
    >>> _ = register_parametrization(module, "M", SPDParametrization())
    >>> module.M = torch.tensor([[2.0, 1.0], [1.0, 2.0]])
    >>> module.M.detach()
    tensor([[2.0, 1.0],
            [1.0, 2.0]])
    """

    def __init__(self, kind: str = "cholesky") -> None:
        super().__init__()
        check_choice("kind", kind, ("cholesky", "exp"))
        self.kind = kind
        self.template = _Template()

    def forward(self, S: Array) -> Array:
        """Matrices of parameters (..., n, n)."""
        if self.kind == "exp":
            return expm((S + S.mT) / 2, check=False)
        L = S.tril(-1) + torch.diag_embed(S.diagonal(dim1=-2, dim2=-1).exp())
        return L @ L.mT

    def right_inverse(self, value: Array) -> Array:
        """Parameters of matrices."""
        value = self.template.fit(value)
        _, P = as_spd(value=value)
        if self.kind == "exp":
            return logm(P, check=False).to(value.dtype)
        L = torch.linalg.cholesky(P)
        return (L.tril(-1) + torch.diag_embed(L.diagonal(dim1=-2, dim2=-1).log())).to(value.dtype)


class Positive(nn.Module):
    """Positive numbers by their logarithms.

    Examples
    --------
    >>> import torch
    >>> from torch.nn.utils.parametrize import register_parametrization
    >>> module = torch.nn.Module()
    >>> module.scale = torch.nn.Parameter(torch.ones(()))
    >>> _ = register_parametrization(module, "scale", Positive())
    >>> module.scale = 2.0
    >>> round(float(module.scale), 6)
    2.0
    """

    def __init__(self) -> None:
        super().__init__()
        self.template = _Template()

    def forward(self, x: Array) -> Array:
        """Exponentials of parameters."""
        return x.exp()

    def right_inverse(self, value: Any) -> Array:
        """Logarithms of values."""
        value = self.template.fit(value)
        frame, checked = as_arrays(value=value)
        check_positive("value", checked, frame)
        return value.log()


class _Template(nn.Module):
    """Shape, precision and device of the first value, which later values are brought to."""

    like: Any

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("like", None, persistent=False)

    def fit(self, value: Any) -> Array:
        if self.like is None:
            self.like = torch.empty(value.shape, dtype=value.dtype, device=value.device)
            return value
        value = torch.as_tensor(value, dtype=self.like.dtype, device=self.like.device)
        if value.shape != self.like.shape:
            raise ValueError(
                f"value must have shape {tuple(self.like.shape)}, got {tuple(value.shape)}"
            )
        return value.clone()

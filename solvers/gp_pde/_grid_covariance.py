r"""Product kernels on grids as linear operators whose log-determinant is right.

The covariance of a process with the kernel :math:`\prod_j k_j(x_j, x'_j)` at the points of a grid
is :math:`C_1 \otimes \cdots \otimes C_d`, with the last axis running fastest. Its eigenvalues reach
far below those of its factors: with 1e-6 on their diagonals, down to 1e-12. The log-determinant,

.. math:: \log\lvert C_1 \otimes \cdots \otimes C_d \rvert
          = \sum_j \frac{M}{n_j} \log\lvert C_j\rvert, \qquad M = \prod_j n_j,

is therefore taken factor by factor, from Cholesky factors to which nothing is added; solutions and
samples come from the same factors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from gpytorch.kernels import Kernel
from linear_operator.operators import (
    KroneckerProductLinearOperator,
    KroneckerProductTriangularLinearOperator,
    RootLinearOperator,
    TriangularLinearOperator,
)
from linear_operator.utils.memoize import cached

from numerics.arrays import as_float
from solvers.gp_pde.derivative_matrices import kernel_derivative_matrix


class KroneckerCovariance(KroneckerProductLinearOperator):
    r"""Kronecker product of positive definite matrices, by their Cholesky factors.

    A ``KroneckerProductLinearOperator`` for GPyTorch's distributions and for ``linear_operator``,
    which bounds the eigenvalues of its own from below at 1e-7 in log-determinants, adds to
    diagonals where a Cholesky factorisation fails, and iterates where factors are large. None of
    this happens here.

    Parameters
    ----------
    *linear_ops : tensor or LinearOperator, shapes (..., n_j, n_j)
        Symmetric positive definite factors, the first for the axis that runs slowest.

    Raises
    ------
    torch.linalg.LinAlgError
        When a solution, sample or log-determinant is asked for and a factor is not positive
        definite.

    Examples
    --------
    The determinant of a Kronecker product, with eigenvalues down to 1e-12.

    >>> import torch
    >>> A = torch.diag(torch.tensor([1.0, 1e-6], dtype=torch.float64))
    >>> C = KroneckerCovariance(A, A)
    >>> bool(torch.isclose(C.logdet(), torch.tensor(1e-24, dtype=torch.float64).log()))
    True
    """

    def inv_quad_logdet(
        self,
        inv_quad_rhs: torch.Tensor | None = None,
        logdet: bool | None = False,
        reduce_inv_quad: bool | None = True,
    ) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        r"""Traces of :math:`R^T C^{-1} R` and the log-determinant, as asked for."""
        size = None
        if inv_quad_rhs is not None:
            columns = inv_quad_rhs
            if columns.ndim == 1:
                columns = columns.unsqueeze(-1)
            whitened = self._along_each_axis(columns, _forward)
            size = whitened.square().sum(dim=-2)
            if reduce_inv_quad:
                size = size.sum(dim=-1)
        return size, self._logdet() if logdet else None

    def solve(
        self, right_tensor: torch.Tensor, left_tensor: torch.Tensor | None = None
    ) -> torch.Tensor:
        r"""Solution :math:`C^{-1} R`, or :math:`L C^{-1} R`."""
        columns = right_tensor.unsqueeze(-1) if right_tensor.ndim == 1 else right_tensor
        solution = self._solve(columns)
        if left_tensor is not None:
            solution = left_tensor @ solution
        return solution.squeeze(-1) if right_tensor.ndim == 1 else solution

    def _solve(
        self, rhs: torch.Tensor, preconditioner: Any = None, num_tridiag: int | None = 0
    ) -> Any:
        if num_tridiag:
            return super()._solve(rhs, preconditioner, num_tridiag)
        return self._along_each_axis(rhs, torch.cholesky_solve)

    def _inv_matmul(
        self, right_tensor: torch.Tensor, left_tensor: torch.Tensor | None = None
    ) -> torch.Tensor:
        return self.solve(right_tensor, left_tensor)

    @cached(name="logdet")
    def _logdet(self) -> torch.Tensor:
        total: Any = 0.0
        for lower in self._lower():
            logs = lower.diagonal(dim1=-2, dim2=-1).log()
            total = total + (self.shape[-1] // lower.shape[-1]) * 2 * logs.sum(dim=-1)
        return total

    @cached(name="cholesky")
    def _cholesky(self, upper: bool | None = False) -> KroneckerProductTriangularLinearOperator:
        factors = self._lower()
        if upper:
            factors = [lower.mT for lower in factors]
        return KroneckerProductTriangularLinearOperator(
            *(TriangularLinearOperator(factor, upper=bool(upper)) for factor in factors),
            upper=bool(upper),
        )

    @cached(name="root_decomposition")
    def root_decomposition(self, method: str | None = None) -> RootLinearOperator:
        """Root for samples, the Cholesky factor."""
        return RootLinearOperator(self._cholesky())

    @cached(name="lower")
    def _lower(self) -> list[torch.Tensor]:
        return [_positive(j, factor.to_dense()) for j, factor in enumerate(self.linear_ops)]

    def _along_each_axis(
        self, rhs: torch.Tensor, apply: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    ) -> torch.Tensor:
        """Apply ``apply(columns, lower)`` along each axis of the grid that the rows of rhs are."""
        batch = torch.broadcast_shapes(self.batch_shape, rhs.shape[:-2])
        rows, columns = rhs.shape[-2:]
        rhs = rhs.expand(*batch, rows, columns)
        for lower in self._lower():
            # The axis in turn is the slowest, and becomes the fastest.
            n = lower.shape[-1]
            rhs = apply(rhs.reshape(*batch, n, -1), lower.expand(*batch, n, n))
            rhs = rhs.reshape(*batch, n, rows // n, columns).transpose(-3, -2)
            rhs = rhs.reshape(*batch, rows, columns)
        return rhs


def grid_covariance(
    grids: Sequence[torch.Tensor], kernels: Sequence[Any], *, jitter: float = 0.0
) -> KroneckerCovariance:
    r"""Covariance of a process with a product kernel at the points of a grid.

    .. math:: C = (C_1 + \eta I) \otimes \cdots \otimes (C_d + \eta I), \qquad
              (C_j)_{ab} = k_j(x_{ja}, x_{jb})

    Parameters
    ----------
    grids : sequence of tensors, shapes (n_j,)
        Points of each axis.
    kernels : sequence
        One an axis: callables ``kernel(r, order=0)`` of differences, such as
        :class:`solvers.SpectralMixture`, or kernels of GPyTorch for one dimension.
    jitter : float
        :math:`\eta \ge 0`, on the diagonal of each factor.

    Returns
    -------
    KroneckerCovariance, shape (M, M)
        M = n_1 ... n_d, in the order of ``values.flatten()`` for values of shape
        (n_1, ..., n_d). Differentiable in what the kernels are.

    Raises
    ------
    TypeError
        For grids that are no tensors, and what is no kernel.
    ValueError
        For as many kernels as there are not grids, shapes, and a negative ``jitter``.

    Examples
    --------
    The logarithmic density of a sample under the process, at 10000 points.

    >>> import torch
    >>> from gpytorch.distributions import MultivariateNormal
    >>> from solvers import SpectralMixture
    >>> x = torch.linspace(0, 1, 100, dtype=torch.float64)
    >>> kernel = SpectralMixture([1.0], [3.0], [1.0], envelope="matern")
    >>> process = MultivariateNormal(
    ...     torch.zeros(10000, dtype=torch.float64), grid_covariance([x, x], [kernel, kernel])
    ... )
    >>> u = process.sample()
    >>> distance = u @ process.lazy_covariance_matrix.solve(u)  # chi-squared
    >>> bool(abs(distance - 10000) < 1000)
    True
    """
    if len(grids) != len(kernels) or not len(grids):
        raise ValueError(
            "kernels must be as many as grids, at least one, "
            f"got {len(kernels)} kernels and {len(grids)} grids"
        )
    jitter = as_float("jitter", jitter)
    if jitter < 0:
        raise ValueError(f"jitter must not be negative, got {jitter}")
    factors = []
    for j, (x, kernel) in enumerate(zip(grids, kernels, strict=True)):
        if not isinstance(x, torch.Tensor):
            raise TypeError(f"grids[{j}] must be a tensor, got {type(x).__name__}")
        if x.ndim != 1 or len(x) == 0:
            raise ValueError(f"grids[{j}] must have shape (n,), got {tuple(x.shape)}")
        if isinstance(kernel, Kernel):
            C = kernel(x.unsqueeze(-1)).to_dense()
        else:
            C = kernel_derivative_matrix(x, x, kernel)
        factors.append(C + jitter * torch.eye(len(x), dtype=C.dtype, device=C.device))
    return KroneckerCovariance(*factors)


def _forward(columns: torch.Tensor, lower: torch.Tensor) -> torch.Tensor:
    return torch.linalg.solve_triangular(lower, columns, upper=False)


def _positive(j: int, factor: torch.Tensor) -> torch.Tensor:
    lower, failed = torch.linalg.cholesky_ex(factor)
    if bool(failed.any()):
        largest = float(factor.diagonal(dim1=-2, dim2=-1).max().detach())
        smallest = 1e3 * torch.finfo(factor.dtype).eps * largest
        raise torch.linalg.LinAlgError(
            f"factor {j} of {factor.shape[-1]} points is not positive definite; a jitter makes it "
            f"so, from about {smallest:.0e} on"
        )
    return lower

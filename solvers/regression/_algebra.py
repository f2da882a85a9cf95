"""Linear algebra of one block of rows: by LAPACK on the host, by torch on a device.

The two classes do the same in the same words; what is d x d or less lives beside the blocks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.linalg import lapack, solve_triangular
from scipy.sparse import issparse

from numerics.arrays import Array

_PANEL = 32


class HostAlgebra:
    """NumPy arrays in float64, by LAPACK."""

    def block(self, given: Any) -> Any:
        """A block of rows in float64; sparse stays sparse."""
        if issparse(given):
            return given.astype(np.float64, copy=False)
        return np.asarray(given, np.float64)

    def zeros(self, *shape: int) -> np.ndarray:
        """Zeros, columns after each other, as LAPACK wants them."""
        return np.zeros(shape, order="F")

    def diagonal(self, values: np.ndarray) -> np.ndarray:
        """A diagonal matrix."""
        return np.diag(values)

    def is_finite(self, array: np.ndarray) -> bool:
        """Whether all values are finite."""
        return bool(np.isfinite(array).all())

    def gram(self, block: Any) -> np.ndarray:
        """The matrix of inner products of the columns."""
        product = block.T @ block
        return product.toarray() if issparse(product) else product

    def add_rows(
        self, R: np.ndarray, z: np.ndarray, block: Any, right: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Triangle and right-hand sides after more rows, and what of those rows is left over."""
        rows = block.toarray(order="F") if issparse(block) else np.array(block, order="F")
        panel = min(_PANEL, R.shape[0])
        R, V, T, _ = lapack.dtpqrt(0, panel, R, rows, overwrite_a=1, overwrite_b=1)
        z, rest, _ = lapack.dtpmqrt(
            0, V, T, z, np.array(right, order="F"), side="L", trans="T", overwrite_a=1
        )
        return R, z, rest

    def qr(self, Y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Thin QR factors."""
        Q, R = np.linalg.qr(Y)
        return Q, R

    def cholesky(self, G: np.ndarray) -> np.ndarray | None:
        """Upper factor, None for a matrix that is not positive definite."""
        R, failed = lapack.dpotrf(G, lower=0, clean=1)
        return None if failed else R

    def svd(self, R: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Singular value decomposition."""
        U, s, Vh = np.linalg.svd(R, full_matrices=False)
        return U, s, Vh

    def singular_values(self, R: np.ndarray) -> np.ndarray:
        """Singular values on the host, largest first."""
        return np.linalg.svd(R, compute_uv=False)

    def solve_upper(self, R: np.ndarray, y: np.ndarray, *, transposed: bool = False) -> np.ndarray:
        """Solve with an upper triangular matrix or its transpose."""
        return solve_triangular(R, y, trans=int(transposed), check_finite=False)

    def norms(self, y: np.ndarray) -> np.ndarray:
        """Euclidean norms of columns, on the host."""
        return np.linalg.norm(y, axis=0)

    def scale(self, values: np.ndarray) -> np.ndarray:
        """One number a column, to multiply with."""
        return values

    def host(self, values: np.ndarray) -> np.ndarray:
        """Few numbers on the host."""
        return values


class DeviceAlgebra:
    """torch tensors in float64 on one device."""

    def __init__(self, device: Any) -> None:
        import torch

        self._torch = torch
        self._as = {"dtype": torch.float64, "device": device}

    def block(self, given: Any) -> Array:
        """A block of rows in float64."""
        return self._torch.as_tensor(given, **self._as)

    def zeros(self, *shape: int) -> Array:
        """Zeros."""
        return self._torch.zeros(shape, **self._as)

    def diagonal(self, values: np.ndarray) -> Array:
        """A diagonal matrix."""
        return self._torch.diag(self.scale(values))

    def is_finite(self, array: Array) -> bool:
        """Whether all values are finite."""
        return bool(self._torch.isfinite(array).all())

    def gram(self, block: Array) -> Array:
        """The matrix of inner products of the columns."""
        return block.mT @ block

    def add_rows(
        self, R: Array, z: Array, block: Array, right: Array
    ) -> tuple[Array, Array, Array]:
        """Triangle and right-hand sides after more rows, and what of those rows is left over."""
        Q, R = self._torch.linalg.qr(self._torch.cat((R, block)))
        both = self._torch.cat((z, right))
        z = Q.mT @ both
        return R, z, both - Q @ z

    def qr(self, Y: Array) -> tuple[Array, Array]:
        """Thin QR factors."""
        Q, R = self._torch.linalg.qr(Y)
        return Q, R

    def cholesky(self, G: Array) -> Array | None:
        """Upper factor, None for a matrix that is not positive definite."""
        R, failed = self._torch.linalg.cholesky_ex(G, upper=True)
        return None if bool(failed) else R

    def svd(self, R: Array) -> tuple[Array, np.ndarray, Array]:
        """Singular value decomposition, its values on the host."""
        U, s, Vh = self._torch.linalg.svd(R, full_matrices=False)
        return U, s.cpu().numpy(), Vh

    def singular_values(self, R: Array) -> np.ndarray:
        """Singular values on the host, largest first."""
        return np.asarray(self._torch.linalg.svdvals(R).cpu())

    def solve_upper(self, R: Array, y: Array, *, transposed: bool = False) -> Array:
        """Solve with an upper triangular matrix or its transpose."""
        matrix = R.mT if transposed else R
        return self._torch.linalg.solve_triangular(matrix, y, upper=not transposed)

    def norms(self, y: Array) -> np.ndarray:
        """Euclidean norms of columns, on the host."""
        return np.asarray(self._torch.linalg.vector_norm(y, dim=0).cpu())

    def scale(self, values: np.ndarray) -> Array:
        """One number a column, to multiply with."""
        return self._torch.as_tensor(values, **self._as)

    def host(self, values: Array) -> np.ndarray:
        """Few numbers on the host."""
        return np.asarray(values.cpu())


Algebra = HostAlgebra | DeviceAlgebra

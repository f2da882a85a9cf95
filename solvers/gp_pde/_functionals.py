r"""Linear functionals of a Gaussian process with a product kernel, and their covariances.

A group of functionals is a set of points with one operator,
:math:`\ell_i u = \sum_t c_t(x_i)\, \partial^{a_t} u(x_i)`; between two groups

.. math:: \operatorname{cov}(\ell_i u, \ell'_j u) = \sum_{t, t'} c_t(x_i)\, c'_{t'}(x'_j)
          \prod_k (-1)^{a'_{t'k}}\, \kappa_k^{(a_{tk} + a'_{t'k})}(x_{ik} - x'_{jk}).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from solvers.gp_pde.derivative_matrices import kernel_derivative_matrix
from solvers.gp_pde.spectral_mixture import SpectralMixture

Terms = tuple[tuple[Any, tuple[int, ...]], ...]


@dataclass(frozen=True)
class Functionals:
    """An operator at points.

    Attributes
    ----------
    points : array, shape (n, dim)
    terms : tuple of (coefficient, orders)
        Coefficients are numbers or arrays (n,).
    """

    points: np.ndarray
    terms: Terms

    def __len__(self) -> int:
        return len(self.points)


def derivative_at(points: np.ndarray, orders: tuple[int, ...]) -> Functionals:
    """A mixed derivative of u at points (n, dim)."""
    return Functionals(points, ((1.0, orders),))


class Covariances:
    """Covariances of functionals; the kernel is evaluated once for each pair of coordinates."""

    def __init__(self, kernels: tuple[SpectralMixture, ...]) -> None:
        self.kernels = kernels

    def between(self, first: Functionals, second: Functionals) -> np.ndarray:
        """Covariance matrix (n, m) of two groups."""
        axes = [
            _Axis(kernel, first.points[:, k], second.points[:, k])
            for k, kernel in enumerate(self.kernels)
        ]
        total = np.zeros((len(first), len(second)))
        for c, a in first.terms:
            for d, b in second.terms:
                block = np.ones(())
                for axis, left, right in zip(axes, a, b, strict=True):
                    block = block * axis.matrix(left, right)
                total += (
                    np.multiply.outer(np.ones(len(first)) * c, np.ones(len(second)) * d) * block
                )
        return total

    def matrix(self, groups: list[Functionals], others: list[Functionals]) -> np.ndarray:
        """Covariance matrix of all of some groups with all of others."""
        if groups is not others:
            return np.block([[self.between(one, two) for two in others] for one in groups])
        blocks = [
            [self.between(one, two) if i <= j else np.zeros(()) for j, two in enumerate(groups)]
            for i, one in enumerate(groups)
        ]
        for i in range(len(groups)):
            for j in range(i):
                blocks[i][j] = blocks[j][i].T
        full = np.block(blocks)
        return (full + full.T) / 2

    def variances(self, group: Functionals) -> np.ndarray:
        """Variance (n,) of each functional of a group."""
        total = np.zeros(len(group))
        for c, a in group.terms:
            for d, b in group.terms:
                product = 1.0
                for kernel, left, right in zip(self.kernels, a, b, strict=True):
                    sign = -1.0 if right % 2 else 1.0
                    product *= sign * float(kernel(0.0, order=left + right))
                total += c * d * product
        return total


class _Axis:
    """Derivatives of one axis' kernel between coordinates, each distinct pair evaluated once."""

    def __init__(self, kernel: SpectralMixture, x: np.ndarray, y: np.ndarray) -> None:
        self.kernel = kernel
        self.x, self.to_x = np.unique(x, return_inverse=True)
        self.y, self.to_y = np.unique(y, return_inverse=True)
        self.known: dict[tuple[int, int], np.ndarray] = {}

    def matrix(self, a: int, b: int) -> np.ndarray:
        key = (a + b, b % 2)
        if key not in self.known:
            distinct = kernel_derivative_matrix(self.x, self.y, self.kernel, (a, b))
            if len(self.x) == len(self.to_x) and len(self.y) == len(self.to_y):
                in_order = np.all(np.diff(self.to_x) > 0) and np.all(np.diff(self.to_y) > 0)
                self.known[key] = distinct if in_order else distinct[self.to_x][:, self.to_y]
            else:
                self.known[key] = distinct[self.to_x][:, self.to_y]
        return self.known[key]

r"""What noise leaves of the coefficients' uncertainty, with a covariance that is formed.

Coefficients are :math:`\alpha\,(K_1 \otimes \cdots \otimes K_d)\,\eta` about their mean. On a
product of points x and y the variance needs no row of the product: with the covariance of
:math:`\eta` as a matrix from pairs (i, i') to pairs (j, j'), it is a product of three matrices.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, reduce

import numpy as np

from numerics.kronecker import along

_CHUNK = 2**23


@dataclass(frozen=True)
class DenseSpread:
    """Coefficients ``amplitude`` times ``colour`` times normal weights with a covariance.

    Attributes
    ----------
    colour : list of array, shape (r_j, k_j)
    amplitude : float
    root : array, shape (K, k)
        Square root of the weights' covariance, ``root @ root.T``.
    """

    colour: list[np.ndarray]
    amplitude: float
    root: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the weights."""
        return tuple(K.shape[1] for K in self.colour)

    @cached_property
    def _covariance(self) -> np.ndarray:
        return self.root @ self.root.T

    def variance(self, factors: list[np.ndarray], product: bool) -> np.ndarray:
        """Variance on the product of points with values ``factors`` of the bases, or at each."""
        rows = [values @ K for values, K in zip(factors, self.colour, strict=True)]
        if product and len(rows) == 2:
            return self._on_plane(*rows)
        if product:
            shape = tuple(len(x) for x in rows)
            picks = np.unravel_index(np.arange(int(np.prod(shape))), shape)
            rows = [values[pick] for values, pick in zip(rows, picks, strict=True)]
        step = max(1, _CHUNK // len(self.root))
        parts = []
        for at in range(0, len(rows[0]), step):
            H = row_products([values[at : at + step] for values in rows])
            parts.append(np.sum((H @ self.root) ** 2, axis=1))
        result = self.amplitude**2 * np.concatenate(parts or [np.zeros(0)])
        return result.reshape(shape) if product else result

    def _on_plane(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        k1, k2 = self.shape
        blocks = self._covariance.reshape(k1, k2, k1, k2).transpose(0, 2, 1, 3)
        inner = row_products([first, first]) @ blocks.reshape(k1 * k1, k2 * k2)
        total = inner @ row_products([second, second]).T
        return self.amplitude**2 * np.maximum(total, 0.0)

    def draw(self, size: int, rng: np.random.Generator) -> np.ndarray:
        """Coefficients (size, r_1, ..., r_d) about their mean."""
        normal = rng.standard_normal((size, self.root.shape[1]))
        weights = (normal @ self.root.T).reshape(size, *self.shape)
        return self.amplitude * along(weights, self.colour)


def row_products(rows: list[np.ndarray]) -> np.ndarray:
    """Rows of Kronecker products: (m, k_1), (m, k_2), ... to (m, k_1 k_2 ...)."""
    return reduce(lambda A, B: (A[:, :, None] * B[:, None, :]).reshape(len(A), -1), rows)

r"""Gaussian processes with product kernels on grids, by Kronecker algebra.

With :math:`k(x, x') = \prod_j \kappa_j(x_j - x'_j)` and values on the grid
:math:`X_1 \times \dots \times X_d`, the covariance is :math:`C = C_1 \otimes \dots \otimes C_d`,
:math:`C_j = \kappa_j(X_j, X_j)`, and everything is done axis by axis: with :math:`M = \prod_j n_j`
values :math:`O(M \sum_j n_j + \sum_j n_j^3)` operations and :math:`O(M + \sum_j n_j^2)` numbers.
Conditioned on all values, mean and covariance are

.. math:: m(x) = \Bigl(\bigotimes_j k_j(x)^T C_j^{-1}\Bigr) \mathrm{vec}(U), \qquad
          c(x, x') = \prod_j \kappa_j(x_j - x_j') - \prod_j k_j(x)^T C_j^{-1} k_j(x'),

and derivatives of the process have the derivatives of the kernels in their place.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from numerics.arrays import (
    Array,
    Frame,
    as_arrays,
    as_float,
    as_generator,
    as_integer,
    check_real,
    check_shape,
)
from numerics.kronecker import kronecker_logdet, kronecker_matvec, kronecker_solve
from solvers.gp_pde.derivative_matrices import kernel_derivative_matrix
from solvers.gp_pde.spectral_mixture import SpectralMixture

_JITTER, _JITTER_SINGLE = 1e-10, 1e-5


@dataclass(frozen=True, eq=False)
class KroneckerGP:
    r"""Zero-mean Gaussian process with a product kernel, at the points of a grid.

    Parameters
    ----------
    grids : sequence of arrays, shapes (n_j,)
        Points of each axis, no two of them equal.
    kernels : sequence of SpectralMixture
        One an axis. The variance of the process is the product of theirs.
    jitter : float, optional
        Nugget of each axis' covariance matrix, relative to its kernel's variance: 1e-10, or 1e-5
        in single precision, by default. Smooth kernels on fine grids are singular without one.

    Attributes
    ----------
    frame : Frame
        Kind, device and precision of results: those of the grids.
    covariances : tuple of arrays, shapes (n_j, n_j)
        :math:`C_j`, nugget included.

    Raises
    ------
    TypeError
        For values that are not real, kernels of another type, and mixed array libraries.
    ValueError
        For grids that are no vectors or repeat a point, and a number of kernels that is not theirs.

    References
    ----------
    Saatci, Scalable inference for structured Gaussian process models (thesis, Cambridge, 2011).
    Fang, Cooley, Long, Li, Kirby, Zhe, arXiv 2311.04465.

    Examples
    --------
    Interpolate a wave from its values on a grid, and read its slope off.

    >>> import numpy as np
    >>> x, y = np.linspace(0, 1, 30), np.linspace(0, 2, 25)
    >>> kernel = SpectralMixture([1.0], [1.0], [0.5])
    >>> gp = KroneckerGP([x, y], [kernel, kernel])
    >>> U = np.sin(2 * np.pi * x[:, None] + y)
    >>> posterior = gp.condition(U)
    >>> mean, variance = posterior.predict(np.array([[0.51, 1.23]]))
    >>> bool(abs(mean[0] - np.sin(2 * np.pi * 0.51 + 1.23)) < 1e-5), bool(variance[0] < 1e-6)
    (True, True)
    >>> slope, _ = posterior.predict(np.array([[0.51, 1.23]]), order=(1, 0))
    >>> bool(abs(slope[0] - 2 * np.pi * np.cos(2 * np.pi * 0.51 + 1.23)) < 1e-3)
    True
    """

    grids: Sequence[Array]
    kernels: Sequence[SpectralMixture]
    _: KW_ONLY
    jitter: float | None = None
    frame: Frame = field(init=False, repr=False)
    covariances: tuple[Array, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        grids, kernels = tuple(self.grids), tuple(self.kernels)
        if len(grids) != len(kernels) or not grids:
            raise ValueError(
                "kernels must be as many as grids, at least one, got"
                f" {len(kernels)} for {len(grids)}"
            )
        frame, *points = as_arrays(**{f"grids[{j}]": grid for j, grid in enumerate(grids)})
        for j, (x, kernel) in enumerate(zip(points, kernels, strict=True)):
            check_real(f"grids[{j}]", x, frame)
            if x.ndim != 1 or frame.xp.unique_values(x).shape[0] != x.shape[0] or not x.shape[0]:
                raise ValueError(
                    f"grids[{j}] must be a vector of different points, got shape {tuple(x.shape)}"
                )
            if not isinstance(kernel, SpectralMixture):
                raise TypeError(
                    f"kernels[{j}] must be a SpectralMixture, got {type(kernel).__name__}"
                )
        jitter = (
            (_JITTER_SINGLE if frame.single else _JITTER) if self.jitter is None else self.jitter
        )
        if as_float("jitter", jitter) < 0:
            raise ValueError(f"jitter must not be negative, got {jitter}")
        covariances = []
        for x, kernel in zip(points, kernels, strict=True):
            C = kernel_derivative_matrix(x, x, kernel)
            eye = frame.xp.eye(x.shape[0], dtype=C.dtype, device=frame.device)
            covariances.append(C + jitter * C[0, 0] * eye)
        values = (tuple(points), kernels, float(jitter), frame, tuple(covariances))
        names = ("grids", "kernels", "jitter", "frame", "covariances")
        for name, value in zip(names, values, strict=True):
            object.__setattr__(self, name, value)

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of points of each axis."""
        return tuple(int(x.shape[0]) for x in self.grids)

    def solve(self, U: Array) -> Array:
        """Covariance inverse times tensors, :math:`C^{-1} U`.

        Parameters
        ----------
        U : array, shape (..., n_1, ..., n_d)
            Values on the grid.

        Returns
        -------
        array, shape of U
        """
        return kronecker_solve(self.covariances, self._values(U), assume_a="pos")

    def logdet(self) -> Array:
        r"""Logarithm of the determinant, :math:`\log\lvert C\rvert`.

        Returns
        -------
        array, 0-d
        """
        return kronecker_logdet(self.covariances, assume_a="pos")

    def logpdf(self, U: Array) -> Array:
        """Logarithm of the density of the process at its values on the grid.

        Parameters
        ----------
        U : array, shape (..., n_1, ..., n_d)
            Values on the grid.

        Returns
        -------
        array, shape (...)
        """
        U = self._values(U)
        axes = tuple(range(-len(self.shape), 0))
        fit = self.frame.xp.sum(U * self.solve(U), axis=axes)
        return -0.5 * (fit + self.logdet() + math.prod(self.shape) * math.log(2 * math.pi))

    def sample(self, size: int | tuple[int, ...] = (), rng: Any = None) -> Array:
        """Draws of the process on the grid.

        Parameters
        ----------
        size : int or tuple of int
            Shape of the axes in front; one draw without any by default.
        rng : Generator, int, optional
            Source of randomness, or its seed.

        Returns
        -------
        array, shape (size..., n_1, ..., n_d)
        """
        frame = self.frame
        z = as_generator(rng).standard_normal((*_sizes(size), *self.shape))
        roots = [frame.xp.linalg.cholesky(C) for C in self.covariances]
        return kronecker_matvec(roots, frame.cast(frame.asarray(z)))

    def condition(self, U: Array) -> KroneckerPosterior:
        """Condition the process on its values on the grid.

        Parameters
        ----------
        U : array, shape (..., n_1, ..., n_d)
            Values on the grid.

        Returns
        -------
        KroneckerPosterior
        """
        U = self._values(U)
        return KroneckerPosterior(self, self.solve(U))

    def _values(self, U: Array) -> Array:
        frame, U, _ = as_arrays(U=U, grids=self.grids[0])
        check_real("U", U, frame)
        check_shape("U", U, *self.shape)
        return self.frame.cast(U)


@dataclass(frozen=True, eq=False)
class KroneckerPosterior:
    """A :class:`KroneckerGP` given its values on the grid; made by its ``condition``.

    Parameters
    ----------
    prior : KroneckerGP
        The process before.
    weights : array, shape (..., n_1, ..., n_d)
        :math:`C^{-1} U`.

    Examples
    --------
    The variance vanishes on the grid, and is the prior's far away.

    >>> import numpy as np
    >>> gp = KroneckerGP([np.arange(5.0)], [SpectralMixture([2.0], [0.0], [0.3])])
    >>> _, variance = gp.condition(np.ones(5)).predict(np.array([[2.0], [50.0]]))
    >>> variance.round(6)
    array([0., 2.])
    """

    prior: KroneckerGP
    weights: Array

    def predict(
        self, at: Array | Sequence[Array], order: Sequence[int] | None = None
    ) -> tuple[Array, Array]:
        r"""Mean and variance of the process, or of a derivative of it.

        Parameters
        ----------
        at : array, shape (m, d), or list of d arrays, shapes (m_j,)
            Points, or the axes of a grid of them.
        order : sequence of d int, optional
            Order of the derivative along each axis.

        Returns
        -------
        mean : array, shape (..., m) or (..., m_1, ..., m_d)
        variance : array, shape (m,) or (m_1, ..., m_d)

        Raises
        ------
        TypeError, ValueError
            For arrays and orders that do not fit, and orders above the kernels' smoothness.
        """
        xp = self.prior.frame.xp
        (points, on_grid), order = self._places(at), self._orders(order)
        cross = self._cross(points, order)
        known = [
            xp.sum(K * kronecker_solve([C], K, assume_a="pos"), axis=-1)
            for K, C in zip(cross, self.prior.covariances, strict=True)
        ]
        origin = self.prior.frame.double(points[0])[:1] * 0
        own = math.prod(
            (-1) ** n * kernel(origin, order=2 * n)[0]
            for n, kernel in zip(order, self.prior.kernels, strict=True)
        )
        if on_grid:
            mean = kronecker_matvec(cross, self.weights)
            explained = _outer(xp, known)
        else:
            mean = self._at_points(cross)
            explained = math.prod(known)
        return mean, self.prior.frame.cast(xp.clip(own - explained, 0, None))

    def sample(
        self, size: int | tuple[int, ...] = (), rng: Any = None, *, at: Array | Sequence[Array]
    ) -> Array:
        r"""Joint draws, for values on the grid without batch axes.

        Points take an eigendecomposition of their covariance, of order m; a grid one of order
        :math:`n_j + m_j` an axis, for a draw of the prior on both grids, which is then corrected
        by its own interpolation.

        Parameters
        ----------
        size : int or tuple of int
            Shape of the axes in front; one draw without any by default.
        rng : Generator, int, optional
            Source of randomness, or its seed.
        at : array, shape (m, d), or list of d arrays, shapes (m_j,)
            Points, or the axes of a grid of them.

        Returns
        -------
        array, shape (size..., m) or (size..., m_1, ..., m_d)

        Raises
        ------
        TypeError, ValueError
            For arrays that do not fit, and conditioning values with batch axes.
        """
        frame = self.prior.frame
        xp, generator = frame.xp, as_generator(rng)
        if self.weights.ndim > len(self.prior.shape):
            raise ValueError(
                "weights must have no batch axes to draw from, got shape"
                f" {tuple(self.weights.shape)}"
            )
        points, on_grid = self._places(at)
        cross = self._cross(points, (0,) * len(points))
        sizes = _sizes(size)
        own = [
            kernel_derivative_matrix(x, x, k)
            for x, k in zip(points, self.prior.kernels, strict=True)
        ]
        if not on_grid:
            known = [
                K @ xp.matrix_transpose(kronecker_solve([C], K, assume_a="pos"))
                for K, C in zip(cross, self.prior.covariances, strict=True)
            ]
            root = _root(frame, math.prod(own) - math.prod(known))
            z = generator.standard_normal((*sizes, root.shape[0]))
            return self._at_points(cross) + kronecker_matvec([root], frame.cast(frame.asarray(z)))
        roots = []
        for C, K, P in zip(self.prior.covariances, cross, own, strict=True):
            upper = xp.concat((C, xp.matrix_transpose(K)), axis=1)
            roots.append(_root(frame, xp.concat((upper, xp.concat((K, P), axis=1)), axis=0)))
        z = generator.standard_normal((*sizes, *(root.shape[0] for root in roots)))
        drawn = kronecker_matvec(roots, frame.cast(frame.asarray(z)))
        on_data = drawn[(..., *(slice(0, n) for n in self.prior.shape))]
        elsewhere = drawn[(..., *(slice(n, None) for n in self.prior.shape))]
        return elsewhere + kronecker_matvec(cross, self.weights - self.prior.solve(on_data))

    def _places(self, at: Any) -> tuple[list[Array], bool]:
        """One vector of coordinates an axis, and whether they span a grid."""
        prior, d = self.prior, len(self.prior.shape)
        on_grid = isinstance(at, list | tuple)
        named = {f"at[{j}]": x for j, x in enumerate(at)} if on_grid else {"at": at}
        frame, *places, _ = as_arrays(**named, grids=prior.grids[0])
        for name, x in zip(named, places, strict=True):
            check_real(name, x, frame)
        if on_grid:
            if len(places) != d or any(x.ndim != 1 for x in places):
                raise ValueError(f"at must have {d} vectors, got {len(places)} arrays")
            return list(map(prior.frame.cast, places)), True
        (X,) = places
        if X.ndim != 2 or X.shape[1] != d:
            raise ValueError(f"at must have shape (m, {d}), got {tuple(X.shape)}")
        X = prior.frame.cast(X)
        return [X[:, j] for j in range(d)], False

    def _orders(self, order: Sequence[int] | None) -> tuple[int, ...]:
        d = len(self.prior.shape)
        order = (0,) * d if order is None else order
        if len(order) != d:
            raise ValueError(f"order must have {d} numbers, got {order!r}")
        return tuple(as_integer("order", n, minimum=0) for n in order)

    def _cross(self, points: list[Array], order: tuple[int, ...]) -> list[Array]:
        return [
            kernel_derivative_matrix(x, grid, kernel, order=(n, 0))
            for x, grid, kernel, n in zip(
                points, self.prior.grids, self.prior.kernels, order, strict=True
            )
        ]

    def _at_points(self, cross: list[Array]) -> Array:
        """The mean at points, whose coordinates are the rows of the matrices, side by side."""
        xp = self.prior.frame.xp
        last = kronecker_matvec([cross[-1]], self.weights)
        for K in reversed(cross[:-1]):
            last = xp.sum(last * xp.matrix_transpose(K), axis=-2)
        return last


def _sizes(size: int | tuple[int, ...]) -> tuple[int, ...]:
    sizes = size if isinstance(size, tuple) else (size,)
    return tuple(as_integer("size", n, minimum=0) for n in sizes)


def _outer(xp: Any, vectors: list[Array]) -> Array:
    total = vectors[0]
    for vector in vectors[1:]:
        total = total[..., None] * vector
    return total


def _root(frame: Frame, covariance: Array) -> Array:
    """A square root of a matrix that is positive semidefinite but for rounding."""
    xp = frame.xp
    values, vectors = xp.linalg.eigh((covariance + xp.matrix_transpose(covariance)) / 2)
    return vectors * xp.sqrt(xp.clip(values, 0, None))

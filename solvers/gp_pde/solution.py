r"""What the solvers of equations give back: a Gaussian process conditioned on the equation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from numerics.arrays import (
    Array,
    Frame,
    as_arrays,
    as_generator,
    as_integer,
    check_real,
    frame_like,
)
from solvers.gp_pde.spectral_mixture import SpectralMixture

Points = np.ndarray | tuple[np.ndarray, ...]


class Posterior(Protocol):
    """A Gaussian process on a box, on float64 host arrays.

    ``points`` is an array (m, dim), or a tuple of ``dim`` grids that stands for their product;
    results have shape (m,), or that of the product.
    """

    def moments(self, points: Points, order: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of a mixed derivative."""

    def draw(
        self, size: int, rng: np.random.Generator, points: Points, order: tuple[int, ...]
    ) -> np.ndarray:
        """Joint draws of it, shape (size, m) or (size, ...)."""


@dataclass(frozen=True, repr=False)
class PDESolution:
    r"""Solution of a partial differential equation, a Gaussian process given the equation.

    Attributes
    ----------
    u : array
        Posterior mean on the grid.
    residual_norm : float
        :math:`\lVert Lu + N(u) - f\rVert_2/\lVert f\rVert_2`, half way between the points of the
        grid where f is a number or callable, else on the grid. Where f = 0 it is relative to the
        largest of the terms of L u and N(u).
    residual_off_grid : bool
        Whether it is the former. A residual on the grid shows what was solved, not how good u is
        between the points.
    newton_history : tuple of float
        Relative change of u in each Newton step; empty for a linear equation. Steps start at u = 0
        on one axis, so that the first change is 1, and on several at a solution that meets the
        boundary data without the nonlinear term.
    iterations : int
        Newton steps, or those of the iterative linear solver for a linear equation.
    converged : bool
        Whether the iteration met its tolerance; true for direct solvers.
    nugget : float
        What was added to make the linear system solvable: relative to the unit diagonal for
        collocation and differentiation matrices, the relative size of singular values cut off for
        features.
    freqs : tuple of array
        Frequencies of the prior's components, in cycles, one array an axis.
    kernels : tuple of SpectralMixture
        The prior's factors, one an axis, scaled as they were used.
    extension : tuple of float
        Period T of the features over the length L of the axis; empty for the other methods. The
        prior in use repeats with T: it is the kernel within the box where that has died out over
        T - L.
    log_evidence : float or None
        Log density under the prior of the observations given all other data, or where there are
        none, of noisy data given the exact ones. None where there is no such, and on several axes
        where it would hang on noise that is made up: of an exact equation that its conditions leave
        open, and without observations also of exact boundary data beside a noisy equation.
    method : str
        "features", "collocation" or "differentiation".

    Examples
    --------
    Noisy values of u and the equation :math:`u'' = 0` make a straight line, better known where
    data are near.

    >>> import numpy as np
    >>> from solvers import Laplacian, solve_pde
    >>> seen = np.array([0.2, 0.4, 0.3]), np.array([1.2, 1.4, 1.3]), 1e-3
    >>> s = solve_pde(Laplacian(1), np.linspace(0, 1, 30), 0.0, (None, None), observations=seen)
    >>> mean, variance = s.predict([0.3, 0.9])
    >>> np.allclose(mean, [1.3, 1.9], atol=0.01), bool(variance[0] < variance[1])
    (True, True)
    >>> s.sample(5, rng=0, points=[0.3, 0.9]).shape
    (5, 2)
    """

    u: Array
    residual_norm: float
    residual_off_grid: bool
    newton_history: tuple[float, ...]
    iterations: int
    converged: bool
    nugget: float
    freqs: tuple[np.ndarray, ...]
    kernels: tuple[SpectralMixture, ...]
    extension: tuple[float, ...]
    log_evidence: float | None
    method: str
    grids: tuple[np.ndarray, ...]
    posterior: Posterior
    frame: Frame = field(default_factory=lambda: frame_like(None))

    def __repr__(self) -> str:
        """Sizes and what there is to judge the solution by, without arrays."""
        points = " x ".join(str(len(grid)) for grid in self.grids)
        return (
            f"PDESolution({points} points, method={self.method!r}, "
            f"residual_norm={self.residual_norm:.2g}, iterations={self.iterations}, "
            f"converged={self.converged})"
        )

    @property
    def dim(self) -> int:
        """Number of axes."""
        return len(self.grids)

    def predict(self, points: Any, order: int | tuple[int, ...] | None = None) -> Any:
        """Posterior mean and variance of u, or of a derivative of it, anywhere in the box.

        Parameters
        ----------
        points : array or tuple of array
            One axis: any shape. Several: (..., dim). A tuple of ``dim`` one-dimensional arrays
            stands for their product grid.
        order : int or tuple of int, optional
            Order of the derivative along each axis, 0 to 4; none by default.

        Returns
        -------
        mean, variance : array
            Of the points' shape, in the kind and precision of the solution.

        Notes
        -----
        Where the equation and its boundary data are exact, the variance is that of the prior in the
        directions they leave open: it is no bound of the discretisation's error, and if u is unlike
        the prior, as a narrow wall is unlike waves, it may be far too small. On several axes it is
        enlarged to what the equation's residual makes likely, if the kernel is "auto". Otherwise
        look at ``residual_norm`` and at a finer grid.
        """
        frame, host, shape = self._points(points)
        mean, variance = self.posterior.moments(host, as_order(order, self.dim))
        return tuple(frame.cast(frame.asarray(a.reshape(shape))) for a in (mean, variance))

    def sample(
        self,
        size: int = 1,
        rng: Any = None,
        *,
        points: Any = None,
        order: int | tuple[int, ...] | None = None,
    ) -> Array:
        """Draw from the posterior: functions, jointly at all points.

        Parameters
        ----------
        size : int
            Number of draws.
        rng : numpy.random.Generator or int, optional
            Source of randomness, or its seed.
        points : array or tuple of array, optional
            As for :meth:`predict`; the grid by default.
        order : int or tuple of int, optional
            Order of the derivative along each axis, 0 to 4; none by default.

        Returns
        -------
        array, shape (size, ...)
            One draw of the points' shape after the other, in the kind and precision of the
            solution.
        """
        size = as_integer("size", size, minimum=1)
        given = self.grids if points is None else points
        frame, host, shape = self._points(given)
        draws = self.posterior.draw(size, as_generator(rng), host, as_order(order, self.dim))
        return frame.cast(frame.asarray(draws.reshape(size, *shape)))

    def _points(self, points: Any) -> tuple[Frame, Points, tuple[int, ...]]:
        host, shape = as_points(points, self.dim)
        self._check_inside(host if isinstance(host, tuple) else tuple(host.T))
        return self.frame, host, shape

    def _check_inside(self, coordinates: tuple[np.ndarray, ...]) -> None:
        for axis, (x, grid) in enumerate(zip(coordinates, self.grids, strict=True)):
            slack = 1e-9 * (grid[-1] - grid[0])
            if x.size and (x.min() < grid[0] - slack or x.max() > grid[-1] + slack):
                raise ValueError(
                    f"points must lie in the box, axis {axis} in [{grid[0]:g}, {grid[-1]:g}]; "
                    f"got {x.min():g} to {x.max():g}"
                )


def as_points(points: Any, dim: int) -> tuple[Points, tuple[int, ...]]:
    """Points (m, dim), or a tuple of grids, on the host, and the shape of an answer there."""
    if isinstance(points, tuple):
        if len(points) != dim:
            raise ValueError(f"points must be {dim} grids, got {len(points)}")
        named = {f"points[{axis}]": grid for axis, grid in enumerate(points)}
        frame, *grids = as_arrays(**named)
        for (name, _), grid in zip(named.items(), grids, strict=True):
            check_real(name, grid, frame)
            if grid.ndim != 1:
                raise ValueError(f"{name} must have one axis, got shape {tuple(grid.shape)}")
        return tuple(_on_host(frame, g) for g in grids), tuple(int(g.shape[0]) for g in grids)
    frame, given = as_arrays(points=points)
    check_real("points", given, frame)
    shape = tuple(given.shape)
    if dim == 1:
        return _on_host(frame, given).reshape(-1, 1), shape
    if not shape or shape[-1] != dim:
        raise ValueError(f"points must have shape (..., {dim}), got {shape}")
    return _on_host(frame, given).reshape(-1, dim), shape[:-1]


def as_order(order: int | tuple[int, ...] | None, dim: int) -> tuple[int, ...]:
    """Order of a derivative along each axis, 0 to 4; None is none."""
    if order is None:
        return (0,) * dim
    given = order if isinstance(order, tuple | list) else (order,)
    orders = tuple(as_integer("order", one, minimum=0) for one in given)
    if len(orders) != dim or max(orders) > 4:
        wanted = "an integer" if dim == 1 else f"{dim} integers"
        raise ValueError(f"order must be {wanted} from 0 to 4, got {order!r}")
    return orders


def _on_host(frame: Frame, array: Array) -> np.ndarray:
    host = array if frame.is_numpy else array.detach().cpu().numpy()
    return np.asarray(host, dtype=np.float64)

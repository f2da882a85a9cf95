r"""Symmetric collocation: a Gaussian process given an operator of it at points.

For a linear operator L and values g at boundary points the data are functionals of the process, and
with :math:`q(x)` their covariances with u(x), :math:`\Theta` their Gram matrix and y the data,

.. math:: m(x) = q(x)^T \Theta^{-1} y, \qquad
          v(x) = k(x, x) - q(x)^T \Theta^{-1} q(x), \qquad
          \Theta = \begin{pmatrix} k & L' k \\ L k & L L' k \end{pmatrix}.

This is the posterior itself, at the price of the condition number of :math:`\Theta`: of some ten
digits of the solution, the method with features keeps two to four more. It takes any points.

References: Chen, Hosseini, Owhadi, Stuart, arXiv 2103.12959; Fang, Cooley, Long, Li, Kirby, Zhe,
arXiv 2311.04465 (the kernels).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from numerics.arrays import Array, Frame, as_float, as_generator, as_integer
from solvers.gp_pde._arguments import as_kernels, as_noise, on_host
from solvers.gp_pde._functionals import Covariances, Functionals, derivative_at
from solvers.gp_pde._gram import GramPosterior, condition
from solvers.gp_pde.equations import PDE, LinearOperator
from solvers.gp_pde.solution import as_order, as_points
from solvers.gp_pde.spectral_mixture import SpectralMixture

_MOST = 20_000


@dataclass(frozen=True)
class GPSolution:
    r"""A Gaussian process given functionals of it.

    Attributes
    ----------
    log_evidence : float
        Log density of the data under the prior.
    nugget : float
        Shift of the Gram matrix, relative to its diagonal, with which it was factorised.
    residual_norm : float
        Relative difference of the posterior's functionals from the data, largest in size: what
        nugget and noise leave.
    kernels : tuple of SpectralMixture
        The prior's factors, one an axis.

    Examples
    --------
    More functionals never raise a variance.

    >>> import numpy as np
    >>> from solvers import Laplacian, SpectralMixture, gp_collocation
    >>> kernel = SpectralMixture([1.0], [0.0], [0.5])
    >>> variances = []
    >>> for n in (3, 7, 15):
    ...     x = np.linspace(0, 1, n)
    ...     s = gp_collocation(Laplacian(1), x, np.cos(x), x[[0, -1]], [0.0, 1.0], kernel)
    ...     variances.append(float(s.predict(0.3)[1]))
    >>> variances[0] > variances[1] > variances[2]
    True
    """

    log_evidence: float
    nugget: float
    residual_norm: float
    kernels: tuple[SpectralMixture, ...]
    posterior: GramPosterior = field(repr=False)
    frame: Frame = field(repr=False)

    def predict(self, points: Any, order: int | tuple[int, ...] | None = None) -> Any:
        """Posterior mean and variance of u, or of a derivative of it, anywhere.

        Parameters
        ----------
        points : array or tuple of array
            One axis: any shape. Several: (..., dim). A tuple of ``dim`` one-dimensional arrays
            stands for their product grid.
        order : int or tuple of int, optional
            Order of the derivative along each axis; none by default.

        Returns
        -------
        mean, variance : array
            Of the points' shape. Variances are right to about 1e-14 of the prior's.
        """
        host, shape = as_points(points, len(self.kernels))
        moments = self.posterior.moments(host, as_order(order, len(self.kernels)))
        return tuple(self.frame.cast(self.frame.asarray(a.reshape(shape))) for a in moments)

    def sample(
        self,
        points: Any,
        size: int = 1,
        rng: Any = None,
        *,
        order: int | tuple[int, ...] | None = None,
    ) -> Array:
        """Draw from the posterior: functions, jointly at all points.

        Parameters
        ----------
        points : array
            As for :meth:`predict`.
        size : int
            Number of draws.
        rng : numpy.random.Generator or int, optional
            Source of randomness, or its seed.
        order : int or tuple of int, optional
            Order of the derivative along each axis; none by default.

        Returns
        -------
        array, shape (size, ...)
            One draw of the points' shape after the other.
        """
        host, shape = as_points(points, len(self.kernels))
        size = as_integer("size", size, minimum=1)
        draws = self.posterior.draw(
            size, as_generator(rng), host, as_order(order, len(self.kernels))
        )
        return self.frame.cast(self.frame.asarray(draws.reshape(size, *shape)))


def gp_collocation(
    operator: LinearOperator,
    x_interior: Array,
    f: Array,
    x_boundary: Array,
    g: Array,
    kernel: SpectralMixture | Sequence[SpectralMixture],
    *,
    noise: tuple[float, float] | None = None,
    nugget: float | str = "auto",
    allow_float32: bool = False,
) -> GPSolution:
    r"""Condition a Gaussian process on :math:`L u = f` at some points and :math:`u = g` at others.

    Parameters
    ----------
    operator : LinearOperator
        L, on any number of axes, of an order up to 2 along each.
    x_interior : array, shape (n,) or (n, dim)
        Points of the equation, anywhere.
    f : array, shape (n,)
        Its right-hand side there.
    x_boundary : array, shape (m,) or (m, dim)
        Points where u is known, on a boundary or not; m may be 0.
    g : array, shape (m,)
        Values there.
    kernel : SpectralMixture or sequence of SpectralMixture
        Prior, one factor an axis.
    noise : pair of float, optional
        Standard deviations of f and of g; exact by default.
    nugget : float or "auto"
        Shift of the Gram matrix, relative to its diagonal. "auto" is the smallest of 1e-14, 1e-13,
        ... with which it has a Cholesky factor.
    allow_float32 : bool
        Take data in single precision, to be worked on in double.

    Returns
    -------
    GPSolution
        To be asked anywhere. In the kind of the arguments, but without gradients.

    Raises
    ------
    TypeError
        For complex data, tensors that require gradients and other kinds of arguments.
    ValueError
        For data that are not finite, have a wrong shape or are in single precision, an operator
        that the kernel is not smooth enough for, and a nugget that does not make the Gram matrix
        positive definite.

    References
    ----------
    Chen, Hosseini, Owhadi, Stuart, arXiv 2103.12959.

    Examples
    --------
    Scattered points will do for a Poisson equation on a disc.

    >>> import numpy as np
    >>> from solvers import Laplacian, SpectralMixture
    >>> rng = np.random.default_rng(0)
    >>> inside = np.sqrt(rng.uniform(size=(80, 1))) * np.ones(2)
    >>> angle = rng.uniform(0, 2 * np.pi, (80, 1))
    >>> inside = inside * np.concatenate([np.cos(angle), np.sin(angle)], axis=1)
    >>> turn = np.linspace(0, 2 * np.pi, 30, endpoint=False)
    >>> circle = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    >>> kernel = SpectralMixture([1.0], [0.0], [0.2])
    >>> s = gp_collocation(
    ...     Laplacian(2), inside, np.full(80, -4.0), circle, np.zeros(30), (kernel, kernel)
    ... )
    >>> mean, variance = s.predict([[0.3, -0.4]])
    >>> bool(abs(mean[0] - (1 - 0.25)) < 1e-4)
    True
    """
    if not isinstance(operator, LinearOperator):
        raise TypeError(f"operator must be a LinearOperator, got {type(operator).__name__}")
    kernels = as_kernels(kernel if not isinstance(kernel, str) else None, PDE(operator))
    assert kernels is not None
    stds = as_noise(noise)
    shift = None if isinstance(nugget, str) and nugget == "auto" else as_float("nugget", nugget)
    if shift is not None and shift < 0:
        raise ValueError(f"nugget must not be negative, got {shift}")
    given = {"x_interior": x_interior, "f": f, "x_boundary": x_boundary, "g": g}
    frame, arrays = on_host(allow_float32, given)
    inside = _points("x_interior", arrays["x_interior"], operator.dim)
    edge = _points("x_boundary", arrays["x_boundary"], operator.dim)
    for name, points in (("f", inside), ("g", edge)):
        if arrays[name].shape != (len(points),):
            raise ValueError(f"{name} must have shape ({len(points)},), got {arrays[name].shape}")
    if not 0 < len(inside) + len(edge) <= _MOST:
        raise ValueError(
            f"x_interior and x_boundary must hold 1 to {_MOST} points, "
            f"got {len(inside) + len(edge)}"
        )
    terms = tuple(operator.coefficients(*inside.T))
    groups = [Functionals(inside, terms), derivative_at(edge, (0,) * operator.dim)]
    data = np.concatenate([arrays["f"], arrays["g"]])
    std = np.repeat(stds, [len(inside), len(edge)])
    posterior = condition(Covariances(kernels), groups, data, std, shift)
    gap = np.abs(posterior.fitted - data) / posterior.lengths
    return GPSolution(
        log_evidence=posterior.log_evidence_of_last(len(data)),
        nugget=posterior.nugget,
        residual_norm=float(gap.max() / (np.abs(data / posterior.lengths).max() or 1.0)),
        kernels=kernels,
        posterior=posterior,
        frame=frame,
    )


def _points(name: str, points: np.ndarray, dim: int) -> np.ndarray:
    if dim == 1 and points.ndim == 1:
        points = points[:, None]
    if points.ndim != 2 or points.shape[1] != dim:
        wanted = "(n,)" if dim == 1 else f"(n, {dim})"
        raise ValueError(f"{name} must have shape {wanted}, got {points.shape}")
    return points

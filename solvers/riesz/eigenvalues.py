r"""Smallest eigenvalues of the Riesz operator on an interval.

.. math:: R u = \mu u \text{ in } (A, B), \quad u = 0 \text{ outside}, \qquad
          R = (-\Delta)^{\alpha/2},

become the pencil :math:`A v = \mu M v` of the collocation matrices. The eigenvalues are simple and
grow like :math:`\mu_k = \bigl(\frac{k\pi}{L} - \frac{(2-\alpha)\pi}{4L}\bigr)^\alpha + O(1/k)`
on an interval of length L (Kwasnicki, arXiv 1012.1133). Eigenfunctions behave like
:math:`\mathrm{dist}^{\alpha/2}` at the ends, so that the eigenvalues converge like the first power
of the cell's width whatever the degree.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.sparse.linalg import LinearOperator, eigs

from numerics.arrays import Array, as_arrays, as_integer, check_real
from numerics.bsplines import bspline_collocation_matrix
from numerics.convergence import ConvergenceWarning
from solvers.riesz._arguments import as_interval, host_values
from solvers.riesz._ends import end_means, singular
from solvers.riesz._pencil import riesz_pencil
from solvers.riesz._spline import coarser_space, inner_points, spline_basis
from solvers.riesz.bordered import BorderedSolver
from solvers.riesz.collocation import RieszCollocation

_DENSE = 200  # order up to which all eigenvalues are had in the time of some by Arnoldi
_ROUNDING = 100 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class RieszEigenvalues:
    r"""Smallest eigenvalues and their eigenfunctions, to be called at points.

    Attributes
    ----------
    eigenvalues : array, shape (k,)
        Ascending.
    coefficients : array, shape (N, k)
        Of the eigenfunctions, in the inner B-splines. :math:`\int u^2 = 1`, and u is positive at
        the lower end.
    n, p : int
        Cells and degree.
    domain : tuple of float
        The interval.
    residual_norm : array, shape (k,)
        :math:`\lVert A v - \mu M v \rVert / \lVert \mu M v \rVert`.
    error_estimate : array, shape (k,)
        The larger of twice the distance of each eigenvalue from that on half the cells, and of the
        distance between those on a half and on a quarter: under errors of first order with a sign,
        which may cancel between two spaces, each is about twice the error. Infinite for those that
        half the cells do not have.
    converged : bool
        Whether all residuals are those of rounding, 100 eps n^alpha.
    singular_ends : bool
        Whether the eigenfunctions behave like :math:`\mathrm{dist}^{\alpha/2}` at the ends, which
        keeps the convergence to first order.

    Examples
    --------
    Eigenfunctions alternate between even and odd.

    >>> import numpy as np
    >>> modes = riesz_eigenvalues(32, 3, 1.5, 2)
    >>> x = np.linspace(0, 0.5, 6)
    >>> bool(np.allclose(modes(x), modes(1 - x) * [1, -1], atol=1e-10))
    True
    """

    eigenvalues: np.ndarray
    coefficients: np.ndarray
    n: int
    p: int
    domain: tuple[float, float]
    residual_norm: np.ndarray
    error_estimate: np.ndarray
    converged: bool
    singular_ends: bool

    def __call__(self, x: Array) -> Array:
        """Values of the eigenfunctions at ``x``, (..., k); zero outside the domain."""
        frame, x = as_arrays(x=x)
        check_real("x", x, frame)
        lower, upper = self.domain
        unit = (host_values(frame, x) - lower) / (upper - lower)
        values = spline_basis(unit.ravel(), self.n, self.p) @ self.coefficients
        return frame.cast(frame.asarray(values.reshape((*unit.shape, -1))))


def riesz_eigenvalues(
    n: int, p: int, alpha: float, k: int = 6, *, domain: tuple[float, float] = (0.0, 1.0)
) -> RieszEigenvalues:
    r"""Smallest eigenvalues of :math:`R = (-\Delta)^{\alpha/2}` with u = 0 outside an interval.

    R is the positive operator, minus the Riesz derivative. Small spaces are decomposed whole; in
    larger ones Arnoldi's iteration runs on :math:`A^{-1} M` with the direct bordered solver.

    Parameters
    ----------
    n : int
        Number of cells, at least 1.
    p : int
        Degree, 2 to 10.
    alpha : float
        Order, in (1, 2).
    k : int
        Number of eigenvalues, at most N = n + p - 2.
    domain : tuple of float
        The interval.

    Returns
    -------
    RieszEigenvalues

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range, or ``k`` larger than the number of real eigenvalues (only
        spaces of less than four cells have complex ones).

    References
    ----------
    Mazza, Donatelli, Manni, Speleers, arXiv 2106.14834; Kwasnicki, arXiv 1012.1133 (the asymptotic
    formula).

    Examples
    --------
    The frequencies of a string, as the order tends to two.

    >>> import numpy as np
    >>> modes = riesz_eigenvalues(64, 4, 1.999, 3)
    >>> np.round(modes.eigenvalues / np.pi**2, 1)
    array([1., 4., 9.])
    """
    A = RieszCollocation(n, p, alpha)
    N = A.shape[0]
    k = as_integer("k", k, minimum=1)
    if k > N:
        raise ValueError(f"k must be at most n + p - 2 = {N}, got {k}")
    lower, upper = as_interval("domain", domain)
    mu, v = _smallest(A, k)
    if len(mu) < k:
        raise ValueError(
            f"k must be at most {len(mu)} in so small a space, where the eigenvalues "
            f"beyond are complex; got {k}"
        )
    M = bspline_collocation_matrix(A.n, A.p)
    v = _normalized(v, A.n, A.p) / np.sqrt(upper - lower)
    image, mass = A.matvec(v), M @ v
    residual = np.linalg.norm(image - mu * mass, axis=0) / np.linalg.norm(mu * mass, axis=0)
    converged = bool(np.max(residual) <= _ROUNDING * A.scale)
    if not converged:
        warnings.warn(
            f"eigenvalues have a relative residual of {np.max(residual):.1e}",
            ConvergenceWarning,
            stacklevel=2,
        )
    means = end_means(inner_points(A.n, A.p), image, A.alpha)
    factor = (upper - lower) ** -A.alpha
    return RieszEigenvalues(
        eigenvalues=factor * mu,
        coefficients=v,
        n=A.n,
        p=A.p,
        domain=(lower, upper),
        residual_norm=residual,
        error_estimate=factor * _estimate(A, mu),
        converged=converged,
        singular_ends=singular(means, None),
    )


def _smallest(A: RieszCollocation, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k smallest eigenvalues, or those before the first complex pair, and eigenvectors."""
    N = A.shape[0]
    if N <= _DENSE or 4 * k > N:
        pencil = riesz_pencil(A)
        pairs = np.flatnonzero(pencil.mu.imag[:k])
        real = pairs[0] if len(pairs) else k
        return pencil.mu.real[:real], pencil.V.real[:, :real]
    solver = BorderedSolver(A)
    M = bspline_collocation_matrix(A.n, A.p)
    inverse = LinearOperator(
        A.shape, matvec=lambda x: solver.solve_double(M @ x.ravel()), dtype=np.float64
    )
    # A start of both parities, the same at every call.
    theta, v = eigs(inverse, k, v0=np.linspace(1, 2, N))
    order = np.argsort(-theta.real)
    return 1 / theta.real[order], v.real[:, order]


def _estimate(A: RieszCollocation, mu: np.ndarray) -> np.ndarray:
    estimate = np.full(len(mu), np.inf)
    half = _on_fewer_cells((A.n, A.p), A.alpha, len(mu))
    if half is None:
        return estimate
    estimate[: len(half[1])] = 2 * np.abs(mu[: len(half[1])] - half[1])
    quarter = _on_fewer_cells(half[0], A.alpha, len(half[1]))
    if quarter is not None:
        known = len(quarter[1])
        change = np.abs(half[1][:known] - quarter[1])
        estimate[:known] = np.maximum(estimate[:known], change)
    return estimate


def _on_fewer_cells(
    space: tuple[int, int], alpha: float, k: int
) -> tuple[tuple[int, int], np.ndarray] | None:
    """A coarser space and at most k eigenvalues of it; fewer where it does not have as many."""
    coarser = coarser_space(*space)
    if coarser is None:
        return None
    A = RieszCollocation(*coarser, alpha)
    return coarser, _smallest(A, min(k, A.shape[0]))[0]


def _normalized(v: np.ndarray, n: int, p: int) -> np.ndarray:
    """Eigenvectors of splines of unit L2 norm on [0, 1], positive next to 0."""
    t, weights = np.polynomial.legendre.leggauss(p + 1)
    x = (np.arange(n)[:, None] + (1 + t) / 2) / n
    values = spline_basis(x.ravel(), n, p) @ v
    norm = np.sqrt(np.tile(weights, n) / (2 * n) @ values**2)
    return np.asarray(v / (norm * np.sign(v[0])))

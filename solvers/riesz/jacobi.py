r"""Weighted Jacobi polynomials: a spectral solver that holds the singularity at the ends.

Solutions of :math:`(-\Delta)^{\alpha/2} u = f` on an interval with :math:`u = 0` outside behave
like :math:`\mathrm{dist}^{\alpha/2}` at the ends for smooth :math:`f`, which no polynomial and no
spline resolves. The singular factor diagonalises the operator: on (0, 1), with
:math:`w(x) = (x(1-x))^{\alpha/2}` and :math:`P_k(x) = P_k^{(\alpha/2,\,\alpha/2)}(2x-1)`,

.. math:: R[w P_k] = \lambda_k P_k, \qquad \lambda_k = \frac{\Gamma(k+1+\alpha)}{k!},
          \qquad R = (-\Delta)^{\alpha/2}.

Without a reaction term the expansion of :math:`f` in :math:`P_k` is the solution; with one, the
Galerkin equations :math:`(\kappa\,\mathrm{diag}(\lambda_k h_k) + c M)\,a = b` hold
:math:`h_k = \int w P_k^2` and :math:`M_{jk} = \int w^2 P_j P_k`. The identity is that of Acosta,
Borthagaray, Bruno and Maas (arXiv 1608.08443) and of Mao, Chen and Shen (2016,
doi:10.1016/j.apnum.2016.04.002).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import roots_jacobi

from numerics.arrays import (
    Array,
    Frame,
    as_arrays,
    as_float,
    as_integer,
    check_positive,
    check_real,
    frame_like,
)
from solvers.riesz._arguments import as_interval, check_number, host_values

# Relative size below which the singular factor's value at an end counts as zero.
_SMOOTH_END = 1e-6


@dataclass(frozen=True)
class JacobiSolution:
    r"""Solution :math:`u = w \sum_k a_k P_k` of a Riesz equation, to be called at points.

    Attributes
    ----------
    coefficients : array, shape (K,)
        The :math:`a_k`.
    alpha : float
        Order of the operator.
    domain : tuple of float
        The interval.
    residual_norm : float
        Largest :math:`|\kappa R u + c u - f|`, over the largest :math:`|f|`, at 4K points between
        the ends where ``f`` is a function, else at the K nodes.
    error_estimate : float
        Largest difference in :math:`u` from the solution with half as many polynomials: an estimate
        for that one, and with decaying coefficients generous for this.
    converged : bool
        Whether ``error_estimate`` is at most ``rtol`` times the largest value of :math:`|u|`.
    singular_ends : bool
        Whether :math:`u/w` differs from zero at an end, so that :math:`u` behaves like
        :math:`\mathrm{dist}^{\alpha/2}` there and a spline or a finite difference loses its order.

    Examples
    --------
    The image of the operator comes with the expansion.

    >>> import numpy as np
    >>> u = jacobi_riesz_solve(np.exp, 16, 1.5)
    >>> bool(abs(u.riesz(0.3) - np.exp(0.3)) < 1e-13)
    True
    """

    coefficients: Array
    alpha: float
    domain: tuple[float, float]
    residual_norm: float
    error_estimate: float
    converged: bool
    singular_ends: bool

    def __call__(self, x: Array) -> Array:
        """Values of u at ``x``, any shape; zero outside the domain."""
        frame, unit, coefficients = self._unit(x)
        xp = frame.xp
        inside = xp.clip(unit, 0, 1)
        weight = (inside * (1 - inside)) ** (self.alpha / 2)
        values = weight * _sum(frame, inside, coefficients, self.alpha)
        return frame.cast(xp.where(unit == inside, values, xp.zeros_like(values)))

    def riesz(self, x: Array) -> Array:
        r"""Values of :math:`(-\Delta)^{\alpha/2} u`, by the identity.

        Parameters
        ----------
        x : array, any shape
            Points in the domain.

        Returns
        -------
        array, shape of ``x``
        """
        frame, unit, coefficients = self._unit(x)
        if not bool(frame.xp.all((unit >= 0) & (unit <= 1))):
            raise ValueError(f"x must be in the domain {self.domain}, got values outside it")
        lower, upper = self.domain
        scale = _eigenvalues(len(coefficients), self.alpha) / (upper - lower) ** self.alpha
        return frame.cast(_sum(frame, unit, coefficients * frame.asarray(scale), self.alpha))

    def _unit(self, x: Array) -> tuple[Frame, Array, Array]:
        frame, x, coefficients = as_arrays(x=x, coefficients=self.coefficients)
        check_real("x", x, frame)
        lower, upper = self.domain
        return frame, (frame.double(x) - lower) / (upper - lower), frame.double(coefficients)


def jacobi_riesz_solve(
    f: Callable[[Array], Array] | Array,
    K: int,
    alpha: float,
    c: float | Array = 0.0,
    *,
    kappa: float | Array = 1.0,
    domain: tuple[float, float] = (0.0, 1.0),
    rtol: float = 1e-8,
) -> JacobiSolution:
    r"""Solve :math:`\kappa R u + c u = f` with :math:`u = 0` outside the interval, spectrally.

    :math:`R = (-\Delta)^{\alpha/2}` is the positive operator, minus the Riesz derivative. The
    unknowns are the coefficients of :math:`u = w\sum_{k<K} a_k P_k^{(\alpha/2,\alpha/2)}` with
    :math:`w` the product of the distances from the ends, in units of the length, to the power
    :math:`\alpha/2`. For :math:`c = 0` and analytic :math:`f` the error falls geometrically; with a
    reaction it falls algebraically, since :math:`c\,u` is not smooth at the ends.

    Parameters
    ----------
    f : callable or array, shape (K,)
        Right-hand side: a function of an array of points, or its values at the Gauss-Jacobi nodes.
        On the unit interval these are ``(1 + t) / 2`` with ``t`` the first result of
        ``scipy.special.roots_jacobi(K, alpha / 2, alpha / 2)``.
    K : int
        Number of polynomials.
    alpha : float
        Order, in (0, 2).
    c : float or 0-d array
        Reaction coefficient, not negative.
    kappa : float or 0-d array
        Diffusion coefficient, positive.
    domain : tuple of float
        The ends of the interval.
    rtol : float
        What ``converged`` is judged by.

    Returns
    -------
    JacobiSolution
        To be called at points. Its coefficients have the kind and precision of ``f``; torch ones
        are differentiable in ``f``, ``c`` and ``kappa``.

    Raises
    ------
    TypeError
        If an argument is complex or not a number.
    ValueError
        If ``alpha`` is outside (0, 2), ``K`` below 1, ``f`` of another length or not finite, ``c``
        negative, ``kappa`` not positive or ``domain`` empty or reversed.

    References
    ----------
    Acosta, Borthagaray, Bruno, Maas, arXiv 1608.08443 (the identity).

    Examples
    --------
    The mean exit time of a symmetric stable process has a closed form.

    >>> import math
    >>> u = jacobi_riesz_solve(lambda x: 0 * x + 1, 4, 1.5)
    >>> math.isclose(u(0.5), 0.25**0.75 / math.gamma(2.5), rel_tol=1e-14)
    True
    >>> u.singular_ends
    True
    """
    K = as_integer("K", K, minimum=1)
    alpha = as_float("alpha", alpha, positive=True)
    if alpha >= 2:
        raise ValueError(f"alpha must be in (0, 2), got {alpha}")
    rtol = as_float("rtol", rtol, positive=True)
    lower, upper = as_interval("domain", domain)
    function = f if callable(f) else None
    nodes, weights = roots_jacobi(K, alpha / 2, alpha / 2)
    if function is not None:
        frame = as_arrays(kappa=kappa, c=c)[0]
        f = function(frame.asarray(lower + (upper - lower) * (1 + nodes) / 2))
    frame, f, kappa, c = as_arrays(f=f, kappa=kappa, c=c)
    check_real("f", f, frame)
    check_number("kappa", kappa, frame)
    check_number("c", c, frame)
    check_positive("kappa", kappa, frame)
    if bool(c < 0):
        raise ValueError(f"c must not be negative, got {float(c)}")
    if tuple(f.shape) != (K,):
        raise ValueError(f"f must have {K} values, one a node; got shape {tuple(f.shape)}")

    length = upper - lower
    table = _polynomials(frame, frame.asarray(nodes), K, alpha)
    moments = (frame.double(f) * frame.asarray(weights * 0.5 ** (alpha + 1))) @ table
    coefficients = _galerkin(frame, moments, kappa / length**alpha, c, alpha)

    # The judgement is made in NumPy, outside the graph of derivatives.
    host = frame_like(None)
    a, b, f_nodes, kappa_value, c_value = (
        host_values(frame, array) for array in (coefficients, moments, f, kappa, c)
    )
    half = _galerkin(host, b[: K // 2], kappa_value / length**alpha, c_value, alpha)
    fine, coarse = (
        JacobiSolution(values, alpha, (lower, upper), 0.0, 0.0, False, False)
        for values in (a, np.append(half, np.zeros(K - K // 2)))
    )
    between = (1 - np.cos(np.pi * (np.arange(4 * K) + 0.5) / (4 * K))) / 2
    points = lower + length * (between if function is not None else (1 + nodes) / 2)
    right = f_nodes if function is None else host_values(frame, function(frame.asarray(points)))
    residual = kappa_value * fine.riesz(points) + c_value * fine(points) - right
    u = fine(lower + length * between)
    estimate = float(np.max(np.abs(u - coarse(lower + length * between))))
    factor = np.abs(_sum(host, between, a, alpha)).max()
    ends = np.array([0.0, 1.0])
    at_ends = _sum(host, ends, a, alpha)
    doubt = np.abs(at_ends - _sum(host, ends, coarse.coefficients, alpha))
    return JacobiSolution(
        coefficients=frame.cast(coefficients),
        alpha=alpha,
        domain=(lower, upper),
        residual_norm=_relative(np.max(np.abs(residual)), np.max(np.abs(right))),
        error_estimate=estimate,
        converged=estimate <= rtol * float(np.max(np.abs(u))),
        singular_ends=bool(np.any(np.abs(at_ends) > np.maximum(doubt, _SMOOTH_END * factor))),
    )


def _galerkin(frame: Frame, moments: Array, diffusion: Array, c: Array, alpha: float) -> Array:
    K = len(moments)
    norms = _norms(K, alpha)
    diagonal = diffusion * frame.asarray(_eigenvalues(K, alpha) * norms)
    if frame.is_numpy and c == 0:
        return moments / diagonal
    xp = frame.xp
    nodes, weights = roots_jacobi(K, alpha, alpha)
    table = _polynomials(frame, frame.asarray(nodes), K, alpha)
    mass = (table.T * frame.asarray(weights * 0.5 ** (2 * alpha + 1))) @ table
    # Scaling to a unit diagonal leaves the identity plus a matrix that decays along the rows.
    scale = 1 / xp.sqrt(diagonal)
    matrix = frame.asarray(np.eye(K)) + c * scale[:, None] * mass * scale
    return scale * xp.linalg.solve(matrix, (scale * moments)[:, None])[:, 0]


def _sum(frame: Frame, unit: Array, coefficients: Array, alpha: float) -> Array:
    table = _polynomials(frame, 2 * unit - 1, len(coefficients), alpha)
    return frame.xp.tensordot(table, coefficients, axes=((-1,), (0,)))


def _polynomials(frame: Frame, t: Array, K: int, alpha: float) -> Array:
    """Jacobi polynomials of equal parameters alpha/2 at t in [-1, 1], on a new last axis."""
    a = alpha / 2
    columns = [frame.xp.ones_like(t), (1 + a) * t]
    for k in range(2, K):
        ahead = (2 * k + 2 * a - 1) * (k + a) * t * columns[-1]
        behind = (k + a - 1) * (k + a) * columns[-2]
        columns.append((ahead - behind) / (k * (k + 2 * a)))
    return frame.xp.stack(columns[:K], axis=-1)


def _eigenvalues(K: int, alpha: float) -> np.ndarray:
    k = np.arange(1.0, K)
    return math.gamma(1 + alpha) * np.cumprod(np.append(1.0, 1 + alpha / k))


def _norms(K: int, alpha: float) -> np.ndarray:
    """Integrals of w P_k^2 over the unit interval."""
    a, k = alpha / 2, np.arange(1.0, K)
    first = math.gamma(1 + a) ** 2 / math.gamma(1 + alpha)
    product = np.cumprod(np.append(first, (k + a) ** 2 / (k * (k + alpha))))
    return product / (2 * np.arange(K) + 1 + alpha)


def _relative(value: float, scale: float) -> float:
    return float(value / scale) if scale > 0 else float(value)

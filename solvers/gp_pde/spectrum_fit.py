r"""The spectrum of the prior by evidence: which mixture makes the data of an equation likeliest.

In the features of an interval the data y are Gaussian with covariance
:math:`\Theta = H D^2 H^T + \Sigma`, where :math:`D^2 = \mathrm{diag}(S_j)` holds the spectral
masses of the frequencies, H the equation, the conditions and the observations of unit features,
and :math:`\Sigma` the noise. The singular values of :math:`\Sigma^{-1/2} H D = U s V^T` give the
log density and its gradient,

.. math:: \frac{\partial (-\log p)}{\partial \log S_j} = \frac12 \sum_{k \in j}
          \Bigl(\sum_i \frac{s_i^2}{s_i^2 + 1} V_{ki}^2 - m_k^2\Bigr), \qquad
          m = V\,\frac{s}{s^2 + 1}\,U^T \Sigma^{-1/2} y,

the sum over the cosine and the sine of the frequency; m is the posterior mean of the weights. The
mixture's parameters follow by the chain rule, and L-BFGS climbs. Exact data get a small noise
relative to their prior deviation, and the amplitude is profiled out:
:math:`\tfrac n2 \log(y^T \Theta^{-1} y / n) + \tfrac12 \log\lvert\Theta\rvert`.

Components that the data have no use for lose their weights, as they do in arXiv 2311.04465, where
the joint density of u and the data is maximised over u as well.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import minimize

from numerics.arrays import Array, as_integer
from solvers.gp_pde._arguments import as_problem
from solvers.gp_pde._features import AxisFeatures, axis_features, nyquist
from solvers.gp_pde._interval import operator_image, solve_interval
from solvers.gp_pde._interval_spectrum import interval_kernel
from solvers.gp_pde._problem import Problem
from solvers.gp_pde.equations import PDE, LinearOperator
from solvers.gp_pde.spectral_mixture import SpectralMixture, spectral_density

_FLOOR = 1e-20
_RELATIVE_NOISE = 1e-7
_LOG_WEIGHTS = (-60.0, 20.0)
_PERIOD = 4.0
_NARROWEST = 0.5


@dataclass(frozen=True)
class SpectrumFit:
    r"""A prior fitted to the data of an equation.

    Attributes
    ----------
    kernel : SpectralMixture
        Its weights are scaled so that the data are likeliest.
    log_evidence : float
        Log density of the data under it; for exact data, of data with the noise that stands in for
        exactness, to be compared only with other fits to the same data.
    initial_log_evidence : float
        That of the mixture at the start.
    iterations : int
        Of L-BFGS.
    converged : bool
        Whether it met its tolerance. More iterations go on sharpening lines, so that a fit that
        did not may do as well.

    Examples
    --------
    Nobody told it the frequency of the wave.

    >>> import numpy as np
    >>> from solvers import Laplacian
    >>> x = np.linspace(0, 1, 60)
    >>> fit = fit_spectrum(Laplacian(1), x, lambda x: np.sin(50 * x), (0.0, 0.0), kernel=8)
    >>> bool(fit.log_evidence > fit.initial_log_evidence), fit.kernel.weights.shape
    (True, (8,))
    """

    kernel: SpectralMixture
    log_evidence: float
    initial_log_evidence: float
    iterations: int
    converged: bool


def fit_spectrum(
    pde: PDE | LinearOperator,
    grid: Array,
    f: Callable[..., Array] | Array | float,
    boundary: Any,
    *,
    kernel: str | int | SpectralMixture = "auto",
    noise: tuple[float, float] | None = None,
    observations: tuple[Array, Array, Array | float] | None = None,
    maxiter: int = 40,
    allow_float32: bool = False,
) -> SpectrumFit:
    r"""Fit a spectral mixture on an interval by maximising the evidence.

    Parameters
    ----------
    pde, grid, f, boundary, noise, observations, allow_float32
        A problem on one axis, as for :func:`solve_pde`. A nonlinear equation is linearised about
        its solution with the initial prior.
    kernel : "auto", int or SpectralMixture
        Where to start: the mixture read from the data; a number of Gaussian components of equal
        weights and widths, from frequency 0 to four fifths of the grid's limit; or any mixture.
        The number of components and their envelope stay.
    maxiter : int
        Most iterations of L-BFGS.

    Returns
    -------
    SpectrumFit
        With the fitted kernel, to be given to :func:`solve_pde`.

    Raises
    ------
    TypeError, ValueError
        As :func:`solve_pde`, and for a problem on several axes.

    Warns
    -----
    RuntimeWarning
        If the maximum found has less evidence than the mixture read from the data, which "auto"
        starts from. Exact data have many maxima, and equal components may climb one at which the
        prior is useless.

    References
    ----------
    Fang, Cooley, Long, Li, Kirby, Zhe, arXiv 2311.04465.

    Examples
    --------
    Thirty equal components, the start of that paper, become a prior that fits.

    >>> import numpy as np
    >>> from solvers import Laplacian, solve_pde
    >>> x = np.linspace(0, 1, 80)
    >>> u = lambda x: np.sin(x) + 0.1 * np.sin(20 * x)
    >>> f = lambda x: -np.sin(x) - 40 * np.sin(20 * x)
    >>> fit = fit_spectrum(Laplacian(1), x, f, u, kernel=30)
    >>> s = solve_pde(Laplacian(1), x, f, u, kernel=fit.kernel)
    >>> bool(np.abs(s.u - u(x)).max() < 1e-8)
    True
    """
    given = "auto" if isinstance(kernel, int) and not isinstance(kernel, bool) else kernel
    problem, _ = as_problem(
        pde,
        grid,
        f,
        boundary,
        kernel=given,
        noise=noise,
        observations=observations,
        rtol=1e-9,
        maxiter=20,
        allow_float32=allow_float32,
    )
    if problem.dim != 1:
        raise ValueError(f"pde must have one axis, got {problem.dim}")
    maxiter = as_integer("maxiter", maxiter, minimum=1)
    start = interval_kernel(problem) if given is kernel else _equal(problem, kernel)
    evidence = _Evidence.of(problem, start)
    parameters = _parameters(start)
    Q = len(start.freqs)
    limit = nyquist(problem.grids[0])
    narrowest = math.log(_NARROWEST / (_PERIOD * problem.lengths[0]))
    widths = [(min(narrowest, p), math.log(limit)) for p in parameters[2 * Q :]]
    top = math.log(float(start.weights.max()))
    weights = [(top + _LOG_WEIGHTS[0], top + _LOG_WEIGHTS[1])] * Q
    first = evidence(parameters)[0]
    found = minimize(
        evidence,
        parameters,
        jac=True,
        method="L-BFGS-B",
        bounds=[*weights, *[(0.0, limit)] * Q, *widths],
        options={"maxiter": maxiter},
    )
    fitted = evidence.kernel(found.x)
    if given is not kernel or problem.kernels is not None:
        _warn_if_poor(evidence, float(found.fun), replace(problem, kernels=None))
    return SpectrumFit(
        kernel=SpectralMixture(
            evidence.scale(found.x) * fitted.weights,
            fitted.freqs,
            fitted.scales,
            envelope=fitted.envelope,
            nu=fitted.nu,
        ),
        log_evidence=-float(found.fun),
        initial_log_evidence=-float(first),
        iterations=int(found.nit),
        converged=bool(found.success),
    )


@dataclass(frozen=True)
class _Evidence:
    """Minus the log density of the data as a function of log weights, frequencies, log scales."""

    features: AxisFeatures
    rows: np.ndarray
    data: np.ndarray
    log_noise: float
    floor: float
    profiled: bool
    start: SpectralMixture

    @classmethod
    def of(cls, problem: Problem, start: SpectralMixture) -> _Evidence:
        grid = problem.grids[0]
        # Long enough for lines that sharpen: the solver will take the kernel as it is.
        features = axis_features(
            grid, start, periodic=problem.periodic[0], extension=_PERIOD, floor=_FLOOR
        )
        unit = AxisFeatures(
            features.origin, features.period, features.omega, np.ones_like(features.omega)
        )
        equation, right = operator_image(problem, unit, grid), problem.f
        if not problem.pde.is_linear:
            u = solve_interval(problem).u
            value, slope = problem.pde.reaction(u)
            equation = equation + slope[:, None] * unit(grid)
            right = right - value + slope * u
        rows = [equation, *(unit(grid[[-edge.end]], edge.order) for edge in problem.edges)]
        data = [right, *(edge.values[None] for edge in problem.edges)]
        std = [np.full(len(grid), problem.noise[0])]
        std += [np.full(1, problem.noise[1]) for _ in problem.edges]
        if problem.observations is not None:
            rows.append(unit(problem.observations.points[:, 0]))
            data.append(problem.observations.values)
            std.append(problem.observations.noise_std)
        H, y, noise = np.concatenate(rows), np.concatenate(data), np.concatenate(std)
        sd = np.concatenate([features.sd, features.sd[1:]])
        exact = noise == 0
        noise = np.where(exact, _RELATIVE_NOISE * np.linalg.norm(H * sd, axis=1), noise)
        return cls(
            features=unit,
            rows=H / noise[:, None],
            data=y / noise,
            log_noise=float(np.sum(np.log(noise))),
            floor=_FLOOR * float(features.sd.max() ** 2),
            profiled=bool(exact.all()),
            start=start,
        )

    def __call__(self, parameters: np.ndarray) -> tuple[float, np.ndarray]:
        mass, jacobian = self._masses(parameters)
        sd = np.sqrt(mass)
        scale = np.concatenate([sd, sd[1:]])
        U, s, Vt = np.linalg.svd(self.rows * scale, full_matrices=False)
        seen = U.T @ self.data
        n = len(self.data)
        square = self._square(U, s, seen)
        half_determinant = 0.5 * float(np.sum(np.log1p(s**2))) + self.log_noise
        mean_squares = (Vt.T @ (s / (s**2 + 1) * seen)) ** 2
        known = np.sum((s / np.hypot(s, 1))[:, None] ** 2 * Vt**2, axis=0)
        if self.profiled:
            fit = 0.5 * n * (math.log(square / n) + 1)
            mean_squares = mean_squares * (n / square)
        else:
            fit = 0.5 * square
        both = 0.5 * (known - mean_squares)
        J = len(mass)
        by_log_mass = both[:J].copy()
        by_log_mass[1:] += both[J:]
        value = fit + half_determinant + 0.5 * n * math.log(2 * math.pi)
        return value, jacobian @ (by_log_mass / mass)

    def kernel(self, parameters: np.ndarray) -> SpectralMixture:
        """The mixture of the parameters."""
        log_weights, freqs, log_scales = parameters.reshape(3, -1)
        return SpectralMixture(
            np.exp(log_weights),
            freqs,
            np.exp(log_scales),
            envelope=self.start.envelope,
            nu=self.start.nu,
        )

    def scale(self, parameters: np.ndarray) -> float:
        """The profiled square of the amplitude; 1 where noise sets it."""
        if not self.profiled:
            return 1.0
        sd = np.sqrt(self._masses(parameters)[0])
        U, s, _ = np.linalg.svd(self.rows * np.concatenate([sd, sd[1:]]), full_matrices=False)
        return self._square(U, s, U.T @ self.data) / len(self.data)

    def _square(self, U: np.ndarray, s: np.ndarray, seen: np.ndarray) -> float:
        """Squared length of the data in the metric of the inverse covariance."""
        # The difference of squares would leave nothing of what lies outside.
        outside = self.data - U @ seen if len(s) < len(self.data) else np.zeros(1)
        return float(np.sum(seen**2 / (s**2 + 1)) + outside @ outside)

    def _masses(self, parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Spectral masses of the frequencies (J,), and their derivatives (3Q, J)."""
        log_weights, freqs, log_scales = parameters.reshape(3, -1)
        weights, scales = np.exp(log_weights)[:, None], np.exp(log_scales)[:, None]
        period = self.features.period
        s = self.features.omega / (2 * np.pi)
        factor = np.full(len(s), 2.0 / period)
        factor[0] /= 2
        total, by_frequency, by_scale = 0.0, 0.0, 0.0
        for sign in (1.0, -1.0):
            z = (s - sign * freqs[:, None]) / scales
            density = spectral_density(
                z * scales,
                np.ones((1, 1)),
                np.zeros((1, 1)),
                scales[..., None],
                envelope=self.start.envelope,
                nu=self.start.nu,
            )
            part = 0.5 * weights * factor * density
            slope = self._log_slope(z)
            total = total + part
            by_frequency = by_frequency - sign * part * slope / scales
            by_scale = by_scale - part * (1 + z * slope)
        return np.sum(total, axis=0) + self.floor, np.concatenate([total, by_frequency, by_scale])

    def _log_slope(self, z: np.ndarray) -> np.ndarray:
        """Derivative of the log density of the envelope's standard form."""
        if self.start.envelope == "gaussian":
            return -z
        dof = 2 * self.start.nu
        return -(dof + 1) * z / (dof + z**2)


def _parameters(kernel: SpectralMixture) -> np.ndarray:
    """Log weights, frequencies and log scales of a mixture."""
    logs = np.log(np.maximum(kernel.weights, 1e-26)), np.log(kernel.scales)
    return np.concatenate([logs[0], kernel.freqs, logs[1]])


def _warn_if_poor(evidence: _Evidence, fitted: float, problem: Problem) -> None:
    """Warn where the mixture read from the data, before any fit, has more evidence."""
    read = interval_kernel(problem)
    of_read = replace(evidence, start=read)(_parameters(read))[0]
    if of_read < fitted:
        warnings.warn(
            f"the fit ended at a log evidence of {-fitted:.6g}, below the {-of_read:.6g} of the "
            "mixture read from the data: it is a poor prior; start from kernel='auto'",
            RuntimeWarning,
            stacklevel=3,
        )


def _equal(problem: Problem, components: Any) -> SpectralMixture:
    """Equal components up to four fifths of the grid's limit, as wide as they lie apart."""
    Q = as_integer("kernel", components, minimum=1)
    highest = 0.8 * nyquist(problem.grids[0])
    freqs = np.linspace(0, highest, Q)
    return SpectralMixture(np.full(Q, 1 / Q), freqs, np.full(Q, highest / Q))

r"""Unknown coefficients of an equation by evidence, from noisy values of its solution.

For each parameter :math:`\theta` the process conditioned on the equation and its boundary data
predicts the observations; how well it does is the log density

.. math:: \ell(\theta) = \log p(\text{observations} \mid \text{equation}_\theta, \text{boundary}),

which does not depend on how the equation is scaled. Its maximum is the estimate, the inverse of
:math:`-\nabla^2\ell` there the covariance of a Gaussian posterior under a flat prior. Derivatives
are central differences over a third of a standard deviation.

The prior's kernel is read from the data anew at each estimate until that stays where it is.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from numerics.arrays import Array, Frame, as_arrays, as_float, as_integer, check_real
from numerics.convergence import ConvergenceWarning
from solvers.gp_pde._arguments import on_host
from solvers.gp_pde._newton_search import Limits, NewtonSearch
from solvers.gp_pde.equations import PDE, LinearOperator
from solvers.gp_pde.solution import PDESolution
from solvers.gp_pde.solve import Kernel, solve_pde

_ROUNDS = 4
_STAYS = 0.1


@dataclass(frozen=True)
class ParameterFit:
    r"""Estimated parameters of an equation.

    Attributes
    ----------
    estimate : array, shape (p,) or ()
        Where the observations are likeliest.
    covariance : array, shape (p, p) or ()
        Inverse of the curvature of minus the log density there: of the parameters given the prior's
        kernel and the noise.
    log_evidence : float
        Log density of the observations at the estimate.
    solution : PDESolution
        That of the equation with the estimate.
    iterations : int
        Newton steps of the maximisation, over all rounds.
    converged : bool
        Whether the maximisation and the rounds met their tolerances.

    Examples
    --------
    The decay rate of :math:`u' = -\theta u` from ten values with 1 % noise.

    >>> import numpy as np
    >>> from solvers import LinearOperator
    >>> rng = np.random.default_rng(0)
    >>> at = np.linspace(0.1, 1.9, 10)
    >>> seen = np.exp(-1.5 * at) + 0.01 * rng.standard_normal(10)
    >>> fit = fit_pde_parameters(
    ...     lambda theta: LinearOperator([(theta, 0), (1.0, 1)]),
    ...     1.0,
    ...     np.linspace(0, 2, 40),
    ...     0.0,
    ...     (1.0, None),
    ...     observations=(at, seen, 0.01),
    ... )
    >>> bool(abs(fit.estimate - 1.5) < 3 * np.sqrt(fit.covariance)), fit.converged
    (True, True)
    """

    estimate: Array
    covariance: Array
    log_evidence: float
    solution: PDESolution
    iterations: int
    converged: bool
    frame: Frame = field(repr=False)


def fit_pde_parameters(
    pde_of_theta: Callable[[Any], PDE | LinearOperator],
    theta0: Array | float,
    grids: Array | tuple[Array, ...],
    f: Callable[..., Array] | Array | float,
    boundary: Any,
    *,
    observations: tuple[Array, Array, Array | float],
    kernel: Kernel = "auto",
    noise: tuple[float, float] | None = None,
    bounds: Sequence[tuple[float | None, float | None]] | None = None,
    maxiter: int = 50,
    rtol: float = 1e-3,
    allow_float32: bool = False,
) -> ParameterFit:
    r"""Estimate parameters of an equation from observations of its solution, by evidence.

    Parameters
    ----------
    pde_of_theta : callable
        The equation for a parameter: a float if ``theta0`` is a number, else an array (p,).
    theta0 : float or array, shape (p,)
        Where to start: near enough that the solution resembles the observations, since a wave half
        a period off is a local maximum of its own.
    grids, f, boundary, kernel, noise, allow_float32
        The problem, as for :func:`solve_pde`, solved by features. On several axes, either exact
        data determine u, or there is noise in the equation.
    observations : tuple (points, values, noise_std)
        Values of u at points (m,) or (m, dim) with standard deviations of their noise.
    bounds : sequence of pairs, optional
        Least and greatest value of each parameter, None for none. An estimate that runs into one
        is not converged.
    maxiter : int
        Most Newton steps in a round.
    rtol : float
        A round ends when a step would raise the log density by less than the square of this: an
        estimate off by ``rtol`` standard deviations.

    Returns
    -------
    ParameterFit
        In the kind of ``theta0``, without gradients.

    Raises
    ------
    TypeError, ValueError
        As :func:`solve_pde`; for ``theta0`` of another shape, bounds that do not hold it, and a
        parameter on which the observations do not depend.

    Warns
    -----
    ConvergenceWarning
        If a maximum is not found in ``maxiter`` steps, or the kernel read from the data and the
        estimate do not settle.

    References
    ----------
    Raissi, Perdikaris, Karniadakis, arXiv 1701.02440 (parameters of linear operators as
    hyperparameters of a Gaussian process).

    Examples
    --------
    The wave number of a Helmholtz equation.

    >>> import numpy as np
    >>> from solvers import LinearOperator1D
    >>> rng = np.random.default_rng(1)
    >>> at = rng.uniform(0, 1, 20)
    >>> seen = np.sin(20 * at) + 0.05 * rng.standard_normal(20)
    >>> fit = fit_pde_parameters(
    ...     lambda k: LinearOperator1D(k**2, 0.0, 1.0),
    ...     19.0,
    ...     np.linspace(0, 1, 60),
    ...     0.0,
    ...     (0.0, None),
    ...     observations=(at, seen, 0.05),
    ... )
    >>> std = np.sqrt(fit.covariance)
    >>> bool(abs(fit.estimate - 20) < 3 * std), bool(0.02 < std < 0.2)
    (True, True)
    """
    frame, given = as_arrays(theta0=theta0)
    check_real("theta0", given, frame)
    if given.ndim > 1 or 0 in given.shape:
        raise ValueError(f"theta0 must be a number or have shape (p,), got {tuple(given.shape)}")
    scalar = given.ndim == 0
    host = given.detach().cpu().numpy() if frame.is_torch else given
    theta = np.atleast_1d(np.asarray(host, dtype=np.float64))
    limits = _as_bounds(bounds, theta)
    maxiter = as_integer("maxiter", maxiter, minimum=1)
    rtol = as_float("rtol", rtol, positive=True)
    if not isinstance(observations, tuple | list) or len(observations) != 3:
        raise ValueError("observations must be a tuple (points, values, noise_std)")
    named = dict(zip(("points", "values", "noise_std"), observations, strict=True))
    on_host(allow_float32, named)

    def solved(theta: np.ndarray, kernel: Kernel) -> PDESolution:
        with warnings.catch_warnings():
            # Of one solution they change nothing; among equations they choose.
            warnings.filterwarnings("ignore", message="observations change nothing")
            return solve_pde(
                pde_of_theta(float(theta[0]) if scalar else theta.copy()),
                grids,
                f,
                boundary,
                kernel=kernel,
                noise=noise,
                observations=observations,
                allow_float32=allow_float32,
            )

    def log_density(theta: np.ndarray, kernel: Kernel) -> float:
        return _there(solved(theta, kernel).log_evidence)

    automatic = isinstance(kernel, str)
    iterations, settled = 0, False
    search = NewtonSearch(lambda theta: -log_density(theta, chosen), theta, limits)
    for _ in range(_ROUNDS if automatic else 1):
        chosen = solved(theta, kernel).kernels if automatic else kernel
        before = theta
        theta, curvature, steps, found = search.minimum(theta, maxiter, rtol)
        iterations += steps
        # Half the squared distance in standard deviations.
        if 0.5 * float((theta - before) @ curvature @ (theta - before)) <= _STAYS**2:
            settled = True
            break
    settled = found and (settled or not automatic)
    if not settled:
        warnings.warn(
            f"the estimate {theta} is not settled after {iterations} steps",
            ConvergenceWarning,
            stacklevel=2,
        )
    solution = solved(theta, chosen)
    covariance = np.linalg.inv(curvature)
    shape = ((), ()) if scalar else (theta.shape, covariance.shape)
    return ParameterFit(
        estimate=frame.cast(frame.asarray(theta.reshape(shape[0]))),
        covariance=frame.cast(frame.asarray(covariance.reshape(shape[1]))),
        log_evidence=_there(solution.log_evidence),
        solution=solution,
        iterations=iterations,
        converged=settled,
        frame=frame,
    )


def _there(evidence: float | None) -> float:
    if evidence is None:
        raise ValueError(
            "noise must be given, for the equation at least, where it and the boundary leave u "
            "open on several axes; or, where they do not, the grid must be finer"
        )
    return evidence


def _as_bounds(bounds: Any, theta: np.ndarray) -> Limits:
    p = len(theta)
    pairs = [(None, None)] * p if bounds is None else list(bounds)
    if len(pairs) != p or any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"bounds must be {p} pairs (least, greatest), got {bounds!r}")
    low = np.array([-np.inf if a is None else as_float("bounds", a) for a, _ in pairs])
    high = np.array([np.inf if b is None else as_float("bounds", b) for _, b in pairs])
    if not np.all((low < theta) & (theta < high)):
        raise ValueError(f"bounds must hold theta0 {theta} inside, got {bounds!r}")
    return low, high

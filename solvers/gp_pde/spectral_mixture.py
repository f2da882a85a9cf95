r"""Spectral mixtures: stationary kernels whose spectrum is a mixture about chosen frequencies.

.. math:: \kappa(r) = \sum_q w_q\, g_q(r) \cos(2\pi\mu_q r)
          = \int S(s) \cos(2\pi s r)\, ds, \qquad
          S(s) = \sum_q \frac{w_q}{2} \left[ p_q(s - \mu_q) + p_q(s + \mu_q) \right].

Frequencies :math:`\mu_q` and scales :math:`\rho_q` are in cycles per unit of length. There are two
envelopes (arXiv 2311.04465):

* "gaussian": :math:`p_q` the normal density of standard deviation :math:`\rho_q`,
  :math:`g_q(r) = e^{-2\pi^2 \rho_q^2 r^2}`, smooth;
* "matern": :math:`p_q` Student's t density with :math:`2\nu` degrees of freedom and scale
  :math:`\rho_q`, :math:`g_q` the Matern function of smoothness :math:`\nu = p + 1/2` and length
  scale :math:`1/(2\pi\rho_q)`, which has 2p derivatives.

All derivatives are closed forms, right at r = 0, where differentiating through |r| is not: with
:math:`m_q = 2\pi\mu_q`,

.. math:: \kappa^{(n)}(r) = \sum_q w_q \sum_{j=0}^{n} \binom{n}{j} g_q^{(n-j)}(r)\, m_q^j
          \cos\left(m_q r + j\pi/2\right).
"""

from __future__ import annotations

import math
import warnings
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np

from numerics.arrays import (
    Array,
    Frame,
    as_arrays,
    as_float,
    as_integer,
    broadcast_batch,
    check_positive,
    check_real,
)
from solvers.gp_pde._envelopes import check_envelope, envelope_derivatives, rate

MAX_ORDER = 4
# Components are taken together while their values fit into the cache (or the memory of a device).
_TOGETHER = 2**17
_TOGETHER_ON_DEVICE = 2**26


@dataclass(frozen=True, eq=False)
class SpectralMixture:
    r"""Stationary kernel with a mixture of Gaussians or of Student's t densities as its spectrum.

    .. math:: \kappa(r) = \sum_q w_q\, g_q(r) \cos(2\pi\mu_q r)

    Parameters
    ----------
    weights : array, shape (Q,)
        :math:`w_q \ge 0`; their sum is :math:`\kappa(0)`, the variance.
    freqs : array, shape (Q,)
        :math:`\mu_q`, in cycles per unit of length.
    scales : array, shape (Q,)
        Width :math:`\rho_q > 0` of the spectrum about each frequency, in cycles: the standard
        deviation of the Gaussian; the scale of Student's t, whose standard deviation is
        :math:`\rho \sqrt{\nu/(\nu-1)}`.
    envelope : {"gaussian", "matern"}
    nu : float
        Smoothness 1/2, 3/2, ... of the Matern envelope (half the degrees of freedom). The Gaussian
        does not look at it.

    Raises
    ------
    TypeError
        For complex parameters and mixed array libraries.
    ValueError
        For negative weights, scales that are not positive, values that are not finite, different
        numbers of components, and an unknown ``envelope`` or ``nu``.

    Notes
    -----
    ``kernel(r, order=n)`` is :math:`\kappa^{(n)}(r)` for an array r of any shape, in the kind and
    precision of ``r``. Parameters in NumPy serve NumPy and torch; those in torch need torch, and
    results are differentiable in them and in ``r``. See :func:`spectral_mixture_kernel` for the
    orders there are.

    References
    ----------
    Fang, Cooley, Long, Li, Kirby, Zhe, arXiv 2311.04465. Wilson, Adams, arXiv 1302.4245.

    Examples
    --------
    A narrow spectrum makes a wave, which is an eigenfunction of the second derivative.

    >>> import numpy as np
    >>> kernel = SpectralMixture([2.0], [5.0], [1e-9])
    >>> r = np.linspace(0, 1, 7)
    >>> np.allclose(kernel(r, order=2), -((10 * np.pi) ** 2) * kernel(r))
    True

    With the Matern envelope there are two derivatives for each whole number in ``nu``.

    >>> SpectralMixture([1.0], [0.0], [1.0], envelope="matern", nu=1.5)(0.0, order=3)
    Traceback (most recent call last):
    ...
    ValueError: order must be at most 2 for the Matern envelope with nu = 1.5, got 3
    """

    weights: Array
    freqs: Array
    scales: Array
    _: KW_ONLY
    envelope: str = "gaussian"
    nu: float = 2.5

    def __post_init__(self) -> None:
        check_envelope(self.envelope, self.nu)
        names = ("weights", "freqs", "scales")
        frame, *values = as_arrays(**{name: getattr(self, name) for name in names})
        Q = values[0].shape[-1] if values[0].ndim else 0
        for name, value in zip(names, values, strict=True):
            if value.ndim != 1 or value.shape[0] != Q or Q == 0:
                raise ValueError(
                    f"{name} must have shape (Q,) with the same Q >= 1 as weights, "
                    f"got {tuple(value.shape)} beside weights {tuple(values[0].shape)}"
                )
        _check_parameters(frame, *values)
        for name, value in zip(names, values, strict=True):
            if frame.is_numpy:
                value = np.array(value)
                value.flags.writeable = False
            object.__setattr__(self, name, value)

    def __call__(self, r: Array, order: int = 0) -> Array:
        """Derivative of order ``order`` at the differences ``r``."""
        frame, r, *parameters = self._arguments(r=r)
        return _kernel(frame, r, *parameters, envelope=self.envelope, nu=self.nu, order=order)

    def density(self, s: Array) -> Array:
        """Spectral density at the frequencies ``s``, in cycles: see :func:`spectral_density`."""
        frame, s, *parameters = self._arguments(s=s)
        return _density(frame, s, *parameters, envelope=self.envelope, nu=self.nu)

    def _arguments(self, **argument: Array) -> tuple[Any, ...]:
        """The argument and the parameters in one frame, whose precision is the argument's."""
        (name,) = argument
        frame, value = as_arrays(**argument)
        check_real(name, value, frame)
        parameters = (self.weights, self.freqs, self.scales)
        if isinstance(self.weights, np.ndarray):
            # torch takes no memory that must not be written.
            held = [frame.asarray(np.array(x) if frame.is_torch else x) for x in parameters]
            return (frame, value, *held)
        weights, freqs, scales = parameters
        common, value, *own = as_arrays(**argument, weights=weights, freqs=freqs, scales=scales)
        return (Frame(common.xp, common.device, frame.single), value, *own)


def spectral_mixture_kernel(
    r: Array,
    weights: Array,
    freqs: Array,
    scales: Array,
    *,
    envelope: str = "gaussian",
    nu: float = 2.5,
    order: int = 0,
) -> Array:
    r"""Derivative of a spectral-mixture kernel, :math:`\kappa^{(n)}(r)`.

    .. math:: \kappa(r) = \sum_q w_q\, g_q(r) \cos(2\pi\mu_q r)

    with :math:`g_q(r) = e^{-2\pi^2\rho_q^2 r^2}` or the Matern function of smoothness ``nu`` and
    length scale :math:`1/(2\pi\rho_q)`. The covariance of derivatives of the process is
    :math:`\partial_x^a \partial_{x'}^b \kappa(x - x') = (-1)^b \kappa^{(a+b)}(x - x')`.

    Parameters
    ----------
    r : array, shape (...)
        Differences; any shape.
    weights, freqs, scales : array, shape (..., Q)
        :math:`w_q \ge 0`; :math:`\mu_q` and :math:`\rho_q > 0` in cycles per unit of length (see
        :class:`SpectralMixture`). Their leading axes broadcast with the axes of ``r``.
    envelope : {"gaussian", "matern"}
    nu : float
        Smoothness p + 1/2 of the Matern envelope.
    order : int
        n, from 0 to 4, and at most 2p with the Matern envelope.

    Returns
    -------
    array, shape (...)
        Kind and precision of the arguments, evaluated in double precision. torch results are
        differentiable in ``r``, on the diagonal r = 0 too, and in the parameters.

    Raises
    ------
    TypeError
        For complex arguments and mixed array libraries.
    ValueError
        For values out of range or not finite, shapes that do not fit, and an order above the
        smoothness.

    Warns
    -----
    RuntimeWarning
        For a second or higher derivative in single precision: it is right to single precision, and
        a covariance matrix of such numbers is not positive definite.

    References
    ----------
    Fang, Cooley, Long, Li, Kirby, Zhe, arXiv 2311.04465.

    Examples
    --------
    The variance of the slope is :math:`-\kappa''(0) = (2\pi)^2 (\rho^2 + \mu^2)` times the weight.

    >>> import numpy as np
    >>> w, mu, rho = np.array([[2.0], [3.0], [0.5]])
    >>> slope = -spectral_mixture_kernel(0.0, w, mu, rho, order=2)
    >>> np.allclose(slope, 2 * (2 * np.pi) ** 2 * (0.5**2 + 3.0**2))
    True
    """
    frame, r, weights, freqs, scales = as_arrays(r=r, weights=weights, freqs=freqs, scales=scales)
    _check_mixture(frame, "r", r, weights, freqs, scales)
    return _kernel(frame, r, weights, freqs, scales, envelope=envelope, nu=nu, order=order)


def spectral_density(
    s: Array,
    weights: Array,
    freqs: Array,
    scales: Array,
    *,
    envelope: str = "gaussian",
    nu: float = 2.5,
) -> Array:
    r"""Spectral density of a spectral-mixture kernel, even in s.

    .. math:: S(s) = \sum_q \frac{w_q}{2} \left[ p_q(s - \mu_q) + p_q(s + \mu_q) \right], \qquad
              \kappa(r) = \int_{-\infty}^{\infty} S(s) \cos(2\pi s r)\, ds,

    with :math:`p_q` the normal density of standard deviation :math:`\rho_q`, or Student's t density
    with :math:`2\nu` degrees of freedom and scale :math:`\rho_q`.

    Parameters
    ----------
    s : array, shape (...)
        Frequencies in cycles per unit of length.
    weights, freqs, scales : array, shape (..., Q)
        As for :func:`spectral_mixture_kernel`.
    envelope : {"gaussian", "matern"}
    nu : float
        Smoothness p + 1/2 of the Matern envelope.

    Returns
    -------
    array, shape (...)
        Kind and precision of the arguments; torch results are differentiable in all of them.

    Raises
    ------
    TypeError
        For complex arguments and mixed array libraries.
    ValueError
        For values out of range or not finite, and shapes that do not fit.

    References
    ----------
    Fang, Cooley, Long, Li, Kirby, Zhe, arXiv 2311.04465.

    Examples
    --------
    Its integral is the variance.

    >>> import numpy as np
    >>> s = np.linspace(-30, 30, 6001)
    >>> S = spectral_density(
    ...     s, np.array([0.3, 0.7]), np.array([0.0, 9.0]), np.array([1.0, 2.0])
    ... )
    >>> bool(abs(S.sum() * 0.01 - 1.0) < 1e-12)
    True
    """
    frame, s, weights, freqs, scales = as_arrays(s=s, weights=weights, freqs=freqs, scales=scales)
    _check_mixture(frame, "s", s, weights, freqs, scales)
    return _density(frame, s, weights, freqs, scales, envelope=envelope, nu=nu)


def student_t_to_matern(rho: Array, dof: float) -> tuple[Array, float]:
    r"""Length scale and smoothness of the Matern function whose spectrum is Student's t density.

    .. math:: \ell = \frac{1}{2\pi\rho}, \qquad \nu = \frac{\mathrm{dof}}{2}

    Parameters
    ----------
    rho : array, shape (...)
        Scale of the density, positive, in cycles per unit of length.
    dof : float
        Its degrees of freedom, positive.

    Returns
    -------
    lengthscale : array, shape (...)
        Kind and precision of ``rho``.
    nu : float

    Raises
    ------
    TypeError
        For complex ``rho``.
    ValueError
        For values that are not positive and finite.

    References
    ----------
    Fang, Cooley, Long, Li, Kirby, Zhe, arXiv 2311.04465.

    Examples
    --------
    Cauchy's density, of one degree of freedom, is the spectrum of :math:`e^{-|r|/\ell}`.

    >>> import numpy as np
    >>> lengthscale, nu = student_t_to_matern(np.array([2.0]), 1)
    >>> kernel = SpectralMixture([1.0], [0.0], [2.0], envelope="matern", nu=nu)
    >>> np.allclose(kernel(0.3), np.exp(-0.3 / lengthscale))
    True
    """
    frame, rho = as_arrays(rho=rho)
    check_positive("rho", rho, frame)
    return 1 / (2 * math.pi * rho), as_float("dof", dof, positive=True) / 2


def warn_single(frame: Frame, order: int) -> None:
    """Say what single precision does to second and higher derivatives."""
    if frame.single and order >= 2:
        warnings.warn(
            f"derivatives of order {order} in single precision leave no positive definite "
            "covariance matrix; give float64",
            RuntimeWarning,
            stacklevel=4,
        )


def _kernel(
    frame: Frame,
    r: Array,
    weights: Array,
    freqs: Array,
    scales: Array,
    *,
    envelope: str,
    nu: float,
    order: int,
) -> Array:
    p = check_envelope(envelope, nu)
    order = as_integer("order", order, minimum=0)
    if p is not None and order > 2 * p:
        raise ValueError(
            f"order must be at most {2 * p} for the Matern envelope with nu = {p + 0.5}, "
            f"got {order}"
        )
    if order > MAX_ORDER:
        raise ValueError(f"order must be at most {MAX_ORDER}, got {order}")
    warn_single(frame, order)
    r, weights, freqs, scales = map(frame.double, (r, weights, freqs, scales))
    a, m = rate(p) * scales, (2 * math.pi) * freqs
    Q = max(x.shape[-1] for x in (weights, a, m))
    size = math.prod(broadcast_batch(r=tuple(r.shape), mixture=tuple((weights + a + m).shape[:-1])))
    limit = _TOGETHER if str(frame.device).startswith("cpu") else _TOGETHER_ON_DEVICE
    step = max(1, limit // max(size, 1))
    total = None
    for first in range(0, Q, step):
        group = [x[..., first : first + step] for x in (weights, a, m)]
        part = _components(frame.xp, r[..., None], group, p, order)
        total = part if total is None else total + part
    return frame.cast(total)


def _components(xp: Any, r: Array, mixture: list[Array], p: int | None, order: int) -> Array:
    """Sum over the last axis of the derivatives of the components."""
    weights, a, m = mixture
    envelopes = envelope_derivatives(xp, a * r, p, order)
    phase = m * r
    # cos(x + j pi/2) is cos, -sin, -cos, sin: one factor for the even j, one for the odd.
    factors = [0.0, 0.0]
    for j in range(order + 1):
        sign = -1.0 if j % 4 in (1, 2) else 1.0
        coefficient = sign * math.comb(order, j) * weights * a ** (order - j) * m**j
        factors[j % 2] = factors[j % 2] + coefficient * envelopes[order - j]
    value = factors[0] * xp.cos(phase)
    if order:
        value = value + factors[1] * xp.sin(phase)
    return xp.sum(value, axis=-1)


def _density(
    frame: Frame,
    s: Array,
    weights: Array,
    freqs: Array,
    scales: Array,
    *,
    envelope: str,
    nu: float,
) -> Array:
    p = check_envelope(envelope, nu)
    xp = frame.xp
    s, weights, freqs, scales = map(frame.double, (s, weights, freqs, scales))
    values = []
    for shift in (-freqs, freqs):
        x = (s[..., None] + shift) / scales
        if p is None:
            values.append(xp.exp(-0.5 * x * x) / math.sqrt(2 * math.pi))
        else:
            dof = 2 * p + 1
            height = math.exp(math.lgamma(p + 1) - math.lgamma(p + 0.5)) / math.sqrt(dof * math.pi)
            values.append(height * (1 + x * x / dof) ** -(p + 1))
    total = xp.sum(0.5 * weights / scales * (values[0] + values[1]), axis=-1)
    return frame.cast(total)


def _check_mixture(
    frame: Frame, name: str, value: Array, weights: Array, freqs: Array, scales: Array
) -> None:
    check_real(name, value, frame)
    parameters = {"weights": weights, "freqs": freqs, "scales": scales}
    for key, parameter in parameters.items():
        if parameter.ndim == 0 or parameter.shape[-1] != weights.shape[-1]:
            raise ValueError(
                f"{key} must have shape (..., Q) with the same Q as weights, "
                f"got {tuple(parameter.shape)} beside weights {tuple(weights.shape)}"
            )
    if weights.shape[-1] == 0:
        raise ValueError("weights must hold at least one component, got none")
    shapes = {key: tuple(parameter.shape[:-1]) for key, parameter in parameters.items()}
    broadcast_batch(**{name: tuple(value.shape)}, **shapes)
    _check_parameters(frame, weights, freqs, scales)


def _check_parameters(frame: Frame, weights: Array, freqs: Array, scales: Array) -> None:
    check_real("weights", weights, frame)
    check_real("freqs", freqs, frame)
    check_positive("scales", scales, frame)
    if frame.has_values(weights) and bool(frame.xp.any(weights < 0)):
        raise ValueError(f"weights must not be negative, got minimum {float(weights.min())}")

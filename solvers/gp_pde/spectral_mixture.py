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
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np

from numerics.arrays import Array, Frame, as_arrays, as_float, check_positive, check_real
from solvers.gp_pde._envelopes import check_envelope
from solvers.gp_pde._mixture import (
    check_mixture,
    check_parameters,
    mixture_density,
    mixture_kernel,
)


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
        check_parameters(frame, *values)
        for name, value in zip(names, values, strict=True):
            if frame.is_numpy:
                value = np.array(value)
                value.flags.writeable = False
            object.__setattr__(self, name, value)

    def __call__(self, r: Array, order: int = 0) -> Array:
        """Derivative of order ``order`` at the differences ``r``."""
        frame, r, *parameters = self._arguments(r=r)
        return mixture_kernel(
            frame, r, *parameters, envelope=self.envelope, nu=self.nu, order=order
        )

    def density(self, s: Array) -> Array:
        """Spectral density, see :func:`spectral_density`.

        Parameters
        ----------
        s : array, shape (...)
            Frequencies in cycles.

        Returns
        -------
        array, shape (...)
        """
        frame, s, *parameters = self._arguments(s=s)
        return mixture_density(frame, s, *parameters, envelope=self.envelope, nu=self.nu)

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
    check_mixture(frame, "r", r, weights, freqs, scales)
    return mixture_kernel(frame, r, weights, freqs, scales, envelope=envelope, nu=nu, order=order)


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
    check_mixture(frame, "s", s, weights, freqs, scales)
    return mixture_density(frame, s, weights, freqs, scales, envelope=envelope, nu=nu)


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

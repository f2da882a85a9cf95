r"""Fractional centred differences, the second-order scheme for the Riesz operator.

On a uniform grid of spacing :math:`h` and for :math:`u` extended by zero,

.. math:: (-\Delta)^{\alpha/2} u(x) = h^{-\alpha} \sum_{k\in\mathbb Z} g_k\, u(x - k h) + O(h^2),
          \qquad g_k = \frac{(-1)^k\,\Gamma(\alpha+1)}
                            {\Gamma(\alpha/2-k+1)\,\Gamma(\alpha/2+k+1)},

where :math:`\sum_k g_k e^{ik\theta} = |2\sin(\theta/2)|^\alpha`. Ortigueira (2006,
doi:10.1155/IJMMS/2006/48391) derived it, Celik and Duman (2012, doi:10.1016/j.jcp.2011.11.008) gave
the order. The sign is that of :math:`(-\Delta)^{\alpha/2}`, the opposite of the Riesz derivative.

The recurrence for :math:`g_k` loses a digit for every factor of a hundred in :math:`k`. Beyond the
first few, the ratio of gamma functions is therefore taken from its expansion in
:math:`k^{-2}`, which the symmetry of the two arguments about :math:`k + 1/2` provides:

.. math:: \ln\frac{\Gamma(k-\alpha/2)}{\Gamma(k+1+\alpha/2)} \sim -(1+\alpha)\ln k
          + \sum_{n=2,4,\dots} \frac{2 B_{n+1}(1+\alpha/2)}{n(n+1)}\,k^{-n}.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import bernoulli

from numerics.arrays import Array, as_float, as_integer, frame_like

_BY_RECURRENCE = 32
_ORDERS = (2, 4, 6, 8, 10)


def fractional_centred_coefficients(alpha: float, num: int, *, like: Array | None = None) -> Array:
    r"""Coefficients of the fractional centred difference of order :math:`\alpha`.

    .. math:: g_k = \frac{(-1)^k\,\Gamma(\alpha+1)}{\Gamma(\alpha/2-k+1)\,\Gamma(\alpha/2+k+1)},
              \qquad g_{-k} = g_k,

    so that :math:`h^{-\alpha}\sum_k g_k u(x-kh)` tends to :math:`(-\Delta)^{\alpha/2}u` of positive
    sign, with error :math:`O(h^2)` for smooth :math:`u`.

    Parameters
    ----------
    alpha : float
        Order, in (0, 2].
    num : int
        Number of coefficients.
    like : array, optional
        The result has the kind, device and precision of this array; NumPy float64 by default.

    Returns
    -------
    array, shape (num,)
        :math:`g_0, \dots, g_{num-1}`, to 1e-14 relative for every index. They are the first column
        of the symmetric Toeplitz matrix of the scheme.

    Raises
    ------
    TypeError
        If ``alpha`` is not a real number or ``num`` not an integer.
    ValueError
        If ``alpha`` is outside (0, 2] or ``num`` is below 1.

    References
    ----------
    Ortigueira, Riesz potential operators and inverses via fractional centred derivatives (2006).

    Examples
    --------
    At order two it is the classical second difference, and in general a constant has no derivative.

    >>> import numpy as np
    >>> fractional_centred_coefficients(2.0, 4)
    array([ 2., -1.,  0.,  0.])
    >>> g = fractional_centred_coefficients(1.5, 100_000)
    >>> bool(abs(g[0] + 2 * np.sum(g[1:])) < 1e-7)
    True
    """
    alpha = as_float("alpha", alpha, positive=True)
    num = as_integer("num", num, minimum=1)
    if alpha > 2:
        raise ValueError(f"alpha must be in (0, 2], got {alpha}")
    frame = frame_like(like)
    return frame.cast(frame.asarray(_coefficients(alpha, num)))


def _coefficients(alpha: float, num: int) -> np.ndarray:
    half = alpha / 2
    head = np.arange(min(num, _BY_RECURRENCE + 1) - 1)
    first = math.gamma(alpha + 1) / math.gamma(half + 1) ** 2
    g = np.empty(num)
    g[0] = first
    # Adding zero makes the zeros at alpha = 2 positive ones.
    g[1 : len(head) + 1] = first * np.cumprod((head - half) / (head + 1 + half)) + 0.0
    if num > len(head) + 1:
        # Scaled to the last term of the recurrence, so that the constant is not computed twice.
        k = np.arange(_BY_RECURRENCE, num, dtype=np.float64)
        inverse_square = k**-2.0
        series = np.zeros_like(k)
        for n in reversed(_ORDERS):
            weight = 2 * _bernoulli_polynomial(n + 1, 1 + half) / (n * (n + 1))
            series = inverse_square * (weight + series)
        ratio = (k[0] / k[1:]) ** (1 + alpha) * np.exp(series[1:] - series[0])
        g[_BY_RECURRENCE + 1 :] = g[_BY_RECURRENCE] * ratio
    return g


def _bernoulli_polynomial(n: int, x: float) -> float:
    numbers = bernoulli(n)
    return float(sum(math.comb(n, j) * numbers[j] * x ** (n - j) for j in range(n + 1)))

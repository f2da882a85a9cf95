r"""Whether a solution is singular at the ends, read off the image of the operator.

For :math:`R u = g` on (0, 1) with :math:`u = 0` outside, u behaves like a multiple of
:math:`x^{\alpha/2}` at 0, and the multiple is a linear functional of g:

.. math:: \lim_{x \to 0} \frac{u(x)}{x^{\alpha/2}} = \frac{1}{\Gamma(1+\alpha)}
          \frac{\int_0^1 g(y)\, k(y)\, dy}{\int_0^1 k(y)\, dy},
          \qquad k(y) = y^{\alpha/2 - 1} (1 - y)^{\alpha/2},

the mean of g under the limit of Green's function; at 1 it is the mirror image. The constant is that
of :math:`g = 1`, :math:`u = (x(1-x))^{\alpha/2} / \Gamma(1+\alpha)`. It vanishes for solutions that
are smooth when continued by zero.
"""

from __future__ import annotations

import numpy as np
from scipy.special import roots_jacobi

from solvers.riesz._spline import carried

_NODES = 64
_ZERO = 1e-6  # of the mean size of g: smaller means count as none


def end_means(points: np.ndarray, g: np.ndarray, alpha: float) -> np.ndarray:
    """Means of g and of its size, (2 ends, 2, ...), from values (N, ...) at inner points."""
    t, weights = roots_jacobi(_NODES, alpha / 2, alpha / 2 - 1)
    nodes = np.clip((1 + t) / 2, points[0], points[-1])
    weights = weights / weights.sum()
    mirrored = np.clip((1 - t) / 2, points[0], points[-1])
    means = []
    for y in (nodes, mirrored):
        values = carried(g, points, y)
        means.append([np.tensordot(weights, values, 1), np.tensordot(weights, np.abs(values), 1)])
    return np.array(means)


def two_grid_factor(alpha: float) -> float:
    r"""Error of a space over the change from half its cells, at the order that the ends leave.

    :math:`1/(2^q - 1)` with :math:`q = \alpha/2`; for solutions of higher order it is generous.
    """
    return float(1 / (2 ** (alpha / 2) - 1))


def singular(fine: np.ndarray, coarse: np.ndarray | None) -> bool:
    """Whether means differ from zero by more than they differ between two spaces.

    Of several right-hand sides, whose number may differ between the spaces, the largest counts.
    """
    value, size = (_largest(fine[:, part]) for part in (0, 1))
    doubt = 0.0 if coarse is None else np.abs(value - _largest(coarse[:, 0]))
    return bool(np.any(value > np.maximum(2 * doubt, _ZERO * size.max())))


def _largest(means: np.ndarray) -> np.ndarray:
    return np.abs(means).reshape(len(means), -1).max(axis=1)

r"""What other packages and schemes make of the Riesz operator, on functions with known answers.

Fractional centred differences are the second-order scheme of the literature,
:math:`(-\Delta)^{\alpha/2} u(x) = h^{-\alpha} \sum_k g_k\, u(x - k h) + O(h^2)` with
:math:`\sum_k g_k e^{ik\theta} = |2\sin(\theta/2)|^\alpha`.
"""

from __future__ import annotations

from types import ModuleType

import numpy as np
from scipy.sparse.linalg import spsolve

from benchmarks._riesz_problems import bump, bump_left, bump_riesz
from numerics import (
    bspline_collocation_matrix,
    greville_abscissae,
    toeplitz_matvec,
    toeplitz_solve,
)
from solvers import RieszCollocation, fractional_centred_coefficients


def centred_difference_error(n: int, alpha: float) -> float:
    """Largest error at the nodes of the centred-difference solution of R u = f, u = (x(1-x))^4."""
    x = np.arange(1, n) / n
    column = float(n) ** alpha * fractional_centred_coefficients(alpha, n - 1)
    solution = toeplitz_solve(column, bump_riesz(x, alpha))
    return float(np.max(np.abs(solution - bump(x))))


def operator_errors(
    n: int, alpha: float, differint: ModuleType | None, differintP: ModuleType | None
) -> dict[str, float | None]:
    """Largest error of R u (of the left derivative for differint) over its largest value.

    Each is given u = (x (1 - x))^4 by its values on n cells of [0, 1]; the wide period is [-4, 5].
    """
    x = np.arange(1, n) / n
    exact = bump_riesz(x, alpha)
    errors: dict[str, float | None] = {"splines, p = 5": _spline_operator_error(n, alpha)}
    column = float(n) ** alpha * fractional_centred_coefficients(alpha, n - 1)
    errors["centred differences"] = _relative(toeplitz_matvec(column, bump(x)), exact)
    errors["differintP"] = errors["differintP, wide period"] = None
    errors["differint, left"] = None
    if differintP is not None:
        grid = np.arange(n) / n
        # Its Riesz derivative is the negative operator.
        periodic = -np.asarray(differintP.Riesz(alpha, bump(grid), 0.0, 1.0, n))
        errors["differintP"] = _relative(periodic[1:], exact)
        padded = np.zeros(9 * n)
        padded[4 * n : 5 * n] = bump(grid)
        periodic = -np.asarray(differintP.Riesz(alpha, padded, -4.0, 5.0, 9 * n))
        errors["differintP, wide period"] = _relative(periodic[4 * n + 1 : 5 * n], exact)
    if differint is not None:
        # An odd number of points would come back one short.
        left = differint.GL(alpha, bump, 0.0, 1.0, n)
        grid = np.linspace(0.0, 1.0, n)
        errors["differint, left"] = _relative(left, bump_left(grid, alpha))
    return errors


def _spline_operator_error(n: int, alpha: float, p: int = 5) -> float:
    """The operator applied to the spline that interpolates u, at the interior Greville points."""
    x = greville_abscissae(n, p)[1:-1]
    coefficients = spsolve(bspline_collocation_matrix(n, p).tocsc(), bump(x))
    return _relative(RieszCollocation(n, p, alpha).matvec(coefficients), bump_riesz(x, alpha))


def _relative(values: np.ndarray, exact: np.ndarray) -> float:
    return float(np.max(np.abs(values - exact)) / np.max(np.abs(exact)))

r"""Bounds on the coordinates of sketched least-squares solutions, and how many rows they take.

With a Gaussian sketch S of m rows, :math:`r = b - Ax^*` and
:math:`v_j = [(A^T A)^{-1}]_{jj}`, the error of a coordinate follows Student's law exactly,

.. math:: \frac{\sqrt{m - d + 1}\,(x'_j - x^*_j)}{\lVert r \rVert \sqrt{v_j}} \sim t_{m - d + 1},

since given SA it is normal with variance
:math:`\tfrac1m \lVert r \rVert^2 [(A^T S^T S A)^{-1}]_{jj}` (Sr is independent of SA), and the last
factor is :math:`m v_j` over a chi-square of m - d + 1 degrees. As
:math:`\sqrt{v_j} \le \lVert A^+ \rVert`, a bound for all j at once follows. Bounds of this form for
fast sketches: arXiv 1705.10723, arXiv 2302.00248.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import stdtrit

from numerics.arrays import Array, as_float, as_integer
from solvers.regression._factor import default_rtol, factor_of, triangularise
from solvers.regression._problem import open_problem


def linf_row_count(
    d: int, epsilon: float, delta: float = 0.05, *, population: int | None = None
) -> int:
    r"""Rows a sketch needs for an error of at most epsilon in the :math:`\ell_\infty` sense.

    The smallest m for which

    .. math:: \sqrt{1 - \tfrac mN}\;\frac{\sqrt d\;t_{1 - \delta/(2d),\,m - d + 1}}
              {\sqrt{m - d + 1}} \le \varepsilon,

    some :math:`d + 2d\ln(d/\delta)/\varepsilon^2`. For a Gaussian sketch
    :math:`\lVert x' - x^* \rVert_\infty \le \tfrac{\varepsilon}{\sqrt d} \lVert Ax^* - b \rVert_2
    \lVert A^+ \rVert_2` then has probability at least :math:`1 - \delta`, whatever A and b. For
    other dense sketches it is a rule that holds in experiments.

    Parameters
    ----------
    d : int
        Columns of A.
    epsilon : float
        Bound asked for, between 0 and 1.
    delta : float
        Probability of failing, between 0 and 1.
    population : int, optional
        N, where the m rows are sampled from N without replacement (a power of two for the SRHT);
        then m is at most N. Without it the factor is 1.

    Returns
    -------
    int
        m, at least d.

    Raises
    ------
    ValueError
        If an argument is out of range.

    References
    ----------
    Price, Song, Woodruff, arXiv 1705.10723 (the guarantee). The row count for Gaussian sketches is
    Student's law of a coordinate and a union bound.

    Examples
    --------
    Half the error takes four times the rows, until rows run out.

    >>> (
    ...     linf_row_count(64, 0.5),
    ...     linf_row_count(64, 0.25),
    ...     linf_row_count(64, 0.25, population=4096),
    ... )
    (2959, 11626, 3043)
    """
    d = as_integer("d", d, minimum=1)
    epsilon, delta = as_probability("epsilon", epsilon), as_probability("delta", delta)
    low, high = d - 1, d
    if population is not None:
        population = as_integer("population", population, minimum=d)
    while linf_epsilon(d, high, delta, population) > epsilon:
        low, high = high, 2 * high
        if population is not None and high >= population:
            high = population
            break
    while high - low > 1:
        middle = (low + high) // 2
        if linf_epsilon(d, middle, delta, population) > epsilon:
            low = middle
        else:
            high = middle
    return high


def linf_epsilon(d: int, m: int, delta: float, population: int | None) -> float:
    """The epsilon of :func:`linf_row_count` that m rows give."""
    share = 0.0 if population is None else m / population
    quantile = -float(stdtrit(m - d + 1, delta / (2 * d)))
    return float(np.sqrt(max(0.0, 1 - share) * d / (m - d + 1)) * quantile)


def linf_ratio(x: Array, A: Any, b: Array) -> float | np.ndarray:
    r"""Error of a solution as the :math:`\ell_\infty` guarantee measures it.

    .. math:: R = \frac{\sqrt d\,\lVert x - x^* \rVert_\infty\,\sigma_{\min}(A)}
              {\lVert b - Ax^* \rVert_2}

    with the exact solution :math:`x^*`, found by QR. The guarantee is :math:`R \le \varepsilon`.

    Parameters
    ----------
    x : array, shape (d,) or (d, k)
        The solution to judge.
    A : array, sparse matrix, dask array or iterable of row blocks, shape (n, d)
        Of full rank.
    b : array, shape (n,) or (n, k)
        Right-hand sides.

    Returns
    -------
    float or numpy.ndarray, shape (k,)
        R; infinite where the residual is zero and the error is not.

    Raises
    ------
    ValueError
        If shapes do not fit.
    numpy.linalg.LinAlgError
        If A lacks full rank.

    References
    ----------
    Price, Song, Woodruff, arXiv 1705.10723.

    Examples
    --------
    >>> import numpy as np
    >>> A, b = np.eye(6, 2), np.arange(6.0)
    >>> (
    ...     np.isclose(linf_ratio([0.0, 1.3], A, b), 0.3 * np.sqrt(2 / 54)),
    ...     linf_ratio([0, 1], A, b),
    ... )
    (np.True_, 0.0)
    """
    problem = open_problem(A, b)
    R, z, left = triangularise(problem)
    algebra, d = problem.algebra, problem.d
    factor = factor_of(algebra, R, default_rtol(d))
    if factor.rank < d:
        raise np.linalg.LinAlgError(f"A must have full rank {d}, got rank {factor.rank}")
    given = as_solution(x, problem.d, problem.k, problem.vector)
    exact = np.asarray(problem.frame.xp.asarray(factor.apply(z), device="cpu"))
    error = np.max(np.abs(given - exact), axis=0) * np.sqrt(d) * factor.smallest
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(error > 0, error / left, 0.0)
    return problem.per_column(ratio)


def as_probability(name: str, value: Any) -> float:
    """Read a number between 0 and 1, both excluded."""
    number = as_float(name, value)
    if not 0 < number < 1:
        raise ValueError(f"{name} must be between 0 and 1, got {number}")
    return number


def as_solution(x: Array, d: int, k: int, vector: bool) -> np.ndarray:
    """Read a solution as a double host array (d, k)."""
    values = x.detach().cpu().numpy() if hasattr(x, "detach") else np.asarray(x)
    wanted = (d,) if vector else (d, k)
    if values.shape != wanted:
        raise ValueError(f"x must have shape {wanted}, got {values.shape}")
    return values.astype(np.float64).reshape(d, k)

r"""Least squares solved on a sketch, with the error of every coordinate.

:math:`x' = \arg\min_x \lVert SAx - Sb \rVert_2` for a random S with m rows, :math:`d < m \ll n`,
takes one reading of A. Given SA, a Gaussian S leaves

.. math:: x' - x^* \sim N\left(0, \tfrac1m \lVert r \rVert^2 (Y^T Y)^{-1}\right), \qquad
          Y = SA, \quad r = b - Ax^*,

exactly, since Sr is independent of SA. So coordinates have standard errors that the sketched
problem tells by itself, and Student's law with m - d degrees of freedom bounds them all at once.
For rows sampled without replacement from N the variance has the factor 1 - m/N. A sparse S obeys
no such law: where single rows of A matter, its errors are rare and large and nothing in
SA and Sb shows them, so its solutions come without bounds.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import stdtrit

from numerics import sketching
from numerics.arrays import Array, as_generator, as_integer, check_choice
from numerics.sketching import Sketch
from solvers.regression._factor import triangularise
from solvers.regression._problem import Problem, open_problem
from solvers.regression.bounds import as_probability, linf_epsilon, linf_row_count

_MAKERS = {
    "ams": "ams_sketch",
    "countsketch": "countsketch",
    "gaussian": "gaussian_sketch",
    "gaussian_pooled": "gaussian_pooled",
    "osnap": "osnap",
    "srct": "srct",
    "srht": "srht",
}
_EPSILON = 0.5


@dataclass(frozen=True)
class SketchedSolution:
    r"""Solution of a sketched least-squares problem, and how far off it is.

    Attributes
    ----------
    x : array, shape (d,) or (d, k)
        Solution of the sketched problem.
    stderr : array, shape (d,) or (d, k), or None
        Standard errors of the coordinates over sketches: exact for a Gaussian sketch,
        approximate for other dense ones, None for sparse ones, of which it would mean nothing.
    linf_bound : float or array, shape (k,), or None
        Bound on :math:`\lVert x - x^* \rVert_\infty` at confidence :math:`1 - \delta`, from the
        largest standard error and Student's law at level :math:`\delta/d`. None likewise.
    residual_norm : float or array, shape (k,)
        Estimate of :math:`\lVert b - Ax^* \rVert_2`, the residual of the best solution.
    sigma_min : float
        Smallest singular value of SA, within :math:`1 \pm \sqrt{d/m}` times that of A.
    epsilon : float or None
        What ``linf_row_count`` promises of m rows before any data is seen. None for sparse
        sketches.
    m : int
        Rows of the sketch.
    sketch : Sketch
        The sketch, with its draws.
    R : array, shape (d, d)
        Upper triangle with :math:`R^T R = (SA)^T SA`, for :func:`refine`.

    Examples
    --------
    >>> import numpy as np
    >>> A = np.eye(1000, 4) + 0.01
    >>> solution = sketched_lstsq(A, np.sin(np.arange(1000)), 200, rng=0)
    >>> solution.m, solution.sketch.kind, np.allclose(np.triu(solution.R), solution.R)
    (200, 'srht', True)
    """

    x: Array
    stderr: Array | None
    linf_bound: float | np.ndarray | None
    residual_norm: float | np.ndarray
    sigma_min: float
    epsilon: float | None
    m: int
    sketch: Sketch
    R: Array


def sketched_lstsq(
    A: Any,
    b: Array,
    m: int | None = None,
    *,
    epsilon: float | None = None,
    delta: float = 0.05,
    sketch: str | Sketch = "srht",
    rng: Any = None,
) -> SketchedSolution:
    r"""Solve :math:`\min_x \lVert Ax - b \rVert_2` on a sketch of m rows, reading A once.

    Parameters
    ----------
    A : array, sparse matrix, dask array or iterable of row blocks, shape (n, d)
        n >= d, of full rank. Memory-mapped arrays and iterators are read block by block.
    b : array, shape (n,) or (n, k)
        Right-hand sides.
    m : int, optional
        Rows of the sketch, more than d and better more than 4d. Without it the rows that
        :func:`linf_row_count` gives for ``epsilon`` and ``delta``, but no fewer than 4d and no more
        than there are.
    epsilon : float, optional
        Error asked for, in units of :math:`\lVert r \rVert \lVert A^+ \rVert / \sqrt d`, between 0
        and 1; 0.5 where neither ``m`` nor ``epsilon`` is given. Not to be given beside ``m``.
    delta : float
        Probability that the bound fails, between 0 and 1.
    sketch : str or Sketch
        "srht", "srct", "gaussian", "gaussian_pooled", "ams", "countsketch" or "osnap", or a sketch
        of n rows. See its ``guarantee`` for what is known.
    rng : Generator, int, optional
        For the sketch.

    Returns
    -------
    SketchedSolution
        For torch, ``x`` is differentiable in A and b, the sketch being held.

    Raises
    ------
    TypeError
        For numbers that are not real, and A and b of different libraries.
    ValueError
        For other shapes, n < d, m < d, more rows than the sketch can have, ``epsilon`` or
        ``delta`` out of range, values that are not finite, and blocks that change their width or
        end early.
    numpy.linalg.LinAlgError
        If SA lacks full rank; the message has its smallest singular value.

    Warns
    -----
    RuntimeWarning
        If m < 4d: the sketch distorts, and errors are large.

    References
    ----------
    Price, Song, Woodruff, arXiv 1705.10723; Song, Ye, Yin, Zhang, arXiv 2302.00248 (bounds for
    every coordinate). The standard errors are the law of the Gaussian sketch.

    Examples
    --------
    The bound holds, and rows cost what the error is worth.

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> A = rng.standard_normal((20_000, 10))
    >>> b = A @ np.arange(10.0) + rng.standard_normal(20_000)
    >>> solution = sketched_lstsq(A, b, epsilon=0.3, rng=1)
    >>> exact = np.linalg.lstsq(A, b)[0]
    >>> solution.m, bool(np.abs(solution.x - exact).max() < solution.linf_bound)
    (866, True)
    """
    delta = as_probability("delta", delta)
    if epsilon is not None:
        if m is not None:
            raise ValueError("epsilon must not be given beside m, which decides it")
        epsilon = as_probability("epsilon", epsilon)
    problem = open_problem(A, b)
    op = _sketch_of(problem, m, epsilon, delta, sketch, rng)
    Y = problem.sketch(op, A if hasattr(A, "requires_grad") else None)
    z = op.apply(b)
    _warn_of_few_rows(problem.d, op)
    small = open_problem(Y, z)
    algebra, d = small.algebra, problem.d
    R, right, left = triangularise(small)
    smallest = _smallest(small, R, op, problem.source.single)
    x = algebra.solve_upper(R, right)
    share = (1 - op.fraction) * d / op.m
    # Its square is low by the d directions that x' takes away, fewer without replacement.
    judged = op.m > d or share == 0
    residual = left / np.sqrt(1 - share) if judged else np.full(small.k, np.inf)
    answer = problem.answer(x)
    if problem.frame.is_torch:
        from solvers.regression._torch_lstsq import sketched_gradient

        answer = sketched_gradient(Y, z, answer, small, R)
    stderr = bound = promised = None
    if op.is_dense:
        inverse = algebra.solve_upper(R, algebra.diagonal(np.ones(d)))
        spread = np.outer(algebra.norms(inverse.T), residual)
        spread = spread * np.sqrt((1 - op.fraction) / op.m) if op.fraction < 1 else 0 * spread
        stderr = problem.answer(algebra.scale(spread))
        if op.fraction < 1:
            quantile = -float(stdtrit(max(op.m - d, 1), delta / (2 * d)))
        else:
            quantile = 1.0
        bound = problem.per_column(quantile * spread.max(axis=0))
        population = round(op.m / op.fraction) if op.fraction else None
        promised = linf_epsilon(d, op.m, delta, population)
    return SketchedSolution(
        answer,
        stderr,
        bound,
        problem.per_column(residual),
        smallest,
        promised,
        op.m,
        op,
        problem.frame.cast(problem.frame.asarray(R) if isinstance(R, np.ndarray) else R),
    )


def _sketch_of(
    problem: Problem, m: int | None, epsilon: float | None, delta: float, given: Any, rng: Any
) -> Sketch:
    n, d = problem.n, problem.d
    if isinstance(given, Sketch):
        if given.n != n:
            raise ValueError(f"sketch must be of {n} rows, got one of {given.n}")
        if (m is not None and m != given.m) or epsilon is not None:
            raise ValueError("m and epsilon must not be given beside a sketch, which decides them")
        m = given.m
    else:
        check_choice("sketch", given, _MAKERS)
    if m is None:
        population = {"srht": 1 << (n - 1).bit_length(), "srct": n}.get(given)
        m = linf_row_count(d, epsilon or _EPSILON, delta, population=population)
        m = min(max(m, 4 * d), population or n)
    m = as_integer("m", m, minimum=1)
    if m < d:
        raise ValueError(f"m must be at least d = {d}, got {m}")
    if m > n and given != "srht" and not isinstance(given, Sketch):
        raise ValueError(f"m must be at most n = {n}, got {m}")
    if isinstance(given, Sketch):
        return given
    return getattr(sketching, _MAKERS[given])(n, m, rng=as_generator(rng))


def _warn_of_few_rows(d: int, op: Sketch) -> None:
    if op.m < 4 * d and op.fraction < 1:
        warnings.warn(
            f"m = {op.m} is less than 4d = {4 * d}: the sketch distorts A, and errors are large",
            RuntimeWarning,
            stacklevel=3,
        )


def _smallest(small: Problem, R: Array, op: Sketch, single: bool) -> float:
    """Smallest singular value of SA; columns of equal length decide whether it is one."""
    algebra = small.algebra
    s, norms = algebra.singular_values(R), algebra.norms(R)
    scaled = algebra.singular_values(R * algebra.scale(1 / np.where(norms > 0, norms, 1)))
    rounding = float(np.finfo(np.float32 if single else np.float64).eps)
    if scaled[-1] <= 2 * len(s) * rounding * scaled[0]:
        raise np.linalg.LinAlgError(
            f"the sketched matrix lacks full rank: sigma_min = {s[-1]:.1e} beside sigma_max = "
            f"{s[0]:.1e} ({op.kind}, m = {op.m}). A lacks rank, for which there is lstsq, or the "
            "sketch lost it"
        )
    return float(s[-1])

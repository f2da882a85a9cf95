r"""Least squares to full accuracy, for matrices with many more rows than columns.

.. math:: x = \arg\min_x \lVert Ax - b \rVert_2^2 + \lambda \lVert x \rVert_2^2

by one of four methods, each of which reads A in blocks of rows:

* "qr": Householder QR, block by block. One reading, :math:`2nd^2` operations, backward stable.
* "normal": Cholesky's factor of :math:`A^T A + \lambda I` and refinement with residuals of the
  problem itself. :math:`nd^2` operations and two or three more readings; for condition numbers
  (of A with columns of equal length) up to a million as accurate as QR.
* "iterative_sketch": the triangle of a sketch of A, then the heavy ball method in two stages of
  refinement (FOSSILS, arXiv 2406.03468). Some twenty readings, :math:`O(nd)` operations each.
* "precondition": the same with conjugate gradients (SPIR, ibid.).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from numerics.arrays import Array, as_float, as_generator, check_choice
from numerics.convergence import ConvergenceWarning
from solvers.regression._choice import NORMAL_CONDITION, candidates
from solvers.regression._factor import (
    Factor,
    default_rtol,
    factor_of,
    normal_equations,
    triangularise,
)
from solvers.regression._iteration import Iterated, Scheme, solve_in_stages
from solvers.regression._problem import Problem, open_problem
from solvers.regression._start import sketched_start

_METHODS = ("auto", "iterative_sketch", "normal", "precondition", "qr")
_REFINEMENTS = 8
_ROUNDING = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class LstsqSolution:
    r"""Solution of a least-squares problem, and how it was found.

    Attributes
    ----------
    x : array, shape (d,) or (d, k)
        The solution; where A lacks rank that of smallest norm.
    method : str
        What was done: "qr", "normal", "iterative_sketch" or "precondition".
    rank : int
        Numerical rank of A, of A above :math:`\sqrt\lambda I` with a ridge.
    iterations : int
        Steps of the iteration; for "normal" refinements, for "qr" 0.
    converged : bool
        Whether the result is as accurate as rounding errors let it be.
    residual_norm : float or array, shape (k,)
        :math:`\lVert b - Ax \rVert_2`.
    condition : float
        Largest over smallest singular value that counts; for the sketching methods that of the
        sketch, which is within a factor of two or so.

    Examples
    --------
    A column twice is a rank less, and the two share a coefficient.

    >>> import numpy as np
    >>> A = np.vander(np.linspace(0, 1, 50), 3)[:, [0, 1, 2, 2]]
    >>> solution = lstsq(A, np.ones(50))
    >>> solution.rank, np.allclose(solution.x, [0, 0, 0.5, 0.5])
    (3, True)
    """

    x: Array
    method: str
    rank: int
    iterations: int
    converged: bool
    residual_norm: float | np.ndarray
    condition: float


def lstsq(
    A: Any,
    b: Array,
    *,
    method: str = "auto",
    rtol: float | None = None,
    ridge: float = 0.0,
    rng: Any = None,
) -> LstsqSolution:
    r"""Solve :math:`\min_x \lVert Ax - b \rVert_2^2 + \lambda \lVert x \rVert_2^2` accurately.

    Parameters
    ----------
    A : array, sparse matrix, dask array or iterable of row blocks, shape (n, d)
        n >= d. NumPy (memory-mapped arrays are read block by block), torch, scipy.sparse, dask, or
        blocks of rows in order; an iterator that ends can be read once, which is enough for "qr".
    b : array, shape (n,) or (n, k)
        Right-hand sides.
    method : {"auto", "qr", "normal", "iterative_sketch", "precondition"}
        See :mod:`solvers.regression.full_accuracy`. "auto" takes "normal" where the condition
        number allows it and n is much larger than d, "qr" for few rows, few columns, and where
        reading A is dear, and else "precondition".
    rtol : float, optional
        Singular values up to ``rtol`` times the largest count as zero; ten times d roundings.
    ridge : float
        The weight :math:`\lambda \ge 0`, on all coefficients alike.
    rng : Generator, int, optional
        For the sketch.

    Returns
    -------
    LstsqSolution
        Its ``x`` has the kind, device and precision of the arguments; float32 problems are solved
        in double precision. For torch ``x`` is differentiable in A and b, to any order where A has
        full rank and once where not (with the rank held).

    Raises
    ------
    TypeError
        For numbers that are not real, and A and b of different libraries.
    ValueError
        For other shapes, n < d, values that are not finite, blocks that change their width or end
        early, a negative ridge, and an iterator where A is to be read again.
    numpy.linalg.LinAlgError
        For ``method="normal"`` where the matrix of the normal equations is singular in
        floating point.

    Warns
    -----
    ConvergenceWarning
        If rounding errors kept the iteration from the accuracy of QR.

    References
    ----------
    Epperly, Meier, Nakatsukasa, arXiv 2406.03468 (FOSSILS and SPIR). Epperly, arXiv 2311.04362
    (iterative sketching with momentum). Meier, Nakatsukasa, Townsend, Webb, arXiv 2302.07202 (what
    goes wrong without).

    Examples
    --------
    The residual is orthogonal to the columns, and a ridge pulls x towards zero.

    >>> import numpy as np
    >>> A = np.random.default_rng(0).standard_normal((5000, 8))
    >>> b = np.sin(np.arange(5000))
    >>> solution = lstsq(A, b)
    >>> solution.method, np.allclose(A.T @ (b - A @ solution.x), 0)
    ('normal', True)
    >>> lam = 100.0
    >>> x = lstsq(A, b, ridge=lam).x
    >>> np.allclose((A.T @ A + lam * np.eye(8)) @ x, A.T @ b)
    True
    """
    check_choice("method", method, _METHODS)
    problem = open_problem(A, b, ridge)
    if rtol is None:
        rtol = default_rtol(problem.d)
    elif not 0 <= as_float("rtol", rtol) < 1:
        raise ValueError(f"rtol must be in [0, 1), got {rtol}")
    if method not in ("auto", "qr"):
        problem.require_repeatable(method)
    generator = as_generator(rng)
    for attempt in candidates(problem) if method == "auto" else (method,):
        if attempt == "qr":
            found = _by_qr(problem, rtol)
        elif attempt == "normal":
            attempted = _by_normal_equations(problem, rtol, strict=method == "normal")
            if attempted is None:
                continue
            found = attempted
        else:
            found = _by_sketch(problem, rtol, attempt, generator)
        break
    factor, scheme, result = found
    if not result.converged:
        warnings.warn(
            f"method {attempt!r} stopped short of full accuracy at condition number "
            f"{factor.condition:.1e}; method 'qr' does not depend on it",
            ConvergenceWarning,
            stacklevel=2,
        )
    x = problem.answer(result.x)
    if problem.frame.is_torch:
        from solvers.regression._torch_lstsq import with_gradient

        x = with_gradient(A, b, x, problem, factor, scheme)
    return LstsqSolution(
        x,
        attempt,
        factor.rank,
        result.iterations,
        result.converged,
        problem.per_column(result.residual_norms),
        factor.condition,
    )


_Found = tuple[Factor, Scheme | None, Iterated]


def _by_qr(problem: Problem, rtol: float) -> _Found:
    R, z, left = triangularise(problem)
    factor = factor_of(problem.algebra, R, rtol)
    y = factor.coordinates(z)
    x = factor.apply(y)
    norms = problem.algebra.norms
    # What z has outside the range of R, and the ridge's own part of the minimum.
    squares = left**2 + norms(z) ** 2 - norms(y) ** 2 if factor.dense is not None else left**2
    squares = squares - problem.ridge * norms(x) ** 2
    return factor, None, Iterated(x, 0, True, np.sqrt(np.maximum(squares, 0)))


def _by_normal_equations(problem: Problem, rtol: float, *, strict: bool) -> _Found | None:
    algebra = problem.algebra
    G, h = normal_equations(problem)
    norms = np.sqrt(np.maximum(algebra.host(G.diagonal()), 0))
    scale = algebra.scale(1 / np.where(norms > 0, norms, 1))
    R = algebra.cholesky(G * scale * scale[:, None]) if algebra.is_finite(G) else None
    if R is None:
        if not strict:
            return None
        raise np.linalg.LinAlgError(
            "A^T A is singular in floating point, or overflows; take method 'qr', which finds the "
            "rank"
        )
    factor = factor_of(algebra, R * algebra.scale(norms), rtol)
    if not strict and (factor.rank < problem.d or factor.effective_condition > NORMAL_CONDITION):
        return None
    x = factor.apply(factor.apply_transposed(h))
    shortest, converged, residuals = np.inf, False, np.zeros(problem.k)
    taken = 0
    while taken < _REFINEMENTS:
        taken += 1
        gradient, residuals = problem.residual(x)
        y = factor.apply_transposed(gradient)
        size = algebra.norms(y)
        x = x + factor.apply(y)
        floor = _ROUNDING * (factor.size(x) + factor.effective_condition * residuals)
        converged = bool(np.all(size <= floor))
        longest = float(np.max(size))
        if converged or longest > 0.5 * shortest:
            break
        shortest = longest
    settled = converged or bool(np.all(size <= 100 * floor))
    return factor, None, Iterated(x, taken, settled, residuals)


def _by_sketch(problem: Problem, rtol: float, method: str, rng: np.random.Generator) -> _Found:
    factor, x, ratio = sketched_start(problem, rtol, rng)
    scheme = Scheme(method, ratio)
    return factor, scheme, solve_in_stages(problem, factor, scheme, x)

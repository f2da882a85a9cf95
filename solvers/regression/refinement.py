r"""One step of iterative sketching: what a second reading of A adds to a sketched solution.

:math:`x + (R^T R)^{-1} A^T(b - Ax)` with :math:`R^T R = (SA)^T SA` has an error smaller by a factor
of about :math:`\sqrt{d/m}` (Epperly, arXiv 2311.04362).
"""

from __future__ import annotations

from typing import Any

from numerics.arrays import Array, as_arrays, check_real
from solvers.regression._problem import open_problem


def refine(x: Array, A: Any, b: Array, R: Array) -> Array:
    r"""Improve a least-squares solution by one reading of A.

    .. math:: x + (R^T R)^{-1} A^T (b - Ax)

    Parameters
    ----------
    x : array, shape (d,) or (d, k)
        An approximate solution.
    A : array, sparse matrix, dask array or iterable of row blocks, shape (n, d)
        Read once.
    b : array, shape (n,) or (n, k)
        Right-hand sides.
    R : array, shape (d, d)
        Upper triangle with :math:`R^T R \approx A^T A`, that of a sketch for one.

    Returns
    -------
    array, shape (d,) or (d, k)
        The improved solution. Not differentiable.

    Raises
    ------
    TypeError
        For numbers that are not real, and arrays of different libraries.
    ValueError
        If shapes do not fit, R has zeros on its diagonal, or values are not finite.

    References
    ----------
    Epperly, arXiv 2311.04362.

    Examples
    --------
    >>> import numpy as np
    >>> from solvers import sketched_lstsq
    >>> A = np.vander(np.linspace(-1, 1, 4000), 5)
    >>> b = np.exp(A[:, 3])
    >>> first = sketched_lstsq(A, b, 400, rng=0)
    >>> second = refine(first.x, A, b, first.R)
    >>> exact = np.linalg.lstsq(A, b)[0]
    >>> errors = [np.linalg.norm(A @ (x - exact)) for x in (first.x, second)]
    >>> bool(errors[1] < errors[0] / 3)
    True
    """
    problem = open_problem(A, b)
    frame, x, R = as_arrays(x=x, R=R)
    for name, array in (("x", x), ("R", R)):
        check_real(name, array, frame)
    if frame.is_torch != problem.frame.is_torch:
        raise TypeError("x and R must be arrays of the library of b")
    d = problem.d
    wanted = (d,) if problem.vector else (d, problem.k)
    if tuple(x.shape) != wanted:
        raise ValueError(f"x must have shape {wanted}, got {tuple(x.shape)}")
    if tuple(R.shape) != (d, d):
        raise ValueError(f"R must have shape {(d, d)}, got {tuple(R.shape)}")
    algebra = problem.algebra
    start, triangle = (
        algebra.block(array.detach() if frame.is_torch else array) for array in (x, R)
    )
    if bool((triangle.diagonal() == 0).any()):
        raise ValueError("R must have a diagonal without zeros")
    start = start.reshape(d, -1)
    for_residual, _ = problem.residual(start)
    step = algebra.solve_upper(triangle, for_residual, transposed=True)
    return problem.answer(start + algebra.solve_upper(triangle, step))

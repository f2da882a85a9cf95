r"""Least squares with a Kronecker design, which is never formed.

:math:`\min_X \lVert A_1 X A_2^T - B \rVert_F` is least squares with the matrix
:math:`A_1 \otimes A_2` of :math:`n_1 n_2` rows. Its solution :math:`X = A_1^+ B (A_2^+)^T` takes
two small factorisations and :math:`O(n_1 n_2 \min(d_1, d_2))` operations with B. A sketch of all
:math:`n_1 n_2` rows reads B as well, so it saves nothing where B is given as a dense array: it is
there for studying tensor sketches.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from numerics.arrays import Array, as_arrays, as_generator, as_integer, check_choice, check_real
from numerics.sketching import tensor_srht
from solvers.regression.bounds import linf_row_count
from solvers.regression.full_accuracy import lstsq

_EPSILON = 0.5


def kronecker_lstsq(
    A1: Array,
    A2: Array,
    B: Array,
    *,
    method: str = "exact",
    m: int | None = None,
    rng: Any = None,
) -> Array:
    r"""Solve :math:`\min_X \lVert A_1 X A_2^T - B \rVert_F`.

    That is least squares with the matrix :math:`A_1 \otimes A_2` and B, row after row, as the
    right-hand side.

    Parameters
    ----------
    A1, A2 : array, shape (n1, d1) and (n2, d2)
        At least as many rows as columns.
    B : array, shape (n1, n2)
        Right-hand side.
    method : {"exact", "tensor_srht"}
        The exact solution, from factors of A1 and A2 (of smallest norm where one lacks rank), or
        that of the problem sketched by :func:`numerics.tensor_srht`.
    m : int, optional
        Rows of the sketch, at least d1 d2; by default those of :func:`linf_row_count` for
        :math:`\varepsilon = 1/2`, at least 4 d1 d2. For "tensor_srht" only.
    rng : Generator, int, optional
        For the sketch.

    Returns
    -------
    array, shape (d1, d2)
        X. For torch differentiable in A1, A2 and B.

    Raises
    ------
    TypeError
        For numbers that are not real, and arrays of different libraries.
    ValueError
        If shapes do not fit, values are not finite, or m is out of range or given for "exact".
    numpy.linalg.LinAlgError
        If the sketched matrix lacks full rank.

    References
    ----------
    Ahle et al., arXiv 1909.01410 (tensor sketches).

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> A1, A2, B = (rng.standard_normal(s) for s in ((20, 3), (30, 2), (20, 30)))
    >>> X = kronecker_lstsq(A1, A2, B)
    >>> x = np.linalg.lstsq(np.kron(A1, A2), B.ravel())[0]
    >>> X.shape, np.allclose(X.ravel(), x)
    ((3, 2), True)
    """
    check_choice("method", method, ("exact", "tensor_srht"))
    frame, A1, A2, B = as_arrays(A1=A1, A2=A2, B=B)
    for name, array in (("A1", A1), ("A2", A2), ("B", B)):
        check_real(name, array, frame)
        if array.ndim != 2:
            raise ValueError(f"{name} must have two axes, got shape {tuple(array.shape)}")
    (n1, d1), (n2, d2) = (tuple(int(size) for size in A.shape) for A in (A1, A2))
    for name, (n, d) in (("A1", (n1, d1)), ("A2", (n2, d2))):
        if d < 1 or n < d:
            raise ValueError(
                f"{name} must have at least as many rows as columns, got shape {(n, d)}"
            )
    if tuple(B.shape) != (n1, n2):
        raise ValueError(f"B must have shape {(n1, n2)}, got {tuple(B.shape)}")
    if method == "exact":
        if m is not None:
            raise ValueError("m must not be given for method 'exact', which sketches nothing")
        left = lstsq(A1, B).x
        return lstsq(A2, left.T).x.T
    d = d1 * d2
    if m is None:
        m = min(max(linf_row_count(d, _EPSILON), 4 * d), n1 * n2)
    m = as_integer("m", m, minimum=d)
    op = tensor_srht((n1, n2), m, rng=as_generator(rng))
    right = op.apply(frame.xp.reshape(B, (-1,)))
    sketched = lstsq(op.apply_kronecker(A1, A2), right, method="qr")
    if sketched.rank < d:
        raise np.linalg.LinAlgError(
            f"the sketched matrix has rank {sketched.rank} of {d}: A1 or A2 lacks rank, or m = {m} "
            "rows are too few"
        )
    return frame.xp.reshape(sketched.x, (d1, d2))

r"""Preconditioned GMRES for collocation systems, stopped by the preconditioned residual.

The residual f - Kx cannot be brought below about :math:`\varepsilon n^\alpha` of f, however good x
is: the matrix has norm :math:`n^\alpha`, and rounding x alone leaves as much. The residual of the
preconditioned system is the measure that the error follows, since :math:`P^{-1}K` is well
conditioned whatever n.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.sparse.linalg import LinearOperator, gmres

MAXITER = 200
_TINY = 1e-300

Product = Callable[[np.ndarray], np.ndarray]


def preconditioned_gmres(
    matvec: Product,
    precondition: Product,
    f: np.ndarray,
    *,
    rtol: float,
    maxiter: int = MAXITER,
) -> tuple[np.ndarray, int, float]:
    r"""Solve :math:`P^{-1} K x = P^{-1} f` by GMRES without restart.

    Parameters
    ----------
    matvec, precondition : callable
        Products with K and :math:`P^{-1}`.
    f : ndarray, shape (N,)
        Trusted float64.
    rtol : float
        Stop at :math:`\lVert P^{-1}(f - Kx) \rVert_2 \le rtol\, \lVert P^{-1} f \rVert_2`.
    maxiter : int
        Most iterations, each of which keeps one vector.

    Returns
    -------
    x : ndarray, shape (N,)
    iterations : int
    residual : float
        The preconditioned residual that was reached, relative.
    """
    N = len(f)
    g = precondition(f)
    size = float(np.linalg.norm(g))
    if size <= _TINY:
        return np.zeros(N), 0, 0.0
    history: list[float] = []
    operator = LinearOperator((N, N), matvec=lambda v: precondition(matvec(v)), dtype=np.float64)
    x, _ = gmres(
        operator,
        g,
        rtol=rtol,
        restart=min(maxiter, N),
        maxiter=1,
        callback=history.append,
        callback_type="pr_norm",
    )
    residual = float(np.linalg.norm(precondition(f - matvec(x)))) / size
    return x, len(history), residual

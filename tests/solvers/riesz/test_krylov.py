from __future__ import annotations

import numpy as np
import pytest

from numerics import circulant_preconditioner, tau_preconditioner
from solvers.riesz.collocation import RieszCollocation
from solvers.riesz.krylov import preconditioned_gmres


def test_residual_is_the_preconditioned_one(rng):
    K = np.eye(30) + 0.1 * rng.standard_normal((30, 30))
    P = np.diag(rng.uniform(1, 1000, 30))
    f = rng.standard_normal(30)
    x, iterations, residual = preconditioned_gmres(K.__matmul__, P.__matmul__, f, rtol=1e-6)
    assert residual == pytest.approx(np.linalg.norm(P @ (f - K @ x)) / np.linalg.norm(P @ f))
    assert residual <= 1e-6
    assert 1 < iterations < 30
    _, _, residual = preconditioned_gmres(K.__matmul__, P.__matmul__, f, rtol=1e-6, maxiter=2)
    assert residual > 1e-6


def test_nothing_to_solve():
    x, iterations, residual = preconditioned_gmres(np.negative, np.positive, np.zeros(4), rtol=1e-9)
    np.testing.assert_array_equal(x, np.zeros(4))
    assert (iterations, residual) == (0, 0.0)


@pytest.mark.parametrize("make", [tau_preconditioner, circulant_preconditioner])
@pytest.mark.parametrize("alpha", [1.05, 1.5, 1.95])
def test_iterations_depend_neither_on_n_nor_much_on_p(make, alpha):
    """At most 11 to 1e-8 for p = 2, ..., 8."""
    for n, p in [(256, 2), (256, 5), (256, 8), (2048, 3), (2048, 6), (4096, 8)]:
        A = RieszCollocation(n, p, alpha)
        exact = make is tau_preconditioner
        P = make(A.scale * A.toeplitz, exact=exact)
        f = np.ones(A.shape[0])
        x, iterations, residual = preconditioned_gmres(A.matvec, P.matvec, f, rtol=1e-8)
        assert residual <= 1e-8
        assert iterations <= 11
        if n == 256:
            # Condition of P^-1 A, some tens.
            np.testing.assert_allclose(x, np.linalg.solve(A.todense(), f), atol=1e-6 * x.max())

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import eval_jacobi

from solvers import jacobi_riesz_solve
from solvers.riesz._ends import end_means, singular
from solvers.riesz._spline import coarser_space, inner_points


def means(f, n, p, alpha):
    spaces = ((n, p), coarser_space(n, p))
    return [end_means(x, f(x), alpha) for x in (inner_points(*space) for space in spaces)]


@given(
    alpha=st.floats(1.05, 1.95),
    k=st.integers(0, 4),
)
def test_mean_is_the_end_value_of_the_jacobi_solution(alpha, k):
    """u / w at the ends, by two ways. Cubic interpolation on 256 cells keeps six digits, less what
    the half cell at the ends that is held constant takes."""
    solution = jacobi_riesz_solve(lambda x: eval_jacobi(k, 0.0, 0.0, 2 * x - 1), 8, alpha)
    factor = sum(
        a * eval_jacobi(j, alpha / 2, alpha / 2, np.array([-1.0, 1.0]))
        for j, a in enumerate(solution.coefficients)
    )
    x = inner_points(256, 3)
    value = end_means(x, eval_jacobi(k, 0.0, 0.0, 2 * x - 1), alpha)[:, 0]
    from_one = jacobi_riesz_solve(lambda x: 1 + 0 * x, 1, alpha).coefficients[0]
    np.testing.assert_allclose(value * from_one, factor, atol=2e-3 * from_one)


@pytest.mark.parametrize("alpha", [1.05, 1.5, 1.95])
@pytest.mark.parametrize("n", [4, 16, 256])
@pytest.mark.parametrize("p", [2, 5])
def test_smooth_and_singular_are_told_apart(alpha, n, p, riesz_of_bump):
    assert not singular(*means(lambda x: riesz_of_bump(x, alpha), n, p, alpha))
    for f in (np.ones_like, lambda x: x - 0.2, lambda x: np.sin(2 * np.pi * x)):
        assert singular(*means(f, n, p, alpha))


def test_several_right_hand_sides(riesz_of_bump):
    """Columns are judged together: one singular line makes the solution singular."""
    x = inner_points(32, 3)
    smooth, one = riesz_of_bump(x, 1.5), np.ones_like(x)
    both = end_means(x, np.stack((smooth, one), axis=1), 1.5)
    np.testing.assert_allclose(both[..., 0], end_means(x, smooth, 1.5), atol=1e-14)
    np.testing.assert_allclose(both[..., 1], 1.0)
    assert singular(both, None)

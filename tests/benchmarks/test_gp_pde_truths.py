"""The functions that measured equations are to find."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks._gp_pde_truths import PriorDraws, Waves, applied
from solvers import LinearOperator, SpectralMixture

SMOOTH = SpectralMixture([1.0, 0.3], [0.0, 4.0], [0.8, 0.6])
SLOW = SpectralMixture([1.0], [0.0], [0.3])
ROUGH = SpectralMixture([1.0], [0.0], [0.8], envelope="matern", nu=4.5)


@pytest.mark.parametrize("kernel", [SMOOTH, SLOW, ROUGH], ids=["smooth", "slow", "rough"])
def test_draws_have_the_kernel_as_covariance(kernel):
    rng = np.random.default_rng(0)
    points = np.array([[0.0], [0.1], [0.4], [1.0]])
    draws = PriorDraws((kernel,))
    values = np.array([draws(rng)(points, (0,)) for _ in range(4000)])
    expected = kernel(points - points.T)
    # An entry's standard deviation is at most sqrt(2 / 4000) of the variance: 4.5 of them.
    assert np.abs(values.T @ values / 4000 - expected).max() < 0.1 * expected[0, 0]


@pytest.mark.parametrize(
    "truth",
    [
        PriorDraws((SMOOTH, ROUGH))(np.random.default_rng(1)),
        Waves(((1.0, (3.0, 5.0)), (0.2, (11.0, 2.0)))),
    ],
    ids=["draw", "waves"],
)
def test_derivatives_are_those_of_the_values(truth):
    points = np.random.default_rng(2).uniform(0.1, 0.9, (7, 2))
    h = 1e-4
    for axis, orders in ((0, ((1, 0), (2, 0))), (1, ((0, 1), (0, 2)))):
        step = h * np.eye(2)[axis]
        low, middle, high = (truth(points + k * step, (0, 0)) for k in (-1, 0, 1))
        first, second = (truth(points, order) for order in orders)
        # The differences are off by h^2/6 and h^2/12 of derivatives two orders higher, and by
        # rounding over h^2; all scales here are about 40 per unit of length at most.
        assert np.allclose((high - low) / (2 * h), first, atol=1e-3)
        assert np.allclose((high - 2 * middle + low) / h**2, second, rtol=1e-4, atol=0.05)


def test_an_operator_is_applied_term_by_term():
    u = Waves(((2.0, (3.0, 5.0)),))
    operator = LinearOperator([(1.0, (0, 2)), (lambda x, y: x, (1, 0))])
    points = np.random.default_rng(3).uniform(0, 1, (5, 2))
    x, y = points.T
    expected = -50 * np.sin(3 * x) * np.sin(5 * y) + 6 * x * np.cos(3 * x) * np.sin(5 * y)
    assert np.allclose(applied(operator, u, points), expected)

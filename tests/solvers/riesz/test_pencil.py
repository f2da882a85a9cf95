from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from solvers.riesz._pencil import riesz_pencil
from solvers.riesz.collocation import RieszCollocation


@given(n=st.integers(1, 40), p=st.integers(2, 10), alpha=st.floats(1.01, 1.99))
def test_decomposition(n, p, alpha):
    """W A V is diagonal and W M V the identity, to rounding times the condition of V."""
    pencil = riesz_pencil(RieszCollocation(n, p, alpha))
    largest = np.max(np.abs(pencil.mu))
    identity = np.eye(len(pencil.mu))
    np.testing.assert_allclose(pencil.W @ pencil.M @ pencil.V, identity, atol=1e-11)
    diagonal = pencil.W @ pencil.A @ pencil.V
    np.testing.assert_allclose(diagonal, np.diag(pencil.mu), atol=1e-11 * largest)
    assert np.all(np.diff(pencil.mu.real) >= 0)


@pytest.mark.parametrize("alpha", [1.05, 1.5, 1.95])
@pytest.mark.parametrize(("p", "condition"), [(2, 1.2), (3, 1.7), (4, 2.4), (6, 7), (10, 60)])
def test_spectrum_is_real_positive_and_well_conditioned(p, condition, alpha):
    for n in (20, 33, 100):
        pencil = riesz_pencil(RieszCollocation(n, p, alpha))
        assert pencil.mu.dtype == np.float64
        assert pencil.mu[0] > 1
        assert np.linalg.cond(pencil.V) < condition

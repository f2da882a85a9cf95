"""Power-deformed Bures-Wasserstein metrics: powers as isometries, the limit of small exponents."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geometry import spd

torch = pytest.importorskip("torch")
from torch.autograd import gradcheck  # noqa: E402

BW = {"metric": "bures_wasserstein"}


@given(
    theta=st.sampled_from([-1.5, -0.5, 0.3, 1.0, 2.0]),
    seed=st.integers(0, 2**32),
    imaginary=st.booleans(),
)
def test_maps_fit_together(with_condition, hermitian, theta, seed, imaginary):
    rng = np.random.default_rng(seed)
    P, Q = with_condition(rng, 4, 1, batch=(2, 3), complex_=imaginary)
    M = with_condition(rng, 4, 1, complex_=imaginary)
    V = hermitian(rng, (3, 4, 4), imaginary)
    deformed = {**BW, "M": M, "theta": theta}
    near = {"rtol": 1e-9, "atol": 1e-9}
    log, distance = spd.log(P, Q, **deformed), spd.distance(P, Q, **deformed)
    np.testing.assert_allclose(spd.norm(P, log, **deformed), distance, **near)
    np.testing.assert_allclose(spd.exp(P, log, **deformed), Q, **near)
    point = spd.geodesic(P, Q, 0.3, **deformed)
    np.testing.assert_allclose(point, spd.exp(P, 0.3 * log, **deformed), **near)
    powers = spd.distance(spd.powm(P, theta), spd.powm(Q, theta), M=M, **BW)
    np.testing.assert_allclose(distance, powers / abs(theta), **near)
    moved = spd.parallel_transport(V, P, Q, **deformed)
    lengths = spd.norm(P, V, **deformed)
    np.testing.assert_allclose(spd.norm(Q, moved, **deformed), lengths, **near)
    product = spd.inner(P, V, log, **deformed)
    velocity = spd.parallel_transport(log, P, Q, **deformed)
    np.testing.assert_allclose(spd.inner(Q, moved, velocity, **deformed), product, **near)


def test_exponent_one_changes_nothing(with_condition, rng):
    P, Q = with_condition(rng, 4, 2, batch=(2,))
    for verb in (spd.distance, spd.log):
        np.testing.assert_allclose(verb(P, Q, theta=1.0, **BW), verb(P, Q, **BW), atol=1e-13)


def test_small_exponents_give_half_the_log_euclidean_distance(with_condition, rng):
    P, Q = with_condition(rng, 5, 2, batch=(2,))
    limit = spd.distance(P, Q, metric="log_euclidean") / 2
    gaps = [spd.distance(P, Q, theta=theta, **BW) - limit for theta in (2e-3, 1e-3, -1e-3)]
    assert np.max(np.abs(gaps)) < 0.05 * limit
    # The gap is linear in the exponent.
    assert gaps[0] / gaps[1] == pytest.approx(2.0, rel=0.05)
    assert gaps[2] / gaps[1] == pytest.approx(-1.0, rel=0.05)


def test_one_exponent_for_each_matrix(with_condition, rng, xp):
    P, Q = with_condition(rng, 3, 1, batch=(2, 2))
    theta = np.array([0.5, -0.7])
    together = spd.geodesic(xp.asarray(P), xp.asarray(Q), 0.4, theta=xp.asarray(theta), **BW)
    alone = [spd.geodesic(P[i], Q[i], 0.4, theta=theta[i], **BW) for i in range(2)]
    np.testing.assert_allclose(xp.numpy(together), alone, rtol=xp.tol, atol=xp.tol)


@pytest.mark.parametrize("verb", ["distance", "log", "exp", "geodesic", "inner"])
def test_gradients_in_the_exponent(verb, with_condition, rng):
    P, Q = (torch.as_tensor(X).requires_grad_() for X in with_condition(rng, 3, 1, batch=(2,)))
    theta = torch.tensor(0.6, dtype=torch.float64, requires_grad=True)

    def function(P, Q, theta):
        P, Q = (P + P.mH) / 2, (Q + Q.mH) / 2
        deformed = {**BW, "theta": theta, "check": False}
        if verb == "exp":
            return spd.exp(P, 0.1 * Q, **deformed)
        if verb == "geodesic":
            return spd.geodesic(P, Q, 0.4, **deformed)
        if verb == "inner":
            return spd.inner(P, Q, Q, **deformed)
        return getattr(spd, verb)(P, Q, **deformed)

    assert gradcheck(function, (P, Q, theta))


def test_refuses_the_exponent_zero():
    with pytest.raises(ValueError, match="theta must not be zero"):
        spd.distance(np.eye(2), np.eye(2), theta=0.0, **BW)

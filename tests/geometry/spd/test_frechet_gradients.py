"""Gradients of Frechet means and variances, against differences and identities."""

from __future__ import annotations

import numpy as np
import pytest

from geometry import spd
from numerics.arrays import Frame

torch = pytest.importorskip("torch")

METRICS = ("affine_invariant", "bures_wasserstein", "log_cholesky", "log_euclidean")
ITERATED = ("affine_invariant", "bures_wasserstein")


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("imaginary", [False, True])
def test_gradients(metric, count, imaginary, from_eigenvalues, rng):
    X = from_eigenvalues(rng, [1, 1, 3], imaginary)
    X = np.stack([X, *from_eigenvalues(rng, rng.uniform(0.5, 4, (count - 1, 3)), imaginary)])
    X = torch.tensor(X, requires_grad=True)
    weights = torch.tensor(rng.uniform(0.5, 1, count), requires_grad=True)

    def mean(X, w):
        return spd.frechet_mean((X + X.mH) / 2, weights=w, metric=metric, rtol=1e-14)

    def variance(X, w):
        return spd.frechet_variance((X + X.mH) / 2, weights=w, metric=metric)

    fast = imaginary or count == 2
    assert torch.autograd.gradcheck(mean, (X, weights), fast_mode=fast)
    assert torch.autograd.gradcheck(variance, (X, weights), fast_mode=True)


def test_gradients_in_the_metric(with_condition, rng):
    X = torch.tensor(with_condition(rng, 3, 0.7, batch=(2, 4)), requires_grad=True)
    M = torch.tensor(with_condition(rng, 3, 0.5), requires_grad=True)
    theta = torch.tensor(0.6, dtype=torch.float64, requires_grad=True)

    def options(M, theta):
        return {"metric": "bures_wasserstein", "M": (M + M.mH) / 2, "theta": theta}

    def mean(X, M, theta):
        return spd.frechet_mean((X + X.mH) / 2, rtol=1e-14, **options(M, theta))

    def variance(X, M, theta):
        return spd.frechet_variance((X + X.mH) / 2, **options(M, theta))

    def about(S, X, M, theta):
        S, X = (S + S.mH) / 2, (X + X.mH) / 2
        return spd.frechet_variance(X, mean=S, **options(M, theta))

    assert torch.autograd.gradcheck(mean, (X, M, theta), fast_mode=True)
    assert torch.autograd.gradcheck(variance, (X, M, theta), fast_mode=True)
    S = torch.tensor(with_condition(rng, 3, 0.5), requires_grad=True)
    assert torch.autograd.gradcheck(about, (S, X, M, theta), fast_mode=True)


def test_gradient_of_ill_conditioned_means(with_condition, rng):
    # The mean is homogeneous of degree one, so its derivative along the samples is itself.
    X = torch.tensor(with_condition(rng, 5, 8, batch=(6,)), requires_grad=True)
    G = torch.tensor(rng.standard_normal((5, 5)))
    for metric in ITERATED:
        S = spd.frechet_mean(X, metric=metric)
        (grad,) = torch.autograd.grad((G * S).sum(), X)
        along, value = float((grad * X.detach()).sum()), float((G * S.detach()).sum())
        assert abs(along - value) < 1e-6 * float(S.detach().norm())


@pytest.mark.parametrize("metric", ITERATED)
def test_devices_that_compiled_host_code_cannot_reach(metric, with_condition, rng, monkeypatch):
    X = torch.tensor(with_condition(rng, 4, 3, batch=(2, 5)), requires_grad=True)
    S = spd.frechet_mean(X, metric=metric)
    (grad,) = torch.autograd.grad(S.square().sum(), X)
    monkeypatch.setattr(Frame, "runs_on_host", lambda *_: False)
    there = spd.frechet_mean(X, metric=metric)
    (grad_there,) = torch.autograd.grad(there.square().sum(), X)
    np.testing.assert_allclose(there.detach(), S.detach(), atol=1e-11)
    np.testing.assert_allclose(grad_there, grad, atol=1e-8)

"""The estimators as functions of the package, beside pyRiemann's, and inside of its pipelines."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pyriemann.classification import MDM
from pyriemann.estimation import Covariances
from pyriemann.tangentspace import TangentSpace as PyriemannTangentSpace
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline

from geometry.spd import (
    augmented_covariance,
    distance,
    frechet_mean,
    norm,
    select_embedding,
)
from geometry.spd.estimators import (
    AugmentedCovariances,
    MinimumDistanceToMean,
    TangentSpace,
)

M = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, 0.2], [0.0, 0.2, 3.0]])
METRICS = [
    {"metric": "affine_invariant"},
    {"metric": "log_euclidean"},
    {"metric": "log_cholesky"},
    {"metric": "bures_wasserstein"},
    {"metric": "bures_wasserstein", "M": M},
    {"metric": "bures_wasserstein", "theta": 0.5},
    {"metric": "bures_wasserstein", "theta": -1.5, "M": M},
]


@pytest.fixture
def matrices(rng):
    G = rng.standard_normal((24, 3, 7)) * np.array([1.0, 3.0, 0.3])[:, None]
    return G @ np.swapaxes(G, -1, -2) / 7


@pytest.fixture
def signals(rng):
    """Two classes of rotating signals that differ in the sense of the rotation only."""
    turn = 0.95 * np.array([[0.8, -0.6], [0.6, 0.8]])
    x = np.zeros((60, 2, 120))
    noise = rng.standard_normal(x.shape)
    y = np.tile([0, 1], 30)
    for t in range(1, 120):
        x[y == 0, :, t] = x[y == 0, :, t - 1] @ turn + noise[y == 0, :, t]
        x[y == 1, :, t] = x[y == 1, :, t - 1] @ turn.T + noise[y == 1, :, t]
    return x, y


def test_augmented_covariances_are_the_function(signals):
    x, _ = signals
    for options in ({}, {"estimator": "oas", "trim": "moabb"}):
        found = AugmentedCovariances(3, 2, **options).fit(x).transform(x)
        np.testing.assert_array_equal(found, augmented_covariance(x, 3, 2, **options))
    assert AugmentedCovariances(3).fit_transform(x.astype(np.float32)).dtype == np.float32


def test_order_1_is_pyriemanns_covariances(signals):
    x, _ = signals
    for ours, theirs in (("cov", "cov"), ("scm", "scm"), ("ledoit_wolf", "lwf"), ("oas", "oas")):
        found = AugmentedCovariances(1, estimator=ours).fit_transform(x)
        np.testing.assert_allclose(found, Covariances(theirs).fit_transform(x), atol=1e-13)


@pytest.mark.parametrize("selection", ["traditional", "mdop"])
def test_selection_is_that_of_the_training_signals(signals, selection):
    x, _ = signals
    fitted = AugmentedCovariances(4, 5, selection=selection).fit(x[:30])
    expected = select_embedding(x[:30], method=selection, max_order=4, max_lag=5)
    assert (fitted.order_, fitted.lag_) == expected
    np.testing.assert_array_equal(fitted.transform(x[30:]), augmented_covariance(x[30:], *expected))


@pytest.mark.parametrize("options", METRICS)
def test_norm_of_a_tangent_vector_is_the_distance(matrices, options):
    space = TangentSpace(**options).fit(matrices)
    vectors = space.transform(matrices)
    assert vectors.shape == (24, 6)
    expected = distance(matrices, space.reference_, **options)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), expected, rtol=1e-10)
    # The mean is where they add up to nothing.
    np.testing.assert_allclose(vectors.sum(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(space.reference_, frechet_mean(matrices, **options), rtol=1e-12)


@pytest.mark.parametrize("options", METRICS)
def test_coordinates_are_orthonormal(matrices, options):
    """Vectors of matrices near the mean have the angles of the metric, by polarisation."""
    space = TangentSpace(**options).fit(matrices)
    P, h = space.reference_, 1e-5
    L = np.linalg.cholesky(P)
    V, W = (L @ (D + D.T) @ L.T for D in np.random.default_rng(1).standard_normal((2, 3, 3)))
    v, w, both = ((space.transform((P + h * D)[None])[0]) / h for D in (V, W, V + W))
    np.testing.assert_allclose(both, v + w, atol=1e-3 * np.linalg.norm(both))
    for vector, D in ((v, V), (w, W), (both, V + W)):
        np.testing.assert_allclose(np.linalg.norm(vector), norm(P, D, **options), rtol=1e-3)


def test_affine_invariant_coordinates_are_pyriemanns(matrices):
    ours = TangentSpace().fit(matrices)
    theirs = PyriemannTangentSpace().fit(matrices)
    # As far as its mean is converged.
    np.testing.assert_allclose(ours.transform(matrices), theirs.transform(matrices), atol=1e-6)
    theirs.reference_ = ours.reference_
    np.testing.assert_allclose(ours.transform(matrices), theirs.transform(matrices), atol=1e-11)


def test_tangent_space_of_an_ill_conditioned_mean(rng):
    """Eigenvalues over ten decades: the norm is the distance still."""
    scale = np.logspace(0, -5, 4)
    G = scale[:, None] * (np.eye(4) + 0.1 * rng.standard_normal((10, 4, 4)))
    X = G @ np.swapaxes(G, -1, -2)
    for metric in ("affine_invariant", "log_cholesky", "bures_wasserstein"):
        space = TangentSpace(metric).fit(X)
        found = np.linalg.norm(space.transform(X), axis=1)
        np.testing.assert_allclose(found, distance(X, space.reference_, metric=metric), rtol=1e-6)


@pytest.mark.parametrize("options", METRICS)
def test_nearest_mean_is_the_nearest(matrices, options):
    y = np.array(["a", "b", "c"] * 8)
    model = MinimumDistanceToMean(**options).fit(matrices, y)
    means = np.stack([frechet_mean(matrices[y == c], **options) for c in "abc"])
    np.testing.assert_allclose(model.means_, means, rtol=1e-10)
    expected = np.stack([distance(matrices, mean, **options) for mean in means], axis=1)
    np.testing.assert_allclose(model.transform(matrices), expected, rtol=1e-8)
    np.testing.assert_array_equal(
        model.predict(matrices), np.array(list("abc"))[expected.argmin(1)]
    )
    probabilities = model.predict_proba(matrices)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    np.testing.assert_array_equal(probabilities.argmax(1), expected.argmin(1))


def test_nearest_mean_is_pyriemanns(matrices):
    y = np.arange(24) % 3
    ours, theirs = MinimumDistanceToMean().fit(matrices, y), MDM().fit(matrices, y)
    np.testing.assert_array_equal(ours.predict(matrices), theirs.predict(matrices))
    np.testing.assert_allclose(
        ours.predict_proba(matrices), theirs.predict_proba(matrices), atol=1e-6
    )


def test_weights_are_repetitions(matrices):
    y = np.arange(24) % 2
    weights = np.arange(24) % 4
    repeated = np.repeat(np.arange(24), weights)
    one = TangentSpace().fit(matrices, sample_weight=weights)
    two = TangentSpace().fit(matrices[repeated])
    np.testing.assert_allclose(one.reference_, two.reference_, rtol=1e-10)
    one = MinimumDistanceToMean().fit(matrices, y, sample_weight=weights)
    two = MinimumDistanceToMean().fit(matrices[repeated], y[repeated])
    np.testing.assert_allclose(one.means_, two.means_, rtol=1e-10)


def test_a_class_without_weight_is_left_out(matrices):
    y = np.arange(24) % 3
    model = MinimumDistanceToMean().fit(matrices, y, sample_weight=(y != 1).astype(float))
    np.testing.assert_array_equal(model.classes_, [0, 2])
    assert model.transform(matrices).shape == (24, 2)


def test_they_take_the_places_of_pyriemanns(signals):
    """In its pipelines plain covariances cannot tell the classes apart, and augmented ones can."""
    x, y = signals
    for tail in (
        [MDM()],
        [PyriemannTangentSpace(), LogisticRegression()],
        [MinimumDistanceToMean("log_euclidean")],
        [TangentSpace("bures_wasserstein"), LogisticRegression()],
    ):
        plain = cross_val_score(make_pipeline(Covariances("lwf"), *tail), x, y)
        augmented = cross_val_score(
            make_pipeline(AugmentedCovariances(2, estimator="ledoit_wolf"), *tail), x, y
        )
        assert plain.mean() < 0.75
        assert augmented.mean() > 0.95


def test_a_grid_search_finds_the_order(signals):
    x, y = signals
    pipeline = make_pipeline(AugmentedCovariances(), TangentSpace(), LogisticRegression())
    search = GridSearchCV(
        pipeline,
        {
            "augmentedcovariances__order": [1, 2],
            "augmentedcovariances__lag": [1, 2],
            "tangentspace__metric": ["log_euclidean", "affine_invariant"],
        },
        cv=3,
        error_score="raise",
    ).fit(x, y)
    assert search.best_params_["augmentedcovariances__order"] == 2
    assert search.best_score_ > 0.95


@pytest.mark.parametrize("estimator", [AugmentedCovariances, TangentSpace, MinimumDistanceToMean])
def test_cloning_keeps_the_parameters(estimator):
    values = {"metric": "bures_wasserstein", "theta": 0.5, "M": M, "order": 3, "estimator": "oas"}
    known = estimator().get_params()
    changed = estimator().set_params(**{k: v for k, v in values.items() if k in known})
    for name, value in clone(changed).get_params().items():
        np.testing.assert_array_equal(value, changed.get_params()[name])
    assert not hasattr(clone(changed), "n_features_in_")


X = np.stack([np.eye(3)] * 4)
Y = [0, 0, 1, 1]
INDEFINITE = X.copy()
INDEFINITE[2, 1, 1] = -1.0
BAD = [
    (AugmentedCovariances(2), np.ones((3, 9)), ValueError, "X must have shape (n_signals"),
    (AugmentedCovariances(9), np.ones((3, 2, 9)), ValueError, "x must have at least 10 samples"),
    (AugmentedCovariances(0), np.ones((3, 2, 9)), ValueError, "order must be at least 1"),
    (AugmentedCovariances(estimator="lwf"), np.ones((3, 2, 9)), ValueError, "estimator must be"),
    (AugmentedCovariances(selection="ami"), np.ones((3, 2, 9)), ValueError, "selection must be"),
    (AugmentedCovariances(), torch.ones(3, 2, 9), TypeError, "got a torch tensor"),
    (TangentSpace(), X[0], ValueError, "X must have shape (n_matrices, n, n)"),
    (TangentSpace(), X[:, :2], ValueError, "X must have shape (..., n, n)"),
    (TangentSpace(), INDEFINITE, ValueError, "X must be positive definite, got X[2]"),
    (TangentSpace(), torch.tensor(X), TypeError, "got a torch tensor"),
    (TangentSpace("riemann"), X, ValueError, "metric must be one of"),
    (TangentSpace(M=np.eye(3)), X, ValueError, "M must be None unless"),
    (TangentSpace(theta=0.5), X, ValueError, "theta must be None unless"),
    (TangentSpace("bures_wasserstein", M=np.eye(2)), X, ValueError, "M must have shape"),
    (TangentSpace("bures_wasserstein", theta=0.0), X, ValueError, "theta must not be zero"),
    (MinimumDistanceToMean(), INDEFINITE, ValueError, "X must be positive definite, got X[2]"),
    (MinimumDistanceToMean(), X[0], ValueError, "X must have shape (n_matrices, n, n)"),
    (MinimumDistanceToMean("euclid"), X, ValueError, "metric must be one of"),
]


@pytest.mark.parametrize(("estimator", "given", "error", "message"), BAD)
def test_bad_input(estimator, given, error, message):
    labels = Y[: len(given)] if isinstance(estimator, MinimumDistanceToMean) else None
    with pytest.raises(error) as caught:
        estimator.fit(given, labels).transform(given)
    assert message in str(caught.value)


def test_negative_weights_are_refused():
    with pytest.raises(ValueError, match="Negative values"):
        TangentSpace().fit(X, sample_weight=[1.0, -1, 1, 1])

"""What holds of every family: the matrix is orthogonal and everything else agrees with it."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import scipy.sparse.linalg
from hypothesis import given
from hypothesis import strategies as st

from numerics import (
    BlockOrthogonal,
    Butterfly,
    HouseholderProduct,
    OrthogonalOperator,
    RandomizedHadamard,
    SignedPermutation,
)

FAMILIES = (
    BlockOrthogonal,
    Butterfly,
    HouseholderProduct,
    RandomizedHadamard,
    SignedPermutation,
)
DISCRETE = (RandomizedHadamard, SignedPermutation)
n = 16


def made(family: Any, seed: int, **options: Any) -> OrthogonalOperator:
    return family.random(n, rng=seed, **options)


def mixed(seed: int) -> OrthogonalOperator:
    """A product in which no neighbours merge, with an adjoint that stays a wrapper."""
    return (
        made(SignedPermutation, seed)
        @ made(Butterfly, seed).adjoint()
        @ HouseholderProduct.random(n, reflections=3, rng=seed)
        @ made(BlockOrthogonal, seed)
        @ made(RandomizedHadamard, seed).adjoint()
    )


MAKERS = [
    *(
        pytest.param(lambda seed, f=family: made(f, seed), id=family.__name__)
        for family in FAMILIES
    ),
    pytest.param(lambda seed: made(Butterfly, seed).adjoint(), id="adjoint"),
    pytest.param(lambda seed: HouseholderProduct.random(n, reflections=3, rng=seed), id="few"),
    pytest.param(mixed, id="mixed"),
]


@pytest.mark.parametrize("make", MAKERS)
@given(seed=st.integers(0, 2**32), k=st.integers(-40, 40))
def test_everything_agrees_with_the_matrix(make, seed, k):
    Q, P = make(seed), mixed(seed + 1)
    D = Q.to_dense()
    X = np.random.default_rng(seed).standard_normal((3, n, 5))
    # A product has at most 40 x 16 rotations or reflections, a few roundings of unit vectors each.
    tol = 1e-12
    np.testing.assert_allclose(D.T @ D, np.eye(n), atol=tol)
    np.testing.assert_allclose(Q @ X, D @ X, atol=tol)
    np.testing.assert_allclose(Q @ X[0, :, 0], D @ X[0, :, 0], atol=tol)
    np.testing.assert_allclose(X.swapaxes(1, 2) @ Q, X.swapaxes(1, 2) @ D, atol=tol)
    for axis in (-3, -2, -1, 0, 1, 2):
        moved = np.moveaxis(X, 1, axis)
        wanted = np.moveaxis(D @ X, 1, axis)
        np.testing.assert_allclose(Q.apply(moved, axis=axis), wanted, atol=tol)
    np.testing.assert_allclose(Q.adjoint().to_dense(), D.T, atol=tol)
    np.testing.assert_allclose(Q.adjoint().adjoint().to_dense(), D, atol=tol)
    power = np.linalg.matrix_power(D if k >= 0 else D.T, abs(k))
    np.testing.assert_allclose(Q.power(k).to_dense(), power, atol=tol)
    np.testing.assert_allclose(Q.power(k).adjoint().to_dense(), power.T, atol=tol)
    np.testing.assert_allclose((Q @ P).to_dense(), D @ P.to_dense(), atol=tol)
    np.testing.assert_allclose((P @ Q @ P).power(2).to_dense(), (P @ Q @ P @ P @ Q @ P).to_dense())


@pytest.mark.parametrize("make", MAKERS)
def test_kinds(make, xp, rng):
    X = rng.standard_normal((2, n, 6))
    Q = make(3)
    D = Q.to_dense()
    Q = Q._rebuilt([xp.asarray(value) for value in Q._parameters().values()])
    wide = np.zeros((2, n, 12))
    wide[..., ::2] = X
    for data in (xp.asarray(X), xp.asarray(wide)[..., ::2]):
        np.testing.assert_allclose(xp.numpy(Q @ data), D @ X, atol=xp.tol)
        np.testing.assert_allclose(xp.numpy(Q.adjoint() @ data), D.T @ X, atol=xp.tol)
        looped = [xp.numpy(Q.apply(data[i, :, 0])) for i in range(2)]
        np.testing.assert_allclose(looped, (D @ X)[..., 0], atol=xp.tol)
    Z = X + 1j * X[::-1]
    np.testing.assert_allclose(xp.numpy(Q @ xp.asarray(Z)), D @ Z, atol=2 * xp.tol)
    np.testing.assert_allclose(xp.numpy(Q.to_dense(like=xp.asarray(X))), D, atol=xp.tol)
    operator = Q.as_linear_operator(like=xp.asarray(X))
    assert tuple(operator.shape) == (n, n)
    transpose = operator.T if xp.library == "numpy" else operator.mT
    np.testing.assert_allclose(xp.numpy(operator @ xp.asarray(X[0])), D @ X[0], atol=xp.tol)
    np.testing.assert_allclose(xp.numpy(transpose @ xp.asarray(X[0])), D.T @ X[0], atol=xp.tol)


@pytest.mark.parametrize("make", MAKERS)
def test_gradients(make):
    torch = pytest.importorskip("torch")
    Q = make(5)
    x = torch.tensor(np.random.default_rng(0).standard_normal((n, 2)), requires_grad=True)
    leaves = [
        torch.tensor(np.array(value), requires_grad=True) for value in Q._parameters().values()
    ]

    def call(x, *parameters):
        # What makes the parameters admissible stands before the operator, as in a training loop.
        free = iter(parameters)
        admissible = [_admissible(torch, name, next(free)) for name in Q._parameters()]
        P = Q._rebuilt(admissible)
        return P @ x, P.adjoint() @ x, P.power(3) @ x

    # Along random directions: entry by entry it would cost a product for each.
    assert torch.autograd.gradcheck(call, (x, *leaves), fast_mode=True)
    operator = Q._rebuilt(leaves).as_linear_operator(like=x)
    got = torch.autograd.grad((operator @ x).square().sum() + (operator @ x)[0, 0], (x, *leaves))
    Qx = Q._rebuilt(leaves) @ x
    wanted = torch.autograd.grad(Qx.square().sum() + Qx[0, 0], (x, *leaves))
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one, other)


def _admissible(torch, name, value):
    if not name.endswith("blocks"):
        return value
    q, r = torch.linalg.qr(value)
    return q * torch.sign(torch.diagonal(r, dim1=-2, dim2=-1))[:, None, :]


@pytest.mark.parametrize("make", MAKERS)
def test_scipy_solves_with_it(make, rng):
    Q = make(7)
    b = rng.standard_normal(n)
    x = scipy.sparse.linalg.lsqr(Q.as_linear_operator(), b, atol=1e-14, btol=1e-14)[0]
    np.testing.assert_allclose(x, b @ Q, atol=1e-12)


@pytest.mark.parametrize("make", MAKERS)
def test_it_can_be_sent_elsewhere(make, rng):
    Q, x = make(11), rng.standard_normal(n)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(Q)) @ x, Q @ x)
    np.testing.assert_array_equal(make(11) @ x, Q @ x)
    assert Q.nbytes > 0
    assert "n=16" in repr(Q)


@pytest.mark.parametrize("family", FAMILIES)
def test_inputs_are_left_alone(family, rng):
    x = rng.standard_normal((n, 2))
    before = x.copy()
    Q = made(family, 0)
    Q.apply(x, axis=0), Q.adjoint().apply(x, axis=0), Q.apply(x.T)
    np.testing.assert_array_equal(x, before)


def test_products_stay_in_a_closed_family():
    for family in (BlockOrthogonal, HouseholderProduct, RandomizedHadamard, SignedPermutation):
        assert type(made(family, 0) @ made(family, 1)) is family
    for family in (BlockOrthogonal, SignedPermutation):
        assert type(made(family, 0).power(-9)) is family
        assert type(made(family, 0).power(0)) is family


def test_precision_is_that_of_all_arguments(rng):
    Q = made(Butterfly, 0)
    assert Q.apply(np.ones(n, np.float32)).dtype == np.float64
    single = Butterfly.random(n, rng=0, like=np.ones(1, np.float32))
    assert single.apply(np.ones(n, np.float32)).dtype == np.float32
    for family in DISCRETE:
        assert made(family, 0).apply(np.ones(n, np.float32)).dtype == np.float32
        assert made(family, 0).apply(np.ones(n, np.int64)).dtype == np.float64


@pytest.mark.parametrize("family", FAMILIES)
def test_bad_vectors(family):
    Q = made(family, 0)
    for call, error, message in (
        (lambda: Q.apply(np.ones(15)), ValueError, "x must have length 16 along axis -1"),
        (lambda: Q @ np.ones((15, 2)), ValueError, "x must have length 16 along axis -2"),
        (lambda: Q.apply(np.ones((16, 2)), axis=2), ValueError, "axis must be one of x"),
        (lambda: Q.apply(1.0), ValueError, "axis must be one of x"),
        (lambda: Q @ family.random(32, rng=0), ValueError, "operators must have the same size"),
        (lambda: Q.apply(["a"] * 16), TypeError, "x must hold"),
        (lambda: Q.power(0.5), TypeError, "k must be an integer"),
        (lambda: family.random(0), ValueError, "n must be at least"),
        (lambda: family.random(4.0), TypeError, "n must be an integer"),
        (lambda: family.random(n, rng="a"), TypeError, "rng must be"),
    ):
        with pytest.raises(error, match=message):
            call()
    bad = np.full(n, np.nan)
    if family is SignedPermutation:
        assert np.all(np.isnan(Q.apply(bad)))
    else:
        with pytest.raises(ValueError, match="x must be finite"):
            Q.apply(bad)


def test_libraries_are_not_mixed():
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match=r"mix array libraries: .*angles numpy"):
        made(Butterfly, 0).apply(torch.ones(n))

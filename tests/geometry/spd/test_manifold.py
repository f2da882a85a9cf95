"""What holds under every metric: maps, geodesics and transports fit together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geometry import spd

torch = pytest.importorskip("torch")

METRICS = ("affine_invariant", "log_euclidean", "log_cholesky", "bures_wasserstein")


@pytest.mark.parametrize("metric", METRICS)
@given(
    n=st.integers(1, 5), digits=st.floats(0, 3), seed=st.integers(0, 2**32), imaginary=st.booleans()
)
def test_maps_fit_together(metric, with_condition, hermitian, n, digits, seed, imaginary):
    rng = np.random.default_rng(seed)
    P, Q = with_condition(rng, n, digits, batch=(2, 3), complex_=imaginary)
    V, W = hermitian(rng, (2, 3, n, n), imaginary)
    near = {"rtol": 1e-12 * 100**digits, "atol": 1e-12 * 100**digits}
    log = spd.log(P, Q, metric=metric)
    distance = spd.distance(P, Q, metric=metric)
    np.testing.assert_allclose(spd.exp(P, log, metric=metric), Q, **near)
    np.testing.assert_allclose(spd.norm(P, log, metric=metric), distance, **near)
    np.testing.assert_allclose(spd.distance(Q, P, metric=metric), distance, **near)
    np.testing.assert_allclose(spd.distance(P, Q, metric=metric, squared=True), distance**2, **near)
    # Beyond its ends a Bures-Wasserstein geodesic may leave the manifold.
    for t in (0.0, 0.3, 1.0, 1.0 if metric == "bures_wasserstein" else 1.4):
        point = spd.geodesic(P, Q, t, metric=metric)
        np.testing.assert_allclose(point, spd.exp(P, t * log, metric=metric), **near)
        np.testing.assert_allclose(spd.distance(P, point, metric=metric), t * distance, **near)
    moved_V, moved_W = (spd.parallel_transport(X, P, Q, metric=metric, rtol=1e-12) for X in (V, W))
    product = spd.inner(P, V, W, metric=metric)
    lengths = spd.norm(P, V, metric=metric) * spd.norm(P, W, metric=metric)
    assert np.all(np.abs(product) <= lengths * (1 + 1e-9))
    difference = spd.inner(Q, moved_V, moved_W, metric=metric) - product
    assert np.all(np.abs(difference) <= 1e-12 * 100**digits * (1 + lengths))
    velocity = spd.parallel_transport(log, P, Q, metric=metric, rtol=1e-12)
    np.testing.assert_allclose(velocity, -spd.log(Q, P, metric=metric), **near)


@pytest.mark.parametrize("metric", METRICS)
def test_metric_is_the_second_order_of_the_squared_distance(metric, with_condition, hermitian, rng):
    P, V = with_condition(rng, 4, 1), 0.1 * hermitian(rng, (4, 4), False)
    step = 1e-4
    forth = spd.distance(P, P + step * V, metric=metric, squared=True)
    back = spd.distance(P, P - step * V, metric=metric, squared=True)
    np.testing.assert_allclose(
        (forth + back) / (2 * step**2), spd.inner(P, V, V, metric=metric), rtol=1e-4
    )


@pytest.mark.parametrize("metric", METRICS)
def test_equal_matrices(metric, with_condition, rng):
    A = with_condition(rng, 4, 3)
    assert spd.distance(A, A, metric=metric) == 0
    a, b = (torch.tensor(A, requires_grad=True) for _ in range(2))
    spd.distance(a, b, metric=metric).backward()
    assert not a.grad.any()
    assert not b.grad.any()
    zero = torch.zeros(4, 4, dtype=torch.float64, requires_grad=True)
    spd.norm(a, zero, metric=metric).backward()
    assert not zero.grad.any()


@pytest.mark.parametrize("imaginary", [False, True])
@pytest.mark.parametrize("metric", METRICS)
def test_kinds_strides_and_batches(xp, metric, imaginary, with_condition, hermitian, rng):
    P = with_condition(rng, 3, 1, batch=(4, 1), complex_=imaginary)
    Q = with_condition(rng, 3, 1, batch=(2,), complex_=imaginary)
    V = hermitian(rng, (2, 3, 3), imaginary) / 40
    p, q, v = (xp.asarray(X) for X in (P, Q, V))
    t = xp.asarray([0.25, 0.5])
    calls = {
        "distance": (lambda p, q, v, t: spd.distance(p, q, metric=metric)),
        "log": (lambda p, q, v, t: spd.log(p, q, metric=metric)),
        "exp": (lambda p, q, v, t: spd.exp(p, v, metric=metric)),
        "norm": (lambda p, q, v, t: spd.norm(p, v, metric=metric)),
        "inner": (lambda p, q, v, t: spd.inner(p, v, v, metric=metric)),
        "geodesic": (lambda p, q, v, t: spd.geodesic(p, q, t, metric=metric)),
        "transport": (lambda p, q, v, t: spd.parallel_transport(v, p, q, metric=metric)),
    }
    wide = xp.asarray(np.repeat(P, 2, axis=-2))[..., ::2, :]
    for name, call in calls.items():
        expected = np.array(
            [[call(P[i, 0], Q[j], V[j], 0.25 * (j + 1)) for j in range(2)] for i in range(4)]
        )
        tolerance = {"rtol": 1e-5 if xp.single else 1e-12, "atol": 1e-5 if xp.single else 1e-12}
        np.testing.assert_allclose(xp.numpy(call(p, q, v, t)), expected, err_msg=name, **tolerance)
        np.testing.assert_array_equal(xp.numpy(call(wide, q, v, t)), xp.numpy(call(p, q, v, t)))
        assert xp.numpy(call(p[:0], q, v, t)).shape == (0, *expected.shape[1:])


@pytest.mark.parametrize("metric", METRICS)
def test_gradients_at_coinciding_eigenvalues(metric, from_eigenvalues, hermitian, rng):
    P = torch.tensor(from_eigenvalues(rng, [1.0, 1, 2]), requires_grad=True)
    Q = (P.detach() @ P.detach() * 0.7).requires_grad_()  # commutes: singular values coincide
    V = torch.tensor(hermitian(rng, (3, 3), False), requires_grad=True)
    t = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    options = {"metric": metric, "check": False}
    check = torch.autograd.gradcheck
    assert check(lambda P, Q: spd.distance(P, Q, **options), (P, Q))
    assert check(lambda P, Q: spd.log(P, Q, **options), (P, Q))
    assert check(lambda P, Q, t: spd.geodesic(P, Q, t, **options), (P, Q, t))
    assert check(lambda P, V: spd.exp(P, V, **options), (P, V))
    assert check(lambda P, V: spd.norm(P, V, **options), (P, V))
    assert check(lambda V, P, Q: spd.parallel_transport(V, P, Q, **options), (V, P, Q))
    assert torch.autograd.gradgradcheck(
        lambda P, Q: spd.distance(P, Q, squared=True, **options), (P, Q), fast_mode=True
    )


@pytest.mark.parametrize("metric", METRICS)
def test_complex_gradients(metric, from_eigenvalues, rng):
    P, Q = (
        torch.tensor(from_eigenvalues(rng, [1.0, 1, 2], True), requires_grad=True) for _ in "PQ"
    )
    assert torch.autograd.gradcheck(
        lambda P, Q: spd.distance(P, Q, metric=metric, check=False), (P, Q)
    )


@pytest.mark.parametrize("metric", METRICS)
def test_transforms(metric, with_condition, rng):
    A, B = torch.tensor(with_condition(rng, 3, 1, batch=(2, 4)))
    B[0] = A[0]
    B[1] = 1.01 * A[1]

    def distance(a, b):
        return spd.distance(a, b, metric=metric)

    torch.testing.assert_close(torch.func.vmap(distance)(A, B), distance(A, B))
    leaf = A.clone().requires_grad_()
    distance(leaf, B).sum().backward()
    torch.testing.assert_close(torch.func.vmap(torch.func.grad(distance))(A, B), leaf.grad)


@pytest.mark.filterwarnings("ignore:Dynamo detected a call")
def test_compilation(with_condition, rng):
    A, B = torch.tensor(with_condition(rng, 3, 1, batch=(2, 4)))
    compiled = torch.compile(spd.distance, backend="eager")
    torch.testing.assert_close(compiled(A, B), spd.distance(A, B))

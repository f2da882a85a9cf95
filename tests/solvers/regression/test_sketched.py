from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

from numerics import countsketch, gaussian_sketch, srht
from solvers import SketchedSolution, linf_ratio, linf_row_count, refine, sketched_lstsq
from solvers.regression.bounds import linf_epsilon

DENSE = ("srht", "srct", "gaussian", "gaussian_pooled", "ams")
SPARSE = ("countsketch", "osnap")


@given(
    n=st.integers(60, 400),
    d=st.integers(1, 8),
    k=st.integers(0, 2),
    kind=st.sampled_from(DENSE + SPARSE),
    seed=st.integers(0, 2**32),
)
def test_solution_is_that_of_the_sketched_problem(n, d, k, kind, seed):
    rng = np.random.default_rng(seed)
    A, b = rng.standard_normal((n, d)), rng.standard_normal((n, k) if k else n)
    found = sketched_lstsq(A, b, 55, sketch=kind, rng=seed)
    S = found.sketch.to_dense()
    Y, z = S @ A, S @ b
    np.testing.assert_allclose(found.x, np.linalg.lstsq(Y, z)[0], atol=1e-12)
    np.testing.assert_allclose(found.sigma_min, np.linalg.svd(Y)[1][-1], rtol=1e-10)
    np.testing.assert_allclose(found.R.T @ found.R, Y.T @ Y, atol=1e-11 * n)
    assert isinstance(found, SketchedSolution)
    if kind in SPARSE:
        assert found.stderr is None
        assert found.linf_bound is None
        assert found.epsilon is None
        return
    f = found.sketch.fraction
    left = np.linalg.norm(Y @ found.x - z, axis=0)
    variance = np.diag(np.linalg.inv(Y.T @ Y))
    # By the formulas; where nothing is left out of the sample there is no error.
    residual = left / np.sqrt(1 - (1 - f) * d / 55)
    stderr = np.sqrt((1 - f) / 55) * np.multiply.outer(np.sqrt(variance), residual)
    np.testing.assert_allclose(found.residual_norm, residual, rtol=1e-9)
    np.testing.assert_allclose(found.stderr, stderr, rtol=1e-9)
    assert np.all(found.linf_bound >= np.max(found.stderr, axis=0))


@given(seed=st.integers(0, 2**32), kind=st.sampled_from(DENSE))
def test_laws_of_scale(seed, kind):
    """x'(A, c b) = c x', x'(A, b + A v) = x' + v, and b in the range of A is fitted exactly."""
    rng = np.random.default_rng(seed)
    A, b, v = rng.standard_normal((300, 4)), rng.standard_normal(300), rng.standard_normal(4)
    S = sketched_lstsq(A, b, 60, sketch=kind, rng=seed).sketch

    def solve(b, A=A):
        return sketched_lstsq(A, b, sketch=S)

    one = solve(b)
    np.testing.assert_allclose(solve(-3 * b).x, -3 * one.x, atol=1e-13)
    np.testing.assert_allclose(solve(-3 * b).linf_bound, 3 * one.linf_bound, rtol=1e-12)
    np.testing.assert_allclose(solve(b + A @ v).x, one.x + v, atol=1e-13)
    np.testing.assert_allclose(solve(b + A @ v).stderr, one.stderr, rtol=1e-10)
    np.testing.assert_allclose(solve(A @ v).x, v, atol=1e-13)
    assert solve(A @ v).linf_bound < 1e-13
    scale = 10.0 ** np.array([-9, 0, 4, 9])
    scaled = solve(b, A * scale)
    np.testing.assert_allclose(scaled.x * scale, one.x, rtol=1e-8)
    np.testing.assert_allclose(scaled.stderr * scale, one.stderr, rtol=1e-9)


def test_all_rows_without_replacement_solve_exactly(rng):
    A, b = rng.standard_normal((64, 5)), rng.standard_normal(64)
    exact = np.linalg.lstsq(A, b)[0]
    for kind in ("srht", "srct"):
        found = sketched_lstsq(A, b, 64, sketch=kind, rng=0)
        np.testing.assert_allclose(found.x, exact, atol=1e-13)
        np.testing.assert_allclose(found.residual_norm, np.linalg.norm(b - A @ exact), rtol=1e-12)
        assert found.linf_bound == found.epsilon == 0
    assert sketched_lstsq(A[:5], b[:5], 8, rng=0).linf_bound == 0


def test_student_law_of_a_coordinate():
    """The law behind the row count, by 4000 Gaussian sketches: Kolmogorov's distance is above
    1.63 / sqrt(4000) in one of a hundred seeds, and this seed is fixed."""
    from scipy import stats

    rng = np.random.default_rng(0)
    n, d, m = 40, 3, 8
    A, b = rng.standard_normal((n, d)), rng.standard_t(3, n)
    exact = np.linalg.lstsq(A, b)[0]
    spread = np.linalg.norm(b - A @ exact) * np.sqrt(np.linalg.inv(A.T @ A)[1, 1])
    scores = []
    for _ in range(4000):
        S = rng.standard_normal((m, n)) / np.sqrt(m)
        scores.append(np.linalg.lstsq(S @ A, S @ b)[0][1] - exact[1])
    scores = np.array(scores) * np.sqrt(m - d + 1) / spread
    assert stats.kstest(scores, stats.t(m - d + 1).cdf).statistic < 1.63 / np.sqrt(4000)


@given(
    d=st.integers(1, 60),
    epsilon=st.floats(0.05, 0.95),
    delta=st.floats(0.001, 0.5),
    log2=st.one_of(st.none(), st.integers(6, 20)),
)
def test_row_count_is_the_least(d, epsilon, delta, log2):
    population = None if log2 is None else 2**log2
    m = linf_row_count(d, epsilon, delta, population=population)
    assert m >= d
    assert linf_epsilon(d, m, delta, population) <= epsilon
    if m > d:
        assert linf_epsilon(d, m - 1, delta, population) > epsilon
    if population is None:
        # The leading term, from exp(-t^2 / 2) for the tail of the normal law.
        assert m <= 1.3 * (d + 2 * d * np.log(d / delta) / epsilon**2) + 20
    else:
        assert m <= population


def test_rows_are_chosen(rng):
    A, b = rng.standard_normal((3000, 6)), rng.standard_normal(3000)
    for epsilon in (None, 0.2):
        found = sketched_lstsq(A, b, epsilon=epsilon, delta=0.1, rng=0)
        assert found.m == linf_row_count(6, epsilon or 0.5, 0.1, population=4096)
        assert found.epsilon <= (epsilon or 0.5)
    found = sketched_lstsq(A, b, epsilon=0.2, sketch="gaussian", rng=0)
    assert found.m == linf_row_count(6, 0.2)
    assert sketched_lstsq(A[:100], b[:100], epsilon=0.01, sketch="gaussian").m == 100
    assert sketched_lstsq(A, b, epsilon=0.99, rng=0).m >= 24


def test_sources_give_the_same(tmp_path, rng):
    A, b = rng.standard_normal((3000, 5)), rng.standard_normal((3000, 2))
    S = srht(3000, 100, rng=0)
    one = sketched_lstsq(A, b, sketch=S)
    on_disk = np.memmap(tmp_path / "A", dtype=np.float64, mode="w+", shape=A.shape)
    on_disk[:] = A
    sources = {
        "memmap": on_disk,
        "Fortran": np.asfortranarray(A),
        "list": np.array_split(A, 7),
        "iterator": iter(np.array_split(A, 7)),
        "generator": (A[i : i + 11] for i in range(0, 3000, 11)),
        "csr": scipy.sparse.csr_array(A),
    }
    for name, source in sources.items():
        found = sketched_lstsq(source, b, sketch=S)
        np.testing.assert_allclose(found.x, one.x, atol=1e-13, err_msg=name)
        np.testing.assert_allclose(found.stderr, one.stderr, rtol=1e-10)


def test_dask(rng):
    dask = pytest.importorskip("dask.array")
    A, b = rng.standard_normal((1000, 4)), rng.standard_normal(1000)
    S = srht(1000, 80, rng=0)
    found = sketched_lstsq(dask.from_array(A, chunks=(300, 4)), b, sketch=S)
    np.testing.assert_allclose(found.x, sketched_lstsq(A, b, sketch=S).x, atol=1e-13)


def test_kinds(xp, rng):
    A, b = rng.standard_normal((400, 5)), rng.standard_normal((400, 2))
    one = sketched_lstsq(A, b, 60, rng=3)
    found = sketched_lstsq(xp.asarray(A), xp.asarray(b), 60, rng=3)
    for name in ("x", "stderr", "R"):
        np.testing.assert_allclose(
            xp.numpy(getattr(found, name)), getattr(one, name), atol=10 * xp.tol, err_msg=name
        )
    np.testing.assert_allclose(found.linf_bound, one.linf_bound, rtol=xp.tol)
    single = sketched_lstsq(xp.asarray(A), xp.asarray(b[:, 0]), 60, rng=3)
    assert isinstance(single.linf_bound, float)
    np.testing.assert_allclose(xp.numpy(single.x), one.x[:, 0], atol=xp.tol)


def test_gradients(rng):
    torch = pytest.importorskip("torch")
    A = torch.tensor(rng.standard_normal((40, 3)), requires_grad=True)
    b = torch.tensor(rng.standard_normal(40), requires_grad=True)
    for S in (srht(40, 16, rng=0), gaussian_sketch(40, 16, rng=0)):
        assert torch.autograd.gradcheck(lambda A, b, S=S: sketched_lstsq(A, b, sketch=S).x, (A, b))
    assert not sketched_lstsq(A, b, 20).stderr.requires_grad


@given(seed=st.integers(0, 2**32))
def test_refinement_contracts(seed):
    """By the distortion of the embedding, and exactly with the triangle of A."""
    rng = np.random.default_rng(seed)
    A, b = rng.standard_normal((800, 5)), rng.standard_normal((800, 2))
    exact = np.linalg.lstsq(A, b)[0]
    found = sketched_lstsq(A, b, 160, rng=seed)
    R = np.linalg.qr(A)[1]
    spectrum = np.linalg.svd(R @ np.linalg.inv(found.R))[1] ** 2
    rate = np.max(np.abs(1 - spectrum))
    x = found.x
    for _ in range(3):
        better = refine(x, A, b, found.R)
        errors = [np.linalg.norm(found.R @ (y - exact)) for y in (x, better)]
        assert errors[1] <= rate * errors[0] * (1 + 1e-9)
        x = better
    np.testing.assert_allclose(refine(found.x, A, b, R), exact, atol=1e-13)
    np.testing.assert_allclose(refine(found.x[:, 0], A, b[:, 0], R), exact[:, 0], atol=1e-13)


def test_ratio(xp, rng):
    A, b = rng.standard_normal((50, 4)), rng.standard_normal((50, 2))
    exact = np.linalg.lstsq(A, b)[0]
    x = exact + np.array([[0.1, 0.0], [0, 0], [-0.3, 0], [0, 0.2]])
    left = np.linalg.norm(b - A @ exact, axis=0)
    ratio = 2 * np.array([0.3, 0.2]) * np.linalg.svd(A)[1][-1] / left
    got = linf_ratio(xp.asarray(x), xp.asarray(A), xp.asarray(b))
    np.testing.assert_allclose(got, ratio, rtol=100 * xp.tol)
    assert linf_ratio(np.ones(2), np.eye(3, 2), np.zeros(3)) == np.inf


def test_a_lost_rank_is_an_error_with_the_singular_value(rng):
    A, b = np.eye(100, 4), np.ones(100)
    rows, signs = np.zeros(100, int), np.ones(100, int)
    S = countsketch(100, 20, rows=rows, signs=signs)
    with pytest.raises(np.linalg.LinAlgError, match=r"sigma_min = .*countsketch, m = 20"):
        sketched_lstsq(A, b, sketch=S)
    low = rng.standard_normal((500, 2)) @ rng.standard_normal((2, 4))
    for dtype in (np.float64, np.float32):
        with pytest.raises(np.linalg.LinAlgError, match="sigma_min"):
            sketched_lstsq(low.astype(dtype), np.ones(500, dtype), 50, rng=0)


def test_few_rows_are_warned_of(rng):
    A, b = rng.standard_normal((200, 6)), rng.standard_normal(200)
    with pytest.warns(RuntimeWarning, match="m = 23 is less than 4d = 24"):
        sketched_lstsq(A, b, 23, rng=0)
    with pytest.warns(RuntimeWarning):
        found = sketched_lstsq(A, b, 6, rng=0)
    # As many equations as unknowns leave nothing to judge the error by.
    assert found.linf_bound == np.inf


def test_inputs_are_left_alone_and_seeds_repeat(rng):
    A, b = rng.standard_normal((100, 3)), rng.standard_normal(100)
    before = A.copy(), b.copy()
    one, two = (sketched_lstsq(A, b, 20, rng=4) for _ in range(2))
    np.testing.assert_array_equal(one.x, two.x)
    np.testing.assert_array_equal(A, before[0])
    np.testing.assert_array_equal(b, before[1])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda A, b: sketched_lstsq(A, b[:-1]), ValueError, r"b must have shape \(50,\)"),
        (lambda A, b: sketched_lstsq(A[:2], b[:2]), ValueError, "A must have at least as many"),
        (lambda A, b: sketched_lstsq(A, b, 2), ValueError, "m must be at least d = 3"),
        (lambda A, b: sketched_lstsq(A, b, 65), ValueError, "m must be at most 64"),
        (lambda A, b: sketched_lstsq(A, b, 51, sketch="ams"), ValueError, "m must be at most n"),
        (lambda A, b: sketched_lstsq(A, b, 9.5), TypeError, "m must be an integer"),
        (lambda A, b: sketched_lstsq(A, b, epsilon=0), ValueError, "epsilon must be between"),
        (lambda A, b: sketched_lstsq(A, b, epsilon=1.0), ValueError, "epsilon must be between"),
        (lambda A, b: sketched_lstsq(A, b, 20, epsilon=0.5), ValueError, "epsilon must not"),
        (lambda A, b: sketched_lstsq(A, b, delta=1), ValueError, "delta must be between"),
        (lambda A, b: sketched_lstsq(A, b, delta="a"), TypeError, "delta must be a real"),
        (lambda A, b: sketched_lstsq(A, b, sketch="dct"), ValueError, "sketch must be one of"),
        (lambda A, b: sketched_lstsq(A, b, sketch=srht(9, 4)), ValueError, "sketch must be of 50"),
        (lambda A, b: sketched_lstsq(A, b, 9, sketch=srht(50, 8)), ValueError, "m and epsilon"),
        (lambda A, b: sketched_lstsq(A * np.nan, b), ValueError, "A must be finite"),
        (lambda A, b: sketched_lstsq(A, b * np.inf), ValueError, "b must be finite"),
        (lambda A, b: sketched_lstsq(A * 1j, b), TypeError, "A must"),
        (lambda A, b: sketched_lstsq([A, A[:, :2]], np.ones(100)), ValueError, "block 2 has 2"),
        (lambda A, b: sketched_lstsq([A, A], np.ones(120)), ValueError, "end at row 100 of 120"),
        (lambda A, b: linf_row_count(0, 0.5), ValueError, "d must be at least 1"),
        (lambda A, b: linf_row_count(3, 1.5), ValueError, "epsilon must be between"),
        (lambda A, b: linf_row_count(3, 0.5, 0), ValueError, "delta must be between"),
        (lambda A, b: linf_row_count(3, 0.5, population=2), ValueError, "population must be"),
        (lambda A, b: linf_ratio(np.ones(2), A, b), ValueError, r"x must have shape \(3,\)"),
        (lambda A, b: linf_ratio(np.ones(3), A * 0, b), np.linalg.LinAlgError, "got rank 0"),
        (lambda A, b: refine(np.ones(2), A, b, np.eye(3)), ValueError, r"x must have shape \(3,\)"),
        (lambda A, b: refine(np.ones(3), A, b, np.eye(2)), ValueError, "R must have shape"),
        (lambda A, b: refine(np.ones(3), A, b, np.zeros((3, 3))), ValueError, "without zeros"),
        (lambda A, b: refine(np.ones(3) * 1j, A, b, np.eye(3)), TypeError, "x must be real"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call(np.eye(50, 3) + 0.1, np.ones(50))

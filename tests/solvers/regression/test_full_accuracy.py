from __future__ import annotations

import tracemalloc
import warnings

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse
from hypothesis import assume, given
from hypothesis import strategies as st

from numerics import ConvergenceWarning
from solvers import LstsqSolution, lstsq, sketched_lstsq

METHODS = ("qr", "normal", "iterative_sketch", "precondition")
EPS = float(np.finfo(np.float64).eps)


class Blocks:
    """Row blocks that can be read again."""

    def __init__(self, A, size):
        self.A, self.size, self.readings = A, size, 0

    def __iter__(self):
        self.readings += 1
        yield from (self.A[i : i + self.size] for i in range(0, len(self.A), self.size))


def conditioned(rng, n, d, condition, residual):
    """A with that condition number and b with a solution of length 1 and that residual."""
    U = np.linalg.qr(rng.standard_normal((n, d)))[0]
    V = np.linalg.qr(rng.standard_normal((d, d)))[0]
    A = (U * np.geomspace(1, 1 / condition, d)) @ V.T
    x = rng.standard_normal(d)
    r = rng.standard_normal(n)
    r -= U @ (U.T @ r)
    return A, A @ (x / np.linalg.norm(x)) + r * (residual / np.linalg.norm(r))


def reference(A, b):
    """The solution by refinement of the augmented system with residuals in long double."""
    Q, R = np.linalg.qr(A)
    wide, right = A.astype(np.longdouble), b.astype(np.longdouble)
    x = scipy.linalg.solve_triangular(R, Q.T @ b).astype(np.longdouble)
    r = right - wide @ x
    for _ in range(8):
        f, g = (right - r - wide @ x).astype(float), -(wide.T @ r).astype(float)
        h = scipy.linalg.solve_triangular(R, g, trans=1)
        x = x + scipy.linalg.solve_triangular(R, Q.T @ f - h)
        r = r + f - Q @ (Q.T @ f) + Q @ h
    return x.astype(float)


@given(
    n=st.integers(1, 300),
    d=st.integers(1, 12),
    k=st.integers(0, 3),
    method=st.sampled_from(METHODS),
    ridge=st.sampled_from([0.0, 0.7]),
    seed=st.integers(0, 2**32),
)
def test_gradient_is_zero(n, d, k, method, ridge, seed):
    rng = np.random.default_rng(seed)
    n = max(n, 6 * d)
    A, b = rng.standard_normal((n, d)), rng.standard_normal((n, k) if k else n)
    solution = lstsq(A, b, method=method, ridge=ridge, rng=seed)
    # Of small problems it leaves a few unsolved: see the test below.
    assume(method != "iterative_sketch" or solution.converged)
    residual = b - A @ solution.x
    assert solution.x.shape == (d, *b.shape[1:])
    assert (solution.method, solution.rank, solution.converged) == (method, d, True)
    # Gaussian matrices this tall have condition numbers below ten or so.
    scale = np.linalg.norm(A) * np.linalg.norm(b)
    assert np.linalg.norm(A.T @ residual - ridge * solution.x) <= 1e-13 * scale
    np.testing.assert_allclose(solution.residual_norm, np.linalg.norm(residual, axis=0), rtol=1e-7)


def test_iterative_sketch_says_where_its_sketch_is_too_poor():
    unsolved = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        A, b = rng.standard_normal((53, 6)), rng.standard_normal(53)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            converged = lstsq(A, b, method="iterative_sketch", rng=seed).converged
        assert converged == (not caught)
        unsolved += not converged
    # 3 of 300 draws of this shape; more than 5 of 100 have a chance below 1e-3.
    assert unsolved <= 5


@pytest.mark.parametrize("residual", [1e-6, 1e-3])
@pytest.mark.parametrize("condition", [1e2, 1e5, 1e8, 1e10])
def test_forward_error_is_that_of_householder_qr(condition, residual):
    """In the geometric mean over problems, since single errors are those of chance."""
    logs = {method: [] for method in (*METHODS, "auto")}
    for seed in range(6):
        A, b = conditioned(np.random.default_rng(seed), 1500, 20, condition, residual)
        exact = reference(A, b)
        Q, R = np.linalg.qr(A)
        ours = np.linalg.norm(scipy.linalg.solve_triangular(R, Q.T @ b) - exact)
        for method in logs:
            if method == "normal" and condition > 1e6:
                continue
            x = lstsq(A, b, method=method, rtol=1e-14, rng=seed).x
            logs[method].append(np.log(np.linalg.norm(x - exact) / ours))
    for method, values in logs.items():
        assert not values or np.exp(np.mean(values)) <= 3, method


@pytest.mark.parametrize("method", METHODS)
def test_backward_error_is_of_rounding(method, rng):
    """The smallest change of A, normwise, for which x is exact (Waldén, Karlson, Sun 1995)."""
    A, b = conditioned(rng, 800, 10, 1e5 if method == "normal" else 1e11, 1e-2)
    x = lstsq(A, b, method=method, rtol=1e-14, rng=0).x
    r = b - A @ x
    eta = np.linalg.norm(r) / np.linalg.norm(x)
    B = np.column_stack((A, eta * (np.eye(800) - np.outer(r, r) / (r @ r))))
    smallest = np.linalg.svd(B, compute_uv=False)[-1]
    # Evaluating the formula has an error of some roundings of |A| itself.
    assert min(eta, smallest) <= 200 * EPS * np.linalg.norm(A)


@pytest.mark.parametrize("method", ["qr", "iterative_sketch", "precondition", "auto"])
@pytest.mark.parametrize("columns", [0, 2])
def test_rank_deficient(method, columns, rng):
    A = rng.standard_normal((500, 4)) @ rng.standard_normal((4, 7))
    b = rng.standard_normal((500, columns) if columns else 500)
    solution = lstsq(A, b, method=method, rng=1)
    exact, _, rank, _ = np.linalg.lstsq(A, b, rcond=1e-12)
    assert solution.rank == rank == 4
    np.testing.assert_allclose(solution.x, exact, atol=1e-13)
    np.testing.assert_allclose(
        solution.residual_norm, np.linalg.norm(b - A @ exact, axis=0), rtol=1e-10
    )


def test_what_counts_as_zero(rng):
    A, b = conditioned(rng, 400, 8, 1e6, 1e-3)
    for method in ("qr", "iterative_sketch"):
        for rtol in (1e-3, 0.1):
            solution = lstsq(A, b, rtol=rtol, method=method, rng=0)
            exact, _, rank, _ = np.linalg.lstsq(A, b, rcond=rtol)
            # The sketch sees singular values a little off, of which none is near the limit here.
            assert solution.rank == rank
            if method == "qr":
                np.testing.assert_allclose(solution.x, exact, atol=1e-9)
    assert lstsq(np.zeros((9, 2)), np.ones(9)).rank == 0
    np.testing.assert_array_equal(lstsq(np.zeros((9, 2)), np.ones(9)).x, np.zeros(2))


@given(seed=st.integers(0, 2**32), power=st.integers(-8, 8), method=st.sampled_from(METHODS))
def test_ridge_is_rows_below(seed, power, method):
    """Even where A lacks rank, and with weights from nothing to everything."""
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((120, 3)) @ rng.standard_normal((3, 5))
    b, ridge = rng.standard_normal(120), 10.0**power
    if method == "normal" and power < -4:
        return
    below = np.vstack((A, np.sqrt(ridge) * np.eye(5))), np.concatenate((b, np.zeros(5)))
    exact = np.linalg.lstsq(*below)[0]
    solution = lstsq(A, b, ridge=ridge, method=method, rng=seed)
    # The first order bound: its condition number squared, some 900 / ridge, times the residual.
    atol = 1e-13 * (1 + 1 / ridge) * max(1, np.linalg.norm(exact))
    np.testing.assert_allclose(solution.x, exact, atol=atol)
    left = np.linalg.norm(b - A @ exact)
    np.testing.assert_allclose(solution.residual_norm, left, rtol=1e-6)


def test_bad_scales_of_columns(rng):
    """Solutions scale with the columns, in every method."""
    A, b = rng.standard_normal((900, 6)), rng.standard_normal(900)
    scale = 10.0 ** np.arange(-9, 9, 3)
    exact = np.linalg.lstsq(A, b)[0]
    for method in (*METHODS, "auto"):
        x = lstsq(A * scale, b, method=method, rtol=0, rng=0).x
        np.testing.assert_allclose(x * scale, exact, rtol=1e-11)


def test_sources(tmp_path, rng):
    A, b = rng.standard_normal((5000, 6)), rng.standard_normal((5000, 2))
    exact = np.linalg.lstsq(A, b)[0]
    on_disk = np.memmap(tmp_path / "A", dtype=np.float64, mode="w+", shape=A.shape)
    on_disk[:] = A
    wide = np.zeros((5000, 12))
    wide[:, ::2] = A
    sources = {
        "memmap": on_disk,
        "strided": wide[:, ::2],
        "Fortran": np.asfortranarray(A),
        "list": [A[:7], A[7:7], A[7:4000], A[4000:]],
        "blocks": Blocks(A, 333),
        "csr": scipy.sparse.csr_array(A),
        "csc": scipy.sparse.csc_matrix(A),
        "sparse blocks": Blocks(scipy.sparse.csr_array(A), 1000).A,
    }
    for name, source in sources.items():
        for method in METHODS:
            x = lstsq(source, b, method=method, rng=0).x
            np.testing.assert_allclose(x, exact, atol=1e-14, err_msg=f"{name} {method}")
    once = lstsq((A[i : i + 999] for i in range(0, 5000, 999)), b)
    assert once.method == lstsq(on_disk, b).method == "qr"
    np.testing.assert_allclose(once.x, exact, atol=1e-14)
    again = Blocks(A, 500)
    lstsq(again, b)
    # The first block is looked at, and then all are read once.
    assert again.readings == 2
    np.testing.assert_array_equal(on_disk, A)


def test_blocks_of_tensors(rng):
    torch = pytest.importorskip("torch")
    A, b = torch.tensor(rng.standard_normal((900, 3))), torch.tensor(rng.standard_normal(900))
    exact = np.linalg.lstsq(A.numpy(), b.numpy())[0]
    for method in METHODS:
        x = lstsq(Blocks(A, 100), b, method=method, rng=0).x
        assert isinstance(x, torch.Tensor)
        np.testing.assert_allclose(x.numpy(), exact, atol=1e-14)
    found = sketched_lstsq(iter(A.split(90)), b, 40, rng=0)
    whole = sketched_lstsq(A, b, 40, rng=0)
    np.testing.assert_allclose(found.x.numpy(), whole.x.numpy(), atol=1e-13)
    with pytest.raises(TypeError, match="b may require gradients only where A is a tensor"):
        lstsq(Blocks(A, 100), b.clone().requires_grad_())


def test_a_matrix_on_disk_is_not_held(tmp_path, rng):
    """All methods work in a few blocks and what has the size of b."""
    A = np.memmap(tmp_path / "A", dtype=np.float64, mode="w+", shape=(2**19, 8))
    A[:] = rng.standard_normal(A.shape)
    b = rng.standard_normal(2**19)
    for method in ("qr", "normal"):
        tracemalloc.start()
        lstsq(A, b, method=method)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < A.nbytes / 2


@pytest.mark.parametrize("method", [*METHODS, "auto"])
def test_large_and_small_numbers(method, rng):
    A, b = rng.standard_normal((1000, 6)), rng.standard_normal(1000)
    exact = np.linalg.lstsq(A, b)[0]
    for scale in (1e-120, 1e120):
        x = lstsq(A * scale, b, method=method, rng=0).x
        np.testing.assert_allclose(x * scale, exact, atol=1e-14)


def test_what_overflows_is_refused():
    A = np.eye(50, 3) * 1e200
    with pytest.raises(np.linalg.LinAlgError, match="overflows"):
        lstsq(A, np.ones(50), method="normal")


def test_dask(rng):
    dask = pytest.importorskip("dask.array")
    A, b = rng.standard_normal((3000, 4)), rng.standard_normal(3000)
    exact = np.linalg.lstsq(A, b)[0]
    source = dask.from_array(A, chunks=(700, 3))
    for method in METHODS:
        np.testing.assert_allclose(lstsq(source, b, method=method, rng=0).x, exact, atol=1e-14)


def test_kinds(xp, rng):
    A, b = rng.standard_normal((400, 5)), rng.standard_normal((400, 2))
    exact = np.linalg.lstsq(A, b)[0]
    for method in (*METHODS, "auto"):
        for right, wanted in ((b, exact), (b[:, 0], exact[:, 0])):
            got = lstsq(xp.asarray(A), xp.asarray(right), method=method, rng=0).x
            np.testing.assert_allclose(xp.numpy(got), wanted, atol=xp.tol)
    integers = np.arange(40).reshape(20, 2) ** 2
    assert lstsq(integers, np.arange(20)).x.dtype == np.float64


def test_single_precision_is_solved_in_double(rng):
    A, b = conditioned(rng, 600, 6, 1e6, 1e-6)
    A, b = A.astype(np.float32), b.astype(np.float32)
    exact = np.linalg.lstsq(A.astype(float), b.astype(float))[0]
    for method in METHODS:
        x = lstsq(A, b, method=method, rng=0).x
        np.testing.assert_allclose(x, exact, rtol=1e-6)


def test_torch_device_algebra_agrees(rng, monkeypatch):
    """What runs on a device runs as well on the host."""
    torch = pytest.importorskip("torch")
    import solvers.regression._problem as module

    real = module.open_problem

    def on_device(A, b, ridge=0.0):
        problem = real(A, b, ridge)
        if not isinstance(b, torch.Tensor):
            return problem
        source = module.open_rows(A.detach())
        algebra = module.DeviceAlgebra(b.device)
        right = algebra.block(b.detach()).reshape(len(b), -1)
        return module.Problem(problem.frame, algebra, source, right, problem.ridge, problem.vector)

    monkeypatch.setattr("solvers.regression.full_accuracy.open_problem", on_device)
    A, b = rng.standard_normal((600, 7)), rng.standard_normal((600, 2))
    thin = A[:, :3] @ rng.standard_normal((3, 7))
    for method in METHODS:
        for data, ridge in ((A, 0.0), (A, 2.0), (thin, 0.0)):
            if method == "normal" and data is thin:
                continue
            ours = lstsq(data, b, method=method, ridge=ridge, rng=0)
            got = lstsq(torch.tensor(data), torch.tensor(b), method=method, ridge=ridge, rng=0)
            np.testing.assert_allclose(got.x.numpy(), ours.x, atol=1e-13)
            assert (got.rank, got.method) == (ours.rank, ours.method)
            np.testing.assert_allclose(got.residual_norm, ours.residual_norm, rtol=1e-7)


@pytest.mark.parametrize("method", METHODS)
def test_gradients(method, rng):
    torch = pytest.importorskip("torch")
    A = torch.tensor(rng.standard_normal((12, 2)), requires_grad=True)
    b = torch.tensor(rng.standard_normal((12, 2)), requires_grad=True)

    def solve(A, b, ridge=0.0):
        return lstsq(A, b, method=method, ridge=ridge, rng=0).x

    assert torch.autograd.gradcheck(solve, (A, b))
    assert torch.autograd.gradcheck(lambda A: solve(A, b[:, 0].detach(), 1.5), (A,))
    assert torch.autograd.gradgradcheck(solve, (A, b), fast_mode=True)


def test_gradient_with_the_rank_held(rng):
    """Along matrices of rank 2, where the solution of smallest norm is smooth."""
    torch = pytest.importorskip("torch")
    left = torch.tensor(rng.standard_normal((20, 2)), requires_grad=True)
    right = torch.tensor(rng.standard_normal((2, 4)), requires_grad=True)
    b = torch.tensor(rng.standard_normal(20), requires_grad=True)

    def solve(left, right, b):
        return lstsq(left @ right, b, method="qr").x

    assert torch.autograd.gradcheck(solve, (left, right, b))
    x = solve(left, right, b)
    (first,) = torch.autograd.grad(x.sum(), left, create_graph=True)
    with pytest.raises(RuntimeError, match="graph"):
        torch.autograd.grad(first.sum(), left)


def test_choice(rng):
    A, b = conditioned(rng, 4000, 8, 10, 0.1)
    assert lstsq(A, b).method == "normal"
    assert lstsq(A[:20], b[:20]).method == "qr"
    A, b = conditioned(rng, 4000, 8, 1e9, 0.1)
    assert lstsq(A, b).method == "qr"
    assert lstsq(scipy.sparse.csr_array(A), b, rng=0).method == "precondition"
    # Rows that are looked at say nothing of the others.
    A = np.zeros((4000, 8))
    A[1:9] = np.eye(8) * np.geomspace(1, 1e-9, 8)
    A[::2] = rng.standard_normal((2000, 1))
    assert lstsq(A, np.ones(4000)).method == "qr"


def test_the_result_is_frozen_and_reproducible(rng):
    A, b = rng.standard_normal((300, 4)), rng.standard_normal(300)
    before = A.copy(), b.copy()
    one, two = (lstsq(A, b, method="iterative_sketch", rng=5) for _ in range(2))
    np.testing.assert_array_equal(one.x, two.x)
    assert isinstance(one, LstsqSolution)
    assert isinstance(one.residual_norm, float)
    np.testing.assert_allclose(one.condition, np.linalg.cond(A), rtol=1)
    with pytest.raises(AttributeError):
        one.x = None
    np.testing.assert_array_equal(A, before[0])
    np.testing.assert_array_equal(b, before[1])


def test_an_inaccurate_solution_is_announced(rng):
    A, b = conditioned(rng, 600, 6, 3e7, 1.0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        solution = lstsq(A, b, method="normal", rtol=0)
    assert solution.converged != any(w.category is ConvergenceWarning for w in caught)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: lstsq(np.ones((2, 3)), np.ones(2)), ValueError, "A must have at least as many"),
        (lambda: lstsq(np.ones((0, 0)), np.ones(0)), ValueError, "b must have shape"),
        (lambda: lstsq(np.ones((3, 0)), np.ones(3)), ValueError, "A must have at least|A must"),
        (lambda: lstsq(np.ones(3), np.ones(3)), ValueError, r"A must have shape \(n, d\)"),
        (lambda: lstsq(np.ones((2, 3, 3)), np.ones(3)), ValueError, "A must have"),
        (lambda: lstsq(np.ones((5, 2)), np.ones(4)), ValueError, r"b must have shape \(5,\)"),
        (lambda: lstsq(np.ones((5, 2)), np.ones((5, 1, 1))), ValueError, "b must have shape"),
        (lambda: lstsq(np.ones((5, 2)), np.ones((5, 0))), ValueError, "b must have shape"),
        (lambda: lstsq(np.ones((5, 2)), [1, 2, np.nan, 4, 5]), ValueError, "b must be finite"),
        (lambda: lstsq(np.ones((5, 2)) * 1j, np.ones(5)), TypeError, "A must"),
        (lambda: lstsq(np.ones((5, 2)), np.ones(5) * 1j), TypeError, "b must be real"),
        (lambda: lstsq(np.ones((5, 2)), np.ones(5), method="lu"), ValueError, "method must"),
        (lambda: lstsq(np.ones((5, 2)), np.ones(5), ridge=-1), ValueError, "ridge must"),
        (lambda: lstsq(np.ones((5, 2)), np.ones(5), rtol=1.5), ValueError, "rtol must"),
        (lambda: lstsq(np.ones((5, 2)), np.ones(5), rng="a"), TypeError, "rng must"),
        (lambda: lstsq("abc", np.ones(5)), TypeError, "A must"),
        (
            lambda: lstsq(np.ones((50, 2)), np.ones(50), method="normal"),
            np.linalg.LinAlgError,
            "singular in floating point",
        ),
        (
            lambda: lstsq(iter([np.ones((5, 2))]), np.ones(5), method="precondition"),
            ValueError,
            "A must be readable more than once.*pass an array",
        ),
        (
            lambda: lstsq([np.ones((5, 2)), np.ones((5, 3))], np.ones(10)),
            ValueError,
            "block 2 has 3 columns",
        ),
        (lambda: lstsq([np.ones((5, 2))] * 2, np.ones(12)), ValueError, "end at row 10 of 12"),
        (lambda: lstsq([np.ones((5, 2))] * 2, np.ones(8)), ValueError, "past the last of 8"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("method", [*METHODS, "auto"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_the_rows_that_are_not_finite_are_named(method, value, rng):
    A = rng.standard_normal((3000, 4))
    A[2345, 1] = value
    with pytest.raises(ValueError, match=r"A must be finite.*2345"):
        lstsq(A, np.ones(3000), method=method, rng=0)
    if method == "qr":
        with pytest.raises(ValueError, match=r"A must be finite.*2345"):
            lstsq(iter(np.split(A, 3)), np.ones(3000), method=method)


def test_libraries_are_not_mixed():
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match="mix array libraries"):
        lstsq(np.ones((5, 2)), torch.ones(5))
    with pytest.raises(TypeError, match="mix array libraries"):
        lstsq(torch.ones(5, 2), np.ones(5))

"""Each family against its written-out matrix, and the identities that all of them share."""

from __future__ import annotations

import functools
import itertools
import operator
import pickle

import numpy as np
import pytest
import scipy.fft
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from numerics import (
    Guarantee,
    ams_sketch,
    countsketch,
    gaussian_pooled,
    gaussian_sketch,
    oce_beta,
    osnap,
    srct,
    srht,
    tensor_srht,
)


def tensor_of(n, m, **options):
    n1 = next(k for k in range(int(n**0.5), 0, -1) if n % k == 0)
    return tensor_srht((n1, n // n1), m, **options)


FAMILIES = {
    "srht": srht,
    "srct": srct,
    "gaussian": gaussian_sketch,
    "ams": ams_sketch,
    "gaussian_pooled": gaussian_pooled,
    "countsketch": countsketch,
    "osnap": lambda n, m, **options: osnap(n, m, **{"s": min(4, m), **options}),
    "tensor_srht": tensor_of,
}
every_family = pytest.mark.parametrize("kind", FAMILIES)


def hadamard(N):
    return scipy.linalg.hadamard(N) if N > 1 else np.ones((1, 1))


def power_of_two(n):
    return 1 << (n - 1).bit_length()


def written_out(S):
    """S from its formula and its draws."""
    n, m = S.n, S.m
    if S.kind == "srht":
        return hadamard(power_of_two(n))[S.rows, :n] * S.signs / np.sqrt(m)
    if S.kind == "srct":
        C = scipy.fft.dct(np.eye(n), axis=0, norm="ortho")
        return np.sqrt(n / m) * C[S.rows] * S.signs
    if S.kind == "gaussian_pooled":
        N = S.permutation.size
        F = hadamard(N)[S.permutation, :n] / np.sqrt(N) * S.signs
        B = np.arange(N) * m // N == np.arange(m)[:, None]
        return B @ (S.weights[:, None] * F)
    if S.kind == "tensor_srht":
        (n1, n2), (N1, N2) = S.sizes, map(power_of_two, S.sizes)
        left = hadamard(N1)[S.rows1, :n1] * S.signs1
        right = hadamard(N2)[S.rows2, :n2] * S.signs2
        return (left[:, :, None] * right[:, None, :]).reshape(m, n) / np.sqrt(m)
    dense = np.zeros((m, n))
    rows = S.rows.reshape(n, -1)
    for k in range(rows.shape[1]):
        dense[rows[:, k], np.arange(n)] = S.signs.reshape(rows.shape)[:, k] / rows.shape[1] ** 0.5
    return dense


@pytest.mark.parametrize(
    "kind", ["srht", "srct", "gaussian_pooled", "countsketch", "osnap", "tensor_srht"]
)
@given(n=st.integers(1, 70), share=st.floats(0, 1), seed=st.integers(0, 2**32))
def test_matrix_is_the_formula(kind, n, share, seed):
    S = FAMILIES[kind](n, 1 + int(share * (n - 1)), rng=seed)
    exact = written_out(S)
    assert S.shape == exact.shape
    # Sums of at most 128 terms of the size of the entries.
    np.testing.assert_allclose(S.to_dense(), exact, atol=1e-13 * np.abs(exact).max())


@every_family
@pytest.mark.parametrize("d", [1, 3, 8, 19, 70])
@pytest.mark.parametrize("n", [1, 31, 700, 5000])
def test_products_are_those_of_the_matrix(kind, n, d):
    """Block lengths from one row to several strips, widths from one column to several panels."""
    m = min(n, 40)
    rng = np.random.default_rng(n + d)
    S, A = FAMILIES[kind](n, m, rng=rng), rng.standard_normal((n, d))
    D = S.to_dense()
    Y = rng.standard_normal((m, d))
    # The error of a sum of n terms of random sign grows like its own size.
    scale = np.sqrt(n)
    np.testing.assert_allclose(S @ A, D @ A, atol=1e-14 * scale * np.abs(D @ A).max())
    adjoint = D.T @ Y
    np.testing.assert_allclose(S.apply_adjoint(Y), adjoint, atol=1e-13 * np.abs(adjoint).max())
    operator = S.as_linear_operator()
    np.testing.assert_array_equal(operator @ A, S @ A)
    np.testing.assert_array_equal(operator.H @ Y, S.apply_adjoint(Y))
    np.testing.assert_array_equal(S @ A[:, 0], (S @ A[:, :1])[:, 0])
    np.testing.assert_allclose(S @ csr_array(A), S @ A, atol=1e-13 * np.abs(D @ A).max())


@every_family
def test_adjoint_columns_and_scale(kind):
    rng = np.random.default_rng(3)
    S, A = FAMILIES[kind](600, 50, rng=1), rng.standard_normal((600, 20))
    order = rng.permutation(20)
    b, y = rng.standard_normal(600), rng.standard_normal(50)
    np.testing.assert_allclose(S @ A[:, order], (S @ A)[:, order], atol=1e-13)
    np.testing.assert_allclose(S @ (8 * A), 8 * (S @ A), atol=1e-12)
    # The blocks of a wider matrix hold fewer rows, so that sums are taken in another order.
    whole = S @ np.column_stack((A, b))
    np.testing.assert_allclose(whole, np.column_stack((S @ A, S @ b)), atol=1e-12)
    assert abs((S @ b) @ y - b @ S.apply_adjoint(y)) < 1e-11


@every_family
def test_seeds_and_draws_make_the_same_sketch_again(kind):
    A = np.random.default_rng(0).standard_normal((360, 9))
    S = FAMILIES[kind](360, 50, rng=11)
    for again in (
        FAMILIES[kind](360, 50, rng=11),
        FAMILIES[kind](360, 50, **S.draws),
        pickle.loads(pickle.dumps(S)),
    ):
        np.testing.assert_array_equal(again @ A, S @ A)
    assert np.abs(FAMILIES[kind](360, 50, rng=12) @ A - S @ A).max() > 0.1
    assert repr(S) == f"<{kind} sketch, 50 x 360>"


@every_family
def test_kinds_and_precisions(kind, xp):
    rng = np.random.default_rng(5)
    S = FAMILIES[kind](300, 30, rng=rng)
    A, Y = rng.standard_normal((300, 17)), rng.standard_normal((30, 4))
    D = S.to_dense()
    np.testing.assert_allclose(xp.numpy(S.to_dense(like=xp.asarray(A))), D, atol=xp.tol)
    for values in (A, A[:, ::2], A[:, 0], np.asfortranarray(A)):
        got = xp.numpy(S @ xp.asarray(values))
        np.testing.assert_allclose(got, D @ values, atol=10 * xp.tol)
    got = xp.numpy(S.apply_adjoint(xp.asarray(Y)))
    np.testing.assert_allclose(got, D.T @ Y, atol=10 * xp.tol)


@every_family
def test_gradient(kind):
    torch = pytest.importorskip("torch")
    S = FAMILIES[kind](24, 7, rng=2)
    A = torch.randn(24, 3, dtype=torch.float64, requires_grad=True)
    Y = torch.randn(7, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(S.apply, A)
    assert torch.autograd.gradcheck(S.apply_adjoint, Y)
    assert torch.autograd.gradcheck(lambda B: S.apply_rows(5, B), A[:11])
    assert torch.autograd.gradgradcheck(lambda B: (S @ B) ** 2, A)


@every_family
@pytest.mark.parametrize("n", [350, 9000])
def test_device_path_is_the_compiled_one(kind, n):
    """What runs on an accelerator, here on the host."""
    torch = pytest.importorskip("torch")
    S = FAMILIES[kind](n, 40, rng=3)
    A, Y = torch.randn(n, 3, dtype=torch.float64), torch.randn(40, 3, dtype=torch.float64)
    for start, stop in ((0, n), (7, n - 1), (n // 2, n // 2 + 9)):
        got = S._device_rows(start, A[start:stop]).numpy()
        np.testing.assert_allclose(got, S.apply_rows(start, A[start:stop].numpy()), atol=1e-11)
        got = S._device_adjoint_rows(start, stop, Y).numpy()
        np.testing.assert_allclose(got, S.apply_adjoint(Y.numpy())[start:stop], atol=1e-12)


@every_family
def test_integers_are_promoted(kind):
    A = np.full((300, 9), 100, np.int8)
    S = FAMILIES[kind](300, 20, rng=0)
    np.testing.assert_array_equal(S @ A, S @ A.astype(float))
    assert (S @ A).dtype == np.float64


@pytest.mark.parametrize("make", [srht, srct])
def test_orthogonal_rows_and_nothing_lost(make):
    S = make(256, 64, rng=0)
    D = S.to_dense()
    np.testing.assert_allclose(D @ D.T, 4 * np.eye(64), atol=1e-12)
    assert S.fraction == 0.25
    assert make(256, 64, rng=0, replace=True).fraction == 0
    whole = make(256, 256, rng=0).to_dense()
    np.testing.assert_allclose(whole.T @ whole, np.eye(256), atol=1e-12)
    assert np.unique(S.rows).size == 64


def test_padded_transform_keeps_lengths_with_all_rows():
    D = srht(700, 1024, rng=0).to_dense()
    np.testing.assert_allclose(D.T @ D, np.eye(700), atol=1e-12)


@given(
    sizes=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    widths=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    seed=st.integers(0, 2**32),
)
def test_kronecker_sketch_is_the_sketch_of_the_product(sizes, widths, seed):
    rng = np.random.default_rng(seed)
    S = tensor_srht(sizes, min(12, sizes[0] * sizes[1]), rng=rng)
    A1, A2 = (rng.standard_normal(shape) for shape in zip(sizes, widths, strict=True))
    expected = S.to_dense() @ np.kron(A1, A2)
    np.testing.assert_allclose(S.apply_kronecker(A1, A2), expected, atol=1e-12)
    b = np.kron(A1[:, 0], A2[:, 0])
    np.testing.assert_allclose(S @ b, expected[:, 0], atol=1e-12)


def test_kronecker_gradient_and_kinds(xp):
    S = tensor_srht((6, 5), 9, rng=0)
    A1, A2 = np.random.default_rng(0).standard_normal((2, 30))
    A1, A2 = A1[:12].reshape(6, 2), A2[:15].reshape(5, 3)
    got = xp.numpy(S.apply_kronecker(xp.asarray(A1), xp.asarray(A2)))
    np.testing.assert_allclose(got, S.to_dense() @ np.kron(A1, A2), atol=xp.tol)
    if xp.library == "torch" and not xp.single:
        import torch

        pair = [xp.asarray(A).requires_grad_() for A in (A1, A2)]
        assert torch.autograd.gradcheck(S.apply_kronecker, pair)


@pytest.mark.parametrize("start", [0, 2**30 - 5, 2**31 - 12])
def test_any_five_signs_of_a_row_are_independent(start):
    """The sign of a seed is the product of those of its bits, so that five columns are independent
    over random seeds exactly if no product of up to five is the same for every single bit."""
    S = ams_sketch(2**31, 63, seeds=1 << np.arange(63))
    negative = S._columns(start, start + 12) < 0
    columns = [int("".join("01"[int(bit)] for bit in column), 2) for column in negative]
    for size in (1, 2, 3, 4, 5):
        for chosen in itertools.combinations(columns, size):
            assert functools.reduce(operator.xor, chosen) != 0


def test_osnap_rows_are_uniform():
    """Pearson's statistic over 60 rows; its 1 - 1e-6 quantile at 59 degrees of freedom is 126."""
    rows = osnap(6000, 60, s=6, rng=4).rows
    counts = np.bincount(rows.ravel(), minlength=60)
    assert ((counts - 600) ** 2 / 600).sum() < 126
    assert np.all(np.diff(np.sort(rows, axis=1), axis=1) > 0)
    np.testing.assert_array_equal(np.sort(osnap(9, 5, s=5, rng=0).rows, axis=1)[3], np.arange(5))


def test_gaussian_entries_do_not_depend_on_the_pieces():
    S = gaussian_sketch(500, 13, rng=0)
    whole = S.to_dense()
    eye = np.eye(500)
    for start, stop in ((0, 1), (63, 65), (100, 257), (499, 500)):
        block = S.apply_rows(start, eye[start:stop, start:stop])
        np.testing.assert_allclose(block, whole[:, start:stop], atol=1e-15)


@every_family
def test_guarantees_say_where_they_stand(kind):
    S = FAMILIES[kind](64, 16, rng=0)
    assert isinstance(S.guarantee, Guarantee)
    assert S.guarantee.status == {
        "gaussian": "proved",
        "gaussian_pooled": "claimed",
        "countsketch": "fails",
        "osnap": "fails",
    }.get(kind, "open")
    assert S.is_dense == (kind not in ("countsketch", "osnap"))
    assert S.kind == kind


def test_product_error():
    rng = np.random.default_rng(0)
    g, h = rng.standard_normal((2, 200))
    S = srht(200, 32, rng=0)
    D = S.to_dense()
    expected = np.sqrt(32) * abs(g @ D.T @ D @ h - g @ h)
    assert float(oce_beta(S, g, h)) == pytest.approx(expected, rel=1e-12)

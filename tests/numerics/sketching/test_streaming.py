"""Rows from every kind of source, in blocks of every length, and what is refused."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array, csr_array, csr_matrix

from numerics import (
    ams_sketch,
    countsketch,
    gaussian_pooled,
    gaussian_sketch,
    oce_beta,
    osnap,
    sketch,
    srct,
    srht,
    tensor_srht,
)
from numerics.sketching.row_blocks import open_rows

SKETCHES = {
    S.kind: S
    for S in (
        srht(1003, 60, rng=0),
        srct(1003, 60, rng=0),
        gaussian_sketch(1003, 60, rng=0),
        ams_sketch(1003, 60, rng=0),
        gaussian_pooled(1003, 60, rng=0),
        countsketch(1003, 60, rng=0),
        osnap(1003, 60, rng=0),
        tensor_srht((17, 59), 60, rng=0),
    )
}
every_sketch = pytest.mark.parametrize("S", SKETCHES.values(), ids=SKETCHES)
A = np.random.default_rng(1).standard_normal((1003, 11))
TOL = 1e-12  # sums of 1003 products of order 1, in another order


def pieces(array, size):
    return (array[i : i + size] for i in range(0, array.shape[0], size))


@every_sketch
@pytest.mark.parametrize("size", [1, 7, 100, 256, 257, 1002, 1003, 5000])
def test_block_length_does_not_matter(S, size):
    whole = S @ A
    np.testing.assert_allclose(sketch(A, S, block_rows=size), whole, atol=TOL)
    np.testing.assert_allclose(sketch(pieces(A, size), S), whole, atol=TOL)
    np.testing.assert_allclose(sketch(pieces(A, 50), S, block_rows=size), whole, atol=TOL)


@pytest.mark.parametrize("n", [4096, 5000, 9001])
@pytest.mark.parametrize("d", [3, 8, 70])
def test_blocks_of_many_rows(n, d):
    """Around the longest block, where rows fill strips, panels and whole-row blocks."""
    big = np.random.default_rng(n).standard_normal((n, d))
    S = srht(n, 300, rng=2)
    whole = S @ big
    reference = S.to_dense() @ big
    np.testing.assert_allclose(whole, reference, atol=1e-11)
    for size in (1000, 4095, 4096, 4097):
        np.testing.assert_allclose(sketch(big, S, block_rows=size), whole, atol=1e-11)


@every_sketch
@given(cuts=st.lists(st.integers(0, 1003), max_size=5))
def test_ranges_add_up_in_any_order(S, cuts):
    bounds = sorted({0, 1003, *cuts})
    out = np.zeros((60, 11))
    for start, stop in reversed(list(itertools.pairwise(bounds))):
        assert S.apply_rows(start, A[start:stop], out) is out
    np.testing.assert_allclose(out, S @ A, atol=TOL)


@every_sketch
def test_every_source_gives_the_same(S, tmp_path):
    torch = pytest.importorskip("torch")
    whole = S @ A
    path = tmp_path / "A.npy"
    np.save(path, A)
    mapped = np.load(path, mmap_mode="r")
    sparse = A * (np.abs(A) > 1)
    tensor = torch.from_numpy(A)
    for source in (
        mapped,
        A.tolist(),
        [A[:500], A[500:]],
        np.asfortranarray(A),
        (block for block in (A[:10], A[10:])),
    ):
        np.testing.assert_allclose(sketch(source, S), whole, atol=TOL)
    np.testing.assert_allclose(sketch(mapped, S, block_rows=64, progress=True), whole, atol=TOL)
    for source in (tensor, pieces(tensor, 90)):
        np.testing.assert_allclose(sketch(source, S).numpy(), whole, atol=TOL)
    for source in (
        coo_array(sparse),
        csr_matrix(sparse),
        pieces(csr_array(sparse), 90),
        [csr_array(sparse[:400]), csr_array(sparse[400:])],
    ):
        np.testing.assert_allclose(sketch(source, S, block_rows=128), S @ sparse, atol=TOL)
    np.testing.assert_allclose(sketch(pieces(A[:, 0], 64), S), whole[:, 0], atol=TOL)


@every_sketch
@pytest.mark.parametrize("chunks", [(100, 4), (1003, 11), ((1, 2, 1000), (11,))])
def test_dask_chunks_are_sketched_where_they_are(S, chunks):
    dask_array = pytest.importorskip("dask.array")
    source = dask_array.from_array(A, chunks=chunks)
    np.testing.assert_allclose(sketch(source, S), S @ A, atol=TOL)
    single = dask_array.from_array(A.astype(np.float32), chunks=chunks)
    assert sketch(single, S).dtype == np.float32
    column = dask_array.from_array(A[:, 0], chunks=200)
    np.testing.assert_allclose(sketch(column, S), S @ A[:, 0], atol=TOL)
    rows = np.concatenate([block for _, block in open_rows(source).blocks(30)])
    np.testing.assert_array_equal(rows, A)


def test_precision_follows_the_blocks():
    S, single = srht(1003, 60, rng=0), A.astype(np.float32)
    for source in (single, pieces(single, 100), csr_array(single)):
        got = sketch(source, S, block_rows=200)
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, S @ A, atol=1e-4)
    integers = np.arange(1003, dtype=np.int32)[:, None] % 9
    np.testing.assert_allclose(
        sketch(pieces(integers, 100), S), S @ integers.astype(float), atol=TOL
    )


def test_streamed_torch_is_differentiable():
    torch = pytest.importorskip("torch")
    S = srht(300, 20, rng=0)
    X = torch.randn(300, 2, dtype=torch.float64, requires_grad=True)
    sketch(pieces(X, 77), S).square().sum().backward()
    D = S.to_dense()
    expected = 2 * D.T @ D @ X.detach().numpy()
    np.testing.assert_allclose(X.grad.numpy(), expected, atol=1e-11)


def test_inputs_are_not_changed_and_strides_do_not_matter():
    S = srht(1003, 60, rng=0)
    wide = np.random.default_rng(0).standard_normal((2006, 22))
    copy = wide.copy()
    np.testing.assert_allclose(S @ wide[::2, ::2], S @ wide[::2, ::2].copy(), atol=TOL)
    np.testing.assert_allclose(S @ wide[::-2, 3], S @ wide[::-2, 3].copy(), atol=TOL)
    np.testing.assert_array_equal(S @ A.astype(">f8"), S @ A)
    np.testing.assert_array_equal(wide, copy)
    out = np.zeros((60, 22))[:, ::2]
    S.apply_rows(0, A, out)
    np.testing.assert_allclose(out, S @ A, atol=TOL)


@every_sketch
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_bad_rows_are_named(S, value):
    bad = A.copy()
    bad[[317, 402], 3] = value
    for source in (bad, csr_array(bad)):
        with pytest.raises(ValueError, match=r"A must be finite, .* in rows 317 to 402"):
            sketch(source, S)
    with pytest.raises(ValueError, match=r"in rows 317 to 317"):
        sketch(pieces(bad, 100), S, block_rows=100)
    with pytest.raises(ValueError, match=r"block must be finite, .* in rows 317 to 402"):
        S.apply_rows(300, bad[300:500])
    with pytest.raises(ValueError, match="A is too large"):
        sketch(np.full((1003, 2), 1e308), srht(1003, 1024, rng=0, signs=np.ones(1003)))


def widths():
    yield from (A[:100], A[100:200], A[200:, :5])


def axes():
    yield from (A[:100], A[100:, 0])


def precisions():
    yield from (A[:1000], A[1000:].astype(np.float32))


S0 = srht(1003, 60, rng=0)
BAD_SOURCES = [
    (A[:1000], ValueError, r"A must have 1003 rows, got shape \(1000, 11\)"),
    (A[:, :, None], ValueError, "A must have one or two axes"),
    (1j * A, TypeError, "A must hold float32, float64 or integers, got dtype complex128"),
    (A > 0, TypeError, "A must hold"),
    (A.astype(np.float16), TypeError, "A must hold"),
    ("rows", TypeError, "A must hold"),
    (None, TypeError, "A must hold"),
    (3.0, ValueError, "A must have one or two axes"),
    (csr_array(1j * A), TypeError, "A must hold"),
    (iter([]), ValueError, "A: there are no blocks"),
    (pieces(A[:300], 100), ValueError, "A: blocks end at row 300 of 1003"),
    (pieces(np.vstack((A, A)), 600), ValueError, "A: blocks go on to row 1200, past the last"),
    (widths(), ValueError, "A: block 3 has 5 columns, the first had 11 columns"),
    (axes(), ValueError, "A: block 2 has 1 axes, the first had 11 columns"),
    (precisions(), TypeError, "A: block 2 has another precision than the first"),
    (iter([A[:10], "rows"]), TypeError, "A: block 2"),
    (iter([A[:10], 1j * A[10:]]), TypeError, "A: block 2 must be real"),
]


@pytest.mark.parametrize(("source", "error", "message"), BAD_SOURCES)
def test_bad_sources(source, error, message):
    with pytest.raises(error, match=message):
        sketch(source, S0, block_rows=50)


BAD_CALLS = [
    (lambda: sketch(A, A), TypeError, "op must be a Sketch"),
    (lambda: sketch(A, S0, block_rows=0), ValueError, "block_rows must be at least 1"),
    (lambda: S0 @ A[:5], ValueError, "A must have 1003 rows"),
    (lambda: S0.apply_rows(-1, A[:5]), ValueError, "start must be at least 0"),
    (lambda: S0.apply_rows(1000, A[:5]), ValueError, "block must end by row 1003"),
    (lambda: S0.apply_rows(0, A, np.zeros((60, 3))), ValueError, "out must have shape"),
    (lambda: S0.apply_rows(0, A, np.zeros((60, 11), "f4")), TypeError, "out must have the prec"),
    (lambda: S0.apply_adjoint(A), ValueError, "Y must have 60 rows"),
    (lambda: S0.apply_adjoint(np.full(60, np.nan)), ValueError, "Y must be finite"),
    (lambda: S0.apply_adjoint(1j * np.ones(60)), TypeError, "Y must be real"),
    (lambda: srht(0, 1), ValueError, "n must be at least 1"),
    (lambda: srht(10, 0), ValueError, "m must be at least 1"),
    (lambda: srht(10, 17), ValueError, "m must be at most 16, got 17"),
    (lambda: srht(10.0, 3), TypeError, "n must be an integer"),
    (lambda: srht(10, 3, rng="a"), TypeError, "rng must be"),
    (lambda: srht(10, 3, signs=np.ones(9)), ValueError, "signs must hold"),
    (lambda: srht(10, 3, signs=np.zeros(10)), ValueError, "signs must hold"),
    (lambda: srht(10, 3, rows=[1, 2, 16]), ValueError, "rows must hold integers from 0 to 15"),
    (lambda: srht(10, 3, rows=[1, 2, 2]), ValueError, "rows must be distinct"),
    (lambda: srht(10, 3, rows=[1.0, 2, 3]), TypeError, "rows must hold integers"),
    (lambda: srct(10, 11), ValueError, "m must be at most 10"),
    (lambda: srct(10, 2, rows=[1, 1]), ValueError, "rows must be distinct"),
    (lambda: gaussian_sketch(5, 2, key=[1]), ValueError, "key must hold"),
    (lambda: ams_sketch(2**31 + 1, 2), ValueError, "n must be at most"),
    (lambda: ams_sketch(5, 2, seeds=[1, -1]), ValueError, "seeds must hold"),
    (lambda: gaussian_pooled(8, 2, block=0), ValueError, "block must be at least 1"),
    (lambda: gaussian_pooled(8, 2, permutation=[0] * 8), ValueError, "permutation must hold"),
    (lambda: gaussian_pooled(8, 2, weights=np.ones(3)), ValueError, "weights must be finite"),
    (lambda: countsketch(5, 2, rows=[0, 1, 2, 0, 0]), ValueError, "rows must hold"),
    (lambda: osnap(5, 3), ValueError, "s must be at most m = 3"),
    (lambda: osnap(5, 3, s=0), ValueError, "s must be at least 1"),
    (lambda: osnap(1, 3, s=2, rows=[[1, 1]]), ValueError, "rows must be different"),
    (lambda: tensor_srht(12, 2), ValueError, "shape must be two sizes"),
    (lambda: tensor_srht((3, 0), 2), ValueError, "n must be at least 1"),
    (lambda: tensor_srht((3, 3), 17), ValueError, "m must be at most 16"),
    (
        lambda: tensor_srht((3, 3), 2, rng=0).apply_kronecker(np.ones((3, 2)), np.ones((4, 2))),
        ValueError,
        "A2 must have shape",
    ),
    (lambda: oce_beta(S0, A[:, 0], A[:9, 0]), ValueError, "h must have shape"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD_CALLS)
def test_bad_calls(call, error, message):
    with pytest.raises(error, match=message):
        call()

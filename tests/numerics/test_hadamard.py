from __future__ import annotations

import numba
import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

from numerics import fwht, hadamard_entry, walsh_order
from numerics import hadamard as hadamard_module
from numerics._numba_hadamard import fwht_block, fwht_inplace

ORDERS = ("natural", "sequency", "dyadic")


def matrix(N: int, order: str = "natural") -> np.ndarray:
    """Rows sorted by what defines the order, not by an index formula."""
    H = scipy.linalg.hadamard(N)
    if order == "sequency":
        return H[np.argsort((np.diff(H) != 0).sum(axis=1))]
    if order == "dyadic":
        # Products of Rademacher functions, which have their sign changes at odd multiples of 2^-k.
        bits = N.bit_length() - 1
        t = np.arange(N)
        rows = [np.ones(N, int)] * N
        for k in range(N):
            for b in range(bits):
                if k >> b & 1:
                    rows[k] = rows[k] * (1 - 2 * (t >> (bits - 1 - b) & 1))
        return np.array(rows)
    return H


@given(
    bits=st.integers(0, 9),
    before=st.integers(1, 3),
    after=st.integers(1, 19),
    order=st.sampled_from(ORDERS),
    seed=st.integers(0, 2**32),
)
def test_integers_are_transformed_exactly(bits, before, after, order, seed):
    N = 1 << bits
    x = np.random.default_rng(seed).integers(-(2**40), 2**40, (before, N, after))
    exact = np.einsum("kn,bna->bka", matrix(N, order), x)
    got = fwht(x, 1, order=order)
    assert got.dtype == np.int64
    np.testing.assert_array_equal(got, exact)
    # Sums of fewer than 2^53 are exact in float64 and in half as many bits in float32.
    np.testing.assert_array_equal(fwht(x.astype(float), 1, order=order), exact)
    small = (x % 1000).astype(np.float32)
    np.testing.assert_array_equal(
        fwht(small, 1), np.einsum("kn,bna->bka", matrix(N), small.astype(int))
    )


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
@pytest.mark.parametrize(
    ("N", "inner"),
    [(2**15, 1), (2**14, 2), (2**12, 3), (2**13, 16), (2**12, 50), (8, 40_000), (2, 90_000)],
)
def test_passes_of_all_kinds_are_the_recursion(N, inner, dtype):
    """Blocks, chunks and buffers, on one thread and on two, against H_2N from H_N."""
    x = np.random.default_rng(N).integers(-50, 50, (2, N, inner)).astype(dtype)
    exact = x.copy()
    h = 1
    while h < N:
        halves = exact.reshape(2, N // (2 * h), 2, h, inner)
        a, b = halves[:, :, 0], halves[:, :, 1]
        exact = np.stack((a + b, a - b), axis=2).reshape(x.shape)
        h *= 2
    np.testing.assert_array_equal(fwht(x, 1), exact)
    if dtype is np.float64:
        data = x.copy()
        fwht_inplace(data)
        np.testing.assert_array_equal(data, exact)
        fwht_block(x[0])
        np.testing.assert_array_equal(x[0], exact[0])


@pytest.mark.parametrize("small", [2**6, 2**9])
def test_results_do_not_depend_on_threads(monkeypatch, rng, small):
    x = rng.standard_normal((3, 2**14, 11))
    alone = fwht(x, 1)
    monkeypatch.setattr(hadamard_module, "_THREADED", 0)
    monkeypatch.setattr(numba, "get_num_threads", lambda: 3)
    np.testing.assert_array_equal(fwht(x, 1), alone)
    np.testing.assert_array_equal(fwht(x[:, :small], 1), [fwht(v[:small], 0) for v in x])


@given(bits=st.integers(0, 12), seed=st.integers(0, 2**32), order=st.sampled_from(ORDERS))
def test_identities(bits, seed, order):
    N = 1 << bits
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((N, 3)) + 1j * rng.standard_normal((N, 3))
    y = fwht(x, 0, order=order)
    # log2 N additions, each with a relative error of half a unit.
    tolerance = 1e-15 * (bits + 1)
    scale = np.linalg.norm(x)
    assert abs(np.linalg.norm(y) - np.sqrt(N) * scale) <= tolerance * np.sqrt(N) * scale
    assert np.linalg.norm(fwht(y, 0, order=order) - N * x) <= tolerance * N * scale
    ortho = fwht(x, 0, norm="ortho", order=order)
    assert np.linalg.norm(ortho - y / np.sqrt(N)) <= tolerance * scale


@given(a=st.integers(0, 5), b=st.integers(0, 5), seed=st.integers(0, 2**32))
def test_kronecker_product(a, b, seed):
    x = np.random.default_rng(seed).integers(-99, 99, (1 << a, 1 << b))
    np.testing.assert_array_equal(fwht(fwht(x, 0), 1).ravel(), fwht(x.ravel()))


@given(bits=st.integers(0, 7), seed=st.integers(0, 2**32))
def test_dyadic_convolution(bits, seed):
    N = 1 << bits
    u, v = np.random.default_rng(seed).integers(-999, 999, (2, N))
    k = np.arange(N)
    product = fwht(u) * fwht(v)
    np.testing.assert_array_equal(fwht(product), N * (u[k[:, None] ^ k] @ v))


@given(st.integers(0, 2**62), st.integers(0, 2**62))
def test_entries_count_common_bits(i, j):
    assert hadamard_entry(i, j) == (-1) ** bin(i & j).count("1")


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("N", [1, 2, 8, 64])
def test_orders(N, order):
    rows = walsh_order(N, order)
    assert rows.dtype == np.intp
    W = hadamard_entry(rows[:, None], np.arange(N))
    np.testing.assert_array_equal(W, matrix(N, order))
    np.testing.assert_array_equal(W, W.T)
    np.testing.assert_array_equal(fwht(np.eye(N), 0, order=order), W)


def test_kinds(xp, rng):
    x = rng.standard_normal((4, 32, 6))
    exact = np.einsum("kn,bna->bka", matrix(32), x)
    wide = np.zeros((4, 64, 12))
    wide[:, ::2, ::2] = x
    turned = np.ascontiguousarray(x.transpose(2, 1, 0))
    for data in (
        xp.asarray(x),
        xp.asarray(wide)[:, ::2, ::2],
        xp.asarray(turned).transpose(2, 0) if xp.library == "torch" else xp.asarray(turned).T,
    ):
        got = xp.numpy(fwht(data, 1))
        np.testing.assert_allclose(got, exact, atol=10 * xp.tol)
        looped = np.stack([xp.numpy(fwht(v, 0)) for v in data])
        np.testing.assert_allclose(got, looped, atol=xp.tol)
        np.testing.assert_allclose(
            xp.numpy(fwht(data, -2, norm="ortho", order="sequency")),
            np.einsum("kn,bna->bka", matrix(32, "sequency"), x) / np.sqrt(32),
            atol=xp.tol,
        )
    z = x + 1j * x[::-1]
    np.testing.assert_allclose(
        xp.numpy(fwht(xp.asarray(z), 1)), exact + 1j * exact[::-1], atol=10 * xp.tol
    )
    padded = xp.numpy(fwht(xp.asarray(x[:, :21]), 1, pad=True))
    x[:, 21:] = 0
    np.testing.assert_allclose(padded, fwht(x, 1), atol=10 * xp.tol)


def test_other_integers(rng):
    for dtype in (np.int8, np.uint8, np.int32, np.uint64):
        x = rng.integers(0, 100, 64).astype(dtype)
        y = fwht(x)
        assert y.dtype == np.int64
        np.testing.assert_array_equal(y, matrix(64) @ x.astype(int))
    assert fwht([1, 2]).tolist() == [3, -1]
    assert fwht([1, 1, 1], pad=True).tolist() == [3, 1, 1, -1]
    assert fwht([1, 1], norm="ortho").dtype == np.float64
    assert fwht(np.ones((2, 0, 4))).shape == (2, 0, 4)
    # The largest sum that fits.
    x = np.array([2**62, 1 - 2**62])
    np.testing.assert_array_equal(fwht(x), [1, 2**63 - 1])


def test_inputs_are_left_alone(rng):
    x = rng.standard_normal((16, 3))
    before = x.copy()
    x.flags.writeable = False
    fwht(x, 0)
    np.testing.assert_array_equal(x, before)
    packed = np.zeros(5, dtype=[("a", np.int8), ("b", np.float64)])
    assert not packed["b"].flags.aligned
    np.testing.assert_array_equal(fwht(packed["b"], pad=True), np.zeros(8))


def test_overflow_is_no_bad_input():
    with np.errstate(over="ignore", invalid="ignore"):
        assert fwht(np.array([1.5e308, 1.5e308]))[0] == np.inf


def test_tensors(rng):
    torch = pytest.importorskip("torch")
    x = torch.tensor(rng.standard_normal((3, 16, 2)), requires_grad=True)

    def call(x):
        return fwht(x, 1, norm="ortho", order="sequency")

    def padded(x):
        return fwht(x[:, :11], 1, pad=True)

    for function in (call, padded):
        assert torch.autograd.gradcheck(function, (x,), check_forward_ad=True)
        assert torch.autograd.gradgradcheck(function, (x,))
    assert torch.autograd.gradcheck(call, (x.detach().to(torch.complex128).requires_grad_(),))
    x = x.detach()
    exact = fwht(x.numpy(), 1)
    k = torch.tensor([0, 3])
    assert hadamard_entry(k[:, None], k).tolist() == [[1, 1], [1, 1]]
    integers = (100 * x).to(torch.int32)
    assert fwht(integers, 1).dtype == torch.int64
    np.testing.assert_array_equal(fwht(integers, 1), fwht(integers.numpy(), 1))
    mapped = torch.func.vmap(lambda v: fwht(v, 0))(x)
    np.testing.assert_allclose(mapped, exact, atol=1e-13)
    gradient = torch.func.grad(lambda v: (fwht(v, 1) ** 2).sum())(x)
    np.testing.assert_allclose(gradient, 32 * x, atol=1e-12)


@pytest.mark.parametrize("N", [1, 2, 64, 1024])
def test_products_and_sums_are_the_transform(N, rng):
    torch = pytest.importorskip("torch")
    from numerics import _torch_hadamard

    x = rng.integers(-9, 9, (3, N, 5))
    exact = fwht(x, 1)
    np.testing.assert_array_equal(_torch_hadamard._by_sums(torch.tensor(x)), exact)
    got = _torch_hadamard._by_products(torch.tensor(x.astype(float)), 0.5)
    np.testing.assert_array_equal(got, exact / 2)


@pytest.mark.cuda
def test_device(rng):
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    x = rng.integers(-9, 9, (5, 2**12, 3))
    exact = fwht(x, 1)
    np.testing.assert_array_equal(fwht(torch.tensor(x, device="cuda"), 1).cpu(), exact)
    floats = torch.tensor(x, dtype=torch.float64, device="cuda", requires_grad=True)
    y = fwht(floats, 1)
    np.testing.assert_array_equal(y.detach().cpu(), exact)
    (gradient,) = torch.autograd.grad(y[:, 0].sum(), floats)
    assert bool((gradient == 1).all())


def nonfinite(value: float, place: int) -> np.ndarray:
    x = np.ones((64, 3))
    x[place] = value
    return x


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 37, 63])
def test_values_that_would_spread(value, place):
    x = nonfinite(value, place)
    for data in (x, x.astype(complex)):
        with pytest.raises(ValueError, match="x must be finite"):
            fwht(data, 0)
    torch = pytest.importorskip("torch")
    with pytest.raises(ValueError, match="x must be finite"):
        fwht(torch.tensor(x), 0, order="dyadic", norm="ortho")


def test_infinities_that_cancel_are_found():
    with pytest.raises(ValueError, match="x must be finite"):
        fwht(np.array([np.inf, -np.inf, 0, 0]))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: fwht(np.ones(12)), ValueError, "x must have a power of two.*got 12.*pad=True"),
        (lambda: fwht(np.ones((12, 4)), 0), ValueError, "along axis 0, got 12"),
        (lambda: fwht(np.ones(0)), ValueError, "x must have entries along axis 0"),
        (lambda: fwht(3.0), ValueError, "axis must be one of the 0 axes"),
        (lambda: fwht(np.ones(4), 1), ValueError, "axis must be one of the 1 axes"),
        (lambda: fwht(np.ones(4), 0.5), TypeError, "axis must be an integer"),
        (lambda: fwht(np.ones(4), norm="forward"), ValueError, "norm must be one of ortho"),
        (lambda: fwht(np.ones(4), order="paley"), ValueError, "order must be one of dyadic"),
        (lambda: fwht(np.array([2**62, -(2**62)])), ValueError, "x must have sums of absolute"),
        (lambda: fwht(np.array([-(2**63), 0])), ValueError, "x must have sums of absolute"),
        (lambda: fwht(np.array([2**63], np.uint64)), ValueError, "x must have sums that fit"),
        (lambda: fwht(["a"]), TypeError, "x must hold"),
        (lambda: fwht([True, False]), TypeError, "x must hold"),
        (lambda: fwht([[1.0], [1.0, 2.0]]), TypeError, "x must be an array"),
        (lambda: hadamard_entry(-1, 0), ValueError, "i must not be negative"),
        (lambda: hadamard_entry(0, 1.5), TypeError, "j must hold integers"),
        (lambda: walsh_order(12), ValueError, "N must be a power of two"),
        (lambda: walsh_order(0), ValueError, "N must be at least 1"),
        (lambda: walsh_order(4, "gray"), ValueError, "order must be one of"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_kinds_of_indices_do_not_mix():
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match="mix array libraries"):
        hadamard_entry(torch.tensor(1), np.array(1))

"""Kernels against brute-force sums, 40-digit arithmetic and each other."""

from __future__ import annotations

import tracemalloc

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ssm import (
    _vandermonde,
    dense_kernel,
    discretize,
    dss_kernel,
    hippo_matrices,
    vandermonde_kernel,
    vandermonde_matvec,
)
from ssm._vandermonde import _level_counts

DISCRETIZATIONS = ["zoh", "bilinear", "euler", "backward", "impulse"]
LENGTHS = [1, 2, 7, 8, 9, 63, 64, 65, 511, 512, 700]


def _modes(rng, batch=(), N=5):
    Lambda = -rng.random((*batch, N)) + 3j * rng.standard_normal((*batch, N))
    w = rng.standard_normal((*batch, N)) + 1j * rng.standard_normal((*batch, N))
    return Lambda, w


def _brute(z, w, L):
    return np.sum(w[..., None] * z[..., None] ** np.arange(L), axis=-2)


@pytest.mark.parametrize("L", LENGTHS)
@pytest.mark.parametrize("algorithm", ["matmul", "numba"])
def test_kernel_against_the_sum(xp, rng, L, algorithm):
    if xp.device != "cpu" and algorithm == "numba":
        pytest.skip("compiled host code takes host arrays only")
    Lambda, w = _modes(rng, (3,))
    dt = np.array([0.01, 0.1, 0.5])
    K = vandermonde_kernel(
        xp.asarray(Lambda), xp.asarray(w), L, dt=xp.asarray(dt), algorithm=algorithm
    )
    z, weights = discretize(
        *(xp.numpy(xp.asarray(a)).astype(complex) for a in (Lambda, w)),
        xp.numpy(xp.asarray(dt)).astype(float),
        diagonal=True,
    )
    expected = 2 * _brute(z, weights, L).real
    np.testing.assert_allclose(xp.numpy(K), expected, atol=xp.tol * np.abs(expected).max() / 10)


@pytest.mark.filterwarnings("ignore:dt is too large")
@pytest.mark.parametrize("discretization", DISCRETIZATIONS)
@pytest.mark.parametrize("conj", [True, False])
def test_every_discretization_equals_the_dense_kernel(rng, discretization, conj):
    Lambda, w = _modes(rng)
    modes = np.concatenate((Lambda, Lambda.conj())) if conj else Lambda
    weights = np.concatenate((w, w.conj())) if conj else w
    Ad, Bd = discretize(np.diag(modes), weights, 0.01, method=discretization)
    expected = dense_kernel(Ad, Bd, np.ones(modes.size), 100)
    K = vandermonde_kernel(Lambda, w, 100, dt=0.01, discretization=discretization, conj=conj)
    assert np.isrealobj(K) == conj
    np.testing.assert_allclose(K, expected, atol=1e-12)


def test_phases_do_not_accumulate_rounding():
    """An undamped fast mode, 10^5 steps: 40 digits against double precision.

    The exponent l dt Lambda is rounded to 53 bits at best, so the phase of about 3e5 radians is
    known to 3e5 * 1.1e-16; the bound is eight times that.
    """
    Lambda, L, dt = 30.0j, 100_000, 0.1
    K = vandermonde_kernel(np.array([Lambda]), np.array([0.5]), L, dt=dt, discretization="impulse")
    with mpmath.workdps(40):
        phase = mpmath.mpf(30.0) * mpmath.mpf(dt)
        for index in (1, 777, 65_537, L - 1):
            assert abs(K[index] / dt - float(mpmath.cos(index * phase))) < 3e-10


def test_single_precision_phases_are_formed_in_double(xp):
    L, dt = 20_000, 0.1
    K = vandermonde_kernel(
        xp.asarray([5.0j]), xp.asarray([0.5]), L, dt=dt, discretization="impulse"
    )
    np.testing.assert_allclose(
        xp.numpy(K) / dt, np.cos(5.0 * dt * np.arange(L)), atol=1e-6 if xp.single else 1e-11
    )


@pytest.mark.parametrize("algorithm", ["matmul", "numba"])
def test_bilinear_node_at_zero(algorithm):
    """dt A = -2 puts a node at zero, where a logarithm would give NaN at l = 0."""
    K = vandermonde_kernel(
        np.array([-5.0 + 0j]),
        np.array([1.0]),
        4,
        dt=0.4,
        discretization="bilinear",
        algorithm=algorithm,
    )
    np.testing.assert_allclose(K, [2 * 0.4 / 2, 0, 0, 0], atol=1e-16)


def test_real_modes_give_a_real_kernel(xp):
    K = vandermonde_kernel(
        xp.asarray([-1.0, -2.0]),
        xp.asarray([1.0, 1.0]),
        50,
        dt=0.1,
        conj=False,
        discretization="impulse",
    )
    t = 0.1 * np.arange(50)
    np.testing.assert_allclose(xp.numpy(K), 0.1 * (np.exp(-t) + np.exp(-2 * t)), rtol=xp.tol)


@given(
    st.integers(1, 6), st.integers(1, 400), st.integers(0, 2**32 - 1), st.booleans(), st.booleans()
)
def test_matvec_is_the_sum_of_powers(N, L, seed, complex_nodes, complex_weights):
    rng = np.random.default_rng(seed)
    z = rng.uniform(-1, 1, N) * (np.exp(1j * rng.uniform(0, 6, N)) if complex_nodes else 1)
    w = rng.standard_normal(N) * (1j if complex_weights else 1)
    result = vandermonde_matvec(z, w, L)
    assert np.iscomplexobj(result) == (complex_nodes or complex_weights)
    np.testing.assert_allclose(result, _brute(z, w, L), atol=1e-13 * np.abs(w).sum())


@given(st.integers(0, 2**32 - 1), st.integers(2, 600))
def test_one_more_step_multiplies_by_the_nodes(seed, L):
    rng = np.random.default_rng(seed)
    z = np.exp(-rng.random(4) + 6j * rng.random(4))
    w = rng.standard_normal(4) + 0j
    shifted = vandermonde_matvec(z, w * z, L - 1)
    np.testing.assert_allclose(vandermonde_matvec(z, w, L)[1:], shifted, atol=1e-13)


@pytest.mark.parametrize("L", [1, 8, 9, 64, 65, 4096, 10_000])
def test_level_counts_reach_just_far_enough(L):
    counts = _level_counts(L)
    assert np.prod(counts) >= L
    assert np.prod([*counts[:-1], counts[-1] - 1]) < L


@pytest.mark.parametrize("algorithm", ["matmul", "numba"])
def test_growing_modes_overflow_only_where_they_must(algorithm):
    with np.errstate(over="ignore"):
        K = vandermonde_kernel(
            np.array([1.0 + 1j]), np.array([1.0]), 600, dt=1.0, algorithm=algorithm
        )
    assert np.isfinite(K).all()


def test_batch_axes_broadcast(xp, rng):
    Lambda, _ = _modes(rng)
    w = rng.standard_normal((2, 3, 5))
    dt = np.array([0.1, 0.2, 0.3])
    K = xp.numpy(vandermonde_kernel(xp.asarray(Lambda), xp.asarray(w), 70, dt=xp.asarray(dt)))
    assert K.shape == (2, 3, 70)
    for i in range(2):
        for j in range(3):
            one = vandermonde_kernel(
                xp.asarray(Lambda), xp.asarray(w[i, j]), 70, dt=xp.asarray(dt)[j]
            )
            np.testing.assert_allclose(K[i, j], xp.numpy(one), atol=xp.tol)


def test_strided_input(rng):
    Lambda, w = _modes(rng, (4,), 6)
    K = vandermonde_kernel(Lambda, w, 100, dt=0.1)
    np.testing.assert_array_equal(
        vandermonde_kernel(np.asfortranarray(Lambda), w[:, ::-1][:, ::-1], 100, dt=0.1), K
    )


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_many_systems_span_several_blocks(rng, monkeypatch, library):
    """Blocks of a few systems, shared out over threads for NumPy, the last one shorter."""
    monkeypatch.setattr(_vandermonde, "_BLOCK_BYTES", 2**16)
    Lambda, w = _modes(rng, (301,), 8)
    if library == "torch":
        Lambda, w = torch.as_tensor(Lambda), torch.as_tensor(w)
    for discretization in ("zoh", "bilinear"):
        compiled, generic = (
            np.asarray(
                vandermonde_kernel(
                    Lambda, w, 1000, dt=0.05, discretization=discretization, algorithm=algorithm
                )
            )
            for algorithm in ("numba", "matmul")
        )
        tolerance = 1e-12 if discretization == "bilinear" else 1e-14
        np.testing.assert_allclose(compiled, generic, atol=tolerance * np.abs(generic).max())


@pytest.mark.parametrize("algorithm", ["matmul", "numba"])
def test_no_array_of_systems_by_modes_by_length(rng, algorithm):
    H, N, L = 32, 32, 4096
    Lambda, w = _modes(rng, (H,), N)
    vandermonde_kernel(Lambda[:1], w[:1], L, dt=0.01, algorithm=algorithm)
    tracemalloc.start()
    vandermonde_kernel(Lambda, w, L, dt=0.01, algorithm=algorithm)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < H * N * L * 16 / 6


def test_gradients(rng):
    Lambda, w = _modes(rng, (2,), 3)
    inputs = [
        torch.tensor(value, requires_grad=True) for value in (Lambda, w, np.array([0.1, 0.2]))
    ]
    for conj in (True, False):
        assert torch.autograd.gradcheck(
            lambda Lambda, w, dt, conj=conj: vandermonde_kernel(Lambda, w, 20, dt=dt, conj=conj),
            inputs,
        )
    z = torch.tensor(np.exp(Lambda), requires_grad=True)
    assert torch.autograd.gradcheck(lambda z, w: vandermonde_matvec(z, w, 20), (z, inputs[1]))


def test_under_vmap(rng):
    Lambda, w = (torch.as_tensor(a) for a in _modes(rng, (3,), 4))

    def kernel(Lambda, w):
        return vandermonde_kernel(Lambda, w, 20, dt=0.1)

    torch.testing.assert_close(torch.func.vmap(kernel)(Lambda, w), kernel(Lambda, w))


def test_dss_rows_are_a_softmax(xp, rng):
    Lambda, w = _modes(rng)
    Lambda[:2] = -Lambda[:2].conj()  # two growing modes
    L, dt = 40, 0.1
    K = dss_kernel(xp.asarray(Lambda), xp.asarray(w), L, dt=dt, epsilon=0.0)
    exponents = Lambda[:, None] * dt * np.arange(L)
    rows = np.exp(exponents) / np.exp(exponents).sum(-1, keepdims=True)
    expected = 2 * ((w / Lambda) @ rows).real
    np.testing.assert_allclose(xp.numpy(K), expected, atol=xp.tol * np.abs(expected).max())


def test_dss_does_not_overflow_and_meets_roots_of_unity():
    K = dss_kernel(np.array([5.0 + 1j]), np.array([1.0]), 4000, dt=1.0)
    assert np.isfinite(K).all()
    root = np.array([2j * np.pi / 8])  # the row sums to zero: only the regularised form is finite
    assert np.isfinite(dss_kernel(root, np.array([1.0]), 8, dt=1.0)).all()


def test_dense_kernel_is_the_impulse_response(xp, rng):
    A = rng.standard_normal((2, 4, 4)) / 3
    B, C = rng.standard_normal((2, 2, 4))
    K = xp.numpy(dense_kernel(xp.asarray(A), xp.asarray(B), xp.asarray(C), 21))
    for system in range(2):
        x = B[system]
        for k in range(21):
            assert abs(K[system, k] - C[system] @ x) < xp.tol
            x = A[system] @ x


def test_dense_kernel_equals_scipy_one_step_later(rng):
    import scipy.signal

    A, B = hippo_matrices("legs", 6)
    C = rng.standard_normal(6)
    Ad, Bd = discretize(A, B, 0.1)
    response = scipy.signal.dimpulse((Ad, Bd[:, None], C[None], np.zeros((1, 1)), 1), n=31)
    np.testing.assert_allclose(response[1][0].ravel()[1:], dense_kernel(Ad, Bd, C, 30), rtol=1e-10)


GOOD = {"Lambda": np.array([-1 + 1j]), "w": np.ones(1), "L": 8, "dt": 0.1}


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"L": 0}, ValueError, "L must be at least 1"),
        ({"L": 2.5}, TypeError, "L must be an integer"),
        ({"dt": 0}, ValueError, "dt must be positive"),
        ({"dt": np.ones((2, 1)) * 0.1, "w": np.ones((3, 3, 1))}, ValueError, r"dt \(2, 1\)"),
        ({"Lambda": np.array([-1.0])}, ValueError, "Lambda must be complex when conj=True"),
        ({"Lambda": np.array([np.nan + 0j])}, ValueError, "Lambda must be finite"),
        ({"Lambda": np.empty(0, complex), "w": np.empty(0)}, ValueError, "at least one mode"),
        ({"w": np.ones(2)}, ValueError, "w must have shape"),
        ({"w": torch.ones(1)}, TypeError, "mix array libraries"),
        ({"discretization": "foh"}, ValueError, "discretization must be one of"),
        ({"algorithm": "fft"}, ValueError, "algorithm must be one of"),
    ],
)
def test_bad_input(change, error, words):
    arguments = GOOD | change
    data = [arguments.pop(name) for name in ("Lambda", "w", "L")]
    with pytest.raises(error, match=words):
        vandermonde_kernel(*data, **arguments)


def test_more_bad_input():
    tracked = torch.ones(1, dtype=torch.complex128, requires_grad=True)
    with pytest.raises(ValueError, match="algorithm='numba' takes"):
        vandermonde_kernel(tracked, torch.ones(1), 4, dt=0.1, algorithm="numba")
    with pytest.raises(ValueError, match="Lambda must have no zero"):
        dss_kernel(np.array([0j]), np.ones(1), 4, dt=0.1)
    with pytest.raises(ValueError, match="epsilon must not be negative"):
        dss_kernel(np.array([1j]), np.ones(1), 4, dt=0.1, epsilon=-1)
    with pytest.raises(ValueError, match="A must have shape"):
        dense_kernel(np.ones((2, 3)), np.ones(2), np.ones(2), 4)
    with pytest.raises(ValueError, match="C must have shape"):
        dense_kernel(np.eye(2), np.ones(2), np.ones(3), 4)
    with pytest.raises(ValueError, match="L must be at least 1"):
        vandermonde_matvec(np.ones(1), np.ones(1), 0)

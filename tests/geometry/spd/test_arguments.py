"""The front door: what is refused, by which words."""

from __future__ import annotations

import numpy as np
import pytest

from geometry import spd
from geometry.spd._arguments import as_spd

I3 = np.eye(3)
SKEWED = I3 + np.array([[0, 1e-6, 0], [0, 0, 0], [0, 0, 0]])


@pytest.mark.parametrize(
    ("A", "message"),
    [
        (np.ones((2, 3)), r"A must have shape \(..., n, n\), got \(2, 3\)"),
        (np.ones(3), r"A must have shape \(..., n, n\), got \(3,\)"),
        (np.ones((0, 0)), "A must hold matrices of order 1 or more"),
        (np.stack([I3, np.full((3, 3), np.nan)]), "A must be finite"),
        (np.stack([I3, SKEWED]), r"A must be symmetric, got A\[1\] with entries of A - A\^H up to"),
        (SKEWED + 0j, "A must be Hermitian, got a matrix"),
        (np.stack([[I3, I3], [I3, -I3]]), r"A must be positive definite, got A\[1, 1\] .* -1"),
        (np.zeros((3, 3)), "A must be positive definite, got a matrix with smallest eigenvalue 0"),
    ],
)
@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_matrices_that_are_refused(A, message, library):
    if library == "torch":
        A = pytest.importorskip("torch").as_tensor(A)
    for function in (spd.sqrtm, spd.invsqrtm, spd.logm, lambda A: spd.powm(A, 0.5)):
        with pytest.raises(ValueError, match=message):
            function(A)
    with pytest.raises(ValueError, match=message):
        spd.distance(A, A)


def test_one_matrix_of_many_is_named():
    """It is found where a Cholesky factor, and not an eigenvalue, is what is missing."""
    A = np.broadcast_to(I3, (4, 3, 3)).copy()
    A[2, 0, 0] = -5
    with pytest.raises(
        ValueError, match=r"B must be positive definite, got B\[2\] .* eigenvalue -5"
    ):
        spd.distance(I3, A)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: spd.distance(I3, np.eye(2)), ValueError, r"B must have shape \(..., 3, 3\)"),
        (
            lambda: spd.distance(np.stack([I3] * 2), np.stack([I3] * 3)),
            ValueError,
            r"do not broadcast: A \(2,\), B \(3,\)",
        ),
        (lambda: spd.distance(I3, I3, metric="euclidean"), ValueError, "metric must be one of"),
        (lambda: spd.distance(I3, I3, M=I3), ValueError, "M must be None unless metric is"),
        (
            lambda: spd.distance(I3, I3, metric="log_cholesky", theta=0.5),
            ValueError,
            "theta must be None unless metric is",
        ),
        (lambda: spd.exp(I3, SKEWED), ValueError, "V must be symmetric"),
        (lambda: spd.exp(I3, I3, domain="wrap"), ValueError, "domain must be one of clip, fold"),
        (lambda: spd.geodesic(I3, I3, np.ones(2) * 1j), TypeError, "t must be real"),
        (lambda: spd.geodesic(I3, I3, np.nan), ValueError, "t must be finite"),
        (lambda: spd.powm(I3, 1j), TypeError, "theta must be real"),
        (lambda: spd.lyapunov(I3, np.eye(2)), ValueError, "V must have shape"),
        (lambda: spd.lyapunov(I3, I3, -I3), ValueError, "M must be positive definite"),
        (lambda: spd.sqrtm(I3 > 0), TypeError, "A must hold float32"),
    ],
)
def test_other_arguments_that_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_libraries_are_not_mixed():
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match="arguments mix array libraries"):
        spd.distance(I3, torch.eye(3))


def test_tolerance_for_asymmetry_is_that_of_the_precision():
    almost = I3 + (SKEWED - I3) / 1000
    assert spd.sqrtm(almost)[0, 1] == spd.sqrtm(almost)[1, 0] != 0
    assert spd.sqrtm(SKEWED.astype(np.float32)).dtype == np.float32


def test_unchecked_values_pass():
    assert np.isnan(spd.sqrtm(np.full((2, 2), np.nan), check=False)).all()
    np.testing.assert_allclose(spd.sqrtm(np.diag([4.0, 0.0]), check=False), np.diag([2.0, 0.0]))


def test_arguments_come_in_double_precision_and_complex_together(hermitian, rng):
    P, V = np.eye(3, dtype=np.float32), hermitian(rng, (3, 3), True).astype(np.complex64)
    frame, P2, V2, M, t = as_spd(P=P, V=V, M=None, t=2, hermitian=("V",), scalars=("t",))
    assert frame.single
    assert (P2.dtype, V2.dtype, t.dtype, M) == (np.complex128, np.complex128, np.float64, None)
    np.testing.assert_array_equal(V2, V)


def test_inputs_are_left_alone(hermitian, rng):
    A, B, V = np.diag([1.0, 2, 3]), np.diag([3.0, 2, 1]), hermitian(rng, (3, 3), False)
    before = A.copy(), B.copy(), V.copy()
    spd.distance(A, B)
    spd.exp(A, V)
    spd.lyapunov(A, V, B)
    np.testing.assert_array_equal((A, B, V), before)

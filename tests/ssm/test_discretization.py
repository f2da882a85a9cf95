"""Discretisation rules against SciPy, closed forms and 40-digit arithmetic."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import scipy.signal
import torch
from hypothesis import given
from hypothesis import strategies as st

from ssm import delayed_form, discretize, foh_gain, hippo_basis, hippo_matrices, phi1
from ssm.discretization import METHODS

SCIPY_NAME = {"backward": "backward_diff"}


def _system(rng, batch=(), N=4):
    A = rng.standard_normal((*batch, N, N)) - 2 * np.eye(N)
    return A, rng.standard_normal((*batch, N))


def _options(method):
    return {"alpha": 0.3} if method == "gbt" else {}


@pytest.mark.parametrize("method", [m for m in METHODS if m != "impulse"])
def test_dense_agrees_with_scipy(xp, rng, method):
    A, B = _system(rng)
    name = SCIPY_NAME.get(method, method)
    system = (A, B[:, None], np.ones((1, 4)), np.zeros((1, 1)))
    expected_A, expected_B, *_ = scipy.signal.cont2discrete(system, 0.2, name, **_options(method))
    Ad, Bd = discretize(xp.asarray(A), xp.asarray(B), 0.2, method=method, **_options(method))
    np.testing.assert_allclose(xp.numpy(Ad), expected_A, atol=xp.tol)
    np.testing.assert_allclose(xp.numpy(Bd), expected_B[:, 0], atol=xp.tol)


def test_impulse_samples_the_impulse_response_as_scipy_does(rng):
    A, B = _system(rng)
    C = rng.standard_normal(4)
    system = (A, B[:, None], C[None], np.zeros((1, 1)))
    discrete = scipy.signal.cont2discrete(system, 0.2, "impulse")
    expected = scipy.signal.dimpulse((*discrete[:4], 0.2), n=9)[1][0].ravel()
    ours = delayed_form(*discretize(A, B, 0.2, method="impulse"), C)
    Ad, Bd, Cd, D = ours
    measured = scipy.signal.dimpulse((Ad, Bd[:, None], Cd[None], D[None, None], 0.2), n=9)
    np.testing.assert_allclose(measured[1][0].ravel(), expected, atol=1e-14)


def test_foh_gain_is_the_direct_term_of_scipy(rng):
    A, B = _system(rng)
    C = rng.standard_normal(4)
    system = (A, B[:, None], C[None], np.zeros((1, 1)))
    direct = scipy.signal.cont2discrete(system, 0.2, "foh")[3]
    np.testing.assert_allclose(C @ foh_gain(A, B, 0.2), direct[0, 0], atol=1e-15)


@pytest.mark.parametrize("method", METHODS)
def test_diagonal_equals_dense(xp, rng, method):
    poles = rng.standard_normal((2, 3)) - 3 + 1j * rng.standard_normal((2, 3))
    B = rng.standard_normal((2, 3))
    dt = xp.asarray([0.1, 0.3])
    dense = xp.asarray(np.stack([np.diag(row) for row in poles]))
    z, Bz = discretize(
        xp.asarray(poles), xp.asarray(B), dt, method=method, diagonal=True, **_options(method)
    )
    Ad, Bd = discretize(dense, xp.asarray(B), dt, method=method, **_options(method))
    expected = np.stack([np.diag(row) for row in xp.numpy(z)])
    np.testing.assert_allclose(xp.numpy(Ad), expected, atol=xp.tol)
    np.testing.assert_allclose(xp.numpy(Bd), xp.numpy(Bz), atol=xp.tol)
    gain = foh_gain(xp.asarray(poles), xp.asarray(B), dt, diagonal=True)
    np.testing.assert_allclose(
        xp.numpy(foh_gain(dense, xp.asarray(B), dt)), xp.numpy(gain), atol=xp.tol
    )


@pytest.mark.parametrize("measure", ["legs", "lagt", "tlagt"])
def test_zero_order_hold_matches_the_closed_form_basis(measure):
    """Abar^k B is the basis kernel at k dt, whatever the triangular matrix."""
    N, dt = 16, 0.05
    A, B = hippo_matrices(measure, N)
    Ad, _ = discretize(A, B, dt)
    kernels = [B]
    for _ in range(20):
        kernels.append(Ad @ kernels[-1])
    exact = hippo_basis(measure, N, dt * np.arange(21))
    np.testing.assert_allclose(np.stack(kernels, axis=-1), exact, atol=1e-12)


def test_zero_order_hold_of_a_singular_matrix_integrates():
    Ad, Bd = discretize(np.zeros((2, 2)), np.array([1.0, 2.0]), 0.5)
    np.testing.assert_array_equal(Ad, np.eye(2))
    np.testing.assert_allclose(Bd, [0.5, 1.0], rtol=1e-15)
    z, Bz = discretize(np.zeros(2), np.array([1.0, 2.0]), 0.5, diagonal=True)
    np.testing.assert_array_equal(z, [1, 1])
    np.testing.assert_array_equal(Bz, [0.5, 1.0])


def test_batched_equals_looped_with_a_step_a_system(xp, rng):
    A, B = _system(rng, (3,))
    steps = [0.1, 0.2, 0.4]
    Ad, Bd = discretize(xp.asarray(A), xp.asarray(B), xp.asarray(steps))
    for index, step in enumerate(steps):
        one = discretize(xp.asarray(A[index]), xp.asarray(B[index]), step)
        np.testing.assert_allclose(xp.numpy(Ad[index]), xp.numpy(one[0]), atol=xp.tol)
        np.testing.assert_allclose(xp.numpy(Bd[index]), xp.numpy(one[1]), atol=xp.tol)


def test_a_scalar_step_keeps_double_precision_beside_single_precision():
    A = np.array([-1.0 + 5j], np.complex64)
    z, _ = discretize(torch.as_tensor(A), torch.ones(1), 0.02, diagonal=True)
    assert z.dtype == torch.complex64
    exact = np.exp(0.02 * A.astype(complex))
    assert z.numpy()[0] == exact.astype(np.complex64)[0]


@given(
    st.floats(-30, 2), st.floats(-30, 30), st.floats(1e-3, 2), st.floats(0.5, 1), st.integers(1, 5)
)
def test_implicit_rules_keep_stable_systems_stable(re, im, dt, alpha, N):
    pole = np.full(N, -abs(re) + 1j * im)
    z, _ = discretize(pole, np.ones(N), dt, method="gbt", alpha=alpha, diagonal=True)
    assert np.abs(z).max() <= 1 + 1e-12


def test_an_explicit_rule_that_destabilises_warns():
    A, B = hippo_matrices("legs", 16)
    with pytest.warns(RuntimeWarning, match="dt is too large"):
        discretize(A, B, 1.0, method="euler")
    with pytest.warns(RuntimeWarning, match="dt is too large"):
        discretize(torch.as_tensor([-30.0]), torch.ones(1), 0.1, method="euler", diagonal=True)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("diagonal", [False, True])
def test_gradients(rng, method, diagonal):
    A = -1 - 0.3 * rng.random((2, 3)) if diagonal else _system(rng, (2,), 3)[0] * 0.5
    inputs = [
        torch.tensor(value, requires_grad=True)
        for value in (A, rng.standard_normal((2, 3)), np.array([0.1, 0.2]))
    ]

    def both(A, B, dt):
        return discretize(A, B, dt, method=method, diagonal=diagonal, **_options(method))

    assert torch.autograd.gradcheck(both, inputs)


@pytest.mark.parametrize("magnitude", [0.0, 1e-300, 1e-12, 1e-7, 1e-3, 0.3, 0.99, 1.01, 5.0, 40.0])
def test_phi1_to_the_last_digits(magnitude):
    for direction in (1, -1, 1j, np.exp(2.5j)):
        x = complex(magnitude * direction)
        with mpmath.workdps(40):
            exact = complex(mpmath.expm1(mpmath.mpc(x)) / mpmath.mpc(x)) if x else 1.0
        assert abs(complex(phi1(np.array([x]))[0]) - exact) <= 2e-15 * abs(exact)


def test_phi1_in_single_precision_does_not_cancel(xp):
    x = xp.asarray([1e-7, 1e-5, 1e-3])
    exact = np.expm1([1e-7, 1e-5, 1e-3]) / [1e-7, 1e-5, 1e-3]
    np.testing.assert_allclose(xp.numpy(phi1(x)), exact, rtol=1.2e-7)


def test_phi1_gradient_near_zero():
    x = torch.tensor([0.0, 1e-9, 1e-4, 2.0], dtype=torch.float64, requires_grad=True)
    phi1(x).sum().backward()
    t = x.detach().numpy()
    exact = [0.5, 0.5 + 1e-9 / 3, 0.5 + 1e-4 / 3 + 1e-8 / 8, ((t[3] - 1) * np.exp(t[3]) + 1) / 4]
    np.testing.assert_allclose(x.grad.numpy(), exact, rtol=1e-12)


GOOD = {"A": np.eye(2) * -1, "B": np.ones(2), "dt": 0.1}


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"dt": 0.0}, ValueError, "dt must be positive"),
        ({"dt": -1}, ValueError, "dt must be positive"),
        ({"dt": np.nan}, ValueError, "dt must be finite"),
        ({"dt": 1j}, TypeError, "dt must be real"),
        ({"dt": np.ones((2, 3)), "A": np.ones((4, 2, 2))}, ValueError, r"dt \(2, 3\)"),
        ({"A": np.ones((2, 3))}, ValueError, "A must have shape"),
        ({"A": np.ones(2)}, ValueError, "A must have shape"),
        ({"A": np.ones((0, 0)), "B": np.ones(0)}, ValueError, "A must have order"),
        ({"A": np.full((2, 2), np.inf)}, ValueError, "A must be finite"),
        ({"A": np.ones((2, 2), bool)}, TypeError, "A must hold"),
        ({"A": torch.eye(2)}, TypeError, "mix array libraries"),
        ({"B": np.ones(3)}, ValueError, "B must have shape"),
        ({"B": np.ones((5, 2)), "A": np.ones((4, 2, 2))}, ValueError, r"B \(5,\)"),
        ({"method": "tustin"}, ValueError, "method must be one of"),
        ({"method": "gbt"}, ValueError, "alpha must be given"),
        ({"method": "gbt", "alpha": 1.5}, ValueError, "alpha must be in"),
        ({"method": "gbt", "alpha": "half"}, TypeError, "alpha must be a real number"),
        ({"alpha": 0.5}, ValueError, "alpha is for method='gbt' only"),
    ],
)
def test_bad_input(change, error, words):
    arguments = GOOD | change
    data = [arguments.pop(name) for name in ("A", "B", "dt")]
    with pytest.raises(error, match=words):
        discretize(*data, **arguments)


def test_integer_matrices_are_promoted_and_left_alone():
    A = np.array([[-1, 0], [1, -2]])
    Ad, _ = discretize(A, np.array([1, 0]), 1)
    assert Ad.dtype == np.float64
    assert A.dtype.kind == "i"
    np.testing.assert_allclose(np.diag(Ad), np.exp([-1, -2]))

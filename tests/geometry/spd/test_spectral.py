"""Matrix functions: values in sixty digits, identities, derivatives at equal eigenvalues."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

from geometry import spd
from geometry.spd import spectral
from numerics.arrays import frame_like

torch = pytest.importorskip("torch")

FUNCTIONS = {
    "sqrt": (spd.sqrtm, mpmath.sqrt),
    "invsqrt": (spd.invsqrtm, lambda x: 1 / mpmath.sqrt(x)),
    "log": (spd.logm, mpmath.log),
    "exp": (spd.expm, mpmath.exp),
    "power": (lambda A, **k: spd.powm(A, 0.3, **k), lambda x: x ** mpmath.mpf(0.3)),
}
# Equal, equal but for rounding, near, apart.
SPECTRA = ([1, 1, 2], [1, 1, 1], [1, 1 + 1e-15, 1 + 1e-9], [0.5, 2, 2.02])


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("digits", [1, 6, 10])
def test_values_in_sixty_digits(name, digits, with_condition, exactly, relative_error, rng):
    """eigh finds eigenvalues to the rounding unit of the largest: the error of the function is
    that, magnified by its slope at the smallest one relative to its value."""
    A = with_condition(rng, 5, digits)
    ours, scalar = FUNCTIONS[name]
    growth = {"sqrt": digits / 2, "invsqrt": digits, "log": digits, "exp": 0, "power": 0.7 * digits}
    error = relative_error(ours(A), exactly(A, scalar))
    assert error < 2e-15 * 10 ** growth[name]


@given(
    n=st.integers(1, 6), digits=st.floats(0, 4), seed=st.integers(0, 2**32), imaginary=st.booleans()
)
def test_identities(with_condition, n, digits, seed, imaginary):
    A = with_condition(np.random.default_rng(seed), n, digits, batch=(2,), complex_=imaginary)
    near = {"rtol": 0, "atol": 1e-14 * 10**digits}
    root, inverse = spd.sqrtm(A), spd.invsqrtm(A)
    np.testing.assert_allclose(root @ root, A, **near)
    np.testing.assert_allclose(root @ inverse, np.broadcast_to(np.eye(n), A.shape), **near)
    np.testing.assert_allclose(spd.expm(spd.logm(A)), A, **near)
    np.testing.assert_allclose(spd.powm(A, 0.3) @ spd.powm(A, 0.7), A, **near)
    np.testing.assert_allclose(spd.powm(A, -0.5), inverse, rtol=1e-12, atol=1e-13 * 10**digits)
    for result in (root, inverse, spd.logm(A)):
        np.testing.assert_array_equal(result, np.conj(np.swapaxes(result, -1, -2)))


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("imaginary", [False, True])
def test_kinds_strides_and_batches(xp, name, imaginary, with_condition, rng):
    function, _ = FUNCTIONS[name]
    host = with_condition(rng, 4, 1, batch=(2, 3), complex_=imaginary)
    A = xp.asarray(host)
    exact = np.stack([[function(M) for M in row] for row in xp.numpy(A).astype(host.dtype)])
    tolerance = {"rtol": 0, "atol": 1e-6 if xp.single else 1e-13}
    np.testing.assert_allclose(xp.numpy(function(A)), exact, **tolerance)
    wide = xp.asarray(np.repeat(host, 2, axis=-1))[..., ::2]
    np.testing.assert_allclose(xp.numpy(function(wide)), exact, **tolerance)
    assert xp.numpy(function(A[:0])).shape == (0, 3, 4, 4)


def test_exponents_broadcast(xp, with_condition, rng):
    A = with_condition(rng, 3, 1, batch=(2,))
    theta = np.array([[0.5], [-1.0], [0.0]])
    got = xp.numpy(spd.powm(xp.asarray(A), xp.asarray(theta)))
    assert got.shape == (3, 2, 3, 3)
    expected = np.stack([spd.sqrtm(A), np.linalg.inv(A), np.broadcast_to(np.eye(3), A.shape)])
    np.testing.assert_allclose(got, expected, atol=100 * xp.tol)


def test_single_precision_is_rounded_once(with_condition, rng):
    """Single precision itself could not invert a matrix of condition 1e6."""
    A = with_condition(rng, 5, 6).astype(np.float32)
    A = (A + A.T) / 2
    np.testing.assert_array_equal(spd.logm(A), spd.logm(A.astype(float)).astype(np.float32))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_derivative_is_that_of_a_block_matrix(name, with_condition, hermitian, rng):
    """f of [[A, E], [0, A]] has the derivative in its corner; SciPy knows f of any matrix."""
    A, E = with_condition(rng, 4, 1), hermitian(rng, (4, 4), False)
    of_any = {
        "sqrt": scipy.linalg.sqrtm,
        "invsqrt": lambda X: np.linalg.inv(scipy.linalg.sqrtm(X)),
        "log": scipy.linalg.logm,
        "exp": scipy.linalg.expm,
        "power": lambda X: scipy.linalg.fractional_matrix_power(X, 0.3),
    }[name]
    corner = of_any(np.block([[A, E], [np.zeros((4, 4)), A]]))[:4, 4:]
    theta = np.array(0.3) if name == "power" else None
    got = spectral.spectral_derivative(frame_like(None), A, E, name, theta=theta)
    np.testing.assert_allclose(got, corner, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("spectrum", SPECTRA, ids=str)
@pytest.mark.parametrize("imaginary", [False, True])
def test_gradients_at_coinciding_eigenvalues(spectrum, imaginary, from_eigenvalues, rng):
    A = torch.tensor(from_eigenvalues(rng, spectrum, imaginary), requires_grad=True)
    theta = torch.tensor([0.3, -1.2], dtype=torch.float64, requires_grad=True)

    def all_at_once(A, theta):
        names = ("sqrt", "invsqrt", "log", "exp", "power")
        A = (A + A.mH) / 2
        return spectral.spectral_functions(frame_like(A), A, *names, theta=theta)

    assert torch.autograd.gradcheck(all_at_once, (A, theta))
    assert torch.autograd.gradgradcheck(all_at_once, (A, theta), fast_mode=True)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_public_gradients(name, from_eigenvalues, rng):
    A = torch.tensor(from_eigenvalues(rng, [0.3, 1, 1]), requires_grad=True)
    assert torch.autograd.gradcheck(lambda A: FUNCTIONS[name][0](A, check=False), (A,))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_derivative_is_differentiable(name, from_eigenvalues, hermitian, rng):
    A = torch.tensor(from_eigenvalues(rng, [0.3, 1, 1]), requires_grad=True)
    E = torch.tensor(hermitian(rng, (2, 3, 3), False), requires_grad=True)
    theta = torch.tensor(0.3, dtype=torch.float64, requires_grad=name == "power")

    def derivative(A, E, theta):
        A, E = (A + A.mT) / 2, (E + E.mT) / 2
        given = theta if name == "power" else None
        return spectral.spectral_derivative(frame_like(A), A, E, name, theta=given)

    assert torch.autograd.gradcheck(derivative, (A, E, theta))


def test_gradient_keeps_its_digits_for_tiny_eigenvalues(from_eigenvalues, exactly, rng):
    """The gradient of tr(W log A) is the Frechet derivative, here in sixty digits."""
    w = [1e-12, 1.0000001e-12, 1e-6, 1.0]
    A = torch.diag(torch.tensor(w, dtype=torch.float64)).requires_grad_()
    W = torch.ones(4, 4, dtype=torch.float64)
    (spd.logm(A, check=False) * W).sum().backward()
    with mpmath.workdps(60):
        for i in range(4):
            for j in range(4):
                a, b = mpmath.mpf(w[i]), mpmath.mpf(w[j])
                exact = 1 / a if i == j else (mpmath.log(a) - mpmath.log(b)) / (a - b)
                assert abs(float(A.grad[i, j]) / exact - 1) < 1e-14


@pytest.mark.parametrize("spectrum", [[1, 1, 1], [0.5, 1, 2]], ids=str)
@pytest.mark.parametrize("imaginary", [False, True])
def test_functions_of_singular_values(spectrum, imaginary, from_eigenvalues, rng):
    base = from_eigenvalues(rng, spectrum, imaginary)
    C = torch.tensor(base @ from_eigenvalues(rng, [1.0, 1, 1], imaginary), requires_grad=True)
    theta = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    frame = frame_like(C)
    product = C.detach() @ C.detach().mH
    torch.testing.assert_close(spectral.gram_function(frame, C, "log"), spd.logm(product))

    def power(C, theta):
        return spectral.gram_function(frame, C, "power", theta=theta)

    def log(C):
        return spectral.gram_function(frame, C, "log")

    for function, arguments in ((power, (C, theta)), (log, (C,))):
        assert torch.autograd.gradcheck(function, arguments)
        assert torch.autograd.gradgradcheck(function, arguments, fast_mode=True)


def test_transforms(with_condition, rng):
    A = torch.tensor(with_condition(rng, 3, 1, batch=(4,)))
    theta = torch.linspace(0.2, 0.8, 4, dtype=torch.float64)
    torch.testing.assert_close(torch.func.vmap(spd.powm)(A, theta), spd.powm(A, theta))

    def loss(A):
        return (spd.logm(A) ** 2).sum() + spd.sqrtm(A).sum()

    leaf = A.clone().requires_grad_()
    loss(leaf).backward()
    torch.testing.assert_close(torch.func.vmap(torch.func.grad(loss))(A), leaf.grad)

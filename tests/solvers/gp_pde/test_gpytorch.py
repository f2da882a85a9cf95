from __future__ import annotations

import warnings

import numpy as np
import pytest

from solvers.gp_pde import SpectralMixture

torch = pytest.importorskip("torch")
gpytorch = pytest.importorskip("gpytorch")

from gpytorch.kernels import CosineKernel, MaternKernel, RBFKernel, SpectralMixtureKernel  # noqa: E402

from solvers.gp_pde.gpytorch import (  # noqa: E402
    KroneckerCovariance,
    StudentTMixtureKernel,
    from_gpytorch,
    grid_covariance,
    to_gpytorch,
)

WEIGHTS, FREQS, SCALES = np.array([[0.7, 0.2, 1.6], [0.5, 3.0, 11.0], [0.4, 1.0, 0.15]])


def dense(operator):
    return operator.to_dense().detach()


def filled(kernel, seed=0):
    """Random positive parameters."""
    generator = torch.Generator().manual_seed(seed)
    for name in ("mixture_weights", "mixture_means", "mixture_scales"):
        value = torch.rand(getattr(kernel, name).shape, generator=generator, dtype=torch.float64)
        setattr(kernel, name, 0.2 + value)
    return kernel


@pytest.mark.parametrize("nu", [0.5, 1.5, 2.5])
def test_student_t_mixture_is_a_sum_of_matern_kernels_times_cosines(nu):
    kernel = to_gpytorch(SpectralMixture(WEIGHTS, FREQS, SCALES, envelope="matern", nu=nu))
    assert isinstance(kernel, StudentTMixtureKernel)
    x = torch.linspace(0, 1, 7, dtype=torch.float64).unsqueeze(-1) ** 1.3
    y = torch.rand(4, 1, dtype=torch.float64)
    expected = 0
    for w, mu, rho in zip(WEIGHTS, FREQS, SCALES, strict=True):
        matern, cosine = MaternKernel(nu).double(), CosineKernel().double()
        matern.lengthscale, cosine.period_length = 1 / (2 * np.pi * rho), 1 / (2 * mu)
        expected = expected + w * dense(matern(x, y)) * dense(cosine(x, y))
    # GPyTorch's distances are 1e-15 at least, and their squares are differences of squares.
    torch.testing.assert_close(dense(kernel(x, y)), expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(
        kernel(x, diag=True), torch.full((7,), WEIGHTS.sum(), dtype=torch.float64)
    )


def test_dimensions_multiply_and_batches_do_not_show():
    kernel = filled(StudentTMixtureKernel(3, ard_num_dims=2, batch_shape=torch.Size([4])).double())
    x, y = torch.rand(4, 5, 2).double(), torch.rand(4, 6, 2).double()
    got = dense(kernel(x, y))
    assert got.shape == (4, 5, 6)
    for i in range(4):
        expected = 1
        for j in range(2):
            mixture = SpectralMixture(
                kernel.mixture_weights[i].detach(),
                kernel.mixture_means[i, :, 0, j].detach(),
                kernel.mixture_scales[i, :, 0, j].detach(),
                envelope="matern",
            )
            expected = expected * mixture(x[i, :, None, j] - y[i, None, :, j])
        torch.testing.assert_close(got[i], expected, rtol=1e-12, atol=1e-13)
    pairs = kernel(x, y[:, :5], diag=True)
    torch.testing.assert_close(pairs, torch.diagonal(got[:, :, :5], dim1=-2, dim2=-1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        apart = kernel(x, y, last_dim_is_batch=True).to_dense()
    torch.testing.assert_close(apart.prod(dim=-3), dense(kernel(x, y)))


def test_precision_follows_the_arguments():
    kernel = StudentTMixtureKernel(2)
    x = torch.linspace(0, 1, 3).unsqueeze(-1)
    assert kernel(x).to_dense().dtype == torch.float32
    assert kernel.double()(x.double()).to_dense().dtype == torch.float64


def test_derivatives_by_autograd_where_points_coincide():
    mixture = SpectralMixture(WEIGHTS, FREQS, SCALES, envelope="matern", nu=2.5)
    kernel = to_gpytorch(mixture)
    x = torch.zeros(1, 1, dtype=torch.float64, requires_grad=True)
    value = kernel(x, torch.zeros(1, 1, dtype=torch.float64)).to_dense().sum()
    for order in range(1, 5):
        (value,) = torch.autograd.grad(value.sum(), x, create_graph=True)
        scale = abs(mixture(0.0, order=order + order % 2))
        assert abs(float(value.detach()) - mixture(0.0, order=order)) < 1e-12 * scale


@pytest.mark.parametrize("kind", [SpectralMixtureKernel, StudentTMixtureKernel])
@pytest.mark.parametrize("d", [1, 2])
def test_conversion_there_and_back(kind, d):
    kernel = filled(kind(num_mixtures=3, ard_num_dims=d).double())
    mixtures = from_gpytorch(kernel)
    x = torch.rand(5, d, dtype=torch.float64)
    product = 1
    for j, mixture in enumerate(mixtures if d > 1 else [mixtures]):
        product = product * mixture(x[:, None, j] - x[None, :, j])
    torch.testing.assert_close(product, kernel(x).to_dense(), rtol=1e-12, atol=1e-13)
    product.sum().backward()
    assert all(float(p.grad.abs().min()) > 0 for p in kernel.parameters())
    again = to_gpytorch(mixtures)
    assert type(again) is kind
    for name, value in kernel.named_parameters():
        torch.testing.assert_close(dict(again.named_parameters())[name], value)


def test_zeros_and_negative_frequencies_survive():
    """Where GPyTorch's parameters are positive."""
    mixture = SpectralMixture([1.0, 0.0, 0.4], [0.0, 2.0, -5.0], [0.3, 0.1, 0.2])
    kernel = to_gpytorch(mixture)
    x = torch.linspace(0, 1, 5, dtype=torch.float64)
    expected = mixture(x[:, None] - x)
    torch.testing.assert_close(kernel(x.unsqueeze(-1)).to_dense(), expected, atol=1e-13, rtol=0)
    kernel(x.unsqueeze(-1)).to_dense().sum().backward()
    assert all(bool(torch.isfinite(p.grad).all()) for p in kernel.parameters())


def test_training_raises_the_evidence():
    """Of a wave whose frequency is a little off at the start."""
    x = torch.linspace(0, 1, 40, dtype=torch.float64)
    y = torch.sin(2 * torch.pi * 6.3 * x)

    class Model(gpytorch.models.ExactGP):
        def __init__(self, likelihood):
            super().__init__(x, y, likelihood)
            self.mean_module = gpytorch.means.ZeroMean()
            self.covar_module = to_gpytorch(
                SpectralMixture([0.5], [6.0], [0.2], envelope="matern", nu=2.5)
            )

        def forward(self, x):
            return gpytorch.distributions.MultivariateNormal(
                self.mean_module(x), self.covar_module(x)
            )

    likelihood = gpytorch.likelihoods.GaussianLikelihood().double()
    model = Model(likelihood)
    likelihood.noise = 1e-3
    evidence = gpytorch.mlls.ExactMarginalLogLikelihood(likelihood, model)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    values = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = -evidence(model(x), y)
        loss.backward()
        optimizer.step()
        values.append(float(loss.detach()))
    assert values[-1] < values[0] - 0.5
    assert abs(float(model.covar_module.mixture_means.detach()) - 6.3) < 0.1


def covariance(n, m, jitter, batch=()):
    kernels = [SpectralMixture([1.0], [0.0], [0.5]), SpectralMixture([0.6], [1.0], [0.4])]
    grids = [torch.linspace(0, 1, k, dtype=torch.float64) for k in (n, m)]
    C = grid_covariance(grids, kernels, jitter=jitter)
    return C.expand(*batch, *C.shape[-2:]) if batch else C


def test_kronecker_covariance_is_the_dense_one():
    C = covariance(4, 5, 1e-3)
    full = dense(C)
    A, B = (dense(factor) for factor in C.linear_ops)
    torch.testing.assert_close(full, torch.kron(A, B))
    rng = torch.Generator().manual_seed(0)
    for shape in ((20,), (20, 3), (2, 20, 3)):
        rhs = torch.randn(shape, generator=rng, dtype=torch.float64)
        expected = torch.linalg.solve(full, rhs)
        scale = float(expected.abs().max())
        torch.testing.assert_close(C.solve(rhs), expected, rtol=0, atol=1e-9 * scale)
        quad, logdet = C.inv_quad_logdet(rhs, logdet=True)
        columns = rhs.unsqueeze(-1) if rhs.ndim == 1 else rhs
        solved = torch.linalg.solve(full, columns)
        torch.testing.assert_close(quad, (columns * solved).sum(dim=(-2, -1)), rtol=1e-9, atol=0)
        torch.testing.assert_close(logdet, torch.logdet(full), rtol=1e-10, atol=0)
    each = C.inv_quad_logdet(rhs, reduce_inv_quad=False)
    torch.testing.assert_close(each[0], (rhs * C.solve(rhs)).sum(dim=-2), rtol=1e-9, atol=0)
    assert each[1] is None
    left = torch.randn(2, 20, generator=rng, dtype=torch.float64)
    torch.testing.assert_close(C.solve(rhs[0], left), left @ C.solve(rhs[0]))
    torch.testing.assert_close(dense(C.cholesky()), torch.linalg.cholesky(full))
    torch.testing.assert_close(dense(C.cholesky(upper=True)), torch.linalg.cholesky(full).mT)
    torch.testing.assert_close(dense(C.root_decomposition()), full)


def test_kronecker_covariance_takes_batches():
    A = torch.eye(3).double() + torch.rand(2, 1, 1).double()
    B = 2 * torch.eye(4).double() + 0.1
    C = KroneckerCovariance(A, B)
    rhs = torch.rand(12, 2).double()
    full = torch.stack([torch.kron(a, B) for a in A])
    torch.testing.assert_close(C.logdet(), torch.logdet(full))
    torch.testing.assert_close(C.solve(rhs), torch.linalg.solve(full, rhs.expand(2, 12, 2)))
    torch.testing.assert_close(covariance(3, 4, 1e-3, (5,)).logdet().shape, torch.Size([5]))


@pytest.mark.parametrize(("n", "m", "jitter"), [(12, 10, 1e-4), (60, 50, 1e-6)])
def test_log_determinant_has_no_floor(n, m, jitter):
    """By eigenvalues of the factors; the product has some below 1e-7, where a floor would be."""
    C = covariance(n, m, jitter)
    a, b = (np.linalg.eigvalsh(dense(factor).numpy()) for factor in C.linear_ops)
    assert np.mean(np.multiply.outer(a, b) < 1e-7) > 0.1
    expected = m * np.log(a).sum() + n * np.log(b).sum()
    np.testing.assert_allclose(float(C.logdet()), expected, rtol=1e-9)
    if n == 12:  # few enough digits are lost for the dense one
        np.testing.assert_allclose(float(C.logdet()), float(torch.logdet(dense(C))), rtol=1e-6)
    u = C @ torch.ones(n * m, dtype=torch.float64)
    process = gpytorch.distributions.MultivariateNormal(torch.zeros_like(u), C)
    quad = float(u.sum())
    by_hand = -0.5 * (quad + expected + n * m * np.log(2 * np.pi))
    np.testing.assert_allclose(float(process.log_prob(u)), by_hand, rtol=1e-6)


def test_samples_have_the_covariance():
    C = covariance(3, 2, 1e-6)
    torch.manual_seed(3)
    samples = C.zero_mean_mvn_samples(40_000)
    # Errors of a covariance are about its size over the root of half the number of samples.
    torch.testing.assert_close(samples.T @ samples / 40_000, dense(C), rtol=0, atol=0.03)


def test_noise_may_be_added():
    C = covariance(6, 5, 1e-6)
    noisy = C.add_diagonal(torch.tensor(0.1, dtype=torch.float64))
    full = dense(C) + 0.1 * torch.eye(30).double()
    torch.testing.assert_close(noisy.logdet(), torch.logdet(full))
    rhs = torch.rand(30).double()
    torch.testing.assert_close(noisy.solve(rhs), torch.linalg.solve(full, rhs))


def test_gradients():
    x = torch.linspace(0, 1, 3, dtype=torch.float64)
    u = torch.rand(9, generator=torch.Generator().manual_seed(1)).double()
    parameters = [
        torch.tensor([v], dtype=torch.float64, requires_grad=True) for v in (0.7, 1.3, 0.9)
    ]

    def evidence(*parameters):
        kernel = SpectralMixture(*parameters, envelope="matern")
        C = grid_covariance([x, x], [kernel, kernel], jitter=1e-2)
        quad, logdet = C.inv_quad_logdet(u, logdet=True)
        return quad, logdet, C.solve(u), C @ u

    assert torch.autograd.gradcheck(evidence, parameters)


def test_kernels_of_gpytorch_make_factors():
    x, t = torch.linspace(0, 1, 4), torch.linspace(0, 2, 3)
    C = grid_covariance([x, t], [StudentTMixtureKernel(2), RBFKernel()], jitter=1e-3)
    points = torch.cartesian_prod(x, t)
    first, second = StudentTMixtureKernel(2), RBFKernel()
    expected = dense(first(points[:, :1])) * dense(second(points[:, 1:]))
    torch.testing.assert_close(dense(C), expected, rtol=0, atol=3e-3)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x, k: StudentTMixtureKernel(2, nu=2.0), ValueError, "nu must be a half-integer"),
        (
            lambda x, k: StudentTMixtureKernel(2).forward(torch.rand(3, 2), torch.rand(3, 2)),
            ValueError,
            "ard_num_dims = 1",
        ),
        (lambda x, k: from_gpytorch(RBFKernel()), TypeError, "kernel must be a SpectralMixture"),
        (
            lambda x, k: from_gpytorch(StudentTMixtureKernel(2, batch_shape=torch.Size([3]))),
            ValueError,
            "no batch axes",
        ),
        (lambda x, k: to_gpytorch([k, 1.0]), TypeError, "mixture must hold spectral mixtures"),
        (lambda x, k: to_gpytorch([]), ValueError, "at least one spectral mixture"),
        (
            lambda x, k: to_gpytorch([k, SpectralMixture([2.0], [1.0], [1.0])]),
            ValueError,
            "same weights",
        ),
        (
            lambda x, k: to_gpytorch([k, SpectralMixture([1.0], [1.0], [1.0], envelope="matern")]),
            ValueError,
            "same envelope",
        ),
        (lambda x, k: grid_covariance([x], [k, k]), ValueError, "kernels must be as many"),
        (lambda x, k: grid_covariance([x.numpy()], [k]), TypeError, r"grids\[0\] must be a tensor"),
        (lambda x, k: grid_covariance([x[None]], [k]), ValueError, r"grids\[0\] must have shape"),
        (lambda x, k: grid_covariance([x], [3.0]), TypeError, "kernel must be callable"),
        (lambda x, k: grid_covariance([x], [k], jitter=-1.0), ValueError, "jitter must not be"),
        (
            lambda x, k: grid_covariance([x, x], [k, k]).logdet(),
            torch.linalg.LinAlgError,
            "factor 0 of 50 points is not positive definite",
        ),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call(torch.linspace(0, 1, 50, dtype=torch.float64), SpectralMixture([1.0], [0.0], [0.5]))

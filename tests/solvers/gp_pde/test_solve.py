"""The front door: kinds of data, what is refused and what is warned of."""

from __future__ import annotations

import numpy as np
import pytest

from solvers.gp_pde.conditions import Dirichlet, Neumann, Periodic
from solvers.gp_pde.equations import PDE, Advection, Laplacian, LinearOperator1D
from solvers.gp_pde.solve import solve_pde
from solvers.gp_pde.spectral_mixture import SpectralMixture

X = np.linspace(0, 1, 60)
KERNEL = SpectralMixture([1.0], [0.0], [2.0])


def wave(x):
    return -400 * np.sin(20 * x)


ENDS = (0.0, float(np.sin(20.0)))


def test_data_as_functions_values_and_conditions_are_the_same():
    first = solve_pde(Laplacian(1), X, wave, ENDS)
    for f, boundary in [
        (wave(X), ENDS),
        (list(wave(X)), np.array(ENDS)),
        (wave, lambda x: np.sin(20 * x)),
        (wave, {"x0": 0, "x1": Dirichlet(lambda x: np.sin(20 * x))}),
        (wave, ([0.0], [Dirichlet(ENDS[1])])),
    ]:
        again = solve_pde(PDE(Laplacian(1)), (X,), f, boundary)
        np.testing.assert_allclose(again.u, first.u, atol=1e-7)
    assert np.abs(first.u - np.sin(20 * X)).max() < 1e-6


@pytest.mark.parametrize("dim", [1, 2])
def test_a_number_is_the_value_on_all_faces(dim):
    grids = (np.linspace(0, 1, 20),) * dim
    number = solve_pde(Laplacian(dim), grids, 1.0, 2.0)
    np.testing.assert_array_equal(number.u, solve_pde(Laplacian(dim), grids, 1.0, Dirichlet(2)).u)
    assert abs(number.u[(0,) * dim] - 2) < 1e-8
    assert len(repr(number)) < 200
    assert "20 x 20"[: 5 * dim - 3] in repr(number)


def test_errors_of_functions_are_chained():
    with pytest.raises(ValueError, match="f must take") as caught:
        solve_pde(Laplacian(1), X, lambda x: {}[0], 0.0)
    assert isinstance(caught.value.__cause__, KeyError)


def test_neumann_data_point_outward():
    boundary = (Neumann(-20.0), Neumann(lambda x: 20 * np.cos(20 * x)))
    screened = LinearOperator1D(-1.0, 0.0, 1.0)
    solution = solve_pde(screened, X, lambda x: -401 * np.sin(20 * x), boundary)
    assert np.abs(solution.u - np.sin(20 * X)).max() < 1e-5


def test_results_are_of_the_callers_kind(xp):
    x, f = xp.asarray(X), xp.asarray(wave(X))
    solution = solve_pde(Laplacian(1), x, f, ENDS, allow_float32=xp.single)
    # Values of f in single precision are off by 1e-7 of 400.
    tolerance = 1e-5 if xp.single else 1e-6
    assert np.abs(xp.numpy(solution.u) - np.sin(20 * X)).max() < tolerance
    mean, variance = solution.predict(x[:5])
    assert np.abs(xp.numpy(mean) - np.sin(20 * X[:5])).max() < tolerance
    assert np.all(xp.numpy(variance) >= 0)
    assert xp.numpy(solution.sample(2, rng=0)).shape == (2, 60)


@pytest.mark.parametrize("method", ["features", "collocation", "differentiation"])
def test_residuals_of_homogeneous_equations_do_not_grow_with_the_grid(method):
    screened = LinearOperator1D(-100.0, 0.0, 1.0)
    kernel = SpectralMixture([1.0], [0.0], [0.4])
    norms = [
        solve_pde(
            screened, np.linspace(0, 1, n), np.zeros(n), (1.0, 0.5), method=method, kernel=kernel
        ).residual_norm
        for n in (20, 80)
    ]
    # Values that do not solve the equation are off by as much as its terms.
    assert max(norms) < 1e-2
    nothing = solve_pde(screened, X, 0.0, (0.0, 0.0), method=method, kernel=kernel)
    assert nothing.residual_norm == 0.0


def test_single_precision_is_refused_unless_allowed():
    for grids, f in [(X.astype(np.float32), wave), (X, wave(X).astype(np.float32))]:
        with pytest.raises(ValueError, match="allow_float32"):
            solve_pde(Laplacian(1), grids, f, ENDS)


def test_tensors_with_gradients_are_refused():
    torch = pytest.importorskip("torch")
    f = torch.as_tensor(wave(X)).requires_grad_()
    with pytest.raises(TypeError, match="f must not require gradients"):
        solve_pde(Laplacian(1), torch.as_tensor(X), f, ENDS)


def test_points_of_any_shape_and_products():
    solution = solve_pde(Laplacian(1), X, wave, ENDS)
    mean, variance = solution.predict(np.array([[0.1, 0.2], [0.3, 0.4]]))
    assert mean.shape == variance.shape == (2, 2)
    product, _ = solution.predict((np.array([0.1, 0.2]),), order=(0,))
    np.testing.assert_allclose(product, mean[0], atol=1e-14)
    assert solution.predict(0.5)[0].shape == ()
    assert solution.sample(3, rng=1, points=[0.5], order=1).shape == (3, 1)
    np.testing.assert_array_equal(solution.sample(2, rng=1), solution.sample(2, rng=1))


def test_functions_finer_than_the_grid_are_warned_of():
    def fine(x):
        return np.sin(400 * x)

    with pytest.warns(
        RuntimeWarning, match=r"f has frequencies up to about 6\d.*aliased"
    ) as record:
        solve_pde(Laplacian(1), X, fine, (0.0, 0.0))
    assert record[0].filename == __file__


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("f", [wave, lambda x: np.sin(180 * x), lambda x: 1e-14 * fine_noise(x)])
def test_functions_that_the_grid_resolves_are_not(f):
    solve_pde(Laplacian(1), X, f, (0.0, 1.0))


def fine_noise(x):
    return np.sin(1e5 * x)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"pde": "poisson"}, TypeError, "pde"),
        ({"grids": (X, X)}, ValueError, "grids must be a tuple of 1"),
        ({"grids": X[::-1]}, ValueError, r"grids\[0\] must be increasing"),
        ({"grids": X[:3]}, ValueError, r"grids\[0\] must have shape"),
        ({"grids": X[:, None]}, ValueError, r"grids\[0\] must have shape"),
        ({"grids": np.where(X > 0.9, np.nan, X)}, ValueError, r"grids\[0\] must be finite"),
        ({"f": np.ones(59)}, ValueError, "f must have shape"),
        ({"f": np.where(X > 0.9, np.inf, X)}, ValueError, "f must be finite"),
        ({"f": lambda x: x / 0}, ValueError, "f must be finite"),
        ({"f": lambda x: x[:4]}, ValueError, "f must give values of shape"),
        ({"f": lambda x: float(x)}, ValueError, "f must take 1 array.* TypeError: only"),
        ({"f": 1j * X}, TypeError, "f must be real"),
        ({"f": "zero"}, TypeError, "f must"),
        ({"boundary": (0.0,)}, ValueError, "boundary must be a pair"),
        ({"boundary": 1j}, ValueError, "boundary must be a pair"),
        ({"boundary": lambda x, y: x}, ValueError, "boundary x0 must take 1 array"),
        ({"boundary": {"y0": 0.0}}, ValueError, "boundary must have keys"),
        ({"boundary": (Periodic(), 0.0)}, ValueError, "Periodic"),
        ({"boundary": (np.ones(3), 0.0)}, ValueError, "boundary x0 must have shape"),
        ({"boundary": (np.nan, 0.0)}, ValueError, "boundary x0 must be finite"),
        ({"boundary": (0.0, Neumann("steep"))}, TypeError, "boundary x1"),
        ({"method": "magic"}, ValueError, "method"),
        ({"kernel": "rbf"}, TypeError, "kernel"),
        ({"kernel": (KERNEL, KERNEL)}, ValueError, "kernel must be 1"),
        (
            {"kernel": SpectralMixture([1.0], [0.0], [1.0], envelope="matern", nu=1.5)},
            ValueError,
            "kernel must have 2 derivatives",
        ),
        ({"noise": 0.1}, ValueError, "noise must be a pair"),
        ({"noise": (0.1, -1.0)}, ValueError, "noise must not be negative"),
        ({"observations": (X, X)}, ValueError, "observations must be a tuple"),
        ({"observations": (X, X[:5], 0.1)}, ValueError, r"observations\[1\]"),
        ({"observations": (X, X, 0.0)}, ValueError, r"observations\[2\].*got minimum 0"),
        ({"observations": (X, X, X[:3])}, ValueError, r"observations\[2\].*got shape \(3,\)"),
        ({"observations": (X + 1, X, 0.1)}, ValueError, r"observations\[0\].*box"),
        ({"observations": (X[:, None, None], X, 0.1)}, ValueError, r"observations\[0\]"),
        ({"rtol": 0.0}, ValueError, "rtol"),
        ({"maxiter": 0}, ValueError, "maxiter"),
        ({"pde": PDE(Laplacian(1), np.sin, np.sin)}, ValueError, "jac"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_bad_input(change, error, match):
    arguments = {"pde": Laplacian(1), "grids": X, "f": wave, "boundary": ENDS} | change
    positional = [arguments.pop(name) for name in ("pde", "grids", "f", "boundary")]
    with pytest.raises(error, match=match):
        solve_pde(*positional, **arguments)


@pytest.mark.parametrize(
    ("boundary", "error", "match"),
    [
        ({"x0": 0.0, "y0": 1.0}, ValueError, "corner"),
        ({"x0": np.ones(5)}, ValueError, "boundary x0 must have shape"),
        ({"x0": Periodic(), "x1": Periodic(), "y0": X}, ValueError, "repeat"),
        ((0.0, 0.0), TypeError, "boundary must be a number, a callable"),
        ({"x0": [0.0, 1.0]}, ValueError, "boundary x0 must have shape"),
    ],
)
def test_bad_boundaries_of_a_rectangle(boundary, error, match):
    with pytest.raises(error, match=match):
        solve_pde(Advection(1.0), (X, X[:20]), 0.0, boundary)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda s: s.predict([2.0]), "points must lie in the box"),
        (lambda s: s.predict([0.5], order=5), "order must be an integer from 0 to 4, got 5"),
        (lambda s: s.predict([0.5], order=(0, 0)), "order"),
        (lambda s: s.predict((X, X)), "points must be 1 grids"),
        (lambda s: s.predict((X[:, None],)), r"points\[0\]"),
        (lambda s: s.predict([np.nan]), "points must be finite"),
        (lambda s: s.sample(0), "size"),
    ],
)
def test_bad_requests(call, match):
    solution = solve_pde(Laplacian(1), X, wave, ENDS, kernel=KERNEL)
    with pytest.raises(ValueError, match=match):
        call(solution)

"""Operators as sums of terms, and equations with a checked derivative."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from solvers.gp_pde.equations import (
    PDE,
    Advection,
    Laplacian,
    LinearOperator,
    LinearOperator1D,
)

numbers = st.floats(-10, 10)


def applied(operator, *wave):
    """The operator's factor on exp(k . x), by the definition of its terms."""
    return sum(
        c * np.prod([k**a for k, a in zip(wave, orders, strict=True)])
        for c, orders in operator.terms
    )


@given(numbers, numbers, numbers, numbers)
def test_operators_form_a_vector_space(a, b, k, l):
    combined = a * Laplacian(2) + b * Advection(3.0) - LinearOperator([(1.0, (1, 1))])
    expected = a * (k**2 + l**2) + b * (3 * k + l) - k * l
    # Sums of six terms of size up to 2000.
    assert abs(applied(combined, k, l) - expected) < 1e-10


def test_terms_of_equal_orders_are_collected_and_callables_kept():
    operator = LinearOperator([(1.0, 2), (2.0, (2,)), (np.cos, 0), (np.sin, 0)])
    assert operator.terms == ((3.0, (2,)), (np.cos, (0,)), (np.sin, (0,)))
    assert not operator.is_constant
    assert operator.orders == (2,)


def test_callables_are_evaluated_and_scaled():
    operator = -2.0 * LinearOperator1D(c0=lambda x: x, c1=5.0)
    x = np.array([1.0, 4.0])
    values = {orders: c for c, orders in operator.coefficients(x)}
    np.testing.assert_array_equal(values[(0,)], [-2.0, -8.0])
    assert values[(1,)] == -10.0
    assert operator.frozen(4.0) == LinearOperator1D(-8.0, -10.0)


def test_reaction_and_its_derivative():
    pde = PDE(Laplacian(1), lambda u: u**3, lambda u: 3 * u**2)
    value, slope = pde.reaction(np.array([2.0, -1.0]))
    np.testing.assert_array_equal(value, [8.0, -1.0])
    np.testing.assert_array_equal(slope, [12.0, 3.0])
    pde.check_jac(np.linspace(-3, 3, 7))
    value, slope = PDE(Laplacian(1)).reaction(np.ones(3))
    assert not value.any()
    assert not slope.any()


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_a_wrong_derivative_is_refused(scale):
    pde = PDE(Laplacian(1), lambda u: u**2, lambda u: u)
    with pytest.raises(ValueError, match="jac must be the derivative"):
        pde.check_jac(scale * np.array([1.0, 2.0]))


@pytest.mark.parametrize(
    ("build", "error", "match"),
    [
        (lambda: LinearOperator([]), ValueError, "terms"),
        (lambda: LinearOperator([(1.0, (1,)), (1.0, (1, 0))]), ValueError, "terms"),
        (lambda: LinearOperator([(np.nan, 1)]), ValueError, "coefficient"),
        (lambda: LinearOperator([("a", 1)]), TypeError, "coefficient"),
        (lambda: LinearOperator([(1.0, 5)]), ValueError, "orders"),
        (lambda: LinearOperator([(1.0, -1)]), ValueError, "orders"),
        (lambda: LinearOperator([1.0]), TypeError, "terms"),
        (lambda: LinearOperator1D(), ValueError, "c0"),
        (lambda: Laplacian(0), ValueError, "dim"),
        (lambda: Advection("fast"), TypeError, "beta"),
        (lambda: PDE("laplace"), TypeError, "linear"),
        (lambda: PDE(Laplacian(1), np.sin), ValueError, "jac"),
        (lambda: PDE(Laplacian(1), 1.0, np.cos), TypeError, "nonlinear"),
        (
            lambda: PDE(Laplacian(1), lambda u: u[:1], np.cos).reaction(np.ones(2)),
            ValueError,
            "nonlinear",
        ),
        (lambda: LinearOperator1D(lambda x: x[:1]).coefficients(np.ones(2)), ValueError, "shape"),
        (lambda: LinearOperator1D(lambda x: x / 0).coefficients(np.ones(2)), ValueError, "finite"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_bad_input(build, error, match):
    with pytest.raises(error, match=match):
        build()

"""The problems, the reference in many digits and the NumPy assembly of the Riesz benchmarks."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from benchmarks._riesz_numpy_assembly import numpy_assembly
from benchmarks._riesz_peers import centred_difference_error, operator_errors
from benchmarks._riesz_problems import (
    bump,
    bump_left,
    bump_riesz,
    bump_slope,
    error_in_many_digits,
    torsion,
)
from benchmarks._riesz_spectra import operator_eigenvalues
from solvers import RieszCollocation, riesz_collocation_matrix, solve_riesz_bvp

X = np.linspace(0.05, 0.95, 7)


@pytest.mark.parametrize("alpha", [1.2, 1.5, 1.8])
def test_left_derivative_is_that_of_mpmath(alpha):
    with mpmath.workdps(30):
        exact = [
            float(mpmath.differint(lambda t: (t * (1 - t)) ** 4, mpmath.mpf(x), alpha, 0))
            for x in X[::3]
        ]
    # mpmath differentiates a quadrature numerically: it is good for some ten digits.
    np.testing.assert_allclose(bump_left(X[::3], alpha), exact, rtol=1e-8, atol=0)


def test_near_order_two_it_is_minus_the_second_derivative():
    u = np.polynomial.Polynomial([0, 1, -1]) ** 4
    np.testing.assert_allclose(bump(X), u(X), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(bump_slope(X), u.deriv()(X), rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(bump_riesz(X, 2 - 1e-9), -u.deriv(2)(X), rtol=0, atol=1e-9)


def test_torsion_solves_its_equation():
    # Away from its ends; the solver's error there is O(1 / n).
    solution = solve_riesz_bvp(np.ones_like, 256, 3, 1.4)
    np.testing.assert_allclose(solution(X), torsion(X, 1.4), rtol=1e-3)


@pytest.mark.parametrize(("n", "p"), [(7, 2), (8, 3), (3, 4), (12, 5)])
def test_error_in_many_digits_is_that_of_double_precision(n, p):
    points = np.linspace(0, 1, 65)
    solution = solve_riesz_bvp(lambda x: bump_riesz(x, 1.5), n, p, 1.5)
    double = np.max(np.abs(solution(points) - bump(points)))
    # Errors of 1e-8 and more, with rounding below 1e-15.
    assert double == pytest.approx(error_in_many_digits(n, p, 1.5, points), rel=1e-6)


@pytest.mark.parametrize(
    ("n", "p", "alpha"), [(40, 2, 1.1), (40, 3, 1.5), (64, 6, 1.8), (80, 8, 1.2)]
)
def test_numpy_assembly_is_the_compiled_one(n, p, alpha):
    A = RieszCollocation(n, p, alpha)
    parts = (A.toeplitz, A.left_columns, A.top_rows)
    largest = np.max(np.abs(riesz_collocation_matrix(n, p, alpha))) / n**alpha
    for ours, theirs in zip(numpy_assembly(n, p, alpha), parts, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=5e-14 * largest)


def test_centred_differences_are_of_second_order():
    coarse, fine = (centred_difference_error(n, 1.3) for n in (128, 256))
    assert coarse / fine == pytest.approx(4, rel=0.02)


def test_operator_errors_without_the_optional_packages():
    errors = operator_errors(64, 1.5, None, None)
    assert errors["splines, p = 5"] < 1e-5 < errors["centred differences"] < 1e-2
    assert [name for name, error in errors.items() if error is None] == [
        "differintP",
        "differintP, wide period",
        "differint, left",
    ]


def test_operator_eigenvalues_are_the_published_ones():
    # The Cauchy process on (-1, 1) to nine decimals, arXiv 0906.3113; on (0, 1) they double.
    published = 2 * np.array([1.157773884, 2.754754742])
    np.testing.assert_allclose(operator_eigenvalues(1.0, 2), published, rtol=0, atol=2e-9)

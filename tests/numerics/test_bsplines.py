from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import BSpline

from numerics import bspline_collocation_matrix, greville_abscissae, open_uniform_knots
from numerics.bsplines import bernstein, greville_sums, spline_pieces

DEGREES = st.integers(1, 10)
CELLS = st.integers(1, 30)


@given(n=CELLS, p=DEGREES)
def test_splines_sum_to_one_and_reproduce_the_line_exactly(n, p):
    """In rational arithmetic, with the Greville abscissae for the coefficients of the line."""
    pieces = spline_pieces(n, p)
    sums = greville_sums(n, p)
    for c in range(n):
        index, shift = pieces.locate(c + np.arange(p + 1))
        active = [
            pieces.exact[i][c - s - pieces.start[i]] for i, s in zip(index, shift, strict=True)
        ]
        for i in range(p + 1):
            assert sum(piece[i] for piece in active) == 1
            line = sum(Fraction(int(sums[c + k]), p) * active[k][i] for k in range(p + 1))
            assert line == c + Fraction(i, p)


@given(n=CELLS, p=DEGREES, x=st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=20))
def test_pieces_against_scipy(n, p, x):
    y = np.array(x) * n
    cell = np.minimum(np.floor(y).astype(int), n - 1)
    pieces = spline_pieces(n, p)
    ours = np.zeros((y.size, n + p))
    for k in range(p + 1):
        index, shift = pieces.locate(cell + k)
        values = pieces.bezier()[index, cell - shift - pieces.start[index]]
        ours[np.arange(y.size), cell + k] = bernstein(values, y - cell)
    theirs = BSpline.design_matrix(np.array(x), open_uniform_knots(n, p), p).toarray()
    # Both average non-negative numbers; moving x by one unit in the last place moves a value by
    # up to p n of them.
    np.testing.assert_allclose(ours, theirs, atol=4e-16 * p * n)


@given(n=CELLS, p=st.integers(2, 10), deriv=st.integers(0, 2))
def test_collocation_matrices_against_scipy(n, p, deriv):
    knots, N = open_uniform_knots(n, p), n + p - 2
    points = greville_abscissae(n, p)[1:-1]
    basis = BSpline(knots, np.eye(n + p), p)
    theirs = basis(points, nu=deriv)[:, 1:-1]
    ours = bspline_collocation_matrix(n, p, deriv)
    assert ours.shape == (N, N)
    assert np.diff(ours.indptr).max() <= p + 1
    scale = float(n * p) ** deriv
    np.testing.assert_allclose(ours.toarray(), theirs, atol=4e-15 * (n + p) * scale)


@given(n=CELLS, p=st.integers(2, 10), deriv=st.integers(0, 1))
def test_collocation_matrices_mirror(n, p, deriv):
    """A derivative, which is continuous here, changes its sign in the mirror."""
    dense = bspline_collocation_matrix(n, p, deriv).toarray()
    mirrored = (-1) ** deriv * dense[::-1, ::-1]
    np.testing.assert_allclose(dense, mirrored, atol=1e-14 * p * float(n * p) ** deriv)


@given(n=st.integers(1, 10**6), p=DEGREES)
def test_greville_abscissae_are_means_of_knots(n, p):
    sums = greville_sums(n, p)
    assert sums.size == n + p
    np.testing.assert_array_equal(sums + sums[::-1], n * p)
    if n <= 1000:
        means = [np.mean(open_uniform_knots(n, p)[i + 1 : i + p + 1]) for i in range(n + p)]
        np.testing.assert_allclose(greville_abscissae(n, p), means, atol=3e-16)


def test_knots_count():
    knots = open_uniform_knots(5, 3)
    assert knots.size == 5 + 2 * 3 + 1
    np.testing.assert_array_equal(knots[:4], 0)
    np.testing.assert_array_equal(knots[-4:], 1)
    np.testing.assert_array_equal(knots[3:-3], np.arange(6) / 5)


def test_degree_zero_has_knots():
    np.testing.assert_array_equal(open_uniform_knots(2, 0), [0, 0.5, 1])


@pytest.mark.parametrize("function", [open_uniform_knots, greville_abscissae])
@pytest.mark.parametrize(
    ("arguments", "error", "word"),
    [
        ((0, 3), ValueError, "n must be at least 1"),
        ((2.5, 3), TypeError, "n must be an integer"),
        ((True, 3), TypeError, "n must be an integer"),
        ((4, 11), ValueError, "p must be at most 10"),
        ((4, -1), ValueError, "p must be at least"),
        ((4, "3"), TypeError, "p must be an integer"),
    ],
)
def test_bad_spaces(function, arguments, error, word):
    with pytest.raises(error, match=word):
        function(*arguments)


@pytest.mark.parametrize(
    ("arguments", "error", "word"),
    [
        ((4, 1), ValueError, "p must be at least 2"),
        ((4, 3, 4), ValueError, "deriv must be at most"),
        ((4, 3, -1), ValueError, "deriv must be at least 0"),
        ((4, 3, 0.5), TypeError, "deriv must be an integer"),
    ],
)
def test_bad_collocation(arguments, error, word):
    with pytest.raises(error, match=word):
        bspline_collocation_matrix(*arguments)

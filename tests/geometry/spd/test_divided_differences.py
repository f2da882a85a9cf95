"""First and second divided differences against eighty digits, over all sizes and gaps."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from geometry.spd._divided_differences import divided_differences, second_divided_differences
from numerics.arrays import frame_like

FRAME = frame_like(None)
FUNCTIONS = {
    "sqrt": lambda x, t: mpmath.sqrt(x),
    "invsqrt": lambda x, t: 1 / mpmath.sqrt(x),
    "log": lambda x, t: mpmath.log(x),
    "log1p": lambda x, t: mpmath.log(1 + x),
    "exp": lambda x, t: mpmath.exp(x),
    "power": lambda x, t: x**t,
    "power_log": lambda x, t: x**t * mpmath.log(x),
}
CASES = [("sqrt", None), ("invsqrt", None), ("log", None), ("log1p", None), ("exp", None)]
CASES += [("power", t) for t in (0.5, -0.5, 0.3, 1e-3, 1.0, 2.0, -1.7)]
CASES += [("power_log", t) for t in (0.5, -0.7)]
GAPS = (0.0, 1e-16, 1e-12, 1e-8, 1e-5, 1e-3, 0.019, 0.021, 0.1, 0.99, 2.0, 1e2, 1e8, 1e14)


def exact(function, points, theta):
    if points[0] == points[-1]:
        order = len(points) - 1
        value = mpmath.taylor(lambda x: function(x, theta), points[0], order)[order]
        return mpmath.re(value)
    upper = exact(function, points[1:], theta)
    return (upper - exact(function, points[:-1], theta)) / (points[-1] - points[0])


@pytest.mark.parametrize(("name", "theta"), CASES)
def test_any_two_and_three_eigenvalues(name, theta):
    """The second ones are measured by the first ones over the size of the eigenvalues, because
    those of a power near 0, 1 or 2 vanish or nearly do."""
    given = None if theta is None else np.array(theta)
    with mpmath.workdps(80):
        for size in (1e-12, 1e-5, 1.0, 1e2):
            for gap in GAPS:
                if name == "exp" and size * gap > 300:
                    continue
                w = np.array([size, size * (1 + 0.37 * gap), size * (1 + gap)])
                points = [mpmath.mpf(x) for x in w]
                F = divided_differences(FRAME, w, name, given)
                first = exact(FUNCTIONS[name], [points[0], points[2]], theta)
                unit = abs(first)
                if name == "power_log":  # which changes its sign
                    unit += max(w[0] ** theta, w[2] ** theta) / w[2]
                assert abs(F[0, 2] - first) <= 2e-15 * unit
                assert F[2, 0] == F[0, 2]
                T = second_divided_differences(FRAME, w, name, given)
                width = {"exp": 1.0, "log1p": 1 + w[2]}.get(name, w[2])
                for i, j, k in ((0, 1, 2), (0, 0, 2), (0, 2, 2)):
                    second = exact(FUNCTIONS[name], [points[i], points[j], points[k]], theta)
                    unit = abs(second) + max(abs(F[i, j]), abs(F[j, k])) / width
                    assert abs(T[i, j, k] - second) <= 1e-13 * unit
                np.testing.assert_allclose(T[(2, 1), (0, 2), (1, 0)], T[0, 1, 2], rtol=1e-15)


def test_the_quotient_would_be_wrong():
    """So the test above can fail: at this gap the plain quotient has no digit."""
    w = np.array([1.0, 1.0 + 4e-16])
    assert abs((np.log(w[1]) - np.log(w[0])) / (w[1] - w[0]) - 1) < 0.2
    w = np.array([3e-5, 3e-5 * (1 + 4e-16)])
    assert abs((np.log(w[1]) - np.log(w[0])) / (w[1] - w[0]) * 3e-5 - 1) > 0.5
    assert abs(divided_differences(FRAME, w, "log")[0, 1] * 3e-5 - 1) < 1e-15


def test_order_of_eigenvalues_does_not_matter():
    """Singular values come from the largest to the smallest."""
    w = np.array([0.1, 0.1001, 0.7, 2.0, 2.0])
    theta = np.array(0.3)
    for name in FUNCTIONS:
        rising = second_divided_differences(FRAME, w, name, theta)
        falling = second_divided_differences(FRAME, w[::-1], name, theta)
        np.testing.assert_allclose(falling[::-1, ::-1, ::-1], rising, rtol=1e-13)


def test_zero_beside_a_positive_eigenvalue():
    w = np.array([0.0, 4.0])
    with np.errstate(divide="ignore", invalid="ignore"):  # zero has no slope of its own
        assert divided_differences(FRAME, w, "sqrt")[0, 1] == 0.5
        assert divided_differences(FRAME, w, "power", np.array(1.5))[0, 1] == 2.0

r"""
A Poisson equation with three scales
====================================

The solution of :math:`u'' = f` on [0, 1] is to be

.. math:: u(x) = \sin x + \tfrac{1}{10} \sin 20x + \tfrac{1}{20} \sin 100x,

a problem of arXiv 2311.04465, from which a network trained on the equation learns the first term
soon and the last hardly at all. In f the order is turned round: there :math:`\sin 100x` is 500
times as large as :math:`\sin x`. `solve_pde` takes u for a Gaussian process, reads its spectrum
from f and conditions it on the equation, by one least-squares problem without any training.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.interpolate import BarycentricInterpolator, CubicSpline
from scipy.linalg import solve_banded

from solvers import Laplacian, solve_pde

waves = ((1.0, 1.0), (0.1, 20.0), (0.05, 100.0))


def u(x):
    return sum(a * np.sin(k * x) for a, k in waves)


def f(x):
    return -sum(a * k**2 * np.sin(k * x) for a, k in waves)


between = np.linspace(0, 1, 2001)
solution = solve_pde(Laplacian(1), np.linspace(0, 1, 80), f, (u(0.0), u(1.0)))
mean, variance = solution.predict(between)

# %%
# On 80 points, five to a wave of the fastest term, the solution is right to eight digits. Its
# standard deviation says so without knowing u: it is how far functions of this spectrum, with the
# same f at the 80 points and the same ends, still differ from each other.

fig, (left, right) = plt.subplots(1, 2, figsize=(9.6, 3.8))
left.plot(between, f(between) / 500, color="0.75", lw=1, label="f / 500")
left.plot(between, mean, "C0", label="u")
left.set_xlabel("x")
left.set_ylim(-1.2, 1.5)
left.legend(loc="upper left", ncols=2)
error = np.abs(mean - u(between))
right.semilogy(between, error, "C0", lw=0.8, label="error")
right.semilogy(between, np.sqrt(variance), "k", label="standard deviation")
right.set_ylim(1e-12, 1e-7)
right.set_xlabel("x")
right.legend()
plt.show()
print(f"largest error {error.max():.0e}, largest standard deviation {np.sqrt(variance.max()):.0e}")

# %%
# Beside it two classical methods with as many points: finite differences of second order with a
# cubic spline between the points, and collocation at Chebyshev points, the method to beat where f
# is known wherever one likes.


def finite_differences(n):
    x = np.linspace(0, 1, n)
    bands = np.array([[1.0], [-2.0], [1.0]]) * np.ones(n - 2)
    right = f(x[1:-1]) / (n - 1) ** 2
    right[[0, -1]] -= u(0.0), u(1.0)
    inside = solve_banded((1, 1), bands, right)
    return CubicSpline(x, [u(0.0), *inside, u(1.0)])(between)


def chebyshev(n):
    angles = np.pi * np.arange(n) / (n - 1)
    x = (1 - np.cos(angles)) / 2
    half_sum, half = (angles[:, None] + angles) / 2, (angles[:, None] - angles) / 2
    gaps = np.sin(half_sum) * np.sin(half) + np.eye(n)  # x_i - x_j, without cancellation
    c = (-1.0) ** np.arange(n)
    c[[0, -1]] *= 2
    D = c[:, None] / c / gaps
    D -= np.diag(D.sum(axis=1))
    D2 = (D @ D)[1:-1]
    ends = D2[:, 0] * u(0.0) + D2[:, -1] * u(1.0)
    inside = np.linalg.solve(D2[:, 1:-1], f(x[1:-1]) - ends)
    return BarycentricInterpolator(x, [u(0.0), *inside, u(1.0)], wi=1 / c)(between)


def gaussian_process(n, x=None):
    x = np.linspace(0, 1, n) if x is None else x
    found = solve_pde(Laplacian(1), x, f, (u(0.0), u(1.0)))
    values, variances = found.predict(between)
    return values, np.sqrt(variances.max())


sizes = np.array([40, 50, 60, 70, 80, 100, 130, 160, 200, 280, 400])
errors = {"finite differences": [], "Chebyshev points": [], "Gaussian process": []}
stated = []
for n in sizes:
    values, sd = gaussian_process(n)
    stated.append(sd)
    for name, found in zip(errors, (finite_differences(n), chebyshev(n), values), strict=True):
        errors[name].append(np.abs(found - u(between)).max())

fig, ax = plt.subplots(figsize=(7.0, 4.4))
for name, style in zip(errors, ("C2s-", "C1^-", "C0o-"), strict=True):
    ax.loglog(sizes, errors[name], style, ms=4, label=name)
ax.loglog(sizes, stated, "k:", label="its largest standard deviation")
ax.set_xticks(sizes[::2], sizes[::2])
ax.minorticks_off()
ax.set_xlabel("number of points")
ax.set_title("largest error between the points")
ax.legend()
plt.show()

# %%
# Finite differences gain two digits from ten times the points; the two others fall off a cliff once
# the fastest term is resolved. The Gaussian process does so with fewer points, for those of
# Chebyshev are thinnest in the middle; then Chebyshev's method falls faster, until rounding stops
# both. It is the cheaper of the two as well, and nobody who can have f exactly and at any point
# needs more. The Gaussian process says how sure it is, goes on when data are noisy, which is
# another example, and takes the points as they come. At random ones:

rng = np.random.default_rng(0)
for n in (80, 160):
    x = np.concatenate([[0.0], np.sort(rng.uniform(0, 1, n - 2)), [1.0]])
    values, sd = gaussian_process(n, x)
    print(
        f"{n} random points: largest error {np.abs(values - u(between)).max():.0e}, "
        f"largest standard deviation {sd:.0e}"
    )

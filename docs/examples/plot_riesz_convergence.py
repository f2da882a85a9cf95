r"""
Fractional equations in splines: orders, and what spoils them
=============================================================

The Riesz operator :math:`R = (-\Delta)^{\alpha/2}`, :math:`1 < \alpha < 2`, stands between a first
derivative and minus the second. It looks at all of a function at once, so that its matrices are
full; in splines of degree :math:`p` on equal cells they are Toeplitz matrices with a border, and
:math:`R u = f` with :math:`u = 0` outside the interval is solved in a time that is nearly
proportional to the number of cells. For smooth solutions the error falls like
:math:`n^{-(p+2-\alpha)}` for even :math:`p` and like :math:`n^{-(p+1-\alpha)}` for odd :math:`p`.
"""

import math

import matplotlib.pyplot as plt
import numpy as np

from numerics import toeplitz_solve
from solvers import fractional_centred_coefficients, jacobi_riesz_solve, solve_riesz_bvp

# %%
# A solution that is known and smooth: :math:`u = x^4(1-x)^4`. Its derivative from the left is a sum
# of powers, and the one from the right the mirror image.


def u(x):
    return (x * (1 - x)) ** 4


def riesz_of_u(x, alpha):
    def left(y):
        return sum(
            (-1) ** k
            * math.comb(4, k)
            * math.gamma(5 + k)
            / math.gamma(5 + k - alpha)
            * y ** (4 + k - alpha)
            for k in range(5)
        )

    return (left(x) + left(1 - x)) / (2 * math.cos(math.pi * alpha / 2))


alpha = 1.5
x = np.linspace(0, 1, 1001)
cells = 2 ** np.arange(4, 9)
errors = {}
for p in (2, 3, 4, 5, 6):
    errors[p] = []
    for n in cells:
        solution = solve_riesz_bvp(lambda x: riesz_of_u(x, alpha), n, p, alpha)
        errors[p].append(np.abs(solution(x) - u(x)).max())
    order = np.log2(errors[p][1] / errors[p][2])
    print(f"p = {p}: order from n = 32 to 64 {order:.2f}, expected {p + 2 - p % 2 - alpha}")

# %%
# Beside it the scheme that most codes use, fractional centred differences, of second order. Its
# matrix is Toeplitz without a border.

differences = []
many = 2 ** np.arange(4, 13)
for n in many:
    nodes = np.arange(1, n) / n
    column = float(n) ** alpha * fractional_centred_coefficients(alpha, n - 1)
    differences.append(np.abs(toeplitz_solve(column, riesz_of_u(nodes, alpha)) - u(nodes)).max())

fig, ax = plt.subplots(figsize=(6.5, 4.2))
ax.loglog(many, differences, "k--", label="centred differences")
for p, e in errors.items():
    ax.loglog(cells, e, "o-", label=f"p = {p}", markersize=4)
ax.set_ylim(bottom=1e-15)
ax.set_xlabel("number of cells n")
ax.set_title(r"largest error, $\alpha$ = 1.5, $u = x^4(1-x)^4$")
ax.legend()
plt.show()

# %%
# That was a solution made to be smooth. Ask for :math:`R u = 1` instead, the mean time until a
# Lévy flight leaves the interval. The solution is
# :math:`(x(1-x))^{\alpha/2}/\Gamma(1+\alpha)`: at the ends its slope is infinite, and no degree
# helps. The solver notices.

x = np.union1d(x, np.linspace(0, 0.01, 101))  # the largest error is next to the ends
exact = (x * (1 - x)) ** (alpha / 2) / math.gamma(1 + alpha)
fig, (left, right) = plt.subplots(1, 2, figsize=(9.0, 3.8))
left.plot(x, exact, "k", lw=1)
left.set_xlabel("x")
left.set_title("mean exit time, R u = 1")
for p in (2, 3, 4, 6):
    singular = []
    for n in cells:
        solution = solve_riesz_bvp(np.ones_like, n, p, alpha)
        singular.append(np.abs(solution(x) - exact).max())
    right.loglog(cells, singular, "o-", label=f"p = {p}", markersize=4)
    print(f"p = {p}: singular at the ends? {solution.singular_ends}")
right.loglog(cells, 0.02 * (cells / 16.0) ** (-alpha / 2), "k:", label=r"$n^{-\alpha/2}$")
right.set_xticks(cells, cells)
right.minorticks_off()
right.set_xlabel("number of cells n")
right.set_title("largest error")
right.legend(loc="lower left")
plt.show()

# %%
# Where the data are smooth, put the singularity into the basis: with
# :math:`w = (x(1-x))^{\alpha/2}` and Jacobi polynomials,
# :math:`R[w P_k] = \Gamma(k+1+\alpha)/k!\; P_k`. Four of them have :math:`R u = 1` to rounding, and
# with a reaction term the error falls algebraically.

four = jacobi_riesz_solve(np.ones_like, 4, alpha)
print(f"R u = 1, 4 polynomials: {np.abs(four(x) - exact).max():.0e}")
reference = jacobi_riesz_solve(np.ones_like, 512, alpha, c=1.0)(x)
for K in (8, 16, 32, 64):
    with_reaction = jacobi_riesz_solve(np.ones_like, K, alpha, c=1.0)
    print(f"R u + u = 1, {K:2d} polynomials: {np.abs(with_reaction(x) - reference).max():.0e}")

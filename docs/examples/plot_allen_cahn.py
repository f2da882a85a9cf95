r"""
Allen-Cahn's equation by Newton's method
========================================

Two phases, :math:`u = 1` and :math:`u = -1`, that have no energy, and a wall between them that has:

.. math:: -\varepsilon^2 (u_{xx} + u_{yy}) + u(u^2 - 1) = f.

The equation is not linear, so that its solution is no Gaussian process. `solve_pde` linearises it
about the last u, solves for a Gaussian process, and repeats: that is Newton's method. In two
variables each step is a Sylvester equation with a reaction term, solved by GMRES.
"""

import matplotlib.pyplot as plt
import numpy as np

from solvers import PDE, Laplacian, solve_pde


def allen_cahn(diffusion):
    return PDE(diffusion * Laplacian(2), lambda u: u * (u**2 - 1), lambda u: 3 * u**2 - 1)


# %%
# A wall between two phases
# -------------------------
#
# The boundary is in the one phase or in the other and its wall has its natural width
# :math:`\varepsilon`; f is zero. The function that gives the boundary data has a bent wall in it.
# In the solution it is straight, for its energy is in proportion to its length.

width = 0.1


def wall(x, y):
    distance = x + 0.6 * y - 0.75 + 0.25 * np.sin(6 * y)
    return np.tanh(distance / (np.sqrt(2) * width))


grid = np.linspace(0, 1, 81)
coarse = np.linspace(0, 1, 61)
phases = solve_pde(allen_cahn(-(width**2)), (grid, grid), 0.0, wall)
other = solve_pde(allen_cahn(-(width**2)), (coarse, coarse), 0.0, wall)
change = np.abs(other.predict((grid, grid))[0] - phases.u).max()
print(f"largest difference of solutions on 61 x 61 and 81 x 81 points: {change:.0e}")

fig, (left, right) = plt.subplots(1, 2, figsize=(9.0, 4.0), sharey=True)
for ax, values in ((left, wall(grid[:, None], grid)), (right, phases.u)):
    image = ax.pcolormesh(grid, grid, values.T, cmap="RdBu", vmin=-1, vmax=1, shading="gouraud")
    ax.contour(grid, grid, values.T, [0.0], colors="k", linewidths=1)
    ax.set(aspect="equal", xlabel="x")
    ax.grid(False)
left.set_ylabel("y")
left.set_title("the function that gives the boundary data")
right.set_title("u")
fig.colorbar(image, ax=(left, right))
plt.show()

# %%
# Many scales
# -----------
#
# A problem of arXiv 2311.04465, where the Laplacian has the other sign and no small factor: f and
# boundary such that u is known, with waves of three lengths along each axis. Frequencies are read
# from f and from the boundary.


def w(x):
    return np.sin(x) + 0.1 * np.sin(20 * x) + np.cos(100 * x)


def w_second(x):
    return -np.sin(x) - 40 * np.sin(20 * x) - 1e4 * np.cos(100 * x)


def u(x, y):
    return w(x) * w(y)


def f(x, y):
    return w_second(x) * w(y) + w(x) * w_second(y) + u(x, y) * (u(x, y) ** 2 - 1)


between = np.linspace(0, 1, 301)
solutions = {}
for n in (80, 120, 160):
    grid = np.linspace(0, 1, n)
    solutions[n] = solve_pde(allen_cahn(1.0), (grid, grid), f, u)
    error = solutions[n].predict((between, between))[0] - u(between[:, None], between)
    relative = np.linalg.norm(error) / np.linalg.norm(u(between[:, None], between))
    print(f"{n} x {n} points: relative error {relative:.0e}, {solutions[n].iterations} steps")

fig, (left, right) = plt.subplots(1, 2, figsize=(9.0, 3.9), sharey=True)
mean, _ = solutions[160].predict((between, between))
image = left.pcolormesh(between, between, mean.T, cmap="RdBu", vmin=-4.5, vmax=4.5)
fig.colorbar(image, ax=left)
left.set_title("u")
left.set_ylabel("y")
size = np.log10(np.maximum(np.abs(error), 1e-16))
image = right.pcolormesh(between, between, size.T, cmap="magma", vmin=size.max() - 4)
fig.colorbar(image, ax=right)
right.set_title("error, 160 x 160 points: its exponent")
for ax in (left, right):
    ax.set(aspect="equal", xlabel="x")
    ax.grid(False)
plt.show()

# %%
# Newton's history
# ----------------
#
# The change of u in each step, relative to u. Once it is small, it falls in proportion to its own
# square. The many scales are harmless: their reaction is small beside the Laplacian of the fast
# waves. The wall has to find its place first.

fig, ax = plt.subplots(figsize=(6.5, 4.0))
for label, solution in {"wall": phases, "many scales": solutions[160]}.items():
    steps = np.arange(1, solution.iterations + 1)
    ax.semilogy(steps, solution.newton_history, "o-", label=label)
ax.axhline(1e-9, color="k", ls=":", lw=1, label="tolerance")
ax.set_xticks(range(1, phases.iterations + 1))
ax.set_xlabel("Newton step")
ax.set_title("relative change of u")
ax.legend()
plt.show()

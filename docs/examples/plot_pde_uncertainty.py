r"""
How sure a solution is: a noisy source and a few thermometers
=============================================================

A rod of length 1 is heated along it by q, and its temperature u obeys :math:`-u'' = q`. Known are
q, measured at 60 points with a large error, and u at the left end. Of the right end nothing is
known, so that to a solver which wants two conditions this is no problem at all. A Gaussian process
takes whatever there is, and says how far it determines u. Nine thermometers, off by 0.1 at random,
come later.
"""

import matplotlib.pyplot as plt
import numpy as np

from solvers import LinearOperator1D, SpectralMixture, solve_pde

rng = np.random.default_rng(3)

# %%
# What nature does: two burners, the right end at temperature 1. The truth comes from the solver
# itself, with exact data.


def q(x):
    return 30 * np.exp(-(((x - 0.3) / 0.08) ** 2)) + 45 * np.exp(-(((x - 0.75) / 0.05) ** 2))


heat = LinearOperator1D(c2=-1.0)
truth = solve_pde(heat, np.linspace(0, 1, 400), q, (0.0, 1.0))
x = np.linspace(0, 1, 301)
u, slope = truth.predict(x)[0], truth.predict(x, order=1)[0]

# %%
# What is measured.

grid, off_by = np.linspace(0, 1, 60), 8.0
measured = q(grid) + off_by * rng.standard_normal(60)
places = np.sort(rng.uniform(0, 1, 9))
seen = places, truth.predict(places)[0] + 0.1 * rng.standard_normal(9), 0.1

# %%
# What is thought beforehand: temperatures of a few units, a slow part and waves of up to some four
# periods. The variance of a component is its weight, and the standard deviation of its frequencies
# is its scale. ``noise`` is that of the equation and of the boundary value.

prior = SpectralMixture(weights=[9.0, 0.1], freqs=[0.0, 0.0], scales=[0.3, 2.0])
data = {"kernel": prior, "noise": (off_by, 0.01)}
without = solve_pde(heat, grid, measured, (0.0, None), **data)
with_seen = solve_pde(heat, grid, measured, (0.0, None), observations=seen, **data)
no_equation = solve_pde(
    heat, grid, measured, (0.0, None), observations=seen, kernel=prior, noise=(1e6, 0.01)
)


def show(ax, solution, exact, order=None, draws=0):
    mean, variance = solution.predict(x, order=order)
    half = 1.96 * np.sqrt(variance)
    ax.fill_between(x, mean - half, mean + half, color="C0", alpha=0.2, lw=0, label="95 % band")
    for draw in solution.sample(draws, rng=0, points=x, order=order) if draws else ():
        ax.plot(x, draw, color="C0", lw=0.5, alpha=0.7)
    ax.plot(x, mean, "C0", label="mean")
    ax.plot(x, exact, "k--", lw=1.2, label="truth")
    ax.set_xlabel("x")
    return np.mean(np.abs(exact - mean) <= half)


fig, axes = plt.subplots(1, 3, figsize=(10.0, 3.8))
axes[0].plot(x, q(x), "k--", lw=1.2, label="truth")
axes[0].plot(grid, measured, "C3.", ms=4, label="measured")
axes[0].set_title("source q")
axes[0].set_xlabel("x")
axes[0].legend(fontsize="small")
for ax, solution, title in (
    (axes[1], without, "u from q and the left end"),
    (axes[2], with_seen, "and from nine thermometers"),
):
    share = show(ax, solution, u, draws=8)
    ax.set_title(title)
    print(f"{title}: the band holds u on {share:.0%} of the rod")
axes[2].errorbar(*seen[:2], 1.96 * seen[2], fmt="C3o", ms=4, capsize=2, label="thermometers")
axes[2].legend(fontsize="small")
plt.show()

# %%
# In the middle picture two things are unknown, the slope at the left end, which opens the fan, and
# what the errors of q add up to. A few temperatures close it: the equation carries what they say to
# places where nothing was measured. Without the equation the same thermometers, under the same
# prior, say less. All derivatives are Gaussian as well, with their own bands. The source, which is
# :math:`-u''`, is now better known than it was measured.

fig, axes = plt.subplots(1, 3, figsize=(10.0, 3.8))
show(axes[0], no_equation, u)
axes[0].set_title("u from thermometers alone")
show(axes[1], with_seen, slope, order=1)
axes[1].set_title("slope u'")
show(axes[2], with_seen, -q(x), order=2)
axes[2].set_title("second derivative u'', which is -q")
axes[0].errorbar(*seen[:2], 1.96 * seen[2], fmt="C3o", ms=4, capsize=2)
axes[2].plot(grid, -measured, "C3.", ms=4, label="measured")
axes[2].legend(fontsize="x-small", loc="lower left")
plt.show()
for title, solution in (
    ("thermometers alone", no_equation),
    ("equation alone", without),
    ("both", with_seen),
):
    mean, variance = solution.predict(x)
    print(
        f"{title}: error {np.sqrt(np.mean((mean - u) ** 2)):.2f}, "
        f"standard deviation {np.sqrt(variance.mean()):.2f} (root mean squares)"
    )
source_sd = np.sqrt(with_seen.predict(x, order=2)[1].mean())
print(f"source: measured to {off_by}, known to {source_sd:.1f}")

# %%
# Draws answer what bands cannot, for they are whole functions: how hot is the hottest place, and
# where is it?

draws = with_seen.sample(2000, rng=1, points=x)
hottest, where = draws.max(axis=1), x[draws.argmax(axis=1)]
low, middle, high = np.quantile(hottest, (0.025, 0.5, 0.975))
print(
    f"highest temperature {middle:.2f}, 95 % between {low:.2f} and {high:.2f}; truth {u.max():.2f}"
)
print(f"at x = {where.mean():.2f} +- {1.96 * where.std():.2f}; truth {x[u.argmax()]:.2f}")

# %%
# Such statements are as good as the prior. At draws from it 95 % bands hold 95 % of the time, which
# the benchmark ``gp_pde_uncertainty`` measures; a truth that is much rougher than the prior
# believes will be outside more often.

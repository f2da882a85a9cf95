r"""
Fractional diffusion, and a share price as a Lévy flight
========================================================

In ordinary diffusion a crowd of random walkers spreads by :math:`u_t = \kappa\, u_{xx}`. If single
steps can be very long, with a tail like :math:`|x|^{-1-\alpha}`, it spreads by

.. math:: u_t = -\kappa\, (-\Delta)^{\alpha/2} u, \qquad 1 < \alpha < 2,

and from a single point into the symmetric stable density of index :math:`\alpha`. Walkers that
leave the interval are lost: :math:`u = 0` outside.
"""

import functools

import matplotlib.cbook
import matplotlib.pyplot as plt
import numpy as np
from scipy.interpolate import CubicSpline
from scipy.optimize import minimize_scalar
from scipy.stats import levy_stable

from solvers import riesz_diffusion

# %%
# A rough start: two blocks, which every :math:`\alpha` smooths at once. The scale is chosen so that
# a walker moves by about a twentieth of the interval in unit time. On a plain axis (top) there is
# little to tell one :math:`\alpha` from another. On a logarithmic one (bottom) there is: a smaller
# :math:`\alpha` sends more walkers far away, into the corners where ordinary diffusion has hardly
# any, and it does so from the first moment. The L-stable BDF2 forgets the corners of the blocks;
# the rule of Crank and Nicolson would let them ring.


def blocks(x):
    return 1.0 * ((x > 0.25) & (x < 0.4)) + 0.6 * ((x > 0.6) & (x < 0.8))


x = np.linspace(0, 1, 801)
t = np.linspace(0, 1, 129)
shown = {2: "1/64", 8: "1/16", 32: "1/4", 128: "1"}
fig, axes = plt.subplots(2, 4, figsize=(10.0, 5.0), sharex=True, sharey="row")
for (top, bottom), alpha in zip(axes.T, (1.1, 1.4, 1.7, 1.95), strict=True):
    flow = riesz_diffusion(blocks, None, t, 400, 3, alpha, kappa=0.05**alpha, method="bdf2")
    for ax in (top, bottom):
        ax.plot(x, blocks(x), color="gray", lw=0.8)
        for (k, time), shade in zip(shown.items(), (0.1, 0.35, 0.6, 0.8), strict=True):
            ax.plot(x, flow(k, x), color=plt.cm.viridis(shade), label=f"t = {time}")
    bottom.set_yscale("log")
    bottom.set_ylim(1e-5, 2)
    bottom.set_xlabel("x")
    top.set_title(rf"$\alpha$ = {alpha}")
axes[1, 0].legend(fontsize="x-small")
plt.show()

# %%
# The propagator: start from a narrow peak, on an interval so wide that its ends do not matter, and
# after unit time there is the stable density. SciPy computes that by quadrature, point by point.
# What is left between the two is the width of the first peak and, in the tails, the lost walkers.

peak, reach = 0.03, 60.0
steps = np.linspace(0, 1, 101)
distances = np.linspace(-reach, reach, 8001)


@functools.cache
def stable_density(alpha):
    """The density at time 1 for kappa = 1, as a function of the distance from the start."""

    def start(x):
        return np.exp(-0.5 * (x / peak) ** 2) / (np.sqrt(2 * np.pi) * peak)

    flow = riesz_diffusion(
        start, None, steps, 4096, 4, alpha, domain=(-reach, reach), method="bdf2"
    )
    return CubicSpline(distances, flow(-1, distances))


y = np.array([0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0])
print("distance      " + "".join(f"{value:9.1f}" for value in y))
for alpha in (1.3, 1.5, 1.7):
    off = stable_density(alpha)(y) / levy_stable.pdf(y, alpha, 0) - 1
    print(f"alpha = {alpha}   " + "".join(f"{100 * value:8.3f}%" for value in off))

# %%
# Mandelbrot proposed in 1963 that the logarithm of a price makes such a flight. Matplotlib ships a
# series to try that on: the daily prices of a share (GOOG) from August 2004 to October 2008. If
# :math:`r` is the change of the logarithm in one day, its density should be
# :math:`g_\alpha(r/s)/s`, :math:`s = \kappa^{1/\alpha}`, with the :math:`g_\alpha` just computed.
# The most likely :math:`\alpha` and :math:`\kappa`, and how sharply the data tell:

prices = matplotlib.cbook.get_sample_data("goog.npz")["price_data"]["adj_close"]


def changes(days):
    r = np.log(prices[days:] / prices[:-days])
    return r - np.median(r)


def profile(alpha, r):
    """Largest log-likelihood over all scales, and the scale that has it."""
    density = stable_density(round(alpha, 4))

    def loss(log_scale):
        return len(r) * log_scale - np.log(density(r / np.exp(log_scale))).sum()

    middle = np.log(np.median(np.abs(r)))
    best = minimize_scalar(loss, bounds=(middle - 1, middle + 1), method="bounded")
    return -best.fun, np.exp(best.x)


r = changes(1)
grid = np.arange(1.45, 1.96, 0.05)
likelihood = np.array([profile(alpha, r)[0] for alpha in grid])
near = slice(likelihood.argmax() - 2, likelihood.argmax() + 3)
parabola = np.polynomial.Polynomial.fit(grid[near], likelihood[near], 2)
alpha = parabola.deriv().roots()[0]
error = (-parabola.deriv(2)(alpha)) ** -0.5
best, scale = profile(alpha, r)
gauss = -len(r) / 2 * (np.log(2 * np.pi * r.var()) + 1)
print(f"alpha = {alpha:.2f} +- {error:.2f}, kappa = {scale**alpha:.1e} a day")
print(f"log-likelihood: {best:.0f}; of a normal distribution: {gauss:.0f}")

# %%
# A flight makes a prediction: in :math:`d` days it spreads by :math:`d^{1/\alpha}`, where ordinary
# diffusion spreads by :math:`d^{1/2}`. Over four weeks the prices stay between the two, nearer to
# the flight in the end. And the tails of the longer changes are thinner than those of a flight: the
# :math:`\alpha` that fits them best goes up. Days are not independent, and large jumps are rarer
# than a stable density has it, both of which are well known of prices. So the equation describes
# a day well, the weeks after it roughly, and the largest losses not at all.

fig, (left, right) = plt.subplots(1, 2, figsize=(9.0, 3.8))
count, edges, _ = left.hist(r, bins=70, density=True, color="lightgray", label="daily changes")
z = np.linspace(-0.2, 0.2, 401)
left.plot(z, stable_density(round(alpha, 4))(z / scale) / scale, label="Lévy flight, fitted")
normal = np.exp(-0.5 * z**2 / r.var()) / np.sqrt(2 * np.pi * r.var())
left.plot(z, normal, "--", label="ordinary diffusion")
left.set_yscale("log")
left.set_ylim(0.03, 60)
left.set_xticks([-0.2, -0.1, 0, 0.1, 0.2])
left.set_xlabel("change of the logarithm in one day")
left.set_title("density")
left.legend(fontsize="small", loc="upper left")

days = np.array([1, 2, 5, 10, 20])
spread = np.array([np.median(np.abs(changes(d))) for d in days])
right.loglog(days, spread, "o", label="median change")
right.loglog(days, spread[0] * days ** (1 / alpha), label=r"$d^{1/\alpha}$")
right.loglog(days, spread[0] * days**0.5, "--", label="$d^{1/2}$")
right.set_xticks(days, days)
right.set_yticks([0.01, 0.02, 0.05, 0.1], ["0.01", "0.02", "0.05", "0.1"])
right.minorticks_off()
right.set_xlabel("days d")
right.set_title("spreading")
right.legend()
plt.show()
for d in days:
    fits = [profile(a, changes(d))[0] for a in grid]
    print(f"{d:2d} days: most likely alpha on the grid {grid[np.argmax(fits)]:.2f}")

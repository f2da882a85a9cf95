r"""
How a random walk, a trend and a season remember
================================================

Every ARIMA model is a companion state-space model, and its kernel :math:`K_l = c^\top A^l b` is the
answer to a single shock: how much of a surprise at time 0 is still in the series :math:`l` steps
later. Models that take differences have roots on the unit circle, which is where the way through
the resolvent at the roots of unity divides by zero.
"""

import matplotlib.pyplot as plt
import numpy as np

from ssm import arima_to_companion, companion_kernel

L = 48
season = np.zeros(12)
season[-1] = 1.0

models = {
    "AR(2), damped oscillation": arima_to_companion(np.array([1.6, -0.8]), 0, None),
    "random walk": arima_to_companion(None, 1, None),
    "random walk with MA(1): exponential smoothing": arima_to_companion(None, 1, np.array([-0.6])),
    "two differences: local trend": arima_to_companion(None, 2, np.array([-1.2, 0.5])),
    "season of 12": arima_to_companion(season, 0, None),
    "season of 12 and a difference": arima_to_companion(season, 1, None),
}

# %%
# The kernel comes from the recurrence of the characteristic polynomial, with no division, and is
# exact to rounding. The resolvent's is computed beside it.


def resolvent(p, b, c):
    """Kernel by the published route; where it divides by zero, that is what we want to see."""
    with np.errstate(all="ignore"):
        return companion_kernel(p, b, c, L, algorithm="resolvent")


for name, system in models.items():
    kernel, other = companion_kernel(*system, L), resolvent(*system)
    finite = np.isfinite(other).all()
    difference = f"{np.abs(kernel - other).max() / np.abs(kernel).max():.0e}" if finite else "NaN"
    print(f"{name:48s} relative difference of the resolvent form: {difference}")

# %%
# A shock to an autoregression fades. A random walk keeps it for ever; a negative moving-average
# term keeps a part of it, which is exponential smoothing; a second difference lets it set a slope;
# a seasonal root brings it back every year.

fig, axes = plt.subplots(3, 2, sharex=True, figsize=(8.0, 6.0))
for ax, (name, system) in zip(axes.flat, models.items(), strict=True):
    ax.axhline(0, color="0.6", lw=0.8)
    ax.vlines(np.arange(L), 0, companion_kernel(*system, L), color="C0", lw=1.5)
    ax.plot(np.arange(L), companion_kernel(*system, L), "o", ms=3, color="C0")
    ax.set_title(name)
for ax in axes[-1]:
    ax.set_xlabel("steps after the shock")
plt.show()

r"""
Where the next solar cycles are, and how sure one can be
========================================================

Sunspots come and go with a period of about eleven years that is not quite regular. An
autoregression of order nine, fitted to the yearly numbers by least squares, catches the rhythm. As
a companion state-space model it forecasts by running on its own predictions, and the kernel of the
same model says how fast certainty fades.
"""

import matplotlib.pyplot as plt
import numpy as np
import statsmodels.api as sm

from ssm import companion_kernel
from ssm.estimators import CompanionForecaster

spots = sm.datasets.sunspots.load_pandas().data["SUNACTIVITY"].to_numpy()
year = np.arange(1700, 1700 + len(spots))
held_back = 33
past, future = spots[:-held_back], spots[-held_back:]

model = CompanionForecaster(order=(9, 0, 0)).fit(past)
forecast = model.predict(held_back)
print(f"mean absolute scaled error over {held_back} years: {-model.score(future):.2f}")

# %%
# Three cycles were held back. The forecast keeps the period and slowly returns to the mean, and the
# intervals widen until they hold what is known without any recent observation. Two of the peaks
# that followed were higher than they allow: the model is linear and Gaussian, the Sun is neither,
# and a number of sunspots cannot be negative.

fig, ax = plt.subplots()
ax.plot(year[-110:-held_back], past[-77:], color="0.3", label="observed")
ax.plot(year[-held_back:], future, "o", ms=3.5, color="0.3", label="held back")
for coverage, alpha in ((0.95, 0.15), (0.5, 0.3)):
    low, high = model.predict_interval(held_back, coverage).T
    label = f"{coverage:.0%} interval"
    ax.fill_between(year[-held_back:], low, high, color="C0", alpha=alpha, lw=0, label=label)
ax.plot(year[-held_back:], forecast, color="C0", lw=2, label="forecast")
ax.set(title="Yearly sunspot numbers", xlabel="year", ylabel="sunspot number", ylim=(-60, 290))
ax.legend(loc="upper left", ncols=3)
plt.show()

for coverage in (0.5, 0.95):
    low, high = model.predict_interval(held_back, coverage).T
    held = np.mean((low <= future) & (future <= high))
    print(f"{coverage:.0%} intervals held {held:.0%} of the values")

# %%
# The kernel of the fitted system is the model's response to one unexpected spot. An error
# :math:`h` years ahead is the sum of the :math:`h` shocks on the way, each weighed by the kernel,
# so its variance is :math:`\sigma^2 \sum_{l<h} \psi_l^2`: the interval grows when :math:`|\psi|` is
# large and rests where the kernel crosses zero.

psi = companion_kernel(*model.companion_, held_back)
spread = np.sqrt(model.sigma2_ * np.cumsum(psi**2))
low, high = model.predict_interval(held_back, 0.95).T
print("half-widths over standard errors:", np.unique(np.round((high - low) / 2 / spread, 6)))

fig, (upper, lower) = plt.subplots(2, 1, sharex=True)
steps = np.arange(1, held_back + 1)
upper.axhline(0.0, color="0.7", lw=1)
upper.plot(steps, psi, ".-", color="C1")
upper.set_ylabel(r"kernel $\psi_{h-1}$")
lower.plot(steps, spread, ".-", color="C0")
lower.axhline(past.std(), color="0.5", ls="--", lw=1)
lower.text(held_back, past.std() + 0.8, "spread of the series itself", ha="right", color="0.4")
lower.set(xlabel="years ahead", ylabel="standard error", ylim=(0, 50))
plt.show()

# %%
# Models with a moving average are fitted by exact maximum likelihood. Fitted the same way, orders
# can be compared by their information criterion, which sees the past only.

for order in ((2, 0, 0), (9, 0, 0), (2, 0, 1), (3, 0, 2)):
    fitted = CompanionForecaster(order, method="ml").fit(past)
    print(f"{order}: AIC {fitted.aic_:.1f}, scaled error {-fitted.score(future):.2f}")

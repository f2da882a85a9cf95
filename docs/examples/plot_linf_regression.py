r"""
Which sketches keep every coordinate right
==========================================

A tall least-squares problem can be solved on a random sketch of it, :math:`x' = \arg\min \|S(Ax -
b)\|` with m rows in place of n. How far is :math:`x'` from :math:`x^*`, coordinate by coordinate?
The size to look at is

.. math:: R = \sqrt d\; \|x' - x^*\|_\infty\, \sigma_{\min}(A) / \|b - Ax^*\|,

which should fall like :math:`1/\sqrt m`, whatever A and b are.
"""

import matplotlib.pyplot as plt
import numpy as np

from numerics import countsketch, gaussian_sketch, osnap, srht
from solvers import sketched_lstsq

rng = np.random.default_rng(0)

# %%
# One sketch says how good it is
# ------------------------------
#
# Heavy-tailed noise, columns of very different scales, 100 000 rows. The solution from 400 of them
# comes with a standard error for each coordinate, and with a bound that holds for all at once with
# 95 % confidence, without a look at the exact solution. In units of the standard errors:

n, d = 100_000, 16
A = rng.standard_normal((n, d)) * np.logspace(-3, 3, d)
b = A @ (1 / np.logspace(-3, 3, d)) + rng.standard_t(3, n)
exact = np.linalg.lstsq(A, b, rcond=None)[0]

fig, axes = plt.subplots(1, 2, sharey=True)
for ax, m in zip(axes, (400, 6400), strict=True):
    solution = sketched_lstsq(A, b, m, rng=1)
    scale = np.sqrt(np.diag(np.linalg.inv(A.T @ A)))
    ax.axhline(0, color="gray", lw=0.8)
    ax.errorbar(
        np.arange(d),
        (solution.x - exact) / scale,
        1.96 * solution.stderr / scale,
        fmt="o",
        ms=4,
        capsize=3,
    )
    ax.set_title(f"m = {m}")
    ax.set_xticks(range(0, d, 3))
    ax.set_xlabel("coordinate")
axes[0].set_ylabel("error with its 95 % interval,\nin columns' own units")
plt.show()

# %%
# Two matrices that tell sketches apart
# -------------------------------------
#
# Let A be the identity above zeros, and let b be zero where A is not: then :math:`x^* = 0`. In the
# *flat* family b is :math:`1/\sqrt d` on d rows, in the *spike* family it is 1 on a single row.
# CountSketch adds every row to one of m buckets. Where a row of A meets a row of b, the coordinate
# is wrong by all of that entry. In the flat family that happens until m is about the square of d,
# here 1024. In the spike family it is rare, and then R is :math:`\sqrt d`. Sketches that mix all
# rows do not know the difference.

n, d, draws = 2048, 32, 40
sketches = {"SRHT": srht, "Gaussian": gaussian_sketch, "CountSketch": countsketch, "OSNAP": osnap}
rows = 2 ** np.arange(6, 11)
A = np.eye(n, d)
right = {"flat": np.zeros(n), "spike": np.zeros(n)}
right["flat"][d : 2 * d] = 1 / np.sqrt(d)
right["spike"][d] = 1

ratios = {(family, name): [] for family in right for name in sketches}
for m in rows:
    for name, make in sketches.items():
        for _ in range(draws):
            S = make(n, int(m), rng=rng)
            SA = S @ A
            for family, b in right.items():
                # Of minimum norm, for hashing often makes SA singular.
                x = np.linalg.lstsq(SA, S @ b, rcond=None)[0]
                ratios[family, name].append(np.sqrt(d) * np.abs(x).max())

fig, axes = plt.subplots(1, 2, sharey=True, figsize=(9.0, 4.4))
for ax, family in zip(axes, right, strict=True):
    for place, name in enumerate(sketches):
        at = np.repeat(rows * 2.0 ** (0.18 * (place - 1.5)), draws)
        ax.scatter(at, ratios[family, name], s=6, alpha=0.4, color=f"C{place}")
        ax.scatter([], [], s=20, color=f"C{place}", label=name)
    ax.plot(
        rows, np.sqrt(2 * d * np.log(2 * d) / rows), "k--", lw=1, label=r"$\sqrt{2d\log(2d)/m}$"
    )
    ax.set_xscale("log", base=2)
    ax.set_yscale("symlog", linthresh=0.25)
    ax.set_yticks([0, 0.25, 0.5, 1, 2, 4], ["0", "1/4", "1/2", "1", "2", "4"])
    ax.minorticks_off()
    ax.set_ylim(-0.03, 8)
    ax.set_title(family)
    ax.set_xlabel("rows of the sketch, m")
axes[0].set_ylabel("R, a dot for each draw")
axes[0].legend(fontsize="small", loc="lower left")
plt.show()

# %%
# A failure that nobody sees
# --------------------------
#
# When a spike meets a row of the identity, the sketched problem is solved without any residual: a
# standard error computed from it is zero, and the coordinate is off by 1. So `sketched_lstsq`
# states neither standard errors nor a bound for hashing sketches, and a sketched matrix that lost
# rank is refused.

b = right["spike"]
for seed in range(500):
    S = countsketch(n, 512, rng=seed)
    if len(set(S.rows[:d])) == d and S.rows[d] in S.rows[:d]:
        break
solution = sketched_lstsq(A, b, sketch=S)
print("largest error:", np.abs(solution.x).max())
print("residual on the sketch:", solution.residual_norm)
print("stated:", solution.stderr, solution.linf_bound)

# %%
# Sketches that hash are still the fastest preconditioners. `solvers.lstsq` uses a sketch in that
# way, where it only changes the number of steps.

r"""
Ways from one covariance to another
===================================

A positive definite matrix of order 2 is an ellipse. Between two of them there are as many straight
ways as there are metrics; they differ in what becomes of the area, and in whether they can be
followed for ever.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Ellipse

from geometry.spd import distance, exp, geodesic, log, norm


def covariance(long, short, degrees):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    U = np.array([[c, -s], [s, c]])
    return U @ np.diag([long**2, short**2]) @ U.T


A, B = covariance(1.0, 0.2, 10), covariance(1.3, 0.16, 80)
metrics = {
    "Euclidean": None,
    "Bures-Wasserstein": {"metric": "bures_wasserstein"},
    "BW of roots, θ = 0.5": {"metric": "bures_wasserstein", "theta": 0.5},
    "generalised BW": {"metric": "bures_wasserstein", "M": covariance(1.0, 0.1, 55)},
    "log-Euclidean": {"metric": "log_euclidean"},
    "affine-invariant": {"metric": "affine_invariant"},
    "log-Cholesky": {"metric": "log_cholesky"},
}


def way(options, t):
    if options is None:
        return (1 - t)[:, None, None] * A + t[:, None, None] * B
    return geodesic(A, B, t, **options)


def draw(axes, P, x, colour):
    w, U = np.linalg.eigh(P)
    angle = np.degrees(np.arctan2(U[1, 1], U[0, 1]))
    size = 2 * np.sqrt(np.maximum(w, 0))
    axes.add_patch(
        Ellipse((x, 0), size[1], size[0], angle=angle, facecolor=colour, alpha=0.35, edgecolor="k")
    )


# %%
# The straight line swells: halfway there is a disc, larger than both ends, though both are thin.
# Under the Bures-Wasserstein metric, mass moves as little as it can, and the ellipse turns by
# growing one axis and losing the other. Affine-invariant and log-Euclidean ways keep the logarithm
# of the area on a line. The log-Cholesky way depends on which axis comes first, and the generalised
# metric on its matrix M.

t = np.linspace(0, 1, 9)
fig, axes = plt.subplots(len(metrics), 1, sharex=True, figsize=(8.0, 9.6))
for ax, (name, options), k in zip(axes, metrics.items(), range(9), strict=False):
    for x, P in zip(2.4 * np.arange(len(t)), way(options, t), strict=True):
        draw(ax, P, x, f"C{k}")
    ax.set(xlim=(-1.4, 20.6), ylim=(-1.4, 1.4), aspect="equal", yticks=[], title=name)
    ax.grid(False)
axes[-1].set_xticks(2.4 * np.arange(len(t)), [f"{s:.3g}" for s in t])
axes[-1].set_xlabel("t")
plt.show()

# %%
# Area and sum of variances
# -------------------------
#
# The determinant's logarithm is a straight line for three of the metrics. For the
# Bures-Wasserstein one it is :math:`\det^{1/4}` that lies above its chord, and the trace that
# lies below its own.

t = np.linspace(0, 1, 101)
fig, axes = plt.subplots(1, 2, figsize=(9.0, 4.4))
for (name, options), k in zip(metrics.items(), range(9), strict=False):
    ways = way(options, t)
    axes[0].semilogy(t, np.linalg.det(ways), color=f"C{k}", label=name)
    axes[1].plot(t, np.trace(ways, axis1=1, axis2=2), color=f"C{k}")
axes[0].set(xlabel="t", ylabel="determinant")
axes[1].set(xlabel="t", ylabel="trace")
fig.legend(loc="outside lower center", ncols=4, fontsize="small")
plt.show()

# %%
# The speed is constant: a way of length d is passed in equal parts.

for name, options in metrics.items():
    if options is not None:
        points = way(options, t)
        parts = distance(points[:-1], points[1:], **options)
        length = norm(A, log(A, B, **options), **options)
        print(
            f"{name:20} d = {length:.4f} = {parts.sum():.4f}, parts differ by {np.ptp(parts):.0e}"
        )

# %%
# Beyond the ends
# ---------------
#
# The Bures-Wasserstein way meets the boundary: at some t before the start and after the end, one
# axis has length zero, and there the geodesic stops, though its formula bounces. The line leaves
# the matrices with a negative variance. The other metrics never arrive at the boundary.

t = np.linspace(-1.0, 2.0, 1201)
fig, ax = plt.subplots(figsize=(7.0, 4.4))
for (name, options), k in zip(metrics.items(), range(9), strict=False):
    smallest = np.linalg.eigvalsh(way(options, t))[:, 0]
    ax.semilogy(t, np.where(smallest > 0, smallest, np.nan), color=f"C{k}", label=name)
ax.axvspan(0, 1, color="0.9", zorder=0)
ax.set(xlabel="t", ylabel="smallest eigenvalue", ylim=(1e-6, 1))
fig.legend(loc="outside lower center", ncols=4, fontsize="small")
plt.show()

V = log(A, B, metric="bures_wasserstein")
try:
    exp(A, 2 * V, metric="bures_wasserstein")
except ValueError as error:
    print("ValueError:", error)

r"""
Means that swell, and means that do not
=======================================

The arithmetic mean of covariance matrices is larger than any of them when they point different
ways. Frechet means minimise :math:`\sum_i d(\bar X, X_i)^2` instead. How much of the swelling they
take away, and how hard they are to find, depends on the metric.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Ellipse

from geometry.spd import distance, frechet_mean, optimal_transport_map

rng = np.random.default_rng(0)


def covariance(long, short, radians):
    c, s = np.cos(radians), np.sin(radians)
    U = np.moveaxis(np.array([[c, -s], [s, c]]), -1, 0)
    return U * np.array([long**2, short**2]) @ np.swapaxes(U, -1, -2)


def draw(axes, P, **style):
    w, U = np.linalg.eigh(P)
    angle = np.degrees(np.arctan2(U[1, 1], U[0, 1]))
    axes.add_patch(Ellipse((0, 0), 2 * w[1] ** 0.5, 2 * w[0] ** 0.5, angle=angle, **style))


# %%
# Twelve ellipses of one shape, turned at random. All have the same area; the area of a mean tells
# how far it swells. The Bures-Wasserstein mean, whose samples are moved with the least effort,
# swells, less than the arithmetic one; with the exponent :math:`\theta` it comes near the
# log-Euclidean mean, as :math:`(X^\theta - I) / \theta` comes near the logarithm.

X = covariance(1.0, 0.15, rng.uniform(-0.9, 0.9, 12))
means = {
    "arithmetic": X.mean(0),
    "Bures-Wasserstein": frechet_mean(X, metric="bures_wasserstein"),
    "BW, θ = 0.5": frechet_mean(X, metric="bures_wasserstein", theta=0.5),
    "BW, θ = 0.1": frechet_mean(X, metric="bures_wasserstein", theta=0.1),
    "log-Euclidean": frechet_mean(X, metric="log_euclidean"),
    "affine-invariant": frechet_mean(X),
}
area = np.sqrt(np.linalg.det(X[0]))
fig, axes = plt.subplots(2, 3, figsize=(9.0, 6.4), sharex=True, sharey=True)
for ax, (name, mean), k in zip(axes.flat, means.items(), range(6), strict=True):
    for P in X:
        draw(ax, P, facecolor="none", edgecolor="0.7", lw=0.8)
    draw(ax, mean, facecolor=f"C{k}", alpha=0.4, edgecolor="k")
    swollen = np.sqrt(np.linalg.det(mean)) / area
    ax.set(xlim=(-1.1, 1.1), ylim=(-1.1, 1.1), aspect="equal")
    ax.set_title(f"{name}: {swollen:.2f}x the area", fontsize="small")
plt.show()

# %%
# The wider they are turned, the more. The three means at the bottom keep the determinant exactly.

spreads = np.linspace(0, np.pi / 2, 19)
kinds = {
    "arithmetic": None,
    "Bures-Wasserstein": {"metric": "bures_wasserstein"},
    "BW, θ = 0.5": {"metric": "bures_wasserstein", "theta": 0.5},
    "BW, θ = 0.1": {"metric": "bures_wasserstein", "theta": 0.1},
    "log-Euclidean": {"metric": "log_euclidean"},
    "affine-invariant": {"metric": "affine_invariant"},
    "log-Cholesky": {"metric": "log_cholesky"},
}
fans = np.stack([covariance(1.0, 0.15, spread * np.linspace(-1, 1, 12)) for spread in spreads])
fig, ax = plt.subplots(figsize=(6.6, 3.8))
for name, options in kinds.items():
    mean = fans.mean(1) if options is None else frechet_mean(fans, **options)
    ax.plot(np.degrees(spreads), np.sqrt(np.linalg.det(mean)) / area, label=name)
ax.set(xlabel="turned by up to (degrees, both ways)", ylabel="area over that of each")
ax.legend(fontsize="small")
plt.show()

# %%
# Small eigenvalues
# -----------------
#
# Thirty matrices of order 8 with eigenvalues from 1 down to 1e-2, 1e-6 and 1e-10 in random bases.
# The usual iteration :math:`S \leftarrow \bar T S \bar T` with the mean :math:`\bar T` of the
# optimal transport maps converges at a rate that gets worse with the condition number; Newton's
# method on the manifold, which `frechet_mean` takes by itself, does not mind.

n, samples = 8, 30
fig, ax = plt.subplots(figsize=(6.6, 3.8))
for k, digits in enumerate((2, 6, 10)):
    Q = np.linalg.qr(rng.standard_normal((samples, n, n)))[0]
    X = Q * np.logspace(0, -digits, n) @ np.swapaxes(Q, -1, -2)
    found = frechet_mean(X, metric="bures_wasserstein", full_output=True)
    print(f"cond 1e{digits}: {found.iterations} Newton steps, residual {found.residual_norm:.0e}")
    S, errors = X.mean(0), []
    for _ in range(100):
        errors.append(distance(S, found.mean, metric="bures_wasserstein"))
        T = optimal_transport_map(S, X).mean(0)
        S = T @ S @ T
    label = f"cond 1e{digits}; Newton: {found.iterations} steps"
    ax.semilogy(errors, color=f"C{k}", label=label)
    ax.plot(found.iterations, 1e-15, "v", color=f"C{k}")
ax.set(xlabel="steps of the usual iteration", ylabel="distance to the mean", ylim=(1e-16, 1))
ax.legend(fontsize="small")
plt.show()

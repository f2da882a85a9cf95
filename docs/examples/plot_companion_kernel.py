r"""
Kernels of companion state spaces
=================================

A companion matrix is a shift with one column of coefficients, :math:`A = S + p\, e_{d-1}^T`. Its
state holds the last :math:`d` things that went in, and the column says how what falls off the end
comes back. Autoregressive models, random walks and oscillators all have this form; their impulse
response is the kernel :math:`K_l = c^T A^l b`.
"""

import matplotlib.pyplot as plt
import mpmath
import numpy as np

from ssm import companion_kernel, companion_matrix

first = np.eye(4)[0]
systems = {
    "shift register: it falls off the end": np.zeros(4),
    "cyclic shift: it comes back": first,
    "autoregression: echoes that fade": np.array([-0.5, 0.3, 0.0, 0.9]),
    "random walk: it stays": np.array([0.0, 0.0, 0.0, 1.0]),
    "oscillator: two roots on the circle": np.array([0.0, 0.0, -1.0, 2 * np.cos(0.4)]),
    "double unit root: a trend": np.array([0.0, 0.0, -1.0, 2.0]),
}
print(companion_matrix(systems["autoregression: echoes that fade"]))

# %%
# An impulse goes in and what comes out of the last cell is read: :math:`b = e_0` and
# :math:`c = e_{d-1}`. Nothing happens for three steps, and then the column decides.

L = 48
fig, axes = plt.subplots(2, 3, figsize=(9.0, 4.6), sharex=True)
for ax, (name, p) in zip(axes.flat, systems.items(), strict=True):
    K = companion_kernel(p, first, first[::-1], L)
    ax.stem(np.arange(L), K, markerfmt=".", basefmt=" ")
    ax.set_title(name, fontsize="small")
for ax in axes[-1]:
    ax.set_xlabel("step")
plt.show()

# %%
# The published way to such a kernel is the resolvent :math:`(I - \omega A)^{-1}` at the
# :math:`L`-th roots of unity and an inverse Fourier transform. If an eigenvalue of A is itself one
# of these roots, that divides by zero, and near one it loses digits. A random walk, a trend and a
# seasonal cycle all have such eigenvalues. The recurrence :math:`K_{l+d} = \sum_i p_i K_{l+i}`
# divides by nothing.

for name, p in systems.items():
    with np.errstate(all="ignore"):
        published = companion_kernel(p, first, first[::-1], L, algorithm="resolvent")
    ours = companion_kernel(p, first, first[::-1], L)
    print(f"{name:40s} {np.abs(published - ours).max():8.1e}")

# %%
# How near is near? Take an oscillator that makes 80 turns in 1024 steps and loses a fraction
# :math:`\delta` of its amplitude in each. Its eigenvalues are at distance :math:`\delta` from two
# of the roots of unity, which costs the resolvent a factor :math:`1/\delta`; the recurrence does
# not notice. The reference steps the recurrence with 50 digits. Where the kernel agrees with it in
# every bit it is drawn at 1e-17: below :math:`10^{-4}` the bound on the rounding error is no longer
# met in double precision, and double-double arithmetic takes over.


def with_fifty_digits(p, c, L):
    """Extend c by the recurrence of p."""
    with mpmath.workdps(50):
        p, s = [mpmath.mpf(float(x)) for x in p], [mpmath.mpf(float(x)) for x in c]
        while len(s) < L:
            s.append(mpmath.fdot(p, s[-len(p) :]))
    return np.array([float(x) for x in s])


L, angle = 1024, 2 * np.pi * 80 / 1024
start, b = np.array([0.0, 1.0]), np.array([1.0, 0.0])
distances = np.logspace(-16, -1, 31)
errors: dict[str, list[float]] = {"resolvent": [], "auto": []}
for delta in distances:
    radius = 1 - delta
    p = np.array([-(radius**2), 2 * radius * np.cos(angle)])
    exact = with_fifty_digits(p, start, L)
    for algorithm, kept in errors.items():
        K = companion_kernel(p, b, start, L, algorithm=algorithm)
        kept.append(np.abs(K - exact).max() / np.abs(exact).max())

fig, ax = plt.subplots()
ax.loglog(distances, errors["resolvent"], "o-", label="resolvent at the roots of unity")
ax.loglog(distances, np.maximum(errors["auto"], 1e-17), "o-", label="companion_kernel")
ax.axhline(1e-12, color="0.5", ls=":", lw=1)
ax.annotate("stated bound", (distances[-1], 1e-12), ha="right", va="bottom", color="0.4")
ax.set(xlabel="distance of the eigenvalues from a root of unity", ylabel="largest relative error")
ax.legend()
plt.show()

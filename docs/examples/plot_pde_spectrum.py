r"""
The spectrum of a solution, learned from the equation's data
============================================================

How well a Gaussian process solves an equation depends on what it takes u to be like: on the
spectrum of its prior. What is given is not u but f, noisy, and a few noisy values of u, and in f
the fast part of u drowns the slow one. Here u is drawn from a process with a known spectrum, and
the spectrum is found again.
"""

import matplotlib.pyplot as plt
import numpy as np

from solvers import Laplacian, SpectralMixture, fit_spectrum, solve_pde, spectral_init

rng = np.random.default_rng(0)

# %%
# The truth: slow swings of half a cycle per unit of length and variance 1, and a band about 6
# cycles with variance 0.1. A draw is a sum of many waves with random phases and amplitudes.

truth = SpectralMixture(weights=[1.0, 0.1], freqs=[0.5, 6.0], scales=[0.15, 0.5])
waves = np.arange(0.01, 10.0, 0.02)
amplitudes = np.sqrt(2 * 0.02 * truth.density(waves)) * rng.standard_normal((2, waves.size))


def u(x, order=0):
    phase = 2 * np.pi * np.multiply.outer(x, waves) + order * np.pi / 2
    a = amplitudes * (2 * np.pi * waves) ** order
    return np.cos(phase) @ a[0] + np.sin(phase) @ a[1]


length, noise, u_noise = 8.0, 80.0, 0.1
x = np.linspace(0, length, 240)
f = u(x, 2) + noise * rng.standard_normal(x.size)
places = np.sort(rng.uniform(0, length, 50))
values = u(places) + u_noise * rng.standard_normal(50)
problem = (Laplacian(1), x, f, (u(0.0), u(length)))
data = {"noise": (noise, 0.01), "observations": (places, values, u_noise)}

between = np.linspace(0, length, 1601)
fig, (left, right) = plt.subplots(1, 2, figsize=(9.6, 3.4))
left.plot(x, f, "C3.", ms=2)
left.set_title("f as measured")
left.set_xlabel("x")
right.plot(between, u(between), "k", lw=1)
right.plot(places, values, "C3o", ms=4)
right.set_title("u, and what is seen of it")
right.set_xlabel("x")
plt.show()

# %%
# Two ways to a spectrum. The periodogram of f, divided by :math:`\omega^4`, is read in no time; the
# division makes noise at low frequencies large, and lines stand only where f is above its noise.
# Or the spectrum is one under which all the data are likely: `fit_spectrum` starts from eight equal
# components and climbs the evidence. Components that the data have no use for lose their weight.

freqs, weights, scales = spectral_init(f, x[1], 8, order=2)
read = SpectralMixture(weights, freqs, scales)
fit = fit_spectrum(*problem, kernel=8, maxiter=60, **data)
print(f"log evidence: {fit.initial_log_evidence:.0f} at the start, {fit.log_evidence:.0f} fitted")
for w, freq, scale in zip(fit.kernel.weights, fit.kernel.freqs, fit.kernel.scales, strict=True):
    if w > 1e-3:
        print(f"variance {w:.2f} about {freq:.2f} cycles, width {scale:.2f}")

s = np.linspace(0, 10, 1001)
fig, ax = plt.subplots(figsize=(7.2, 4.2))
ax.fill_between(s, truth.density(s), 1e-6, color="0.85", label="truth")
ax.semilogy(s, read.density(s), "C1", lw=1, label="read from the periodogram of f")
ax.semilogy(s, fit.kernel.density(s), "C0", label="learned by evidence")
ax.set_ylim(1e-5, 1e2)
ax.set_xlabel("frequency, cycles")
ax.set_title("spectral density of u")
ax.legend()
plt.show()

# %%
# The learned spectrum has both parts at their heights. Whether the slow one has its maximum at 0 or
# at half a cycle, four swings do not tell.
#
# What it is good for: the same data under five priors, with the error of u, what the solution takes
# for its error, and the share of the interval on which the 95 % band holds u.

priors = {
    "smooth, without frequencies": SpectralMixture([1.0], [0.0], [0.5]),
    "read from f": read,
    "read by solve_pde": "auto",
    "learned": fit.kernel,
    "the truth": truth,
}
for name, kernel in priors.items():
    mean, variance = solve_pde(*problem, kernel=kernel, **data).predict(between)
    error = mean - u(between)
    inside = np.mean(np.abs(error) <= 1.96 * np.sqrt(variance))
    print(
        f"{name:28s} error {np.sqrt(np.mean(error**2)):.3f}, "
        f"stated {np.sqrt(variance.mean()):.3f}, band holds {inside:.0%}"
    )

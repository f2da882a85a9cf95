r"""
Four ways to sample an oscillator
=================================

A damped oscillator :math:`\ddot y + 2\zeta\omega\,\dot y + \omega^2 y = u` is released by a kick at
time 0. Sampled with a step that takes about eight samples a period, the rules for discretising it
disagree visibly: Euler's explicit rule gains energy and diverges, its implicit rule loses energy,
the bilinear rule keeps the amplitude and gets the frequency slightly wrong, and the matrix
exponential is on the curve.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np

from ssm import discretize

omega, zeta, dt = 2 * np.pi, 0.03, 0.12
A = np.array([[0.0, 1.0], [-(omega**2), -2 * zeta * omega]])
kick = np.array([0.0, omega])

# %%
# Between samples nothing drives the oscillator, so what differs is only the state matrix: step it.

steps = np.arange(40)
orbits = {}
with warnings.catch_warnings():
    warnings.simplefilter("ignore", RuntimeWarning)  # Euler's rule warns that it is unstable here
    for method in ("euler", "backward", "bilinear", "zoh"):
        Ad, _ = discretize(A, kick, dt, method=method)
        orbits[method] = np.array([np.linalg.matrix_power(Ad, k) @ kick for k in steps])[:, 0]

damped = omega * np.sqrt(1 - zeta**2)


def exact(t):
    """Displacement after the kick."""
    return omega * np.exp(-zeta * omega * t) * np.sin(damped * t) / damped


error = np.abs(orbits["zoh"] - exact(steps * dt)).max()
print(f"largest error of the matrix exponential: {error:.1e}")

# %%
# The grey line is the true motion, the dots are what each rule makes of it.

t = np.linspace(0, steps[-1] * dt, 2000)
fig, axes = plt.subplots(2, 2, sharex=True, sharey=True)
for ax, (method, orbit) in zip(axes.flat, orbits.items(), strict=True):
    ax.plot(t, exact(t), color="0.75", lw=3)
    ax.plot(steps * dt, orbit, ".-", lw=0.8, color="C0")
    ax.set_title(method)
    ax.set_ylim(-2, 2)
for ax in axes[1]:
    ax.set_xlabel("time (periods)")
plt.show()

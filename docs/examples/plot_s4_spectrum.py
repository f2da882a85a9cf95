r"""
The modes that a layer learns
=============================

A plate that is struck rings in a few modes, each with a frequency and a decay. Their eigenvalues
are what a diagonal state-space layer learns: shown forces and the sound they make, it should find
them. How well it does depends on where its own modes are when training begins.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from threadpoolctl import threadpool_limits

from ssm import ssm_conv, vandermonde_kernel
from ssm.nn import S4D

rng = np.random.default_rng(0)

# %%
# Three modes, in radians a sample, and eight records of 400 samples: white forces and what is
# heard, with noise of 5 % of it.

true = np.array([-0.012 + 0.11j, -0.02 + 0.33j, -0.006 + 0.52j])
weights = np.array([0.05, 0.04j, 0.03])
samples = 400
ringing = vandermonde_kernel(true, weights, samples, dt=1.0, discretization="impulse")
force = rng.standard_normal((8, samples))
sound = ssm_conv(force, ringing)
heard = sound + 0.05 * sound.std() * rng.standard_normal(sound.shape)
u, y = torch.as_tensor(force)[..., None], torch.as_tensor(heard)[..., None]


def modes(layer):
    """Eigenvalues a sample, and the size of what each adds to the kernel."""
    with torch.no_grad():
        w = torch.view_as_complex(layer.B) * torch.view_as_complex(layer.C)
        return (layer.Lambda[0] * layer.dt).numpy(), np.abs(w[0].numpy()) * layer.dt.item()


def train(layer, steps=500):
    optimiser = torch.optim.Adam(layer.parameters(), lr=0.03)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        optimiser.zero_grad()
        loss = torch.nn.functional.mse_loss(layer(u), y) / y.var()
        loss.backward()
        optimiser.step()
        schedule.step()
    return loss.item()


# %%
# Eight modes to begin with: spread evenly over the band (``lin``), or those of the LegS memory
# (``legs``), whose frequencies grow ever faster. Everything is learnt, by Adam.

found = {}
for init in ("lin", "legs"):
    layer = S4D(1, 16, init=init, dt_min=0.03, dt_max=0.03, rng=0, dtype=torch.float64)
    before, kernel_before = modes(layer), layer.kernel(samples)[0].detach()
    with threadpool_limits(1):  # the steps are too small to share
        left = train(layer)
    found[init] = before, modes(layer), kernel_before, layer.kernel(samples)[0].detach()
    print(f"{init:5} unexplained: {left:.2%}; the noise is {0.05**2 / (1 + 0.05**2):.2%}")
    for value in true:
        near = found[init][1][0]
        print(f"      {value:.3f}: nearest mode {near[np.argmin(np.abs(near - value))]:.3f}")

# %%
# The area of a circle is the weight of its mode. From an even spread every true mode has one
# near, which moves there, while the others are damped and lose weight. The frequencies of LegS
# grow apart: the highest true mode lies in a gap, and the mode that comes nearest arrives too
# damped to ring, so that what rings longest is what is missing.

fig, axes = plt.subplots(1, 2, figsize=(9.0, 4.2), sharex=True, sharey=True)
for ax, (init, (before, after, _, _)) in zip(axes, found.items(), strict=True):
    ax.plot(before[0].real, before[0].imag, "x", color="0.5", label="before")
    ax.scatter(after[0].real, after[0].imag, 5000 * after[1], color="C0", alpha=0.5, label="after")
    ax.plot(true.real, true.imag, "k+", ms=11, label="true")
    ax.set(title=init, xlabel="real part (1/sample)", xlim=(-0.085, 0.005), ylim=(-0.05, 0.75))
axes[0].set_ylabel("imaginary part (rad/sample)")
axes[0].legend(loc="upper left", markerscale=0.7)
plt.show()

# %%
# The kernels say the same: from LegS the beginning is right, and what rings on is not.

fig, axes = plt.subplots(2, 1, figsize=(8.0, 4.6), sharex=True)
for ax, (init, (_, _, before, after)) in zip(axes, found.items(), strict=True):
    ax.plot(before, color="0.7", lw=1, label="before")
    ax.plot(ringing, color="k", lw=2.2, alpha=0.35, label="true")
    ax.plot(after, color="C0", lw=1, label="after")
    ax.set(ylabel=init, xlim=(0, 250), ylim=(-0.35, 0.35))
axes[0].legend(ncols=3, loc="upper right")
axes[1].set_xlabel("sample")
plt.show()

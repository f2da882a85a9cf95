r"""
A heartbeat in 64 numbers
=========================

An electrocardiogram arrives sample by sample, and we may keep only N numbers of it. A HiPPO system
spends them on the coefficients of the past in a basis, updated at every sample: the scale-invariant
LegS spreads them over everything since the recording began, LegT and FouT over a sliding window.
Here the numbers are turned back into the signal.
"""

import matplotlib.pyplot as plt
import numpy as np
import pywt

from ssm import hippo_project, hippo_reconstruct, legs_project_online

ecg = pywt.data.ecg().astype(float)
ecg -= ecg.mean()
L, N, window = len(ecg), 64, 256

# %%
# One call each projects the whole recording: a row of coefficients for every sample.

whole_past = legs_project_online(ecg, N)
sliding = {
    "LegT": ("legt", hippo_project(ecg, "legt", N, dt=1, window=window)),
    "FouT": ("fout", hippo_project(ecg, "fout", N, dt=1, window=window)),
}
print(f"{L} samples, and {whole_past.shape[1]} numbers at each of them")

# %%
# What the summaries remember at three moments. LegS thins out as the recording grows: the first
# beat is sharp while it is recent and blurs later. A window keeps its resolution and forgets what
# has left it.

moments = (400, 700, L)
fig, axes = plt.subplots(3, 2, sharex="col", sharey=True, figsize=(8.0, 6.4))
for (left, right), now in zip(axes, moments, strict=True):
    past = np.arange(now)
    age = now - past - 0.5
    left.plot(ecg, color="0.85", lw=1)
    left.plot(past, ecg[:now], color="0.45", lw=1)
    left.axvline(now, color="0.3", lw=1, ls=":")
    back = hippo_reconstruct(whole_past[now - 1], "legs_scaled", age, window=now)
    left.plot(past, back, color="C0")
    left.set_ylabel(f"after {now} samples")
    recent = age[-window:]
    right.plot(-recent, ecg[now - window : now], color="0.45", lw=1)
    for colour, (name, (measure, states)) in zip(("C1", "C2"), sliding.items(), strict=True):
        back = hippo_reconstruct(states[now - 1], measure, recent, window=window)
        right.plot(-recent, back, color=colour, label=name)
axes[0, 0].set_title("all of the past, LegS")
axes[0, 1].set_title(f"the last {window} samples, LegT and FouT")
axes[0, 1].legend(loc="upper right")
axes[-1, 0].set_xlabel("sample")
axes[-1, 1].set_xlabel("samples from now")
plt.show()

# %%
# The exact step keeps the true projection of the samples, so that its error is that of the best
# polynomial. The bilinear rule of the original method keeps up until the polynomials oscillate too
# fast for it; from there on more numbers do not help.

orders = np.array([8, 16, 32, 64, 128, 256])
middle = np.arange(L)[::-1] + 0.5
errors = {"exact": [], "bilinear": [], "best polynomial": []}
for order in orders:
    for method in ("exact", "bilinear"):
        c = legs_project_online(ecg, order, method=method, final=True)
        back = hippo_reconstruct(c, "legs_scaled", middle, window=L)
        errors[method].append(np.linalg.norm(back - ecg))
    functions = hippo_reconstruct(np.eye(order), "legs_scaled", middle, window=L)
    q, _ = np.linalg.qr(functions.T)
    errors["best polynomial"].append(np.linalg.norm(ecg - q @ (q.T @ ecg)))

fig, ax = plt.subplots(figsize=(8.0, 3.6))
for (name, values), style in zip(errors.items(), ("o-", "s-", "--"), strict=True):
    ax.plot(orders, np.array(values) / np.linalg.norm(ecg), style, ms=5, label=name)
ax.set(xscale="log", yscale="log", xlabel="N", ylabel="relative error")
ax.set_xticks(orders, [str(order) for order in orders])
ax.set_yticks([0.2, 0.5, 1.0], ["0.2", "0.5", "1"])
ax.minorticks_off()
ax.set_title("Error of the whole recording from N numbers")
ax.legend()
plt.show()

r"""
What a HiPPO state remembers of an ECG
======================================

A HiPPO system reads a signal sample by sample and keeps :math:`N` numbers. From them the past can
be read back, and how well depends on the measure: LegT and FouT remember a window and nothing else,
LegS in its time-invariant form lets the past fade. The signal is an electrocardiogram that ships
with PyWavelets; time is counted in samples.
"""

import matplotlib.pyplot as plt
import numpy as np
import pywt

from ssm import hippo_project, hippo_reconstruct

ecg = pywt.data.ecg().astype(float)
window = 600
recent = ecg[-window:]
age = np.arange(window)[::-1] + 0.5  # of the middle of each sample, when the last one has ended

# %%
# Each memory is one call; only the last state is kept, which is all that the reading needs.

memories = {"legt": window, "fout": window, "legs": window / 3}
N = 96
fig, axes = plt.subplots(3, 1, sharex=True, figsize=(8.0, 6.0))
for ax, (measure, scale) in zip(axes, memories.items(), strict=True):
    state = hippo_project(ecg, measure, N, 1.0, window=scale, final=True)
    ax.plot(-age, recent, color="0.75", lw=3, label="signal")
    ax.plot(-age, hippo_reconstruct(state, measure, age, window=scale), label=f"{measure}, N = {N}")
    ax.set_ylim(-200, 400)
    ax.legend(loc="upper left", ncols=2)
axes[-1].set_xlabel("samples before now")
plt.show()

# %%
# More numbers, less error, and each measure puts its resolution where its weight is: LegT and FouT
# hold the whole window, LegS gives up the old for the new.

orders = np.array([16, 32, 64, 128, 192])
new, old = age < window / 4, age > 3 * window / 4


def errors(measure, scale, part):
    """Relative error of what is read back from one part of the window, for each order."""
    past = [
        hippo_reconstruct(
            hippo_project(ecg, measure, int(n), 1.0, window=scale, final=True),
            measure,
            age[part],
            window=scale,
        )
        for n in orders
    ]
    size = np.linalg.norm(recent[part] - recent[part].mean())
    return [np.linalg.norm(p - recent[part]) / size for p in past]


fig, axes = plt.subplots(1, 2, sharey=True, figsize=(8.0, 3.4))
for ax, part, title in zip(axes, (old, new), ("oldest quarter", "newest quarter"), strict=True):
    for measure, scale in memories.items():
        ax.loglog(orders, errors(measure, scale, part), "o-", label=measure)
    ax.set(title=title, xlabel="N", xticks=orders, xticklabels=orders)
    ax.minorticks_off()
axes[0].set_ylabel("relative error")
axes[0].legend()
plt.show()

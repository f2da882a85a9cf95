r"""
Orthogonal operators that cost next to nothing
==============================================

A random orthogonal matrix turns any vector into a direction of its own: the cosine between x and
Qx is of the order of :math:`1/\sqrt n`, and so is that between the images of x under two draws.
This is what makes such matrices keys, in vector-symbolic architectures and in sketching. A dense
one holds :math:`n^2` numbers. Which of the operators that hold n, or n log n, can stand for it?
"""

import matplotlib.pyplot as plt
import numpy as np

from numerics import (
    BlockOrthogonal,
    Butterfly,
    HouseholderProduct,
    RandomizedHadamard,
    SignedPermutation,
)

n, draws = 1024, 60
rng = np.random.default_rng(1)
families = {
    "Haar": lambda: BlockOrthogonal.random(n, block=n, rng=rng),
    "signed permutation": lambda: SignedPermutation.random(n, rng=rng),
    "no signs": lambda: SignedPermutation.random(n, signed=False, rng=rng),
    "Hadamard, 1 round": lambda: RandomizedHadamard.random(n, rounds=1, rng=rng),
    "Hadamard, 2 rounds": lambda: RandomizedHadamard.random(n, rng=rng),
    "blocks of 8": lambda: BlockOrthogonal.random(n, block=8, rng=rng),
    "butterfly": lambda: Butterfly.random(n, rng=rng),
    "64 reflections": lambda: HouseholderProduct.random(n, reflections=64, rng=rng),
}
sparse = np.zeros(n)
sparse[rng.choice(n, 16, replace=False)] = 1
vectors = {
    "one-hot": np.eye(1, n, 100)[0],
    "sparse": sparse,
    "biased": rng.standard_normal(n) + 0.5,
}

# %%
# Where a single one goes. A permutation moves it, blocks keep it in their block, one round of signs
# and a Hadamard transform spreads it evenly, and reflections leave most of it where it was.

fig, axes = plt.subplots(len(families), 1, sharex=True, figsize=(7.5, 8.0))
for axis, (name, draw) in zip(axes, families.items(), strict=True):
    axis.plot(draw() @ vectors["one-hot"], lw=0.6)
    axis.axvline(100, color="0.8", lw=0.8, zorder=0)
    axis.set_title(name, loc="left", fontsize=9, pad=2)
axes[-1].set_xlabel("entry")
fig.tight_layout()
plt.show()

# %%
# Sixty draws of each, and the cosines between the images of one vector under all pairs of them.
# The bars are their root mean square; the line is at :math:`1/\sqrt n`. One round fails on sparse
# vectors, since :math:`Q_a^T Q_b` is diagonal; two rounds do not. Without signs a permutation
# keeps the mean of the entries, and blocks keep what is sparse together.

images = {}
for name, draw in families.items():
    operators = [draw() for _ in range(draws if name != "Haar" else 12)]
    images[name] = {
        kind: np.array([Q @ x for Q in operators]) / np.linalg.norm(x)
        for kind, x in vectors.items()
    }


def root_mean_square(Y):
    cosines = (Y @ Y.T)[np.triu_indices(len(Y), 1)]
    return np.sqrt(np.mean(cosines**2))


fig, axes = plt.subplots(figsize=(7.5, 4.2))
places = np.arange(len(families))
for shift, kind in zip((-0.27, 0, 0.27), vectors, strict=True):
    sizes = [root_mean_square(images[name][kind]) for name in families]
    axes.bar(places + shift, sizes, width=0.25, label=kind)
axes.axhline(n**-0.5, color="0.3", lw=1)
axes.set(yscale="log", ylim=(5e-3, 4), ylabel="cosine between two images")
axes.set_xticks(places, families, rotation=30, ha="right")
axes.legend(loc="upper left", ncols=3)
fig.tight_layout()
plt.show()

# %%
# The images of a one-hot vector under signed permutations are orthogonal to the last bit, unless
# two draws move it to the same place, as one pair in n does; then they are parallel.
#
# Reflections do lead away from x, but slowly: the cosine between x and Qx is
# :math:`(1 - 2/n)^r` on average.

counts = 2 ** np.arange(0, 12)
means = [
    np.mean([x @ (HouseholderProduct.random(n, reflections=r, rng=rng) @ x) for _ in range(8)])
    for r in counts
    for x in [vectors["biased"] / np.linalg.norm(vectors["biased"])]
]
fig, axes = plt.subplots(figsize=(6.0, 3.4))
axes.semilogx(counts, means, "o", label="mean of eight draws")
axes.semilogx(counts, (1 - 2 / n) ** counts, label=r"$(1 - 2/n)^r$")
axes.set(xlabel="reflections r", ylabel="cosine between x and Qx")
axes.legend()
fig.tight_layout()
plt.show()

# %%
# Keys are used in products: the path "third element of the list under this key" is one operator.
# Signed permutations compose and are raised to powers in O(n), and undo each other to the last bit.

key, following = SignedPermutation.random(n, rng=rng), SignedPermutation.random(n, rng=rng)
path = key @ following.power(3)
x = rng.standard_normal(n)
print(path)
print("undone exactly:", bool(np.all(path.adjoint() @ (path @ x) == x)))
swapped = following.power(3) @ key
cosine = (path @ x) @ (swapped @ x) / (x @ x)
print(f"in the other order the image is another one: cosine {cosine:.3f}")

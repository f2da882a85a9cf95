r"""
Following a group with reflections
==================================

A light switch, a deck of cards, a cube in the hand: what has happened to them is a product of
moves, and to know it one must follow a group. A linear recurrence can, if its matrices can be what
the moves are. The delta rule multiplies its state by :math:`I - \beta k k^T`, and with
:math:`\beta = 2` that is a reflection, out of which every rotation and every permutation is made.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from threadpoolctl import threadpool_limits

from ssm import delta_rule, group_representation, min_reflections, reflections, word_problem
from ssm.nn import DeltaProduct

rng = np.random.default_rng(0)

# %%
# Weights that are written down
# -----------------------------
#
# The reflections of a move's matrix are the keys of its token. In words of 4096 random moves, in
# single precision, the product of every prefix is named right.


def products(table, words):
    found, product = np.empty_like(words), np.zeros(len(words), int)
    for t in range(words.shape[1]):
        product = table[product, words[:, t]]
        found[:, t] = product
    return found


for name in ("Z2", "S3", "D5", "A4", "S4", "A5", "S5"):
    elements, table = group_representation(name)
    words = rng.integers(len(table), size=(4, 4096))
    right = np.mean(word_problem(name, words) == products(table, words))
    needed = min_reflections(elements).max()
    print(f"{name}: {len(table):3} elements, {needed} reflections a token, {right:.2%} right")

# %%
# The permutations of five things take four reflections: a cycle of five turns four dimensions. With
# fewer a token, the first such cycle of a word is the end of it. Each move does here what its
# first reflections do.

elements, table = group_representation("S5")
keys, gains = reflections(elements)
start = rng.standard_normal(4)
words = rng.integers(len(table), size=(500, 128))
expected = products(table, words)

fig, ax = plt.subplots()
for n_h in (4, 3, 2, 1):
    k = keys[words][..., :n_h, :].reshape(len(words), -1, 4)
    beta = gains[words][..., :n_h].reshape(len(words), -1)
    q = np.broadcast_to(start, (*words.shape, 4))
    o, _ = delta_rule(q, k, np.zeros_like(k), beta, n_h=n_h, initial_state=np.eye(4))
    named = np.argmax(o @ (elements @ start).T, axis=-1)
    ax.plot(1 + np.arange(128), 100 * np.mean(named == expected, axis=0), label=f"{n_h} a token")
ax.axhline(100 / 120, color="0.5", ls=":", lw=1)
ax.set(title="Permutations of five things", xlabel="moves", ylabel="named right (%)", xscale="log")
ax.legend(title="reflections")
plt.show()

# %%
# Weights that are learnt
# -----------------------
#
# Parity is the smallest group: one reflection, of a line. A layer whose gains reach 2 learns it
# from words of 32 bits and keeps it on words that are much longer. With gains up to 1, where a
# factor is a projection, no product of factors changes a sign, and the layer guesses from the
# first few bits on.


class Parity(torch.nn.Module):
    def __init__(self, negative_eigenvalues, width=32):
        super().__init__()
        self.embed = torch.nn.Embedding(2, width)
        self.follow = DeltaProduct(
            width,
            heads=4,
            head_size=8,
            n_h=1,
            negative_eigenvalues=negative_eigenvalues,
            conv_size=None,
        )
        self.read = torch.nn.Sequential(torch.nn.LayerNorm(width), torch.nn.Linear(width, 2))

    def forward(self, bits):
        return self.read(self.follow(self.embed(bits)))


def train(network, steps=200, length=32):
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.01, total_steps=steps)
    for _ in range(steps):
        bits = torch.randint(2, (32, length))
        optimiser.zero_grad()
        logits = network(bits).flatten(0, 1)
        torch.nn.functional.cross_entropy(logits, (bits.cumsum(1) % 2).flatten()).backward()
        optimiser.step()
        schedule.step()


torch.manual_seed(0)
test = torch.randint(2, (500, 1024))
fig, ax = plt.subplots()
for negative, label in ((True, "gains up to 2"), (False, "gains up to 1")):
    network = Parity(negative)
    with threadpool_limits(1):  # the steps are too small to share
        train(network)
        with torch.no_grad():
            right = (network(test).argmax(-1) == test.cumsum(1) % 2).double().mean(0)
            gain = 2 * torch.sigmoid(network.follow.b_proj(network.embed.weight))
    if negative:
        print(f"gains of a one, by head: {gain[1].numpy().round(4)}")
    at = np.arange(8, 1024, 16)
    ax.semilogx(at, 100 * right.reshape(-1, 16).mean(1), ".-", label=label)
ax.axvline(32, color="0.5", ls="--", lw=1)
ax.axhline(50, color="0.5", ls=":", lw=1)
ax.set(title="Parity, trained on 32 bits", xlabel="position", ylabel="right (%)", ylim=(40, 102))
ax.legend()
plt.show()

# %%
# The gains that were learnt fall a little short of 2, so that the sign fades with every one in the
# word, and after some hundreds it is lost.
#
# With :math:`n_h = 2` a layer learns :math:`S_3` as well, which with one reflection a token no
# layer can follow alone; ``python -m benchmarks state_tracking`` trains both.

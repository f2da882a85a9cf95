r"""
In what sense a diagonal system becomes LegS
============================================

S4D replaces LegS's matrix by its normal part, :math:`A_D = A + PP^\top`, which is diagonal in an
orthonormal basis, and the input vector :math:`B` by :math:`B/2`. The theorem behind it says that
the diagonal system tends to LegS as its order :math:`N` grows. Plot the two kernels and the theorem
looks false. It is true: for every :math:`N`, every state and every :math:`s`,

.. math:: X_D(s) = \frac{X_{\mathrm{LegS}}(s)}{1 + r_N(s)}, \qquad
          r_N(s) = \prod_{j=1}^{N}\frac{s-j+1}{s+j}, \qquad
          |r_N(i\omega)| = \frac{\omega}{\sqrt{N^2+\omega^2}},

so that the transfer functions agree ever better at each frequency, and never at all frequencies.
"""

import matplotlib.pyplot as plt
import numpy as np

from ssm import hippo_basis, hippo_transfer, nplr, s4d_init, ssm_conv, vandermonde_kernel

# %%
# First the identity. The diagonal system's transfer function is a sum over its modes, which knows
# nothing of the product :math:`r_N`.


def all_pass(N, s):
    """The product r_N."""
    j = np.arange(1, N + 1)[:, None]
    return np.prod((s - j + 1) / (s + j), axis=0)


def diagonal_transfer(N, s):
    """All N states of the diagonal system, in LegS's coordinates."""
    Lambda, _, B, V = nplr("legs", N, conj=False)
    return V @ ((B[:, None] / 2) / (s - Lambda[:, None]))


s = 1j * np.array([1.0, 4.0, 16.0])
orders = 2 ** np.arange(3, 9)
print("relative error of the transfer function")
print("   N    identity off by    w = 1    w = 4   w = 16")
for N in orders:
    exact = hippo_transfer("legs", N, s)
    diagonal = diagonal_transfer(N, s)
    identity = np.max(np.abs(diagonal * (1 + all_pass(N, s)) - exact) / np.abs(exact))
    error = np.linalg.norm(diagonal - exact, axis=0) / np.linalg.norm(exact, axis=0)
    print(f"{N:4d} {identity:18.0e}" + "".join(f"{e:9.4f}" for e in error))

# %%
# Now the picture that misleads. The first state of LegS is a plain low-pass, :math:`e^{-t}`. The
# diagonal system's kernel starts at 1/2 and oscillates; with larger :math:`N` it oscillates faster,
# and no less. The distance between the two does not shrink, in the mean no more than at a point.


def first_modes(N):
    """Eigenvalues and weights of the diagonal system's first state."""
    Lambda, B = s4d_init("legs", N)
    V = nplr("legs", N)[3]
    return Lambda, V[0] * B / 2


dt = 2e-4
t = dt * np.arange(15_000)
legs = hippo_basis("legs", 1, t)[0]
fig, axes = plt.subplots(1, 3, sharey=True, figsize=(8.0, 3.0))
for ax, N in zip(axes, (8, 32, 128), strict=True):
    Lambda, weights = first_modes(N)
    kernel = vandermonde_kernel(Lambda, weights, len(t), dt=dt, discretization="impulse") / dt
    distance = np.sqrt(np.sum((kernel - legs) ** 2) * dt)
    ax.plot(t, kernel, lw=0.8, label="diagonal")
    ax.plot(t, legs, "k--", lw=1.2, label="LegS")
    ax.set_title(f"N = {N}: distance {distance:.2f}")
    ax.set_xlabel("t")
axes[0].set_ylabel("kernel of the first state")
axes[0].legend()
plt.show()

# %%
# The oscillation sits at frequencies of the order of :math:`N` and above, where :math:`|r_N|` is
# near 1. An input without such frequencies does not excite it: the responses converge, at the rate
# :math:`\omega/N` that the identity gives each frequency. Left, the error at three frequencies.
# Right, what an input with no frequency above 20 makes of the kernels drawn above. It is shown
# late, since :math:`r_N` delays by about :math:`2\log(N/\omega)`: at first the error is smaller.

dt = 1e-3
t = dt * np.arange(20_000)
rng = np.random.default_rng(0)
frequencies, phases = rng.uniform(0, 20, 30), rng.uniform(0, 2 * np.pi, 30)
u = np.cos(np.outer(t, frequencies) + phases).sum(axis=1) / np.sqrt(15)
low_pass = vandermonde_kernel(np.array([-1.0]), np.array([1.0]), len(t), dt=dt, conj=False)
target = ssm_conv(u, low_pass)
late = t >= 16

fig, (left, right) = plt.subplots(1, 2, figsize=(8.0, 3.8))
for w, colour in ((1, "C0"), (4, "C1"), (16, "C2")):
    r = np.array([all_pass(N, np.array([1j * w]))[0] for N in orders])
    left.loglog(orders, np.abs(r / (1 + r)), "o-", color=colour, label=rf"$\omega$ = {w}")
    left.loglog(orders, w / orders, ":", color=colour)
left.set_xticks(orders, orders)
left.minorticks_off()
left.set_xlabel("N")
left.set_title("error of the transfer function; dots: $\\omega/N$")
left.legend()

for N in (8, 32, 128):
    Lambda, weights = first_modes(N)
    response = ssm_conv(u, vandermonde_kernel(Lambda, weights, len(t), dt=dt))
    off = np.linalg.norm((response - target)[late]) / np.linalg.norm(target[late])
    right.plot(t[late], response[late], label=f"N = {N}, off by {100 * off:.0f} %")
right.plot(t[late], target[late], "k--", label="LegS")
right.set_xlabel("t")
right.set_title("response of the first state")
right.set_ylim(top=0.75)
right.legend(ncols=2, loc="upper center", fontsize="small")
plt.show()

# %%
# So the test of an implementation is a transfer value or a response, not a kernel: input by input
# the diagonal systems converge to LegS, as systems they do not (arXiv 2310.01698).

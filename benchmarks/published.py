"""Published figures, each with the place where it stands.

A constant here is a figure that somebody else reported, or that their released code gives when it
is run; it is never an output of this library.
"""

from __future__ import annotations

from benchmarks.harness import Published

_DEMONSTRATION = (
    "function-approximation demonstration released with arXiv 2206.12037 (3 s of noise below 3 Hz, "
    "dt = 1e-3, seed 0), run in its own float32"
)

# Relative error of the scale-invariant LegS over the whole signal, by order.
LEGS_SCALED_NOISE = {
    16: Published(0.454, _DEMONSTRATION),
    32: Published(0.01162, _DEMONSTRATION),
    64: Published(0.00509, _DEMONSTRATION),
    128: Published(0.00509, _DEMONSTRATION),
}

# Relative error of time-invariant systems of order 64, by measure and by what it is taken over.
WINDOW_NOISE = {
    "legt": {"last 1 s": Published(0.00385, _DEMONSTRATION)},
    "fout": {"last 1 s": Published(0.0292, _DEMONSTRATION)},
    "legs": {
        "weighted": Published(0.0315, _DEMONSTRATION),
        "last 1 s": Published(0.00934, _DEMONSTRATION),
    },
}

# Forward and backward of a batch normalisation layer in units of eigendecompositions of its batch
# (torch.linalg.eigh of 30 float64 matrices), by order: least of 30 turns on one core, where it is
# 17.4, 29.5 and 52.1 ms. The layer decomposes matrix by matrix, so that machines with slow Python
# see larger figures.
_RELEASED = (
    "batch normalisation layer released with arXiv 2504.00660, theta = 1/2, batch of 30, run in "
    "turns with torch.linalg.eigh on one core of an AMD EPYC with torch 2.13"
)
RELEASED_BATCH_NORM = {
    12: Published(53.0, _RELEASED),
    20: Published(36.8, _RELEASED),
    30: Published(27.9, _RELEASED),
}

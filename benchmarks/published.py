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

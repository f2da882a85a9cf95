r"""Frequencies of the normal part of LegS: scalar phase equations against an eigendecomposition.

The eigenvalues of :math:`A + P P^T` are :math:`-1/2 + i\omega_k`. S4 (arXiv 2111.00396) and S4D
(arXiv 2206.11893) find them by an eigendecomposition of the skew part S, O(N^3) operations; here
each :math:`\omega_k` is the root of
:math:`\sum_{j \le N} \arctan(\omega / (j - 1/2)) = (N + 1 - 2k) \pi / 2`.
"""

from __future__ import annotations

import functools
from typing import Any

import mpmath
import numpy as np
import scipy.linalg

from benchmarks.harness import Check, Context, Figure, Record, Table, benchmark
from ssm import hippo_low_rank, hippo_matrices, legs_spectrum

_COMPARED = 1024
_DIGITS = 40


@benchmark(
    "legs_spectrum",
    title="LegS spectrum from phase equations against an eigendecomposition",
    paper="arXiv 2206.11893",
    summary="legs_spectrum(1024) beside eigh: time, agreement, and error to 40 digits.",
)
def run(context: Context) -> Record:
    """Time both at N = 1024, then the phase equations alone up to N = 10000."""
    S = _skew_part(_COMPARED)
    eigen, values = "eigh of -iS", "eigvalsh of -iS"
    ours = "legs_spectrum"
    few = 2 if context.quick else 5
    timings = context.time_interleaved(
        {
            ours: lambda: legs_spectrum(_COMPARED),
            eigen: lambda: scipy.linalg.eigh(-1j * S),
            values: lambda: scipy.linalg.eigvalsh(-1j * S),
        },
        repeats={ours: 50 * few, eigen: few, values: few},
        warmup={ours: 3, eigen: 0, values: 0},
        baseline=ours,
    )
    omega, gain = legs_spectrum(_COMPARED)
    peer_omega, peer_gain = _by_eigh(S)
    agreement = _largest_relative(peer_omega, omega)
    gains = _largest_relative(peer_gain, gain)

    context.tell("comparing with 40 digits")
    orders = [64, 256, 1024, 4096, 10000]
    complete = 256 if context.quick else 1024
    alone = context.time_interleaved(
        {str(N): functools.partial(legs_spectrum, N) for N in orders},
        repeats=5 if context.quick else 15,
    )
    rows, worst = [], 0.0
    for N in orders:
        places = np.array([0, 1, N // 4, N // 2 - 2, N // 2 - 1])
        if complete >= N:
            places = np.arange(N // 2)
        error, gain_error = _errors(N, places)
        worst = max(worst, error, gain_error)
        rows.append(
            (N, alone[str(N)].ms, 2e6 * alone[str(N)].ms / N, len(places), error, gain_error)
        )
    ratio = timings[eigen].ratio
    return context.record(
        asked="legs_spectrum(1024) at least 50 times faster than the eigendecomposition of the "
        "skew part, agreeing to 1e-9.",
        tables=[
            Table(
                f"N = {_COMPARED}",
                [
                    "method",
                    "median (ms)",
                    "to ours",
                    "frequencies: largest relative difference",
                    "gains: the same",
                ],
                [
                    ("legs_spectrum, frequencies and gains", timings[ours].ms, 1.0),
                    ("scipy.linalg.eigh, both", timings[eigen].ms, ratio, agreement, gains),
                    (
                        "scipy.linalg.eigvalsh, frequencies",
                        timings[values].ms,
                        timings[values].ratio,
                    ),
                ],
                note="The differences are the eigendecomposition's errors: the second table holds "
                "ours.",
            ),
            Table(
                "legs_spectrum alone",
                [
                    "N",
                    "median (ms)",
                    "ns a frequency",
                    "roots compared",
                    "frequencies: largest relative error",
                    "gains: largest relative error",
                ],
                rows,
                note=f"Errors against Newton's method in {_DIGITS} digits: of all roots up to "
                f"N = {complete}, else of the two smallest, the two largest and the middle one.",
            ),
        ],
        checks=[
            Check.at_least("eigendecomposition to legs_spectrum at N = 1024", ratio, 50, unit="x"),
            Check.at_most("frequencies at N = 1024: relative difference", agreement, 1e-9),
            Check.at_most("largest relative error against 40 digits", worst, 1e-13),
        ],
        figures=[
            Figure(
                "The spectrum and where an eigendecomposition loses digits",
                "Left: the positive frequencies, up to about N² / π. Right: relative difference "
                "between scipy.linalg.eigh and the phase equations; the error of eigh "
                "is absolute in the largest frequency, so the small ones suffer.",
                lambda canvas: _draw(canvas, omega, peer_omega),
                size=(9.0, 3.6),
            )
        ],
    )


def _skew_part(N: int) -> np.ndarray:
    A, _ = hippo_matrices("legs", N)
    P, sigma = hippo_low_rank("legs", N)
    return A + P.T @ P + sigma * np.eye(N)


def _by_eigh(S: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positive frequencies, and the gains |V* B|."""
    _, B = hippo_matrices("legs", len(S))
    omega, V = scipy.linalg.eigh(-1j * S)
    half = len(S) // 2
    return omega[half:], np.abs(V[:, half:].conj().T @ B)


def _largest_relative(values: np.ndarray, reference: np.ndarray) -> float:
    return float(np.max(np.abs(values - reference) / np.abs(reference)))


def _errors(N: int, places: np.ndarray) -> tuple[float, float]:
    """Largest relative errors of the chosen frequencies and of their gains."""
    omega, gain = legs_spectrum(N)
    worst = worst_gain = mpmath.mpf(0)
    with mpmath.workdps(_DIGITS):
        for place in places:
            target = mpmath.pi * (2 * int(place) + 1) / 2
            root = mpmath.mpf(float(omega[place]))
            for _ in range(2):
                phase, slope = _phase(N, root)
                root -= (phase - target) / slope
            exact = mpmath.sqrt(2 / _phase(N, root)[1])
            worst = max(worst, abs(float(omega[place]) / root - 1))
            worst_gain = max(worst_gain, abs(float(gain[place]) / exact - 1))
    return float(worst), float(worst_gain)


def _phase(N: int, omega: Any) -> tuple[Any, Any]:
    r"""The phase :math:`\sum_j \arctan(\omega/(j-1/2))` and its derivative, by log-gamma.

    The product of :math:`j - 1/2 + i\omega` is a quotient of Gamma functions.
    """
    low, high = mpmath.mpc(0.5, omega), mpmath.mpc(N + 0.5, omega)
    phase = (mpmath.loggamma(high) - mpmath.loggamma(low)).imag
    slope = (mpmath.digamma(high) - mpmath.digamma(low)).real
    return phase, slope


def _draw(canvas: Any, omega: np.ndarray, peer: np.ndarray) -> None:
    left, right = canvas.subplots(1, 2)
    left.loglog(np.arange(1, len(omega) + 1), omega, ".", markersize=3)
    left.set(xlabel="k, from the smallest", ylabel="frequency ω", title=f"N = {2 * len(omega)}")
    difference = np.maximum(np.abs(peer - omega) / omega, 1e-17)
    right.loglog(omega, difference, ".", markersize=3, label="eigh")
    right.loglog(omega, 2.2e-16 * omega[-1] / omega, "--", label="unit roundoff of the largest ω")
    right.set(xlabel="frequency ω", ylabel="relative difference", title="eigh against ours")
    right.legend()

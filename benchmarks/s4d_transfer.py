r"""In which sense the diagonal system S4D-LegS tends to LegS.

S4D (arXiv 2206.11893) keeps the normal part of LegS and drops its rank-one correction. By the
Sherman-Morrison formula its transfer function is, for every order N,

.. math:: X_D(s) = \frac{X_{LegS}(s)}{1 + r_N(s)}, \qquad
          r_N(s) = \prod_{j=1}^N \frac{s - j + 1}{s + j}, \qquad
          |r_N(i\omega)| = \frac{\omega}{\sqrt{N^2 + \omega^2}},

so the relative error at a fixed frequency falls like :math:`\omega/N`, while the disturbance only
moves to higher frequencies: the L2 distance of the kernels tends to :math:`\sqrt{2n+1}/2`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks.harness import Check, Column, Context, Figure, Record, Table, benchmark
from ssm import hippo_transfer, legs_spectrum, nplr, s4d_init

_ORDERS = (8, 16, 32, 64, 128, 256)
_FREQUENCIES = (1.0, 4.0, 16.0)
_COEFFICIENTS = (0, 1, 3)


@benchmark(
    "s4d_transfer",
    title="The diagonal system S4D-LegS against LegS itself",
    paper="arXiv 2206.11893",
    summary="Transfer values converge like 1/N, kernels do not; spectra of the initialisations.",
)
def run(context: Context) -> Record:
    """Compare transfer functions, kernels and spectra; nothing here depends on time."""
    context.tell("transfer functions")
    errors = {N: _transfer_errors(N) for N in _ORDERS}
    closed = {N: np.abs(_relative(N, np.array(_FREQUENCIES))) for N in _ORDERS}
    deviation = max(float(np.max(np.abs(errors[N] / closed[N] - 1))) for N in _ORDERS)
    context.tell("kernels")
    distances = {N: [_kernel_distance(N, n) for n in _COEFFICIENTS] for N in _ORDERS}
    limits = [math.sqrt(2 * n + 1) / 2 for n in _COEFFICIENTS]
    gap = max(abs(d / limit - 1) for d, limit in zip(distances[256], limits, strict=True))
    peaks = {N: _peak(N) for N in _ORDERS}

    headings: list[Column | str] = ["N"]
    for omega in _FREQUENCIES:
        headings += [f"ω = {omega:g}", "|r / (1 + r)|"]
    transfer_rows = [
        (N, *(value for pair in zip(errors[N], closed[N], strict=True) for value in pair))
        for N in _ORDERS
    ]
    kernel_rows: list[tuple[Any, ...]] = [(N, *distances[N], *peaks[N]) for N in _ORDERS]
    kernel_rows.append(("limit", *limits, 2 / math.pi))
    return context.record(
        asked="The relative error of the transfer function at ω = 1 is 1.57e-2 at N = 64 and "
        "3.89e-3 at N = 256, as in closed form; the L2 distance of the kernels does not fall.",
        tables=[
            Table(
                "Relative error |X_D - X_LegS| / |X_LegS| at iω",
                headings,
                transfer_rows,
                note="Computed from the eigenvectors, beside the closed form at each frequency.",
            ),
            Table(
                "Distance that does not fall",
                [
                    "N",
                    *(f"L2 distance of kernel {n}" for n in _COEFFICIENTS),
                    "largest |X_D - X_LegS|, n = 0",
                    "at ω",
                ],
                kernel_rows,
                note="Norms over all time, from exact inner products of exponentials; the LegS "
                "kernels all have norm 0.7071.",
            ),
            _spectra(),
        ],
        checks=[
            _three_digits("relative error at ω = 1, N = 64", errors[64][0], 1.57e-2),
            _three_digits("relative error at ω = 1, N = 256", errors[256][0], 3.89e-3),
            Check.at_most("largest deviation from the closed form, relative", deviation, 1e-11),
            Check.at_most("L2 distances at N = 256 to their limits, relative", gap, 1e-3),
        ],
        figures=[
            Figure(
                "Where the difference goes",
                "At a fixed frequency the error (dots) falls like ω / N (lines), while over all "
                "frequencies its largest value stays and moves out. So the kernels, compared point "
                "by point, look wrong at every order, and the responses to inputs that hold little "
                "of the highest frequencies converge. The last three panels show n = 0.",
                _draw_convergence,
                size=(9.0, 6.4),
            ),
            Figure(
                "Frequencies of the initialisations at N = 64",
                "Imaginary parts beside the exact LegS spectrum: S4D-Inv follows it, right at "
                "the largest frequency, S4D-Lin is the evenly spaced spectrum of a Fourier basis.",
                _draw_spectra,
                size=(7.0, 4.0),
            ),
        ],
    )


def _all_pass(N: int, omega: np.ndarray) -> np.ndarray:
    """The all-pass r_N(iω); the factors are paired so that each has modulus near 1."""
    s = 1j * omega[:, None]
    j = np.arange(1, N)
    return (s[:, 0] / (s[:, 0] + N)) * np.prod((s - j) / (s + j), axis=1)


def _relative(N: int, omega: np.ndarray) -> np.ndarray:
    r = _all_pass(N, omega)
    return -r / (1 + r)


def _diagonal_transfer(N: int, s: np.ndarray) -> np.ndarray:
    Lambda, _, B, V = nplr("legs", N, conj=False)
    return V @ (B[:, None] / 2 / (s - Lambda[:, None]))


def _transfer_errors(N: int) -> np.ndarray:
    s = 1j * np.array(_FREQUENCIES)
    exact = hippo_transfer("legs", N, s)
    difference = _diagonal_transfer(N, s) - exact
    return np.linalg.norm(difference, axis=0) / np.linalg.norm(exact, axis=0)


def _kernel_distance(N: int, n: int) -> float:
    r"""L2 norm of the difference of the n-th kernels, from exact integrals.

    With residues c the diagonal kernel is :math:`\sum_a c_a e^{\lambda_a t}`; its inner product
    with a LegS kernel is that kernel's Laplace transform at :math:`-\lambda_a`.
    """
    Lambda, _, B, V = nplr("legs", N, conj=False)
    c = V[n] * B / 2
    own = np.sum(np.outer(c, c.conj()) / -(Lambda[:, None] + Lambda.conj())).real
    shared = np.sum(c * hippo_transfer("legs", N, -Lambda)[n]).real
    return math.sqrt(own - 2 * shared + 0.5)


def _difference(N: int) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies that resolve every resonance, and |X_D - X_LegS| for n = 0 there."""
    resonances, _ = legs_spectrum(N)
    around = np.abs(resonances[:, None] + np.linspace(-2, 2, 41)).ravel()
    omega = np.union1d(around, np.geomspace(0.05, 4.0 * N * N, 1000))
    return omega, np.abs(_relative(N, omega) / (1j * omega + 1))


def _peak(N: int) -> tuple[float, float]:
    omega, difference = _difference(N)
    place = int(np.argmax(difference))
    return float(difference[place]), float(omega[place])


def _three_digits(what: str, value: float, target: float) -> Check:
    return Check.holds(
        what, f"{value:.2e}" == f"{target:.2e}", target=f"{target:.2e}", measured=f"{value:.2e}"
    )


def _spectra() -> Table:
    rows = []
    for name in ("inv", "lin"):
        for N in (16, 64, 256):
            exact, _ = legs_spectrum(N)
            approximate = np.sort(s4d_init(name, N)[0].imag)
            relative = np.abs(approximate / exact - 1)
            rows.append(
                (f"S4D-{name.capitalize()}", N, relative[-1], relative[N // 4], relative[0])
            )
    return Table(
        "Frequencies of the initialisations: relative error against the LegS spectrum",
        ["initialisation", "N", "largest ω", "middle", "smallest"],
        rows,
    )


def _draw_convergence(canvas: Any) -> None:
    (fixed, everywhere), (kernels, steps) = canvas.subplots(2, 2)
    orders = np.array(_ORDERS)
    for place, omega in enumerate(_FREQUENCIES):
        errors = [_transfer_errors(N)[place] for N in _ORDERS]
        (dots,) = fixed.loglog(orders, errors, "o", markersize=4, label=f"ω = {omega:g}")
        fixed.loglog(orders, omega / orders, color=dots.get_color(), linewidth=0.9)
    fixed.set(xlabel="order N", ylabel="relative error", title="at a fixed frequency")
    fixed.legend()

    t = np.linspace(0, 1.5, 3000)
    for N in (8, 32, 128):
        everywhere.semilogx(*_difference(N), linewidth=1.0, label=f"N = {N}")
        Lambda, _, B, V = nplr("legs", N)
        powers = np.exp(Lambda[:, None] * t)
        if N < 128:
            kernels.plot(t, 2 * (V[0] * B / 2 @ powers).real, linewidth=0.9, label=f"N = {N}")
        step = 2 * (V[0] * B / 2 / Lambda @ (powers - 1)).real
        steps.plot(t, step, linewidth=1.0, label=f"N = {N}")
    kernels.plot(t, np.exp(-t), color="gray", linewidth=2.5, label="LegS")
    steps.plot(t, 1 - np.exp(-t), color="gray", linewidth=2.5, zorder=0, label="LegS")
    everywhere.set(xlabel="frequency ω", ylabel="|X_D - X_LegS|", title="over all frequencies")
    kernels.set(xlabel="time t", ylabel="kernel", title="kernels")
    steps.set(xlabel="time t", ylabel="response", title="responses to a step")
    for axes in (everywhere, kernels, steps):
        axes.legend()


def _draw_spectra(canvas: Any) -> None:
    axes = canvas.subplots()
    N = 64
    exact, _ = legs_spectrum(N)
    k = np.arange(1, N // 2 + 1)
    axes.semilogy(k, exact, "o", color="gray", markersize=4, label="LegS, exact")
    for name, label in (("inv", "S4D-Inv"), ("lin", "S4D-Lin")):
        frequencies = np.sort(s4d_init(name, N)[0].imag)
        axes.semilogy(k[frequencies > 0], frequencies[frequencies > 0], label=label)
    axes.set(xlabel="mode, by frequency", ylabel="frequency ω")
    axes.legend()

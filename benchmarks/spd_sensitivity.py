r"""How much the distance of two positive definite matrices feels the last digits of one of them.

The eigenvalues of a covariance matrix reach down to the noise. A perturbation E of A changes the
affine-invariant distance by up to :math:`\lVert A^{-1/2} E A^{-1/2} \rVert_F`, that is by
:math:`\lVert E \rVert` times the condition number, and the metrics of logarithms behave alike. The
square roots of Bures and Wasserstein do not feel the inverse: this is why batch normalisation under
that metric (arXiv 2504.00660) takes ill-conditioned matrices.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks._spd_digits import DIGITS, exact_distance
from benchmarks.harness import Check, Column, Context, Figure, Record, Table, benchmark
from geometry import spd

_ORDER = 10
_SIZE = 1e-11
_DIGITS = (2, 5, 8, 10)
_METRICS = {
    "affine-invariant": {"metric": "affine_invariant"},
    "log-Euclidean": {"metric": "log_euclidean"},
    "log-Cholesky": {"metric": "log_cholesky"},
    "BW, θ = 0.25": {"metric": "bures_wasserstein", "theta": 0.25},
    "BW, θ = 0.5": {"metric": "bures_wasserstein", "theta": 0.5},
    "Bures-Wasserstein": {"metric": "bures_wasserstein"},
}
_PEERS = {
    "affine-invariant": "distance_riemann",
    "log-Euclidean": "distance_logeuclid",
    "log-Cholesky": "distance_logchol",
    "Bures-Wasserstein": "distance_wasserstein",
}


@benchmark(
    "spd_sensitivity",
    title="Distances of ill-conditioned matrices under a perturbation of 1e-11",
    paper="arXiv 2504.00660",
    summary="Relative change of the distance by condition number, for each metric.",
)
def run(context: Context) -> Record:
    """Medians over pairs; a few of the pairs again in 50 digits."""
    pairs = {d: _pairs(context.rng, d, 50) for d in _DIGITS}
    changes = {
        name: [_median(_changes(options, pairs[d])) for d in _DIGITS]
        for name, options in _METRICS.items()
    }
    gradients = {
        name: [_median(_gradients(options, pairs[d])) for d in _DIGITS]
        for name, options in _METRICS.items()
    }
    tables = [
        _table(
            f"Median relative change of the distance, n = {_ORDER}, perturbation {_SIZE:.0e}",
            changes,
            "50 pairs with eigenvalues evenly spread in the logarithm from 1 down, in random "
            "bases; one of the two is perturbed by a random symmetric matrix of that Frobenius "
            "norm. BW, θ: the Bures-Wasserstein metric of the powers.",
        ),
        _table(
            "Median Frobenius norm of the distance's gradient",
            gradients,
            "What the perturbation is multiplied by at worst, and what a network's weights get.",
        ),
    ]
    peer = context.optional("pyriemann.geometry.distance")
    if peer is not None:
        tables.append(_peer_table(peer, pairs))
    context.tell(f"some of them in {DIGITS} digits")
    digits, off = _in_many_digits(pairs, 1 if context.quick else 3)
    tables.append(digits)
    affine, bures = changes["affine-invariant"][-1], changes["Bures-Wasserstein"][-1]
    return context.record(
        asked="At condition number 1e10 and under a perturbation of 1e-11, Bures-Wasserstein "
        "distances that change by less than 1e-9 of themselves where affine-invariant ones change "
        "ten thousand times as much.",
        tables=tables,
        checks=[
            Check.at_most("Bures-Wasserstein at condition 1e10: relative change", bures, 1e-9),
            Check.at_least("affine-invariant to Bures-Wasserstein", affine / bures, 1e4, unit="x"),
            Check.at_most("changes: distance from those in 50 digits, to the change", off, 0.1),
        ],
        figures=[
            Figure(
                "Sensitivity of distances to the last digits",
                f"Median relative change under a perturbation of {_SIZE:.0e}, order {_ORDER}. "
                "Dotted: the perturbation, and the perturbation times the condition number.",
                lambda canvas: _draw(canvas, changes),
                size=(6.5, 4.2),
            )
        ],
    )


def _pairs(rng: np.random.Generator, digits: int, count: int) -> tuple[np.ndarray, ...]:
    """Matrices A, B, and A perturbed."""
    w = np.logspace(0, -digits, _ORDER)
    bases = np.linalg.qr(rng.standard_normal((2, count, _ORDER, _ORDER)))[0]
    A, B = (bases * w) @ np.swapaxes(bases, -1, -2)
    E = rng.standard_normal(A.shape)
    E = E + np.swapaxes(E, -1, -2)
    E *= _SIZE / np.linalg.norm(E, axis=(-2, -1), keepdims=True)
    A, B, moved = ((X + np.swapaxes(X, -1, -2)) / 2 for X in (A, B, A + E))
    return A, B, moved


def _changes(options: dict[str, Any], pairs: tuple[np.ndarray, ...]) -> np.ndarray:
    A, B, moved = pairs
    before = spd.distance(A, B, **options)
    return np.abs(spd.distance(moved, B, **options) - before) / before


def _gradients(options: dict[str, Any], pairs: tuple[np.ndarray, ...]) -> np.ndarray:
    import torch

    A, B = torch.tensor(pairs[0], requires_grad=True), torch.tensor(pairs[1])
    spd.distance(A, B, **options).sum().backward()
    return np.linalg.norm(A.grad.numpy(), axis=(-2, -1))


def _median(values: np.ndarray) -> float:
    return float(np.median(values))


def _table(title: str, values: dict[str, list[float]], note: str) -> Table:
    columns = ["metric", *(Column(f"cond 1e{d}", ".1e") for d in _DIGITS)]
    return Table(title, columns, [(name, *row) for name, row in values.items()], note=note)


def _peer_table(peer: Any, pairs: dict[int, tuple[np.ndarray, ...]]) -> Table:
    rows = {}
    for name, function in _PEERS.items():
        distance = getattr(peer, function)
        rows[name] = []
        for A, B, moved in pairs.values():
            with np.errstate(all="ignore"):
                before = distance(A, B)
                rows[name].append(_median(np.abs(distance(moved, B) - before) / before))
    note = (
        "The change is the metric's, except where the rounding of a formula is larger; NaN where "
        "the formula has no value for one or more of the pairs."
    )
    return _table("The first table by pyriemann", rows, note)


def _in_many_digits(pairs: dict[int, tuple[np.ndarray, ...]], count: int) -> tuple[Table, float]:
    """Changes of the first pairs in many digits, and how far ours are from them."""
    rows, worst = {}, 0.0
    for name, options in _METRICS.items():
        rows[name] = []
        for A, B, moved in pairs.values():
            exact = []
            for a, b, m in zip(A[:count], B[:count], moved[:count], strict=True):
                before = exact_distance(a, b, **options)
                exact.append(float(abs(exact_distance(m, b, **options) - before) / before))
            ours = _changes(options, (A[:count], B[:count], moved[:count]))
            worst = max(worst, float(np.max(np.abs(ours - exact))) / max(exact))
            rows[name].append(_median(np.array(exact)))
    note = f"Medians of {count}: these are the metrics' changes, free of rounding."
    return _table(f"Relative change of the distance in {DIGITS} digits", rows, note), worst


def _draw(canvas: Any, changes: dict[str, list[float]]) -> None:
    axes = canvas.subplots()
    condition = 10.0 ** np.array(_DIGITS)
    for name, row in changes.items():
        axes.loglog(condition, row, "o-", markersize=4, label=name)
    axes.loglog(condition, np.full(len(condition), _SIZE), "k:", linewidth=1)
    axes.loglog(condition, _SIZE * condition, "k:", linewidth=1)
    axes.set(xlabel="condition number", ylabel="relative change of the distance")
    axes.legend(fontsize=7)

r"""Orthogonal operators: what they cost to apply and to hold, and how well they mix.

A dense orthogonal matrix of order n holds :math:`n^2` numbers, all of which are read for every
vector. The structured families hold O(n) to O(n log n), and their time is set beside that of
reading and writing the vectors. Whether one may stand for another is told by the cosines between
a vector and its image, and between the images of one vector under two operators: those of Haar
matrices have the root mean square :math:`1/\sqrt n` for every vector.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import scipy.linalg.lapack
import scipy.stats

from benchmarks.harness import Check, Column, Context, Figure, Record, Table, benchmark
from numerics import (
    BlockOrthogonal,
    Butterfly,
    HouseholderProduct,
    OrthogonalOperator,
    RandomizedHadamard,
    SignedPermutation,
    haar_orthogonal,
)

_SIGNED, _HADAMARD = "signed permutation", "randomised Hadamard, two rounds"
_FAMILIES: dict[str, Callable[..., OrthogonalOperator]] = {
    _SIGNED: SignedPermutation.random,
    _HADAMARD: RandomizedHadamard.random,
    "blocks of 32": functools.partial(BlockOrthogonal.random, block=32),
    "butterfly": Butterfly.random,
    "64 reflections": functools.partial(HouseholderProduct.random, reflections=64),
}
_DENSE = "dense, NumPy"
_HRR, _VTB = "HRR binding, torch-hd", "VTB binding, torch-hd"
_GATHER = "take and multiply, NumPy"
_LARGEST_DENSE = 4096, 16384  # in the quick form, and in the full one
_REFLECTIONS = (4096, 64, 256)
_MIXED = 1024


@benchmark(
    "orthogonal_operators",
    title="Orthogonal operators: cost, storage and mixing",
    paper="arXiv 2202.04771",
    summary="Structured operators beside dense matrices, LAPACK and torch-hd's bindings.",
)
def run(context: Context) -> Record:
    """Time, bytes and cosines of the families, and the peers' figures on the same input."""
    sizes = (1024, 4096, 16384) if context.quick else (1024, 4096, 16384, 65536)
    tables, checks = [], []
    growth: dict[int, dict[str, float]] = {}
    for n in sizes:
        table, growth[n], ratios = _single_vectors(context, n)
        tables.append(table)
        if n == _largest_dense(context):
            what = f"n = {n}: dense to {_SIGNED}"
            checks.append(Check.at_least(what, ratios[_DENSE], 50, unit="x"))
    largest = sizes[-1]
    gather = 1 / ratios[_GATHER]
    what = f"n = {largest}: {_SIGNED} to NumPy's take and multiply"
    checks.append(Check.at_most(what, gather, 2, unit="x"))
    for peer, limit in ((_HRR, 10), (_VTB, 20)):
        if peer in ratios:
            what = f"n = {largest}: {peer} to {_SIGNED}"
            checks.append(Check.at_least(what, ratios[peer], limit, unit="x"))
    for part in (_reflections, _haar, _mixing):
        table, more = part(context)
        tables.append(table)
        checks += more
    return context.record(
        asked="A signed permutation at most twice NumPy's gather and multiplication and 10 times "
        "faster than torch-hd's bindings at the largest n, and 50 times faster than the largest "
        "dense product. Householder products within a fifth of LAPACK's time, Haar matrices "
        "drawn no slower than by SciPy. Cosines of two rounds of Hadamard and of signed "
        "permutations like those of Haar matrices.",
        tables=tables,
        checks=checks,
        figures=[
            Figure(
                "Growth with n",
                "One float64 vector. Dotted: reading and writing it, at the measured bandwidth.",
                lambda canvas: _draw(canvas, growth, context.floors.copy),
                size=(8.0, 4.6),
            )
        ],
    )


def _largest_dense(context: Context) -> int:
    return _LARGEST_DENSE[0 if context.quick else 1]


def _single_vectors(context: Context, n: int) -> tuple[Table, dict[str, float], dict[str, float]]:
    context.tell(f"operators of order {n}")
    x = context.rng.standard_normal(n)
    operators = {name: make(n, rng=context.rng) for name, make in _FAMILIES.items()}
    calls: dict[str, Callable[[], Any]] = {
        name: functools.partial(Q.apply, x) for name, Q in operators.items()
    }
    permutation, signs = operators[_SIGNED].permutation, operators[_SIGNED].signs.astype(float)
    calls[_GATHER] = lambda: np.take(x, permutation) * signs
    if n <= _largest_dense(context):
        # Its entries are not looked at: any matrix takes the same time.
        dense = np.full((n, n), 1 / n)
        calls[_DENSE] = lambda: dense @ x
    calls |= _torch_hd(context, n)
    repeats = {name: 5 if name in (_DENSE, _VTB) else 25 for name in calls}
    timings = context.time_interleaved(calls, repeats=repeats, warmup=2, baseline=_SIGNED)
    floor = context.floors.bytes_seconds(2 * x.nbytes)
    stored = {name: Q.nbytes for name, Q in operators.items()}
    stored |= {_GATHER: 16 * n, _DENSE: 8 * n**2, _HRR: 8 * n, _VTB: 8 * n}
    rows = [
        (name, 1e3 * timing.ms, timing.ratio, timing.median / floor, stored[name] / 1024)
        for name, timing in timings.items()
    ]
    table = Table(
        f"One float64 vector, n = {n}",
        [
            "operator",
            Column("time (µs)", ".1f"),
            f"over {_SIGNED}",
            Column("over reading and writing the vector", ".0f"),
            Column("held (KiB)", ".1f"),
        ],
        rows,
        note="Ours with all checks of the input. torch-hd's bindings are not orthogonal: HRR's is "
        "a circular convolution, which commutes, VTB's a block product.",
    )
    times = {name: timing.median for name, timing in timings.items()}
    return table, times, {name: timing.ratio for name, timing in timings.items()}


def _torch_hd(context: Context, n: int) -> dict[str, Callable[[], Any]]:
    torchhd = context.optional("torchhd")
    if torchhd is None:
        return {}
    import torch

    calls: dict[str, Callable[[], Any]] = {}
    for name, model in ((_HRR, "HRR"), (_VTB, "VTB")):
        generator = torch.Generator().manual_seed(0)
        pair = torchhd.random(2, n, model, dtype=torch.float64, generator=generator)
        calls[name] = functools.partial(torchhd.bind, pair[0], pair[1])
    return calls


def _reflections(context: Context) -> tuple[Table, list[Check]]:
    import torch

    n, r, k = _REFLECTIONS
    context.tell(f"{r} reflections of {k} vectors")
    vectors = np.tril(context.rng.standard_normal((n, r)))
    vectors /= np.diag(vectors)
    tau = 2 / np.sum(vectors**2, axis=0)
    X = context.rng.standard_normal((n, k))
    Q = HouseholderProduct(vectors.T)
    packed, columns = np.asfortranarray(vectors), np.asfortranarray(X)
    tensors = [torch.from_numpy(a) for a in (vectors, tau, X)]
    square = torch.zeros((n, n), dtype=torch.float64)
    square[:, :r] = tensors[0]
    V = np.ascontiguousarray(vectors.T)

    def formed() -> Any:
        padded = torch.cat((tensors[1], torch.zeros(n - r, dtype=torch.float64)))
        return torch.linalg.householder_product(square, padded) @ tensors[2]

    products = "two matrix products of the same size, NumPy"
    ours, lapack = "HouseholderProduct", "LAPACK dormqr, SciPy"
    tensor_Q = HouseholderProduct(torch.from_numpy(V))
    calls: dict[str, Callable[[], Any]] = {
        ours: lambda: Q @ X,
        f"{ours}, torch": lambda: tensor_Q @ tensors[2],
        lapack: lambda: scipy.linalg.lapack.dormqr("L", "N", packed, tau, columns, 64 * k)[0],
        "torch.ormqr": lambda: torch.ormqr(*tensors),
        products: lambda: V.T @ (V @ X),
    }
    if not context.quick:
        calls["torch.linalg.householder_product, formed"] = formed
    results = {name: np.asarray(call()) for name, call in calls.items() if name != products}
    repeats = {name: 1 if "formed" in name else 9 for name in calls}
    timings = context.time_interleaved(
        calls,
        repeats=repeats,
        warmup={name: int(repeats[name] > 1) for name in calls},
        baseline=products,
    )
    difference = max(np.max(np.abs(result - results[ours])) for result in results.values())
    table = Table(
        f"{r} reflections of order {n}, applied to {k} vectors",
        ["path", Column("time (ms)"), "over two products"],
        [(name, timing.ms, timing.ratio) for name, timing in timings.items()],
        note=f"The products take the same {4 * n * r * k / 1e6:.0f} million operations. Results "
        f"differ by at most {difference:.0e}.",
    )
    ratio = timings[ours].over(timings[lapack])
    return table, [
        Check.at_most("reflections: ours to LAPACK's dormqr", ratio, 1.2, unit="x"),
        Check.at_most("reflections: largest difference between paths", difference, 1e-12),
    ]


def _haar(context: Context) -> tuple[Table, list[Check]]:
    import torch

    rows, checks = [], []
    cases = ((16, 500), (256, 1)) if context.quick else ((16, 2000), (256, 4), (1024, 1))
    for n, count in cases:
        context.tell(f"Haar matrices of order {n}")
        rng = np.random.default_rng(0)
        empty = torch.empty((n, n), dtype=torch.float64)

        def initialised(empty: Any = empty, count: int = count) -> None:
            for _ in range(count):
                torch.nn.init.orthogonal_(empty)

        calls: dict[str, Callable[[], Any]] = {
            "haar_orthogonal": functools.partial(haar_orthogonal, n, size=count, rng=rng),
            "scipy.stats.ortho_group": functools.partial(
                scipy.stats.ortho_group.rvs, n, size=count, random_state=rng
            ),
        }
        if n >= 256:  # it takes one matrix at a time
            calls["torch.nn.init.orthogonal_"] = initialised
        timings = context.time_interleaved(
            calls,
            repeats=3 if context.quick else 7,
            baseline="haar_orthogonal",
        )
        rows += [(f"{count} of order {n}", name, t.ms, t.ratio) for name, t in timings.items()]
        ratio = timings["scipy.stats.ortho_group"].ratio
        what = f"{count} Haar matrices of order {n}: SciPy to ours"
        checks.append(Check.at_least(what, ratio, 1.0, unit="x"))
    return Table(
        "Draws from the Haar measure",
        ["matrices", "path", Column("time (ms)"), "over ours"],
        rows,
    ), checks


def _mixing(context: Context) -> tuple[Table, list[Check]]:
    n = _MIXED
    families: dict[str, Callable[..., OrthogonalOperator]] = {
        "Haar": functools.partial(BlockOrthogonal.random, block=n),
        "permutation without signs": functools.partial(SignedPermutation.random, signed=False),
        "randomised Hadamard, one round": functools.partial(RandomizedHadamard.random, rounds=1),
        **_FAMILIES,
    }
    vectors = _vectors(context.rng, n)
    rows, worst = [], {}
    for name, make in families.items():
        context.tell(f"mixing of {name}")
        count = 12 if name == "Haar" else (32 if context.quick else 96)
        operators = [make(n, rng=context.rng) for _ in range(count)]
        cosines = {label: _cosines(operators, x) for label, x in vectors.items()}
        rows.append((name, *(value for pair in cosines.values() for value in pair)))
        # A permutation takes a one-hot vector to one place of n, where two images meet rarely.
        kept = [pair for label, pair in cosines.items() if label != "one-hot" or name != _SIGNED]
        worst[name] = max(max(pair) for pair in kept) * n**0.5
    table = Table(
        f"Root mean square of cosines, n = {n}; {n**-0.5:.3f} for independent directions",
        [
            "operator",
            *(
                Column(f"{label}: {what}", ".3f")
                for label in vectors
                for what in ("image", "two images")
            ),
        ],
        rows,
        note="Image: between a vector and its image. Two images: between those under two draws.",
    )
    return table, [
        Check.at_most(f"{name}: largest cosine over that of independent directions", worst[name], 2)
        for name in (_SIGNED, _HADAMARD)
    ]


def _vectors(rng: np.random.Generator, n: int) -> Mapping[str, np.ndarray]:
    sparse = np.zeros(n)
    sparse[rng.choice(n, 32, replace=False)] = rng.standard_normal(32)
    vectors = {
        "one-hot": np.eye(1, n, 3)[0],
        "sparse": sparse,
        "biased": rng.standard_normal(n) + 0.5,
    }
    return {label: x / np.linalg.norm(x) for label, x in vectors.items()}


def _cosines(operators: list[OrthogonalOperator], x: np.ndarray) -> tuple[float, float]:
    images = np.array([Q.apply(x) for Q in operators])
    pairs = (images @ images.T)[np.triu_indices(len(operators), 1)]
    return float(np.sqrt(np.mean((images @ x) ** 2))), float(np.sqrt(np.mean(pairs**2)))


def _draw(canvas: Any, growth: dict[int, dict[str, float]], bandwidth: float) -> None:
    axes = canvas.subplots()
    sizes = list(growth)
    for name in growth[sizes[0]]:
        style = "o-" if name in _FAMILIES else "x--"
        taken = [n for n in sizes if name in growth[n]]
        times = [1e6 * growth[n][name] for n in taken]
        axes.loglog(taken, times, style, markersize=4, label=name)
    axes.loglog(sizes, [16e6 * n / bandwidth for n in sizes], "k:", linewidth=0.8)
    axes.set(xlabel="n", ylabel="time (µs)")
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))

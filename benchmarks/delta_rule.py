r"""The delta rule over long sequences beside the token loop, and words of groups that it follows.

A loop over tokens does :math:`3 d_k d_v` multiply-adds a token in calls that are too small to be
fast. Chunks of tokens do somewhat more of them in few calls. With weights that are written down
the same rule multiplies out words of a group; a check counts the products that are decoded right.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.harness import Check, Column, Context, Figure, Record, Table, benchmark
from benchmarks.harness.record import format_cell
from ssm import delta_rule, group_representation, min_reflections, word_problem

B, H, L, D = 2, 4, 4096, 64
_GROUPS = ("Z2", "S3", "D5", "A4", "S4", "A5", "S5")
_TARGET = 5


@benchmark(
    "delta_rule",
    title="The delta rule by chunks against the token loop, and state tracking without training",
    paper="arXiv 2502.10297",
    summary="Delta rule at (B, H, L, d) = (2, 4, 4096, 64): time, error; word problems to 4096.",
)
def run(context: Context) -> Record:
    """Time both libraries in both precisions, then decode words and try keys that are alike."""
    tables, checks, bars = [], [], []
    for kind in ("float32", "float64"):
        table, new_checks, gains = _precision(context, kind)
        tables.append(table)
        checks += new_checks
        bars.append((kind, gains))
    tables += _on_device(context)
    words, word_checks = _words(context)
    stability, stability_check = _stability(context)
    return context.record(
        asked="By chunks at least 5 times faster than the token loop on a CPU in the same library, "
        "and every product of words of length 4096 decoded right in float32.",
        tables=[*tables, words, stability],
        checks=[*checks, *word_checks, stability_check],
        figures=[
            Figure(
                "Gain on the token loop",
                "Time of the token loop in the same library over that of each path; the dashed "
                "line is the target.",
                lambda canvas: _draw(canvas, bars),
            )
        ],
    )


def _precision(context: Context, kind: str) -> tuple[Table, list[Check], dict[str, float]]:
    import torch

    rng = context.rng
    q, k, v = rng.standard_normal((3, B, H, L, D))
    k /= np.linalg.norm(k, axis=-1, keepdims=True)
    beta = rng.uniform(0, 2, (B, H, L))
    arrays = [x.astype(kind) for x in (q, k, v, beta)]
    tensors = [torch.from_numpy(x) for x in arrays]
    tokens = 512 if context.quick else L
    leaves = [x[:, :, :tokens].clone().requires_grad_() for x in tensors]
    flat = [x.reshape(B * H, *x.shape[2:]) for x in arrays]
    exact = _numpy_loop(*(x.astype(np.float64) for x in flat)).reshape(B, H, L, D)

    def with_gradient(call: Callable[..., Any]) -> Any:
        o = call(*leaves)
        torch.autograd.grad(o.sum(), leaves)
        return o.detach()

    def chunked(*inputs: Any) -> Any:
        return delta_rule(*inputs)[0]

    groups: dict[str, dict[str, Callable[[], Any]]] = {
        "NumPy": {
            "token loop, NumPy": lambda: _numpy_loop(*flat),
            "by chunks, NumPy": lambda: chunked(*arrays),
        },
        "torch": {
            "token loop, torch": _on_one_thread(lambda: _torch_loop(*tensors)),
            "by chunks, torch": lambda: chunked(*tensors),
        },
        "torch with gradient": {
            "token loop, torch, forward and backward": _on_one_thread(
                lambda: with_gradient(_torch_loop)
            ),
            "by chunks, torch, forward and backward": lambda: with_gradient(chunked),
        },
    }
    rows: list[tuple[Any, ...]] = []
    checks, gains = [], {}
    for library, calls in groups.items():
        loop, ours = calls
        slow = "gradient" in library
        repeats = (1 if slow else 3) if context.quick else (3 if slow else 15)
        timings = context.time_interleaved(calls, repeats=repeats, baseline=loop)
        for name, timing in timings.items():
            result = np.asarray(calls[name]()).reshape(B, H, -1, D)
            difference = np.abs(result - exact[:, :, : result.shape[2]])
            error = float(difference.max() / np.abs(exact).max())
            rows.append((name, timing.ms, 1 / timing.ratio, error))
            gains[name] = 1 / timing.ratio
        if not slow:
            what = f"{kind}, {library}: gain on the loop"
            checks.append(Check.at_least(what, gains[ours], _TARGET, unit="x"))
    table = Table(
        f"{kind}, (B, H, L, d) = ({B}, {H}, {L}, {D})",
        ["path", "median (ms)", "gain on the loop", Column("largest error", ".1e")],
        rows,
        note="The loops are written for speed: heads side by side in one batched product a step, "
        "the state updated in place where no gradient is recorded, on one thread, which suits "
        "steps as small as these best. Errors are relative to the "
        "largest read-out, against a loop in float64 on the same input. Forward and backward: "
        f"{tokens} tokens.",
    )
    return table, checks, gains


def _on_device(context: Context) -> list[Table]:
    """Where there is a CUDA device: beside chunks in torch.compile and flash-linear-attention."""
    import torch

    if not torch.cuda.is_available():
        context.skipped.append("there is no CUDA device: its tables are left out")
        return []
    return [_device_table(context, "cuda", n_h) for n_h in (1, 2)]


def _device_table(context: Context, device: str, n_h: int) -> Table:
    import torch

    shape = (B, H, 1024, D) if context.quick else (8, 16, L, D)
    batch, tokens = shape[:2], shape[2]
    rng = context.rng
    q = rng.standard_normal(shape)
    k, v = rng.standard_normal((2, *batch, tokens * n_h, D))
    k /= np.linalg.norm(k, axis=-1, keepdims=True)
    arrays = [q, k, v, rng.uniform(0, 2, (*batch, tokens * n_h))]
    if n_h > 1:
        arrays.append(-rng.exponential(0.05, (*batch, tokens)))
    double = [torch.as_tensor(x, device=device) for x in arrays]
    single = [x.float().requires_grad_() for x in double]

    def ours(q: Any, k: Any, v: Any, beta: Any, g: Any = None) -> Any:
        return delta_rule(q, k, v, beta, g=g, n_h=n_h)[0]

    forms = {"by chunks, float32": (ours, single)}
    if n_h == 1:
        forms["plain chunks in torch.compile, float32"] = torch.compile(_torch_chunks), single
    # It takes time in front of heads, and no float32.
    half = [x.transpose(1, 2).bfloat16().contiguous().requires_grad_() for x in double]
    if n_h == 1 and (peer := context.optional("fla.ops.delta_rule")):
        rule = peer.chunk_delta_rule
        forms["flash-linear-attention, bfloat16"] = (lambda *x: rule(*x, scale=1.0)[0]), half
    elif n_h > 1 and (peer := context.optional("fla.ops.gated_delta_product")):
        product = peer.chunk_gated_delta_product

        def theirs(q: Any, k: Any, v: Any, beta: Any, g: Any) -> Any:
            return product(q, k, v, g, beta, num_householder=n_h, scale=1.0)[0]

        forms["flash-linear-attention, bfloat16"] = theirs, half
    exact = ours(*double)
    rows: list[tuple[Any, ...]] = []
    for backward in (False, True):
        calls = {
            name: _waiting(device, function, inputs, backward)
            for name, (function, inputs) in forms.items()
        }
        baseline = next(iter(calls))
        timings = context.time_interleaved(calls, repeats=20, warmup=3, baseline=baseline)
        for name, timing in timings.items():
            o = calls[name]()
            o = o.transpose(1, 2) if "flash" in name else o
            error = float((o - exact).abs().max() / exact.abs().max())
            what = "forward and backward" if backward else "forward"
            rows.append((name, what, timing.ms, timing.ratio, error))
    gated = "" if n_h == 1 else ", decays"
    return Table(
        f"CUDA, (B, H, L, d) = {shape}, corrections a token: {n_h}{gated}",
        ["path", "pass", "median (ms)", "time / ours", Column("largest error", ".1e")],
        rows,
        note="flash-linear-attention takes numbers of 16 bits only and ours are of 32 or 64: the "
        "precisions that both take are none. Errors of read-outs as above, against float64.",
    )


def _torch_chunks(q: Any, k: Any, v: Any, beta: Any) -> Any:
    """Chunks of 64 as one would write them for torch alone."""
    import torch

    q, k, v, beta = (x.unflatten(2, (-1, 64)) for x in (q, k, v, beta[..., None]))
    eye = torch.eye(64, dtype=q.dtype, device=q.device)
    system = torch.tril(beta * (k @ k.mT), -1) + eye
    both = torch.cat((beta * v, beta * k), -1)
    solved = torch.linalg.solve_triangular(system, both, upper=False, unitriangular=True)
    U, W = solved.split((v.shape[-1], k.shape[-1]), -1)
    scores = torch.tril(q @ k.mT)
    S = torch.zeros_like(k[:, :, 0].mT @ v[:, :, 0])
    outputs = []
    for i in range(q.shape[2]):
        R = U[:, :, i] - W[:, :, i] @ S
        outputs.append(q[:, :, i] @ S + scores[:, :, i] @ R)
        S = S + k[:, :, i].mT @ R
    return torch.cat(outputs, 2)


def _waiting(
    device: str, function: Callable[..., Any], inputs: list[Any], backward: bool
) -> Callable[[], Any]:
    """The call, with gradients or without, that returns when the device is done."""
    import torch

    def called() -> Any:
        with torch.set_grad_enabled(backward):
            o = function(*inputs)
        if backward:
            torch.autograd.grad(o.sum(), inputs)
        if device == "cuda":
            torch.cuda.synchronize()
        return o.detach()

    return called


def _numpy_loop(q: np.ndarray, k: np.ndarray, v: np.ndarray, beta: np.ndarray) -> np.ndarray:
    S = np.zeros((q.shape[0], q.shape[-1], v.shape[-1]), q.dtype)
    o = np.empty_like(v)
    for t in range(q.shape[1]):
        key = k[:, t, :, None]
        S += key * (beta[:, t, None, None] * (v[:, t, None, :] - key.swapaxes(1, 2) @ S))
        np.matmul(q[:, t, None, :], S, out=o[:, t, None, :])
    return o


def _on_one_thread(call: Callable[[], Any]) -> Callable[[], Any]:
    """The call with a single thread in torch: waiting for a second one costs more than a step."""
    import torch

    def called() -> Any:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return call()
        finally:
            torch.set_num_threads(threads)

    return called


def _torch_loop(q: Any, k: Any, v: Any, beta: Any) -> Any:
    import torch

    # Taken apart at once: the gradient of a single index is an array as long as the sequence.
    q, k, v = (x.flatten(0, 1)[:, :, None, :].unbind(1) for x in (q, k, v))
    gains = beta.flatten(0, 1)[..., None, None].unbind(1)
    update = torch.Tensor.addcmul if beta.requires_grad else torch.Tensor.addcmul_
    S = torch.zeros((*q[0].shape[:1], q[0].shape[-1], v[0].shape[-1]), dtype=beta.dtype)
    outputs = []
    for query, key, value, gain in zip(q, k, v, gains, strict=True):
        S = update(S, key.mT, gain * (value - key @ S))
        outputs.append(query @ S)
    return torch.cat(outputs, dim=1)


def _words(context: Context) -> tuple[Table, list[Check]]:
    count = 2 if context.quick else 32
    rows, checks = [], []
    for name in _GROUPS:
        elements, table = group_representation(name)
        word = context.rng.integers(len(table), size=(count, L))
        product, products = np.zeros(count, dtype=np.int64), []
        for t in range(L):
            product = table[product, word[:, t]]
            products.append(product)
        right = float(np.mean(word_problem(name, word) == np.stack(products, axis=1)))
        needed = int(min_reflections(elements).max())
        rows.append((name, len(table), elements.shape[-1], needed, 100 * right))
        checks.append(Check.at_least(f"{name}: products decoded right", 100 * right, 100, unit="%"))
    table = Table(
        f"Products of all prefixes of {count} random words of length {L}, float32",
        ["group", "elements", "axes", "corrections a token", "decoded right (%)"],
        rows,
        note="Corrections a token: the most reflections that an element takes. Nothing is trained.",
    )
    return table, checks


def _stability(context: Context) -> tuple[Table, Check]:
    """One chunk of 64 keys in float32, gains 2: by substitution and by doubling of powers."""
    n, rng = 64, context.rng
    rows, worst = [], 0.0
    for name, spread in (("one key", 0.0), ("nearly one key", 1e-3), ("random keys", 1e3)):
        k = 1 + spread * rng.standard_normal((n, D))
        k /= np.linalg.norm(k, axis=-1, keepdims=True)
        k, v = (x.astype(np.float32) for x in (k, rng.standard_normal((n, D))))
        beta = np.full(n, 2, np.float32)
        exact = _numpy_loop(*(x[None].astype(np.float64) for x in (k, k, v, beta)))[0]
        ours = delta_rule(k, k, v, beta, chunk=n)[0]
        M = np.tril(beta[:, None] * (k @ k.T), -1)
        inverse, power = np.eye(n, dtype=np.float32), -M
        with np.errstate(over="ignore", invalid="ignore"):
            for _ in range(n.bit_length() - 1):
                inverse = inverse + power @ inverse
                power = power @ power
            doubled = np.tril(k @ k.T) @ (inverse @ (beta[:, None] * v))
        scale = np.abs(exact).max()
        error = float(np.abs(ours - exact).max() / scale)
        worst = max(worst, error)
        rows.append((name, error, float(np.abs(doubled - exact).max() / scale)))
    table = Table(
        "Largest error of the read-outs of one chunk of 64 tokens, float32, gains 2",
        ["keys", Column("by substitution", ".1e"), Column("by doubling of powers", ".1e")],
        rows,
        note="Doubling writes the inverse of I + M as a product of factors I + (-M)^(2^i), which "
        "is exact as algebra; its powers grow beyond what float32 can cancel.",
    )
    return table, Check.at_most("float32: error on keys that are alike", worst, 1e-4)


def _draw(canvas: Any, bars: list[tuple[str, dict[str, float]]]) -> None:
    axes = canvas.subplots()
    names = [name for name in bars[0][1] if not name.startswith("token loop")]
    for offset, (precision, gains) in zip((-0.2, 0.2), bars, strict=True):
        places = np.arange(len(names)) + offset
        drawn = axes.barh(places, [gains[name] for name in names], height=0.38, label=precision)
        axes.bar_label(drawn, [format_cell(gains[name]) for name in names], padding=3, fontsize=8)
    axes.axvline(_TARGET, color="gray", linewidth=1, linestyle="--")
    axes.set(xlabel="time of the token loop / time")
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.grid(visible=False, axis="y")
    axes.legend()

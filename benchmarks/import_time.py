r"""Cold ``import ssm`` beside ``import scipy.signal`` and an interpreter that imports nothing.

Every repetition is a new process, so nothing is taken from memory of an earlier one except the
files that the operating system keeps at hand, alike for all.
"""

from __future__ import annotations

import functools
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from benchmarks.harness import Check, Context, Record, Table, benchmark

_ROOT = Path(__file__).resolve().parents[1]
_STATEMENTS = {
    "bare interpreter": "pass",
    "import numpy": "import numpy",
    "import scipy.signal": "import scipy.signal",
    "import ssm": "import ssm",
}
_HEAVY = ("torch", "sklearn", "numba", "sympy", "pandas", "matplotlib", "gpytorch")


@benchmark(
    "import_time",
    title="Cold import of ssm beside scipy.signal",
    summary="Time of `import ssm` in a new process, and what it pulls in.",
)
def run(context: Context) -> Record:
    """Start new interpreters in turns, then look at what one of them has loaded."""
    timings = context.time_interleaved(
        {name: functools.partial(_start, code) for name, code in _STATEMENTS.items()},
        repeats=7 if context.quick else 25,
        warmup=2,
    )
    bare = timings["bare interpreter"].median
    net = {name: timing.median - bare for name, timing in timings.items()}
    peer = net["import scipy.signal"]
    rows = [
        (name, t.ms, 1e3 * t.minimum, 1e3 * net[name], net[name] / peer)
        for name, t in timings.items()
    ]
    loaded = _start(f"import ssm, sys; print(*sorted({set(_HEAVY)!r} & set(sys.modules)))").split()
    return context.record(
        asked="A cold `import ssm` takes less than 1.5 times as long as `import scipy.signal`, "
        "and loads no torch.",
        tables=[
            Table(
                "Time of a new process",
                ["statement", "median (ms)", "shortest (ms)", "own part (ms)", "to scipy.signal"],
                rows,
                note=f"{len(timings['import ssm'].seconds)} new processes each, in turns. The own "
                "part is the median less the bare interpreter's; the ratio is that of own parts.",
            ),
            Table(
                "Where `import ssm` spends it",
                ["package", "own time (ms)", "share (%)"],
                _shares(),
                note="From one run under -X importtime, which makes everything slower.",
            ),
        ],
        checks=[
            Check.at_most(
                "own part of import ssm to that of import scipy.signal",
                net["import ssm"] / peer,
                1.5,
                unit="x",
            ),
            Check.holds(
                "heavy packages loaded by `import ssm`",
                not loaded,
                target="none of " + ", ".join(_HEAVY),
                measured=", ".join(loaded) or "none",
            ),
        ],
    )


def _start(code: str, *options: str, errors: bool = False) -> str:
    result = subprocess.run(
        [sys.executable, *options, "-c", code],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stderr if errors else result.stdout


def _shares(shown: int = 6) -> list[tuple[str, float, float]]:
    """Own import time by top-level package, the largest first."""
    spent: dict[str, float] = defaultdict(float)
    for line in _start("import ssm", "-X", "importtime", errors=True).splitlines():
        own, _, name = line.removeprefix("import time:").split("|")
        if own.strip().isdigit():
            top = name.strip().partition(".")[0]
            spent[top if top not in sys.stdlib_module_names else "standard library"] += int(own)
    total = sum(spent.values())
    largest = sorted(spent.items(), key=lambda item: -item[1])[:shown]
    return [(name, own / 1e3, 100 * own / total) for name, own in largest]

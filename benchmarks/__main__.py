"""``python -m benchmarks``: list the benchmarks or run one of them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.harness.plotting import save_figures
from benchmarks.harness.record import Table
from benchmarks.harness.registry import Benchmark, discover
from benchmarks.harness.report import print_record, print_table
from benchmarks.harness.runner import run_benchmark


def main(
    arguments: Sequence[str] | None = None,
    *,
    benchmarks: dict[str, Benchmark] | None = None,
    console: Console | None = None,
) -> int:
    """List or run; the exit status is 1 when the benchmark failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", nargs="?", help="which one to run; without it, list them")
    parser.add_argument("--quick", action="store_true", help="the short form")
    parser.add_argument("--data", metavar="DIRECTORY", help="more data, for those that take them")
    parser.add_argument("--json", metavar="FILE", help="write the record here")
    parser.add_argument("--plot", metavar="FILE.png", help="draw the figures here")
    options = parser.parse_args(arguments)
    console = console or Console()
    entries = discover() if benchmarks is None else benchmarks

    if options.name is None:
        rows = [(entry.name, entry.summary, entry.paper) for entry in entries.values()]
        print_table(Table("Benchmarks", ["name", "what it shows", "paper"], rows), console)
        return 0
    if options.name not in entries:
        parser.error(f"name must be one of {', '.join(entries)}; got {options.name!r}")
    if options.plot and not options.plot.lower().endswith(".png"):
        parser.error(f"--plot takes a file that ends in .png, got {options.plot!r}")
    if options.data and not Path(options.data).is_dir():
        parser.error(f"--data takes a directory, got {options.data!r}")

    entry = entries[options.name]
    with console.status(f"{entry.name}") as status:
        record = run_benchmark(
            entry,
            quick=options.quick,
            data=Path(options.data) if options.data else None,
            progress=lambda text: status.update(f"{entry.name}: {text}"),
        )
    print_record(record, console)
    if options.json:
        record.write(options.json)
    if options.plot:
        for path in save_figures(record, options.plot):
            console.print(f"wrote {path}", style="dim", highlight=False)
    return 1 if record.status == "failed" else 0


if __name__ == "__main__":
    sys.exit(main())

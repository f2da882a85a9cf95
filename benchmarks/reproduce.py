"""``python -m benchmarks.reproduce``: run every benchmark and write one page with all of it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.harness.page import render_page
from benchmarks.harness.record import Record
from benchmarks.harness.registry import Benchmark, discover
from benchmarks.harness.report import print_record, print_table, summary_table
from benchmarks.harness.runner import run_benchmark

TITLE = "Matrica: the papers' figures, recomputed"


def main(
    arguments: Sequence[str] | None = None,
    *,
    benchmarks: dict[str, Benchmark] | None = None,
    console: Console | None = None,
) -> int:
    """Run them all; the exit status is 1 when one of them failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reproduce", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the short form of each")
    parser.add_argument("--data", metavar="DIRECTORY", help="more data, for those that take them")
    parser.add_argument("--html", metavar="FILE", help="write the page here")
    parser.add_argument("--json", metavar="DIRECTORY", help="write DIRECTORY/NAME.json for each")
    parser.add_argument("--only", metavar="NAME", nargs="+", help="run these alone")
    options = parser.parse_args(arguments)
    console = console or Console()
    entries = discover() if benchmarks is None else benchmarks
    if options.only:
        unknown = [name for name in options.only if name not in entries]
        if unknown:
            parser.error(f"--only takes names among {', '.join(entries)}; got {', '.join(unknown)}")
        entries = {name: entries[name] for name in options.only}
    if options.data and not Path(options.data).is_dir():
        parser.error(f"--data takes a directory, got {options.data!r}")

    data = Path(options.data) if options.data else None
    records = run_all(list(entries.values()), quick=options.quick, console=console, data=data)
    for record in records:
        print_record(record, console)
        if options.json:
            record.write(Path(options.json) / f"{record.name}.json")
    console.print()
    print_table(summary_table(records), console)
    if options.html:
        page = Path(options.html)
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(render_page(records, title=TITLE), encoding="utf-8")
        console.print(f"wrote {page}", highlight=False, soft_wrap=True)
    return 1 if any(record.status == "failed" for record in records) else 0


def run_all(
    entries: Sequence[Benchmark], *, quick: bool, console: Console, data: Path | None = None
) -> list[Record]:
    """Run the benchmarks one after another behind a progress bar; a failure stops none of them."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    records = []
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=len(entries))
        for entry in entries:

            def tell(text: str, name: str = entry.name) -> None:
                bar.update(task, description=f"{name}: {text}")

            tell("starting")
            record = run_benchmark(entry, quick=quick, data=data, progress=tell)
            records.append(record)
            bar.advance(task)
            bar.console.print(
                f"{record.status:>7}  {record.name}  {record.seconds:.1f} s", highlight=False
            )
        bar.update(task, description="done")
    return records


if __name__ == "__main__":
    sys.exit(main())

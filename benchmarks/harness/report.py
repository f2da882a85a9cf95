"""Print records in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from benchmarks.harness.record import Record, Table

_STYLE = {"ok": "green", "skipped": "yellow", "failed": "bold red"}


def print_record(record: Record, console: Console) -> None:
    """Title, target, tables, checks and what it was run on."""
    console.print()
    console.rule(Text(f"{record.name}: {record.title}", style="bold"))
    form = "quick form" if record.quick else "full form"
    console.print(Text(", ".join(p for p in (record.paper, form) if p), style="dim"))
    if record.asked:
        console.print(Text(f"Asked: {record.asked}"))
    if record.status != "ok":
        console.print(Text(f"{record.status}: {record.message}", style=_STYLE[record.status]))
    for table in record.tables:
        print_table(table, console)
    for note in record.skipped:
        console.print(Text(f"skipped: {note}", style="yellow"))
    for check in record.checks:
        console.print(Text(str(check), style="green" if check.met else "bold red"))
    console.print(Text(f"On {record.environment.sentence()}; {record.seconds:.1f} s", style="dim"))


def print_table(table: Table, console: Console) -> None:
    """One table with its note and its sources."""
    grid = Grid(title=Text(table.title, style="bold"), title_justify="left", box=box.SIMPLE_HEAD)
    for position, heading in enumerate(table.headings):
        numeric = any(isinstance(row[position], int | float) for row in table.rows)
        grid.add_column(Text(heading), justify="right" if numeric else "left", overflow="fold")
    for cells in table.cells:
        grid.add_row(*(Text(cell) for cell in cells))
    console.print(grid)
    for line in (table.note, *(f"Published: {source}" for source in table.sources)):
        if line:
            console.print(Text(line, style="dim"))


def summary_table(records: Sequence[Record]) -> Table:
    """Every check of every record in one table, and a line for each that gave no result."""
    rows: list[tuple[str, ...]] = []
    for record in records:
        if record.status != "ok":
            rows.append((record.name, record.message, "", "", record.status))
        for check in record.checks:
            met = "yes" if check.met else "NO"
            rows.append((record.name, check.what, check.target, check.measured, met))
    return Table("Targets", ["benchmark", "what", "target", "measured", "met"], rows)

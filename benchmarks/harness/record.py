"""What a benchmark hands back: tables, checks and figures, and the record that holds them.

A record turns into plain JSON and back; the layout is described in :mod:`benchmarks`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.harness.environment import Environment

SCHEMA = 1

Cell = float | int | str | None


@dataclass(frozen=True)
class Published:
    """A published figure: its value and where it stands."""

    value: float
    source: str


@dataclass(frozen=True)
class Column:
    """One column: the heading with its unit, and a format for numbers (empty: three digits)."""

    heading: str
    format: str = ""


@dataclass(frozen=True)
class Table:
    """A table of numbers and words; short rows are filled up with empty cells.

    Parameters
    ----------
    title : str
        The heading above the table.
    columns : sequence of Column or str
        A string is a column in the default format.
    rows : iterable of sequences
        Cells are numbers, strings, ``None`` or `Published`; a published figure leaves its value in
        the cell and its source in `sources`. Numbers that are not finite become words.
    note : str
        What a reader must know to read the table.
    sources : sequence of str
        Where published figures come from.
    """

    title: str
    columns: Sequence[Any]
    rows: Sequence[Sequence[Any]]
    note: str = ""
    sources: Sequence[str] = ()

    def __post_init__(self) -> None:
        columns = tuple(c if isinstance(c, Column) else Column(str(c)) for c in self.columns)
        sources = list(self.sources)
        rows = []
        for row in self.rows:
            if len(row) > len(columns):
                raise ValueError(
                    f"rows of table {self.title!r} take at most {len(columns)} cells, "
                    f"one a column, got {len(row)}"
                )
            cells = []
            for cell in row:
                if isinstance(cell, Published):
                    if cell.source not in sources:
                        sources.append(cell.source)
                    cell = cell.value
                cells.append(_plain(cell))
            rows.append(tuple(cells) + (None,) * (len(columns) - len(cells)))
        object.__setattr__(self, "columns", columns)
        object.__setattr__(self, "rows", tuple(rows))
        object.__setattr__(self, "sources", tuple(sources))

    @property
    def headings(self) -> list[str]:
        """The headings of the columns."""
        return [column.heading for column in self.columns]

    @property
    def cells(self) -> list[list[str]]:
        """The rows as they are printed."""
        formats = [column.format for column in self.columns]
        return [[format_cell(c, f) for c, f in zip(row, formats, strict=True)] for row in self.rows]


@dataclass(frozen=True)
class Check:
    """A target, what was measured, and whether the one meets the other."""

    what: str
    target: str
    measured: str
    met: bool
    value: float | None = None
    limit: float | None = None

    @classmethod
    def at_most(cls, what: str, value: float, limit: float, *, unit: str = "") -> Check:
        """The measured `value` must not exceed `limit`; NaN does not meet it."""
        return cls._compare(what, "at most", value, limit, bool(value <= limit), unit)

    @classmethod
    def at_least(cls, what: str, value: float, limit: float, *, unit: str = "") -> Check:
        """The measured `value` must reach `limit`; NaN does not meet it."""
        return cls._compare(what, "at least", value, limit, bool(value >= limit), unit)

    @classmethod
    def holds(cls, what: str, met: bool, *, target: str = "yes", measured: str = "") -> Check:
        """A statement that is true or not."""
        return cls(what, target, measured or ("yes" if met else "no"), bool(met))

    @classmethod
    def _compare(
        cls, what: str, relation: str, value: float, limit: float, met: bool, unit: str
    ) -> Check:
        gap = "" if unit in ("", "x", "%") else " "
        value, limit = float(value), float(limit)
        return cls(
            what,
            f"{relation} {format_cell(limit, '')}{gap}{unit}",
            f"{format_cell(value, '')}{gap}{unit}",
            met,
            value if math.isfinite(value) else None,
            limit if math.isfinite(limit) else None,
        )

    def __str__(self) -> str:
        verdict = "met" if self.met else "NOT MET"
        return f"{self.what}: target {self.target}; measured {self.measured}; {verdict}"


@dataclass(frozen=True)
class Figure:
    """A picture that is drawn only when it is wanted.

    Parameters
    ----------
    title, caption : str
        What it is, and what to see in it.
    draw : callable
        Takes an empty :class:`matplotlib.figure.Figure` and draws on it.
    size : tuple of float
        Width and height in inches.
    """

    title: str
    caption: str
    draw: Callable[[Any], None] | None = field(default=None, compare=False, repr=False)
    size: tuple[float, float] = field(default=(8.0, 4.2), compare=False)


@dataclass(frozen=True)
class Record:
    """Everything one run of one benchmark has to say."""

    name: str
    title: str
    paper: str = ""
    summary: str = ""
    asked: str = ""
    status: str = "ok"
    message: str = ""
    quick: bool = False
    seconds: float = 0.0
    tables: tuple[Table, ...] = ()
    checks: tuple[Check, ...] = ()
    figures: tuple[Figure, ...] = ()
    skipped: tuple[str, ...] = ()
    environment: Environment = field(default_factory=Environment)

    def to_dict(self) -> dict[str, Any]:
        """The record as plain dictionaries, lists, strings and numbers."""
        return {
            "schema": SCHEMA,
            "name": self.name,
            "title": self.title,
            "paper": self.paper,
            "summary": self.summary,
            "asked": self.asked,
            "status": self.status,
            "message": self.message,
            "quick": self.quick,
            "seconds": self.seconds,
            "tables": [
                {
                    "title": t.title,
                    "columns": t.headings,
                    "formats": [c.format for c in t.columns],
                    "rows": [list(row) for row in t.rows],
                    "cells": t.cells,
                    "note": t.note,
                    "sources": list(t.sources),
                }
                for t in self.tables
            ],
            "checks": [dict(vars(check)) for check in self.checks],
            "figures": [{"title": f.title, "caption": f.caption} for f in self.figures],
            "skipped": list(self.skipped),
            "environment": dict(vars(self.environment)),
        }

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Record:
        """The record that `to_dict` wrote; its figures can no longer be drawn."""
        if plain.get("schema") != SCHEMA:
            raise ValueError(f"schema must be {SCHEMA}, got {plain.get('schema')!r}")
        tables = [
            Table(
                t["title"],
                [Column(h, f) for h, f in zip(t["columns"], t["formats"], strict=True)],
                t["rows"],
                t["note"],
                t["sources"],
            )
            for t in plain["tables"]
        ]
        simple = ("name", "title", "paper", "summary", "asked", "status", "message", "quick")
        return cls(
            **{key: plain[key] for key in simple},
            seconds=plain["seconds"],
            tables=tuple(tables),
            checks=tuple(Check(**check) for check in plain["checks"]),
            figures=tuple(Figure(f["title"], f["caption"]) for f in plain["figures"]),
            skipped=tuple(plain["skipped"]),
            environment=Environment(**plain["environment"]),
        )

    def write(self, path: str | Path) -> None:
        """Write the record as JSON, making the folder if it is not there."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False)
        path.write_text(text + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: str | Path) -> Record:
        """Read a record that `write` wrote."""
        return cls.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))


def format_cell(value: Cell, spec: str = "") -> str:
    """A cell as it is printed: three significant digits unless `spec` says otherwise."""
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    if spec:
        return format(value, spec)
    if isinstance(value, int):
        return str(value)
    return _three_digits(value)


def _three_digits(value: float) -> str:
    if not math.isfinite(value):
        return _word(value)
    if value == 0:
        return "0"
    if not 1e-3 <= abs(value) < 99950:
        return f"{value:.2e}"
    decimals = max(0, 2 - math.floor(math.log10(float(f"{abs(value):.2e}"))))
    return f"{value:.{decimals}f}"


def _word(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "∞" if value > 0 else "-∞"


def _plain(cell: Any) -> Cell:
    if cell is None or isinstance(cell, str):
        return cell
    item = getattr(cell, "item", None)
    if item is not None:
        cell = item()
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, int):
        return cell
    cell = float(cell)
    return cell if math.isfinite(cell) else _word(cell)

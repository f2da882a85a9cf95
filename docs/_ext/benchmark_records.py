"""Show the records that the benchmarks wrote, so that no measured figure is typed by hand.

``.. benchmark:: NAME`` sets the tables and checks of ``benchmarks/results/NAME.json``;
``:tables: 1 3`` keeps some of the tables (counted from 1), ``:no-checks:`` leaves the checks out.
Without a record it says which command writes one.
``.. benchmark-index::`` sets every record there is, each under its own heading.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

SCHEMA = 1


def load(path: Path) -> dict[str, Any]:
    """Read one record."""
    record = json.loads(path.read_text(encoding="utf-8"))
    if record["schema"] != SCHEMA:
        raise ValueError(f"{path.name} has schema {record['schema']}, this page reads {SCHEMA}")
    return record


def inline(text: str) -> list[nodes.Node]:
    """Return a record's words as nodes; what stands between backquotes is code."""
    parts = text.replace("``", "`").split("`")
    if len(parts) % 2 == 0:
        return [nodes.Text(text)]
    return [
        nodes.literal("", part) if position % 2 else nodes.Text(part)
        for position, part in enumerate(parts)
    ]


def table_node(
    headings: Sequence[str], rows: Sequence[Sequence[str]], kind: str = "figures"
) -> nodes.table:
    """Return a table; its class tells the style sheet whether figures or words are in it."""
    group = nodes.tgroup(cols=len(headings))
    group += [nodes.colspec(colwidth=1) for _ in headings]
    head, body = nodes.thead(), nodes.tbody()
    group += [head, body]
    head += _row(headings)
    body += [_row(row) for row in rows]
    return nodes.table("", group, classes=["benchmark", kind])


def _row(cells: Sequence[str]) -> nodes.row:
    row = nodes.row()
    for cell in cells:
        entry = nodes.entry()
        entry += nodes.paragraph("", "", *inline(cell))
        row += entry
    return row


def _small(text: str) -> nodes.paragraph:
    return nodes.paragraph("", "", *inline(text), classes=["benchmark-origin"])


def origin(record: dict[str, Any]) -> str:
    """Say on what, when and how a record was made."""
    where = record["environment"]
    versions = where["versions"]
    known = ", ".join(f"{name} {versions[name]}" for name in versions if name != "matrica")
    form = "quick form" if record["quick"] else "full form"
    return (
        f"Measured by `python -m benchmarks {record['name']}`, {form}, {where['date']}: "
        f"{where['cpu']}, {where['cores']} cores, GPU {where['gpu'] or 'none'}; {known}."
    )


def contents(record: dict[str, Any], wanted: Sequence[int], checks: bool) -> list[nodes.Node]:
    """Return the nodes of one record."""
    made: list[nodes.Node] = []
    if record["status"] != "ok":
        message = f"This run did not finish: {record['message']}"
        return [nodes.note("", nodes.paragraph("", message))]
    for number, table in enumerate(record["tables"], start=1):
        if wanted and number not in wanted:
            continue
        title = nodes.paragraph()
        title += nodes.strong("", "", *inline(table["title"]))
        made += [title, table_node(table["columns"], table["cells"])]
        if table["note"]:
            made.append(_small(table["note"]))
        if table["sources"]:
            made.append(_small("Published figures: " + "; ".join(table["sources"]) + "."))
    if checks and record["checks"]:
        rows = [
            [c["what"], c["target"], c["measured"], "met" if c["met"] else "not met"]
            for c in record["checks"]
        ]
        made.append(table_node(["what", "target", "measured", ""], rows, "checks"))
    made += [_small(f"Left out: {reason}.") for reason in record["skipped"]]
    made.append(_small(origin(record)))
    return made


class BenchmarkDirective(SphinxDirective):
    """``.. benchmark:: NAME``."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {
        "tables": directives.positive_int_list,
        "no-checks": directives.flag,
    }

    def run(self) -> list[nodes.Node]:
        """Set one record."""
        name = self.arguments[0]
        path = Path(self.config.benchmark_records_dir, f"{name}.json")
        self.env.note_dependency(str(path))
        if not path.exists():
            message = nodes.paragraph("", "Not measured yet: run ")
            message += nodes.literal("", f"make bench NAME={name}")
            message += nodes.Text(" and build these pages again.")
            return [nodes.note("", message)]
        return contents(load(path), self.options.get("tables", []), "no-checks" not in self.options)


class BenchmarkIndexDirective(SphinxDirective):
    """``.. benchmark-index::``."""

    def run(self) -> list[nodes.Node]:
        """Set every record, in the order of their names."""
        folder = Path(self.config.benchmark_records_dir)
        made: list[nodes.Node] = []
        self.env.note_reread()
        for path in sorted(folder.glob("*.json")):
            record = load(path)
            section = nodes.section(ids=[nodes.make_id(f"benchmark-{record['name']}")])
            section += nodes.title("", "", *inline(record["title"]))
            asked = record["asked"] or record["summary"]
            if asked:
                section += nodes.paragraph("", "", *inline(asked))
            section += contents(record, [], checks=True)
            made.append(section)
        if not made:
            message = nodes.paragraph("", "Nothing has been measured here yet: run ")
            message += nodes.literal("", "make bench")
            message += nodes.Text(" for the list.")
            made.append(nodes.note("", message))
        return made


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_config_value("benchmark_records_dir", "", "env", types=frozenset({str}))
    app.add_directive("benchmark", BenchmarkDirective)
    app.add_directive("benchmark-index", BenchmarkIndexDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""Write records as one HTML page that holds everything it shows: no network, no second file."""

from __future__ import annotations

import base64
import importlib.util
import re
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from benchmarks.harness.plotting import draw_figure
from benchmarks.harness.record import Figure, Record, Table
from benchmarks.harness.report import summary_table

_STYLE_SHEET = Path(__file__).with_name("page.css")
_VERDICTS = {"yes": "yes", "NO": "no", "skipped": "skipped", "failed": "failed"}


def render_page(records: Sequence[Record], *, title: str) -> str:
    """The page as text: targets first, then a section for each benchmark.

    Figures are drawn for light and for dark ground, and left out with a line that says so where
    matplotlib is not installed.
    """
    style = _STYLE_SHEET.read_text(encoding="utf-8")
    targets = summary_table(records)
    met = sum(check.met for record in records for check in record.checks)
    total = sum(len(record.checks) for record in records)
    failed = sum(record.status == "failed" for record in records)
    form = "quick form" if any(record.quick for record in records) else "full form"
    seconds = sum(record.seconds for record in records)
    lead = f"{len(records)} benchmarks, {form}, {seconds:.0f} s; {met} of {total} targets met"
    lead += f"; {failed} failed." if failed else "."
    environment = records[-1].environment.sentence() if records else ""
    links = " · ".join(f'<a href="#{escape(r.name)}">{escape(r.name)}</a>' for r in records)
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>",
            f"<style>\n{style}</style></head><body>",
            f"<h1>{escape(title)}</h1>",
            f"<p>{escape(lead)}</p>",
            f'<p class="soft">{escape(environment)}</p>',
            f"<nav><p>{links}</p></nav>",
            *(_table(targets, heading="h2") if targets.rows else ()),
            *(_section(record) for record in records),
            "</body></html>",
            "",
        ]
    )


def _section(record: Record) -> str:
    parts = [f'<section id="{escape(record.name)}">', f"<h2>{_prose(record.title)}</h2>"]
    parts.append(
        f'<p class="soft"><code>python -m benchmarks {escape(record.name)}</code>'
        f"{' · ' + escape(record.paper) if record.paper else ''} · {record.seconds:.1f} s</p>"
    )
    if record.asked:
        parts.append(f"<p>{_prose(record.asked)}</p>")
    if record.status != "ok":
        parts.append(f'<p class="{record.status}"><strong>{record.status}</strong></p>')
        parts.append(f"<pre>{escape(record.message)}</pre>")
    if record.checks:
        parts.append('<ul class="checks">')
        for check in record.checks:
            mark, text = ("yes", "met") if check.met else ("no", "not met")
            parts.append(
                f'<li><span class="mark {mark}">{text}</span><span>{_prose(check.what)}: '
                f"target {_prose(check.target)}, measured {_prose(check.measured)}</span></li>"
            )
        parts.append("</ul>")
    for table in record.tables:
        parts.extend(_table(table))
    parts.extend(f'<p class="skipped">Skipped: {escape(note)}</p>' for note in record.skipped)
    parts.extend(_figures(record.figures))
    parts.append("</section>")
    return "\n".join(parts)


def _table(table: Table, *, heading: str = "h3") -> Iterable[str]:
    columns = range(len(table.columns))
    numeric = [any(isinstance(row[j], int | float) for row in table.rows) for j in columns]
    classes = [' class="number"' if number else "" for number in numeric]
    yield f'<{heading}>{_prose(table.title)}</{heading}><div class="scroll"><table><thead><tr>'
    yield "".join(
        f"<th{kind}>{_prose(text)}</th>" for kind, text in zip(classes, table.headings, strict=True)
    )
    yield "</tr></thead><tbody>"
    for cells in table.cells:
        row = ""
        for kind, cell in zip(classes, cells, strict=True):
            verdict = _VERDICTS.get(cell)
            row += f'<td class="{verdict}">' if verdict else f"<td{kind}>"
            row += f"{_prose(cell)}</td>"
        yield f"<tr>{row}</tr>"
    yield "</tbody></table></div>"
    for line in (table.note, *(f"Published: {source}" for source in table.sources)):
        if line:
            yield f'<p class="soft">{_prose(line)}</p>'


def _figures(figures: Sequence[Figure]) -> Iterable[str]:
    drawable = [figure for figure in figures if figure.draw is not None]
    if not drawable:
        return
    if importlib.util.find_spec("matplotlib") is None:
        yield '<p class="skipped">Skipped: matplotlib is not installed, so no figures</p>'
        return
    for figure in drawable:
        light, dark = (_data_uri(draw_figure(figure, ground=g)) for g in ("light", "dark"))
        width = round(100 * figure.size[0])
        yield (
            '<figure><picture><source media="(prefers-color-scheme: dark)" '
            f'srcset="{dark}"><img src="{light}" width="{width}" alt="{escape(figure.title)}">'
            f"</picture><figcaption><strong>{_prose(figure.title)}.</strong> "
            f"{_prose(figure.caption)}</figcaption></figure>"
        )


def _prose(text: str) -> str:
    """Escaped text, with what stands between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")

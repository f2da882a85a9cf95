"""The two commands: what they print, write and return, whatever the benchmarks do."""

from __future__ import annotations

import base64
import io
import json
import re
import sys

import pytest
from rich.console import Console

from benchmarks.__main__ import main
from benchmarks.harness import Check, Figure, Published, Table
from benchmarks.harness.registry import Benchmark
from benchmarks.reproduce import main as reproduce

OUTSIDE = re.compile(r"""(?:src|href|srcset)\s*=\s*["'](?!data:|#)|url\(|@import|<script""", re.I)


def draw_line(canvas):
    canvas.subplots().plot([0, 1], [0, 1])


def good(context):
    value = float(context.rng.random())
    return context.record(
        asked="at most <2x> & more of `work`",
        tables=[Table("Time <ms>", ["path", "ms"], [("ours", Published(value, "a paper"))])],
        checks=[Check.at_most("time", 1.0, 2.0, unit="x"), Check.at_most("size", 3.0, 2.0)],
        figures=[Figure("Line", "It rises.", draw_line), Figure("Again", "So too.", draw_line)],
    )


def broken(context):
    raise RuntimeError("the widget broke")


def peerless(context):
    context.require("a_peer_that_is_not_there")


def partial(context):
    assert context.optional("a_peer_that_is_not_there.part") is None
    return context.record(asked="whatever is there")


@pytest.fixture
def entries():
    runs = {"broken": broken, "good": good, "partial": partial, "peerless": peerless}
    return {
        name: Benchmark(name, f"Title of {name}", "arXiv 2008.07669", f"what {name} shows", run)
        for name, run in runs.items()
    }


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=160)


def printed(console) -> str:
    return console.file.getvalue()


def test_without_a_name_the_benchmarks_are_listed(entries, console):
    assert main([], benchmarks=entries, console=console) == 0
    for name in entries:
        assert f"what {name} shows" in printed(console)


def test_an_unknown_name_is_refused_with_the_known_ones(entries, console, capsys):
    with pytest.raises(SystemExit):
        main(["gold"], benchmarks=entries, console=console)
    assert "name must be one of broken, good, partial, peerless; got 'gold'" in (
        capsys.readouterr().err
    )


def test_one_benchmark_prints_its_record_and_writes_it(entries, console, tmp_path):
    path = tmp_path / "good.json"
    status = main(["good", "--quick", "--json", str(path)], benchmarks=entries, console=console)
    assert status == 0
    text = printed(console)
    assert "Asked: at most <2x> & more" in text
    assert "time: target at most 2.00x; measured 1.00x; met" in text
    assert "size: target at most 2.00; measured 3.00; NOT MET" in text
    assert "Published: a paper" in text
    plain = json.loads(path.read_text(encoding="utf-8"))
    assert plain["quick"] is True
    assert plain["status"] == "ok"


def test_the_same_seed_gives_the_same_record(entries, console, tmp_path):
    rows = []
    for name in ("first.json", "second.json"):
        main(["good", "--json", str(tmp_path / name)], benchmarks=entries, console=console)
        rows.append(json.loads((tmp_path / name).read_text(encoding="utf-8"))["tables"][0]["rows"])
    assert rows[0] == rows[1]


def test_figures_are_numbered_beside_the_first(entries, console, tmp_path):
    pytest.importorskip("matplotlib")
    main(["good", "--plot", str(tmp_path / "p.png")], benchmarks=entries, console=console)
    for name in ("p.png", "p-2.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("name", "status"), [("broken", 1), ("peerless", 0), ("partial", 0)])
def test_exit_status_is_bad_only_for_a_failure(entries, console, name, status):
    assert main([name], benchmarks=entries, console=console) == status
    assert "widget broke" in printed(console) or "is not installed" in printed(console)


def test_a_failure_is_reported_and_stops_nothing(entries, console, tmp_path):
    page, folder = tmp_path / "out" / "index.html", tmp_path / "records"
    arguments = ["--quick", "--html", str(page), "--json", str(folder)]
    assert reproduce(arguments, benchmarks=entries, console=console) == 1
    for text in (printed(console), page.read_text(encoding="utf-8")):
        assert "RuntimeError: the widget broke (test_commands.py, line" in text
        assert "a_peer_that_is_not_there is not installed" in text
        assert "Title of good" in text
    states = {p.stem: json.loads(p.read_text(encoding="utf-8"))["status"] for p in folder.iterdir()}
    assert states == {"broken": "failed", "good": "ok", "partial": "ok", "peerless": "skipped"}


def test_without_a_failure_the_exit_status_is_good(entries, console):
    assert reproduce(["--only", "good", "peerless"], benchmarks=entries, console=console) == 0
    assert "widget" not in printed(console)


def test_only_takes_known_names(entries, console, capsys):
    with pytest.raises(SystemExit):
        reproduce(["--only", "gold"], benchmarks=entries, console=console)
    assert "--only takes names among" in capsys.readouterr().err


def test_the_page_holds_everything_it_shows(entries, console, tmp_path):
    pytest.importorskip("matplotlib")
    page = tmp_path / "index.html"
    reproduce(["--only", "good", "--html", str(page)], benchmarks=entries, console=console)
    text = page.read_text(encoding="utf-8")
    assert OUTSIDE.search(text) is None
    pictures = re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", text)
    assert len(pictures) == 4
    assert all(base64.b64decode(p).startswith(b"\x89PNG") for p in pictures)
    assert "at most &lt;2x&gt; &amp; more of <code>work</code>" in text
    assert "Time &lt;ms&gt;" in text
    assert "prefers-color-scheme: dark" in text


def test_the_search_for_outside_links_finds_them():
    for line in ('<img src="https://a.b/c.png">', "<a href='x.html'>", "body{background:url(x)}"):
        assert OUTSIDE.search(line)


def test_a_page_without_matplotlib_says_so(entries, console, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    page = tmp_path / "index.html"
    status = reproduce(["--only", "good", "--html", str(page)], benchmarks=entries, console=console)
    assert status == 0
    assert "matplotlib is not installed" in page.read_text(encoding="utf-8")

"""Tables, checks and the JSON form of a record."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from benchmarks.harness.environment import Environment, describe_environment
from benchmarks.harness.record import (
    Check,
    Column,
    Figure,
    Published,
    Record,
    Table,
    format_cell,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        ("words", "words"),
        (7, "7"),
        (4096, "4096"),
        (0.0, "0"),
        (1.2345, "1.23"),
        (12.345, "12.3"),
        (123.45, "123"),
        (9.9996, "10.0"),
        (0.0157123, "0.0157"),
        (1.5e-4, "1.50e-04"),
        (-2.5, "-2.50"),
        (1234567.0, "1.23e+06"),
        (math.nan, "NaN"),
    ],
)
def test_cells_have_three_digits_unless_told(value, text):
    assert format_cell(value) == text


def test_a_column_format_wins():
    assert Table("t", [Column("x", ".1e")], [(12345.6,)]).cells == [["1.2e+04"]]


def test_a_published_figure_leaves_its_value_and_its_source_once():
    source = "arXiv 2206.12037, table 1"
    table = Table("t", ["a", "b"], [(Published(1.5, source), 2), (Published(2.5, source), 3)])
    assert table.rows == ((1.5, 2), (2.5, 3))
    assert table.sources == (source,)


def test_numpy_scalars_become_plain_and_numbers_that_are_not_finite_become_words():
    row = (np.float32(0.5), np.int64(3), np.bool_(True), np.nan, -np.inf)
    (cells,) = Table("t", list("abcde"), [row]).rows
    assert cells == (0.5, 3, "yes", "NaN", "-∞")
    assert [type(cell) for cell in cells] == [float, int, str, str, str]


def test_short_rows_are_filled_and_long_rows_refused():
    assert Table("t", ["a", "b", "c"], [("x",)]).rows == (("x", None, None),)
    with pytest.raises(ValueError, match="at most 2 cells, one a column, got 3"):
        Table("t", ["a", "b"], [(1, 2, 3)])


def test_checks_compare_and_say_so():
    check = Check.at_most("time", 1.44, 2.0, unit="x")
    assert check.met
    assert str(check) == "time: target at most 2.00x; measured 1.44x; met"
    assert not Check.at_least("speed", 12.0, 50.0, unit="x").met
    assert Check.at_most("edge", 2.0, 2.0).met
    assert str(Check.holds("torch is absent", False)).endswith("target yes; measured no; NOT MET")


@pytest.mark.parametrize("relation", [Check.at_most, Check.at_least])
def test_nan_meets_no_target(relation):
    check = relation("error", math.nan, 1.0)
    assert not check.met
    assert check.value is None


def a_record() -> Record:
    return Record(
        name="demo",
        title="A demonstration",
        paper="arXiv 2008.07669",
        asked="at most 2x",
        quick=True,
        seconds=1.5,
        tables=(
            Table(
                "Time",
                ["path", Column("time (ms)", ".2f"), "published"],
                [("ours", 1.25, Published(2.0, "arXiv 2008.07669")), ("peer", math.inf)],
                note="medians",
            ),
        ),
        checks=(Check.at_most("time", 1.2, 2.0, unit="x"), Check.holds("pure", True)),
        figures=(Figure("A line", "It rises.", lambda canvas: None),),
        skipped=("pywt is not installed: its rows are left out",),
        environment=Environment(cpu="a processor", cores=2, versions={"numpy": "2.3"}),
    )


def test_a_record_comes_back_from_json_as_it_was(tmp_path):
    record = a_record()
    path = tmp_path / "deep" / "demo.json"
    record.write(path)
    assert Record.read(path) == record


def test_the_json_form_has_the_documented_keys(tmp_path):
    path = tmp_path / "demo.json"
    a_record().write(path)
    plain = json.loads(path.read_text(encoding="utf-8"))
    assert plain["schema"] == 1
    (table,) = plain["tables"]
    assert table["columns"] == ["path", "time (ms)", "published"]
    assert table["rows"] == [["ours", 1.25, 2.0], ["peer", "∞", None]]
    assert table["cells"] == [["ours", "1.25", "2.00"], ["peer", "∞", "–"]]
    assert table["sources"] == ["arXiv 2008.07669"]
    assert plain["checks"][0] == {
        "what": "time",
        "target": "at most 2.00x",
        "measured": "1.20x",
        "met": True,
        "value": 1.2,
        "limit": 2.0,
    }
    assert plain["figures"] == [{"title": "A line", "caption": "It rises."}]


def test_another_schema_is_refused():
    with pytest.raises(ValueError, match="schema must be 1, got 99"):
        Record.from_dict(a_record().to_dict() | {"schema": 99})


def test_the_environment_names_processor_cores_and_versions():
    environment = describe_environment()
    assert environment.cpu
    assert environment.cores >= 1
    assert environment.versions["numpy"] == np.__version__
    assert environment.cpu in environment.sentence()
    json.dumps(vars(environment), allow_nan=False)

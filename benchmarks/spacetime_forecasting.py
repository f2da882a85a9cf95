r"""Closed-loop forecasts by companion state-space networks, beside an LSTM and linear methods.

From a window of the past, the whole continuation up to the horizon. The networks learn from all
windows of the part before the one held back, from several seeds, and are not trained again as the
origin moves on. Autoregressions are fitted to the same part by least squares, with the order (among
those a window holds) and the trend that AIC chooses there, and forecast from the same windows. The
seasonal naive forecast repeats the last period. Learning rates and numbers of epochs were chosen on
the last part of the training, held back for that. MASE divides absolute errors by the mean absolute
one-step change of the training part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from types import ModuleType
from typing import Any

import numpy as np

from benchmarks._training_pool import train_each
from benchmarks.harness import Check, Column, Context, Figure, Record, Table, benchmark
from ssm import companion_forecast
from ssm.estimators import CompanionForecaster

_SEEDS = 5
_PARAMETERS = 4_000
_COMPANION, _LSTM = "CompanionSSM, closed loop", "LSTM, rolled out"
# Rate and epochs, of 3e-3 and 1e-2 and of 20 and 40: what does best on the last 18 % of training.
_SETTINGS = {
    "sunspots": {_COMPANION: (3e-3, 40), _LSTM: (1e-2, 20)},
    "CO2": {_COMPANION: (1e-2, 40), _LSTM: (3e-3, 40)},
    "El Niño 1+2": {_COMPANION: (1e-2, 40), _LSTM: (1e-2, 20)},
    "electrical equipment": {_COMPANION: (3e-3, 20), _LSTM: (1e-2, 20)},
}
_HELD_BACK = 0.2
_QUICK = ("sunspots",)


@dataclass(frozen=True)
class _Forecasts:
    """Forecasts of one method, (seeds, origins, horizon), and what it took."""

    method: str
    values: np.ndarray
    parameters: int | None = None
    loss: np.ndarray | None = None
    seconds: float | None = None


@benchmark(
    "spacetime_forecasting",
    title="Closed-loop forecasts of companion networks",
    paper="arXiv 2303.09489",
    summary="Errors of trained companion networks beside an LSTM, autoregression and naive.",
)
def run(context: Context) -> Record:
    """Train the networks on every series and forecast from every origin held back."""
    context.require("torch")
    every = _series(
        context.require("statsmodels.datasets"),
        context.require("statsmodels.datasets.elec_equip"),
    )
    if context.quick:
        every = [series for series in every if series.name in _QUICK]
    trained = _train(context, every)
    found = {}
    for series in every:
        context.tell(f"{series.name}, linear methods")
        found[series.name] = [
            *_networks(trained, series.name),
            _autoregression(series),
            _seasonal_naive(series),
        ]
    return context.record(
        asked="Errors up to the horizon with their spread over seeds; on each series, companion "
        "networks at most those of an LSTM of their size and of the seasonal naive forecast.",
        tables=[_table(series, found[series.name], context.quick) for series in every],
        checks=_checks(every, found, context.quick),
        figures=[
            Figure(
                "Error by horizon",
                "Root mean square over origins in units of the naive error; bands: least and most "
                "over seeds.",
                lambda canvas: _draw_errors(canvas, every, found),
                size=(9.0, 6.0),
            ),
            Figure(
                "Forecasts of the part held back",
                "Each forecast is from an origin one horizon after the last; the first seed of "
                "the networks.",
                lambda canvas: _draw_forecasts(canvas, every, found),
                size=(9.0, 6.0),
            ),
        ],
    )


def _series(datasets: ModuleType, elec_equip: ModuleType) -> list[Any]:
    from benchmarks._forecast_networks import Series

    spots = datasets.sunspots.load_pandas().data["SUNACTIVITY"].to_numpy(np.float64)
    monthly = datasets.co2.load_pandas().data["co2"].resample("MS").mean().interpolate("linear")
    elnino = datasets.elnino.load_pandas().data.iloc[:, 1:].to_numpy(np.float64).ravel()
    equipment = elec_equip.load_pandas().data.iloc[:, -1].to_numpy(np.float64)
    named = {
        "sunspots": (spots, 11, 44, 11),
        "CO2": (monthly.to_numpy(np.float64), 12, 36, 12),
        "El Niño 1+2": (elnino, 12, 36, 12),
        "electrical equipment": (equipment, 12, 36, 12),
    }
    return [
        Series(name, y, period, window, horizon, round((1 - _HELD_BACK) * len(y)))
        for name, (y, period, window, horizon) in named.items()
    ]


def _train(context: Context, every: Sequence[Any]) -> list[Any]:
    from benchmarks._forecast_networks import Job, train

    jobs = [
        Job(series, network, _PARAMETERS, 4 if context.quick else epochs, rate, seed)
        for series in every
        for network, (rate, epochs) in _SETTINGS[series.name].items()
        for seed in range(1 if context.quick else _SEEDS)
    ]
    context.tell(f"{len(jobs)} networks to train")
    return train_each(
        train, jobs, lambda job: f"{job.series.name}, {job.network}, seed {job.seed}", context.tell
    )


def _networks(trained: Sequence[Any], name: str) -> list[_Forecasts]:
    found = []
    for network in dict.fromkeys(t.network for t in trained):
        runs = [t for t in trained if (t.series, t.network) == (name, network)]
        found.append(
            _Forecasts(
                network,
                np.stack([t.forecasts for t in runs]),
                runs[0].parameters,
                np.stack([t.loss for t in runs]),
                float(np.median([t.seconds for t in runs])),
            )
        )
    return found


def _autoregression(series: Any) -> _Forecasts:
    """AR of the order and trend that AIC chooses, in closed loop from every window."""
    began = perf_counter()
    past = series.y[: series.start]
    # A common first value to forecast: likelihoods of different samples cannot be compared.
    fits = [
        CompanionForecaster((p, 0, 0), trend=trend).fit(past[series.window - p :])
        for p in range(1, series.window + 1)
        for trend in ("c", "ct")
    ]
    best = min(fits, key=lambda fit: fit.aic_)
    seconds = perf_counter() - began
    phi = best.ar_coef_
    level, slope = (*best.trend_coef_, 0.0)[:2]
    p = len(phi)
    offset = series.window - p
    # In deviations from the line that solves the equation with its trend there is no constant.
    rest = 1.0 - phi.sum()
    a1 = slope / rest
    a0 = (level - a1 * (phi @ np.arange(1, p + 1))) / rest
    steps = np.arange(len(series.y)) + 1 - offset
    line = a0 + a1 * steps
    deviations = series.y - line
    windows = deviations[series.origins[:, None] - 1 - np.arange(p)]
    zero, first = np.zeros(p), np.eye(p)[0]
    _, ahead = companion_forecast(zero, first, phi, phi, windows, series.horizon)
    ahead = ahead + line[series.origins[:, None] + np.arange(series.horizon)]
    return _Forecasts(f"AR({p})", ahead[None], p + len(best.trend_coef_), None, seconds)


def _seasonal_naive(series: Any) -> _Forecasts:
    steps = np.arange(series.horizon) % series.period - series.period
    return _Forecasts("seasonal naive", series.y[series.origins[:, None] + steps][None])


def _errors(series: Any, values: np.ndarray) -> np.ndarray:
    """Errors (seeds, origins, horizon) in units of the naive one-step error of the training."""
    held = series.y[series.origins[:, None] + np.arange(series.horizon)]
    return (values - held) / np.mean(np.abs(np.diff(series.y[: series.start])))


def _mase(series: Any, values: np.ndarray) -> np.ndarray:
    """Mean absolute scaled error of each seed."""
    return np.abs(_errors(series, values)).mean(axis=(1, 2))


def _table(series: Any, found: Sequence[_Forecasts], quick: bool) -> Table:
    rows = []
    for forecasts in found:
        errors = _errors(series, forecasts.values)
        scores = _mase(series, forecasts.values)
        several = len(scores) > 1
        rows.append(
            (
                forecasts.method,
                forecasts.parameters,
                None if forecasts.loss is None else forecasts.loss.shape[1],
                float(scores.mean()),
                float(scores.std(ddof=1)) if several else None,
                float(scores.min()) if several else None,
                float(scores.max()) if several else None,
                float(np.sqrt(np.square(errors).mean(axis=(1, 2))).mean()),
                None if forecasts.loss is None else float(forecasts.loss[:, -1].mean()),
                forecasts.seconds,
            )
        )
    extent = "One seed: it shows that networks train, not how well" if quick else ""
    extent = extent or f"Mean, spread and range over {_SEEDS} seeds"
    return Table(
        f"{series.name}: {series.horizon} steps ahead from windows of {series.window}",
        [
            "method",
            Column("parameters", ".0f"),
            Column("epochs", ".0f"),
            Column("MASE", ".3f"),
            Column("sd", ".3f"),
            Column("least", ".3f"),
            Column("most", ".3f"),
            Column("RMSE, scaled", ".3f"),
            Column("training loss", ".3f"),
            Column("seconds", ".1f"),
        ],
        rows,
        note=f"The last {len(series.y) - series.start} of {len(series.y)} values are held back, "
        f"{len(series.origins)} origins. {extent}. Two networks train at a time, "
        "each with one thread; for AR the seconds are those of fitting all orders.",
    )


def _checks(every: Sequence[Any], found: dict[str, list[_Forecasts]], quick: bool) -> list[Check]:
    finite = all(
        np.isfinite(f.values).all() and (f.loss is None or np.isfinite(f.loss).all())
        for forecasts in found.values()
        for f in forecasts
    )
    checks = [Check.holds("losses and forecasts are finite", finite)]
    if quick:
        return checks
    for series in every:
        ours, lstm, _, naive = (float(_mase(series, f.values).mean()) for f in found[series.name])
        for peer, error in (("the LSTM", lstm), ("seasonal naive", naive)):
            what = f"{series.name}: mean error of the companion network over that of {peer}"
            checks.append(Check.at_most(what, ours / error, 1.0, unit="x"))
    return checks


def _draw_errors(canvas: Any, every: Sequence[Any], found: dict[str, list[_Forecasts]]) -> None:
    grid = _grid(canvas, len(every))
    for axes, series in zip(grid.flat, every, strict=False):
        ahead = np.arange(1, series.horizon + 1)
        for colour, forecasts in enumerate(found[series.name]):
            errors = np.sqrt(np.square(_errors(series, forecasts.values)).mean(axis=1))
            axes.plot(ahead, errors.mean(axis=0), color=f"C{colour}", label=_kind(forecasts))
            axes.fill_between(
                ahead, errors.min(0), errors.max(0), color=f"C{colour}", alpha=0.2, lw=0
            )
        axes.set(title=series.name, xlabel="steps ahead", ylim=(0, None))
    for axes in grid[:, 0]:
        axes.set_ylabel("error (scaled)")
    _legend(canvas, grid)


def _draw_forecasts(canvas: Any, every: Sequence[Any], found: dict[str, list[_Forecasts]]) -> None:
    grid = _grid(canvas, len(every))
    for axes, series in zip(grid.flat, every, strict=False):
        shown = np.arange(max(0, len(series.y) - 8 * series.horizon), len(series.y))
        axes.plot(shown, series.y[shown], color="0.35", lw=1.0, label="observed")
        for colour, forecasts in enumerate(found[series.name][:3]):
            label = _kind(forecasts)
            for at in range(len(series.origins) - 1, -1, -series.horizon):
                steps = series.origins[at] + np.arange(series.horizon)
                if steps[0] < shown[0]:
                    break
                axes.plot(steps, forecasts.values[0, at], color=f"C{colour}", lw=1.2, label=label)
                label = None
        axes.set(title=series.name, xlabel="sample")
    _legend(canvas, grid)


def _kind(forecasts: _Forecasts) -> str:
    return "autoregression" if forecasts.method.startswith("AR") else forecasts.method


def _grid(canvas: Any, count: int) -> Any:
    rows = 1 if count == 1 else 2
    return canvas.subplots(rows, -(-count // rows), squeeze=False)


def _legend(canvas: Any, grid: Any) -> None:
    handles, labels = grid[0, 0].get_legend_handles_labels()
    canvas.legend(handles, labels, loc="outside lower center", ncols=len(labels))

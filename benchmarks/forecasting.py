r"""Rolling-origin forecasts of real series, beside statsmodels on the same splits.

A model is fitted to everything before an origin and forecasts the H values after it; then the
origin moves on. Pure autoregressions are fitted by least squares (the peer is ``AutoReg``), models
with a moving average by exact maximum likelihood (the peer is ``ARIMA``). Errors are pooled over
origins and steps; MASE divides each absolute error by the mean absolute one-step change of the
training part, and the naive forecast is the last value repeated.

The series are those that ship with statsmodels. Monthly CO2 is the mean of each month's weekly
values, and the 5 of its 526 months without any (all before 1965) are interpolated linearly.
"Change" is the 12-month change :math:`y_t - y_{t-12}`; up to 12 steps ahead its errors are those of
the values, as :math:`y_{t-12}` is known. GDP is 100 times its logarithm. Sunspots and the Nile are
yearly, US series quarterly, the others monthly.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from benchmarks.harness import Check, Column, Context, Figure, Record, Table, Timing, benchmark
from ssm.estimators import CompanionForecaster


@dataclass(frozen=True)
class _Case:
    label: str
    y: np.ndarray
    order: tuple[int, int, int]
    trend: str
    horizon: int

    @property
    def least_squares(self) -> bool:
        return self.order[1:] == (0, 0)

    @property
    def model(self) -> str:
        p, d, q = self.order
        name = f"AR({p})" if self.least_squares else f"ARIMA({p},{d},{q})"
        return name + {"n": "", "c": " + c", "ct": " + ct"}[self.trend]


@dataclass(frozen=True)
class _Forecast:
    mean: np.ndarray
    interval: np.ndarray
    parameters: np.ndarray
    loglik: float


@dataclass(frozen=True)
class _Outcome:
    case: _Case
    ours: dict[str, float]
    peer: dict[str, float]
    naive: dict[str, float]
    difference: float
    loglik_gains: tuple[float, float]
    timings: dict[str, Timing]
    last: dict[str, _Forecast]


@benchmark(
    "forecasting",
    title="Forecasts of real series beside statsmodels",
    paper="arXiv 2303.09489",
    summary="Rolling-origin errors, interval coverage and time of AR and ARIMA on real series.",
)
def run(context: Context) -> Record:
    """Evaluate every case on the same splits for both, then time the last split in turns."""
    datasets = context.require("statsmodels.datasets")
    autoreg = context.require("statsmodels.tsa.ar_model").AutoReg
    arima = context.require("statsmodels.tsa.arima.model").ARIMA
    origins = 6 if context.quick else 60
    repeats = 5 if context.quick else 15

    def peer(case: _Case, y: np.ndarray) -> _Forecast:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the peer's start values and convergence
            if case.least_squares:
                fit = autoreg(y, case.order[0], trend=case.trend).fit()
                found = fit.get_prediction(len(y), len(y) + case.horizon - 1)
            else:
                # With one difference, its line is the constant of our differenced equation.
                drift = case.order[1] == 1 and case.trend == "c"
                fit = arima(y, order=case.order, trend="t" if drift else case.trend).fit()
                found = fit.get_forecast(case.horizon)
            return _Forecast(found.predicted_mean, found.conf_int(), fit.params, fit.llf)

    def exact_loglik(case: _Case, y: np.ndarray, forecast: _Forecast) -> float:
        p, d, q = case.order
        if d == 0:
            return forecast.loglik
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = arima(np.diff(y, n=d), order=(p, 0, q), trend=case.trend)
            return float(model.loglike(forecast.parameters))

    outcomes = [
        _evaluate(context, case, peer, exact_loglik, origins, repeats) for case in _cases(datasets)
    ]
    return context.record(
        asked="On the same splits, errors at most those of statsmodels (AutoReg to rounding, ARIMA "
        "within 1 %), likelihoods at least as high, and less time.",
        tables=[*_errors(outcomes, origins), _times(outcomes)],
        checks=_checks(outcomes),
        figures=[
            Figure(
                "Forecasts from the last origin",
                "Grey: observed, dots: held back. Blue: our forecast with its 95 % interval; "
                "orange, dashed: the peer's forecast and the ends of its interval.",
                lambda canvas: _draw(canvas, outcomes),
                size=(9.0, 6.0),
            )
        ],
    )


def _cases(datasets: ModuleType) -> list[_Case]:
    spots = _column(datasets.sunspots, "SUNACTIVITY")
    nile = _column(datasets.nile, "volume")
    monthly = datasets.co2.load_pandas().data["co2"].resample("MS").mean().interpolate("linear")
    co2 = np.asarray(monthly, dtype=np.float64)
    elnino = datasets.elnino.load_pandas().data.iloc[:, 1:].to_numpy(np.float64).ravel()
    gdp = 100 * np.log(_column(datasets.macrodata, "realgdp"))
    unemployment = _column(datasets.macrodata, "unemp")
    change = co2[12:] - co2[:-12]
    warming = elnino[12:] - elnino[:-12]
    return [
        _Case("sunspots", spots, (9, 0, 0), "c", 11),
        _Case("Nile", nile, (2, 0, 0), "c", 5),
        _Case("CO2", co2, (25, 0, 0), "ct", 12),
        _Case("El Niño 1+2", elnino, (25, 0, 0), "c", 12),
        _Case("US unemployment", unemployment, (4, 0, 0), "c", 8),
        _Case("sunspots", spots, (3, 0, 2), "c", 11),
        _Case("Nile", nile, (0, 1, 1), "n", 5),
        _Case("CO2 change", change, (2, 0, 1), "c", 12),
        _Case("El Niño change", warming, (2, 0, 1), "c", 12),
        _Case("US log GDP", gdp, (1, 1, 1), "c", 8),
    ]


def _column(dataset: ModuleType, name: str) -> np.ndarray:
    return dataset.load_pandas().data[name].to_numpy(np.float64)


def _ours(case: _Case, y: np.ndarray) -> _Forecast:
    model = CompanionForecaster(case.order, trend=case.trend).fit(y)
    mean, interval = model.predict(case.horizon), model.predict_interval(case.horizon)
    parameters = np.concatenate([model.trend_coef_, model.ar_coef_, model.ma_coef_])
    return _Forecast(mean, interval, parameters, model.loglik_)


def _evaluate(
    context: Context,
    case: _Case,
    peer: Callable[[_Case, np.ndarray], _Forecast],
    exact_loglik: Callable[[_Case, np.ndarray, _Forecast], float],
    origins: int,
    repeats: int,
) -> _Outcome:
    last = len(case.y) - case.horizon
    # The same stretch of the series in both forms: the quick one takes fewer origins in it.
    starts = np.unique(np.linspace(max(last - 59, 40), last, origins).astype(int))
    errors: dict[str, list[np.ndarray]] = {"ours": [], "peer": [], "naive": []}
    inside: dict[str, list[np.ndarray]] = {"ours": [], "peer": [], "naive": []}
    scales, differences, gains, found = [], [], [], {}
    for number, start in enumerate(starts):
        context.tell(f"{case.label}, {case.model}: origin {number + 1} of {len(starts)}")
        train, held = case.y[:start], case.y[start : start + case.horizon]
        found = {"ours": _ours(case, train), "peer": peer(case, train)}
        for name, forecast in found.items():
            errors[name].append(held - forecast.mean)
            low, high = np.asarray(forecast.interval).T
            inside[name].append((low <= held) & (held <= high))
        errors["naive"].append(held - train[-1])
        scales.append(np.mean(np.abs(np.diff(train))))
        differences.append(np.max(np.abs(found["ours"].mean - found["peer"].mean)) / scales[-1])
        gains.append(found["ours"].loglik - exact_loglik(case, train, found["peer"]))
    train = case.y[: starts[-1]]
    timings = context.time_interleaved(
        {"ours": lambda: _ours(case, train), "peer": lambda: peer(case, train)},
        repeats=repeats,
        baseline="peer",
    )
    summary = {
        name: {
            "MAE": float(np.mean(np.abs(values))),
            "RMSE": float(np.sqrt(np.mean(np.square(values)))),
            "MASE": float(np.mean(np.abs(values) / np.array(scales)[:, None])),
            "coverage": float(np.mean(inside[name])) if inside[name] else float("nan"),
        }
        for name, values in errors.items()
    }
    return _Outcome(
        case,
        summary["ours"],
        summary["peer"],
        summary["naive"],
        float(np.max(differences)),
        (float(np.min(gains)), float(np.max(gains))),
        timings,
        found,
    )


def _errors(outcomes: list[_Outcome], origins: int) -> list[Table]:
    absolute, relative = [], []
    for o in outcomes:
        name = (o.case.label, o.case.model, o.case.horizon)
        absolute.append((*name, o.ours["MAE"], o.peer["MAE"], o.ours["RMSE"], o.peer["RMSE"]))
        scaled = (o.ours["MASE"], o.peer["MASE"], o.naive["MASE"])
        relative.append((*name, *scaled, 100 * o.ours["coverage"], 100 * o.peer["coverage"]))
    return [
        Table(
            f"Errors over {origins} origins, in the units of the series",
            ["series", "model", "H", "MAE", "statsmodels", "RMSE", "statsmodels"],
            absolute,
            note="Origins are spread over the last 60 that leave H values to compare with.",
        ),
        Table(
            "Scaled errors, and how often 95 % intervals held the value",
            [
                "series",
                "model",
                "H",
                "MASE",
                "statsmodels",
                "naive",
                Column("coverage (%)", ".1f"),
                Column("statsmodels", ".1f"),
            ],
            relative,
            note="Intervals of both take the innovations as Gaussian and the fitted parameters as "
            "known. Where the two ARIMA fits differ, the peer's search ended at a lower value of "
            "the same likelihood (see the gains below).",
        ),
    ]


def _times(outcomes: list[_Outcome]) -> Table:
    return Table(
        "Time to fit and forecast with intervals, beside statsmodels, and agreement",
        [
            "series",
            "model",
            "n",
            "ours (ms)",
            "peer (ms)",
            "ratio",
            Column("largest difference", ".1e"),
            Column("least gain", ".1e"),
            Column("largest gain", ".1e"),
        ],
        [
            (
                o.case.label,
                o.case.model,
                len(o.case.y) - o.case.horizon,
                o.timings["ours"].ms,
                o.timings["peer"].ms,
                o.timings["ours"].ratio,
                o.difference,
                *o.loglik_gains,
            )
            for o in outcomes
        ],
        note="Timed at the last origin. The difference is that of the forecasts, in mean absolute "
        "one-step changes. The gain is the log-likelihood at our estimates minus that "
        "at theirs, over all origins; after differencing it is that of the differences, for "
        "statsmodels' own is approximately diffuse.",
    )


def _checks(outcomes: list[_Outcome]) -> list[Check]:
    squares = [o for o in outcomes if o.case.least_squares]
    exact = [o for o in outcomes if not o.case.least_squares]
    return [
        Check.at_most(
            "AR: largest difference of forecasts from AutoReg's, in naive errors",
            max(o.difference for o in squares),
            1e-6,
        ),
        Check.at_least(
            "ARIMA: least gain in log-likelihood over statsmodels at any origin",
            min(o.loglik_gains[0] for o in exact),
            -1e-3,
        ),
        Check.at_most(
            "ARIMA: MASE over statsmodels', worst series",
            max(o.ours["MASE"] / o.peer["MASE"] for o in exact),
            1.01,
            unit="x",
        ),
        Check.at_most(
            "AR: time over AutoReg's, worst series",
            max(o.timings["ours"].ratio for o in squares),
            1.0,
            unit="x",
        ),
        Check.at_most(
            "ARIMA: time over statsmodels', worst series",
            max(o.timings["ours"].ratio for o in exact),
            1.0,
            unit="x",
        ),
    ]


def _draw(canvas: Any, outcomes: list[_Outcome]) -> None:
    chosen = [outcomes[0], outcomes[2], outcomes[6], outcomes[9]]
    for axes, o in zip(canvas.subplots(2, 2).flat, chosen, strict=True):
        y, horizon = o.case.y, o.case.horizon
        end = len(y) - horizon
        past = np.arange(max(0, end - 5 * horizon), end)
        ahead = np.arange(end, len(y))
        axes.plot(past, y[past], color="0.35", lw=1.1)
        axes.plot(ahead, y[ahead], ".", color="0.35", ms=5)
        low, high = o.last["ours"].interval.T
        axes.fill_between(ahead, low, high, color="C0", alpha=0.2, lw=0)
        axes.plot(ahead, o.last["ours"].mean, color="C0", label="ours")
        axes.plot(ahead, o.last["peer"].mean, "--", color="C1", label="statsmodels")
        axes.plot(ahead, o.last["peer"].interval, "--", color="C1", lw=0.8)
        axes.set_title(f"{o.case.label}: {o.case.model}")
        axes.set_xlabel("sample")
        if o is chosen[0]:
            canvas.legend(loc="outside lower center", ncols=2)

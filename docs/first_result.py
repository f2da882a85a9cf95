"""The six lines of the README, and its picture: ``python -m docs.first_result`` draws it."""

# begin
import statsmodels.api as sm

from ssm.estimators import CompanionForecaster

spots = sm.datasets.sunspots.load_pandas().data["SUNACTIVITY"].to_numpy()
model = CompanionForecaster(order=(9, 0, 0)).fit(spots[:-22])
forecast = model.predict(22)
low, high = model.predict_interval(22, coverage=0.9).T
# end

if __name__ == "__main__":
    from pathlib import Path

    import matplotlib.pyplot as plt
    import numpy as np

    from docs._ext.gallery_style import STYLE

    plt.rcParams.update(STYLE)
    year = np.arange(1700, 1700 + len(spots))
    past, future = slice(-110, -22), slice(-22, None)
    fig, ax = plt.subplots(figsize=(8.0, 3.2))
    ax.plot(year[past], spots[past], color="0.3", label="observed")
    ax.plot(year[future], spots[future], "o", ms=3.5, color="0.3", label="held back")
    ax.fill_between(year[future], low, high, color="C0", alpha=0.2, lw=0, label="90 % interval")
    ax.plot(year[future], forecast, color="C0", lw=2, label="forecast")
    ax.set(title="Yearly sunspot numbers", xlabel="year", ylabel="sunspot number", ylim=(-45, 240))
    ax.legend(loc="upper left", ncols=4)
    fig.savefig(Path(__file__).parent / "_static" / "first_result.png", dpi=150)

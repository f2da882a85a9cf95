"""One look for every figure of the gallery."""

from __future__ import annotations

from typing import Any

STYLE = {
    "figure.figsize": (8.0, 4.2),
    "figure.dpi": 100,
    "savefig.dpi": 150,
    "figure.constrained_layout.use": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "axes.titlesize": "medium",
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "lines.linewidth": 1.4,
}


def reset(conf: dict[str, Any], name: str) -> None:
    """Set Matplotlib's defaults before each example."""
    import matplotlib as mpl

    mpl.rcParams.update(STYLE)

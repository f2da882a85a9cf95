"""Draw a record's figures as PNG, on light or dark ground."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from benchmarks.harness.record import Figure, Record

_PALETTE = ("#3b7dd8", "#e07b39", "#2f9e6e", "#c8508f", "#8467d7", "#b08a1e", "#4fa6b5", "#9a5b4f")
_GROUND = {
    "light": {"paper": "#ffffff", "ink": "#1f2430", "grid": "#d5d9e0"},
    "dark": {"paper": "#1c1f26", "ink": "#e3e6ec", "grid": "#3b404b"},
}


def draw_figure(figure: Figure, *, ground: str = "light", dpi: int = 150) -> bytes:
    """One figure as the bytes of a PNG; needs matplotlib."""
    if figure.draw is None:
        raise ValueError(f"figure {figure.title!r} was read from a file and cannot be drawn")
    import matplotlib
    from cycler import cycler
    from matplotlib.figure import Figure as Canvas

    colours = _GROUND[ground]
    settings: dict[Any, Any] = {
        "axes.prop_cycle": cycler(color=_PALETTE),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.titlesize": 10,
        "axes.labelsize": 9,
        "grid.color": colours["grid"],
        "grid.linewidth": 0.6,
        "lines.linewidth": 1.4,
        "legend.fontsize": 8,
        "legend.framealpha": 0.85,
        "legend.facecolor": colours["paper"],
        "legend.edgecolor": colours["grid"],
        "xtick.labelsize": 8,
        "ytick.labelsize": 8,
        "figure.facecolor": colours["paper"],
        "axes.facecolor": colours["paper"],
        "savefig.facecolor": colours["paper"],
        "text.color": colours["ink"],
        "axes.labelcolor": colours["ink"],
        "axes.edgecolor": colours["ink"],
        "xtick.color": colours["ink"],
        "ytick.color": colours["ink"],
    }
    with matplotlib.rc_context(settings):
        canvas = Canvas(figsize=figure.size, layout="constrained")
        figure.draw(canvas)
        buffer = io.BytesIO()
        canvas.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def save_figures(record: Record, path: str | Path) -> list[Path]:
    """Draw all figures of a record: the first as `path`, the others numbered beside it."""
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ValueError(f"path must end in .png, got {path.name!r}")
    path.parent.mkdir(parents=True, exist_ok=True)
    written = []
    for number, figure in enumerate(record.figures, start=1):
        target = path if number == 1 else path.with_stem(f"{path.stem}-{number}")
        target.write_bytes(draw_figure(figure))
        written.append(target)
    return written

"""Chart of the sizes of the files."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from matplotlib.figure import Figure

from src.report.charts.chart import Chart, label
from src.run.row import Row


def size_chart(rows: Sequence[Row], color_of: dict[str, str]) -> Chart:
    """Return a chart with one bar per format, which has the same file on all devices."""
    by_format = list({row.format: row for row in reversed(rows)}.values())[::-1]
    return Chart(
        "size",
        "Size of the files",
        " ".join(f"{row.format}: {(row.size_bytes or 0) / 1e6:.1f} MB." for row in by_format),
        functools.partial(_bars, by_format, color_of),
    )


def _bars(rows: Sequence[Row], color_of: dict[str, str], width: float) -> Figure:
    figure = Figure(figsize=(width, 0.9 + 0.36 * len(rows)), layout="constrained")
    axes = figure.subplots()
    bars = axes.barh(
        range(len(rows)),
        [(row.size_bytes or 0) / 1e6 for row in rows],
        color=[color_of[row.format] for row in rows],
        height=0.62,
    )
    axes.bar_label(bars, fmt="%.1f", padding=4, fontsize=9)
    axes.set_yticks(range(len(rows)), [label(row.format) for row in rows])
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.14)
    axes.set_xlabel("size, MB")
    axes.grid(visible=True, axis="x")
    return figure

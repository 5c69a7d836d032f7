"""Chart of the latency of every call: one histogram per row."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from src.report.charts.chart import Chart, label, milliseconds, samples_of, short_name
from src.report.charts.style import INK
from src.run.latency import Cell
from src.run.row import Row

_BINS = 48


def latency_chart(rows: Sequence[Row], size: int, color_of: dict[str, str]) -> Chart:
    """Return the chart of the latency distribution of each row at one batch size."""
    timed = [(row, cell) for row in rows if (cell := row.cell(size)) is not None]
    medians = " ".join(
        f"{short_name(row, rows)}: median {1e3 * cell.p50_s:.2f} ms of {cell.samples} calls."
        for row, cell in timed
    )
    return Chart(
        f"latency_batch_{size}",
        f"Every call's latency, batch {size}",
        f"Distribution of latency by row. {medians}",
        functools.partial(_distributions, timed, rows, color_of),
    )


def _distributions(
    timed: Sequence[tuple[Row, Cell]], rows: Sequence[Row], color_of: dict[str, str], width: float
) -> Figure:
    """Draw a histogram of each row over the logarithm of latency, with its median."""
    figure = Figure(figsize=(width, 1.0 + 0.52 * len(timed)), layout="constrained")
    axes = figure.subplots()
    samples = np.concatenate([samples_of(cell) for _, cell in timed])
    edges = np.geomspace(samples.min() * 0.98, samples.max() * 1.02, _BINS + 1)
    for line, (row, cell) in enumerate(timed):
        counts, _ = np.histogram(samples_of(cell), edges)
        heights = 0.82 * counts / counts.max()
        axes.stairs(
            line - heights,
            1e3 * edges,
            baseline=line,
            fill=True,
            color=color_of[row.format],
            alpha=0.75,
            linewidth=0,
        )
        median = 1e3 * cell.p50_s
        axes.plot([median, median], [line, line - 0.9], color=INK, linewidth=1.4)
        axes.annotate(
            f"{median:.2f}",
            (median, line - 0.9),
            xytext=(3, -1),
            textcoords="offset points",
            va="top",
            fontsize=8,
        )
    milliseconds(axes, [float(edges[0]), float(edges[-1])])
    axes.set_yticks(range(len(timed)), [label(short_name(row, rows)) for row, _ in timed])
    axes.set_ylim(len(timed) - 0.8, -1.05)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("latency of a call, ms; the line is the median")
    axes.grid(visible=True, axis="x")
    return figure

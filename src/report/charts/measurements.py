"""The measurements as charts: speed against accuracy, every call's latency, sizes, the training."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from src.report.charts.chart import Chart, cell_of, label, milliseconds, name_of, samples_of
from src.report.charts.learning_curves import curves_of, training
from src.report.charts.style import INK, colors
from src.report.charts.tradeoff import standing, tradeoff, tradeoff_in_words
from src.report.table import batch_sizes, measured

Row = dict[str, Any]

_BINS = 48


def charts(results: Row) -> Iterator[Chart]:
    """Every chart there is something to draw for."""
    rows = [row for row in measured(results) if row["latency"]]
    tint = colors([row["format"] for row in results["rows"]])
    sizes = batch_sizes(results)
    points = standing(results, rows, sizes[0], tint) if sizes else []
    if points:
        yield Chart(
            "tradeoff",
            f"Latency against accuracy, batch {sizes[0]}",
            tradeoff_in_words(points),
            lambda width: tradeoff(points, width),
        )
    for size in sizes:
        timed = [(row, cell) for row in rows if (cell := cell_of(row, size)) is not None]
        yield Chart(
            f"latency_batch_{size}",
            f"Every call's latency, batch {size}",
            "Distribution of latency by row. "
            + " ".join(
                f"{name_of(row, rows)}: median {1e3 * cell['p50_s']:.2f} ms of "
                f"{cell['samples']} calls."
                for row, cell in timed
            ),
            functools.partial(_distributions, timed, rows, tint),
        )
    if rows:
        yield Chart(
            "size",
            "Size of the files",
            " ".join(f"{row['format']}: {row['size_bytes'] / 1e6:.1f} MB." for row in _once(rows)),
            lambda width: _sizes(_once(rows), tint, width),
        )
    if curves_of(results):
        yield training(results)


def _once(rows: Sequence[Row]) -> list[Row]:
    """A row a format: its file is the same on every device."""
    return list({row["format"]: row for row in reversed(rows)}.values())[::-1]


def _distributions(
    timed: Sequence[tuple[Row, Row]], rows: Sequence[Row], tint: dict[str, str], width: float
) -> Figure:
    """A histogram of each row over the logarithm of latency, with its median."""
    figure = Figure(figsize=(width, 1.0 + 0.52 * len(timed)), layout="constrained")
    axes = figure.subplots()
    everything = np.concatenate([samples_of(cell) for _, cell in timed])
    edges = np.geomspace(everything.min() * 0.98, everything.max() * 1.02, _BINS + 1)
    for line, (row, cell) in enumerate(timed):
        counts, _ = np.histogram(samples_of(cell), edges)
        heights = 0.82 * counts / counts.max()
        axes.stairs(
            line - heights,
            1e3 * edges,
            baseline=line,
            fill=True,
            color=tint[row["format"]],
            alpha=0.75,
            linewidth=0,
        )
        median = 1e3 * cell["p50_s"]
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
    axes.set_yticks(range(len(timed)), [label(name_of(row, rows)) for row, _ in timed])
    axes.set_ylim(len(timed) - 0.8, -1.05)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("latency of a call, ms; the line is the median")
    axes.grid(visible=True, axis="x")
    return figure


def _sizes(rows: Sequence[Row], tint: dict[str, str], width: float) -> Figure:
    figure = Figure(figsize=(width, 0.9 + 0.36 * len(rows)), layout="constrained")
    axes = figure.subplots()
    bars = axes.barh(
        range(len(rows)),
        [row["size_bytes"] / 1e6 for row in rows],
        color=[tint[row["format"]] for row in rows],
        height=0.62,
    )
    axes.bar_label(bars, fmt="%.1f", padding=4, fontsize=9)
    axes.set_yticks(range(len(rows)), [label(row["format"]) for row in rows])
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.14)
    axes.set_xlabel("size, MB")
    axes.grid(visible=True, axis="x")
    return figure

"""Chart of latency against accuracy: one bubble per file, and the Pareto front."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from src.report import pareto
from src.report.charts.chart import milliseconds, samples_of, short_name
from src.report.charts.labels import place
from src.report.charts.style import FAINT, WIDE, plain
from src.report.sections.rows import accuracy_of
from src.run.latency import Cell
from src.run.results import Results
from src.run.row import Row

_LARGEST = 900.0  # points^2, the bubble of the largest file
_SMALLEST = 28.0  # points^2; a smaller bubble cannot be seen
MOST_NAMES = 12  # if there are more bubbles, only those on the front are labelled


@dataclass(frozen=True)
class Point:
    """A file as a point of latency and accuracy.

    Args:
        label: name of the file.
        seconds: median latency.
        low_seconds: first quartile of the latency.
        high_seconds: third quartile of the latency.
        top1: accuracy, a share of 1.
        low_top1: lower end of the 95 % interval of the difference to the baseline, plus the
            baseline's top-1.
        high_top1: upper end of that interval, plus the baseline's top-1.
        bytes: size of the file.
        color: colour of its bubble.
        marker: matplotlib's marker.
        holds: it may be on the front; False for a file that is known not to work there, and for
            one that is for another destination than the others.
    """

    label: str
    seconds: float
    low_seconds: float
    high_seconds: float
    top1: float
    low_top1: float
    high_top1: float
    bytes: int
    color: str
    marker: str = "o"
    holds: bool = True

    def as_baseline(self) -> Point:
        """Return the point without an interval: the baseline's difference to itself has none."""
        return dataclasses.replace(self, low_top1=self.top1, high_top1=self.top1)


def point_of(label: str, row: Row, cell: Cell, color: str) -> Point:
    """Return the point of a row at one batch size.

    Args:
        label: name of the point.
        row: the row of the file.
        cell: its timing at the batch size.
        color: colour of the bubble.
    """
    accuracy = accuracy_of(row)
    paired = accuracy.paired
    top1 = low_top1 = high_top1 = accuracy.top1
    if paired is not None and row.verdict != "same":  # the same network has no interval
        low_top1 = top1 + paired.delta_low - paired.delta_top1
        high_top1 = top1 + paired.delta_high - paired.delta_top1
    low, high = np.percentile(samples_of(cell), [25, 75])
    return Point(
        label=label,
        seconds=cell.p50_s,
        low_seconds=min(float(low), cell.p50_s),
        high_seconds=max(float(high), cell.p50_s),
        top1=top1,
        low_top1=min(top1, low_top1),
        high_top1=max(top1, high_top1),
        bytes=row.size_bytes or 0,
        color=color,
        marker={"cpu": "o", "browser": "s"}.get(row.device, "D"),
    )


def points_of_run(
    results: Results, rows: Sequence[Row], size: int, color_of: dict[str, str]
) -> list[Point]:
    """Return the points of one run at a batch size."""
    points = []
    for row in rows:
        cell = row.cell(size)
        if row.accuracy and cell is not None:
            point = point_of(short_name(row, rows), row, cell, color_of[row.format])
            point = dataclasses.replace(point, holds=row.device != "browser")
            is_baseline = row.format == results.baseline
            points.append(point.as_baseline() if is_baseline else point)
    return points


def tradeoff(points: Sequence[Point], width: float) -> Figure:
    """Draw latency against accuracy: bubbles by size, their error bars, the Pareto front."""
    figure = Figure(figsize=(width, 4.0 if width < WIDE else 4.6), layout="constrained")
    axes = figure.subplots()
    best = front_of(points)
    if len(best) > 1:
        axes.plot(
            [1e3 * point.seconds for point in best],
            [100 * point.top1 for point in best],
            color=FAINT,
            linestyle=(0, (4, 3)),
            linewidth=1.2,
            drawstyle="steps-post",
            label="Pareto front",
            zorder=1,
        )
    largest = max(point.bytes for point in points)
    for point in points:
        x, y = 1e3 * point.seconds, 100 * point.top1
        axes.errorbar(
            x,
            y,
            xerr=[[x - 1e3 * point.low_seconds], [1e3 * point.high_seconds - x]],
            yerr=[[y - 100 * point.low_top1], [100 * point.high_top1 - y]],
            ecolor=point.color,
            elinewidth=1,
            capsize=2,
            fmt="none",
            zorder=2,
        )
        axes.scatter(
            x,
            y,
            s=max(_SMALLEST, _LARGEST * point.bytes / largest),
            color=point.color,
            marker=point.marker,
            alpha=0.75,
            linewidths=0,
            zorder=3,
        )
    milliseconds(axes, [point.low_seconds for point in points] + [p.high_seconds for p in points])
    low = min(point.low_top1 for point in points)
    high = max(point.high_top1 for point in points)
    room = max(0.6, 100 * (high - low) * 0.25)
    axes.set_ylim(100 * low - room, min(100 * high + room, 100 + room))
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.set_xlabel("latency, p50, ms (less is better)")
    axes.set_ylabel("top-1, %")
    axes.grid(visible=True, axis="both")
    named = points if len(points) <= MOST_NAMES else best
    place(
        axes,
        [(1e3 * point.seconds, 100 * point.top1) for point in named],
        [f"{plain(point.label)}\n{point.bytes / 1e6:.1f} MB" for point in named],
    )
    return figure


def tradeoff_in_words(points: Sequence[Point]) -> str:
    """Return the contents of the figure for readers who cannot see it."""
    figures = " ".join(
        f"{point.label}: {1e3 * point.seconds:.2f} ms, {100 * point.top1:.2f} %, "
        f"{point.bytes / 1e6:.1f} MB."
        for point in points
    )
    names = ", ".join(point.label for point in front_of(points)) or "none"
    return (
        f"Latency against top-1 accuracy, a bubble a file. {figures} On the Pareto front: {names}."
    )


def front_of(points: Sequence[Point]) -> list[Point]:
    """Return the points on the Pareto front, the fastest first."""
    holding = [point for point in points if point.holds]
    best = pareto.front([(point.seconds, point.top1) for point in holding])
    return [holding[index] for index in best]

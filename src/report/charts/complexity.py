"""Chart of latency against the size of a network: a point per file, and the Pareto front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from src.report import pareto
from src.report.charts.chart import milliseconds
from src.report.charts.style import FAINT, WIDE, colors, plain

MOST_NAMES = 12  # points on the front that are labelled


@dataclass(frozen=True)
class Point:
    """A file as a point of latency and size of the network.

    Args:
        label: the network and the format.
        group: the points of a group have one colour.
        amount: size of the network, in the unit of the axis.
        seconds: median latency.
        low_seconds: first quartile of the latency.
        high_seconds: third quartile of the latency.
    """

    label: str
    group: str
    amount: float
    seconds: float
    low_seconds: float
    high_seconds: float


def complexity(points: Sequence[Point], axis: str, width: float = WIDE) -> Figure:
    """Draw the chart.

    Both axes are logarithmic. The front has the files that no larger network is faster than.

    Args:
        points: at least one.
        axis: the name of the size, with its unit.
        width: in inches.
    """
    figure = Figure(figsize=(width, 0.6 * width), layout="constrained")
    axes = figure.subplots()
    color_of = colors([point.group for point in points])
    for group, color in color_of.items():
        members = [point for point in points if point.group == group]
        seconds = [1e3 * point.seconds for point in members]
        errors = [
            [1e3 * (point.seconds - point.low_seconds) for point in members],
            [1e3 * (point.high_seconds - point.seconds) for point in members],
        ]
        amounts = [point.amount for point in members]
        axes.errorbar(seconds, amounts, xerr=errors, fmt="o", color=color, label=plain(group))
    front = on_front(points)
    axes.plot(
        [1e3 * point.seconds for point in front],
        [point.amount for point in front],
        linestyle="--",
        linewidth=1,
        color=FAINT,
        zorder=0,
    )
    for point in front[:MOST_NAMES]:
        axes.annotate(
            plain(point.label),
            (1e3 * point.seconds, point.amount),
            xytext=(4, -9),
            textcoords="offset points",
            fontsize=7,
        )
    milliseconds(axes, [point.seconds for point in points])
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("ms a call (median; middle half of the calls)")
    axes.set_ylabel(axis)
    axes.grid(visible=True)
    axes.legend(loc="lower right")
    return figure


def on_front(points: Sequence[Point]) -> list[Point]:
    """Return the points of the Pareto front, the fastest first."""
    pairs = [(point.seconds, point.amount) for point in points]
    return [points[index] for index in pareto.front(pairs)]


def complexity_in_words(points: Sequence[Point], axis: str) -> str:
    """Return the points of the front in words, for readers who cannot see the chart."""
    parts = [
        f"{point.label}: {1e3 * point.seconds:.2f} ms, {point.amount:.3g} {axis}"
        for point in on_front(points)
    ]
    return f"Latency against {axis}. The Pareto front: {'; '.join(parts)}."

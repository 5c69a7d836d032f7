"""A chart of a report, and the parts that several share: names of rows, the axis of latencies."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from src.report.charts.style import WIDE, house, plain
from src.run.latency import Cell
from src.run.row import Row
from src.system import atomic_files


@dataclass(frozen=True)
class Chart:
    """A figure that can be drawn as wide as a page or a phone.

    Args:
        name: of its file, without a suffix.
        title: above it on a page.
        description: its contents in words, for readers who cannot see it.
        drawn: from a width in inches to the figure.
    """

    name: str
    title: str
    description: str
    drawn: Callable[[float], Figure]

    def draw(self, width: float = WIDE) -> Figure:
        """Return the figure, drawn anew in the style of all charts."""
        with house():
            return self.drawn(width)


def short_name(row: Row, rows: Sequence[Row]) -> str:
    """Return the format, and the device where ``rows`` are of more than one."""
    several = len({other.device for other in rows}) > 1
    return f"{row.format} {row.device}" if several else str(row.format)


def samples_of(cell: Cell) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the seconds of every timed call."""
    return np.asarray([*itertools.chain.from_iterable(cell.seconds.values())], np.float64)


def milliseconds(axes: Axes, seconds: Sequence[float]) -> None:
    """Make the x axis a logarithmic one of latencies in ms, whose ticks are plain numbers."""
    axes.set_xscale("log")
    low, high = 1e3 * min(seconds), 1e3 * max(seconds)
    axes.set_xlim(low * 0.8, high * 1.25)
    few = high / low > 30  # noqa: PLR2004  # from one and a half decades on, three ticks each
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 3) if few else (1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG."""
    FigureCanvasAgg(figure)
    with atomic_files.whole_file(path) as file:
        figure.savefig(file, dpi=110, format="png")


def label(name: str) -> str:
    """Return the name of a row on an axis, broken where a phone has no room."""
    return plain(name if len(name) <= 14 else name.replace("_", "_\n", 2).replace("_\n", "_", 1))  # noqa: PLR2004


def label_of_class(name: str) -> str:
    """Return the name of a class as a label: no markup of matplotlib's, no more than fits."""
    return plain(name if len(name) <= 12 else name[:11] + "…")  # noqa: PLR2004

"""Chart of a report, and parts that several charts share: row names and the latency axis."""

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
    """A figure that can be drawn in any width, for a page or for a phone.

    Args:
        name: name of its file, without a suffix.
        title: heading on a page.
        description: its contents in words, for readers who cannot see it.
        drawn: draws the figure in a width in inches.
    """

    name: str
    title: str
    description: str
    drawn: Callable[[float], Figure]

    def draw(self, width: float = WIDE) -> Figure:
        """Return a new figure in the style of all charts."""
        with house():
            return self.drawn(width)


def short_name(row: Row, rows: Sequence[Row]) -> str:
    """Return the format, with the device if ``rows`` have more than one."""
    several = len({other.device for other in rows}) > 1
    return f"{row.format} {row.device}" if several else str(row.format)


def samples_of(cell: Cell) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the seconds of every timed call."""
    return np.asarray([*itertools.chain.from_iterable(cell.seconds.values())], np.float64)


def milliseconds(axes: Axes, seconds: Sequence[float]) -> None:
    """Make the x axis logarithmic, for latencies in ms, with plain numbers as ticks."""
    axes.set_xscale("log")
    low, high = 1e3 * min(seconds), 1e3 * max(seconds)
    axes.set_xlim(low * 0.8, high * 1.25)
    few = high / low > 30  # noqa: PLR2004  # three ticks per decade are too many here
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 3) if few else (1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG."""
    FigureCanvasAgg(figure)
    with atomic_files.whole_file(path) as file:
        figure.savefig(file, dpi=110, format="png")


def label(name: str) -> str:
    """Return the name of a row on an axis, broken into lines if it is long."""
    return plain(name if len(name) <= 14 else name.replace("_", "_\n", 2).replace("_\n", "_", 1))  # noqa: PLR2004


def label_of_class(name: str) -> str:
    """Return the name of a class as a label: shortened, and not read as matplotlib's markup."""
    return plain(name if len(name) <= 12 else name[:11] + "…")  # noqa: PLR2004

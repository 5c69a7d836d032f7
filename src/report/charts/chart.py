"""A figure of a report, and what all of them share: names of rows and the axis of latencies."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from src.report.charts.style import WIDE, house, plain

Row = dict[str, Any]


@dataclass(frozen=True)
class Chart:
    """A figure that can be drawn as wide as a page or a phone, with what it shows in words."""

    name: str
    title: str
    description: str
    drawn: Callable[[float], Figure]  # by its width in inches

    def draw(self, width: float = WIDE) -> Figure:
        with house():
            return self.drawn(width)


def name_of(row: Row, rows: Sequence[Row]) -> str:
    """The format, and the device where there is more than one."""
    several = len({each["device"] for each in rows}) > 1
    return f"{row['format']} {row['device']}" if several else str(row["format"])


def samples_of(cell: Row) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Seconds of every timed call."""
    return np.asarray([*itertools.chain.from_iterable(cell["seconds"].values())], np.float64)


def cell_of(row: Row, size: int) -> Row | None:
    return next((cell for cell in row["latency"] if cell["batch_size"] == size), None)


def milliseconds(axes: Axes, seconds: Sequence[float]) -> None:
    """A logarithmic axis of latencies, in ms, whose ticks are plain numbers."""
    axes.set_xscale("log")
    low, high = 1e3 * min(seconds), 1e3 * max(seconds)
    axes.set_xlim(low * 0.8, high * 1.25)
    few = high / low > 30  # noqa: PLR2004  # from one and a half decades on, three ticks each
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 3) if few else (1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def label(name: str) -> str:
    """A row's name on an axis, broken where a phone has no room."""
    return plain(name if len(name) <= 14 else name.replace("_", "_\n", 2).replace("_\n", "_", 1))  # noqa: PLR2004

"""The measurements as charts: speed against accuracy, every call's latency, sizes, the training."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from src.report import pareto
from src.report.labels import place
from src.report.style import FAINT, INK, WIDE, colors, house, plain
from src.report.table import batch_sizes, measured

Row = dict[str, Any]

_LARGEST = 900.0  # points^2, the bubble of the largest file
_SMALLEST = 28.0  # below this a bubble can't be seen
_BINS = 48
MOST_NAMES = 12  # beside bubbles; of more only those on the front have one


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


@dataclass(frozen=True)
class Point:
    """A file in the plane of latency and accuracy."""

    label: str
    seconds: float  # p50
    low_seconds: float  # the fastest quarter of the calls is below
    high_seconds: float  # the slowest quarter is above
    top1: float  # share of 1
    low_top1: float  # the 95 % interval of its distance to the baseline
    high_top1: float
    bytes: int
    color: str
    marker: str = "o"


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
        timed = [(row, cell) for row in rows if (cell := _cell(row, size)) is not None]
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
    if results.get("training"):
        yield _training(results)


def points_of(rows: Sequence[tuple[str, Row, Row, str]]) -> list[Point]:
    """Where each row stands, with the middle half of its calls and its accuracy's interval.

    Args:
        rows: a label, the row, its cell at one batch size, and its colour.
    """
    found = []
    for label, row, cell, color in rows:
        accuracy = row["accuracy"]
        low, high = np.percentile(samples_of(cell), [25, 75])
        delta = accuracy.get("delta_top1", 0.0)
        found.append(
            Point(
                label=label,
                seconds=cell["p50_s"],
                low_seconds=min(float(low), cell["p50_s"]),
                high_seconds=max(float(high), cell["p50_s"]),
                top1=accuracy["top1"],
                low_top1=accuracy["top1"] + accuracy.get("delta_low", delta) - delta,
                high_top1=accuracy["top1"] + accuracy.get("delta_high", delta) - delta,
                bytes=row["size_bytes"],
                color=color,
                marker="o" if row["device"] == "cpu" else "D",
            )
        )
    return found


def standing(results: Row, rows: Sequence[Row], size: int, tint: dict[str, str]) -> list[Point]:
    """The points of one run; its baseline has no interval to itself."""
    found = points_of(
        [
            (name_of(row, rows), row, cell, tint[row["format"]])
            for row in rows
            if row["accuracy"] and (cell := _cell(row, size)) is not None
        ]
    )
    names = {name_of(row, rows) for row in rows if row["format"] == results["baseline"]}
    return [
        dataclasses.replace(each, low_top1=each.top1, high_top1=each.top1)
        if each.label in names
        else each
        for each in found
    ]


def tradeoff(points: Sequence[Point], width: float) -> Figure:
    """Latency against accuracy: bubbles by size, their error bars, the Pareto front."""
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
    _milliseconds(axes, [point.low_seconds for point in points] + [p.high_seconds for p in points])
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
    """The same figure for who cannot see it."""
    each = " ".join(
        f"{point.label}: {1e3 * point.seconds:.2f} ms, {100 * point.top1:.2f} %, "
        f"{point.bytes / 1e6:.1f} MB."
        for point in points
    )
    names = ", ".join(point.label for point in front_of(points))
    return f"Latency against top-1 accuracy, a bubble a file. {each} On the Pareto front: {names}."


def front_of(points: Sequence[Point]) -> list[Point]:
    """Those that no other is both as fast and more accurate than, from the fastest on."""
    best = pareto.front([(point.seconds, point.top1) for point in points])
    return [points[index] for index in best]


def name_of(row: Row, rows: Sequence[Row]) -> str:
    """The format, and the device where there is more than one."""
    several = len({each["device"] for each in rows}) > 1
    return f"{row['format']} {row['device']}" if several else str(row["format"])


def samples_of(cell: Row) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Seconds of every timed call."""
    return np.asarray([*itertools.chain.from_iterable(cell["seconds"].values())], np.float64)


def _cell(row: Row, size: int) -> Row | None:
    return next((cell for cell in row["latency"] if cell["batch_size"] == size), None)


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
    _milliseconds(axes, [float(edges[0]), float(edges[-1])])
    axes.set_yticks(range(len(timed)), [_label(name_of(row, rows)) for row, _ in timed])
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
    axes.set_yticks(range(len(rows)), [_label(row["format"]) for row in rows])
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.14)
    axes.set_xlabel("size, MB")
    axes.grid(visible=True, axis="x")
    return figure


def _training(results: Row) -> Chart:
    curves = results["training"]
    shipped = results["checkpoint"]["epoch"] + 1
    last = curves["val_loss"]["epochs"][-1]
    words = f"Losses and validation top-1 over {last:g} epochs; epoch {shipped} is exported."
    if "val_top1" in curves:
        words += f" The last top-1 is {100 * curves['val_top1']['values'][-1]:.2f} %."

    def drawn(width: float) -> Figure:
        lines = 1 if width >= WIDE else 2
        figure = Figure(figsize=(width, 2.9 * lines), layout="constrained")
        losses, accuracies = figure.subplots(lines, 3 - lines).flat
        for name, label in (("train_loss", "training"), ("val_loss", "validation")):
            if name in curves:
                mark = "" if name == "train_loss" else "o"
                losses.plot(
                    curves[name]["epochs"],
                    curves[name]["values"],
                    marker=mark,
                    markersize=3.5,
                    linewidth=1.4,
                    label=label,
                    color=_CURVES[name],
                )
        losses.set_ylabel("loss")
        losses.legend()
        if "val_top1" in curves:
            accuracies.plot(
                curves["val_top1"]["epochs"],
                [100 * value for value in curves["val_top1"]["values"]],
                marker="o",
                markersize=3.5,
                linewidth=1.4,
                color=_CURVES["val_loss"],
            )
        accuracies.set_ylabel("validation top-1, %")
        for axes in (losses, accuracies):
            axes.axvline(shipped, color=FAINT, linestyle=(0, (4, 3)), linewidth=1.2)
            axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
            axes.set_xlabel("epoch; dashed: the exported one")
            axes.grid(visible=True)
        return figure

    return Chart("training", "Training", words, drawn)


_CURVES = {"train_loss": "#7d8590", "val_loss": "#2f7fd1"}


def _milliseconds(axes: Axes, seconds: Sequence[float]) -> None:
    """A logarithmic axis of latencies, in ms, whose ticks are plain numbers."""
    axes.set_xscale("log")
    low, high = 1e3 * min(seconds), 1e3 * max(seconds)
    axes.set_xlim(low * 0.8, high * 1.25)
    few = high / low > 30  # noqa: PLR2004  # from one and a half decades on, three ticks each
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 3) if few else (1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _label(name: str) -> str:
    """A row's name on an axis, broken where a phone has no room."""
    return plain(name if len(name) <= 14 else name.replace("_", "_\n", 2).replace("_\n", "_", 1))  # noqa: PLR2004

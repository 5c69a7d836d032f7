"""Chart of the accuracy of each class by each row."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

from matplotlib.figure import Figure

from src.report.charts.chart import Chart, label_of_class
from src.report.charts.style import WIDE, colors
from src.report.sections.rows import measured, paired_of
from src.run.results import Results
from src.run.row import Row

_MOST = 20  # classes
_MOST_NARROW = 6  # classes on a phone


def class_chart(results: Results) -> Chart | None:
    """Return the chart of the accuracy of each class; None if no row has these figures."""
    rows = [row for row in measured(results) if _by_class(row)]
    if not rows:
        return None
    return Chart(
        "per_class",
        "Accuracy of each class",
        "Top-1 of each class by each file; benchmark.json has the figures.",
        functools.partial(_bars, results, rows),
    )


def _by_class(row: Row) -> dict[int, tuple[float, float]]:
    """Return the accuracies of the baseline and of the row, for each class that has images."""
    paired = paired_of(row)
    return {
        entry.index: (entry.before, entry.after)
        for entry in (paired.per_class if paired else ())
        if entry.before is not None and entry.after is not None
    }


def _worst_classes(rows: Sequence[Row]) -> list[int]:
    """Return the class indices; those with the largest loss by any row come first."""
    changes: dict[int, float] = {}
    for row in rows:
        for index, (before, after) in _by_class(row).items():
            changes[index] = min(changes.get(index, 0.0), after - before)
    return sorted(changes, key=lambda index: (changes[index], index))


def _bars(results: Results, rows: Sequence[Row], width: float) -> Figure:
    """Draw a group of bars per class, with one bar per row."""
    most = _MOST if width >= WIDE else _MOST_NARROW
    worst = _worst_classes(rows)
    shown = worst[:most]
    figure = Figure(figsize=(width, 3.6), layout="constrained")
    color_of = colors([row.format for row in results.rows])
    axes = figure.subplots()
    step = 0.8 / len(rows)
    for number, row in enumerate(rows):
        by_class = _by_class(row)
        axes.bar(
            [position + (number - (len(rows) - 1) / 2) * step for position in range(len(shown))],
            [100 * by_class[index][1] if index in by_class else 0.0 for index in shown],
            width=step,
            label=f"{row.format} {row.device}",
            color=color_of[row.format],
        )
    names = [label_of_class(results.class_names[index]) for index in shown]
    slanted = sum(map(len, names)) > 9 * width  # 9 characters fit into an inch
    axes.set_xticks(
        range(len(shown)), names, rotation=40 if slanted else 0, ha="right" if slanted else "center"
    )
    lowest = min(after for row in rows for _, after in _by_class(row).values())
    # If all bars end near 100, an axis from 0 would hide their differences.
    axes.set_ylim(max(0.0, math.floor(10 * lowest) * 10 - 10), 100)
    axes.set_ylabel("top-1, %")
    axes.set_title(
        "Accuracy of each class"
        + (f", the {most} that lose the most" if len(worst) > most else ""),
        fontsize=9,
    )
    columns = 2 if width < WIDE else 4
    figure.legend(fontsize=8, loc="outside lower center", ncols=min(len(rows), columns))
    return figure

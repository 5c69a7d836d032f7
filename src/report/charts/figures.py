"""Pictures of the measurements, drawn from ``benchmark.json`` and the run's ``flipped/`` folder."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from src.report.charts.style import WIDE, colors, plain
from src.system import atomic_files, links

COLUMNS = 8
MOST_PICTURES = 24
MOST_CLASSES = 20
FEW_CLASSES = 6


def draw(results: dict[str, Any], flipped: Path) -> Iterator[tuple[str, Figure]]:
    """Every figure there is something to draw for, by name.

    Args:
        results: the content of ``benchmark.json``.
        flipped: the folder of the pictures that some row answers otherwise than the baseline.
    """
    rows = [row for row in results["rows"] if row["status"] == "ok" and row["accuracy"]]
    for row in rows:
        flips = [
            flip
            for flip in row["accuracy"].get("flips", ())
            if is_own(flipped / f"{flip['position']}.png")
        ]
        if flips:
            yield (
                f"flipped_{row['format']}_{row['device']}",
                _pictures(results, row, flips, flipped),
            )
    if found := compared(results):
        yield "per_class", classes(results, found)


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG."""
    FigureCanvasAgg(figure)
    with atomic_files.whole_file(path) as file:
        figure.savefig(file, dpi=110, format="png")


def is_own(picture: Path) -> bool:
    """Whether a file is there, and not elsewhere: a page may not show what a link leads to."""
    return picture.is_file() and links.target_outside(picture, picture.parent) is None


def _pictures(
    results: dict[str, Any], row: dict[str, Any], flips: list[dict[str, int]], folder: Path
) -> Figure:
    """The images that changed their answer: the lost first, then the gained, then the rest."""
    shown = sorted(flips, key=rank)[:MOST_PICTURES]
    lines = math.ceil(len(shown) / COLUMNS)
    columns = min(COLUMNS, max(4, len(shown)))
    figure = Figure(figsize=(1.3 * columns, 1.75 * lines + 0.7), layout="constrained")
    accuracy = row["accuracy"]
    figure.suptitle(
        f"{row['format']} on {row['device']}: {accuracy['lost']} lost, "
        f"{accuracy['gained']} gained, {len(accuracy['flips'])} of {accuracy['images']} "
        "answered otherwise",
        fontsize=9,
    )
    axes = figure.subplots(lines, columns, squeeze=False)
    for place in axes.flat:
        place.set_axis_off()
    names = results["class_names"]
    for place, flip in zip(axes.flat, shown, strict=False):
        try:
            with Image.open(folder / f"{flip['position']}.png") as picture:
                place.imshow(picture)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            # It was written beside the figures and is no part of them: a page is made without.
            place.text(0.5, 0.5, "unreadable", ha="center", fontsize=7)
        color, word = [("#b3261e", "lost"), ("#1e6b34", "gained"), ("#555555", "still wrong")][
            rank(flip)
        ]
        place.set_title(
            f"{word}\ntrue {_short(names[flip['true']])}\n"
            f"{_short(names[flip['before']])} to {_short(names[flip['after']])}",
            fontsize=7,
            color=color,
        )
    return figure


def rank(flip: dict[str, int]) -> int:
    """0 for an image that was lost, 1 for one that was gained, 2 for one that is wrong still."""
    if flip["before"] == flip["true"]:
        return 0
    return 1 if flip["after"] == flip["true"] else 2


def compared(results: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of which the accuracy of some class is known."""
    return [row for row in results["rows"] if row["status"] == "ok" and _by_class(row)]


def _by_class(row: dict[str, Any]) -> dict[int, tuple[float, float]]:
    """The accuracy of each class by the baseline and by the row; not of one without images."""
    return {
        entry["index"]: (entry["before"], entry["after"])
        for entry in (row["accuracy"] or {}).get("per_class", ())
        if entry["before"] is not None and entry["after"] is not None
    }


def classes(
    results: dict[str, Any],
    rows: list[dict[str, Any]],
    width: float = WIDE,
    most: int = MOST_CLASSES,
) -> Figure:
    """Each class's accuracy by each row, the classes that lose the most first.

    Args:
        results: the content of ``benchmark.json``.
        rows: what is shown of it.
        width: in inches.
        most: how many classes are shown.
    """
    drops: dict[int, float] = {}
    for row in rows:
        for index, (before, after) in _by_class(row).items():
            drops[index] = min(drops.get(index, 0.0), after - before)
    shown = sorted(drops, key=lambda index: (drops[index], index))[:most]
    figure = Figure(figsize=(width, 3.6), layout="constrained")
    tint = colors([row["format"] for row in results["rows"]])
    place = figure.subplots()
    step = 0.8 / len(rows)
    for number, row in enumerate(rows):
        found = _by_class(row)
        place.bar(
            [position + (number - (len(rows) - 1) / 2) * step for position in range(len(shown))],
            [100 * found[index][1] if index in found else 0.0 for index in shown],
            width=step,
            label=f"{row['format']} {row['device']}",
            color=tint[row["format"]],
        )
    names = [_short(results["class_names"][index]) for index in shown]
    slanted = sum(map(len, names)) > 9 * width  # characters to an inch of the axis
    place.set_xticks(
        range(len(shown)), names, rotation=40 if slanted else 0, ha="right" if slanted else "center"
    )
    lowest = min(after for row in rows for _, after in _by_class(row).values())
    # Bars that all end near 100 tell nothing from 0 on; the axis says where it starts.
    place.set_ylim(max(0.0, math.floor(10 * lowest) * 10 - 10), 100)
    place.set_ylabel("top-1, %")
    place.set_title(
        "Accuracy of each class"
        + (f", the {most} that lose the most" if len(drops) > most else ""),
        fontsize=9,
    )
    columns = 2 if width < WIDE else 4
    figure.legend(fontsize=8, loc="outside lower center", ncols=min(len(rows), columns))
    return figure


def _short(name: str) -> str:
    """A class's name as a label: no markup of matplotlib's, no more than fits."""
    return plain(name if len(name) <= 12 else name[:11] + "…")  # noqa: PLR2004

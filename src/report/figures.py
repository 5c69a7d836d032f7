"""Pictures of the measurements, drawn from ``benchmark.json`` and the run's ``flipped/`` folder."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

COLUMNS = 8
MOST_PICTURES = 24
MOST_CLASSES = 20


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
            if (flipped / f"{flip['position']}.png").is_file()
        ]
        if flips:
            yield (
                f"flipped_{row['format']}_{row['device']}",
                _pictures(results, row, flips, flipped),
            )
    compared = [row for row in rows if row["accuracy"].get("per_class")]
    if compared:
        yield "per_class", _classes(results, compared)


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG."""
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=110)


def _pictures(
    results: dict[str, Any], row: dict[str, Any], flips: list[dict[str, int]], folder: Path
) -> Figure:
    """The images that changed their answer: the lost first, then the gained, then the rest."""

    def rank(flip: dict[str, int]) -> int:
        if flip["before"] == flip["true"]:
            return 0
        return 1 if flip["after"] == flip["true"] else 2

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
        with Image.open(folder / f"{flip['position']}.png") as picture:
            place.imshow(picture)
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


def _classes(results: dict[str, Any], rows: list[dict[str, Any]]) -> Figure:
    """Each class's accuracy by the baseline and by each row, the worst hit classes first."""
    drops: dict[int, float] = {}
    for row in rows:
        for entry in row["accuracy"]["per_class"]:
            drop = entry["after"] - entry["before"]
            drops[entry["index"]] = min(drops.get(entry["index"], 0.0), drop)
    shown = sorted(drops, key=lambda index: (drops[index], index))[:MOST_CLASSES]
    width = max(5.0, 0.3 * len(shown) * max(2, len(rows)) / 2 + 2)
    figure = Figure(figsize=(min(width, 14), 3.6), layout="constrained")
    place = figure.subplots()
    step = 0.8 / len(rows)
    for number, row in enumerate(rows):
        after = {entry["index"]: entry["after"] for entry in row["accuracy"]["per_class"]}
        place.bar(
            [position + (number - (len(rows) - 1) / 2) * step for position in range(len(shown))],
            [100 * after[index] for index in shown],
            width=step,
            label=f"{row['format']} {row['device']}",
        )
    place.set_xticks(range(len(shown)), [_short(results["class_names"][index]) for index in shown])
    lowest = min(entry["after"] for row in rows for entry in row["accuracy"]["per_class"])
    # Bars that all end near 100 tell nothing from 0 on; the axis says where it starts.
    place.set_ylim(max(0.0, math.floor(10 * lowest) * 10 - 10), 100)
    place.set_ylabel("top-1, %")
    place.set_title(
        "Accuracy of each class"
        + (f", the {MOST_CLASSES} that lose the most" if len(drops) > MOST_CLASSES else ""),
        fontsize=9,
    )
    figure.legend(fontsize=7, loc="outside lower center", ncols=min(len(rows), 4))
    return figure


def _short(name: str) -> str:
    """A class's name as a label: no markup of matplotlib's, no more than fits."""
    plain = name.replace("$", r"\$")
    return plain if len(name) <= 12 else plain[:11] + "…"  # noqa: PLR2004

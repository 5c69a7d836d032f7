"""The test images that a row answers otherwise than the baseline, as one chart a row."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from src.report.charts.chart import Chart, label_of_class
from src.report.charts.style import OUTCOME_COLORS
from src.report.sections.answers import Flip, Flips
from src.system import links

_COLUMNS = 8
_MOST = 24  # pictures of a row


def flipped_charts(flips: Sequence[Flips], folder: Path) -> Iterator[Chart]:
    """Yield a chart for each row that flips an image whose picture was kept.

    Args:
        flips: of each row.
        folder: the run's folder of these pictures.
    """
    for row in flips:
        kept = [flip for flip in row.flips if is_own(picture_of(flip, folder))]
        if kept:
            title = (
                f"{row.name}: {row.lost} lost, {row.gained} gained, "
                f"{len(row.flips)} of {row.images} answered otherwise"
            )
            yield Chart(
                f"flipped_{row.format}_{row.device}",
                title,
                title,
                functools.partial(_pictures, title, kept[:_MOST], folder),
            )


def picture_of(flip: Flip, folder: Path) -> Path:
    """Return the path of the picture of a test image, which need not exist."""
    return folder / f"{flip.position}.png"


def is_own(picture: Path) -> bool:
    """Return whether a file exists in its folder: a page must not show what a link leads to."""
    return picture.is_file() and links.target_outside(picture, picture.parent) is None


def _pictures(title: str, flips: Sequence[Flip], folder: Path, _: float) -> Figure:
    lines = math.ceil(len(flips) / _COLUMNS)
    columns = min(_COLUMNS, max(4, len(flips)))
    figure = Figure(figsize=(1.3 * columns, 1.75 * lines + 0.7), layout="constrained")
    figure.suptitle(title, fontsize=9)
    grid = figure.subplots(lines, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, flip in zip(grid.flat, flips, strict=False):
        _draw_picture(axes, picture_of(flip, folder))
        axes.set_title(
            f"{flip.outcome}\ntrue {label_of_class(flip.true)}\n"
            f"{label_of_class(flip.before)} to {label_of_class(flip.after)}",
            fontsize=7,
            color=OUTCOME_COLORS[flip.outcome],
        )
    return figure


def _draw_picture(axes: Axes, path: Path) -> None:
    try:
        with Image.open(path) as picture:
            axes.imshow(picture)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        # The picture lies beside the figures and is no part of them: a page is made without it.
        axes.text(0.5, 0.5, "unreadable", ha="center", fontsize=7)

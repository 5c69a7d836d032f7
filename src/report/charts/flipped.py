"""Charts of the test images that a row classifies differently from the baseline."""

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
_MOST = 24  # images of a row
_LONGEST_SIDE = 1024  # pixels; a benchmark stores smaller ones


def flipped_charts(flips: Sequence[Flips], folder: Path) -> Iterator[Chart]:
    """Yield a chart for each row with flipped images, if files of them were stored.

    Args:
        flips: the flipped images of each row.
        folder: the folder of the image files.
    """
    for row in flips:
        kept = [
            (flip, folder / flip.image)
            for flip in row.flips
            if flip.image is not None and is_own(folder / flip.image)
        ]
        if kept:
            title = (
                f"{row.name}: {row.lost} lost, {row.gained} gained, "
                f"{len(row.flips)} of {row.images} answered otherwise"
            )
            yield Chart(
                f"flipped_{row.format}_{row.device}",
                title,
                title,
                functools.partial(_image_grid, title, kept[:_MOST]),
            )


def is_own(image: Path) -> bool:
    """Return True if a file exists and is not a link out of its folder.

    A page must not contain a file from elsewhere, to which a stranger's link may lead.
    """
    return image.is_file() and links.target_outside(image, image.parent) is None


def _image_grid(title: str, flips: Sequence[tuple[Flip, Path]], _: float) -> Figure:
    lines = math.ceil(len(flips) / _COLUMNS)
    columns = min(_COLUMNS, max(4, len(flips)))
    figure = Figure(figsize=(1.3 * columns, 1.75 * lines + 0.7), layout="constrained")
    figure.suptitle(title, fontsize=9)
    grid = figure.subplots(lines, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, (flip, path) in zip(grid.flat, flips, strict=False):
        _draw_image(axes, path)
        axes.set_title(
            f"{flip.outcome}\ntrue {label_of_class(flip.true)}\n"
            f"{label_of_class(flip.before)} to {label_of_class(flip.after)}",
            fontsize=7,
            color=OUTCOME_COLORS[flip.outcome],
        )
    return figure


def _draw_image(axes: Axes, path: Path) -> None:
    image = _small_image(path)
    if image is None:
        axes.text(0.5, 0.5, "unreadable", ha="center", fontsize=7)
    else:
        axes.imshow(image)


def _small_image(path: Path) -> Image.Image | None:
    """Return a stored image; None if it is damaged or large, which must not stop the page.

    A run may be a stranger's, and Pillow would start a program for a file of another format.
    """
    try:
        with Image.open(path, formats=("PNG",)) as image:
            if max(image.size) > _LONGEST_SIDE:
                return None
            image.load()
            return image
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None

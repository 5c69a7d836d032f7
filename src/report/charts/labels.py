"""Placement of labels beside points, without overlaps."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.transforms import Bbox

# Offsets of a label from its point, in points (1/72 inch), from the preferred one on.
_OFFSETS = [
    *((dx, dy) for dx, dy in ((14, 0), (-14, 0), (0, 16), (0, -16))),
    *itertools.product((12, -12), (18, -18)),
    *((dx, dy) for dx, dy in ((0, 34), (0, -34), (16, 36), (-16, 36), (16, -36), (-16, -36))),
]


def place(axes: Axes, points: Sequence[tuple[float, float]], texts: Sequence[str]) -> None:
    """Write each text beside its point, at the offset with the least overlap.

    Of offsets without overlap the first one is used.

    Args:
        axes: with everything else drawn and its limits set.
        points: in data coordinates.
        texts: one per point.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None  # noqa: S101  # an axes is made by a figure
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()  # computes the layout, on which positions in pixels depend
    renderer = canvas.get_renderer()
    scale = figure.dpi / 72
    frame = axes.get_window_extent(renderer)
    pixels = [axes.transData.transform(point) for point in points]
    taken = [Bbox.from_bounds(x - 6, y - 6, 12, 12) for x, y in pixels]
    for point, text in zip(points, texts, strict=True):
        best, cost = None, float("inf")
        for number, (dx, dy) in enumerate(_OFFSETS):
            label = axes.annotate(
                text,
                point,
                xytext=(dx, dy),
                textcoords="offset points",
                ha="center" if dx == 0 else ("left" if dx > 0 else "right"),
                va="center" if dy == 0 else ("bottom" if dy > 0 else "top"),
                fontsize=8.5,
                linespacing=1.15,
                zorder=4,
            )
            box = label.get_window_extent(renderer).padded(2 * scale)
            overlap = sum(_shared(box, other) for other in taken)
            this_cost = overlap + 5 * (box.width * box.height - _shared(box, frame)) + number
            if this_cost < cost:
                if best is not None:
                    best.remove()
                best, cost, kept = label, this_cost, box
            else:
                label.remove()
            if cost <= number + 1:  # the least that a later offset can cost
                break
        taken.append(kept)


def _shared(one: Bbox, other: Bbox) -> float:
    """Return the area that two boxes have in common, in square pixels."""
    common = Bbox.intersection(one, other)
    return float(common.width * common.height) if common is not None else 0.0

"""Scalars of a training, read from TensorBoard event files."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

_FILES = "events.out.tfevents.*"
_TRAINING = "train/loss"  # logged by nothing else


class Scalar(NamedTuple):
    """A value that was logged.

    Attributes:
        wall_time: seconds since 1970 at which it was logged.
        step: of the optimizer.
        value: as it was logged.
    """

    wall_time: float
    step: int
    value: float


def read(folder: Path) -> dict[str, list[Scalar]]:
    """Read the scalars of every event file in a folder.

    A training that was stopped and resumed has several files. Their order is that of the times in
    them: the names of two files of the same second end with counters, which do not sort as text.
    A file with steps of a training replaces every earlier point from its first one on, for the
    training went on from a checkpoint before that. Another file replaces equal steps alone.

    Args:
        folder: holds the files. Folders in it are not read.

    Returns:
        The points of each tag in the order of their steps; nothing if there are no event files.
    """
    files = [series for path in folder.glob(_FILES) if (series := _of_file(path))]
    joined: dict[str, dict[int, Scalar]] = defaultdict(dict)
    for series in sorted(files, key=_begin):
        if _TRAINING in series:
            first = series[_TRAINING][0].step
            for tag, points in joined.items():
                joined[tag] = {step: point for step, point in points.items() if step < first}
        for tag, later in series.items():
            joined[tag] |= {point.step: point for point in later}
    return {
        tag: [points[step] for step in sorted(points)] for tag, points in joined.items() if points
    }


def _of_file(path: Path) -> dict[str, list[Scalar]]:
    """Return the points of each tag in one file, in the order in which they were logged."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(path), size_guidance={"scalars": 0, "images": 1})
    events.Reload()
    return {
        tag: [Scalar(event.wall_time, event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


def _begin(series: dict[str, list[Scalar]]) -> float:
    return min(points[0].wall_time for points in series.values())

"""Scalars of a training, read from TensorBoard event files."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

_FILES = "events.out.tfevents.*"


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
    A resumed training repeats the steps after its checkpoint, so the later file counts for these.

    Args:
        folder: holds the files. Folders in it are not read.

    Returns:
        The points of each tag in the order of their steps; nothing if there are no event files.
    """
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    parts: dict[str, list[list[Scalar]]] = defaultdict(list)
    for file in sorted(folder.glob(_FILES)):
        events = EventAccumulator(str(file), size_guidance={"scalars": 0, "images": 1})
        events.Reload()
        for tag in events.Tags()["scalars"]:
            parts[tag].append(
                [Scalar(event.wall_time, event.step, event.value) for event in events.Scalars(tag)]
            )
    return {tag: _joined(series) for tag, series in parts.items()}


def _joined(parts: list[list[Scalar]]) -> list[Scalar]:
    by_step = {point.step: point for part in sorted(parts) for point in part}
    return [by_step[step] for step in sorted(by_step)]

"""Training curves, read from TensorBoard event files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from src.run import scalars
from src.run.latency import Curve
from src.run.results import TrainingCurves
from src.run.scalars import Scalar

MOST_POINTS = 400  # of a curve: more than a chart can show
LARGEST = 1e15  # value that a chart can show
_TAGS = {"train_loss": "train/loss", "val_loss": "val/loss", "val_top1": "val/top1"}
_EPOCH = "epoch"  # the tag under which Lightning logs the epoch


def read(folder: Path) -> TrainingCurves | None:
    """Read losses and validation top-1 over epochs.

    Args:
        folder: holds TensorBoard's event files. All are read: a resumed training has several.

    Returns:
        The curves; None if there are no events of a training.
    """
    series = scalars.read(folder)
    ends = _ends(series)
    if not ends:
        return None
    steps, epochs = [-1, *ends], [min(ends.values()) - 1, *ends.values()]
    curves: dict[str, Curve] = {}
    for name, tag in _TAGS.items():
        points = _thinned([p for p in series.get(tag, []) if abs(p.value) <= LARGEST])
        if not points:
            continue  # not logged, or every value is NaN or too large for a chart
        at_epochs = np.interp([point.step for point in points], steps, epochs)
        curves[name] = Curve(
            epochs=[round(float(epoch), 4) for epoch in at_epochs],
            values=[float(point.value) for point in points],
        )
    return TrainingCurves(**curves)


def top1_by_epoch(folder: Path) -> dict[int, float]:
    """Return the validation top-1 after each epoch, also where a chart has too few points.

    The first epoch is 1.

    Args:
        folder: as for :func:`read`.
    """
    series = scalars.read(folder)
    ends = _ends(series)
    return {
        round(ends[point.step]): float(point.value)
        for point in series.get(_TAGS["val_top1"], [])
        if point.step in ends and abs(point.value) <= LARGEST
    }


def _ends(series: Mapping[str, Sequence[Scalar]]) -> dict[int, float]:
    """Return the number of trained epochs by the step at which each was validated."""
    epoch_of_step = {point.step: point.value for point in series.get(_EPOCH, [])}
    # An epoch is validated at its last step, where Lightning also logs its number.
    return {
        point.step: epoch_of_step[point.step] + 1
        for point in series.get(_TAGS["val_loss"], [])
        if point.step in epoch_of_step
    }


def _thinned(points: Sequence[Scalar]) -> Sequence[Scalar]:
    """Return at most ``MOST_POINTS`` points at even distances, with the last one."""
    step = -(-len(points) // MOST_POINTS)
    return points[::-1][::step][::-1] if step > 1 else points

"""Training curves, read from TensorBoard event files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from src.run.latency import Curve
from src.run.results import TrainingCurves

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
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 1})
    events.Reload()
    tags = events.Tags()["scalars"]
    validated = events.Scalars(_TAGS["val_loss"]) if _TAGS["val_loss"] in tags else []
    if _EPOCH not in tags or not validated:
        return None
    epoch_of_step = {event.step: event.value for event in events.Scalars(_EPOCH)}
    # An epoch is validated at its last step, where Lightning also logs its number.
    ends = {
        event.step: epoch_of_step[event.step] + 1
        for event in validated
        if event.step in epoch_of_step
    }
    if not ends:
        return None
    steps, epochs = [-1, *ends], [min(ends.values()) - 1, *ends.values()]
    curves: dict[str, Curve] = {}
    for name, tag in _TAGS.items():
        if tag in tags:
            scalars = _thinned(
                [event for event in events.Scalars(tag) if abs(event.value) <= LARGEST]
            )
            if not scalars:
                continue  # every value is NaN or too large for a chart
            at_epochs = np.interp([event.step for event in scalars], steps, epochs)
            curves[name] = Curve(
                epochs=[round(float(epoch), 4) for epoch in at_epochs],
                values=[float(event.value) for event in scalars],
            )
    return TrainingCurves(**curves)


def _thinned(points: Sequence[Any]) -> Sequence[Any]:
    """Return at most ``MOST_POINTS`` points at even distances, with the last one."""
    step = -(-len(points) // MOST_POINTS)
    return points[::-1][::step][::-1] if step > 1 else points

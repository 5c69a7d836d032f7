"""The curves of a training, read from what it wrote for TensorBoard."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from src.run.latency import Curve
from src.run.results import TrainingCurves

MOST_POINTS = 400  # of a curve: more than a figure can show
LARGEST = 1e15  # of a value
_TAGS = {"train_loss": "train/loss", "val_loss": "val/loss", "val_top1": "val/top1"}
_EPOCH = "epoch"  # the tag under which Lightning counts them


def read(folder: Path) -> TrainingCurves | None:
    """Read losses, and top-1 of the validation, over epochs.

    Args:
        folder: with TensorBoard's event files, all of which count: a training that was continued
            has several.

    Returns:
        None where there are no events of a training.
    """
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 1})
    events.Reload()
    found = events.Tags()["scalars"]
    validated = events.Scalars(_TAGS["val_loss"]) if _TAGS["val_loss"] in found else []
    if _EPOCH not in found or not validated:
        return None
    number = {event.step: event.value for event in events.Scalars(_EPOCH)}
    # An epoch is validated at its last step, which numbers it.
    ends = {event.step: number[event.step] + 1 for event in validated if event.step in number}
    if not ends:
        return None
    steps, epochs = [-1, *ends], [min(ends.values()) - 1, *ends.values()]
    curves: dict[str, Curve] = {}
    for name, tag in _TAGS.items():
        if tag in found:
            scalars = _thinned([each for each in events.Scalars(tag) if abs(each.value) <= LARGEST])
            if not scalars:
                continue  # a loss that is no number, or so large that no figure shows it
            at = np.interp([event.step for event in scalars], steps, epochs)
            curves[name] = Curve(
                epochs=[round(float(epoch), 4) for epoch in at],
                values=[float(event.value) for event in scalars],
            )
    return TrainingCurves(**curves)


def _thinned(points: Sequence[Any]) -> Sequence[Any]:
    """At most ``MOST_POINTS`` at even distances, the last one among them."""
    step = -(-len(points) // MOST_POINTS)
    return points[::-1][::step][::-1] if step > 1 else points

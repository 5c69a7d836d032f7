"""Regions: the named parts of a step in a trace."""

from __future__ import annotations

DATA = "data loading"
TRANSFER = "data to device"
FORWARD = "forward"
BACKWARD = "backward"
OPTIMIZER = "optimizer"
OTHER = "other"

# Regions that a window of each stage must contain.
EXPECTED = {"train": (DATA, FORWARD, BACKWARD, OPTIMIZER), "val": (DATA, FORWARD)}
ORDER = (DATA, TRANSFER, FORWARD, BACKWARD, OPTIMIZER, OTHER)


def region_of(action: str) -> str | None:
    """Return the region of an action of Lightning's profiler, or None.

    Lightning's names are like "[Strategy]SingleDeviceStrategy.backward". No action is mapped to
    the optimizer: torch itself marks the optimizer step, inside which Lightning runs forward and
    backward.
    """
    name = action.rpartition(".")[2]
    if name in {"train_dataloader_next", "val_next"}:
        return DATA
    if action.startswith("[Strategy]"):
        return {
            "batch_to_device": TRANSFER,
            "training_step": FORWARD,
            "validation_step": FORWARD,
            "backward": BACKWARD,
        }.get(name)
    return None

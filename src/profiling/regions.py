"""The named parts of a step, as they stand in a trace."""

from __future__ import annotations

DATA = "data loading"
TRANSFER = "data to device"
FORWARD = "forward"
BACKWARD = "backward"
OPTIMIZER = "optimizer"
OTHER = "other"

# Those that a window of each stage must hold.
EXPECTED = {"train": (DATA, FORWARD, BACKWARD, OPTIMIZER), "val": (DATA, FORWARD)}
ORDER = (DATA, TRANSFER, FORWARD, BACKWARD, OPTIMIZER, OTHER)


def region_of(action: str) -> str | None:
    """The region that an action of Lightning's profiler is, if it is one.

    Lightning names actions as in "[Strategy]SingleDeviceStrategy.backward". There is none for
    the optimizer: torch itself marks its step, and Lightning runs forward and backward within it.
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

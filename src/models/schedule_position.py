"""Position of a resumed training in its learning rate schedule.

The schedule is a function of the optimizer's steps. Another batch size, number of processes or
number of accumulated batches changes how many steps an epoch has, but not the share that is over.
"""

from __future__ import annotations

import math
from typing import Protocol, runtime_checkable

from lightning.pytorch import Trainer


@runtime_checkable
class ResumableData(Protocol):
    """Data module that knows at which image a training goes on."""

    def resumed_at(self) -> tuple[int, int] | None:
        """Return the number of whole epochs, and of batches of the next one, before a resume.

        None if the training begins.
        """


def steps_ahead(trainer: Trainer) -> int:
    """Return the steps by which a schedule is ahead of the optimizer; call it when a fit starts.

    It is 0 unless the training goes on with another number of steps in an epoch. A training that
    ``trainer.max_steps`` ends counts steps, not epochs, so it is 0 there too.
    """
    data = getattr(trainer, "datamodule", None)
    position = data.resumed_at() if isinstance(data, ResumableData) else None
    if position is None or not trainer.max_epochs:
        return 0
    epochs, batches = position
    steps_an_epoch = math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)
    if trainer.estimated_stepping_batches != steps_an_epoch * trainer.max_epochs:
        return 0
    steps = epochs * steps_an_epoch + batches // trainer.accumulate_grad_batches
    return steps - trainer.global_step

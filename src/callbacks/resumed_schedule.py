"""A line where a training goes on with another learning rate than it had."""

from __future__ import annotations

import math
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch.optim.lr_scheduler import LambdaLR

_SAME = 0.1  # of the peak; another number of steps in an epoch rounds the warm-up differently


class ResumedSchedule(Callback):
    """Prints the old and the new learning rate where a resumed training has another schedule.

    A larger ``trainer.max_epochs`` stretches the cosine, so the rate rises: at the end of the
    earlier schedule it was 0.
    """

    def __init__(self) -> None:
        self._is_first = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._is_first = trainer.global_step > 0

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if not self._is_first:
            return
        self._is_first = False
        # Not when the fit starts: the model notes its place in the schedule after all callbacks.
        for config in trainer.lr_scheduler_configs:
            schedule = config.scheduler
            if isinstance(schedule, LambdaLR) and trainer.is_global_zero:
                before = float(schedule.get_last_lr()[0])
                peak = float(schedule.base_lrs[0])
                after = peak * schedule.lr_lambdas[0](schedule.last_epoch)
                if not math.isclose(before, after, abs_tol=_SAME * peak):
                    line = (
                        f"the learning rate goes on at {after:.3g}, where it was {before:.3g}: its "
                        f"schedule has {int(trainer.estimated_stepping_batches)} steps now"
                    )
                    bar = trainer.progress_bar_callback
                    (bar.print if bar else print)(line)  # else the bar would overwrite it

"""Lines where a limit ends a training earlier than its command may mean."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Timer


class TrainingLimits(Callback):
    """Prints that ``trainer.max_epochs`` ends a training before ``trainer.max_steps``.

    Every recipe sets the epochs, so a large number of steps would have no effect without a word.
    A command that goes on from a checkpoint and has nothing left to train says why.
    """

    def __init__(self) -> None:
        self._has_begun = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        steps = trainer.estimated_stepping_batches
        if trainer.max_steps > steps:
            _print(
                trainer,
                f"trainer.max_epochs={trainer.max_epochs} ends the training after {steps:.0f} "
                f"steps, before trainer.max_steps={trainer.max_steps}: set trainer.max_epochs=-1 "
                "for all steps",
            )

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._has_begun = True

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        is_resumed = trainer.ckpt_path is not None and trainer.limit_train_batches != 0
        if is_resumed and not self._has_begun:
            _print(trainer, f"nothing is left to train: {_reason(trainer)}")


def _reason(trainer: Trainer) -> str:
    progress: Any = trainer.fit_loop.epoch_progress.current
    epochs: int = progress.processed
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    if any(_is_over(callback) for callback in callbacks):
        return "the time of trainer.max_time is over; the time before the checkpoint counts"
    if 0 <= trainer.max_steps <= trainer.global_step:
        return f"the checkpoint has {trainer.global_step} steps; set a larger trainer.max_steps"
    if trainer.max_epochs is not None and 0 <= trainer.max_epochs <= epochs:
        return f"the checkpoint has {epochs} epochs; set a larger trainer.max_epochs"
    return "the training was stopped early before"


def _is_over(callback: Callback) -> bool:
    remaining = callback.time_remaining() if isinstance(callback, Timer) else None
    return remaining is not None and remaining <= 0


def _print(trainer: Trainer, line: str) -> None:
    """Print a line in the first process, through the progress bar, which would overwrite it."""
    bar = trainer.progress_bar_callback
    if trainer.is_global_zero:
        (bar.print if bar else print)(line)

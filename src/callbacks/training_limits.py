"""A line where the epochs of a recipe end a training before its steps do."""

from __future__ import annotations

from lightning.pytorch import Callback, LightningModule, Trainer


class TrainingLimits(Callback):
    """Prints that ``trainer.max_epochs`` ends a training before ``trainer.max_steps``.

    Every recipe sets the epochs, so a large number of steps would have no effect without a word.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        steps = trainer.estimated_stepping_batches
        if not trainer.is_global_zero or trainer.max_steps <= steps:
            return
        line = (
            f"trainer.max_epochs={trainer.max_epochs} ends the training after {steps:.0f} steps, "
            f"before trainer.max_steps={trainer.max_steps}: set trainer.max_epochs=-1 for all steps"
        )
        bar = trainer.progress_bar_callback
        (bar.print if bar else print)(line)  # else the bar would overwrite it

"""Says how many images could not be read, and which."""

from __future__ import annotations

from lightning.pytorch import Callback, LightningModule, Trainer

from src.callbacks.export import data_of

_NAMED = 10  # in one line; the check of the data lists all


class SkippedImages(Callback):
    """A line and a scalar after each epoch in which an image was found that cannot be read.

    Where several processes train, of those that the first one met.
    """

    def __init__(self) -> None:
        self._told = 0

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        skipped = data_of(trainer).skipped
        if len(skipped) == self._told or not trainer.is_global_zero:
            return
        self._told = len(skipped)
        if trainer.logger is not None:
            trainer.logger.log_metrics({"data/skipped_images": len(skipped)}, trainer.global_step)
        more = f" and {len(skipped) - _NAMED} more" if len(skipped) > _NAMED else ""
        line = f"skipped {len(skipped)} unreadable images: {', '.join(skipped[:_NAMED])}{more}"
        bar = trainer.progress_bar_callback
        (bar.print if bar else print)(line)

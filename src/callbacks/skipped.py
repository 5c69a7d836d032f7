"""Says what of the data is left out: files passed over, images that could not be read."""

from __future__ import annotations

from lightning.pytorch import Callback, LightningModule, Trainer

from src.callbacks.export import data_of
from src.system.console import open_console

_NAMED = 10  # in one line; the check of the data lists all


class SkippedImages(Callback):
    """Lines at the start about folders and files that are passed over.

    And a line and a scalar after each epoch in which an image was found that cannot be read; where
    several processes train, of those that the first one met.
    """

    def __init__(self) -> None:
        self._told = 0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if trainer.is_global_zero:
            for line in data_of(trainer).notes:
                open_console().print(line, soft_wrap=True, markup=False)

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

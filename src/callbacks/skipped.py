"""Lines about files and images that are left out of the data."""

from __future__ import annotations

from lightning.pytorch import Callback, LightningModule, Trainer

from src.callbacks.export import data_of
from src.data.pipeline.leaks import leak_notes
from src.system.console import open_console

_MAX_NAMED = 10  # images in one line; the check of the data lists all


class SkippedImages(Callback):
    """Prints at the start which folders and files are ignored, and which are in several splits.

    After each epoch that met a new unreadable image it prints a line and logs a scalar. With
    several processes these count the images of rank 0.
    """

    def __init__(self) -> None:
        self._reported = 0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if not trainer.is_global_zero:
            return
        data = data_of(trainer)
        reads = data.source.verify is not False
        leaks = leak_notes(data.loaded(), reads=reads) if stage == "fit" else []
        for line in [*data.notes, *leaks]:
            open_console().print(line, soft_wrap=True, markup=False)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        skipped = data_of(trainer).skipped
        if len(skipped) == self._reported or not trainer.is_global_zero:
            return
        self._reported = len(skipped)
        for logger in trainer.loggers:
            logger.log_metrics({"data/skipped_images": len(skipped)}, trainer.global_step)
        more = f" and {len(skipped) - _MAX_NAMED} more" if len(skipped) > _MAX_NAMED else ""
        line = f"skipped {len(skipped)} unreadable images: {', '.join(skipped[:_MAX_NAMED])}{more}"
        bar = trainer.progress_bar_callback
        (bar.print if bar else print)(line)

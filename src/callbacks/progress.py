"""One printed line an epoch, for terminals and log files."""

from __future__ import annotations

import time

from lightning.pytorch import Callback, LightningModule, Trainer


class EpochLines(Callback):
    """Prints the seconds, losses and top-1 of each epoch; the training loss is the epoch's mean."""

    def __init__(self) -> None:
        self._started = 0.0
        self._validated = False  # in this epoch: callback_metrics keep older validations

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # A training resumed within an epoch does not call on_train_epoch_start for it.
        self._started = time.perf_counter()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._started = time.perf_counter()
        self._validated = False

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._validated = True

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        names = ("train/loss", *(("val/loss", "val/top1") if self._validated else ()))
        figures = "  ".join(
            f"{name} {trainer.callback_metrics[name]:.4f}"
            for name in names
            if name in trainer.callback_metrics
        )
        last = f"/{trainer.max_epochs}" if (trainer.max_epochs or 0) > 0 else ""
        seconds = time.perf_counter() - self._started
        line = f"epoch {trainer.current_epoch + 1}{last}  {seconds:.1f} s  {figures}"
        bar = trainer.progress_bar_callback
        # Print through the progress bar, which would overwrite the line otherwise.
        (bar.print if bar else print)(line)

"""Advice for a training that runs out of memory."""

from __future__ import annotations

from lightning.pytorch import Callback, LightningModule, Trainer

from src.callbacks.export import data_of
from src.system import os_errors


class MemoryAdvice(Callback):
    """Adds a note to the error: the batch size, and the options that need less memory."""

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        if not os_errors.is_out_of_memory(exception):
            return
        size = data_of(trainer).batch_size
        smaller = max(1, size // 2)
        exception.add_note(
            f"data.batch_size is {size}: set data.batch_size={smaller} "
            "trainer.accumulate_grad_batches=2, or a smaller data.image_size"
        )

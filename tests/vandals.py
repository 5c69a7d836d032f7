"""Callbacks that break something in the middle of a training, named on its command line."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer


class TakeFolder(Callback):
    """Removes the run's folder after the first epoch, as a scratch disk's cleaner does."""

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        shutil.rmtree(Path(str(trainer.log_dir)))


class ReplaceFolder(Callback):
    """Puts a file in the place of the run's folder after the first epoch."""

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        folder = Path(str(trainer.log_dir))
        shutil.rmtree(folder)
        folder.touch()


class EatMemory(Callback):
    """Asks for more memory than there is, as a batch does that is too large."""

    def on_train_batch_start(self, *_: Any) -> None:
        torch.empty(10**15)


class EndLoader(Callback):
    """Ends a process that loads images, as the kernel does when memory runs out."""

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        for child in children:
            if "python" in Path(f"/proc/{child}/cmdline").read_text():
                os.kill(int(child), 9)


class SpoilWeights(Callback):
    """Makes weights infinite after the last step of the second epoch: only logits show it."""

    def on_validation_start(self, trainer: Trainer, pl_module: Any) -> None:
        if trainer.current_epoch < 1:
            return
        with torch.no_grad():
            next(pl_module.network.parameters()).fill_(float("inf"))

"""Callbacks that break something during a training; tests name them on the command line."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer


class RemoveRunFolder(Callback):
    """Removes the run folder after the first epoch, as a cleaner of a scratch disk does."""

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        shutil.rmtree(Path(str(trainer.log_dir)))


class ReplaceRunFolderByFile(Callback):
    """Replaces the run folder by a file after the first epoch."""

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        folder = Path(str(trainer.log_dir))
        shutil.rmtree(folder)
        folder.touch()


class ExhaustMemory(Callback):
    """Allocates more memory than the machine has, as a too large batch does."""

    def on_train_batch_start(self, *_: Any) -> None:
        torch.empty(10**15)


class KillLoaderProcess(Callback):
    """Kills a process that loads images, as the kernel does when memory runs out."""

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        for child in children:
            if "python" in Path(f"/proc/{child}/cmdline").read_text():
                os.kill(int(child), 9)


class PressCtrlC(Callback):
    """Presses Ctrl-C in the first step of a training that does not go on from a checkpoint."""

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        if trainer.ckpt_path is None:
            os.kill(os.getpid(), signal.SIGINT)


class MakeWeightsInfinite(Callback):
    """Makes weights infinite after the last step of the second epoch, before its validation."""

    def on_validation_start(self, trainer: Trainer, pl_module: Any) -> None:
        if trainer.current_epoch < 1:
            return
        with torch.no_grad():
            next(pl_module.network.parameters()).fill_(float("inf"))

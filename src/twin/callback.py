"""The int8 twin at the end of a fit, before the export."""

from __future__ import annotations

import signal
import time
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from src.callbacks.export import finished_checkpoint, run_of
from src.data.images import ImageDataModule
from src.errors import LightshipError, UsageError
from src.run.folder import Run
from src.run.twin import TrainingCost
from src.run.twin_files import TwinFiles
from src.system import machine
from src.system.child_commands import run_in_subprocess
from src.system.console import open_console
from src.system.packages import missing_packages
from src.system.project_commands import typed
from src.twin.options import TwinOptions

REQUIRES = ("onnx", "onnxscript", "onnxruntime", "sympy")


class TwinCallback(Callback):
    """Makes the int8 twin of the best checkpoint, on rank 0 only.

    The command ``src.twin`` does it in a process of its own. So its memory is returned at its end,
    a crash ends only that process, and its trainings share no state with the one that ended. If it
    fails, the export goes on without a twin.

    Args:
        enabled: make a network that is fast in int8 and answers as the trained one does, and export
            it beside the others.
        options: fields of :class:`TwinOptions`.
    """

    def __init__(self, enabled: bool = False, **options: Any) -> None:
        self.enabled = enabled
        self.options = TwinOptions(**options)
        self.failure: str | None = None
        self._started = 0.0
        self._resumed_step: int | None = None  # None in a training from the beginning

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._started = time.monotonic()
        if self.enabled and (missing := missing_packages(REQUIRES)):
            raise UsageError(
                "twin.enabled",
                expected=f"the packages {', '.join(REQUIRES)}",
                found=f"not installed: {', '.join(missing)}",
                remedy="install them, or leave the twin out",
            )

        data = getattr(trainer, "datamodule", None)
        if self.enabled and isinstance(data, ImageDataModule) and not data.count("val"):
            raise UsageError(
                "twin.enabled",
                expected="validation images, to compare the twin with the trained network",
                found="none in the data",
                remedy="train with a validation split, or leave the twin out",
            )

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._resumed_step = int(checkpoint["global_step"])

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        checkpoint = finished_checkpoint(trainer)
        if not (self.enabled and trainer.is_global_zero) or checkpoint is None:
            return
        run = run_of(checkpoint)
        self._note_training(trainer, run)
        # torch's caching allocator holds the training's GPU memory, which the twin needs now.
        torch.cuda.empty_cache()
        console = open_console()
        console.print("making the int8 twin")
        words = ["again=true"] if self.options.again else []
        code = run_in_subprocess("src.twin", [str(run.folder), *words], held=run.folder)
        if code:
            cause = f"exit code {code}" if code > 0 else signal.Signals(-code).name
            self.failure = f"the int8 twin was not made ({cause}): {typed('src.twin')} {run.quoted}"
            line = f"{self.failure} goes on with it; the export goes on without it"
            console.print(line, soft_wrap=True, style="yellow")

    def require_success(self) -> None:
        """Turn a twin that failed into the command's failure.

        Raises:
            LightshipError: it failed.
        """
        if self.failure is not None:
            raise LightshipError(f"{self.failure} goes on with it; everything else is done")

    def _note_training(self, trainer: Trainer, run: Run) -> None:
        """Store the time and memory of the training, if it ran in one piece."""
        files = TwinFiles(run)
        if self._resumed_step is None:
            is_cuda = trainer.strategy.root_device.type == "cuda"
            files.write_training(
                TrainingCost(
                    schema_version=1,
                    seconds=time.monotonic() - self._started,
                    peak_rss_bytes=machine.peak_rss_bytes(),
                    peak_device_bytes=torch.cuda.max_memory_allocated() if is_cuda else None,
                )
            )
        elif trainer.global_step > self._resumed_step:
            files.write_training(None)

"""Ctrl-C, SIGTERM and SLURM's signal while training: finish the step, save, stop."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from contextlib import ExitStack
from types import FrameType
from typing import Any

from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from src.callbacks.checkpoint import LastCheckpoint
from src.callbacks.export import ExportCallback
from src.errors import LightshipError
from src.models.classifier import Classifier
from src.run.folder import Run
from src.system.console import open_console
from src.system.signals import Stopped, handling, stop

_PRESSED = b"\nstopping after this step; press Ctrl-C again to stop at once\n"


class StopOnSignal(Checkpoint):
    """Saves ``last.ckpt`` at the next place from which training can go on bit for bit.

    That is the end of a step of the optimizer, or of an epoch where validation is what comes next.
    Lightning's own answers are not used: it stops at the first Ctrl-C with exit code 1, and saves
    for SLURM wherever the program is, in the middle of a step as well.

    A Checkpoint, for Lightning calls these after all other callbacks.

    Args:
        last: what writes ``last.ckpt``.
    """

    def __init__(self, last: LastCheckpoint) -> None:
        self._last = last
        self._noted: signal.Signals | None = None
        self._handlers = ExitStack()
        self._saved = False  # and stopped

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Lightning's handlers are in place by now.
        signals = [signal.SIGINT, signal.SIGTERM]
        cluster = trainer._accelerator_connector.cluster_environment  # noqa: SLF001
        if isinstance(cluster, SLURMEnvironment) and cluster.auto_requeue:
            number = cluster.requeue_signal or signal.SIGUSR1
            # For the export as well, which comes after the training.
            signal.signal(number, self._requeue_at_once)
            signals.append(number)
        self._handlers.enter_context(handling(self._note, *signals))

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if (batch_idx + 1) % trainer.accumulate_grad_batches or _something_follows(trainer):
            return
        if not self._asked(trainer):
            return
        if isinstance(pl_module, Classifier):
            pl_module.require_finite()
        trainer.save_checkpoint(self._last.path)
        self._stop(trainer, f"step {batch_idx + 1} of epoch {trainer.current_epoch + 1}")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._asked(trainer):
            self._stop(trainer, f"the end of epoch {trainer.current_epoch + 1}")

    def hand_over(self, trainer: Trainer, stopped: Stopped) -> None:
        """Once the training has ended: after Ctrl-C, export the best checkpoint so far."""
        if not self._saved or stopped.quiet or stopped.signal != signal.SIGINT:
            return
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, ExportCallback) and callback.enabled:
                open_console().print("exporting the best checkpoint so far; Ctrl-C stops at once")
                run = callback.export(trainer)
                stopped.details += f", {_measured_by(run)}" if run else ", nothing to export yet"

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._handlers.close()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        self._handlers.close()
        if trainer.world_size > 1 and isinstance(exception, RuntimeError):
            _explain_loss_of_another(exception)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            if self._noted is not None:
                stop(number)
            # Not print, which may be what is interrupted.
            os.write(2, _PRESSED)
        if self._noted is None:
            self._noted = signal.Signals(number)

    def _asked(self, trainer: Trainer) -> bool:
        """Whether any of the processes was asked to stop; all find the same."""
        return trainer.strategy.reduce_boolean_decision(self._noted is not None, all=False)

    def _stop(self, trainer: Trainer, place: str) -> None:
        first = trainer.is_global_zero
        number = self._noted or signal.SIGTERM  # another process was asked
        if first and number not in {signal.SIGINT, signal.SIGTERM}:
            _requeue()
        self._saved = True
        path = os.path.relpath(self._last.path)
        raise Stopped(number, f"saved {path} at {place}", quiet=not first)

    def _requeue_at_once(self, number: int, frame: FrameType | None) -> None:
        _requeue()
        stop(number)


def _something_follows(trainer: Trainer) -> bool:
    """Whether a validation, the end of the epoch or of the training follows this step.

    A checkpoint from before it would go on after it: Lightning takes it for done.
    """
    loop: Any = trainer.fit_loop.epoch_loop
    return bool(
        trainer.is_last_batch
        or loop._is_training_done  # noqa: SLF001
        or loop._should_check_val_fx(trainer.fit_loop._data_fetcher)  # noqa: SLF001
    )


# What gloo and NCCL say of a process that is gone.
_GONE = re.compile(
    r"(closed|reset) by peer|Broken pipe|remote process exited|aborted", re.IGNORECASE
)


def _explain_loss_of_another(error: RuntimeError) -> None:
    """Say it in one line, in which Lightning's own answer, to kill the first process, is not.

    Raises:
        LightshipError: it is what happened.
    """
    if _GONE.search(str(error)):
        raise LightshipError(
            "another process of this training ended; its own last lines say why, or the system's "
            "log where it was killed; go on with ckpt_path=last"
        ) from error


def _measured_by(run: Run) -> str:
    return f"exported the best checkpoint (measure it with: python -m src.benchmark {run.quoted})"


def _requeue() -> None:
    """Ask SLURM to start this job again."""
    job = os.environ.get("SLURM_ARRAY_JOB_ID")
    if job is not None:
        job = f"{job}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    subprocess.run(["scontrol", "requeue", job or os.environ["SLURM_JOB_ID"]], check=False)

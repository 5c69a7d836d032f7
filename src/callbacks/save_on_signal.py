"""Ctrl-C, SIGTERM, SIGHUP and SLURM's signal during training: finish the step, save, stop."""

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
from src.callbacks.export import enabled_export, tell_exports
from src.errors import LightshipError
from src.models.classifier import Classifier
from src.run.folder import Run
from src.system.console import open_console
from src.system.project_commands import typed
from src.system.signals import STOPPING, Stopped, handling, stop

_STOPPING = b"\nstopping after this step; press Ctrl-C again to stop at once\n"


class StopOnSignal(Checkpoint):
    """Saves ``last.ckpt`` at the next point from which training resumes bit for bit, and stops.

    That point is the end of an optimizer step, or the end of the epoch if a validation follows the
    step. Lightning's own handlers are not used: Ctrl-C stops at once with exit code 1, and SLURM's
    signal saves in the middle of a step. A trial with ``trainer.fast_dev_run`` saves nothing.

    The base class is Checkpoint because Lightning calls those after all other callbacks.

    Args:
        last: callback that writes ``last.ckpt``.
    """

    def __init__(self, last: LastCheckpoint) -> None:
        self._last = last
        self._received: signal.Signals | None = None
        self._handlers = ExitStack()
        self._has_saved = False  # and raised Stopped

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Lightning has installed its handlers by now: these replace them.
        signals = list(STOPPING)
        cluster = trainer._accelerator_connector.cluster_environment  # noqa: SLF001
        if isinstance(cluster, SLURMEnvironment) and cluster.auto_requeue:
            number = cluster.requeue_signal or signal.SIGUSR1
            # Stays after the training, for the export.
            signal.signal(number, self._requeue_at_once)
            signals.append(number)
        self._handlers.enter_context(handling(self._receive, *signals))

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if (batch_idx + 1) % trainer.accumulate_grad_batches or _more_work_follows(trainer):
            return
        if not self._is_requested(trainer):
            return
        if not _is_trial(trainer):
            if isinstance(pl_module, Classifier):
                pl_module.require_finite()
            trainer.save_checkpoint(self._last.path)
        self._stop(trainer, f"step {batch_idx + 1} of epoch {trainer.current_epoch + 1}")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._is_requested(trainer):
            self._stop(trainer, f"the end of epoch {trainer.current_epoch + 1}")

    def export_after_interrupt(self, trainer: Trainer, stopped: Stopped) -> None:
        """Export the best checkpoint so far if Ctrl-C ended the training; call it afterwards."""
        if not self._has_saved or stopped.quiet or stopped.signal != signal.SIGINT:
            return
        if callback := enabled_export(trainer):
            open_console().print("exporting the best checkpoint so far; Ctrl-C stops at once")
            run = callback.export(trainer)
            if run:
                tell_exports(run)
            stopped.details += f", {_export_note(run)}" if run else ", nothing to export yet"

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._handlers.close()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        self._handlers.close()
        if trainer.world_size > 1 and isinstance(exception, RuntimeError):
            _explain_lost_process(exception)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        """Remember the signal; a second Ctrl-C stops at once."""
        if number == signal.SIGINT:
            if self._received is not None:
                stop(number)
            # print is not reentrant: the signal may interrupt another print.
            os.write(2, _STOPPING)
        if self._received is None:
            self._received = signal.Signals(number)

    def _is_requested(self, trainer: Trainer) -> bool:
        """Return True if any process received a signal; all processes get the same answer."""
        return trainer.strategy.reduce_boolean_decision(self._received is not None, all=False)

    def _stop(self, trainer: Trainer, place: str) -> None:
        first = trainer.is_global_zero
        number = self._received or signal.SIGTERM  # None: another process received it
        failure = _requeue() if first and number not in STOPPING else ""
        if _is_trial(trainer):
            details = "nothing is kept of a try with trainer.fast_dev_run"
        else:
            self._has_saved = True
            details = f"saved {os.path.relpath(self._last.path)} at {place}"
        raise Stopped(number, f"{details}{failure and f', {failure}'}", quiet=not first)

    def _requeue_at_once(self, number: int, frame: FrameType | None) -> None:
        raise Stopped(number, _requeue())


def _is_trial(trainer: Trainer) -> bool:
    return bool(trainer.fast_dev_run)  # type: ignore[attr-defined]


def _more_work_follows(trainer: Trainer) -> bool:
    """Return True if a validation or the end of the epoch or training follows this step.

    A training resumed from a checkpoint saved now would skip that: Lightning considers it done.
    """
    loop: Any = trainer.fit_loop.epoch_loop
    return bool(
        trainer.is_last_batch
        or loop._is_training_done  # noqa: SLF001
        or loop._should_check_val_fx(trainer.fit_loop._data_fetcher)  # noqa: SLF001
    )


# Messages of gloo and NCCL after another process has ended.
_LOST_PROCESS = re.compile(
    r"(closed|reset) by peer|Broken pipe|remote process exited|aborted", re.IGNORECASE
)


def _explain_lost_process(error: RuntimeError) -> None:
    """Replace the error of a lost peer by one line; Lightning would kill the first process.

    Raises:
        LightshipError: the error says that another process ended.
    """
    if _LOST_PROCESS.search(str(error)):
        raise LightshipError(
            "another process of this training ended; its own last lines say why, or the system's "
            "log where it was killed; go on with ckpt_path=last"
        ) from error


def _export_note(run: Run) -> str:
    command = f"{typed('src.benchmark')} {run.quoted}"
    return f"exported the best checkpoint (measure it with: {command})"


def _requeue() -> str:
    """Ask SLURM to start this job again; return why it does not, or an empty string."""
    job = os.environ.get("SLURM_JOB_ID", "")
    if array := os.environ.get("SLURM_ARRAY_JOB_ID"):
        job = f"{array}_{os.environ.get('SLURM_ARRAY_TASK_ID', '')}"
    try:
        asked = subprocess.run(["scontrol", "requeue", job], check=False, stderr=subprocess.PIPE)
    except OSError as error:  # as in a container
        reason = f"scontrol: {error.strerror}"
    else:
        if not asked.returncode:
            return ""
        said = asked.stderr.decode(errors="replace").strip().splitlines()
        reason = said[-1] if said else f"scontrol: exit code {asked.returncode}"
    return f"SLURM does not start the job again ({reason}): submit it again"

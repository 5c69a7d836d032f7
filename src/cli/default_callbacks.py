"""Callbacks and loggers that every command of ``src.train`` has."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ProgressBar, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger

from src.callbacks.checkpoint import LastCheckpoint, UntrainedCheckpoint
from src.callbacks.constant_metric import ConstantMetric
from src.callbacks.disk_space import DiskSpace
from src.callbacks.hyperparameters import Hyperparameters
from src.callbacks.out_of_memory import MemoryAdvice
from src.callbacks.predictions import PredictionWriter
from src.callbacks.progress import EpochLines
from src.callbacks.resumed_schedule import ResumedSchedule
from src.callbacks.run_folder_check import RunFolderCheck
from src.callbacks.run_paths import RunPaths
from src.callbacks.save_on_signal import StopOnSignal
from src.callbacks.skipped import SkippedImages
from src.callbacks.started import StartDetector
from src.callbacks.stochastic_averaging import StochasticAveraging
from src.callbacks.tf32 import Tf32
from src.callbacks.throughput import ThroughputScalars
from src.callbacks.training_limits import TrainingLimits
from src.cli.run_selection import is_rank_zero
from src.errors import UsageError
from src.run.folder import Run


def common_callbacks(
    run: Run | None, started: StartDetector, last: LastCheckpoint, stop: StopOnSignal
) -> list[Callback]:
    """Return the callbacks of all subcommands.

    Args:
        run: the run folder, None if the command has none.
        started: notes the first step.
        last: writes ``last.ckpt``.
        stop: saves ``last.ckpt`` when a signal stops the training.
    """
    return [
        EpochLines(),
        SkippedImages(),
        ResumedSchedule(),
        TrainingLimits(),
        ThroughputScalars(),
        Tf32(),
        MemoryAdvice(),
        RunFolderCheck(),
        DiskSpace(),
        Hyperparameters(),
        StochasticAveraging(),
        ConstantMetric(),
        UntrainedCheckpoint(last),
        started,
        RunPaths(run.folder if run else None),
        last,
        stop,
    ]


def put_saving_last(trainer: Trainer) -> None:
    """Sort the callbacks: the last checkpoint saves the state of all others.

    An example is the score of the best checkpoint.
    """
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    callbacks.sort(key=lambda callback: isinstance(callback, LastCheckpoint | StopOnSignal))


def prediction_writer(run: Run | None, root: Path) -> Callback:
    """Return the callback of ``predict``, which writes ``predictions.csv``.

    The file is in the run folder, or in ``root`` if the checkpoint is outside all runs.
    """
    folder = run.folder if run else root
    return PredictionWriter(folder / "predictions.csv")


def progress_bars(callbacks: Sequence[Callback], enabled: bool | None) -> list[Callback]:
    """Return a progress bar for a terminal, unless it is disabled or the user has chosen one.

    Args:
        callbacks: all other callbacks, including those of the user.
        enabled: ``trainer.enable_progress_bar``.
    """
    has_bar = any(isinstance(callback, ProgressBar) for callback in callbacks)
    if has_bar or enabled is False or not on_terminal():
        return []
    # Unlike Rich's bar, it disappears when training ends, before the next stage shows its own.
    return [TQDMProgressBar(leave=False)]


def loggers(configured: Any, folder: Path | None) -> list[Logger]:
    """Return the user's loggers, after a TensorBoardLogger that writes into the run folder.

    Lightning stores checkpoints and configuration in the folder of the first logger. A
    TensorBoardLogger of the user writes the curves once more, where it was told to.

    Args:
        configured: ``trainer.logger``.
        folder: the run folder for TensorBoard's files; None if nothing shall be written.

    Raises:
        UsageError: a logger would delete an earlier file.
    """
    user_loggers = [logger for logger in as_list(configured) if isinstance(logger, Logger)]
    for logger in user_loggers:
        _require_no_metrics(logger)
    if folder is None:
        return user_loggers
    tensorboard = TensorBoardLogger(
        str(folder.parent.parent),
        name=folder.parent.name,
        version=folder.name,
        default_hp_metric=False,
    )
    return [tensorboard, *user_loggers]


def _require_no_metrics(logger: Logger) -> None:
    """Refuse a CSVLogger whose folder has the metrics of an earlier command: it deletes them."""
    if not isinstance(logger, CSVLogger) or not is_rank_zero():
        return
    metrics = Path(logger.log_dir, "metrics.csv")
    if metrics.is_file():
        raise UsageError(
            "trainer.logger",
            expected="a CSVLogger whose folder has no metrics.csv, because it would delete that",
            found=str(metrics),
            remedy="set another trainer.logger.version, or move the file away",
        )


def on_terminal() -> bool:
    """Return True if standard error, where progress bars are drawn, is a terminal."""
    return sys.stderr.isatty()


def as_list(value: Any) -> list[Any]:
    """Return an option of the Trainer that may be one object, a list, a flag or None as a list."""
    if isinstance(value, list):
        return value
    return [] if value is None or isinstance(value, bool) else [value]

"""A run in TensorBoard's HParams tab from its first step on."""

from __future__ import annotations

from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from src.report.writers.tensorboard import add_hyperparameters
from src.run.folder import Run


class Hyperparameters(Callback):
    """Writes the configuration of the run, also for a training that is stopped or not measured.

    Lightning's logger writes it to ``hparams.yaml`` alone, unless it is given a metric with it.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        folder = trainer.log_dir  # a collective call: rank 0 broadcasts it to all processes
        if folder is None or not trainer.is_global_zero or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        run = Run(Path(folder))
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger) and run.config.is_file():
                add_hyperparameters(logger.experiment, run.read_config())

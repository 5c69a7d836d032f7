"""At fit start: can it be exported? At fit end: export the best checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from lightning.pytorch import Callback, LightningModule, Trainer

from src.callbacks.checkpoint import BestCheckpoint, LastCheckpoint
from src.data.images import ImageDataModule
from src.export.options import ExportOptions
from src.export.source import Checkpoint
from src.export.stage import HEALTH_IMAGES, export_run, preflight
from src.models.classifier import Classifier
from src.report.sections import health
from src.report.writers import cards
from src.run.folder import LAST, Run
from src.system.console import StageDisplay, open_console


class ExportCallback(Callback):
    """Writes the best checkpoint in every format, in the process of rank 0 only.

    Args:
        enabled: export at all.
        preflight: export random weights before the first epoch, so that a format that
            cannot be exported is known then.
        options: those of :class:`ExportOptions`.
    """

    def __init__(self, enabled: bool = True, preflight: bool = True, **options: Any) -> None:
        self.enabled = enabled
        self.preflight = preflight
        self.options = ExportOptions(**options)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not (self.enabled and self.preflight and trainer.is_global_zero):
            return
        model, data = _ours(trainer, pl_module)
        with StageDisplay(open_console()) as report:
            preflight(
                model.spec,
                model.class_names,
                data.preprocessing.input_shape,
                data.preprocessing.to_dict(),
                self.options,
                report,
            )

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.export(trainer)

    def export(self, trainer: Trainer) -> Run | None:
        """Export the best checkpoint so far; the run, or None if there was nothing to do.

        Where no weights were validated, the last checkpoint takes its place.
        """
        if not (self.enabled and trainer.is_global_zero):
            return None
        checkpoint = finished_checkpoint(trainer)
        if checkpoint is None:
            return None
        data, run = data_of(trainer), run_of(checkpoint)
        console = open_console()
        if checkpoint == run.last_checkpoint:
            console.print(f"no weights were validated: exporting {LAST}")
        with StageDisplay(console) as report:
            export_run(
                run,
                Checkpoint.read(checkpoint),
                data.calibration_images(self.options.calibration_images),
                data.judging_images(self.options.calibration_images, self.options.judging_images),
                data.preprocessing.to_dict(),
                self.options,
                report,
                data.origin,
                lambda: data.unseen_images(HEALTH_IMAGES),
            )
        if warning := health.warning(run.read_manifest().health):
            console.print(warning, soft_wrap=True, style="yellow")
        cards.write(run)
        return run


def finished_checkpoint(trainer: Trainer) -> Path | None:
    """What is exported of a training that ended well or was stopped, if it wrote a checkpoint.

    The best one, or where no weights were validated the last one.
    """
    callbacks = trainer.checkpoint_callbacks
    for kind in (BestCheckpoint, LastCheckpoint):
        for callback in callbacks:
            if isinstance(callback, kind) and callback.kept is not None:
                return callback.kept
    return None


def run_of(checkpoint: Path) -> Run:
    """The run that a checkpoint of this training belongs to.

    Not by ``trainer.log_dir``, which waits for the other processes: they have ended.
    """
    return Run(checkpoint.parent.parent)


def data_of(trainer: Trainer) -> ImageDataModule:
    """The data of this training."""
    return cast("ImageDataModule", cast("Any", trainer).datamodule)


def _ours(trainer: Trainer, pl_module: LightningModule) -> tuple[Classifier, ImageDataModule]:
    return cast("Classifier", pl_module), data_of(trainer)

"""Trial export at the start of a fit, and export of the best checkpoint at its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from lightning.pytorch import Callback, LightningModule, Trainer

from src.callbacks.checkpoint import BestCheckpoint, LastCheckpoint
from src.data.images import ImageDataModule
from src.export.options import ExportOptions
from src.export.preflight import preflight, random_images
from src.export.source import Checkpoint
from src.export.stage import export_run
from src.models import altered_network
from src.models.classifier import Classifier
from src.report.sections import exported, health
from src.report.writers import cards
from src.run.folder import LAST, Run
from src.system.console import StageDisplay, open_console


class ExportCallback(Callback):
    """Exports the best checkpoint in every format, on rank 0 only.

    Args:
        enabled: False skips the export.
        preflight: export random weights before the first epoch, so that a format that cannot be
            exported is reported before the training.
        options: fields of :class:`ExportOptions`.
    """

    def __init__(self, enabled: bool = True, preflight: bool = True, **options: Any) -> None:
        self.enabled = enabled
        self.preflight = preflight
        self.options = ExportOptions(**options)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit" and _shards(trainer):
            self._compare_networks(trainer, pl_module)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not _shards(trainer):
            self._compare_networks(trainer, pl_module)
        if not (self.enabled and self.preflight and trainer.is_global_zero):
            return
        model, data = _model_and_data(trainer, pl_module)
        with StageDisplay(open_console()) as report:
            preflight(
                model.spec,
                model.class_names,
                data.preprocessing.input_shape,
                data.preprocessing.facts(),
                self.options,
                report,
                baseline=_baseline(trainer),
            )

    def _compare_networks(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuse a network that an export would not build again; without an export, record it."""
        if not trainer.is_global_zero:
            return
        model, data = _model_and_data(trainer, pl_module)
        images = random_images(2, data.preprocessing.input_shape, data.preprocessing.facts())
        found = altered_network.difference(model, model.network, model.spec, images)
        model.alteration = found or ""
        if found and self.enabled:
            raise altered_network.refusal(
                model.spec.builder,
                found,
                ", or train without exports: export.enabled=false benchmark.enabled=false",
            )

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.export(trainer)

    def export(self, trainer: Trainer) -> Run | None:
        """Export the best checkpoint so far, or the last one if no weights were validated.

        Returns:
            The run; None if the export is disabled, on other ranks and without a checkpoint.
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
            export_run(run, Checkpoint.read(checkpoint), data, self.options, report)
        if warning := health.warning(run.read_manifest().health):
            console.print(warning, soft_wrap=True, style="yellow")
        cards.write(run)
        return run


def enabled_export(trainer: Trainer) -> ExportCallback | None:
    """Return the export at the end of a training; None without one."""
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    return next(
        (each for each in callbacks if isinstance(each, ExportCallback) and each.enabled), None
    )


def tell_exports(run: Run) -> None:
    """Print a line for each exported file of a run that is not measured now."""
    console = open_console()
    for line in exported.lines(run.read_manifest()):
        console.print(line, soft_wrap=True, markup=False)


def finished_checkpoint(trainer: Trainer) -> Path | None:
    """Return the best checkpoint, else the last one; None if none was written."""
    callbacks = trainer.checkpoint_callbacks
    for kind in (BestCheckpoint, LastCheckpoint):
        for callback in callbacks:
            if isinstance(callback, kind) and callback.saved_path is not None:
                return callback.saved_path
    return None


def run_of(checkpoint: Path) -> Run:
    """Return the run that contains a checkpoint of this training.

    ``trainer.log_dir`` is a collective call, which would hang: the other processes have ended.
    """
    return Run(checkpoint.parent.parent)


def data_of(trainer: Trainer) -> ImageDataModule:
    """Return the Trainer's data module."""
    return cast("ImageDataModule", cast("Any", trainer).datamodule)


def _shards(trainer: Trainer) -> bool:
    """Return True if a process holds all weights only before the strategy's own setup."""
    return trainer.strategy.restore_checkpoint_after_setup


def _baseline(trainer: Trainer) -> str | None:
    """Return the format that others are compared with; None if nothing is measured."""
    from src.callbacks.benchmark import BenchmarkCallback  # which imports this module

    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    return next(
        (
            each.options.baseline
            for each in callbacks
            if isinstance(each, BenchmarkCallback) and each.enabled
        ),
        None,
    )


def _model_and_data(
    trainer: Trainer, pl_module: LightningModule
) -> tuple[Classifier, ImageDataModule]:
    return cast("Classifier", pl_module), data_of(trainer)

"""One training of a twin: a fit of Lightning's Trainer in the run's folder."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor, nn

from src.callbacks.atomic_checkpoints import with_atomic_checkpoint_io
from src.callbacks.checkpoint import BestCheckpoint, LastCheckpoint
from src.callbacks.progress import EpochLines
from src.callbacks.save_on_signal import StopOnSignal
from src.data.dataset_module import DatasetModule
from src.errors import LightshipError
from src.models.builders import load_weights
from src.run.folder import Run
from src.run.twin import Epoch, Phase, Validated
from src.system.console import Report
from src.twin import checkpoints
from src.twin.distillation import Distillation
from src.twin.time_limit import TimeLimit
from src.twin.validation import Validation

_FROZEN_SHARE = 0.3  # of the steps, with frozen statistics of BatchNorm
_WORSE, _LARGE = 10.0, 0.1  # times the loss before a training, and a loss, that end it


class Curve(Callback):
    """Keeps the validation after each epoch, also in checkpoints.

    Args:
        phase: of the training.
    """

    def __init__(self, phase: Phase) -> None:
        self.phase = phase
        self.epochs: list[Epoch] = []

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.sanity_checking:
            return
        metrics = trainer.callback_metrics
        loss = float(metrics["val/loss"])
        if not math.isfinite(loss):
            raise LightshipError(
                f"twin: the validation loss is not finite after epoch {trainer.current_epoch + 1}; "
                "set a lower lr or quantized_lr"
            )
        last = Epoch(
            phase=self.phase,
            epoch=trainer.current_epoch + 1,
            loss=loss,
            agreement=float(metrics["val/agreement"]),
            top1=float(metrics["val/top1"]),
        )
        self.epochs = [each for each in self.epochs if each.epoch < last.epoch] + [last]

    def state_dict(self) -> dict[str, Any]:
        return {"epochs": msgspec.to_builtins(self.epochs)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.epochs = msgspec.convert(state_dict["epochs"], list[Epoch])


class EndsWhenWorse(Callback):
    """Ends a training that made a student that was near its teacher much worse.

    Where the statistics of inference normalise, small steps of all weights may add up from layer to
    layer. The best weights are those of before then, and further epochs would be lost time.

    Args:
        before: validation loss before the training; None to end no training.
        curve: of the training.
        report: told why it ends.
    """

    def __init__(self, before: float | None, curve: Curve, report: Report) -> None:
        self._before = before
        self._curve = curve
        self._report = report

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.sanity_checking:
            self._end_if_worse(trainer)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._end_if_worse(trainer)  # it may go on from an epoch after which it was worse

    def _end_if_worse(self, trainer: Trainer) -> None:
        if self._before is None or not self._curve.epochs:
            return
        [*_, last] = self._curve.epochs
        if last.loss > max(_WORSE * self._before, _LARGE):
            trainer.should_stop = True
            self._report(
                f"the training made the network worse: its loss is {last.loss:.3g} after epoch "
                f"{last.epoch} and was {self._before:.3g} before: it ends"
            )


@dataclass(frozen=True)
class Training:
    """Everything that a training needs.

    Args:
        run: the training is in its folder ``twin``.
        phase: which of the two trainings it is.
        folder: name of its folder; that of another making of the twin has another name.
        teacher: in eval mode.
        data: set up for fit, and used by no other training.
        validation: of the same data.
        epochs: of the training.
        lr: peak learning rate.
        limit: of its time.
        device: of the training.
        is_near: the student answers most images as the teacher does before the training. Then all
            steps have the statistics of BatchNorm that inference has: in a batch, a rare image
            changes those by which it is normalised, and a short training learns to rely on it.
        loss_before: of the student, on the validation images; a near one that gets much worse than
            that is trained no further.
        limit_train_batches: batches of an epoch, or the share of them.
        report: told why the training ends early.
    """

    run: Run
    phase: Phase
    folder: str
    teacher: nn.Module
    data: DatasetModule
    validation: Validation
    epochs: int
    lr: float
    limit: TimeLimit
    device: torch.device
    is_near: bool = False
    loss_before: float | None = None
    limit_train_batches: int | float = 1.0
    report: Report = lambda *_, **__: None

    @property
    def steps(self) -> int:
        """Steps of the whole training."""
        batches, limit = len(self.data.train_dataloader()), self.limit_train_batches
        # As Lightning reads it: an int or more than 1 are batches, else it is a share.
        is_count = isinstance(limit, int) or limit > 1
        in_an_epoch = int(limit) if is_count else max(1, int(batches * limit))
        return self.epochs * min(batches, in_an_epoch)

    @property
    def checkpoints(self) -> Path:
        """The folder of the training's checkpoints."""
        return checkpoints.folder_of(self.run, self.folder)


def fit(training: Training, student: nn.Module) -> list[Epoch]:
    """Train a student in place, from the last checkpoint in the same folder if there is one.

    Returns:
        The curve. The weights are those of the last step: see :func:`best_of`.

    Raises:
        LightshipError: the loss is not finite.
    """
    curve = Curve(training.phase)
    before = training.loss_before if training.is_near else None
    worse = EndsWhenWorse(before, curve, training.report)
    resumed = checkpoints.last_in(training.checkpoints)
    training.limit.start()
    _trainer(training, curve, worse).fit(
        _module(training, student.train()),  # Lightning trains each module in the mode that it has
        datamodule=training.data,
        ckpt_path=None if resumed is None else str(resumed),
        weights_only=True,
    )
    training.teacher.cpu()
    student.cpu()
    return curve.epochs


def best_of(training: Training, student: nn.Module, begun: Mapping[str, Tensor]) -> Validated:
    """Give a student the best weights of a finished training, in eval mode.

    They have the least distance to the teacher's logits on the validation images, among those of
    each epoch and those that the training began with. The share of equal answers tells less: on a
    few hundred images, it is the same for better and for worse weights.

    Args:
        training: it has ended.
        student: of the training.
        begun: the weights that it began with.
    """
    load_weights(student, begun)
    untrained = training.validation.of(student.eval())
    saved = checkpoints.best_in(training.checkpoints)
    if saved is None:
        return untrained
    content = torch.load(saved, map_location="cpu", weights_only=True)
    module = _module(training, student)
    module.load_state_dict(content["state_dict"])
    trained = training.validation.of(student.eval())
    if rank(trained) >= rank(untrained):
        return trained
    load_weights(student, begun)
    return untrained


def rank(validated: Validated) -> tuple[float, float]:
    """Return what is greater for the better weights: the loss decides, then the answers."""
    return -math.inf if validated.loss is None else -validated.loss, validated.agreement


def _module(training: Training, student: nn.Module) -> Distillation:
    has_norms = any(
        isinstance(part, nn.modules.batchnorm._BatchNorm)  # noqa: SLF001
        for part in student.modules()
    )
    frozen = 1.0 if training.is_near else _FROZEN_SHARE
    return Distillation(
        training.teacher,
        student,
        len(training.data.class_names),
        training.steps,
        training.lr,
        freeze_statistics_fraction=frozen if has_norms else 0.0,
        limit=training.limit,
    )


def _trainer(training: Training, curve: Curve, worse: EndsWhenWorse) -> Trainer:
    last = LastCheckpoint()
    best = BestCheckpoint(monitor="val/loss")
    folder = str(training.run.folder)
    return Trainer(
        max_epochs=training.epochs,
        limit_train_batches=training.limit_train_batches,
        accelerator=training.device.type,
        devices=1 if training.device.index is None else [training.device.index],
        # One process, also within a job of several: their variables describe the run's training.
        plugins=with_atomic_checkpoint_io([LightningEnvironment()]),
        logger=TensorBoardLogger(folder, name="twin", version=training.folder),
        callbacks=[EpochLines(), curve, worse, training.limit, best, last, StopOnSignal(last)],
        enable_model_summary=False,
        enable_progress_bar=False,
        log_every_n_steps=5,
        gradient_clip_val=1.0,
    )

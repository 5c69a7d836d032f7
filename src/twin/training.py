"""The two trainings of a twin, each a fit of Lightning's Trainer in the run's folder."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch import nn

from src.callbacks.checkpoint import BestCheckpoint, LastCheckpoint
from src.callbacks.progress import EpochLines
from src.callbacks.save_on_signal import StopOnSignal
from src.data.dataset_module import DatasetModule
from src.errors import UsageError
from src.run.folder import Run
from src.run.twin import Validated
from src.system.console import Report
from src.twin.distillation import Distillation


@dataclass
class Budget:
    """The time that is left for all trainings; None for no limit."""

    ends: float | None

    @classmethod
    def of(cls, minutes: float | None) -> Self:
        return cls(None if minutes is None else time.monotonic() + 60 * minutes)

    def rest(self) -> float | None:
        """Return the seconds that are left."""
        return None if self.ends is None else max(1.0, self.ends - time.monotonic())

    def share(self, part: float) -> float | None:
        """Return a share of the seconds that are left."""
        rest = self.rest()
        return None if rest is None else part * rest


def fit(
    run: Run,
    phase: str,
    key: str,
    teacher: nn.Module,
    student: nn.Module,
    data: DatasetModule,
    epochs: int,
    lr: float,
    seconds: float | None,
    report: Report,
    *,
    resumes: bool,
) -> nn.Module:
    """Train a student.

    Args:
        run: the training is in its folder ``twin/PHASE``.
        phase: name of the folder.
        key: of the twin.
        teacher: in eval mode.
        student: trained in place.
        data: set up for fit.
        epochs: of the training.
        lr: peak learning rate.
        seconds: limit of the training, which ends there; None for none.
        report: told what comes next.
        resumes: go on from the last checkpoint of the same key, if there is one.

    Returns:
        The student with its best weights by the validation's agreement, in eval mode on the CPU.

    Raises:
        LightshipError: the loss is not finite.
    """
    report(f"training: {phase}")
    folder = run.own("twin", f"{phase}-{key[:8]}")
    batches = len(data.train_dataloader())
    has_norms = any(
        isinstance(part, nn.modules.batchnorm._BatchNorm)  # noqa: SLF001
        for part in student.modules()
    )
    module = Distillation(
        teacher,
        student,
        len(data.class_names),
        epochs * batches,
        lr,
        freeze_statistics_fraction=0.3 if has_norms else 0.0,
    )
    last = LastCheckpoint()
    best = BestCheckpoint(monitor="val/agreement")
    trainer = Trainer(
        max_epochs=epochs,
        max_time=None if seconds is None else timedelta(seconds=seconds),
        accelerator="auto",
        devices=1,
        logger=TensorBoardLogger(str(run.folder), name="twin", version=folder.name),
        callbacks=[EpochLines(), best, last, StopOnSignal(last)],
        enable_model_summary=False,
        enable_progress_bar=False,
        log_every_n_steps=5,
        gradient_clip_val=1.0,
    )
    resumed = folder / "checkpoints" / "last.ckpt"
    trainer.fit(
        module,
        datamodule=data,
        ckpt_path=str(resumed) if resumes and resumed.is_file() else None,
        weights_only=True,
    )
    saved = best.saved_path or last.saved_path
    if saved is not None:
        content = torch.load(saved, map_location="cpu", weights_only=True)
        module.load_state_dict(content["state_dict"])
    teacher.cpu()
    return module.student.cpu().eval()


def validated(teacher: nn.Module, network: nn.Module, data: DatasetModule) -> Validated:
    """Compare a network's answers on the validation split with the teacher's and the labels.

    Raises:
        UsageError: the data have no validation images.
    """
    images = right = same = 0
    with torch.inference_mode():
        for batch in data.val_dataloader():
            answers = network(batch[0]).argmax(1)
            images += len(answers)
            right += int((answers == batch[1]).sum())
            same += int((answers == teacher(batch[0]).argmax(1)).sum())
    if not images:
        raise UsageError(
            "RUN",
            expected="validation images, to compare the twin with the trained network",
            found="none in its data",
            remedy="train with a validation split",
        )
    return Validated(images=images, top1=right / images, agreement=same / images)

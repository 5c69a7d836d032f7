"""Top-5 of five classes or fewer is watched by nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from src.callbacks.checkpoint import BestCheckpoint
from src.callbacks.constant_metric import ConstantMetric
from src.callbacks.finetune import Patience
from src.errors import UsageError
from tests.support.tiny_classifier import TinyNet, loader, trainer

pytestmark = pytest.mark.filterwarnings("ignore")


def patience(monitor: str) -> Callback:
    return Patience(monitor=monitor, mode="max", patience=2)


def stopping(monitor: str) -> Callback:
    return EarlyStopping(monitor, mode="max")


def fit(folder: Path, *callbacks: Callback, model: TinyNet | None = None) -> None:
    options = {"max_epochs": 1, "enable_checkpointing": True}
    training = trainer(folder, callbacks=[*callbacks, ConstantMetric()], **options)
    training.fit(model or TinyNet(), loader(), loader())


@pytest.mark.parametrize(
    ("kind", "option"),
    [
        (BestCheckpoint, "checkpoint.monitor"),
        (patience, "checkpoint.monitor"),
        (stopping, "trainer.callbacks.monitor"),
        (lambda monitor: ModelCheckpoint(monitor=monitor), "trainer.callbacks.monitor"),
    ],
)
def test_top_5_of_three_classes_is_not_watched(kind: Any, option: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=rf"^{option}: .*1 for 3 classes.*set {option}=val/top1"):
        fit(tmp_path, kind("val/top5"))
    fit(tmp_path, kind("val/top1"))


def test_a_schedule_does_not_watch_it_either(tmp_path: Path) -> None:
    class Plateau(TinyNet):
        def configure_optimizers(self) -> Any:
            schedule = super().configure_optimizers()
            schedule[1][0]["monitor"] = "val/top5"
            return schedule

    with pytest.raises(UsageError, match=r"^lr_scheduler\.monitor: "):
        fit(tmp_path, model=Plateau())


def test_top_5_of_six_classes_may_be_watched(tmp_path: Path) -> None:
    model = TinyNet()
    model.class_names = list("abcdef")
    fit(tmp_path, stopping("val/top5"), model=model)

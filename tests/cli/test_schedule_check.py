"""Steps of a schedule that the user chose: their interval, and their least number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from torch.optim import SGD
from torch.optim.lr_scheduler import CyclicLR, LRScheduler, OneCycleLR, StepLR

from src.cli import app
from src.errors import UsageError
from tests.support.tiny_classifier import TinyNet, loader, trainer

EPOCHS = 4  # of three batches


class ScheduledNet(TinyNet):
    """Classifier with the schedule of a user, and a record of the learning rates."""

    chosen: tuple[type[LRScheduler], dict[str, Any]]

    def __init__(self) -> None:
        super().__init__()
        self.rates: list[float] = []

    def configure_optimizers(self) -> Any:
        optimizer = SGD(self.parameters(), lr=0.1, momentum=0.9)
        kind, options = self.chosen
        return app.CLI.configure_optimizers(self, optimizer, kind(optimizer, **options))

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        self.rates.append(self.optimizers().param_groups[0]["lr"])


def scheduled(kind: type[LRScheduler], **options: Any) -> ScheduledNet:
    model = ScheduledNet()
    model.chosen = kind, options  # no argument, which would be a hyperparameter
    return model


def rates(folder: Path, kind: type[LRScheduler], **options: Any) -> list[float]:
    model = scheduled(kind, **options)
    trainer(folder, max_epochs=EPOCHS).fit(model, loader(), loader())
    assert len(model.rates) == 3 * EPOCHS
    return model.rates


def test_one_cycle_rises_and_falls_within_the_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    by_batch = rates(tmp_path, OneCycleLR, max_lr=1.0, total_steps=3 * EPOCHS)
    assert max(by_batch) > 0.9
    assert by_batch[-1] < 0.01
    line = "lr_scheduler=OneCycleLR: it takes a step after each batch, 12 in this training"
    assert line in capsys.readouterr().out


def test_a_cycle_of_batches_takes_its_steps_by_batch(tmp_path: Path) -> None:
    by_batch = rates(tmp_path, CyclicLR, base_lr=0.1, max_lr=1.0, step_size_up=3)
    assert by_batch == pytest.approx([0.1, 0.4, 0.7, 1.0, 0.7, 0.4] * 2)


def test_other_schedules_take_a_step_each_epoch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    by_batch = rates(tmp_path, StepLR, step_size=1, gamma=0.5)
    expected = [0.1 * 0.5**epoch for epoch in range(EPOCHS) for _ in range(3)]
    assert by_batch == pytest.approx(expected)
    line = "lr_scheduler=StepLR: it takes a step after each epoch, 4 in this training"
    assert line in capsys.readouterr().out


@pytest.mark.parametrize(
    ("epochs", "message"),
    [
        (EPOCHS, r"expected 12 or more, .*; found 4; set lr_scheduler.total_steps=12"),
        (-1, r"expected a training that ends; .*; set trainer.max_steps=4"),
    ],
)
def test_one_cycle_that_ends_before_the_training_is_refused(
    epochs: int, message: str, tmp_path: Path
) -> None:
    model = scheduled(OneCycleLR, max_lr=1.0, total_steps=EPOCHS)
    with pytest.raises(UsageError, match=f"lr_scheduler.total_steps: {message}"):
        trainer(tmp_path, max_epochs=epochs).fit(model, loader(), loader())
    assert not model.rates

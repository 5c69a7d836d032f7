from __future__ import annotations

from pathlib import Path

import pytest
from torch.utils.tensorboard import SummaryWriter

from src.benchmark import training_curves
from src.run.latency import Curve


def write(folder: Path, epochs: range, steps: int, *, validated: bool = True) -> None:
    """As Lightning does: the epoch at every step, the validation at the last one of each."""
    with SummaryWriter(str(folder)) as writer:
        for epoch in epochs:
            for step in range(epoch * steps, (epoch + 1) * steps):
                writer.add_scalar("train/loss", 10 - step / steps, step)
                writer.add_scalar("epoch", epoch, step)
            if validated:
                writer.add_scalar("val/loss", 5 - epoch, step)
                writer.add_scalar("val/top1", epoch / 10, step)


def test_curves_are_over_epochs(tmp_path: Path) -> None:
    write(tmp_path, range(3), 4)
    curves = training_curves.read(tmp_path)
    assert curves
    assert curves.val_loss == Curve(epochs=[1.0, 2.0, 3.0], values=[5.0, 4.0, 3.0])
    assert curves.val_top1
    assert curves.train_loss
    assert curves.val_top1.values == pytest.approx([0, 0.1, 0.2])
    assert curves.train_loss.epochs == [(step + 1) / 4 for step in range(12)]
    assert curves.train_loss.values == pytest.approx([10 - step / 4 for step in range(12)])


def test_a_continued_training_is_one_curve(tmp_path: Path) -> None:
    write(tmp_path, range(2), 4)
    write(tmp_path, range(2, 4), 4)
    curves = training_curves.read(tmp_path)
    assert curves
    assert curves.val_loss
    assert curves.val_loss.epochs == [1.0, 2.0, 3.0, 4.0]


def test_a_long_training_keeps_its_end(tmp_path: Path) -> None:
    write(tmp_path, range(3), 500)
    curves = training_curves.read(tmp_path)
    assert curves
    assert curves.train_loss
    epochs = curves.train_loss.epochs
    assert len(epochs) <= training_curves.MOST_POINTS
    assert epochs[-1] == 3.0


def test_without_a_validation_or_events_there_are_no_curves(tmp_path: Path) -> None:
    assert training_curves.read(tmp_path) is None
    write(tmp_path, range(2), 4, validated=False)
    assert training_curves.read(tmp_path) is None


def test_every_epoch_of_a_long_training_has_its_top1(tmp_path: Path) -> None:
    epochs = 2 * training_curves.MOST_POINTS + 1
    assert training_curves.top1_by_epoch(tmp_path) == {}
    write(tmp_path, range(epochs), 1)
    assert training_curves.top1_by_epoch(tmp_path) == pytest.approx(
        {epoch + 1: epoch / 10 for epoch in range(epochs)}
    )

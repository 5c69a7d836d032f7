"""A line where the epochs end a training before the steps that were asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from src.callbacks.progress import EpochLines
from src.callbacks.training_limits import TrainingLimits
from tests.support.tiny_classifier import TinyNet, loader, trainer


@pytest.mark.parametrize(
    ("epochs", "steps", "is_told"), [(2, 100, True), (2, 6, False), (2, 4, False), (2, -1, False)]
)
def test_epochs_that_end_a_training_before_its_steps_are_told(
    epochs: int, steps: int, is_told: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit = trainer(tmp_path, max_epochs=epochs, max_steps=steps, callbacks=[TrainingLimits()])
    fit.fit(TinyNet(), loader(), loader())  # three steps an epoch
    line = "trainer.max_epochs=2 ends the training after 6 steps, before trainer.max_steps=100"
    assert (line in capsys.readouterr().out) is is_told


def test_a_training_that_steps_alone_end_has_lines_of_its_epochs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    callbacks = [TrainingLimits(), EpochLines()]
    fit = trainer(tmp_path, max_epochs=-1, max_steps=6, callbacks=callbacks)
    fit.fit(TinyNet(), loader(), loader())
    lines = capsys.readouterr().out.splitlines()
    epochs = [line.split("  ")[0] for line in lines if line.startswith("epoch")]
    assert epochs == ["epoch 1", "epoch 2"]


REASONS: dict[str, tuple[dict[str, Any], str]] = {
    "epochs": ({}, "the checkpoint has 2 epochs; set a larger trainer.max_epochs"),
    "steps": (
        {"max_epochs": -1, "max_steps": 6},
        "the checkpoint has 6 steps; set a larger trainer.max_steps",
    ),
    "time": ({"max_epochs": 9, "max_time": {"seconds": 1e-6}}, "the time of trainer.max_time is"),
}


@pytest.mark.parametrize("name", REASONS)
def test_a_checkpoint_after_which_nothing_is_left_to_train_is_told(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    limits, reason = REASONS[name]
    timed: dict[str, Any] = {"max_time": {"hours": 1}} if name == "time" else {}
    first = trainer(tmp_path, callbacks=[TrainingLimits()], **timed)
    first.fit(TinyNet(), loader(), loader())
    first.save_checkpoint(tmp_path / "last.ckpt")
    assert "nothing is left" not in capsys.readouterr().out
    again = trainer(tmp_path, callbacks=[TrainingLimits()], **limits)
    again.fit(TinyNet(), loader(), loader(), ckpt_path=tmp_path / "last.ckpt")
    assert f"nothing is left to train: {reason}" in capsys.readouterr().out
    longer = trainer(tmp_path, callbacks=[TrainingLimits()], max_epochs=3, **timed)
    longer.fit(TinyNet(), loader(), loader(), ckpt_path=tmp_path / "last.ckpt")
    assert "nothing is left" not in capsys.readouterr().out

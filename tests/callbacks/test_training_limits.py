"""A line where the epochs end a training before the steps that were asked for."""

from __future__ import annotations

from pathlib import Path

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

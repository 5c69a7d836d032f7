"""Averages of StochasticWeightAveraging that no checkpoint would have are refused or told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import StochasticWeightAveraging
from torch import nn

from src.callbacks.stochastic_averaging import StochasticAveraging
from src.errors import UsageError
from tests.support.tiny_classifier import TinyNet, loader, trainer

pytestmark = pytest.mark.filterwarnings("ignore")


class StopsEarly(Callback):
    """Ends a training after its second epoch."""

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.should_stop = trainer.current_epoch == 1


def fit(folder: Path, *others: Callback, norms: bool = True, **options: Any) -> Trainer:
    model = TinyNet()
    if not norms:
        model.network[1] = nn.Identity()
    averaging = StochasticWeightAveraging(0.01, swa_epoch_start=1, annealing_epochs=1)
    training = trainer(folder, callbacks=[averaging, *others, StochasticAveraging()], **options)
    training.fit(model, loader(), loader())
    return training


def test_a_network_without_batchnorm_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^trainer\.callbacks: .*without BatchNorm.*ema_decay"):
        fit(tmp_path, norms=False)


def test_a_training_without_a_last_epoch_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^trainer\.callbacks: .*a last epoch.*max_epochs$"):
        fit(tmp_path, max_epochs=-1, max_steps=4)


@pytest.mark.parametrize(
    ("others", "options"),
    [([StopsEarly()], {"max_epochs": 4}), ([], {"max_epochs": 4, "max_steps": 7})],
    ids=["early stopping", "steps"],
)
def test_an_average_that_the_end_came_before_is_told(
    tmp_path: Path,
    others: list[Callback],
    options: dict[str, int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    fit(tmp_path, *others, **options)
    assert "the average is neither validated nor exported" in capsys.readouterr().out


def test_an_average_that_is_saved_is_no_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit(tmp_path, max_epochs=3)
    assert "StochasticWeightAveraging" not in capsys.readouterr().out
    fit(tmp_path, fast_dev_run=2)
    assert "StochasticWeightAveraging" not in capsys.readouterr().out
    averages = trainer(tmp_path, callbacks=[StochasticAveraging()])
    averages.fit(TinyNet(), loader(), loader())
    assert "StochasticWeightAveraging" not in capsys.readouterr().out

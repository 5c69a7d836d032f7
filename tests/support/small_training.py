"""Small trainings on the digits, and a record of their weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch import Callback, LightningDataModule
from torch import Tensor, nn

from src.models.classifier import Classifier
from src.models.network import NetworkSpec
from src.models.stages import stages
from tests.support.tiny_classifier import TinyNet, trainer


class WeightRecorder(Callback):
    """Records the weights after each step, and which stages are frozen in each epoch."""

    def __init__(self) -> None:
        self.weights: list[dict[str, Tensor]] = []
        self.frozen: list[list[bool]] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        state = pl_module.network.state_dict()
        self.weights.append({name: value.clone() for name, value in state.items()})

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, index: int) -> None:
        if index == 0:
            parts = stages(pl_module.network)
            self.frozen.append(
                [not any(value.requires_grad for value in part.parameters()) for part in parts]
            )
            assert [part[0].training for part in parts] == [
                not frozen for frozen in self.frozen[-1]
            ]


def fit_digits(folder: Path, model: Classifier, data: LightningDataModule, **options: Any) -> Any:
    settings = {"max_epochs": 1, "limit_train_batches": 3, "limit_val_batches": 1}
    fit = trainer(folder, **(settings | options))
    fit.fit(model, datamodule=data)
    return fit


def small_network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(128, 10)
    )


class SmallNet(TinyNet):
    """Classifier of a few weights for the ten classes of the digits."""

    def __init__(self, **options: Any) -> None:
        monkey = pytest.MonkeyPatch()
        with monkey.context() as patch:
            patch.setattr(NetworkSpec, "build", lambda _: small_network())
            names = [str(digit) for digit in range(10)]
            Classifier.__init__(self, names, **options)

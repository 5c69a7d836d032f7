"""Classifier of a few weights, with a data loader and a Trainer for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from src.models.classifier import Classifier
from src.models.network import NetworkSpec

CLASSES = ["ant", "bee", "cat"]


class TinyNet(Classifier):
    """Classifier whose network has a few weights."""

    builder = "resnet18"  # any name that reading a checkpoint accepts

    def __init__(self, **options: Any) -> None:
        monkey = pytest.MonkeyPatch()
        with monkey.context() as patch:
            patch.setattr(NetworkSpec, "build", lambda _: tiny_network())
            super().__init__(CLASSES, **options)


def tiny_network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 3),
    )


def loader(images: Tensor | None = None) -> DataLoader[tuple[Tensor, ...]]:
    images = torch.randn(12, 3, 8, 8) if images is None else images
    return DataLoader(TensorDataset(images, torch.arange(len(images)) % 3), batch_size=4)


def trainer(folder: Path, **options: Any) -> Trainer:
    settings: dict[str, Any] = {
        "default_root_dir": folder,
        "accelerator": "cpu",
        "max_epochs": 2,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return Trainer(**(settings | options))

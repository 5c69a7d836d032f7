"""Fixtures of the GPU tests; without a GPU each test is skipped with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from src.backends.base import ExportSource
from src.data.preprocessing import Preprocessing
from src.export.source import make_source
from src.models.network import NetworkSpec

CLASSES = ["zero", "one", "two", "three", "four"]
SIZE = 64  # pixels
PREPROCESSING = Preprocessing(SIZE, "squash", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)).facts()


@pytest.fixture(autouse=True)
def _need_a_gpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("torch finds no GPU here")


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> ExportSource:
    """Return ResNet-34 with random weights and BatchNorm statistics that match them."""
    torch.manual_seed(0)
    images = torch.randn(24, 3, SIZE, SIZE)
    spec = NetworkSpec("resnet34", len(CLASSES))
    network = spec.build().train()
    with torch.no_grad():
        for _ in range(20):
            network(images)
    scratch = tmp_path_factory.mktemp("scratch")
    return make_source(network.eval(), spec, CLASSES, images, PREPROCESSING, scratch)


@pytest.fixture(scope="session")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of all exports of the session."""
    return tmp_path_factory.mktemp("exports")

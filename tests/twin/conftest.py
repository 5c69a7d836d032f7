"""A small network, its QDQ graph and images."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from src.data.preprocessing import Preprocessing
from src.export.source import make_source
from src.models.network import NetworkSpec
from src.quantization import target
from src.quantization.onnx.quantizer import Quantizer
from src.run.facts import PreprocessingFacts
from src.twin.fake_quantization import FakeQuantization

CLASSES = ["a", "b", "c", "d"]
SIZE = 16


class Small(nn.Module):
    """A network with a residual sum, a depthwise convolution and two kinds of pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU6())
        self.deep = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.ReLU())
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Linear(8, len(CLASSES))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        value = self.stem(images)
        value = self.pool(value + self.deep(value))
        logits: torch.Tensor = self.head(value.mean((2, 3)))
        return logits


def preprocessing() -> PreprocessingFacts:
    return Preprocessing(SIZE).facts()


@pytest.fixture(scope="module")
def quantization(tmp_path_factory: pytest.TempPathFactory) -> FakeQuantization:
    torch.manual_seed(0)
    network = Small().eval()
    source = make_source(
        network,
        NetworkSpec("resnet34", len(CLASSES)),
        CLASSES,
        torch.randn(16, 3, SIZE, SIZE),
        preprocessing(),
        tmp_path_factory.mktemp("scratch"),
    )
    return FakeQuantization(source, Quantizer(source, target.choose("auto")))


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randn(12, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))

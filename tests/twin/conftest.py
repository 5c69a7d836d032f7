"""A small network, its QDQ graph, its twin after a few steps of training, and a run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

from src.backends.base import ExportSource
from src.data.preprocessing import Preprocessing
from src.export.source import make_source
from src.models.network import NetworkSpec
from src.quantization import target
from src.quantization.onnx.quantizer import Quantizer
from src.run.facts import PreprocessingFacts
from src.run.folder import Run
from src.twin.fake_quantization import FakeQuantization
from src.twin.graph_network import GraphNetwork

CLASSES = ["a", "b", "c", "d"]
SIZE = 16
SPEC = NetworkSpec("shufflenet_v2_x0_5", 10, {})


class Small(nn.Module):
    """A network with a residual sum, a scale, a table, a depthwise convolution and two poolings."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU6())
        self.deep = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.ReLU())
        self.scale = nn.Parameter(torch.rand(8, 1, 1) + 0.5)
        self.table = nn.Parameter(torch.randn(8, SIZE, SIZE))
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Linear(8, len(CLASSES))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        value = self.stem(images)
        value = (value + self.deep(value)) * self.scale + self.table
        logits: torch.Tensor = self.head(self.pool(value).mean((2, 3)))
        return logits


def preprocessing() -> PreprocessingFacts:
    return Preprocessing(SIZE).facts()


def small_source(folder: Path) -> ExportSource:
    torch.manual_seed(0)
    return make_source(
        Small().eval(),
        NetworkSpec("resnet34", len(CLASSES)),
        CLASSES,
        torch.randn(16, 3, SIZE, SIZE),
        preprocessing(),
        folder,
    )


def quantize(source: ExportSource, processor: target.Target = "auto") -> FakeQuantization:
    choice = target.choose(processor)
    return FakeQuantization(source, Quantizer(source, choice), choice)


def train_a_little(
    network: GraphNetwork, images: torch.Tensor, lr: float = 0.05
) -> tuple[float, float]:
    """Train some steps towards one class, and return the loss before and after."""
    network.train()
    optimizer = torch.optim.SGD(network.parameters(), lr=lr)
    wanted = torch.zeros(len(images), dtype=torch.long)
    losses = []
    for _ in range(10):
        loss = nn.functional.cross_entropy(network(images), wanted)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    network.eval()
    return losses[0], losses[-1]


@pytest.fixture(scope="module")
def quantization(tmp_path_factory: pytest.TempPathFactory) -> FakeQuantization:
    return quantize(small_source(tmp_path_factory.mktemp("scratch")))


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randn(12, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run of a small network on a few digits, with random weights."""
    run = Run(tmp_path / "small" / "version_0")
    run.best_checkpoint.parent.mkdir(parents=True)
    torch.manual_seed(0)
    weights = {f"network.{name}": value for name, value in SPEC.build().state_dict().items()}
    ours = {
        "model": "small",
        "network": SPEC.to_dict(),
        "class_names": [str(label) for label in range(10)],
    }
    torch.save({"epoch": 0, "state_dict": weights, "lightship": ours}, run.best_checkpoint)
    options = {"image_size": 32, "train_images": 40, "num_workers": 0}
    config = {
        "seed_everything": 5,
        "trainer": {"max_epochs": 12, "accelerator": "cpu"},
        "data": {"class_path": "src.data.datasets.digits.Digits", "init_args": options},
    }
    run.config.write_text(yaml.safe_dump(config))
    return run

"""Networks that modify parts of a tensor in place: their graph computes what they compute."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import torch
from torch import Tensor, nn

from src.export.source import make_source
from src.graph_passes import NotSimplifiedWarning
from src.models.network import NetworkSpec
from src.twin.graph_network import GraphNetwork
from tests.twin.conftest import CLASSES, preprocessing, quantize


class Unit(nn.Module):
    """The unit of a small ShuffleNet: two halves of the channels, joined and shuffled.

    Args:
        halves: called with the unit and the value, (N, 8, H, W).
    """

    def __init__(self, halves: Callable[[Unit, Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.branch = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(4, 4, 1)
        self.act = nn.ReLU6(inplace=True)
        self.norm, self.head = nn.BatchNorm2d(8), nn.Linear(8, len(CLASSES))
        self.halves = halves

    def forward(self, images: Tensor) -> Tensor:
        value = self.halves(self, self.norm(self.first(images)))
        n, channels, height, width = value.shape
        value = value.view(n, 2, channels // 2, height, width).transpose(1, 2)
        logits: Tensor = self.head(value.reshape(n, channels, height, width).mean((2, 3)))
        return logits


def branch_of_a_chunk(unit: Unit, value: Tensor) -> Tensor:
    left, right = value.chunk(2, dim=1)
    return torch.cat([left, unit.act(unit.branch(right))], 1)


def part_of_a_chunk(unit: Unit, value: Tensor) -> Tensor:
    left, right = value.chunk(2, dim=1)
    return torch.cat([unit.act(left), right], 1)


def part_and_the_whole(unit: Unit, value: Tensor) -> Tensor:
    left, right = value.chunk(2, dim=1)
    return value + torch.cat([unit.act(left), right], 1)


def statement_on_a_slice(unit: Unit, value: Tensor) -> Tensor:
    unit.act(value[:, :4])
    return value


def branch_before_the_part_changes(unit: Unit, value: Tensor) -> Tensor:
    left, right = torch.split(value, 4, dim=1)
    branch = unit.branch(left)
    unit.act(left)
    return torch.cat([branch, left + right], 1)


@pytest.mark.parametrize(
    "halves",
    [
        branch_of_a_chunk,
        part_of_a_chunk,
        part_and_the_whole,
        statement_on_a_slice,
        branch_before_the_part_changes,
    ],
)
def test_the_graph_gives_the_networks_logits(
    halves: Callable[[Unit, Tensor], Tensor], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    network = Unit(halves).eval()
    images = torch.randn(12, 3, 8, 8)
    spec = NetworkSpec("resnet34", len(CLASSES))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotSimplifiedWarning)
        source = make_source(network, spec, CLASSES, images, preprocessing(), tmp_path)
    graph = GraphNetwork(onnx.load(source.fp32_graph.prepared)).eval()
    with torch.no_grad():
        expected = network(images)
        assert torch.allclose(graph(images), expected, atol=1e-5)
        rounded = quantize(source).network().eval()(images)
    assert (rounded - expected).abs().max() < 0.1 * expected.abs().max()

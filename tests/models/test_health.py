from __future__ import annotations

import json
import math

import pytest
import torch
from torch import Tensor, nn

from src.export.manifest import health_facts
from src.models.health import MAX_LOGIT_RATIO, examine
from src.run.layout import as_dict

SIDE = 8


class Net(nn.Module):
    """Network with a convolution, BatchNorm, an activation that is called twice, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.relu = nn.ReLU()
        self.head = nn.Linear(8, 4)

    def forward(self, images: Tensor) -> Tensor:
        values = self.relu(self.norm(self.conv(images)))
        return self.head(self.relu(values.mean((2, 3))))


def network() -> Net:
    torch.manual_seed(0)
    return Net().eval()


def images(count: int = 100) -> Tensor:
    return torch.randn(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


def test_a_healthy_network_has_no_problems() -> None:
    health = examine(network(), images())
    assert health.problems() == []
    assert health.images == 100
    assert 1 <= health.logit_ratio < MAX_LOGIT_RATIO
    assert json.loads(json.dumps(as_dict(health_facts(health)), allow_nan=False))["problems"] == []


def test_one_outlier_image_in_a_hundred_is_detected() -> None:
    batch = images()
    batch[70] *= 300  # in the second batch
    health = examine(network(), batch)
    [logits, layer] = health.problems()
    assert "times that of the median image" in logits
    assert health.layers[0].ratio > 50
    assert health.layers[0].name in layer


def test_the_layer_that_causes_outliers_is_listed() -> None:
    unhealthy = network()
    with torch.no_grad():
        unhealthy.norm.running_var[3] = 1e-12  # its channel is multiplied by 300
        unhealthy.conv.weight[3] = 0
        unhealthy.conv.weight[3, 0, 1, 1] = 1e-3
    batch = images()
    batch[:, 0] = 0  # the channel's input, except for one image
    batch[5, 0] = 30
    health = examine(unhealthy, batch)
    assert {layer.name for layer in health.layers} >= {"norm", "relu", "head"}
    assert health.vanishing == 1 / 8
    assert health.problems()


def test_dead_channels_are_counted_in_each_call_of_an_activation() -> None:
    dead = network()
    with torch.no_grad():
        dead.norm.bias[:6] = -1000
    health = examine(dead, images())
    shares = {layer.name: layer.dead for layer in health.layers if layer.kind == "ReLU"}
    assert shares == {"relu": 6 / 8, "relu#2": 6 / 8}
    assert any(
        "75% of the activations' channels are constant" in problem for problem in health.problems()
    )


def test_channels_after_a_linear_layer_are_the_last_dimension() -> None:
    """ConvNeXt's linear layers get (N, H, W, C)."""

    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(3, 5)
            self.act = nn.GELU()

        def forward(self, images: Tensor) -> Tensor:
            values: Tensor = self.act(self.inner(images.permute(0, 2, 3, 1)))
            return values.mean((1, 2))

    torch.manual_seed(0)
    last = Last().eval()
    with torch.no_grad():
        last.inner.weight[0] = 0  # one of five channels is constant
    health = examine(last, images())
    assert health.dead == pytest.approx(1 / 5)
    assert health.vanishing is None


@pytest.mark.parametrize("scale", [0.0, 1e-20, 1e20])
def test_extreme_logits_give_figures_that_json_can_store(scale: float) -> None:
    scaled = network()
    with torch.no_grad():
        scaled.head.weight *= scale
        scaled.head.bias *= scale
    health = examine(scaled, images(3))
    json.dumps(as_dict(health_facts(health)), allow_nan=False)
    assert math.isfinite(health.logit_ratio)


def test_the_health_check_removes_its_hooks() -> None:
    examined = network()
    examine(examined, images(2))
    assert not any(module._forward_hooks for module in examined.modules())

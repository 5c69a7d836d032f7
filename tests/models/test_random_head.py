"""Random heads for few classes: of the size of torch's Linear, whatever a library draws."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from src.models import builders
from src.models.network import NetworkSpec
from src.models.random_head import shrink_large_head

FEW = 10


def rms_of_logits(network: nn.Module) -> float:
    """Root mean square of the logits that the head gives for features of mean square 1."""
    head = [each for each in network.modules() if isinstance(each, nn.Linear | nn.Conv2d)][-1]
    return float(head.weight.detach().square().mean().sqrt()) * math.sqrt(head.weight[0].numel())


@pytest.mark.parametrize(
    "builder",
    [
        *("resnet34", "densenet121", "efficientnet_b0", "convnext_tiny"),
        *("mnasnet0_5", "mobilenet_v3_small", "squeezenet1_1", "shufflenet_v2_x0_5"),
        *("regnet_y_400mf", "inception_v3", "vit_b_32", "swin_t"),
    ],
)
def test_first_logits_of_few_classes_are_small(builder: str) -> None:
    options = {"aux_logits": False, "init_weights": True} if builder == "inception_v3" else {}
    assert rms_of_logits(NetworkSpec(builder, FEW, options).build()) <= math.sqrt(2)


@pytest.mark.parametrize("builder", ["timm/efficientnet_lite0", "timm/mobilenetv2_035"])
def test_heads_of_another_library_are_small_too(builder: str) -> None:
    pytest.importorskip("timm")
    assert rms_of_logits(NetworkSpec(builder, FEW).build()) <= math.sqrt(2)


def test_first_loss_of_efficientnet_is_that_of_a_guess() -> None:
    torch.manual_seed(0)
    network = NetworkSpec("efficientnet_b0", FEW).build().train()
    with torch.no_grad():
        logits = network(torch.randn(16, 3, 64, 64))
    loss = float(nn.functional.cross_entropy(logits, torch.arange(16) % FEW))
    assert loss == pytest.approx(math.log(FEW), abs=0.3)


@pytest.mark.parametrize("builder", ["resnet34", "efficientnet_b0", "convnext_tiny"])
def test_a_head_of_usual_size_stays(builder: str) -> None:
    classes = 1000
    network = builders.construct(builder, {"num_classes": classes})
    before = {name: value.clone() for name, value in network.state_dict().items()}
    shrink_large_head(network, classes)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_only_the_head_is_scaled() -> None:
    network = nn.Sequential(nn.Conv2d(3, 64, 3), nn.Flatten(), nn.Linear(64, FEW))
    nn.init.uniform_(network[0].weight, -1, 1)
    nn.init.uniform_(network[2].weight, -1, 1)
    before = [network[0].weight.clone(), network[2].weight.clone()]
    shrink_large_head(network, FEW)
    assert torch.equal(network[0].weight, before[0])
    torch.testing.assert_close(
        network[2].weight / network[2].weight[0, 0], before[1] / before[1][0, 0]
    )
    assert rms_of_logits(network) == pytest.approx(1 / math.sqrt(3))


def test_a_last_layer_that_is_no_head_stays() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, FEW + 1))
    nn.init.uniform_(network[1].weight, -1, 1)
    before = network[1].weight.clone()
    shrink_large_head(network, FEW)
    assert torch.equal(network[1].weight, before)

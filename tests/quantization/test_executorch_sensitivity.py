"""The order of a PyTorch network's layers, of which some pad or compute in their own way."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

import pytest
import torch
from torch import Tensor, nn

from src.quantization.executorch.sensitivity import sensitivity_order


class PaddedLinear(nn.Linear):
    """Adds columns to its input first, as Conv2dSame adds pixels."""

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(nn.functional.pad(inputs, (0, 1)))


def conv2d_same(**options: int) -> nn.Module:
    layers = pytest.importorskip("timm.layers")
    layer: nn.Module = layers.Conv2dSame(3, 6, 3, **options)
    return layer


def standardized() -> nn.Module:
    layer: nn.Module = pytest.importorskip("timm.layers").StdConv2dSame(3, 6, 3, stride=2)
    return layer


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "plain": lambda: nn.Conv2d(3, 6, 3),
    "strided and grouped": lambda: nn.Conv2d(3, 6, 3, stride=2, groups=3, bias=False),
    "padded circularly": lambda: nn.Conv2d(3, 6, 3, padding=1, padding_mode="circular"),
    "Conv2dSame": conv2d_same,
    "Conv2dSame with a stride": lambda: conv2d_same(stride=2),
    "Conv2dSame with a dilation": lambda: conv2d_same(stride=2, dilation=2),
    "StdConv2dSame": standardized,
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_are_ordered_whatever_their_forward_does(name: str) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        LAYERS[name](), nn.AdaptiveAvgPool2d(1), nn.Flatten(), PaddedLinear(7, 4)
    ).eval()
    with torch.no_grad():
        network[0].weight[0] *= 1e-6
        network[0].weight[0, 0, 0, 0] = 3.0  # the rest of this channel rounds to zero
    before = {key: value.clone() for key, value in network.state_dict().items()}
    order = sensitivity_order(network, torch.randn(4, 3, 15, 15))
    assert sorted(order) == ["0", "3"]
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert not network[0]._forward_hooks


def test_a_layer_that_fails_keeps_its_weights() -> None:
    class Failing(nn.Linear):
        calls = 0

        def forward(self, inputs: Tensor) -> Tensor:
            self.calls += 1
            if self.calls > 1:
                self.fail()
            return super().forward(inputs)

        def fail(self) -> NoReturn:
            raise ValueError("once is enough")

    network = nn.Sequential(nn.Flatten(), Failing(12, 4)).eval()
    before = network[1].weight.clone()
    with pytest.raises(ValueError, match="once is enough"):
        sensitivity_order(network, torch.randn(2, 3, 2, 2))
    assert torch.equal(network[1].weight, before)
    assert not network[1]._forward_hooks

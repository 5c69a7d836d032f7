"""Squeeze-excites are recognised by what they compute, whatever their class."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import SqueezeExcitation

from src.twin.functional_calls import as_modules
from src.twin.gates import marked
from src.twin.replacements import find

IMAGES = torch.randn(4, 3, 10, 10, generator=torch.Generator().manual_seed(0))


class Layer(nn.Module):
    """A module with two layers and any function of its input.

    Args:
        compute: called with the module and the value, (N, 6, H, W).
    """

    def __init__(self, compute: Callable[[Layer, Tensor], Tensor]) -> None:
        super().__init__()
        self.down, self.up, self.act = nn.Linear(6, 3), nn.Linear(3, 6), nn.SiLU()
        self.scale = nn.Parameter(torch.rand(6, 1, 1))
        self.compute = compute

    def forward(self, value: Tensor) -> Tensor:
        return self.compute(self, value)

    def gate(self, value: Tensor) -> Tensor:
        pooled = self.up(self.act(self.down(value.mean((2, 3)))))
        return torch.sigmoid(pooled)[:, :, None, None]


def in_place(layer: Layer, value: Tensor) -> Tensor:
    value *= layer.gate(value)
    return value


def network(layer: nn.Module, *more: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 6, 3), layer, nn.Sequential(*more), nn.Flatten()).eval()


SCALING: dict[str, Callable[[Layer, Tensor], Tensor]] = {
    "sigmoid": lambda layer, value: value * layer.gate(value),
    "in place": in_place,
    "expanded": lambda layer, value: layer.gate(value).expand_as(value) * value,
    "hard": lambda layer, value: functional.hardtanh(layer.gate(value) * 9, 0, 6) * value,
}
OTHER: dict[str, Callable[[Layer, Tensor], Tensor]] = {
    "itself": lambda _, value: value,
    "a constant": lambda layer, value: value * layer.scale,
    "an activation": lambda layer, value: layer.act(value),
    "a factor for each pixel": lambda _, value: value * torch.sigmoid(value.mean(1, keepdim=True)),
    "a factor for each image": lambda _, value: value * value.mean((1, 2, 3), keepdim=True),
    "a sum": lambda layer, value: value * layer.gate(value) + value.roll(1, 3),
    "zeros": lambda _, value: value * 0,
    "pooled": lambda layer, value: value.mean((2, 3), keepdim=True) * layer.gate(value),
}


@pytest.mark.parametrize("name", SCALING)
def test_a_module_that_scales_channels_is_a_squeeze_excite(name: str) -> None:
    made = network(Layer(SCALING[name]))
    assert "squeeze-excite" not in find(made)
    expected = copy.deepcopy(made)(IMAGES.clone())
    found = marked(made, IMAGES)
    assert find(found) == {"squeeze-excite": ["1"]}  # the activation in it is none of a layer
    assert find(copy.deepcopy(found)) == find(found)
    assert "squeeze-excite" not in find(made)
    assert torch.equal(found(IMAGES.clone()), expected)


@pytest.mark.parametrize("name", OTHER)
def test_a_module_that_does_something_else_is_none(name: str) -> None:
    made = network(Layer(OTHER[name]))
    assert marked(made, IMAGES) is made


def test_one_image_shows_nothing() -> None:
    made = network(Layer(SCALING["sigmoid"]))
    assert marked(made, IMAGES[:1]) is made


def test_a_class_is_recognised_in_a_map_of_one_pixel() -> None:
    of_a_pixel = nn.Sequential(nn.AdaptiveAvgPool2d(1), Layer(SCALING["sigmoid"]))
    found = marked(network(Layer(SCALING["sigmoid"]), *of_a_pixel), IMAGES)
    assert find(found) == {"squeeze-excite": ["1", "2.1"]}


class Wrapped(nn.Module):
    """Calls another module, and nothing else."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, value: Tensor) -> Tensor:
        scaled: Tensor = self.layer(value)
        return scaled


def test_a_block_within_another_comes_once() -> None:
    found = marked(network(Wrapped(Layer(SCALING["sigmoid"]))), IMAGES)
    assert find(found) == {"squeeze-excite": ["1"]}


def test_a_known_class_keeps_its_own_path() -> None:
    made = network(Wrapped(SqueezeExcitation(6, 3)))
    assert marked(made, IMAGES) is made
    assert find(made)["squeeze-excite"] == ["1.layer"]


def test_a_gate_that_is_called_as_a_function_is_one_of_the_block() -> None:
    made = as_modules(network(Layer(SCALING["sigmoid"])), IMAGES)
    assert made.left_out == {}
    assert find(marked(made.network, IMAGES)) == {"squeeze-excite": ["1"], "gate": ["1.sigmoid"]}

"""Check of the image and batch size before the training."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torchvision.models import VisionTransformer

from src import models
from src.errors import UsageError
from src.models.input_check import require_fitting
from src.models.network import NetworkSpec


def network(builder: str) -> nn.Module:
    return NetworkSpec(builder, 2).build()


TOO_SMALL = {"convnext_tiny": 28, "densenet121": 28, "vit_b_16": 28}


@pytest.mark.parametrize("builder", TOO_SMALL)
def test_too_small_images_are_refused_with_a_size_that_works(builder: str) -> None:
    checked, side = network(builder), TOO_SMALL[builder]
    if isinstance(checked, VisionTransformer):
        checked.encoder.layers = checked.encoder.layers[:1]  # all twelve take seconds
    with pytest.raises(UsageError) as caught:
        require_fitting(builder, checked, side, 8, training=True)
    message = str(caught.value)
    assert message.startswith(
        f"data.image_size: expected images that {builder} takes; found {side}"
    )
    suggested_side = int(message.rpartition("data.image_size=")[2])
    require_fitting(builder, checked, suggested_side, 8, training=True)


@pytest.mark.parametrize("builder", ["resnet34", "densenet121", "efficientnet_b0"])
def test_a_batch_that_gives_batch_norm_one_value_is_refused(builder: str) -> None:
    with pytest.raises(UsageError) as caught:
        require_fitting(builder, network(builder), 32, 1, training=True)
    assert str(caught.value).startswith("data.batch_size: expected at least 2 images a batch to")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("builder", "side", "batch_size", "training"),
    [
        ("resnet34", 64, 1, True),  # BatchNorm gets 2x2 values
        ("convnext_tiny", 32, 1, True),  # no BatchNorm
        ("resnet34", 32, 1, False),
        ("resnet34", 28, 2, True),
        ("densenet121", 32, 2, True),
    ],
)
def test_inputs_that_the_network_accepts_pass_the_check(
    builder: str, side: int, batch_size: int, training: bool
) -> None:
    require_fitting(builder, network(builder), side, batch_size, training=training)


def test_the_input_check_changes_neither_network_nor_random_state() -> None:
    checked = network("efficientnet_b0").eval()
    before = {name: value.clone() for name, value in checked.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    require_fitting("efficientnet_b0", checked, 64, 2, training=True)
    assert torch.equal(torch.rand(3), expected)
    assert not checked.training
    assert all(torch.equal(value, before[name]) for name, value in checked.state_dict().items())


def test_every_architecture_accepts_images_of_32_pixels() -> None:
    for name in models.__all__:
        kind: Any = getattr(models, name)
        require_fitting(name, network(kind.builder), 32, 2, training=True)


@pytest.mark.parametrize(
    ("builder", "side", "remedy"),
    [
        ("vit_b_16", 100, "data.image_size=128"),
        ("vit_b_16", 1000, "data.image_size=512"),
        ("maxvit_t", 64, "data.image_size=224"),
    ],
)
def test_a_size_that_a_network_cannot_be_built_for_is_refused_with_one_that_works(
    builder: str, side: int, remedy: str
) -> None:
    with pytest.raises(UsageError, match=rf"^data.image_size: .*found {side}x{side} .*{remedy}$"):
        NetworkSpec.of(builder, 5, side, {})
    accepted = NetworkSpec.of(builder, 5, int(remedy.partition("=")[2]), {})
    accepted.outline()


def test_a_smaller_size_is_named_where_no_larger_one_works() -> None:
    class UpTo224(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            if images.shape[-1] > 224:
                raise ValueError("too large")
            return images.mean((2, 3))

    with pytest.raises(UsageError, match=r"set data\.image_size=224$"):
        require_fitting("planted", UpTo224(), 256, 8, training=True)

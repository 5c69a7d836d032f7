"""Augmentation of training images with and without mirror images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from src.data.datasets.cifar10 import CIFAR10Data
from src.data.datasets.image_folder import ImageFolder
from src.data.pipeline.augmentation import crop_and_flip, varied

SEEDS = range(40)


def mirrored(transform: v2.Transform) -> list[bool]:
    """Return for each seed whether an image that is darker on the left is mirrored."""
    levels = np.tile(np.linspace(0, 255, 32, dtype=np.uint8), (32, 1))
    image = Image.fromarray(levels).convert("RGB")
    found = []
    for seed in SEEDS:
        torch.manual_seed(seed)
        pixels = np.asarray(transform(image), dtype=float)
        found.append(bool(pixels[:, 0].mean() > pixels[:, -1].mean()))
    return found


def test_an_image_is_mirrored_unless_that_is_turned_off() -> None:
    images = mirrored(varied(crop_and_flip(16), "default", flip=True))
    assert any(images)
    assert not all(images)
    assert not any(mirrored(varied(crop_and_flip(16), "default", flip=False)))


def test_a_flip_is_left_out_at_any_depth() -> None:
    nested = v2.Compose([v2.Compose([v2.RandomHorizontalFlip(p=1.0)]), v2.Resize(16)])
    assert all(mirrored(varied(nested, "default", flip=True)))
    assert not any(mirrored(varied(nested, "default", flip=False)))


@pytest.mark.parametrize("kind", [ImageFolder, CIFAR10Data])
def test_every_data_set_takes_the_option(kind: type) -> None:
    for flip in (True, False):
        data = kind(root="none", image_size=16, flip=flip)
        assert any(mirrored(data._augmentation())) is flip


@pytest.mark.parametrize("policy", ["randaugment", "trivialaugment"])
def test_a_policy_follows_without_flips_too(policy: str) -> None:
    parts = varied(crop_and_flip(16), policy, flip=False).transforms  # type: ignore[arg-type]
    assert [type(part).__name__.lower().removesuffix("wide") for part in parts[1:]] == [policy]

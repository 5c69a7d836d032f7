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


def parts_of(transform: v2.Transform) -> list[v2.Transform]:
    """Return the transforms in one, in order."""
    if isinstance(transform, v2.Compose):
        return [part for each in transform.transforms for part in parts_of(each)]
    return [transform]


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


def crops(squash: bool, width: int, height: int) -> list[dict[str, int]]:
    crop = crop_and_flip(16, squash=squash).transforms[0]
    image = Image.new("RGB", (width, height))
    found = []
    for seed in SEEDS:
        torch.manual_seed(seed)
        found.append(crop.make_params([image]))
    return found


@pytest.mark.parametrize(("width", "height"), [(400, 100), (100, 400), (160, 160), (500, 3)])
def test_crops_of_an_image_that_is_squashed_have_its_shape(width: int, height: int) -> None:
    found = crops(True, width, height)
    for crop in found:
        assert 0 <= crop["left"] <= width - crop["width"]
        assert 0 <= crop["top"] <= height - crop["height"]
        across, down = crop["width"] / width, crop["height"] / height
        if min(width, height) >= 100:
            assert 0.33 < across * down <= 1
            assert 0.72 < across / down < 1.38
    assert min(crop["left"] for crop in found) < 0.1 * width
    assert max(crop["left"] + crop["width"] for crop in found) > 0.9 * width
    # Others show the middle of a long image, and nothing else.
    if width == 400:
        assert {crop["left"] for crop in crops(False, width, height)} == {133}


@pytest.mark.parametrize("resize", ["squash", "crop"])
def test_training_crops_follow_the_resizing_of_the_evaluation(resize: str) -> None:
    data = ImageFolder(root="none", image_size=16, resize=resize)
    crop = data._augmentation().transforms[0].transforms[0]
    assert (type(crop) is v2.RandomResizedCrop) is (resize == "crop")


@pytest.mark.parametrize("kind", [ImageFolder, CIFAR10Data])
@pytest.mark.parametrize("resize", ["squash", "crop"])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_training_images_are_resized_by_the_filter_of_the_evaluation(
    kind: type, resize: str, interpolation: str
) -> None:
    data = kind(root="none", image_size=48, resize=resize, interpolation=interpolation)
    filters = {
        part.interpolation.value
        for part in parts_of(data._augmentation())
        if isinstance(part, v2.Resize | v2.RandomResizedCrop)
    }
    assert filters == {interpolation}


def test_cifar_is_cropped_in_training_as_in_the_evaluation() -> None:
    """An object has the same size in both."""
    line = np.zeros((32, 32, 3), np.uint8)
    line[:, 12:20] = 255
    data = CIFAR10Data(root="none", image_size=64, resize="crop", crop_share=0.5, flip=False)
    parts = [part for part in parts_of(data._augmentation()) if not isinstance(part, v2.RandomCrop)]
    without_shift = v2.Compose(parts)
    widths = [
        np.asarray(transform(Image.fromarray(line)).convert("L"))[32].astype(int).sum() / 255
        for transform in (data.preprocessing.spatial(), without_shift)
    ]
    assert widths[0] == pytest.approx(widths[1], rel=0.05)

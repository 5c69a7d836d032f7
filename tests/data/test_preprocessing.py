from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from src.data.preprocessing import Preprocessing
from src.run.facts import PreprocessingFacts
from src.run.layout import as_dict
from src.run.preprocessing_steps import steps_of
from src.run.reading import convert

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
PICTURE = Image.fromarray(PIXELS)


def test_preprocessing_is_pillows_resizing_and_plain_arithmetic() -> None:
    """The result equals that of Pillow and numpy alone, bit for bit."""
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    ours = Preprocessing(32, mean=mean, std=std)(PICTURE)
    resized = np.asarray(PICTURE.resize((32, 32), Image.Resampling.BILINEAR), dtype=np.float32)
    theirs = (resized / 255 - np.float32(mean)) / np.float32(std)
    assert ours.dtype == torch.float32
    np.testing.assert_allclose(ours.numpy(), theirs.transpose(2, 0, 1), atol=1e-6)


def test_crop_keeps_the_aspect_ratio_and_the_middle() -> None:
    ours = Preprocessing(28, "crop", (0, 0, 0), (1, 1, 1))(PICTURE)
    resized = PICTURE.resize((48, 32), Image.Resampling.BILINEAR)
    theirs = np.asarray(resized.crop((10, 2, 38, 30)), dtype=np.float32) / 255
    np.testing.assert_allclose(ours.numpy(), theirs.transpose(2, 0, 1), atol=1e-6)


LONG = [(1, 1000), (1, 1001), (5, 203), (7, 400), (300, 9), (1303, 11), (2, 4000), (31, 2999)]


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("share", [0.875, 1.0])
@pytest.mark.parametrize("sides", LONG)
def test_crop_of_a_long_image_equals_the_middle_of_the_whole_resized_one(
    sides: tuple[int, int], share: float, interpolation: str
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*sides, 3), dtype=np.uint8)
    image, filter_ = Image.fromarray(pixels), v2.InterpolationMode(interpolation)
    rule = Preprocessing(24, "crop", interpolation=interpolation, crop_share=share)
    resize = v2.Resize(round(24 / share), interpolation=filter_)
    whole = np.asarray(v2.CenterCrop(24)(resize(image))).astype(int)
    assert np.abs(np.asarray(rule.spatial()(image)).astype(int) - whole).max() <= 2  # of noise


@pytest.mark.parametrize("size", [(1, 1_000_000), (1_000_000, 1), (3, 500_000)])
def test_crop_never_resizes_more_than_the_middle_needs(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[tuple[int, int]] = []
    resize = Image.Image.resize

    def counted(image: Image.Image, to: tuple[int, int], *more: object, **options: object) -> Any:
        sizes.append(to)
        assert to[0] * to[1] < 40 * 256 * 256  # before memory is taken for it
        return resize(image, to, *more, **options)

    monkeypatch.setattr(Image.Image, "resize", counted)
    image = Image.new("RGB", size)
    assert Preprocessing(224, "crop").spatial()(image).size == (224, 224)
    assert sizes


@pytest.mark.parametrize("rule", ["squash", "crop"])
def test_what_travels_with_a_file_says_all_of_it(rule: str) -> None:
    facts = Preprocessing(28, rule).facts()
    assert facts.image_size == 28
    assert facts.resize == rule
    assert facts.interpolation == "bilinear"
    assert (facts.crop_share is None) == (rule == "squash")
    assert Preprocessing(28, rule).input_shape == (3, 28, 28)


@pytest.mark.parametrize("rule", ["squash", "crop"])
def test_a_file_that_names_no_filter_share_or_scale_has_the_defaults(rule: str) -> None:
    whole = as_dict(Preprocessing(28, rule).facts())
    values = {name: whole[name] for name in ("image_size", "resize", "mean", "std")}
    least = convert(values, PreprocessingFacts)
    assert steps_of(least) == Preprocessing(28, rule).steps()
    assert Preprocessing.of(least) == Preprocessing(28, rule)

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from src.data.preprocessing import Preprocessing

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
PICTURE = Image.fromarray(PIXELS)


def test_it_is_pillows_resizing_and_plain_arithmetic() -> None:
    """What anyone can do again with Pillow and numpy alone, to the bit."""
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


@pytest.mark.parametrize("rule", ["squash", "crop"])
def test_what_travels_with_a_file_says_all_of_it(rule: str) -> None:
    told = Preprocessing(28, rule).to_dict()
    assert told["image_size"] == 28
    assert told["resize"] == rule
    assert told["interpolation"] == "bilinear"
    assert (told["crop_share"] is None) == (rule == "squash")
    assert Preprocessing(28, rule).input_shape == (3, 28, 28)

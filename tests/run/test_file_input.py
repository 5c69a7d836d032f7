"""The one function that makes the batch of a file, from either form of images."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from src.data.preprocessing import Preprocessing
from src.run.file_input import NORMALISED, PIXELS, BatchMaker, FileInput, NotPixelsError, accepted
from src.run.record import InvalidValueError

PREPROCESSINGS = [
    Preprocessing(16),
    Preprocessing(16, mean=(0.5,) * 3, std=(0.5,) * 3),
    Preprocessing(16, mean=(0.0,) * 3, std=(1.0,) * 3),
    Preprocessing(16, mean=(-3.0, 0.2, 4.0), std=(1e-3, 7.0, 0.1)),
]


def levels() -> torch.Tensor:
    """Every level in every channel: (2, 3, 16, 16)."""
    values = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    return torch.cat([values.repeat(1, 3, 1, 1), 255 - values.repeat(1, 3, 1, 1)])


@pytest.mark.parametrize("preprocessing", PREPROCESSINGS)
def test_pixels_come_back_from_normalised_images(preprocessing: Preprocessing) -> None:
    pixels = levels().numpy().transpose(0, 2, 3, 1)
    images = preprocessing.normalised(levels()).numpy()
    batch = BatchMaker(PIXELS, preprocessing.facts())
    assert batch(images).dtype == np.uint8
    assert np.array_equal(batch(images), pixels)
    assert np.array_equal(batch(pixels), pixels)


@pytest.mark.parametrize("preprocessing", PREPROCESSINGS)
def test_normalised_images_have_the_bits_of_the_evaluation(preprocessing: Preprocessing) -> None:
    pixels = levels().numpy().transpose(0, 2, 3, 1)
    images = preprocessing.normalised(levels()).numpy()
    batch = BatchMaker(NORMALISED, preprocessing.facts())
    assert np.array_equal(batch(pixels), images)
    assert batch(images) is images


@pytest.mark.parametrize(
    "change",
    [
        lambda images: images / 255,
        lambda images: images * 255,
        lambda images: images + 10,
        lambda images: images - 10,
        lambda images: images + 0.005,
        lambda images: np.random.default_rng(0).normal(size=images.shape).astype(np.float32),
        lambda images: np.full_like(images, np.nan),
    ],
)
def test_other_values_than_normalised_pixels_are_refused(change) -> None:
    preprocessing = Preprocessing(16)
    images = preprocessing.normalised(levels()).numpy()
    with pytest.raises(NotPixelsError, match=r"export.input=float"):
        BatchMaker(PIXELS, preprocessing.facts())(change(images))


def test_an_input_that_no_file_has_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="uint8 in NHWC"):
        FileInput(dtype="uint8", layout="NCHW", normalised=True)


def test_a_batch_of_another_type_than_the_runtime_reports_is_refused() -> None:
    pixels, floats = np.zeros((1, 4, 4, 3), np.uint8), np.zeros((1, 3, 4, 4), np.float32)
    assert accepted(pixels, str(PIXELS)) is pixels
    assert accepted(floats, None) is floats
    for batch, takes in ((pixels, NORMALISED), (floats, PIXELS)):
        with pytest.raises(ValueError, match=r"the file takes .*, and was given"):
            accepted(batch, str(takes))
